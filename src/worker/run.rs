//! Running what was found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::pool::{AllocError, Parcel, Transfer};
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, SlotIndex};
use crate::sys::barrier;
use crate::task::{Call, FunctionId, Head, Outcome, Payload, Place, split_parcels};

use super::executor::Executor;
use super::panics;

/// How many slots ahead lines are asked for.
const AHEAD: usize = 16;

impl Executor {
    /// Claims and runs the first `count` of `self.hints`.
    pub(super) fn run_batch(&mut self, count: usize) {
        let start = Instant::now();
        let mut ran = 0;
        for position in 0..count.min(AHEAD) {
            self.ask_for(position);
        }
        for position in 0..count {
            if position + AHEAD < count {
                self.ask_for(position + AHEAD);
            }
            let hint = Hint::unpack(self.hints[position]);
            if self.run_one(hint) {
                ran += 1;
                // Whoever waits gets each result at once; else one look a batch.
                if position + 1 < count {
                    barrier::light();
                    if self.fold.host_bell.is_awaited() {
                        self.publish();
                    }
                }
            }
        }
        self.publish();
        self.record().announce_nothing();
        self.measure(start, ran, count);
    }

    /// Has the slot of a later hint brought here meanwhile.
    #[inline]
    fn ask_for(&self, position: usize) {
        let hint = Hint::unpack(self.hints[position]);
        if let Some(slot) = self.fold.slots.get(hint.slot.at()) {
            crate::sys::prefetch_for_write(slot);
        }
    }

    fn measure(&mut self, start: Instant, ran: u64, count: usize) {
        let status = &self.fold.executors[self.me.0 as usize].status;
        // Relaxed: here and below, counters with one writer, read as hints.
        let add = |to: &crate::prim::atomic::AtomicU64, n: u64| {
            to.store(to.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        };
        if ran < count as u64 {
            add(&status.stale, count as u64 - ran);
        }
        if ran == 0 {
            return;
        }
        add(&status.run, ran);
        let grain = (start.elapsed().as_nanos() as u64 / ran).max(1);
        // Slower at once, faster by and by: taking too many is worse than too few.
        self.grain_ns = match self.grain_ns {
            0 => grain,
            old if grain > old => (old + grain) / 2,
            old => (3 * old + grain) / 4,
        };
        status.grain_ns.store(self.grain_ns, Ordering::Relaxed);
    }

    /// Shows what is finished, and wakes who waits for it.
    fn publish(&mut self) {
        self.completions.publish();
        // The host, before it sleeps, passes the heavy barrier.
        barrier::light();
        self.fold.host_bell.ring();
    }

    #[inline]
    fn run_one(&mut self, hint: Hint) -> bool {
        let index = hint.slot.at();
        let Some(slot) = self.fold.slots.get(index) else {
            return false;
        };
        // Relaxed: the claim (Release) orders it before the word that names us.
        let current = &self.record().status.current;
        current.store(hint.pack(), Ordering::Relaxed);
        if !slot.claim(self.me, hint.generation) {
            return false;
        }
        self.payload.clear();
        self.arguments.clear();
        let (function, outcome, outgoing) = self.call(index);
        let head = self.settle(hint.slot, function, outcome, outgoing);
        let slot = &self.fold.slots[index];
        slot.write(head, self.payload.words());
        slot.finish(self.me, hint.generation);
        if !self.completions.stage(hint.pack()) {
            // No room for the hint: the word is Done all the same, and the host
            // is told to look at all words.
            let overflows = &self.record().status.overflows;
            // ordering: Release pairs with the host's Acquire when it compares.
            overflows.store(overflows.load(Ordering::Relaxed) + 1, Ordering::Release);
        }
        true
    }

    /// Runs the task in a claimed slot; the result is left in `self.payload`.
    #[inline]
    fn call(&mut self, index: usize) -> (u32, Outcome, Vec<Transfer>) {
        let Executor {
            fold,
            pool,
            functions,
            payload,
            arguments,
            ..
        } = self;
        let Some((head, words)) = fold.slots[index].read() else {
            return refuse(payload, 0, "the task's slot is damaged");
        };
        let function = head.function;
        let Some(entry) = functions.entry(FunctionId(function)) else {
            return refuse(
                payload,
                function,
                "the task's function is none of the program's",
            );
        };
        let inline;
        let bytes: &[u8] = match head.place {
            Place::Inline(len) => {
                inline = Payload::from_words(words, len);
                inline.bytes()
            }
            Place::Block {
                index,
                generation,
                len,
            } => match pool.argument_bytes(index, generation, len) {
                Some(bytes) => bytes,
                None => return refuse(payload, function, "the task's arguments are gone"),
            },
        };
        let mut incoming = Vec::new();
        let mut value = bytes;
        if head.parcels > 0 {
            let Some((before, parcels)) = split_parcels(bytes, head.parcels) else {
                return refuse(payload, function, "the task's parcels are damaged");
            };
            let accepted: Option<Vec<_>> =
                parcels.iter().map(|p| pool.accept_argument(p)).collect();
            let Some(accepted) = accepted else {
                return refuse(payload, function, "a buffer among the arguments is gone");
            };
            *arguments = parcels;
            incoming = accepted;
            value = before;
        }
        let mut call = Call {
            arguments: value,
            incoming,
            result: payload,
            outgoing: Vec::new(),
        };
        match catch_unwind(AssertUnwindSafe(|| entry(&mut call))) {
            Ok(outcome) => (function, outcome, call.outgoing),
            Err(panic) => {
                // A panic value whose drop panics again is left alone.
                std::mem::forget(panic);
                fold.executors[self.me.0 as usize].last_words.clear();
                note_panic(payload);
                (function, Outcome::Panicked, Vec::new())
            }
        }
    }

    /// Hands buffers over to the result, and moves a long result into a block.
    #[inline]
    fn settle(
        &mut self,
        slot: SlotIndex,
        function: u32,
        outcome: Outcome,
        outgoing: Vec<Transfer>,
    ) -> Head {
        let mut head = Head {
            function,
            outcome,
            parcels: 0,
            place: Place::Inline(self.payload.len()),
        };
        if outgoing.is_empty() && self.payload.is_inline() {
            return head;
        }
        if let Err(error) = self.move_out(slot, outgoing, &mut head) {
            self.payload.clear();
            self.payload.extend(error.to_string().as_bytes());
            // The message itself must fit into the slot now.
            let end = self.payload.len().min(crate::task::INLINE_LEN);
            let short = self.payload.bytes()[..end].to_vec();
            self.payload = Payload::from_vec(short);
            head.outcome = Outcome::NoMemory;
            head.parcels = 0;
            head.place = Place::Inline(self.payload.len());
        }
        head
    }

    #[cold]
    fn move_out(
        &mut self,
        slot: SlotIndex,
        outgoing: Vec<Transfer>,
        head: &mut Head,
    ) -> Result<(), AllocError> {
        if outgoing.len() > usize::from(u8::MAX) {
            return Err(AllocError::TooLarge {
                requested: outgoing.len(),
                capacity: u8::MAX.into(),
            });
        }
        let mut parcels: Vec<Parcel> = Vec::with_capacity(outgoing.len());
        for transfer in outgoing {
            match transfer.into_result(slot, &self.arguments) {
                Ok(parcel) => parcels.push(parcel),
                Err(error) => {
                    self.take_back(slot, &parcels);
                    return Err(error);
                }
            }
        }
        head.parcels = parcels.len() as u8;
        self.payload.push_parcels(&parcels);
        head.place = if self.payload.is_inline() {
            Place::Inline(self.payload.len())
        } else {
            let carried = self.pool.alloc(self.payload.len()).and_then(|mut loan| {
                loan.copy_from_slice(self.payload.bytes());
                Transfer::of_loan(loan).into_result(slot, &[])
            });
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

/// The host wrote nothing of the kind: memory is damaged.
#[cold]
fn refuse(payload: &mut Payload, function: u32, why: &str) -> (u32, Outcome, Vec<Transfer>) {
    payload.clear();
    payload.extend(why.as_bytes());
    (function, Outcome::Damaged, Vec::new())
}

#[cold]
fn note_panic(payload: &mut Payload) {
    let said = panics::take();
    let said = said.map(|s| (s.message, s.location)).unwrap_or_default();
    payload.clear();
    if payload.encode(&said).is_err() {
        payload.clear();
    }
}
