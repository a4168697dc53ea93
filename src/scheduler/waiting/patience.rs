//! How long this thread looks before it sleeps, as it has learned; and deadlines.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::scheduler::waiting::policy::{self, SPIN};

thread_local! {
    /// How long this thread looks the next time.
    static PATIENCE: Cell<Duration> = const { Cell::new(SPIN) };
}

/// How long this thread looks before it sleeps.
pub fn patience() -> Duration {
    PATIENCE.get()
}

/// A wait that took `waited` had to sleep.
pub fn learn(waited: Duration) {
    PATIENCE.set(policy::learned(PATIENCE.get(), waited));
}

/// Whether the time is up.
pub fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|d| Instant::now() >= d)
}
