//! How long to wait before a worker is started again.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::sys::pidfd;

use super::commands::Commands;

const FIRST: Duration = Duration::from_millis(10);
/// The first wait once all was given up.
const FIRST_OF_AN_OUTAGE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Counts starts in a row that came to nothing.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    delays: ExponentialBackoff,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::from(FIRST)
    }
}

impl Backoff {
    /// For the time in which no worker can be started.
    pub fn of_an_outage() -> Self {
        Backoff::from(FIRST_OF_AN_OUTAGE)
    }

    fn from(first: Duration) -> Self {
        Backoff {
            failures: 0,
            delays: ExponentialBuilder::new()
                .with_min_delay(first)
                .with_max_delay(LONGEST)
                .without_max_times()
                .build(),
        }
    }

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

/// Waits between attempts to do something that the runtime cannot go on without.
#[derive(Debug)]
pub struct Retries(Backoff);

impl Default for Retries {
    fn default() -> Self {
        Retries(Backoff::of_an_outage())
    }
}

impl Retries {
    /// Waits for the next attempt; false if the runtime is to stop meanwhile.
    pub fn wait(&mut self, commands: &Commands) -> bool {
        let until = Instant::now() + self.0.failed();
        loop {
            // First that, or who wants it to stop rings in vain.
            let _ = commands.bell().renew();
            if commands.stop_wanted().is_some() {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            // Rung for something else, it is waited on.
            let bell = commands.bell().ends();
            if bell.are_lost() {
                std::thread::sleep(left.min(FIRST));
                continue;
            }
            let _ = pidfd::wait_any(&[bell.as_fd()], Some(left));
            commands.bell().hush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_bound_and_forgets() {
        let mut backoff = Backoff::default();
        for expected in [
            10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000,
        ] {
            let millis = backoff.failed().as_secs_f64() * 1000.0;
            assert!((millis - f64::from(expected)).abs() < 1.0, "{millis} ms");
        }
        assert_eq!(backoff.failures(), 12);
        backoff.succeeded();
        assert_eq!(backoff.failed(), FIRST);
    }
}
