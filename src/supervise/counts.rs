//! How many log events have come from workers.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many events have come.
#[derive(Debug, Default)]
pub struct LogCounts {
    pub(super) received: AtomicU64,
    pub(super) invalid: AtomicU64,
}

impl LogCounts {
    /// Events passed on, and what was no event.
    pub fn read(&self) -> (u64, u64) {
        // Relaxed: counters.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.received), read(&self.invalid))
    }
}
