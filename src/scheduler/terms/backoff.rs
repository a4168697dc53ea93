//! How long to wait before something that failed is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// How long a task waits before it is tried again: not at all before the second
/// attempt, then twice as long each time, give or take (jitter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the third attempt.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_millis(10),
            longest: Duration::from_secs(1),
        }
    }
}

/// However long the user wants to wait.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Backoff {
    /// The wait after `attempts` attempts have failed.
    pub fn delay(self, attempts: usize) -> Duration {
        let Some(before) = attempts.checked_sub(2) else {
            return Duration::ZERO;
        };
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_jitter()
            .without_max_times()
            .build()
            .nth(before.min(64))
            .unwrap_or(self.longest)
            .min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_at_first_then_growing_within_bounds() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(1), Duration::ZERO);
        for (attempts, least) in [(2, 10), (3, 20), (6, 160)] {
            let least = Duration::from_millis(least);
            let delay = backoff.delay(attempts);
            assert!((least..2 * least).contains(&delay), "{attempts}: {delay:?}");
        }
        assert!(backoff.delay(usize::MAX) <= 2 * backoff.longest);
    }
}
