//! Callbacks: run in the host, each apart from the task and from the others.
//!
//! They are run by the threads of [`background`], of which there is always one more: so those
//! that never return hold up nobody. That one has panicked is told to the subscriber of the
//! thread that set it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::background::{self, DroppedHere, Log, caught};
use crate::error::TaskError;
use crate::prim::TaskId;
use crate::scheduler::{Listener, Outcome, Scheduler, Ticket, decode_again};

use super::handle::{Handle, Progress};
use super::held::Held;

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
    scheduler: &Held,
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

/// What a function is called.
type Name = fn() -> &'static str;

impl<R: DeserializeOwned + Send + 'static> Handle<R> {
    /// Calls `callback` with the outcome when the task has ended, on a thread of the library in
    /// the host. It may block, and it may panic: a panic is a `tracing` event of level ERROR with
    /// `which` callback, `task` and what the `panic` said, for the subscriber of the thread that
    /// calls `on_complete`. A callback that does not return keeps its thread, and the others get
    /// another; while the system has no more threads, they are called one after the other.
    ///
    /// A task may have several callbacks; they are called in any order, and perhaps at the same
    /// time. The handle may be joined or dropped as ever. A value with a [`Loan`](crate::Loan) in
    /// it goes to the handle alone.
    ///
    /// # Errors
    /// [`CallbackError`] if the outcome was taken.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let task = rt.spawn(|n: u32| n + 1, 1);
    /// for tell in [tell.clone(), tell] {
    ///     task.on_complete(move |outcome| tell.send(outcome).unwrap())?;
    /// }
    /// assert_eq!((told.recv()?, told.recv()?), (Ok(2), Ok(2)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_complete(
        &self,
        callback: impl FnOnce(Result<R, TaskError>) + Send + 'static,
    ) -> Result<(), CallbackError> {
        let which = "on_complete";
        let decoded = |outcome: &Outcome, function: Name| {
            let mut decoded = None;
            // Its decoding is the user's own code too.
            let panicked = caught(|| decoded = Some(decode_again(outcome)));
            let decoded = decoded.unwrap_or_else(|| {
                let what = panicked.err().unwrap_or_default();
                Err(TaskError::result(format!("its decoding panicked: {what}")))
            });
            Some(decoded.map_err(|error| error.told_of(function())))
        };
        self.call_back(which, decoded, callback)
    }

    /// As [`Handle::on_complete`], but only if there is no value.
    ///
    /// # Errors
    /// [`CallbackError`] if the outcome was taken.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let task = rt.spawn(|n: u32| 1 / n, 0);
    /// task.on_error(move |error| tell.send(error.to_string()).unwrap())?;
    /// assert!(told.recv()?.contains("divide by zero"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_error(
        &self,
        callback: impl FnOnce(TaskError) + Send + 'static,
    ) -> Result<(), CallbackError> {
        let which = "on_error";
        let error =
            |outcome: &Outcome, _: Name| outcome.as_ref().err().map(|error| (**error).clone());
        self.call_back(which, error, callback)
    }

    /// Has `callback` called when the task has said how far it is
    /// ([`Context::report_progress`](crate::Context::report_progress)). Several reports
    /// may come as one, the last; there is never more than one call at a time of each callback.
    ///
    /// # Errors
    /// [`CallbackError`] if the outcome was taken, or the task waits for others: then it can
    /// be set later.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn work(_: ()) {
    ///     for step in 0..10 {
    ///         let _ = pinfold::context().report_progress(f64::from(step) / 10.0, "working");
    ///         std::thread::sleep(std::time::Duration::from_millis(5));
    ///     }
    /// }
    /// let task = rt.spawn(work, ());
    /// task.on_progress(|progress| println!("{:3.0}%", 100.0 * progress.fraction))?;
    /// task.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(
        &self,
        callback: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<(), CallbackError> {
        let which = "on_progress";
        let name = self.name();
        let ticket = self.to_follow(which)?;
        // Somebody must follow it, for the attendant to be awake. If it has ended, it says
        // nothing any more.
        if self.scheduler().follow(ticket, Box::new(|_| ())).is_ok() {
            let Some(task) = self.scheduler().task_id(ticket) else {
                return Err(CallbackError::NotQueued { which });
            };
            let origin = Origin::new(which, name);
            let listener = listener(origin, self.scheduler(), task, callback);
            self.scheduler().listen(ticket, listener);
        }
        Ok(())
    }

    fn call_back<T: Send + 'static>(
        &self,
        which: &'static str,
        of: fn(&Outcome, Name) -> Option<T>,
        callback: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), CallbackError> {
        let function = self.name();
        let origin = Origin::new(which, function);
        let ticket = self.to_follow(which)?;
        let follower = move |outcome: &Arc<Outcome>| {
            let outcome = Arc::clone(outcome);
            origin.run(move || {
                let of_interest = of(&outcome, function);
                drop(outcome);
                if let Some(it) = of_interest {
                    callback(it);
                }
            });
        };
        if let Err((follower, outcome)) = self.scheduler().follow(ticket, Box::new(follower)) {
            follower(&outcome);
        }
        Ok(())
    }
}

impl<R> Handle<R> {
    /// Has `waker` woken when the task has ended, by a thread of the host that is not yours, or at
    /// once if it has: for event loops, which then look at the handle. There may be any number of
    /// them, each of which is woken once; `.await` has one of its own. As every waker it must
    /// not block.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// struct Unpark(std::thread::Thread);
    /// impl std::task::Wake for Unpark {
    ///     fn wake(self: std::sync::Arc<Self>) {
    ///         self.0.unpark()
    ///     }
    /// }
    /// let me = std::sync::Arc::new(Unpark(std::thread::current()));
    /// let task = rt.spawn(|n: u32| n + 1, 1);
    /// task.wake_when_ended(me.into());
    /// while !task.is_finished() {
    ///     std::thread::park(); // … as event loops do
    /// }
    /// assert_eq!(task.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wake_when_ended(&self, waker: Waker) {
        let Some(ticket) = self.ticket() else {
            return waker.wake();
        };
        let mut waker = Some(waker);
        let follower = move |outcome: &Arc<Outcome>| {
            let _ = outcome;
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        };
        if let Err((follower, outcome)) = self.scheduler().follow(ticket, Box::new(follower)) {
            follower(&outcome);
        }
    }

    /// The ticket, if the callback `which` can be set.
    fn to_follow(&self, which: &'static str) -> Result<&Ticket, CallbackError> {
        match self.ticket() {
            Some(_) if self.scheduler().is_elsewhere() => Err(CallbackError::Forked { which }),
            Some(ticket) if !self.scheduler().is_taken(ticket) => Ok(ticket),
            _ => Err(CallbackError::TooLate { which }),
        }
    }
}
