//! Trying again what has failed: by an `Err` or a panic; or by whatever the user's judge takes
//! for a failure, which may be the death of the worker, or a run limit.
//!
//! ```text
//!   Done, collected ──────────────────▶ Waiting ──delay──▶ Queued      a failure, attempts are left
//!   Running by the dead, and all told ─▶   │
//!                                          └─ judged on a thread of `background` first, if
//!                                             the user wants to judge
//! ```
//!
//! This is around what a task that is safe to repeat does by itself when its worker dies
//! (`crate::scheduler::recover::rescue`): judged is what the task would end in.
//!
//! The slot is kept in between, so that the task keeps its arguments; its result is
//! dropped. The user's judgement is called without the lock: meanwhile the task is
//! `Waiting`, and may be cancelled as ever.

use std::sync::Arc;
use std::time::Instant;

use crate::error::TaskError;
use crate::prim::{Hint, SlotIndex};
use crate::task::Outcome as Ran;

use crate::scheduler::followers::news::News;
use crate::scheduler::outcomes::value::{Outcome, error_of};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::retry::{End, Tried};
use crate::scheduler::time::timers::Due;

impl Scheduler {
    /// An attempt of the task in `slot` has ended: ends the task, unless it is tried again.
    pub(in crate::scheduler) fn conclude(
        &self,
        state: &mut State,
        slot: u32,
        end: End,
        outcome: Outcome,
    ) {
        // Who judges it is told which task it is.
        let outcome = self.with_its_task(state, slot, outcome);
        if let Some(outcome) = self.retry(state, slot, end, outcome) {
            self.end_as(state, slot, end, outcome);
        }
    }

    /// An error of the task in `slot` is to say what its time was spent with, and how the
    /// attempts before have ended.
    pub(in crate::scheduler) fn tell_attempts(
        &self,
        state: &mut State,
        slot: u32,
        error: &mut TaskError,
    ) {
        let mut spent = self.spent(state, slot);
        let extra = state.slots[slot].extra();
        let mut before = extra.map_or(&[][..], |extra| &extra.tried);
        // Of the attempt that has died last the error itself tells.
        if let TaskError::WorkerDied { .. } | TaskError::Poison { .. } = error
            && let Some((last, others)) = before.split_last()
        {
            (spent, before) = (last.spent(), others);
        }
        if let Some(task) = error.task_mut() {
            (task.waited, task.ran) = (spent.waited, spent.ran);
            task.attempts = before.iter().map(Tried::tell).collect();
        }
    }

    /// The task in `slot` has ended as its last attempt has.
    fn end_as(&self, state: &mut State, slot: u32, end: End, outcome: Outcome) {
        match end {
            End::Ran(ran) => return self.count_and_settle(state, slot, ran, outcome),
            End::Died => state.tally.note_died(false),
            End::Late => state.tally.note_died(true),
        }
        self.settle(state, slot, outcome);
    }

    /// If the task in `slot` is to be tried again, sees to it, and returns `None`.
    #[inline]
    fn retry(&self, state: &mut State, slot: u32, end: End, outcome: Outcome) -> Option<Outcome> {
        let inflight = &mut state.slots[slot];
        let Some(extra) = inflight.extra_mut() else {
            return Some(outcome);
        };
        // A deadline comes only once: after that nothing would end another attempt.
        let is_late = extra.deadline.is_some_and(|deadline| deadline.has_come);
        let is_over = is_late || extra.is_cancelled;
        let Some(retries) = extra.retries.as_mut().filter(|_| !is_over) else {
            return Some(outcome);
        };
        if retries.retry.is_spent(retries.failures + 1) {
            return Some(outcome);
        }
        let Some(judge) = &retries.judge else {
            let has_failed = |ran: Ran| ran.is_err() || ran == Ran::Panicked;
            if !matches!(end, End::Ran(ran) if has_failed(ran)) {
                return Some(outcome);
            }
            self.put_off(state, slot, end, &outcome);
            return None;
        };
        // Then the whole fold is ended.
        if matches!(error_of(&outcome), Some(TaskError::Corrupted { .. })) {
            return Some(outcome);
        }
        let (judge, name) = (Arc::clone(judge), inflight.name());
        let task = Hint {
            slot: SlotIndex(slot),
            generation: inflight.generation(),
        };
        self.fold.slots[slot as usize].hold(task.generation);
        Self::attempt_is_over(state, slot);
        let news = News::ToJudge {
            task,
            name,
            end,
            outcome,
            judge,
        };
        self.send_attendant(state, news);
        None
    }

    /// The task in `slot` has failed: has it tried again, after a while.
    fn put_off(&self, state: &mut State, slot: u32, end: End, outcome: &Outcome) {
        let spent = self.spent(state, slot);
        Self::attempt_is_over(state, slot);
        let inflight = &mut state.slots[slot];
        let root = Hint {
            slot: SlotIndex(slot),
            generation: inflight.generation(),
        };
        let Some(extra) = inflight.extra_mut() else {
            return;
        };
        extra.has_kin = true;
        if end != End::Died {
            let words = match outcome {
                Ok(value) => value.words(),
                Err(error) => error.why().to_string(),
            };
            extra.tried.push(Tried::failed(words, spent));
            extra.attempt_is_told();
        }
        let is_over_limit = extra.is_over_limit();
        let Some(retries) = extra.retries.as_mut() else {
            return;
        };
        retries.failures += 1;
        let delay = retries.retry.delay(retries.failures);
        self.fold.slots[slot as usize].hold(root.generation);
        if is_over_limit {
            // Before there is any of the next attempt's.
            self.end_kin(state, root);
        }
        if delay.is_zero() {
            self.try_again(state, slot);
            self.publish(state);
        } else if let Some(at) = Instant::now().checked_add(delay) {
            self.add_timer(state, at, slot, Due::Attempt);
        }
    }

    /// The attendant has had it judged whether `outcome` is a failure.
    pub fn judged(&self, task: Hint, end: End, outcome: Outcome, has_failed: bool) {
        let mut state = self.lock();
        let inflight = &state.slots[task.slot.0];
        if !inflight.is_of(task.generation) {
            return; // cancelled meanwhile, or late
        }
        if has_failed {
            self.put_off(&mut state, task.slot.0, end, &outcome);
        } else {
            self.end_as(&mut state, task.slot.0, end, outcome);
        }
        drop(state);
        self.fold.host_bell.force();
    }
}
