//! Log events of the host: told in their order, by a thread that holds no lock and is needed
//! for nothing else. So a subscriber may call the runtime, and may take its time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, dispatcher};

use super::{Job, caught, pool, run};

/// So many wait at most for a subscriber that is slow, or stuck; what is beyond is lost.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
pub struct Events {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    is_told: bool,
    /// Events that came, and those that were told.
    came: u64,
    told: u64,
}

thread_local! {
    /// This thread is telling one.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

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
        let mut state = pool.events.lock();
        if state.waiting.len() >= WAITING_MAX {
            return;
        }
        state.waiting.push_back(Box::new(move || self.with(event)));
        state.came += 1;
        if !std::mem::replace(&mut state.is_told, true) {
            drop(state);
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
    let Some(pool) = pool().filter(|_| !TELLS.get()) else {
        return;
    };
    let end = Instant::now() + limit;
    let events = &pool.events;
    let mut state = events.lock();
    let came = state.came;
    while state.told < came {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let waited = events.told.wait_timeout(state, left);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all that wait.
    fn tell(&self) {
        let mut state = self.lock();
        while let Some(event) = state.waiting.pop_front() {
            drop(state);
            TELLS.set(true);
            // A subscriber's panic is its own; the next event may do better.
            let _ = caught(event);
            TELLS.set(false);
            state = self.lock();
            state.told += 1;
            self.told.notify_all();
        }
        state.is_told = false;
    }
}
