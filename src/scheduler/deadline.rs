//! Timers that have come: attempts that are due, deadlines that have passed.
//!
//! A task that is past its hard deadline and was not begun is cancelled: the
//! compare-and-swap that does so competes with the claim. One that runs can only be
//! ended with its worker. The supervisor does that; here is decided whether:
//!
//! ```text
//!   deadline ─▶ Overdue ─▶ worker stopped ─▶ still running this task?
//!                                             no: let it go on
//!                                             yes: SIGTERM, grace, SIGKILL
//! ```
//!
//! It is asked while the worker is stopped, so that no other task that it may have
//! begun meanwhile pays for this one. Whatever the worker then dies of, no further
//! attempt is begun: the deadline has come, and comes only once.

use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::prim::{Generation, Hint, Overdue, SlotIndex};
use crate::task::TaskState;

use super::Scheduler;
use super::state::State;
use super::timers::Due;

/// A hard deadline that a task was submitted with.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// How long after it is queued.
    pub limit: Duration,
    /// It came while the task was running: there is no other attempt.
    pub has_come: bool,
}

impl Scheduler {
    /// When [`Scheduler::tick`] should be called next.
    pub fn next_timer(&self) -> Option<Instant> {
        let state = self.lock();
        let strays = state.strays.iter().map(|stray| stray.at);
        (state.timers.next().into_iter())
            .chain(state.watch)
            .chain(strays)
            .min()
    }

    /// Does what is due; returns the running tasks that must be ended.
    pub fn tick(&self, now: Instant) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        let mut state = self.lock();
        while let Some(timer) = state.timers.pop_due(now) {
            let inflight = &state.inflight[timer.slot as usize];
            if inflight.ticket.is_none() || inflight.generation != timer.generation {
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
                Due::Deadline | Due::Grace => {
                    let was_asked = timer.due == Due::Grace;
                    overdue.extend(self.expire(&mut state, timer.slot, was_asked));
                }
            }
        }
        if !state.strays.is_empty() {
            overdue.extend(self.strays_due(&mut state, now));
        }
        if state.watch.is_some_and(|at| at <= now) {
            self.look_behind(&mut state);
        }
        self.publish(&mut state);
        drop(state);
        // Whoever sleeps for all waiters is not told by `settle`.
        self.fold.host_bell.force();
        overdue
    }

    /// The deadline of the task in `slot` has come.
    fn expire(&self, state: &mut State, slot: u32, was_asked: bool) -> Option<Overdue> {
        if self.collect(state, slot) {
            return None;
        }
        let generation = state.inflight[slot as usize].generation;
        let cell = &self.fold.slots[slot as usize];
        let is_waiting = || TaskState::of(cell.word()) == Some(TaskState::Waiting);
        if cell.cancel(generation) || is_waiting() {
            let extra = state.inflight[slot as usize].extra.as_ref();
            let deadline = extra.and_then(|extra| extra.deadline);
            let begun = extra.is_some_and(|extra| extra.has_kin || !extra.attempts.is_empty());
            let last = extra.and_then(|extra| extra.last_end());
            let error = match deadline {
                _ if self.was_cancelled(state, slot) => TaskError::Cancelled,
                Some(Deadline { limit, .. }) => TaskError::DeadlineExceeded { limit, begun, last },
                None => return None,
            };
            self.end_early(state, slot, error);
            return None;
        }
        let worker = self.runner(slot, generation)?;
        let extra = state.inflight[slot as usize].extra.as_mut();
        if let Some(deadline) = extra.and_then(|extra| extra.deadline.as_mut()) {
            deadline.has_come = true;
        }
        Some(Overdue {
            worker,
            was_asked,
            task: Hint {
                slot: SlotIndex(slot),
                generation,
            },
        })
    }

    /// The task in `slot` was to have begun by now.
    fn expire_start(&self, state: &mut State, slot: u32) {
        let inflight = &state.inflight[slot as usize];
        let extra = inflight.extra.as_ref();
        let Some(limit) = extra.and_then(|extra| extra.start_limit) else {
            return;
        };
        // One that has begun and waits for another attempt has begun in time.
        if self.fold.slots[slot as usize].cancel(inflight.generation) {
            let error = TaskError::DeadlineExceeded {
                limit,
                begun: false,
                last: None,
            };
            self.end_early(state, slot, error);
        }
    }

    /// Ends the task in `slot`, which is not running, before it has a value.
    pub(super) fn end_early(&self, state: &mut State, slot: u32, error: TaskError) {
        match error {
            TaskError::Cancelled => state.counters.cancelled += 1,
            _ => state.counters.late += 1,
        }
        self.settle(state, slot, Err(Box::new(error)));
    }

    /// Which worker runs the task in `slot` now.
    pub(super) fn runner(&self, slot: u32, generation: Generation) -> Option<u32> {
        let word = self.fold.slots[slot as usize].word();
        let shape = &self.fold.plan.shape;
        let runs = matches!(
            TaskState::of(word),
            Some(TaskState::Running | TaskState::Finishing)
        ) && word.generation == generation
            && (word.owner as usize) < shape.executors();
        runs.then(|| shape.worker_of(word.owner as usize) as u32)
    }

    /// Whether its worker, which stands still, is in the middle of the task. If so
    /// the task ends when the worker does; with a `grace`, it is looked at again
    /// after that time. What it has spawned is told.
    pub fn strike(&self, overdue: &Overdue, grace: Option<Duration>) -> bool {
        let Hint { slot, generation } = overdue.task;
        let mut state = self.lock();
        if self.runner(slot.0, generation) != Some(overdue.worker) {
            return false;
        }
        let Some(inflight) = state.inflight.get(slot.at()) else {
            return true; // a stray
        };
        if inflight.ticket.is_none() || inflight.generation != generation {
            return false;
        }
        self.fold.notes[slot.at()].cancel(generation);
        self.fold.header.cancels();
        self.tell_kin(overdue.task);
        if let Some(grace) = grace {
            let at = Instant::now() + grace;
            self.add_timer(&mut state, at, slot.0, Due::Grace);
        }
        true
    }

    /// Whether anything waits for worker `worker`: a task it runs, one that it was
    /// given and nobody else has taken, or one that is anybody's.
    pub fn has_work(&self, worker: u32) -> bool {
        let mut state = self.lock();
        if state.in_flight == 0 {
            return false;
        }
        self.collect_all(&mut state);
        let threads = self.fold.plan.shape.threads;
        let executors = worker * threads..(worker + 1) * threads;
        let has_hints = executors.clone().any(|executor| {
            let record = &self.fold.executors[executor as usize];
            matches!(state.inboxes[executor as usize].refresh(), Ok(1..))
                || record
                    .announced()
                    .any(|hint| self.is_queued(Hint::unpack(hint)))
                || state.ready[executor as usize].backlog() > 0
        });
        has_hints
            || state.is_any_lane_full()
            || state.slots().any(|slot| {
                let inflight = &state.inflight[slot as usize];
                inflight.ticket.is_some() && self.runner(slot, inflight.generation) == Some(worker)
            })
    }

    pub(super) fn is_queued(&self, hint: Hint) -> bool {
        self.fold.slots.get(hint.slot.at()).is_some_and(|slot| {
            let word = slot.word();
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == hint.generation
        })
    }
}
