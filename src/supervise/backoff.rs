//! How long to wait before a worker is started again: pure arithmetic.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(2);

/// Counts starts in a row that came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A start came to nothing: how long to wait before the next.
    pub fn failed(&mut self) -> Duration {
        let wait = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures += 1;
        wait
    }

    /// A start succeeded.
    pub fn succeeded(&mut self) {
        self.failures = 0;
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
        let waits: Vec<u128> = (0..12).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(
            waits,
            [10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000, 2000, 2000]
        );
        backoff.succeeded();
        assert_eq!(backoff.failed(), FIRST);
    }
}
