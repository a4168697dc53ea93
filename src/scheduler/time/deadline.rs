//! Timers that have come: attempts that are due, deadlines and limits that have passed.
//!
//! A task that is past its hard deadline and was not begun is cancelled: the
//! compare-and-swap that does so competes with the claim. One that runs can only be
//! ended with its worker, and so can one that is past its run limit ([`run_limits`]). The
//! supervisor does that; here is decided whether:
//!
//! ```text
//!   deadline ─▶ Overdue ─▶ worker stopped ─▶ still running this task?
//!                                             no: let it go on
//!                                             yes: SIGTERM, grace, SIGKILL
//! ```
//!
//! The worker is stopped first, and then it is checked what it runs: so it is never killed for
//! a task, or for an attempt, that it has already finished. Whatever the worker then dies of
//! after a hard deadline, no further attempt is begun: the deadline has come, and comes only
//! once. After a run limit there may be another, if the user says so.
//!
//! [`run_limits`]: super::run_limits

use std::time::{Duration, Instant};

use crate::error::{TaskError, TimeLimit};
use crate::prim::{Generation, Hint, Overdue, SlotIndex};
use crate::task::TaskState;

use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::timing::Deadline;
use crate::scheduler::time::timers::Due;

impl Scheduler {
    /// When [`Scheduler::tick`] should be called next.
    pub fn next_timer(&self) -> Option<Instant> {
        let state = self.lock();
        (state.timers.next().into_iter())
            .chain(state.run_limits.next())
            .chain(state.stall.at())
            .chain(state.losses.next_stray())
            .min()
    }

    /// Does what is due; returns the running tasks that must be ended.
    pub fn tick(&self, now: Instant) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        let mut state = self.lock();
        // A look at run limits alone changes nothing that anybody waits for.
        let mut has_come = state.timers.next().is_some_and(|at| at <= now);
        while let Some(timer) = state.timers.pop_due(now) {
            let inflight = &state.slots[timer.slot];
            if !inflight.is_of(timer.generation) {
                continue;
            }
            match timer.due {
                Due::Attempt => {
                    let word = self.fold.slots[timer.slot as usize].word();
                    if TaskState::of(word) == Some(TaskState::Waiting) {
                        self.try_again(&mut state, timer.slot);
                    }
                }
                Due::Start => self.expire_start(&mut state, timer.slot),
                Due::Deadline => overdue.extend(self.expire(&mut state, timer.slot)),
                Due::Grace => overdue.extend(self.grace_is_over(&mut state, timer.slot, now)),
            }
        }
        self.look_at_limits(&mut state, now, &mut overdue);
        if state.losses.next_stray().is_some() {
            has_come = true;
            overdue.extend(self.strays_due(&mut state, now));
        }
        if state.stall.at().is_some_and(|at| at <= now) {
            has_come = true;
            self.look_behind(&mut state);
        }
        self.publish(&mut state);
        drop(state);
        if has_come {
            // Whoever sleeps for all waiters is not told by `settle`.
            self.fold.host_bell.force();
        }
        overdue
    }

    /// The deadline of the task in `slot` has come.
    fn expire(&self, state: &mut State, slot: u32) -> Option<Overdue> {
        let generation = self.still_there(state, slot)?;
        let cell = &self.fold.slots[slot as usize];
        let is_waiting = || TaskState::of(cell.word()) == Some(TaskState::Waiting);
        if cell.cancel(generation) || is_waiting() {
            let extra = state.slots[slot].extra();
            let deadline = extra.and_then(|extra| extra.deadline);
            let begun = extra.is_some_and(|extra| extra.has_kin || !extra.tried.is_empty());
            let error = match deadline {
                _ if self.was_cancelled(state, slot) => TaskError::cancelled(),
                Some(Deadline { limit, .. }) => TaskError::late(TimeLimit::Hard, limit, begun),
                None => return None,
            };
            self.end_early(state, slot, error);
            return None;
        }
        let worker = self.runner(slot, generation)?;
        let extra = state.slots[slot].extra_mut();
        if let Some(deadline) = extra.and_then(|extra| extra.deadline.as_mut()) {
            deadline.has_come = true;
        }
        Some(Overdue {
            worker,
            was_asked: false,
            task: Hint {
                slot: SlotIndex(slot),
                generation,
            },
        })
    }

    /// Collects the task in `slot`; its generation, if it has not ended. One that has failed and
    /// is tried again has not.
    fn still_there(&self, state: &mut State, slot: u32) -> Option<Generation> {
        let before = state.slots[slot].generation();
        self.collect(state, slot);
        let inflight = &state.slots[slot];
        inflight.is_of(before).then_some(before)
    }

    /// The task in `slot` was asked to end, and had time enough.
    fn grace_is_over(&self, state: &mut State, slot: u32, now: Instant) -> Option<Overdue> {
        let generation = self.still_there(state, slot)?;
        let worker = self.runner(slot, generation)?;
        let extra = state.slots[slot].extra()?;
        let grace_ends = extra.timing.and_then(|timing| timing.grace_ends);
        // The grace may have been that of an attempt before.
        let is_meant = extra.is_due() && grace_ends.is_none_or(|at| at <= now);
        is_meant.then_some(Overdue {
            worker,
            was_asked: true,
            task: Hint {
                slot: SlotIndex(slot),
                generation,
            },
        })
    }

    /// The task in `slot` was to have begun by now.
    fn expire_start(&self, state: &mut State, slot: u32) {
        let inflight = &state.slots[slot];
        let extra = inflight.extra();
        let Some(limit) = extra.and_then(|extra| extra.start_limit) else {
            return;
        };
        // One that has begun and waits for another attempt has begun in time.
        if self.fold.slots[slot as usize].cancel(inflight.generation()) {
            let error = TaskError::late(TimeLimit::Start, limit, false);
            self.end_early(state, slot, error);
        }
    }

    /// Ends the task in `slot`, which is not running, before it has a value.
    pub(in crate::scheduler) fn end_early(&self, state: &mut State, slot: u32, error: TaskError) {
        state.tally.note_early(&error);
        self.settle(state, slot, Err(Box::new(error)));
    }

    /// Which worker runs the task in `slot` now.
    pub(in crate::scheduler) fn runner(&self, slot: u32, generation: Generation) -> Option<u32> {
        let word = self.fold.slots[slot as usize].word();
        let shape = &self.fold.plan.shape;
        let runs = matches!(
            TaskState::of(word),
            Some(TaskState::Running | TaskState::Finishing)
        ) && word.generation == generation
            && (word.owner as usize) < shape.executors();
        runs.then(|| shape.worker_of(word.owner as usize) as u32)
    }

    /// Whether its worker, which stands still, is in the middle of the task, and of the
    /// attempt that was overdue. If so that ends when the worker does; with a `grace`, it is
    /// looked at again after that time. What it has spawned is told.
    pub fn strike(&self, overdue: &Overdue, grace: Option<Duration>) -> bool {
        let Hint { slot, generation } = overdue.task;
        let mut state = self.lock();
        if self.runner(slot.0, generation) != Some(overdue.worker) {
            return false;
        }
        let Some(inflight) = state.slots.get_mut(slot.at()) else {
            return true; // a stray
        };
        let is_there = inflight.is_of(generation);
        let extra = inflight.extra_mut().filter(|_| is_there);
        let Some(extra) = extra.filter(|extra| extra.is_due()) else {
            return false;
        };
        let grace_ends = grace.and_then(|grace| Instant::now().checked_add(grace));
        if let Some(timing) = &mut extra.timing {
            timing.grace_ends = grace_ends;
        }
        self.fold.notes[slot.at()].cancel(generation);
        self.fold.header.cancels();
        self.fold.wake_told();
        self.tell_kin(overdue.task);
        if let Some(at) = grace_ends {
            self.add_timer(&mut state, at, slot.0, Due::Grace);
        }
        true
    }

    /// Whether anything waits for worker `worker`: a task it runs, one that it was
    /// given and nobody else has taken, or one that is anybody's.
    pub fn has_work(&self, worker: u32) -> bool {
        let mut state = self.lock();
        self.register_all(&mut state);
        if state.slots.in_flight() == 0 {
            return false;
        }
        self.collect_all(&mut state);
        let threads = self.fold.plan.shape.threads;
        let executors = worker * threads..(worker + 1) * threads;
        let has_hints = executors.clone().any(|executor| {
            let record = &self.fold.executors[executor as usize];
            matches!(state.queues.backlog(executor as usize), Ok(1..))
                || record
                    .announced()
                    .any(|hint| self.is_queued(Hint::unpack(hint)))
                || state.queues.is_ready(executor as usize)
        });
        has_hints
            || self.has_errand(&state, worker)
            || state.queues.any_lane_full()
            || matches!(self.clients.backlog(), Ok(1..))
            || state.slots().any(|slot| {
                let inflight = &state.slots[slot];
                inflight.ticket().is_some()
                    && self.runner(slot, inflight.generation()) == Some(worker)
            })
    }

    pub(in crate::scheduler) fn is_queued(&self, hint: Hint) -> bool {
        self.fold.slots.get(hint.slot.at()).is_some_and(|slot| {
            let word = slot.word();
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == hint.generation
        })
    }
}
