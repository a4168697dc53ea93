//! How long a thread of the host looks before it sleeps, and how long it sleeps at most.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a waiter trusts that it will be woken; twice as long each time. Nothing
/// correct needs this: a worker that is stopped at a bad moment or gone wild may.
pub const LOOK_AGAIN_MIN: Duration = Duration::from_millis(10);
pub const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// How long to look for the result before sleeping, at most: less after results that
/// took longer than that. A waiter that looks in vain needs a CPU that others may want.
pub const SPIN: Duration = Duration::from_micros(50);
pub const SPIN_MIN: Duration = Duration::from_micros(3);

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
    let patience = PATIENCE.get();
    // What sleeping and waking cost is within it.
    let is_worth_it = waited < 2 * SPIN;
    PATIENCE.set(if is_worth_it {
        SPIN
    } else {
        (patience / 2).max(SPIN_MIN)
    });
}

pub fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|d| Instant::now() >= d)
}
