//! Waking many, by a thread that has time for it.
//!
//! To wake one sleeper costs whoever does it some 10 µs, and to wake 64 of them as many times as
//! much, though it is one system call. So who publishes for many wakes one thread of its own process,
//! which wakes them all: a thread of the library, which is started when it is first needed, and ends
//! when it was not for a while.
//!
//! ```text
//!   asker    job ──▶ the thread sleeps? wake it
//!   thread   asleep ──▶ takes all jobs ──▶ opens their gates ──▶ none came meanwhile: asleep
//! ```
//!
//! Both look at the list of jobs under one lock, in which the thread says that it sleeps, too. Who finds
//! its gate among the jobs adds nothing: it is opened after that.
//!
//! It is the same process, so nobody else has to go on for the sleepers to be woken: if it dies, the
//! host forces all gates. What is published while the thread is about to open the gate costs no call.

#[cfg(all(test, loom))]
mod model;

use std::any::Any;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::notify::Gate;
use crate::prim::sync::{Condvar, Mutex, MutexGuard};
use crate::shm::View;
use crate::sys::Home;
#[cfg(not(loom))]
use crate::sys::signals::start_small_thread;

/// How long the thread stays with nothing to do.
const LINGER: Duration = Duration::from_secs(10);

/// What keeps the memory that a gate lies in.
pub type Keeps = Arc<dyn Any + Send + Sync>;

struct State {
    jobs: Vec<(View<Gate>, Keeps)>,
    /// Where there is a thread; a forked child of that process has none.
    runs: Option<Home>,
    /// It sleeps, and nobody has woken it yet.
    is_asleep: bool,
    is_over: bool,
}

impl State {
    const fn new() -> Self {
        State {
            jobs: Vec::new(),
            runs: None,
            is_asleep: false,
            is_over: false,
        }
    }

    fn is_running(&self) -> bool {
        self.runs.is_some_and(|home| home.is_here())
    }
}

struct Opener {
    state: Mutex<State>,
    is_called: Condvar,
    has_ended: Condvar,
}

#[cfg(not(loom))]
static OPENER: Opener = Opener {
    state: Mutex::new(State::new()),
    is_called: Condvar::new(),
    has_ended: Condvar::new(),
};

impl Opener {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in it is changed in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(jobs) = self.next() {
            // What was published before one of them asked was published before this.
            jobs.iter().for_each(|(gate, _)| gate.open_all());
        }
    }

    /// What is to be done, when there is something; `None`: the thread ends.
    fn next(&self) -> Option<Vec<(View<Gate>, Keeps)>> {
        let until = Instant::now() + LINGER;
        let mut state = self.lock();
        while state.jobs.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if state.is_over || left.is_zero() {
                state.runs = None;
                self.has_ended.notify_all();
                return None;
            }
            state.is_asleep = true;
            let woken = self.is_called.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.is_asleep = false;
        }
        Some(std::mem::take(&mut state.jobs))
    }

    /// False: there is no thread for it; `start` starts one.
    fn ask(
        &self,
        gate: &View<Gate>,
        keeps: &Keeps,
        start: impl FnOnce() -> std::io::Result<()>,
    ) -> bool {
        let mut state = self.lock();
        if state.is_over {
            return false;
        }
        if !state.is_running() {
            // What is there is of the process that this one was forked off.
            std::mem::take(&mut state.jobs)
                .into_iter()
                .for_each(std::mem::forget);
            state.is_asleep = false;
            if start().is_err() {
                return false;
            }
            state.runs = Some(Home::here());
        }
        let is_same = |(other, _): &(View<Gate>, _)| std::ptr::eq::<Gate>(&**other, &**gate);
        if state.jobs.iter().any(is_same) {
            return true;
        }
        state.jobs.push((gate.clone(), Arc::clone(keeps)));
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.is_called.notify_one();
        }
        true
    }

    fn end(&self) {
        let mut state = self.lock();
        state.is_over = true;
        self.is_called.notify_one();
        while state.is_running() {
            let ended = self.has_ended.wait(state);
            state = ended.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Wakes all that sleep at a gate, soon: as [`Gate::open_all`], but the caller does no more than
/// to wake one thread. `keeps` is dropped when it is done. The caller has published, and then passed
/// [`barrier::light`](crate::sys::barrier::light).
#[cfg(not(loom))]
#[inline]
pub fn open_all_soon(gate: &View<Gate>, keeps: &Keeps) {
    let start = || start_small_thread("pinfold-opener", || OPENER.run()).map(drop);
    if gate.is_awaited() && !OPENER.ask(gate, keeps, start) {
        gate.open_all();
    }
}

/// Ends the thread. To be called where it would be in the way.
#[cfg(not(loom))]
pub fn end_opener() {
    OPENER.end();
}
