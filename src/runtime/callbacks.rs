//! Callbacks: run in the host, each apart from the task and from the others.
//!
//! They are run by the threads of [`background`], of which there is always one more: so those
//! that never return hold up nobody. That one has panicked is told to the subscriber of the
//! thread that set it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::background::{self, DroppedHere, Log, caught};
use crate::prim::TaskId;
use crate::scheduler::{Listener, Scheduler};

use super::handle::Progress;

/// A callback that runs longer than this is logged when it ends.
const LONG: Duration = Duration::from_secs(1);

/// Why a callback was not set.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut task = rt.spawn(|n: u32| n, 1);
/// let _ = task.join_timeout(std::time::Duration::MAX);
/// let error: pinfold::CallbackError = task.on_complete(|_| ()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "on_complete was set after the outcome had been taken: set it before",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// The task waits for others, has no slot, and so nothing to say yet. (A plain task with
    /// few inputs has one.)
    #[error("{which} can be set when the task is queued: now it waits for others")]
    NotQueued {
        /// Which callback.
        which: &'static str,
    },
    /// This process was forked off the one whose task it is: there is nobody to call it.
    #[error("{which} cannot be set in a process that was forked off the one whose task it is")]
    Forked {
        /// Which callback.
        which: &'static str,
    },
    /// The outcome was taken by `try_join`, `join_timeout` or `.await`.
    #[error("{which} was set after the outcome had been taken: set it before")]
    TooLate {
        /// Which callback.
        which: &'static str,
    },
}

/// What a callback is called when there is something to tell of it.
#[derive(Clone)]
pub struct Origin {
    which: &'static str,
    /// What the function of its task is called.
    task: fn() -> &'static str,
    log: Log,
}

impl Origin {
    /// Of one that is set by this thread.
    pub fn new(which: &'static str, task: fn() -> &'static str) -> Self {
        let log = Log::of_this_thread();
        Origin { which, task, log }
    }

    /// Calls it.
    fn call(&self, callback: impl FnOnce()) {
        let Err(panic) = caught(callback) else { return };
        let (which, task) = (self.which, (self.task)());
        self.log
            .with(|| tracing::error!(which, task, panic, "a callback panicked"));
    }

    /// Runs it on a thread that nothing else waits for.
    pub fn run(self, callback: impl FnOnce() + Send + 'static) {
        let begin = Instant::now();
        let job = move || {
            self.call(callback);
            let took = begin.elapsed();
            if took > LONG {
                let (which, task) = (self.which, (self.task)());
                self.log
                    .with(|| tracing::warn!(which, task, ?took, "a callback took long"));
            }
        };
        background::run(job);
    }
}

/// What tells `callback` how far a task is; never two calls at a time.
pub fn listener(
    origin: Origin,
    scheduler: &Arc<Scheduler>,
    task: TaskId,
    callback: impl Fn(Progress) + Send + Sync + 'static,
) -> Arc<Listener> {
    let scheduler = Arc::downgrade(scheduler);
    let tell = Arc::new(Tell {
        callback: DroppedHere::new(callback),
        calls: AtomicU32::new(0),
    });
    Arc::new(move || {
        // ordering: AcqRel pairs with the subtraction in `Tell::all`: what is reported
        // after a call has looked is seen by the next one.
        if tell.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return; // who is at it will look again
        }
        let (tell, scheduler) = (Arc::clone(&tell), scheduler.clone());
        let each = origin.clone();
        origin
            .clone()
            .run(move || tell.all(&each, &scheduler, task));
    })
}

struct Tell<F: Send + 'static> {
    callback: DroppedHere<F>,
    /// Calls that are due; the first one makes those of the others too.
    calls: AtomicU32,
}

impl<F: Fn(Progress) + Send + 'static> Tell<F> {
    fn all(&self, origin: &Origin, scheduler: &Weak<Scheduler>, task: TaskId) {
        loop {
            // ordering: Acquire pairs with the addition in `listener`.
            let due = self.calls.load(Ordering::Acquire);
            let reported = scheduler.upgrade().and_then(|s| s.reported(task));
            if let (Some(reported), Some(callback)) = (reported, self.callback.get()) {
                origin.call(|| callback(reported.into()));
            }
            // ordering: AcqRel pairs with the addition in `listener`.
            if self.calls.fetch_sub(due, Ordering::AcqRel) == due {
                return;
            }
        }
    }
}
