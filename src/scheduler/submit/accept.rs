//! Accepting tasks.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Refusal, TaskError};
use crate::pool::Handing;
use crate::prim::{Hint, SlotIndex};
use crate::sys::clock;
use crate::task::{FunctionId, Head, Label, Outcome, Payload, Place};

use crate::scheduler::locked::Inside;
use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::slots::inflight::{Again, Extra};
use crate::scheduler::state::State;
use crate::scheduler::submit::job::{Arguments, Job, Memory, NotAccepted, Prepared};
use crate::scheduler::terms::limit::{Needs, Permit};
use crate::scheduler::terms::timing::{Deadline, Timing};
use crate::scheduler::time::timers::Due;
use crate::scheduler::waiting::sleepers::Awaited;

impl Scheduler {
    /// Whether a task would be accepted now; collects first if that makes room.
    pub fn try_reserve(&self) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.slots.is_full() {
            self.reap(&mut state);
        }
        match self.refusal(&state) {
            Some(refusal) => Err(refusal),
            None if state.slots.is_full() => Err(self.full()),
            None => Ok(()),
        }
    }

    fn full(&self) -> Refusal {
        Refusal::Full {
            capacity: self.capacity,
        }
    }

    /// A task was not accepted, for whatever reason, and whoever submitted it is told.
    #[cold]
    pub fn count_refusal(&self) {
        self.lock().tally.note_refused();
    }

    /// Takes shares of all limits, or of none; waits until there is enough of each, until
    /// `deadline`, or without end if there is none. Whoever waits holds nothing.
    pub fn take(&self, needs: &Needs, deadline: Option<Instant>) -> Result<Vec<Permit>, Refusal> {
        let mut refusal = match needs.try_take() {
            Ok(permits) => return Ok(permits),
            Err(refusal) if needs.is_ever_met() => refusal,
            Err(refusal) => return Err(refusal),
        };
        let taken = Cell::new(None);
        let closed = Cell::new(None);
        self.wait_until(Awaited::Any, deadline, |state| {
            closed.set(state.door.refusal());
            if !state.door.is_open() {
                return true;
            }
            // A look after one that has met: the shares are there.
            let outcome = match taken.take() {
                Some(Ok(permits)) => Ok(permits),
                _ => needs.try_take(),
            };
            let is_met = outcome.is_ok();
            taken.set(Some(outcome));
            is_met
        });
        match taken.into_inner() {
            Some(Ok(permits)) => return Ok(permits),
            Some(Err(latest)) => refusal = latest,
            None => {}
        }
        Err(closed.get().unwrap_or(refusal))
    }

    /// Something that threads may wait for has changed besides tasks that end (shares of limits
    /// were given back by one that was not accepted, say): all look again.
    #[cold]
    pub fn note_given_back(&self) {
        let mut state = self.lock();
        if state.guests.any() {
            self.admit(&mut state);
        }
        state.unpark_all();
        drop(state);
        self.fold.host_bell.force();
    }

    /// Submits one task; waits for room (in the queue, or in the pool for long
    /// arguments) until `deadline`, or without end if there is none. If there are loans in the
    /// job, the arguments that it was encoded from are gone; else there is
    /// [`Scheduler::submit_keeping`].
    #[inline]
    pub fn submit(&self, job: &mut Job, deadline: Option<Instant>) -> Result<Ticket, NotAccepted> {
        let prepared = self.prepare(job, Memory::By(deadline), Arguments::Gone)?;
        let mut state = self.room(deadline)?;
        let ticket = self.enqueue(&mut state, prepared);
        self.publish(&mut state);
        self.reap_meanwhile(&mut state);
        Ok(ticket)
    }

    /// Submits one of several tasks, whose job's memory is used again. Waits for room as
    /// [`Scheduler::submit`].
    #[inline(never)]
    pub fn submit_next(&self, job: &mut Job) -> Result<Ticket, NotAccepted> {
        if job.is_plain()
            && let Some(ticket) = self.submit_plain(job.function, &job.payload, job.name)
        {
            return Ok(ticket);
        }
        self.submit_next_slowly(job)
    }

    #[cold]
    fn submit_next_slowly(&self, job: &mut Job) -> Result<Ticket, NotAccepted> {
        let prepared = self.prepare(job, Memory::By(None), Arguments::Gone)?;
        match self.room(None) {
            Ok(mut state) => {
                let ticket = self.enqueue(&mut state, prepared);
                self.publish(&mut state);
                Ok(ticket)
            }
            // The fold was found damaged just now: what was on its way into it shares
            // the fate of what is in it.
            Err(NotAccepted::Refused(Refusal::Rebuilding)) => {
                drop(prepared);
                Ok(self.stillborn(job.name, job.label()))
            }
            Err(error) => Err(error),
        }
    }

    /// A ticket that has ended already.
    #[cold]
    pub fn stillborn(&self, name: fn() -> &'static str, label: Option<&Label>) -> Ticket {
        let message = "the segment was found damaged before the task was queued";
        let mut state = self.lock();
        state.tally.note_submitted();
        state.tally.note_failed();
        drop(state);
        let mut error = TaskError::corrupted(message);
        error.tell_of(name(), label, None);
        self.ended(name, Arc::new(Err(Box::new(error))))
    }

    /// The lock, with a free slot.
    #[inline]
    pub(in crate::scheduler) fn room(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Inside<'_>, NotAccepted> {
        let state = self.lock();
        if state.door.is_open() && !state.slots.is_full() {
            return Ok(state);
        }
        self.wait_with(state, deadline)
    }

    #[cold]
    fn wait_with<'a>(
        &'a self,
        mut state: Inside<'a>,
        deadline: Option<Instant>,
    ) -> Result<Inside<'a>, NotAccepted> {
        loop {
            if let Some(refusal) = self.refusal(&state) {
                return Err(refusal.into());
            }
            if !state.slots.is_full() {
                return Ok(state);
            }
            // What this thread has enqueued but not published must run, or no room
            // ever comes.
            self.publish(&mut state);
            self.reap(&mut state);
            if !state.slots.is_full() {
                return Ok(state);
            }
            if state.guests.want_places() {
                state = self.wait_in_line(state, deadline)?;
                continue;
            }
            drop(state);
            if !self.wait_for_room(deadline) {
                return Err(self.full().into());
            }
            state = self.lock();
        }
    }

    /// Stands in line behind those that wait without a thread. If it was granted a place that
    /// is free, and the next to be taken.
    fn wait_in_line<'a>(
        &'a self,
        mut state: Inside<'a>,
        deadline: Option<Instant>,
    ) -> Result<Inside<'a>, NotAccepted> {
        let number = state.guests.queue_up(None);
        drop(state);
        self.wait_until(Awaited::Any, deadline, |state| {
            state.guests.is_granted(number)
        });
        let mut state = self.lock();
        match state.guests.leave(number) {
            (Some(Ok(())), _) => state.slots.give_back(),
            (Some(Err(_)), _) => {} // as is seen in a moment
            (None, _) => return Err(self.full().into()),
        }
        Ok(state)
    }

    /// Everything that needs no lock: long arguments go into a block, for which it waits as
    /// `memory` says. If it is refused the job is as it was.
    #[inline]
    pub(in crate::scheduler) fn prepare(
        &self,
        job: &mut Job,
        memory: Memory,
        arguments: Arguments,
    ) -> Result<Prepared, NotAccepted> {
        let (len, is_marked) = (job.payload.len(), job.payload.is_marked());
        let parcels = job.buffers.len() as u8;
        let mut ends = None;
        if !job.buffers.is_empty() {
            self.check_buffers(job).map_err(NotAccepted::Failed)?;
            if arguments == Arguments::Gone {
                self.part(&mut job.buffers, memory)?;
            }
            ends = self.add_parcels(job);
        }
        let place = if job.payload.is_inline() {
            Place::Inline(job.payload.len())
        } else {
            let placed = self.place_long(&mut job.payload, &mut job.buffers, memory);
            placed.inspect_err(|_| job.payload.truncate(len))?
        };
        let head = Head {
            function: job.function.0,
            outcome: Outcome::of_arguments(is_marked),
            parcels,
            is_labelled: job.settings.as_ref().is_some_and(|s| s.label.is_some()),
            is_timed: job.settings.as_ref().is_some_and(|s| s.is_timed()),
            place,
        };
        let needs_nothing =
            job.buffers.is_empty() && job.permits.is_empty() && job.settings.is_none();
        let extra = if needs_nothing {
            None
        } else {
            Some(Self::extra(head, job, ends))
        };
        Ok(Prepared {
            head,
            words: job.payload.all_words(),
            name: job.name,
            extra,
        })
    }

    /// Fills and queues a slot with a plain task of ticket `id`. There is room.
    #[inline(always)]
    pub(in crate::scheduler) fn fill_plain(
        &self,
        state: &mut State,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
        id: u32,
    ) -> Hint {
        let index = state.slots.take();
        let head = Head::of_arguments(function.0, arguments.len());
        let hint = self.fill(state, index, head, arguments.words(), id, name);
        self.fold.slots[index as usize].queue(hint.generation);
        hint
    }

    /// Fills a slot and puts its hint behind some inbox's tail. There is room.
    #[inline]
    pub(in crate::scheduler) fn enqueue(&self, state: &mut State, job: Prepared) -> Ticket {
        let id = state.tickets.open(job.name);
        self.enqueue_as(state, job, id);
        Ticket::new(id)
    }

    #[inline]
    pub(in crate::scheduler) fn enqueue_as(&self, state: &mut State, job: Prepared, id: u32) {
        let index = state.slots.take();
        let hint = self.fill(state, index, job.head, job.words(), id, job.name);
        if let Some(mut extra) = job.extra {
            let has_ends = extra.accepted();
            state.slots[index].set_extra(Some(extra));
            self.set_limits(state, index);
            if has_ends {
                self.see_to_its_end(state, id);
            }
        }
        if let Some(profiling) = &mut state.profiling {
            profiling.submitted(index);
        }
        self.fold.slots[index as usize].queue(hint.generation);
        self.place(state, hint.pack());
    }

    /// Queues a task in the slot in which it waits; the head, the words and what else it has
    /// are others now.
    pub(in crate::scheduler) fn enqueue_again(
        &self,
        state: &mut State,
        mut job: Prepared,
        hint: Hint,
    ) {
        self.write_again(hint, job.head, job.words());
        let has_ends = job.extra.as_mut().is_some_and(|extra| extra.accepted());
        let inflight = &mut state.slots[hint.slot.0];
        inflight.set_extra(job.extra);
        if let (true, Some(id)) = (has_ends, inflight.ticket()) {
            self.see_to_its_end(state, id);
        }
        self.fold.slots[hint.slot.at()].queue(hint.generation);
        self.place(state, hint.pack());
    }

    /// Writes a task into the free slot `index`; it is not queued yet.
    #[inline(always)]
    pub(in crate::scheduler) fn fill(
        &self,
        state: &mut State,
        index: u32,
        head: Head,
        words: &[u64],
        id: u32,
        name: fn() -> &'static str,
    ) -> Hint {
        let inflight = &mut state.slots[index];
        self.fold.slots[index as usize].write(head, words);
        inflight.begin(id, name);
        let generation = inflight.generation();
        state.slots.begin();
        state.tally.note_submitted();
        let hint = Hint {
            slot: SlotIndex(index),
            generation,
        };
        self.locations.set(id, Location::Slot(hint));
        self.note_activity(state);
        hint
    }

    /// Starts the timers of the task in slot `index`, and tells it how long it has.
    #[cold]
    fn set_limits(&self, state: &mut State, index: u32) {
        self.expect_attempt(state, index);
        let inflight = &state.slots[index];
        let generation = inflight.generation();
        let Some(extra) = inflight.extra() else {
            return;
        };
        if extra.awaits_kin {
            self.fold.header.awaits_kin();
            self.fold.notes[index as usize].await_kin(generation);
        }
        let (start, end) = (extra.start_limit, extra.deadline.map(|d| d.limit));
        if let Some(limit) = extra.soft_limit.into_iter().chain(end).min() {
            let at = clock::now().saturating_add(limit.as_nanos().try_into().unwrap_or(u64::MAX));
            self.fold.notes[index as usize].set_deadline(generation, at);
        }
        // Beyond what the clock can say is never.
        let now = Instant::now();
        if let Some(at) = start.and_then(|limit| now.checked_add(limit)) {
            self.add_timer(state, at, index, Due::Start);
        }
        if let Some(at) = end.and_then(|limit| now.checked_add(limit)) {
            self.add_timer(state, at, index, Due::Deadline);
        }
    }

    #[cold]
    fn extra(head: Head, job: &mut Job, ends: Option<Handing>) -> Box<Extra> {
        let settings = job.settings.clone().unwrap_or_default();
        let again = settings.is_repeated().then(|| Again {
            head,
            // Of long arguments the block is among the holds.
            words: job.payload.all_words(),
            limit: settings.attempts,
            backoff: settings.backoff,
        });
        let deadline = settings.deadline.map(|limit| Deadline {
            limit,
            has_come: false,
        });
        Box::new(Extra {
            holds: std::mem::take(&mut job.buffers),
            ends,
            label: settings.label.clone(),
            profiled_as: settings.profiled_as,
            again,
            deadline,
            start_limit: settings.start_limit,
            soft_limit: settings.soft_limit,
            awaits_kin: settings.awaits_kin,
            timing: head.is_timed.then(|| Timing::new(settings.run_limit)),
            retries: settings.retries(),
            permits: std::mem::take(&mut job.permits),
            bound: settings.bound,
            priority: settings.priority,
            ..Extra::default()
        })
    }
}
