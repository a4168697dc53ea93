//! When a task is tried again that has failed, and what is known of the attempts before.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder};

use crate::error::{Attempt, Death, EarlierAttempt};
use crate::task::Outcome as Ran;

use crate::scheduler::outcomes::value::Outcome;
use crate::scheduler::terms::timing::Spent;

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

    /// Whether there is no other attempt after `failures` have failed.
    pub(in crate::scheduler) fn is_spent(&self, failures: u32) -> bool {
        failures >= self.attempts
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

    /// By itself, in what `words` say.
    pub fn failed(words: String, spent: Spent) -> Self {
        let how = How::Failed(words);
        Tried { how, spent }
    }

    /// What its time was spent with.
    pub fn spent(&self) -> Spent {
        self.spent
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
    pub fn tell(&self) -> EarlierAttempt {
        let words = match &self.how {
            How::Died(attempt) if attempt.death == Death::Unknown => "its worker was lost".into(),
            How::Died(attempt) => format!("its worker {attempt}"),
            How::Failed(words) => words.clone(),
        };
        EarlierAttempt::new(words, self.spent.ran)
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
