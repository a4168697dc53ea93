//! Log events that wait to be told, in their order; and who waits until they are.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::panic::caught;

/// Tells one.
type Event = Box<dyn FnOnce() + Send>;

/// So many wait at most for a subscriber that is slow, or stuck; what is beyond is lost.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
pub struct Events {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    is_told: bool,
    /// Events that came, and those that were told.
    came: u64,
    told: u64,
}

thread_local! {
    /// This thread is telling one.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, unless too many wait. True: nobody tells them, and whoever has added this is to have
    /// [`tell`](Events::tell) called.
    pub fn add(&self, event: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.lock();
        if state.waiting.len() >= WAITING_MAX {
            return false;
        }
        state.waiting.push_back(Box::new(event));
        state.came += 1;
        !std::mem::replace(&mut state.is_told, true)
    }

    /// Tells all that wait.
    pub fn tell(&self) {
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
    /// Waits until all have been told that have come by now, but no longer than `limit`; and not at
    /// all on a thread that is telling one.
    pub fn flush(&self, limit: Duration) {
        if TELLS.get() {
            return;
        }
        let end = Instant::now() + limit;
        let mut state = self.lock();
        let came = state.came;
        while state.told < came {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.told.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
