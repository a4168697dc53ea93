//! Threads of the host on which user code runs: callbacks, judges, drops, log events.
//!
//! User code may block, wait for the library, or never return. So no thread that the library needs (the
//! supervisor, an attendant, the holder of a lock) calls it; they hand it to these threads.
//!
//! ```text
//!   run ─▶ jobs ─▶ runners       as many as it takes: see below
//!   log ─▶ events ─▶ one job     one after the other, in their order
//! ```
//!
//! **How many runners.** A few start as soon as jobs wait. Whenever jobs wait and no job has ended for a
//! moment, one more is started, then two, four, …. So any number of jobs that never return delays no other, as
//! long as the system has threads; and many short jobs do not start a thread each. A runner that is idle for
//! some seconds ends.
//!
//! **When there are no threads.** The *watcher* starts the runners, and runs no job itself. It and the first
//! runner exist from the first start of a runtime on. So when no thread can be started, jobs still run, one
//! after the other; the watcher tries again ever more slowly, for as long as jobs wait.
//!
//! The threads are process-wide: all runtimes share them. In a process without a runtime (a worker, the
//! zygote) there are none, and log events are emitted where they happen.

mod events;
mod log;
mod panic;
#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use events::Events;
pub use log::{Log, detail, flush, log};
pub use panic::{Caught, NOT_TEXT, caught, discard, text_in};

/// So many runners are started without a look at how the others get on.
const EAGER: usize = 4;
/// How long no job may have ended for another runner to be started.
const STALL: Duration = Duration::from_millis(2);
/// The most that are started at a time.
const BURST_MAX: usize = 64;
/// How long to wait after a thread could not be made, at first and at most.
const REFUSED_MIN: Duration = Duration::from_millis(5);
const REFUSED_MAX: Duration = Duration::from_millis(200);
/// Who has nothing to do for so long leaves.
const IDLE: Duration = Duration::from_secs(5);
/// How long to wait for another thread that makes the first of them.
const START_MAX: Duration = Duration::from_secs(5);
/// So many stay.
const KEPT: usize = 1;

type Job = Box<dyn FnOnce() + Send>;
type Life = Box<dyn FnOnce() + Send>;

/// Starts a thread: how, is for another floor to say.
pub type Starter = fn(&str, Life) -> io::Result<thread::JoinHandle<()>>;

/// The threads, and what they have to do.
struct Pool {
    /// Whose they are.
    process: u32,
    starter: Starter,
    state: Mutex<State>,
    /// A job waits; for a runner.
    work: Condvar,
    /// More wait than runners are idle; for the watcher.
    lack: Condvar,
    events: Events,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    runners: usize,
    /// Those that wait for a job, or are about to take one.
    idle: usize,
    /// Jobs that have returned.
    ended: u64,
}

impl State {
    /// Jobs that no runner is there for.
    fn lacking(&self) -> usize {
        self.jobs.len().saturating_sub(self.idle)
    }
}

/// Those of this process; of its parent, in one that was forked.
static POOL: RwLock<Option<&'static Pool>> = RwLock::new(None);

/// The threads of this process; `None` if it has had no runtime. What a forked child has of
/// its parent's is nothing: a lock of theirs may be held for ever.
fn pool() -> Option<&'static Pool> {
    // Never held but for a moment by who starts a runtime, and by nobody who forks then.
    let pool = *POOL.try_read().ok()?;
    pool.filter(|pool| pool.process == std::process::id())
}

/// Makes the first threads, if that was not done: the watcher by `small`, all others by
/// `starter`.
///
/// # Errors
/// If there are none to be had.
pub fn start(starter: Starter, small: Starter) -> io::Result<()> {
    let process = std::process::id();
    if pool().is_some() {
        return Ok(());
    }
    let begin = Instant::now();
    let mut first = loop {
        match POOL.try_write() {
            Ok(first) => break first,
            Err(TryLockError::Poisoned(first)) => break first.into_inner(),
            // Another thread starts the first runtime, too. Or it did when this process was
            // forked, and holds the lock for ever.
            Err(TryLockError::WouldBlock) if begin.elapsed() > START_MAX => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(STALL),
        }
    };
    if first.is_some_and(|pool| pool.process == process) {
        return Ok(());
    }
    // As long as the process, as its threads.
    let pool: &'static Pool = Box::leak(Box::new(Pool {
        process,
        starter,
        state: Mutex::default(),
        work: Condvar::new(),
        lack: Condvar::new(),
        events: Events::default(),
    }));
    small("pinfold-watch", Box::new(move || pool.watch()))?;
    *first = Some(pool);
    drop(first);
    // The first runner: if it cannot be made the watcher goes on trying.
    pool.make_runner()
}

/// Has `job` run by one of the threads. It may block, and panic; and be dropped there. In a
/// process without runtimes it is run at once; in one that was forked off it is dropped.
pub fn run(job: impl FnOnce() + Send + 'static) {
    match pool() {
        Some(pool) => pool.add(Box::new(job)),
        None => drop(caught(job)),
    }
}

/// Something of the user's that is dropped by one of the threads, whoever drops this.
pub struct DroppedHere<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> DroppedHere<T> {
    /// Of `it`.
    pub fn new(it: T) -> Self {
        DroppedHere(Some(it))
    }

    /// It.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Send + 'static> Drop for DroppedHere<T> {
    fn drop(&mut self) {
        if let Some(it) = self.0.take() {
            run(move || drop(it));
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, job: Job) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        let is_lacking = state.lacking() > 0;
        drop(state);
        if is_lacking {
            self.lack.notify_one();
        } else {
            self.work.notify_one();
        }
    }

    fn make_runner(&'static self) -> io::Result<()> {
        self.lock().runners += 1;
        let made = (self.starter)("pinfold-call", Box::new(move || self.serve()));
        if made.is_err() {
            self.lock().runners -= 1;
        }
        made.map(drop)
    }

    /// A runner's life.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                let _ = caught(job);
                state = self.lock();
                state.ended += 1;
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() && state.runners > KEPT {
                state.runners -= 1;
                return;
            }
        }
    }

    /// The watcher's.
    fn watch(&'static self) {
        let mut burst = 1;
        let mut refused = REFUSED_MIN;
        let mut state = self.lock();
        loop {
            while state.lacking() == 0 {
                burst = 1;
                refused = REFUSED_MIN;
                state = self
                    .lack
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let eager = EAGER.saturating_sub(state.runners);
            let wanted = if eager > 0 { eager } else { burst };
            let wanted = wanted.min(state.lacking());
            if eager == 0 {
                let ended = state.ended;
                state = self.pause(state, STALL);
                if state.lacking() == 0 {
                    continue;
                }
                if state.ended != ended {
                    burst = 1;
                    continue;
                }
                burst = (2 * burst).min(BURST_MAX);
            }
            drop(state);
            let made = (0..wanted).try_for_each(|_| self.make_runner());
            state = self.lock();
            if made.is_err() {
                state = self.pause(state, refused);
                refused = (2 * refused).min(REFUSED_MAX);
            }
        }
    }

    fn pause<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        let end = Instant::now() + time;
        let mut state = state;
        loop {
            // Each job that comes rings: that is no reason to look earlier.
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state;
            }
            let waited = self.lack.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
