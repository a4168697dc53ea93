//! What the arguments of a task need of the pool: parcels for their buffers, a block if they
//! are long.
//!
//! A `Loan` changes hands when nobody has it besides the arguments, which shows once these are
//! dropped (`src/pool/going.rs`). `spawn`, `map` and the like drop them as
//! soon as they are encoded. `try_spawn` and `spawn_timeout` give them back if the task is
//! refused; so they take a place in the queue first, then drop them, and the task is queued
//! when that has been done:
//!
//! ```text
//!   limits, memory ─▶ a place ─▶ arguments dropped ─▶ loans parted ─▶ queued
//!        └──────────────┴──▶ refused, with arguments      └──▶ failed, in the handle
//! ```

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Refusal, TaskError};
use crate::pool::{AllocError, Handing, Loan, Transfer};
use crate::task::{Payload, Place};

use crate::scheduler::locked::Inside;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::submit::job::{Arguments, Job, Memory, NotAccepted, Prepared};
use crate::scheduler::terms::settings::Settings;
use crate::scheduler::waiting::sleepers::Awaited;

/// A place in the queue that somebody has reserved; given back when it is dropped.
#[derive(Debug)]
pub struct Seat(Option<Arc<Scheduler>>);

impl Seat {
    /// Of a place that was kept for it.
    pub(in crate::scheduler) fn new(scheduler: Arc<Scheduler>) -> Self {
        Seat(Some(scheduler))
    }

    /// In whose queue it is.
    pub fn scheduler(&self) -> Option<&Arc<Scheduler>> {
        self.0.as_ref()
    }

    fn keep(mut self, scheduler: &Scheduler) -> Kept<'_> {
        self.0 = None;
        Kept(scheduler)
    }

    /// The lock, with that place.
    pub(in crate::scheduler) fn into_room(self, scheduler: &Scheduler) -> Inside<'_> {
        self.keep(scheduler).into_room()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(scheduler) = self.0.take() {
            drop(Kept(&scheduler));
        }
    }
}

/// A place in the queue that is kept for a task; given back when it is dropped.
struct Kept<'a>(&'a Scheduler);

impl<'a> Kept<'a> {
    /// One of the free places. There is one.
    fn take(scheduler: &'a Scheduler, mut state: Inside<'_>) -> Self {
        state.slots.keep();
        drop(state);
        Kept(scheduler)
    }

    /// It is the next to be taken.
    fn give_back(&self) -> Inside<'a> {
        let mut state = self.0.lock();
        state.slots.give_back();
        state
    }

    /// The lock, with that place.
    fn into_room(self) -> Inside<'a> {
        let state = self.give_back();
        std::mem::forget(self);
        state
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let mut state = self.give_back();
        self.0.admit(&mut state);
        state.unpark_all();
        drop(state);
        self.0.fold.host_bell.force();
    }
}

impl Scheduler {
    /// As [`Scheduler::submit`], of a job that was encoded from arguments which the caller
    /// still has. `let_go` drops them, and is called, without the lock, once nothing can
    /// refuse the task any more.
    pub fn submit_keeping(
        &self,
        job: &mut Job,
        deadline: Option<Instant>,
        let_go: impl FnOnce(),
    ) -> Result<Ticket, NotAccepted> {
        if !job.buffers.iter().any(Transfer::is_loan) {
            return self.submit(job, deadline);
        }
        let prepared = self.prepare(job, Memory::By(deadline), Arguments::Kept)?;
        let kept = Kept::take(self, self.room(deadline)?);
        self.submit_kept(kept, prepared, deadline, let_go)
    }

    /// A place in the queue; waits for one until `deadline`.
    pub fn seat(self: &Arc<Self>, deadline: Instant) -> Result<Seat, Refusal> {
        match self.room(Some(deadline)) {
            Ok(state) => {
                std::mem::forget(Kept::take(self, state));
                Ok(Seat::new(Arc::clone(self)))
            }
            Err(NotAccepted::Refused(refusal)) => Err(refusal),
            Err(NotAccepted::Failed(_)) => Err(Refusal::Shutdown),
        }
    }

    /// The same with a place that was reserved: never waits.
    pub fn submit_seated(
        &self,
        seat: Seat,
        job: &mut Job,
        let_go: impl FnOnce(),
    ) -> Result<Ticket, NotAccepted> {
        let now = Some(Instant::now());
        let kept = seat.keep(self);
        let prepared = self.prepare(job, Memory::By(now), Arguments::Kept)?;
        self.submit_kept(kept, prepared, now, let_go)
    }

    fn submit_kept(
        &self,
        kept: Kept<'_>,
        mut prepared: Prepared,
        deadline: Option<Instant>,
        let_go: impl FnOnce(),
    ) -> Result<Ticket, NotAccepted> {
        // Later nothing can refuse it that leaves the arguments to the caller.
        if let Some(refusal) = self.refusal(&self.lock()) {
            return Err(refusal.into());
        }
        let_go();
        self.part_prepared(&mut prepared, deadline)
            .map_err(|why| self.without_arguments(why))?;
        let mut state = kept.into_room();
        match state.door.refusal() {
            None => {
                let ticket = self.enqueue(&mut state, prepared);
                self.publish(&mut state);
                self.reap_meanwhile(&mut state);
                Ok(ticket)
            }
            Some(Refusal::Rebuilding) => {
                drop(state);
                let label = prepared.extra.as_ref().and_then(|e| e.label.as_deref());
                Ok(self.stillborn(prepared.name, label))
            }
            Some(refusal) => {
                drop(state);
                Err(self.without_arguments(refusal.into()))
            }
        }
    }

    /// Parts the loans among its holds from those that others have; says so in its parcels.
    fn part_prepared(
        &self,
        prepared: &mut Prepared,
        deadline: Option<Instant>,
    ) -> Result<(), NotAccepted> {
        let count = usize::from(prepared.head.parcels);
        let Some(extra) = &mut prepared.extra else {
            return Ok(());
        };
        let (buffers, long) = extra.holds.split_at_mut(count);
        if !self.part(buffers, Memory::By(deadline))? {
            return Ok(());
        }
        let mut parcels = Payload::new();
        for parcel in self.pool.arguments(buffers, extra.ends.as_ref()) {
            parcels.push_parcels(parcel.as_slice());
        }
        let bytes = parcels.bytes();
        let end = match prepared.head.place {
            Place::Inline(len) | Place::Block { len, .. } => len,
        };
        let at = end.saturating_sub(bytes.len());
        let is_written = match (prepared.head.place, long) {
            (Place::Block { .. }, [block]) => block.write(at, bytes),
            (Place::Inline(_), _) => {
                let all: &mut [u8] = bytemuck::cast_slice_mut(&mut prepared.words);
                let place = all.get_mut(at..end);
                place.map(|place| place.copy_from_slice(bytes)).is_some()
            }
            _ => false,
        };
        debug_assert!(is_written, "they were there before");
        Ok(())
    }

    /// The arguments that these were among are gone: gives loans that others have as well
    /// copies of their own. Whether there were any.
    #[cold]
    pub(in crate::scheduler) fn part(
        &self,
        buffers: &mut [Transfer],
        memory: Memory,
    ) -> Result<bool, NotAccepted> {
        let mut any = false;
        for buffer in buffers {
            any |= buffer.part(|len| self.alloc_by(len, memory))?;
        }
        Ok(any)
    }

    /// Why its buffers cannot be arguments of the job, if they cannot.
    #[cold]
    pub(in crate::scheduler) fn check_buffers(&self, job: &Job) -> Result<(), TaskError> {
        let wrong = |message: &str| TaskError::arguments(message);
        let settings = job.settings.as_deref();
        let is_repeated = settings.is_some_and(Settings::is_repeated);
        if job.buffers.len() > usize::from(u8::MAX) {
            return Err(wrong("more than 255 buffers in one argument"));
        }
        if is_repeated && job.buffers.iter().any(Transfer::is_loan) {
            return Err(wrong(
                "a `Loan` cannot be an argument of a task that may be repeated: a worker that dies may leave it half written; publish it, and pass the `Shared`",
            ));
        }
        if !job
            .buffers
            .iter()
            .all(|buffer| buffer.is_of_pool(&self.pool))
        {
            return Err(wrong("a buffer or an end of a channel of another runtime"));
        }
        let refused = job.buffers.iter().find_map(Transfer::refusal);
        refused.map_or(Ok(()), |why| Err(wrong(why)))
    }

    /// Puts a parcel for each buffer behind the arguments; returns what keeps the ends among them.
    #[cold]
    pub(in crate::scheduler) fn add_parcels(&self, job: &mut Job) -> Option<Handing> {
        let is_repeated = job.settings.as_deref().is_some_and(Settings::is_repeated);
        let ends = Handing::of(&job.buffers, &self.pool, is_repeated);
        for parcel in self.pool.arguments(&job.buffers, ends.as_ref()) {
            job.payload.push_parcels(parcel.as_slice());
        }
        ends
    }

    /// Puts long arguments into a block, which is held with the buffers among them.
    #[cold]
    pub(in crate::scheduler) fn place_long(
        &self,
        payload: &mut Payload,
        holds: &mut Vec<Transfer>,
        memory: Memory,
    ) -> Result<Place, NotAccepted> {
        let loan = match payload.take_block(&self.pool) {
            Some(loan) => loan,
            None => {
                let bytes = payload.bytes();
                let mut loan = self.alloc_by(bytes.len(), memory)?;
                loan.copy_from_slice(bytes);
                loan
            }
        };
        let len = loan.len();
        let transfer = Transfer::of_loan(loan);
        let parcel = transfer
            .argument(&self.pool)
            .ok_or(NotAccepted::Failed(TaskError::shutdown()))?;
        holds.push(transfer);
        Ok(Place::Block {
            index: parcel.index,
            generation: parcel.generation,
            len,
        })
    }

    /// Memory for arguments; waits for it as `memory` says.
    fn alloc_by(&self, bytes: usize, memory: Memory) -> Result<Loan, NotAccepted> {
        let failed = |error| NotAccepted::Failed(TaskError::of_arguments(error));
        let none = || NotAccepted::Refused(Refusal::OutOfMemory { bytes });
        match self.pool.alloc(bytes) {
            Err(AllocError::Exhausted { .. }) => {}
            outcome => return outcome.map_err(failed),
        }
        let Memory::By(deadline) = memory else {
            return Err(none());
        };
        let _waiting = self.pool.wait_for_memory();
        loop {
            let freed = self.pool.freed();
            let error = match self.pool.alloc(bytes) {
                Ok(loan) => return Ok(loan),
                Err(error @ AllocError::Exhausted { .. }) => error,
                Err(error) => return Err(failed(error)),
            };
            let mut state = self.lock();
            if let Some(refusal) = self.refusal(&state) {
                return Err(refusal.into());
            }
            self.publish(&mut state);
            // So their ends are told here, too.
            self.register_all(&mut state);
            let ended = self.reap(&mut state);
            if ended == 0 && !self.may_any_end(&state) {
                drop(state);
                // Nothing in flight will ever free any. What another thread has collected since
                // the look above was freed before the lock was taken.
                return match self.pool.alloc(bytes) {
                    Err(AllocError::Exhausted { .. }) if deadline.is_some() => Err(none()),
                    Err(AllocError::Exhausted { .. }) => Err(failed(error)),
                    outcome => outcome.map_err(failed),
                };
            }
            let before = state.ended();
            drop(state);
            let wait = || {
                self.wait_until(Awaited::Memory, deadline, |state| {
                    self.refusal(state).is_some()
                        || state.ended() != before
                        || self.pool.freed() != freed
                })
            };
            if ended == 0 && !wait() {
                return Err(none());
            }
        }
    }

    /// A buffer for the host; collects if there is no room.
    pub fn alloc(&self, len: usize) -> Result<Loan, AllocError> {
        match self.pool.alloc(len) {
            Err(AllocError::Exhausted { .. }) => {
                self.collect_everything(&mut self.lock());
                self.pool.alloc(len)
            }
            outcome => outcome,
        }
    }

    /// Wakes those that wait for memory, if some was freed; collects, if a task has asked for
    /// it.
    #[inline]
    pub(in crate::scheduler) fn see_to_memory(&self, state: &mut State) {
        let freed = self.pool.freed();
        if state.waiting.note_freed(freed) {
            state
                .waiting
                .wake(|awaited| matches!(awaited, Awaited::Memory));
        }
        let asks = self.pool.asks();
        if state.waiting.note_asked(asks) {
            self.collect_for_others(state, asks);
        }
    }

    #[cold]
    fn collect_for_others(&self, state: &mut State, asks: u32) {
        // What is freed by it is for all processes.
        let waiting = self.pool.wait_for_memory();
        self.collect_everything(state);
        drop(waiting);
        self.pool.answer(asks);
    }

    /// What has ended anywhere is collected: that frees memory.
    #[cold]
    fn collect_everything(&self, state: &mut State) {
        self.register_all(state);
        self.reap(state);
        self.collect_all(state);
    }

    /// What becomes of a task that is not accepted when its arguments are gone.
    #[cold]
    fn without_arguments(&self, why: NotAccepted) -> NotAccepted {
        match why {
            NotAccepted::Refused(Refusal::Shutdown) => NotAccepted::Failed(TaskError::shutdown()),
            NotAccepted::Refused(Refusal::NoWorkers) => NotAccepted::Failed(self.no_workers()),
            NotAccepted::Refused(refusal) => {
                NotAccepted::Failed(TaskError::out_of_memory(refusal.to_string()))
            }
            failed => failed,
        }
    }
}
