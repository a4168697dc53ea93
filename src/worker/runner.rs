//! Running one task: claim its slot, call its function, write the result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::background::{Caught, discard};
use crate::error::PanicTold;
use crate::layout::{ExecutorRecord, Fold, Measured};
use crate::pool::{AllocError, Parcel, Pool, RepeatedEnds, Transfer};
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Hint, ProcessId, SlotIndex};
use crate::ring::steal;
use crate::sys::{Home, barrier, exit_now, usage};
use crate::task::{
    Call, Finished, FunctionId, Functions, Head, INLINE_LEN, Label, Note, Outcome, Payload, Place,
    Run, TaskState, parcels_of,
};

use super::words::{no_memory, shorten};
use super::{labels, panics};

/// What running takes; the same for the tasks an executor is given and for those
/// that they spawn.
#[derive(Debug)]
pub struct Runner {
    pub(super) me: ExecutorId,
    pub(super) fold: Fold,
    pub(super) pool: Pool,
    pub(super) functions: Functions,
    /// The worker, and not what a task has forked.
    pub(super) home: Home,
    /// Whether each task is measured.
    pub(super) is_profiling: bool,
    /// While a spawned task runs: the hint of the host's task that it is part of. This
    /// process's own: not what deaths are counted by.
    pub(super) root: AtomicU64,
    /// Whether what runs may leave something that is seen to at its end.
    pub(super) may_leave: AtomicBool,
}

/// Memory that is used again for each task.
#[derive(Debug, Default)]
pub struct Scratch {
    payload: Payload,
    arguments: Vec<Parcel>,
    /// Arguments with inputs behind them.
    whole: Payload,
    /// Buffers among the arguments, and in the result. Empty between two tasks, and here
    /// because to hand empty lists on costs more than all else that is done with them.
    incoming: Vec<Transfer>,
    outgoing: Vec<Transfer>,
}

/// What has come of a run.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    pub(super) outcome: Outcome,
    /// Somebody in the host sleeps until this task ends, or is to do what was not done here.
    pub(super) is_awaited: bool,
    /// Tasks that were made ready.
    pub(super) readied: u16,
}

impl Runner {
    pub(super) fn new(
        me: ExecutorId,
        fold: &Fold,
        pool: &Pool,
        functions: &Functions,
        is_profiling: bool,
    ) -> Self {
        Runner {
            me,
            fold: fold.clone(),
            pool: pool.clone(),
            functions: functions.clone(),
            home: Home::here(),
            is_profiling,
            root: AtomicU64::new(0),
            may_leave: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(super) fn record(&self) -> &ExecutorRecord {
        &self.fold.executors[self.me.0 as usize]
    }

    /// Runs the task of `hint`, which the host submitted; `None` if it was not to be
    /// had. The host is not told: that is the caller's.
    #[inline]
    pub(super) fn run(
        &self,
        hint: Hint,
        scratch: &mut Scratch,
        ready: &mut steal::Producer,
    ) -> Option<Ran> {
        let index = hint.slot.at();
        let slot = self.fold.slots.get(index)?;
        // Relaxed: the claim (Release) orders it before the word that names us.
        let current = &self.record().doing.current;
        current.store(hint.pack(), Ordering::Relaxed);
        slot.claim(self.me, hint.generation)
            .then(|| self.run_claimed(hint, ProcessId::HOST, scratch, Some(ready)))
    }

    /// Runs the task of `hint`, which executor `owner` has spawned; false if it was
    /// not to be had. Its owner is told.
    pub(super) fn run_spawned(&self, hint: Hint, owner: usize, scratch: &mut Scratch) -> bool {
        let Some(slot) = self.fold.slots.get(hint.slot.at()) else {
            return false;
        };
        if !slot.claim(self.me, hint.generation) {
            return false;
        }
        // Of the tasks on this stack only the one on top can be to blame for a crash.
        // Relaxed: read after our death only.
        let top = &self.record().doing.top;
        let below = top.load(Ordering::Relaxed);
        top.store(hint.pack(), Ordering::Relaxed);
        let note = self.fold.notes.get(hint.slot.at());
        let root_below = self.root();
        let root = note.map_or(0, Note::root_word);
        self.set_root(root);
        let from = ProcessId::of_worker(self.fold.plan.shape.worker_of(owner) as u32);
        self.run_claimed(hint, from, scratch, None);
        self.set_root(root_below);
        top.store(below, Ordering::Relaxed);
        if owner != self.me.0 as usize {
            // The owner, before it sleeps, passes the heavy barrier.
            barrier::light();
            let owner = &self.fold.executors[owner];
            if owner.bell.ring() {
                owner.doing.told.open_all(); // it may wait for something else as well
            }
        }
        true
    }

    /// The task that runs on this executor, if one does: the one on top of its stack.
    pub(super) fn current(&self) -> Option<Hint> {
        let doing = &self.record().doing;
        // Relaxed: this thread's own words.
        let top = match doing.top.load(Ordering::Relaxed) {
            0 => doing.current.load(Ordering::Relaxed),
            top => top,
        };
        let hint = Hint::unpack(top);
        let is_there = top != 0 && hint.slot.at() < self.fold.slots.len();
        is_there.then_some(hint)
    }

    /// The task that this executor is in the middle of, if any.
    pub(super) fn running(&self) -> Option<(Hint, Head)> {
        let doing = &self.record().doing;
        // Relaxed: only this thread writes them.
        let hint = match doing.top.load(Ordering::Relaxed) {
            0 => doing.current.load(Ordering::Relaxed),
            top => top,
        };
        let hint = Hint::unpack(hint);
        let slot = self.fold.slots.get(hint.slot.at())?;
        let word = slot.word();
        let is_running = TaskState::of(word) == Some(TaskState::Running)
            && word.owner == self.me.0
            && word.generation == hint.generation;
        let (head, _) = slot.read().filter(|_| is_running)?;
        Some((hint, head))
    }

    /// Calls a function on this stack, without a slot.
    pub(super) fn run_directly(
        &self,
        id: FunctionId,
        arguments: &Payload,
        incoming: Vec<Transfer>,
    ) -> Finished {
        let mut payload = Payload::new();
        let mut buffers = Vec::new();
        let incoming: Result<Vec<_>, _> = incoming.into_iter().map(Transfer::alone).collect();
        let outcome = match (self.functions.entry(id), incoming) {
            (Some(entry), Ok(mut incoming)) => {
                let mut call = Call {
                    arguments: arguments.bytes(),
                    is_marked: arguments.is_marked(),
                    incoming: &mut incoming,
                    result: &mut payload,
                    pool: Some(&self.pool),
                    outgoing: &mut buffers,
                };
                let outcome = self.enter(entry, &mut call);
                set_apart(outcome, &mut payload, &mut buffers)
            }
            (_, Err(error)) => no_memory(&error, &mut payload),
            (None, _) => Outcome::Damaged,
        };
        Finished {
            outcome,
            payload,
            parcels: 0,
            buffers,
        }
    }

    #[inline]
    fn run_claimed(
        &self,
        hint: Hint,
        from: ProcessId,
        scratch: &mut Scratch,
        ready: Option<&mut steal::Producer>,
    ) -> Ran {
        let (mut ran, is_followed) = if self.is_profiling {
            self.measure(hint, || self.run_unmeasured(hint, from, scratch))
        } else {
            self.run_unmeasured(hint, from, scratch)
        };
        self.wind_up(hint);
        if let Some(ready) = ready.filter(|_| is_followed) {
            self.tell(hint, ready, &mut ran);
        }
        self.fold.slots[hint.slot.at()].finish(self.me, hint.generation);
        ran
    }

    /// Leaves what a task takes beside its slot, if that is one of the host's.
    #[cold]
    fn measure<T>(&self, hint: Hint, run: impl FnOnce() -> T) -> T {
        let Some(measure) = self.fold.measures.get(hint.slot.at()) else {
            return run();
        };
        let peak = usage::peak_resident_bytes();
        let cpu_ns = usage::thread_cpu_ns();
        let started_ns = usage::monotonic_ns();
        let ran = run();
        let ended_ns = usage::monotonic_ns();
        let measured = Measured {
            started_ns,
            ended_ns,
            cpu_ns: usage::thread_cpu_ns().saturating_sub(cpu_ns),
            peak_growth: usage::peak_resident_bytes().saturating_sub(peak),
        };
        measure.write(hint.generation, measured);
        ran
    }

    /// Everything but saying that it is finished; and whether dependents are to be told.
    #[inline]
    fn run_unmeasured(&self, hint: Hint, from: ProcessId, scratch: &mut Scratch) -> (Ran, bool) {
        scratch.payload.clear();
        scratch.arguments.clear();
        let is_cancelled = from != ProcessId::HOST && self.is_cancelled(hint);
        let is_timed = self.begins(hint.slot);
        let (function, outcome) = if is_cancelled {
            (0, Outcome::Cancelled)
        } else {
            self.call(hint.slot.at(), from, scratch)
        };
        self.await_kin(hint);
        if is_timed {
            self.ends(hint.slot);
        }
        let head = self.settle(hint.slot, function, outcome, scratch);
        let slot = &self.fold.slots[hint.slot.at()];
        let (is_followed, is_awaited) = slot.wishes();
        slot.write(head, scratch.payload.words());
        let ran = Ran {
            outcome: head.outcome,
            is_awaited,
            readied: 0,
        };
        (ran, is_followed)
    }

    /// Runs the task in a claimed slot; the result is left in the payload.
    #[inline]
    fn call(&self, index: usize, from: ProcessId, scratch: &mut Scratch) -> (u32, Outcome) {
        let Scratch {
            payload,
            arguments,
            whole,
            incoming,
            outgoing,
        } = scratch;
        let Some((head, words)) = self.fold.slots[index].read() else {
            return refuse(payload, 0, "the task's slot is damaged");
        };
        let function = head.function;
        let Some(entry) = self.functions.entry(FunctionId(function)) else {
            return refuse(
                payload,
                function,
                "the task's function is none of the program's",
            );
        };
        // Before the block that names them is taken over: while it is not, the host finds
        // both if the giver dies (`scheduler/recover/orphans.rs`).
        if head.parcels > 0 {
            match self.accept(&head, words, from, arguments) {
                Ok(accepted) => *incoming = accepted,
                Err(why) => return refuse(payload, function, why),
            }
        }
        let _ends = RepeatedEnds::of(arguments, &self.pool);
        let taken_over;
        let inputs = match from {
            ProcessId::HOST => self.fold.slots[index].edges(),
            _ => 0,
        };
        let bytes: &[u8] = match head.place {
            Place::Inline(len) if inputs > 0 => {
                let edges = self.fold.edges.get(index);
                // Perhaps others wait for this one in turn.
                edges.inspect(|edges| edges.ask_for_dependents());
                self.put_together(index, words, len, inputs, whole)
            }
            Place::Inline(len) => {
                let bytes: &[u8] = bytemuck::cast_slice(&words);
                &bytes[..len.min(INLINE_LEN)]
            }
            Place::Block {
                index,
                generation,
                len,
            } if from == ProcessId::HOST => {
                match self.pool.argument_bytes(index, generation, len) {
                    Some(bytes) => bytes,
                    None => return refuse(payload, function, "the task's arguments are gone"),
                }
            }
            Place::Block {
                index,
                generation,
                len,
            } => {
                let take = |giver| self.pool.take_arguments(index, generation, len, giver);
                taken_over = givers(from).find_map(take);
                match &taken_over {
                    Some(block) => block.bytes(),
                    None => return refuse(payload, function, "the task's arguments are gone"),
                }
            }
        };
        // They were found behind it.
        let value = &bytes[..bytes.len() - arguments.len() * Parcel::WORDS * 8];
        let mut call = Call {
            arguments: value,
            is_marked: head.outcome.is_marked(),
            incoming,
            result: payload,
            pool: Some(&self.pool),
            outgoing,
        };
        if !head.is_labelled {
            return (function, self.enter(entry, &mut call));
        }
        let Some((label, value)) = Label::split(value) else {
            call.incoming.clear();
            return refuse(call.result, function, "the task's label is damaged");
        };
        call.arguments = value;
        let task = self.running().map(|(task, _)| task);
        let outcome = labels::labelled(task, label, || self.enter(entry, &mut call));
        (function, outcome)
    }

    /// Takes over the buffers among the arguments of a task that `from` has submitted;
    /// `parcels` are what said which.
    #[cold]
    fn accept(
        &self,
        head: &Head,
        words: [u64; INLINE_LEN / 8],
        from: ProcessId,
        parcels: &mut Vec<Parcel>,
    ) -> Result<Vec<Transfer>, &'static str> {
        *parcels = parcels_of(head, words, &self.pool).ok_or("the task's parcels are damaged")?;
        let accept = |parcel, giver| self.pool.accept_argument(parcel, giver);
        let accepted = (parcels.iter()).map(|p| givers(from).find_map(|giver| accept(p, giver)));
        let accepted = accepted.collect::<Option<_>>();
        accepted.ok_or("a buffer among the arguments is gone")
    }

    /// Calls a function; its value, or what its panic said, is left in the call's result.
    #[inline(always)]
    pub(super) fn enter(&self, entry: Run, call: &mut Call<'_>) -> Outcome {
        let ran = catch_unwind(AssertUnwindSafe(|| entry(call)));
        if !self.home.is_here() {
            end_of_forked(ran.is_ok());
        }
        let outcome = match ran {
            Ok(outcome) => outcome,
            Err(panic) => {
                self.note_panic(panic, call);
                Outcome::Panicked
            }
        };
        // What was not picked from them.
        if !call.incoming.is_empty() {
            drop_all(call.incoming);
        }
        outcome
    }

    /// What a call on this stack counts as that was no task, and has panicked.
    #[cold]
    pub(super) fn panicked(&self, panic: Caught) -> Finished {
        let (mut payload, mut buffers) = (Payload::new(), Vec::new());
        let mut call = Call {
            arguments: &[],
            is_marked: false,
            incoming: &mut Vec::new(),
            result: &mut payload,
            pool: None,
            outgoing: &mut buffers,
        };
        self.note_panic(panic, &mut call);
        Finished {
            outcome: Outcome::Panicked,
            payload,
            parcels: 0,
            buffers,
        }
    }

    #[cold]
    fn note_panic(&self, panic: Caught, call: &mut Call<'_>) {
        let record = self.record();
        let said = panics::said(&*panic, record);
        discard(panic);
        record.last_words.clear();
        said.log();
        let panics = &record.status.task_panics;
        // Relaxed: a counter with one writer.
        panics.store(
            panics.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        call.result.clear();
        let told: PanicTold = (said.message, said.location, said.backtrace);
        let encoded = call.result.encode(&told);
        if encoded.is_err() {
            call.result.clear();
        }
        call.outgoing.clear();
    }

    /// Hands buffers over to the result, and moves a long result into a block.
    #[inline]
    fn settle(
        &self,
        slot: SlotIndex,
        function: u32,
        outcome: Outcome,
        scratch: &mut Scratch,
    ) -> Head {
        let mut head = Head {
            function,
            outcome,
            parcels: 0,
            is_labelled: false,
            is_timed: false,
            place: Place::Inline(scratch.payload.len()),
        };
        if scratch.outgoing.is_empty() && scratch.payload.is_inline() {
            return head;
        }
        if scratch.outgoing.len() > usize::from(u8::MAX) {
            scratch.outgoing.clear();
            scratch.payload.clear();
            let words = "more than 255 buffers in one result";
            scratch.payload.extend(words.as_bytes());
            head.outcome = Outcome::BadResult;
            head.place = Place::Inline(words.len());
            return head;
        }
        if let Err(error) = self.move_out(slot, &mut head, scratch) {
            let payload = &mut scratch.payload;
            head.outcome = shorten(outcome, &error, payload);
            head.parcels = 0;
            head.place = Place::Inline(payload.len());
        }
        head
    }

    #[cold]
    fn move_out(
        &self,
        slot: SlotIndex,
        head: &mut Head,
        scratch: &mut Scratch,
    ) -> Result<(), AllocError> {
        let outgoing = std::mem::take(&mut scratch.outgoing);
        let Scratch {
            payload, arguments, ..
        } = scratch;
        let mut parcels: Vec<Parcel> = Vec::with_capacity(outgoing.len());
        let mut outgoing = outgoing.into_iter();
        while let Some(transfer) = outgoing.next() {
            let after = outgoing.as_slice();
            match transfer.into_result_among(slot, arguments, &parcels, after) {
                Ok(parcel) => parcels.push(parcel),
                Err(error) => {
                    self.take_back(slot, &parcels);
                    return Err(error);
                }
            }
        }
        head.parcels = parcels.len() as u8;
        payload.push_parcels(&parcels);
        head.place = if payload.is_inline() {
            Place::Inline(payload.len())
        } else {
            let block = match payload.take_block(&self.pool) {
                Some(block) => Ok(block),
                None => self.pool.alloc(payload.len()).map(|mut block| {
                    block.copy_from_slice(payload.bytes());
                    block
                }),
            };
            let carried = block.and_then(|loan| Transfer::of_loan(loan).into_result(slot, &[]));
            let carried = match carried {
                Ok(carried) => carried,
                Err(error) => {
                    self.take_back(slot, &parcels);
                    return Err(error);
                }
            };
            Place::Block {
                index: carried.index,
                generation: carried.generation,
                len: carried.len as usize,
            }
        };
        Ok(())
    }

    /// Frees what a result that fails half-way has handed over already.
    fn take_back(&self, slot: SlotIndex, parcels: &[Parcel]) {
        for parcel in parcels {
            drop(self.pool.accept_result(parcel, slot, &[]));
        }
    }
}

#[cold]
#[inline(never)]
fn drop_all(buffers: &mut Vec<Transfer>) {
    buffers.clear();
}

/// The task has forked, and this is the child, on its way back into a worker that it is not:
/// the slot, the rings and all else there are its parent's.
#[cold]
pub(super) fn end_of_forked(is_well: bool) -> ! {
    const PANICKED: i32 = 101; // as a program of its own would end
    exit_now(if is_well { 0 } else { PANICKED })
}

/// Before a result is decoded in the process that made it: see [`Transfer::alone`].
#[inline]
pub(super) fn set_apart(
    outcome: Outcome,
    payload: &mut Payload,
    buffers: &mut Vec<Transfer>,
) -> Outcome {
    if buffers.is_empty() {
        return outcome;
    }
    set_all_apart(outcome, payload, buffers)
}

#[cold]
#[inline(never)]
fn set_all_apart(outcome: Outcome, payload: &mut Payload, buffers: &mut Vec<Transfer>) -> Outcome {
    let apart: Result<Vec<_>, _> = buffers.drain(..).map(Transfer::alone).collect();
    match apart {
        Ok(apart) => {
            *buffers = apart;
            outcome
        }
        Err(error) => no_memory(&error, payload),
    }
}

/// Who may have the arguments of a task that `from` has submitted: `from`, or the host,
/// which inherits those of the dead.
fn givers(from: ProcessId) -> impl Iterator<Item = ProcessId> {
    let heir = (from != ProcessId::HOST).then_some(ProcessId::HOST);
    [from].into_iter().chain(heir)
}

/// Whoever submitted wrote nothing of the kind: memory is damaged.
#[cold]
fn refuse(payload: &mut Payload, function: u32, why: &str) -> (u32, Outcome) {
    payload.clear();
    payload.extend(why.as_bytes());
    (function, Outcome::Damaged)
}
