//! Spawning from inside a task, and running the child on the spot.
//!
//! Nearly every child is spawned, not stolen by anybody, and run by its parent in `join`. That takes these
//! steps, all in cache lines that only this CPU has used:
//!
//! | step | lines written | locked |
//! | --- | --- | --- |
//! | spawn | slot (arguments, word), note (root, parent), what the owner knows of it, ring (word, tail) | – |
//! | join | slot (word), the record (which task is on top) | the claim |
//! | | slot (word: free), what the owner knows of it | – |
//!
//! The result of such a child is never in the slot: the joining task runs it, and only that task could ask for
//! the result. All other children (with more than a few bytes, say, or begun by others) go the way of all
//! tasks (`nest.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::pool::{Handing, Transfer};
use crate::prim::Hint;
use crate::prim::atomic::Ordering;
use crate::task::{
    Call, Entry, FunctionId, Head, INLINE_LEN, Outcome, Payload, Place, Room, Slot, TaskState,
    drop_refused, encode_with_buffers, entry_of, untold,
};

use super::nest::Nest;
use super::own::Held;
use super::runner::set_apart;

impl Nest {
    /// Queues a task of `F`, or runs it at once, or says why it cannot be run; what `child`
    /// makes of that is there before the arguments are dropped.
    #[inline]
    pub(super) fn submit<F, A, R, C>(&self, args: A, child: impl FnOnce(Hint) -> C) -> C
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let entry = entry_of::<F, A, R>();
        let mut payload = Payload::new();
        let pool = || Some(self.runner.pool.clone());
        let (encoded, holds) = encode_with_buffers(&args, &mut payload, Room::Pool(&pool));
        if encoded.is_ok() && holds.is_empty() && payload.is_plain() {
            return child(self.queue_plain(entry, &mut payload));
        }
        let encoded = encoded.map_err(|fault| untold::<A>(&fault));
        // Then it shows whether others have the loans among them.
        match &encoded {
            Ok(()) => drop(args),
            Err(words) => drop_refused(args, words),
        }
        child(self.queue_any(entry, encoded, &mut payload, holds))
    }

    /// A task with nothing but a few bytes of arguments.
    #[inline(never)]
    fn queue_plain(&self, entry: Entry, payload: &mut Payload) -> Hint {
        if let Some(FunctionId(function)) = self.runner.functions.id(entry)
            && let Some(place) = self.free_slot()
        {
            let write = |cell: &Slot| cell.write_plain(function, payload.len(), payload.words());
            return self.queue(place, entry, write);
        }
        self.queue_any(entry, Ok(()), payload, Vec::new())
    }

    /// Fills a slot and offers it.
    #[inline(always)]
    fn queue(&self, place: usize, entry: Entry, write: impl FnOnce(&Slot)) -> Hint {
        let cell = &self.cells[place];
        let child = self.child_at(place);
        self.owns.entries[place].set(Some(entry));
        write(cell);
        let (root, parent) = self.kin();
        self.notes[place].set_kin(root, parent);
        if self.spawns_with_kin.get() {
            self.notes[place].await_kin(child.generation);
        }
        cell.queue(child.generation);
        self.offer(child, parent);
        child
    }

    /// The hints of the host's task that what runs here is part of, and of what runs; not
    /// checked.
    #[inline]
    fn kin(&self) -> (u64, u64) {
        // Relaxed: this thread's own word.
        let top = self.doing.top.load(Ordering::Relaxed);
        let root = self.root_above(top);
        (root, if top == 0 { root } else { top })
    }

    /// The hint of the host's task that what runs here is part of, `top` being on top of the
    /// stack; not checked.
    #[inline]
    fn root_above(&self, top: u64) -> u64 {
        match top {
            // Relaxed: this thread's own word.
            0 => self.doing.current.load(Ordering::Relaxed),
            _ => self.runner.root(),
        }
    }

    /// Any task, and what is done if it cannot be queued.
    #[cold]
    #[inline(never)]
    fn queue_any(
        &self,
        entry: Entry,
        encoded: Result<(), String>,
        payload: &mut Payload,
        holds: Vec<Transfer>,
    ) -> Hint {
        self.try_queue(entry, encoded, payload, holds)
            .unwrap_or_else(|error| self.put_aside(entry, Err(error)))
    }

    fn try_queue(
        &self,
        entry: Entry,
        encoded: Result<(), String>,
        payload: &mut Payload,
        mut holds: Vec<Transfer>,
    ) -> Result<Hint, TaskError> {
        let wrong = |message: String| TaskError::arguments(message);
        let Some(FunctionId(function)) = self.runner.functions.id(entry) else {
            return Err(wrong("the function is not part of the main program".into()));
        };
        encoded.map_err(wrong)?;
        if holds.len() > usize::from(u8::MAX) {
            return Err(wrong("more than 255 buffers in one argument".into()));
        }
        if let Some(why) = holds.iter().find_map(Transfer::refusal) {
            return Err(wrong(why.into()));
        }
        let Some(place) = self.free_slot() else {
            let (_, parent) = self.kin();
            if self.runner.is_cancelled(Hint::unpack(parent)) {
                return Err(TaskError::cancelled());
            }
            // All slots are taken, by tasks on this very stack perhaps: one that is so
            // deep is run at once, without a slot.
            let finished = self.stack.with_enough(|| {
                self.runner
                    .run_directly(FunctionId(function), payload, holds)
            });
            return Ok(self.put_aside(entry, Ok(finished)));
        };
        let packed = self.pack(function, payload, &mut holds);
        let (head, ends) = packed.inspect_err(|_| self.owns.put_back(place))?;
        holds.iter_mut().for_each(Transfer::accepted);
        self.owns.hold(place, Held::new(holds, ends));
        Ok(self.queue(place, entry, |cell| cell.write(head, payload.words())))
    }

    /// Puts long arguments into a block, and parcels behind them; says what keeps the ends among
    /// them, too.
    fn pack(
        &self,
        function: u32,
        payload: &mut Payload,
        holds: &mut Vec<Transfer>,
    ) -> Result<(Head, Option<Handing>), TaskError> {
        let wrong = |message: &str| TaskError::arguments(message);
        let mut head = Head::of_arguments(function, 0);
        head.outcome = Outcome::of_arguments(payload.is_marked());
        head.parcels = holds.len() as u8;
        for hold in holds.iter_mut() {
            let copy = |len| self.runner.pool.alloc(len).map_err(TaskError::of_arguments);
            hold.part(copy)?;
        }
        let ends = Handing::of(holds, &self.runner.pool, false);
        for parcel in self.runner.pool.arguments(holds, ends.as_ref()) {
            payload.push_parcels(&[parcel.ok_or_else(|| wrong("a buffer of elsewhere"))?]);
        }
        head.place = if payload.is_inline() {
            Place::Inline(payload.len())
        } else {
            let loan = match payload.take_block(&self.runner.pool) {
                Some(loan) => loan,
                None => {
                    let loan = self.runner.pool.alloc(payload.len());
                    let mut loan = loan.map_err(TaskError::of_arguments)?;
                    loan.copy_from_slice(payload.bytes());
                    loan
                }
            };
            let len = loan.len();
            let block = Transfer::of_loan(loan);
            let parcel = block.argument(&self.runner.pool);
            holds.push(block);
            let parcel = parcel.ok_or(TaskError::NotInTask)?;
            Place::Block {
                index: parcel.index,
                generation: parcel.generation,
                len,
            }
        };
        Ok((head, ends))
    }

    /// Runs a child that nobody has begun, and that has nothing but a few bytes of
    /// arguments, on top of the task that waits for it; leaves its value, or what there is
    /// to say, in `result`, and the buffers of the value in `buffers`. `None`: this is for
    /// [`Nest::wait`].
    #[inline(never)]
    pub(super) fn run_own(
        &self,
        child: Hint,
        result: &mut Payload,
        buffers: &mut Vec<Transfer>,
    ) -> Option<Outcome> {
        let runner = self.runner;
        let place = self.place(child)?;
        let cell = &self.cells[place];
        // A claim that fails would take the line away from whoever runs it.
        let is_queued = TaskState::of(cell.word()) == Some(TaskState::Queued);
        is_queued.then_some(())?;
        let len = cell.plain_arguments()?;
        // Relaxed: this thread's own words, as in `Runner::run_spawned`.
        let below = self.doing.top.load(Ordering::Relaxed);
        let root = self.root_above(below);
        // Another task than the one that has spawned it may have got hold of it.
        let is_usual = self.owns.is_of(place, child.generation)
            && self.notes[place].root_word() == root
            && self.stack.is_known_to_suffice()
            && runner.is_as_usual(child);
        let entry = self.owns.entries[place].get().filter(|_| is_usual)?;
        cell.claim(runner.me, child.generation).then_some(())?;
        let words: [u64; INLINE_LEN / 8] = cell.first_words();
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let mut incoming = Vec::new();
        let mut call = Call {
            arguments: &bytes[..len],
            is_marked: false,
            incoming: &mut incoming,
            result,
            pool: Some(&runner.pool),
            outgoing: buffers,
        };
        if below == 0 {
            runner.set_root(root);
        }
        let top = &self.doing.top;
        top.store(child.pack(), Ordering::Relaxed);
        let outcome = runner.enter(entry.run(), &mut call);
        top.store(below, Ordering::Relaxed);
        self.free(place, child.generation);
        let outcome = set_apart(outcome, call.result, call.outgoing);
        // Nothing came, and to look for what is to be dropped takes its time.
        std::mem::forget(incoming);
        Some(outcome)
    }
}
