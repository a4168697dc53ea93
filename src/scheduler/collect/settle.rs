//! Collecting what is done: from slot to ticket.

use std::sync::Arc;

use crate::background;
use crate::error::TaskError;
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, SlotIndex, TaskId};
use crate::sys::{affinity, prefetch_for_write};
use crate::task::{Finished, Outcome as Ran, Place, TaskState};

use crate::scheduler::collect::completions::Read;
use crate::scheduler::outcomes::entry::is_failure;
use crate::scheduler::outcomes::groups::Watchers;
use crate::scheduler::outcomes::value::{Outcome, Value};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::slots::inflight::Inflight;
use crate::scheduler::state::State;
use crate::scheduler::terms::retry::End;
use crate::scheduler::waiting::sleepers::Awaited;

/// How many slots ahead lines are asked for.
const AHEAD: usize = 16;
/// Whoever collects so many at a time is at work, and does not wait for one.
const MANY: usize = 8;

impl Scheduler {
    /// Reads every completion ring; returns how many tasks have ended by it.
    pub(in crate::scheduler) fn reap(&self, state: &mut State) -> usize {
        self.reap_some(state, u64::MAX)
    }

    /// The same, but not more than `most` of each ring: who takes results and submits in
    /// turns finds what it has just written still in a cache, and the executors get something
    /// to do meanwhile.
    pub(in crate::scheduler) fn reap_some(&self, state: &mut State, most: u64) -> usize {
        // Those that depend on what has ended are queued together.
        let is_inner = state.tickets.arrivals.hold();
        let ended = self.read_completions(state, most);
        state.tickets.arrivals.let_go(is_inner);
        if ended >= MANY {
            self.says_where(state);
        }
        self.note_awake(state);
        if !state.losses.adopted().is_empty() {
            self.let_go(state);
        }
        if state.has_stalled() {
            self.queue_stalled(state);
        }
        if !state.tickets.arrivals.is_empty() {
            self.release(state);
        } else if !is_inner {
            self.publish(state);
            self.check_patience(state);
        }
        ended
    }

    /// Tells the executors on which CPU this thread is at work, if they need it.
    fn says_where(&self, state: &mut State) {
        if self.is_scarce() {
            let cpu = affinity::current();
            let times = state.choice.note_works_on(cpu);
            self.fold.header.set_works_on(cpu, times);
        }
    }

    fn read_completions(&self, state: &mut State, most: u64) -> usize {
        let mut ended = 0;
        for executor in 0..state.completions.len() {
            if !state.completions.has_more(executor) {
                self.check_overflow(state, executor);
                continue;
            }
            state.choice.note_online(executor);
            let mut done = 0;
            // First all hints, which makes room in the ring; then their slots.
            let State {
                completions, slots, ..
            } = state;
            let Read {
                due,
                stale,
                damaged,
            } = completions.read(executor, most, slots);
            for at in 0..due.len() {
                if let Some(later) = due.get(at + AHEAD) {
                    prefetch_for_write(&self.fold.slots[*later as usize]);
                    state.graph.ask_for_end(*later);
                    if let Some(ticket) = state.slots[*later].ticket() {
                        state.tickets.ask_for(ticket);
                    }
                }
                if state.followers.count() > 0
                    && let Some(soon) = due.get(at + AHEAD / 2)
                    && let Some(ticket) = state.slots[*soon].ticket()
                    && let Some(edge) = state.tickets.edge(ticket)
                {
                    state.graph.ask_for(edge, &self.fold);
                }
                let is_collected =
                    self.collect_plain(state, due[at]) || self.collect(state, due[at]);
                done += usize::from(is_collected);
            }
            state.completions.give_back(due);
            // Relaxed: judgement, not truth.
            let grain = &self.fold.executors[executor].status.grain_ns;
            state
                .choice
                .note_task_ns(executor, grain.load(Ordering::Relaxed));
            state.tally.note_stale(stale);
            ended += done;
            if let Some(damaged) = damaged {
                self.condemn(
                    state,
                    &format!("completions of executor {executor}: {damaged}"),
                );
                return ended;
            }
        }
        if state.queues.has_aside() {
            self.house(state);
        }
        self.note_activity(state);
        ended
    }

    /// Tries to place hints for which there was no room. Not only when a task has
    /// ended: what filled the rings may have been stale hints alone.
    #[cold]
    fn house(&self, state: &mut State) {
        for hint in state.queues.take_aside() {
            if self.is_queued(Hint::unpack(hint)) {
                self.place(state, hint);
            }
        }
        self.publish(state);
    }

    /// An executor that had no room for its completion hints says so.
    fn check_overflow(&self, state: &mut State, executor: usize) {
        let overflows = &self.fold.executors[executor].status.overflows;
        // ordering: Acquire pairs with the executor's Release.
        let now = overflows.load(Ordering::Acquire);
        if state.completions.note_overflows(executor, now) {
            self.collect_all(state);
        }
    }

    /// Looks at every word in flight.
    pub(in crate::scheduler) fn collect_all(&self, state: &mut State) {
        for slot in state.slots() {
            if state.slots[slot].ticket().is_some() {
                self.collect(state, slot);
            }
        }
    }

    /// See [`Fold::has_ended`](crate::layout::Fold::has_ended); no lock needed.
    #[inline]
    pub(in crate::scheduler) fn has_ended(&self, hint: Hint) -> bool {
        self.fold.has_ended(hint)
    }

    /// Moves the outcome of the task in `slot` to its ticket, if it is done.
    #[inline]
    pub(in crate::scheduler) fn collect(&self, state: &mut State, slot: u32) -> bool {
        let inflight = &state.slots[slot];
        if inflight.ticket().is_none() {
            return false;
        }
        let word = self.fold.slots[slot as usize].word();
        let is_ours = word.generation == inflight.generation();
        match TaskState::of(word) {
            Some(TaskState::Done) if is_ours => {}
            Some(
                TaskState::Queued
                | TaskState::Running
                | TaskState::Waiting
                | TaskState::Pending
                | TaskState::Finishing,
            ) if is_ours => {
                return false;
            }
            // Nobody who is right in the head changes the word of a task in flight
            // to anything else.
            _ => {
                self.condemn(state, &format!("slot {slot}, in flight, says {word:?}"));
                return true;
            }
        }
        if state.slots[slot].extra().is_some() {
            return self.collect_extra(state, slot);
        }
        let (ran, outcome) = self.take_outcome(state, slot);
        self.count_and_settle(state, slot, ran, outcome);
        true
    }

    /// The same for a task that is more than plain.
    fn collect_extra(&self, state: &mut State, slot: u32) -> bool {
        // A loan among the arguments is the worker's by now, and may come back in the
        // result: our former claim to it must be gone before it is adopted again. A task that
        // may be repeated has none, and keeps the block of its long arguments to its end.
        if let Some(extra) = state.slots[slot].extra_mut()
            && extra.again.is_none()
        {
            extra.holds.retain(|hold| !hold.is_loan());
        }
        let (ran, mut outcome) = self.take_outcome(state, slot);
        // Damage may have kept it from beginning.
        if ran != Ran::Damaged
            && let Some(extra) = state.slots[slot].extra_mut()
            && let Some(ends) = extra.ends.take_if(|ends| !ends.is_repeated())
        {
            ends.were_taken();
        }
        if ran.is_err() && self.was_cancelled(state, slot) {
            // The task has listened, and what it says is that it was cancelled.
            outcome = Err(Box::new(TaskError::cancelled()));
        }
        self.conclude(state, slot, End::Ran(ran), outcome);
        true
    }

    /// Ends the task in `slot`, which has run.
    #[inline]
    pub(in crate::scheduler) fn count_and_settle(
        &self,
        state: &mut State,
        slot: u32,
        ran: Ran,
        outcome: Outcome,
    ) {
        let error = outcome.as_ref().err().map(|error| &**error);
        state.tally.note_ran(ran, error);
        let damage = match error {
            Some(TaskError::Corrupted { message, .. }) => Some(message.clone()),
            _ => None,
        };
        if let Some(profiling) = &mut state.profiling {
            profiling.collected = Some(ran);
        }
        self.settle(state, slot, outcome);
        if let Some(what) = damage {
            self.condemn(state, &what);
        }
    }

    /// Ends the task in `slot`: frees the slot, tells who waits.
    #[inline]
    pub(in crate::scheduler) fn settle(&self, state: &mut State, slot: u32, outcome: Outcome) {
        let is_plain = outcome.is_ok() && state.slots[slot].extra().is_none();
        let outcome = if is_plain {
            outcome
        } else {
            self.with_its_task(state, slot, outcome)
        };
        let inflight = &state.slots[slot];
        let Some(ticket) = inflight.ticket() else {
            return;
        };
        if inflight.extra().is_some() {
            Self::attempt_is_over(state, slot);
        }
        if state.profiling.is_some() {
            self.note_end(state, slot, outcome.is_ok());
        }
        let generation = state.slots[slot].generation();
        let cell = &self.fold.slots[slot as usize];
        let laid = if state.graph.sources() > 0 {
            state.graph.pick_up(slot, generation, cell)
        } else {
            None
        };
        cell.release(generation);
        let inflight = &mut state.slots[slot];
        inflight.end();
        // Dropping the holds frees the arguments' buffers.
        let extra = inflight.take_extra();
        let error = || outcome.as_ref().err().map(|error| &**error);
        if extra.is_some_and(|extra| extra.ends_early(error())) {
            let root = Hint {
                slot: SlotIndex(slot),
                generation,
            };
            self.end_kin(state, root);
        }
        state.vacate(slot);
        let has_edges = laid.is_some_and(|laid| self.hand_over(state, &laid, ticket, &outcome));
        self.end(state, ticket, outcome);
        if has_edges {
            self.release(state);
        }
        if state.has_stalled() {
            self.queue_stalled(state);
        }
    }

    /// An outcome of the task in `slot`, which may be or become an error: that says which task
    /// it is.
    #[cold]
    pub(in crate::scheduler) fn with_its_task(
        &self,
        state: &mut State,
        slot: u32,
        mut outcome: Outcome,
    ) -> Outcome {
        if let Err(error) = &mut outcome
            && error.task().is_some_and(|task| !task.is_known())
        {
            self.tell_attempts(state, slot, error);
        }
        let inflight = &state.slots[slot];
        let label = inflight.extra().and_then(|e| e.label.as_ref());
        let id = TaskId::of(Hint {
            slot: SlotIndex(slot),
            generation: inflight.generation(),
        });
        match (&mut outcome, label, inflight.ticket()) {
            (Err(error), label, _) => {
                error.tell_of(inflight.name()(), label.map(|label| &**label), Some(id));
            }
            (Ok(value), Some(label), Some(ticket)) if value.is_err() => {
                state.tickets.labels.keep(ticket, Arc::clone(label), id);
                // Then the ticket is there until the value was decoded.
                value.grow();
            }
            _ => {}
        }
        outcome
    }

    #[cold]
    fn note_end(&self, state: &mut State, slot: u32, is_ok: bool) {
        let inflight = &state.slots[slot];
        let measured = self.fold.measures[slot as usize].read(inflight.generation());
        let other = inflight.extra().and_then(|extra| extra.profiled_as);
        let name = other.unwrap_or_else(|| inflight.name()());
        if let Some(profiling) = &mut state.profiling {
            profiling.ended(slot, name, measured, is_ok);
        }
    }

    /// The task of `ticket` has ended, and is in no slot any more: tells who waits.
    #[inline]
    pub(in crate::scheduler) fn end(&self, state: &mut State, ticket: u32, mut outcome: Outcome) {
        if let Err(error) = &mut outcome {
            error.tell_of(state.tickets.name(ticket)(), None, None);
        }
        if is_failure(&outcome) && state.tickets.is_unobserved(ticket) {
            self.note_unobserved(state, ticket, &outcome);
        }
        let (watchers, was_followed) = state.tickets.settle(ticket, outcome);
        if was_followed {
            self.tell(state);
        }
        self.call_waiters(state, ticket, watchers);
    }

    /// The task of `ticket` has failed, and nobody will ask.
    #[cold]
    pub(in crate::scheduler) fn note_unobserved(
        &self,
        state: &mut State,
        ticket: u32,
        outcome: &Outcome,
    ) {
        state.tally.note_unobserved();
        let error = match outcome {
            Ok(value) => {
                let mut error = TaskError::returned(value.words());
                state.tickets.tell_of(ticket, &mut error);
                let task = error.task().map(ToString::to_string).unwrap_or_default();
                format!("{task}: {}", value.words())
            }
            Err(error) => error.to_string(),
        };
        background::log(move || {
            tracing::warn!(error, "a task has failed that nobody waits for");
        });
    }

    /// Wakes those that wait for the end of `ticket`, which `watchers` have watched.
    #[inline]
    pub(in crate::scheduler) fn call_waiters(
        &self,
        state: &mut State,
        ticket: u32,
        watchers: Watchers,
    ) {
        if state.waiting.is_nobody() {
            return;
        }
        let is_news = !state.tickets.news.is_empty() || !state.is_attended();
        state.waiting.wake(|awaited| match awaited {
            Awaited::Task { ticket: of, .. } => of == ticket,
            Awaited::Group(group) => watchers.contain(group),
            Awaited::Any | Awaited::Memory => true,
            Awaited::News => is_news,
        });
    }

    #[inline]
    fn take_outcome(&self, state: &State, slot: u32) -> (Ran, Outcome) {
        let Some((head, words)) = self.fold.slots[slot as usize].read() else {
            return corrupted(slot, "a finished task's slot makes no sense");
        };
        if let (Ran::Value | Ran::ReturnedErr, 0, Place::Inline(len)) =
            (head.outcome, head.parcels, head.place)
        {
            return (head.outcome, Ok(Value::inline(head.outcome, words, len)));
        }
        self.take_large_outcome(state, slot)
    }

    #[cold]
    fn take_large_outcome(&self, state: &State, slot: u32) -> (Ran, Outcome) {
        let inflight = &state.slots[slot];
        let held = inflight.holds();
        let cell = &self.fold.slots[slot as usize];
        if let Some(ran) = self.unwanted_value(state, inflight, slot) {
            Finished::discard(cell, SlotIndex(slot), &self.pool);
            return (ran, Ok(Value::inline(ran, [0; _], 0)));
        }
        let finished = match Finished::take(cell, SlotIndex(slot), &self.pool, held) {
            Ok(finished) => finished,
            Err(what) => return corrupted(slot, what),
        };
        match finished.outcome {
            ran if ran.is_value() => (ran, Ok(Value::large(finished))),
            Ran::None | Ran::Lost | Ran::Cancelled => {
                corrupted(slot, "a finished task has no outcome")
            }
            ran => {
                let error = TaskError::of_run(ran, finished.payload.bytes());
                (ran, Err(Box::new(error)))
            }
        }
    }
}

impl Scheduler {
    /// How the task in `slot` has ended, if nobody looks at its value: its handle is gone, no
    /// task depends on it, and it is not tried again.
    fn unwanted_value(&self, state: &State, inflight: &Inflight, slot: u32) -> Option<Ran> {
        let is_looked_at = inflight
            .extra()
            .is_some_and(|extra| extra.retries.is_some());
        // Of dependents by edges beside its slot the ticket does not know.
        let leads_on = || state.graph.leads_on(slot, inflight.generation());
        let is_unwanted =
            !is_looked_at && state.tickets.is_detached(inflight.ticket()?) && !leads_on();
        let (head, _) = self.fold.slots[slot as usize]
            .read()
            .filter(|_| is_unwanted)?;
        head.outcome.is_value().then_some(head.outcome)
    }
}

#[cold]
fn corrupted(slot: u32, what: &str) -> (Ran, Outcome) {
    let message = format!("{what} (slot {slot})");
    (Ran::None, Err(Box::new(TaskError::corrupted(message))))
}
