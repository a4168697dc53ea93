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
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder};

use crate::error::{Attempt, Death, EarlierAttempt, TaskError};
use crate::prim::{Hint, SlotIndex};
use crate::task::Outcome as Ran;

use crate::scheduler::Scheduler;
use crate::scheduler::followers::news::News;
use crate::scheduler::outcomes::value::{Outcome, error_of};
use crate::scheduler::state::State;
use crate::scheduler::time::run_limits::Spent;
use crate::scheduler::time::timers::Due;

/// However long the user wants to wait.
const LONGEST: Duration = Duration::from_secs(86_400);

/// When to run a task again that has ended with an `Err` or a panic; for
/// [`Task::retry`](crate::Task::retry).
///
/// ```
/// use std::time::Duration;
/// use pinfold::Retry;
/// let ms = Duration::from_millis;
/// let retry = Retry::exponential(5, ms(10), ms(100));
/// let delays: Vec<_> = (1..5).map(|failures| retry.delay(failures)).collect();
/// assert_eq!(delays, [ms(10), ms(20), ms(40), ms(80)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    first: Duration,
    longest: Duration,
    growth: Growth,
    jitter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    None,
    Linear,
    Exponential,
}

impl Retry {
    /// Up to `attempts` attempts in all (at least 1), `delay` apart.
    ///
    /// ```
    /// use std::time::Duration;
    /// let retry = pinfold::Retry::fixed(3, Duration::from_millis(5));
    /// assert_eq!(retry.delay(2), Duration::from_millis(5));
    /// ```
    pub fn fixed(attempts: u32, delay: Duration) -> Self {
        Retry {
            attempts,
            first: delay,
            longest: delay,
            growth: Growth::None,
            jitter: false,
        }
    }

    /// Up to `attempts` attempts in all (at least 1); `step` after the first, then longer by `step`
    /// each time.
    ///
    /// ```
    /// use std::time::Duration;
    /// let retry = pinfold::Retry::linear(4, Duration::from_millis(5));
    /// assert_eq!(retry.delay(3), Duration::from_millis(15));
    /// ```
    pub fn linear(attempts: u32, step: Duration) -> Self {
        Retry {
            attempts,
            first: step,
            longest: LONGEST,
            growth: Growth::Linear,
            jitter: false,
        }
    }

    /// Up to `attempts` attempts in all (at least 1); `first` after the first, then twice
    /// as long each time, up to `longest`.
    ///
    /// ```
    /// use std::time::Duration;
    /// let ms = Duration::from_millis;
    /// assert_eq!(pinfold::Retry::exponential(9, ms(1), ms(10)).delay(6), ms(10));
    /// ```
    pub fn exponential(attempts: u32, first: Duration, longest: Duration) -> Self {
        Retry {
            attempts,
            first,
            longest: longest.max(first),
            growth: Growth::Exponential,
            jitter: false,
        }
    }

    /// Stretches each delay at random by up to its own length, so that many that have
    /// failed together do not come back together.
    ///
    /// ```
    /// use std::time::Duration;
    /// let retry = pinfold::Retry::fixed(3, Duration::from_millis(5)).with_jitter();
    /// let ms = retry.delay(1).as_secs_f64() * 1000.0;
    /// assert!((5.0..=10.0).contains(&ms));
    /// ```
    pub fn with_jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// How long to wait after `failures` attempts have failed.
    ///
    /// ```
    /// use std::time::Duration;
    /// let retry = pinfold::Retry::fixed(3, Duration::ZERO);
    /// assert_eq!(retry.delay(1), Duration::ZERO);
    /// ```
    pub fn delay(&self, failures: u32) -> Duration {
        let before = failures.saturating_sub(1);
        let plain = match self.growth {
            Growth::None => self.first,
            Growth::Linear => self.first.saturating_mul(failures.max(1)),
            Growth::Exponential => ExponentialBuilder::new()
                .with_min_delay(self.first)
                .with_max_delay(self.longest)
                .without_max_times()
                .build()
                .nth(before.min(64) as usize)
                .unwrap_or(self.longest),
        };
        // It is counted in floating point: a nanosecond may be lost.
        let micros = plain.min(LONGEST).as_nanos().saturating_add(500) / 1000;
        let rounded = Duration::from_micros(micros as u64);
        let is_close = plain.abs_diff(rounded) < Duration::from_nanos(50);
        let plain = if is_close {
            rounded
        } else {
            plain.min(LONGEST)
        };
        if !self.jitter {
            return plain;
        }
        let jittered = ConstantBuilder::new().with_delay(plain).with_jitter();
        jittered.build().next().unwrap_or(plain)
    }
}

/// Whether an outcome is a failure that another attempt may cure.
pub type Judge = Arc<dyn Fn(&mut Outcome) -> bool + Send + Sync>;

/// What a task has that may be tried again.
#[derive(Clone)]
pub struct Retries {
    /// When.
    pub retry: Retry,
    /// Who judges; nobody: each `Err` and each panic is a failure.
    pub judge: Option<Judge>,
    /// Attempts that have failed.
    pub failures: u32,
}

impl std::fmt::Debug for Retries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retries")
            .field("retry", &self.retry)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Ran(Ran),
    /// With its worker.
    Died,
    /// With its worker, as it had run for too long.
    Late,
}

/// An attempt that has ended.
#[derive(Debug)]
pub struct Tried {
    how: How,
    spent: Spent,
}

#[derive(Debug)]
enum How {
    Died(Attempt),
    Failed(String),
}

impl Tried {
    /// With its worker.
    pub fn died(attempt: Attempt, spent: Spent) -> Self {
        let how = How::Died(attempt);
        Tried { how, spent }
    }

    /// How its worker has ended, if it ended with that.
    pub fn death(&self) -> Option<&Attempt> {
        match &self.how {
            How::Died(attempt) => Some(attempt),
            How::Failed(_) => None,
        }
    }

    /// By now it is known how its worker has ended.
    pub fn set_death(&mut self, death: Death) {
        if let How::Died(attempt) = &mut self.how {
            attempt.death = death;
        }
    }

    /// For errors: how it has ended. How its worker has may not have been told yet.
    fn tell(&self) -> EarlierAttempt {
        let words = match &self.how {
            How::Died(attempt) if attempt.death == Death::Unknown => "its worker was lost".into(),
            How::Died(attempt) => format!("its worker {attempt}"),
            How::Failed(words) => words.clone(),
        };
        EarlierAttempt::new(words, self.spent.ran)
    }
}

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
        let extra = state.inflight[slot as usize].extra.as_ref();
        let mut before = extra.map_or(&[][..], |extra| &extra.tried);
        // Of the attempt that has died last the error itself tells.
        if let TaskError::WorkerDied { .. } | TaskError::Poison { .. } = error
            && let Some((last, others)) = before.split_last()
        {
            (spent, before) = (last.spent, others);
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
            End::Died => state.counters.died += 1,
            End::Late => state.counters.late += 1,
        }
        self.settle(state, slot, outcome);
    }

    /// If the task in `slot` is to be tried again, sees to it, and returns `None`.
    #[inline]
    fn retry(&self, state: &mut State, slot: u32, end: End, outcome: Outcome) -> Option<Outcome> {
        let inflight = &mut state.inflight[slot as usize];
        let Some(extra) = inflight.extra.as_mut() else {
            return Some(outcome);
        };
        // A deadline comes only once: after that nothing would end another attempt.
        let is_late = extra.deadline.is_some_and(|deadline| deadline.has_come);
        let is_over = is_late || extra.is_cancelled;
        let Some(retries) = extra.retries.as_mut().filter(|_| !is_over) else {
            return Some(outcome);
        };
        if retries.failures + 1 >= retries.retry.attempts {
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
        let (judge, name) = (Arc::clone(judge), inflight.name);
        let task = Hint {
            slot: SlotIndex(slot),
            generation: inflight.generation,
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
        let inflight = &mut state.inflight[slot as usize];
        let root = Hint {
            slot: SlotIndex(slot),
            generation: inflight.generation,
        };
        let Some(extra) = inflight.extra.as_mut() else {
            return;
        };
        extra.has_kin = true;
        if end != End::Died {
            let how = How::Failed(match outcome {
                Ok(value) => value.words(),
                Err(error) => error.why().to_string(),
            });
            extra.tried.push(Tried { how, spent });
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
        let inflight = &state.inflight[task.slot.at()];
        if inflight.ticket.is_none() || inflight.generation != task.generation {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_within_bounds() {
        let ms = Duration::from_millis;
        for retry in [
            Retry::fixed(2, Duration::MAX),
            Retry::linear(u32::MAX, Duration::MAX),
            Retry::linear(u32::MAX, ms(1)),
            Retry::exponential(2, Duration::MAX, ms(1)),
            Retry::exponential(2, ms(1), Duration::MAX),
        ] {
            for failures in [0, 1, 2, 100, u32::MAX] {
                assert!(retry.delay(failures) <= LONGEST, "{retry:?}");
                let jittered = retry.with_jitter().delay(failures);
                assert!(jittered <= 2 * LONGEST, "{retry:?}");
            }
        }
        let linear = Retry::linear(9, ms(3));
        assert_eq!([1, 2, 3].map(|n| linear.delay(n)), [ms(3), ms(6), ms(9)]);
    }
}
