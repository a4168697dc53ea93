//! Log events of the host: told in their order, by a thread that holds no lock and is needed
//! for nothing else. So a subscriber may call the runtime, and may take its time.

use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, dispatcher};

use super::{pool, run};

/// A subscriber for what happens on threads of the library: that of the thread that made
/// this, which may have one of its own.
#[derive(Clone)]
pub struct Log(Dispatch);

impl Log {
    /// Of this thread.
    pub fn of_this_thread() -> Self {
        Log(dispatcher::get_default(Dispatch::clone))
    }

    /// Logs by way of it, here and now: no lock is held. Without one, by way of what there
    /// is when it happens.
    pub fn with(&self, log: impl FnOnce()) {
        if self.0.is::<NoSubscriber>() {
            log();
        } else {
            dispatcher::with_default(&self.0, log);
        }
    }

    /// Logs by way of it on another thread, after what has come before.
    pub fn later(self, event: impl FnOnce() + Send + 'static) {
        let Some(pool) = pool() else {
            return self.with(event);
        };
        if pool.events.add(move || self.with(event)) {
            run(|| pool.events.tell());
        }
    }
}

/// Has `event` told (it calls a macro of `tracing`) to the subscriber of the calling thread,
/// by another thread. In a process without runtimes: at once.
///
/// Every event of the host goes this way, or by way of a [`Log`]: then no subscriber is called
/// inside a lock, or on a thread that must not wait. `tests/tidy` sees to it.
pub fn log(event: impl FnOnce() + Send + 'static) {
    Log::of_this_thread().later(event);
}

/// As [`log`], of an event of level DEBUG: if no subscriber wants to hear of such, no other thread
/// is woken for it.
pub fn detail(event: impl FnOnce() + Send + 'static) {
    if LevelFilter::current() >= LevelFilter::DEBUG {
        log(event);
    }
}

/// Waits until all events have been told that have come by now, but no longer than `limit`;
/// and not at all for a thread that is telling one.
pub fn flush(limit: Duration) {
    if let Some(pool) = pool() {
        pool.events.flush(limit);
    }
}
