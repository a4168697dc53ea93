//! How long to wait before a worker is started again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(2);

/// Counts starts in a row that came to nothing.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    delays: ExponentialBackoff,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            failures: 0,
            delays: ExponentialBuilder::new()
                .with_min_delay(FIRST)
                .with_max_delay(LONGEST)
                .without_max_times()
                .build(),
        }
    }
}

impl Backoff {
    /// A start came to nothing: how long to wait before the next.
    pub fn failed(&mut self) -> Duration {
        self.failures += 1;
        self.delays.next().unwrap_or(LONGEST)
    }

    /// A start succeeded.
    pub fn succeeded(&mut self) {
        *self = Backoff::default();
    }

    /// Starts in a row that came to nothing.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_bound_and_forgets() {
        let mut backoff = Backoff::default();
        for expected in [10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000, 2000, 2000] {
            let millis = backoff.failed().as_secs_f64() * 1000.0;
            assert!((millis - f64::from(expected)).abs() < 1.0, "{millis} ms");
        }
        assert_eq!(backoff.failures(), 12);
        backoff.succeeded();
        assert_eq!(backoff.failed(), FIRST);
    }
}
