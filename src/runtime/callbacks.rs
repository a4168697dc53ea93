//! Callbacks: run in the host, each apart from the task and from the others.
//!
//! They are run by a pool of threads that grows while its threads are blocked (the
//! crate `blocking`), so one that never returns holds up nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

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
/// task.on_complete(|_| ())?;
/// let error: pinfold::CallbackError = task.on_complete(|_| ()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "on_complete was set before: a task has one, so do all in it",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// There is one already.
    #[error("{which} was set before: a task has one, so do all in it")]
    SetTwice {
        /// Which callback.
        which: &'static str,
    },
    /// The task waits for others, and has nothing to say yet.
    #[error("{which} can be set when the task is queued: now it waits for others")]
    NotQueued {
        /// Which callback.
        which: &'static str,
    },
    /// The outcome was taken by `try_join` or `join_timeout`.
    #[error("{which} was set after the outcome had been taken: set it before")]
    TooLate {
        /// Which callback.
        which: &'static str,
    },
}

/// Runs a callback on a thread of its own, or of nobody else's at least.
pub fn run(which: &'static str, callback: impl FnOnce() + Send + 'static) {
    let begin = Instant::now();
    let job = move || {
        if catch_unwind(AssertUnwindSafe(callback)).is_err() {
            tracing::error!(which, "a callback panicked");
        }
        let took = begin.elapsed();
        if took > LONG {
            tracing::warn!(which, ?took, "a callback took long");
        }
    };
    blocking::unblock(job).detach();
}

/// What tells `callback` how far a task is; never two calls at a time.
pub fn listener(
    scheduler: &Arc<Scheduler>,
    task: TaskId,
    callback: impl Fn(Progress) + Send + Sync + 'static,
) -> Arc<Listener> {
    let scheduler = Arc::downgrade(scheduler);
    let tell = Arc::new(Tell {
        callback,
        calls: AtomicU32::new(0),
    });
    Arc::new(move || {
        // ordering: AcqRel pairs with the subtraction in `Tell::all`: what is reported
        // after a call has looked is seen by the next one.
        if tell.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return; // who is at it will look again
        }
        let (tell, scheduler) = (Arc::clone(&tell), scheduler.clone());
        run("on_progress", move || tell.all(&scheduler, task));
    })
}

struct Tell<F> {
    callback: F,
    /// Calls that are due; the first one makes those of the others too.
    calls: AtomicU32,
}

impl<F: Fn(Progress)> Tell<F> {
    fn all(&self, scheduler: &Weak<Scheduler>, task: TaskId) {
        loop {
            // ordering: Acquire pairs with the addition in `listener`.
            let due = self.calls.load(Ordering::Acquire);
            let reported = scheduler.upgrade().and_then(|s| s.reported(task));
            if let Some(reported) = reported {
                let called = AssertUnwindSafe(|| (self.callback)(reported.into()));
                if catch_unwind(called).is_err() {
                    tracing::error!(which = "on_progress", "a callback panicked");
                }
            }
            // ordering: AcqRel pairs with the addition in `listener`.
            if self.calls.fetch_sub(due, Ordering::AcqRel) == due {
                return;
            }
        }
    }
}
