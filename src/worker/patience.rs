//! How long an idle executor spins, and how long it sleeps then.

use std::time::Duration;

/// How long to spin before sleeping. A wake costs the waker 13 µs and the sleeper
/// 40 µs, so it pays to wait about as long for work to come.
pub(super) const SPIN: Duration = Duration::from_micros(50);

/// How long an executor sleeps at most while others are awake: one of them may
/// have taken a batch whose first task turns out to be long. Doubles each time.
const NAP_MIN: Duration = Duration::from_millis(10);
const NAP_MAX: Duration = Duration::from_secs(1);

/// Grows while nothing is found.
#[derive(Debug)]
pub struct Patience {
    nap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { nap: NAP_MIN }
    }
}

impl Patience {
    /// How long to sleep now; longer the next time.
    pub(super) fn next_nap(&mut self) -> Duration {
        let nap = self.nap;
        self.nap = (nap * 2).min(NAP_MAX);
        nap
    }
}
