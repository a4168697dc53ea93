//! Waking many, by a thread that has time for it.
//!
//! To wake one sleeper costs whoever does it some 10 µs, and to wake 64 of them as many times as
//! much, though it is one system call. So who publishes for many wakes one thread of its own process,
//! which wakes them all: a thread of the library, which is started when it is first needed, and ends
//! when it was not for a while.
//!
//! It is the same process, so nobody else has to go on for the sleepers to be woken: if it dies, the
//! host forces all gates. What is published while the thread is about to open the gate costs no call.

use std::any::Any;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use crate::notify::Gate;
use crate::shm::View;
use crate::sys::signals::start_small_thread;

/// How long the thread stays with nothing to do.
const LINGER: Duration = Duration::from_secs(10);

/// What keeps the memory that a gate lies in.
pub type Keeps = Arc<dyn Any + Send + Sync>;

struct State {
    jobs: Vec<(View<Gate>, Keeps)>,
    thread: Option<JoinHandle<()>>,
    is_over: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    jobs: Vec::new(),
    thread: None,
    is_over: false,
});
static HAS_ENDED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    // What is in it is changed in single steps.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run() {
    loop {
        let jobs = std::mem::take(&mut lock().jobs);
        if !jobs.is_empty() {
            // What was published before one of them asked was published before this.
            jobs.iter().for_each(|(gate, _)| gate.open_all());
            continue;
        }
        let until = Instant::now() + LINGER;
        park_timeout(LINGER);
        let mut state = lock();
        if state.jobs.is_empty() && (state.is_over || Instant::now() >= until) {
            state.thread = None;
            HAS_ENDED.notify_all();
            return;
        }
    }
}

/// False: there is no thread for it.
fn ask(gate: &View<Gate>, keeps: &Keeps) -> bool {
    let mut state = lock();
    if state.is_over {
        return false;
    }
    if state.thread.is_none() {
        state.thread = start_small_thread("pinfold-opener", run).ok();
    }
    if state.thread.is_none() {
        return false;
    }
    let is_same = |(other, _): &(View<Gate>, _)| std::ptr::eq::<Gate>(&**other, &**gate);
    if state.jobs.iter().any(is_same) {
        return true;
    }
    state.jobs.push((gate.clone(), Arc::clone(keeps)));
    let was_called = state.jobs.len() > 1;
    if let Some(thread) = state.thread.as_ref().filter(|_| !was_called) {
        let thread = thread.thread().clone();
        drop(state);
        thread.unpark();
    }
    true
}

/// Wakes all that sleep at a gate, soon: as [`Gate::open_all`], but the caller does no more than
/// to wake one thread. `keeps` is dropped when it is done. The caller has published, and then passed
/// [`barrier::light`](crate::sys::barrier::light).
#[inline]
pub fn open_all_soon(gate: &View<Gate>, keeps: &Keeps) {
    if gate.is_awaited() && !ask(gate, keeps) {
        gate.open_all();
    }
}

/// Ends the thread. To be called where it would be in the way.
pub fn end_opener() {
    let mut state = lock();
    state.is_over = true;
    while let Some(thread) = &state.thread {
        thread.thread().unpark();
        let ended = HAS_ENDED.wait(state);
        state = ended.unwrap_or_else(PoisonError::into_inner);
    }
}
