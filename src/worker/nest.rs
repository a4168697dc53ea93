//! Tasks that tasks spawn.
//!
//! Every executor has 256 slots of its own, and a ring in which it offers them to the
//! others. The words are those of all tasks:
//!
//! ```text
//!            spawn                 claim                  finish
//!  Free(g) ────────▶ Queued(g) ──────────────▶ Running(e,g) ─────▶ Done(e,g)
//!    ▲    the owner     │ the owner, in `join`,     │  e              │
//!    │                  │ or a thief                │ e is dead: host │ the owner
//!    └──────────────────┴───────────────────────────┴─────────────────┘
//!       the owner; for a dead owner, the host or its successor: always Free(g+1).
//!       Of a dead owner it may stay Queued, to be finished all the same
//! ```
//!
//! `join` of a task that nobody has begun claims it by its word and runs it on the
//! spot; its hint in the ring is stale from then on. While the task runs elsewhere,
//! `join` runs other spawned tasks, and sleeps when there are none. It never runs
//! tasks of the host: those may take long, and so the task that waits would.
//!
//! | dead | what is left | who copes |
//! | --- | --- | --- |
//! | the owner | `Queued` | the host: free; nobody waits for it. With `Orphans::Finish` it stays, and the host issues a hint for it: `src/scheduler/orphans.rs` |
//! | | `Running` by another, `Done` | the owner's successor frees it when it is done; likewise one that was `Queued` and stays |
//! | who runs it | `Running` | the host: `Waiting`, then `Done` with `Lost` and the cause |
//! | a thief that took the hint | `Queued` | the host issues a hint for it; and the owner finds it by its word |

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::layout::{NEST_RING, NEST_SLOTS};
use crate::pool::{Transfer, encoding};
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, SlotIndex};
use crate::ring::steal;
use crate::sys::barrier;
use crate::task::{Finished, FunctionId, Head, Outcome, Payload, Place, TaskState, entry_of};

use super::entry::{Entry, Rare, Spot};
use super::idle::SPIN;
use super::runner::{Runner, Scratch};

/// Stack that must be left when a spawned task is run on top of the one that waits
/// for it, and what is added when there is less.
const STACK_LEFT: usize = 128 * 1024;
const STACK_MORE: usize = 4 * 1024 * 1024;

/// How long a sleeper trusts that it will be woken: who should may have been stopped.
const TRUST: Duration = Duration::from_secs(1);

/// Bytes of a result that is read straight from its slot.
const SMALL: usize = 24;

thread_local! {
    static NEST: OnceCell<Rc<Nest>> = const { OnceCell::new() };
}

/// An executor's own tasks; used by its thread alone.
#[derive(Debug)]
pub struct Nest {
    runner: Arc<Runner>,
    /// The executor's first slot.
    start: u32,
    /// The own ring first, then the others'.
    takers: Vec<steal::Taker>,
    ring: RefCell<steal::Producer>,
    slots: RefCell<Slots>,
    #[expect(clippy::vec_box, reason = "they are taken and put back for each task")]
    scratches: RefCell<Vec<Box<Scratch>>>,
    /// Others may need this CPU.
    is_scarce: bool,
}

#[derive(Debug)]
struct Slots {
    free: Vec<u32>,
    used: u32,
    children: Vec<Entry>,
    /// What the function of each is called.
    names: Vec<fn() -> &'static str>,
    vacant: Vec<usize>,
    /// Slots of which nobody wants the result, and what is held for their arguments.
    forsaken: Vec<(Spot, Vec<Transfer>)>,
}

impl Nest {
    /// Takes over the executor's slots from its former incarnation. What that has left in
    /// them, queued or begun by another, goes on there: it is forsaken, and its slot is
    /// free again when it has ended.
    pub(super) fn attach(
        runner: &Arc<Runner>,
        takers: &[steal::Taker],
        is_scarce: bool,
    ) -> Rc<Self> {
        let me = runner.me.0 as usize;
        let fold = &runner.fold;
        let start = fold.plan.shape.nest_start(me);
        let used = fold.nest_used(me) as u32;
        let mut slots = Slots {
            free: (used..NEST_SLOTS as u32)
                .rev()
                .map(|at| start + at)
                .collect(),
            used,
            children: Vec::new(),
            names: Vec::new(),
            vacant: Vec::new(),
            forsaken: Vec::new(),
        };
        for slot in (start..start + used).rev() {
            let word = fold.slots[slot as usize].word();
            if TaskState::of(word) == Some(TaskState::Free) {
                slots.free.push(slot);
            } else {
                let generation = word.generation;
                slots.forsaken.push((Spot { slot, generation }, Vec::new()));
            }
        }
        Rc::new(Nest {
            start,
            takers: takers.to_vec(),
            ring: RefCell::new(steal::Producer::attach(fold.nest(me))),
            slots: RefCell::new(slots),
            scratches: RefCell::default(),
            is_scarce,
            runner: Arc::clone(runner),
        })
    }

    /// Makes it the one that this thread's tasks spawn into.
    pub(super) fn belongs_here(self: &Rc<Self>) {
        NEST.with(|nest| {
            let _ = nest.set(Rc::clone(self));
        });
    }

    /// That of this thread, if it is an executor's.
    pub(super) fn here() -> Option<Rc<Self>> {
        // None also while the thread ends.
        NEST.try_with(|nest| nest.get().cloned()).ok().flatten()
    }

    pub(super) fn runner(&self) -> &Runner {
        &self.runner
    }

    fn state(&self, place: Spot) -> Option<TaskState> {
        let word = self.runner.fold.slots[place.slot as usize].word();
        TaskState::of(word).filter(|_| word.generation == place.generation)
    }

    /// Whether `tidy` would find anything.
    pub(super) fn is_untidy(&self) -> bool {
        let slots = self.slots.borrow();
        slots.forsaken.iter().any(|(spot, _)| {
            matches!(
                self.state(*spot),
                Some(TaskState::Done | TaskState::Free) | None
            )
        })
    }

    /// Frees slots that nobody wants the result of, once they are done.
    pub(super) fn tidy(&self) {
        let mut slots = self.slots.borrow_mut();
        let mut at = 0;
        while at < slots.forsaken.len() {
            let place = slots.forsaken[at].0;
            let cell = &self.runner.fold.slots[place.slot as usize];
            let is_over = match self.state(place) {
                Some(TaskState::Done) => {
                    Finished::discard(cell, SlotIndex(place.slot), &self.runner.pool);
                    cell.release(place.generation);
                    true
                }
                Some(TaskState::Queued | TaskState::Running | TaskState::Waiting) => false,
                // Freed by the host; or spoilt.
                Some(TaskState::Free | TaskState::Pending | TaskState::Finishing) | None => true,
            };
            if is_over {
                let (place, _) = slots.forsaken.swap_remove(at);
                slots.free.push(place.slot);
            } else {
                at += 1;
            }
        }
    }

    fn take_free(&self) -> Option<u32> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.free.pop()?;
        let used = slot - self.start + 1;
        if used > slots.used {
            slots.used = used;
            // ordering: Release pairs with the Acquire in `Fold::nest_used`; before
            // the slot is used, so that a rescuer looks far enough.
            self.runner
                .record()
                .status
                .nest_used
                .store(used.into(), Ordering::Release);
        }
        Some(slot)
    }

    /// A free slot, if there is one or can be made by moving what is done.
    fn free_slot(&self) -> Option<u32> {
        self.take_free().or_else(|| {
            self.tidy();
            self.move_one();
            self.take_free()
        })
    }

    /// Moves the result of one task that is done out of its slot.
    fn move_one(&self) -> bool {
        let mut slots = self.slots.borrow_mut();
        let done = slots.children.iter().position(|entry| {
            let spot = entry.spot();
            spot.is_some_and(|spot| self.state(spot) == Some(TaskState::Done))
        });
        let Some(done) = done else { return false };
        let entry = std::mem::replace(&mut slots.children[done], Entry::Vacant);
        let Some((place, holds)) = entry.into_slot() else {
            return false;
        };
        let finished = self.collect(place, &holds);
        slots.children[done] = Entry::moved(finished);
        slots.free.push(place.slot);
        true
    }

    fn collect(&self, place: Spot, holds: &[Transfer]) -> Result<Finished, TaskError> {
        let cell = &self.runner.fold.slots[place.slot as usize];
        let index = SlotIndex(place.slot);
        let finished = Finished::take(cell, index, &self.runner.pool, holds);
        cell.release(place.generation);
        finished.map_err(|what| TaskError::Corrupted {
            message: what.into(),
        })
    }

    /// Runs a spawned task on top of the one that is running.
    fn run_here(&self, hint: Hint, owner: usize) -> bool {
        let mut scratch = self.scratches.borrow_mut().pop().unwrap_or_default();
        let ran = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || {
            self.runner.run_spawned(hint, owner, &mut scratch)
        });
        self.scratches.borrow_mut().push(scratch);
        ran
    }

    /// Runs one task that some executor has spawned; false if there is none.
    ///
    /// The hint is not announced (the announcement is that of the batch below): the
    /// host issues hints for all spawned tasks that wait when an executor dies.
    fn help(&self) -> bool {
        for taker in &self.takers {
            let mut hint = [0];
            while let Ok((1, _)) = taker.take(&mut hint, false, |_| ()) {
                let hint = Hint::unpack(hint[0]);
                let owner = self.runner.fold.plan.shape.nest_owner(hint.slot);
                if owner.is_some_and(|owner| self.run_here(hint, owner)) {
                    return true;
                }
            }
        }
        false
    }

    /// Offers a queued task to the others.
    fn offer(&self, hint: Hint) {
        let fold = &self.runner.fold;
        let mut ring = self.ring.borrow_mut();
        if ring.stage(hint.pack()) != Ok(true) {
            // Full of hints that are stale: their tasks were run on the spot.
            let mut old = [0; NEST_RING];
            if let Ok((count, _)) = self.takers[0].take(&mut old, false, |_| ()) {
                let waiting = old[..count].iter().filter(|old| self.is_queued(**old));
                for old in waiting {
                    let _ = ring.stage(*old);
                }
            }
            // If it does not fit even so, the owner will find it by its word.
            let _ = ring.stage(hint.pack());
        }
        ring.publish();
        drop(ring);
        barrier::light();
        fold.wake_one(self.runner.me);
    }

    fn is_queued(&self, hint: u64) -> bool {
        let Hint { slot, generation } = Hint::unpack(hint);
        let word = self
            .runner
            .fold
            .slots
            .get(slot.at())
            .map(|slot| slot.word());
        word.is_some_and(|word| {
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == generation
        })
    }

    /// Fills a slot and offers it.
    fn enqueue(
        &self,
        slot: u32,
        head: Head,
        words: &[u64],
        holds: &mut Vec<Transfer>,
        name: fn() -> &'static str,
    ) -> usize {
        let cell = &self.runner.fold.slots[slot as usize];
        let generation = cell.word().generation;
        cell.write(head, words);
        let root = self.runner.root().map_or(0, Hint::pack);
        self.runner.fold.notes[slot as usize].set_root(root);
        cell.queue(generation);
        let place = Spot { slot, generation };
        let child = if holds.is_empty() {
            self.keep(Entry::Plain(place), name)
        } else {
            let rare = Rare::Slot(place, std::mem::take(holds));
            self.keep(Entry::Rare(Box::new(rare)), name)
        };
        self.offer(place.hint());
        child
    }

    fn keep(&self, entry: Entry, name: fn() -> &'static str) -> usize {
        let mut slots = self.slots.borrow_mut();
        match slots.vacant.pop() {
            Some(child) => {
                slots.children[child].is(entry);
                slots.names[child] = name;
                child
            }
            None => {
                slots.children.push(entry);
                slots.names.push(name);
                slots.children.len() - 1
            }
        }
    }

    /// What the function of a child is called.
    pub(super) fn name(&self, child: usize) -> fn() -> &'static str {
        self.slots.borrow().names[child]
    }

    /// Waits for a child: runs it, or others, or sleeps.
    pub(super) fn wait(&self, child: usize) -> Result<Finished, TaskError> {
        let place = self.slots.borrow().children[child].spot();
        if let Some(place) = place {
            self.wait_for(place);
        }
        let mut slots = self.slots.borrow_mut();
        slots.vacant.push(child);
        let entry = std::mem::replace(&mut slots.children[child], Entry::Vacant);
        let (place, holds) = match entry {
            Entry::Vacant => return Err(TaskError::AlreadyJoined),
            Entry::Plain(place) => (place, Vec::new()),
            Entry::Rare(rare) => match *rare {
                Rare::Moved(finished) => return finished,
                Rare::Slot(place, holds) => (place, holds),
            },
        };
        let finished = self.collect(place, &holds);
        slots.free.push(place.slot);
        finished
    }

    /// The same for a child that has nothing but a few bytes of result, which come straight
    /// from its slot to `to`; `None`: that is for [`Nest::wait`].
    #[inline]
    pub(super) fn wait_briefly(&self, child: usize, to: &mut [u64; SMALL / 8]) -> Option<usize> {
        let place = {
            let slots = self.slots.borrow();
            match slots.children[child] {
                Entry::Plain(place) => place,
                _ => return None,
            }
        };
        self.wait_for(place);
        let mut slots = self.slots.borrow_mut();
        // It may have been moved while others ran on top of us.
        matches!(slots.children[child], Entry::Plain(_)).then_some(())?;
        (self.state(place) == Some(TaskState::Done)).then_some(())?;
        let cell = &self.runner.fold.slots[place.slot as usize];
        let len = cell.value_of_at_most(SMALL)?;
        *to = cell.first_words();
        cell.release(place.generation);
        slots.children[child].is(Entry::Vacant);
        slots.vacant.push(child);
        slots.free.push(place.slot);
        Some(len)
    }

    fn wait_for(&self, place: Spot) {
        let bell = &self.runner.record().bell;
        let mut was_asleep = false;
        loop {
            match self.state(place) {
                Some(TaskState::Done) => break,
                Some(TaskState::Queued) => {
                    self.run_here(place.hint(), self.runner.me.0 as usize);
                }
                Some(TaskState::Running | TaskState::Waiting) => {
                    if self.help() || self.spin(place) {
                        continue;
                    }
                    let key = bell.prepare();
                    was_asleep = true;
                    let is_over = !matches!(
                        self.state(place),
                        Some(TaskState::Running | TaskState::Waiting)
                    );
                    if !is_over && !self.is_help_wanted() {
                        bell.wait(key, Some(Instant::now() + TRUST));
                    }
                }
                // It may have been moved while others ran on top of us. The other states are
                // none of a spawned task.
                Some(TaskState::Free | TaskState::Pending | TaskState::Finishing) | None => break,
            }
        }
        if was_asleep {
            bell.cancel();
        }
    }

    /// Others' tasks are often short: looks a little before it sleeps. True when the
    /// child has ended, or there may be something to help with.
    fn spin(&self, place: Spot) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if self.state(place) == Some(TaskState::Done) || self.is_help_wanted() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= SPIN {
                return false;
            }
            if self.is_scarce {
                std::thread::yield_now();
            }
        }
    }

    /// Whether a spawned task waits for somebody to run it.
    fn is_help_wanted(&self) -> bool {
        self.takers.iter().any(|taker| taker.backlog() > 0)
    }

    /// Nobody will ask for this child's outcome.
    pub(super) fn forsake(&self, child: usize) {
        let mut slots = self.slots.borrow_mut();
        slots.vacant.push(child);
        let entry = std::mem::replace(&mut slots.children[child], Entry::Vacant);
        slots.forsaken.extend(entry.into_slot());
    }
}

impl Nest {
    /// Queues a task of `F`, or runs it at once, or says why it cannot be run.
    pub(super) fn submit<F, A, R>(&self, args: &A) -> usize
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        match self.try_submit::<F, A, R>(args) {
            Ok(child) => child,
            Err(error) => self.keep(Entry::moved(Err(error)), std::any::type_name::<F>),
        }
    }

    #[inline]
    fn try_submit<F, A, R>(&self, args: &A) -> Result<usize, TaskError>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let name = std::any::type_name::<F>;
        let wrong = |message: String| TaskError::Arguments { message };
        let Some(FunctionId(function)) = self.runner.functions.id(entry_of::<F, A, R>()) else {
            return Err(wrong("the function is not part of the main program".into()));
        };
        let mut payload = Payload::new();
        let (encoded, mut holds) = encoding(|| payload.encode(args));
        encoded.map_err(|error| wrong(format!("they cannot be encoded: {error}")))?;
        if holds.len() > usize::from(u8::MAX) {
            return Err(wrong("more than 255 buffers in one argument".into()));
        }
        let Some(slot) = self.free_slot() else {
            // All slots are taken, by tasks on this very stack perhaps: one that is so
            // deep is run at once, without a slot.
            let finished = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || {
                self.runner
                    .run_directly(FunctionId(function), &payload, holds)
            });
            return Ok(self.keep(Entry::moved(Ok(finished)), name));
        };
        let queued = self.place(slot, function, &mut payload, &mut holds, name);
        if queued.is_err() {
            self.slots.borrow_mut().free.push(slot);
        }
        queued
    }

    /// Fills a slot and offers it; puts long arguments into a block.
    fn place(
        &self,
        slot: u32,
        function: u32,
        payload: &mut Payload,
        holds: &mut Vec<Transfer>,
        name: fn() -> &'static str,
    ) -> Result<usize, TaskError> {
        let wrong = |message: &str| TaskError::Arguments {
            message: message.into(),
        };
        let parcels = holds.len() as u8;
        for hold in holds.iter() {
            let parcel = hold.argument(&self.runner.pool);
            payload.push_parcels(&[parcel.ok_or_else(|| wrong("a buffer of elsewhere"))?]);
        }
        let place = if payload.is_inline() {
            Place::Inline(payload.len())
        } else {
            let loan = self.runner.pool.alloc(payload.len());
            let mut loan = loan.map_err(TaskError::of_arguments)?;
            loan.copy_from_slice(payload.bytes());
            let block = Transfer::of_loan(loan);
            let parcel = block.argument(&self.runner.pool);
            holds.push(block);
            let parcel = parcel.ok_or(TaskError::NotInTask)?;
            Place::Block {
                index: parcel.index,
                generation: parcel.generation,
                len: payload.len(),
            }
        };
        let head = Head {
            function,
            outcome: Outcome::None,
            parcels,
            is_labelled: false,
            place,
        };
        Ok(self.enqueue(slot, head, payload.words(), holds, name))
    }
}
