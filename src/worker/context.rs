//! A task's context: what it can learn about itself, and the progress that it can report.

use std::any::Any;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::prim::{Hint, TaskId};
use crate::sys::{barrier, clock};

use super::here::worker_state;
use super::nest::Nest;
use super::runner::Runner;

/// The task was cancelled; [`Context::check`] says so. A task may return it, as all errors that a
/// task is told: `fn work(n: u64) -> Result<u64, Cancelled> { context().check()?; Ok(n) }`.
///
/// ```
/// let error: Box<dyn std::error::Error> = pinfold::Cancelled.into();
/// assert_eq!(error.to_string(), "the task was cancelled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the task was cancelled")]
pub struct Cancelled;

/// A fraction that is no number cannot be reported as progress.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let told = rt.spawn(
///     |()| {
///         let error: pinfold::ProgressError =
///             pinfold::context().report_progress(f64::NAN, "").unwrap_err();
///         error.to_string()
///     },
///     (),
/// );
/// assert_eq!(told.join()?, "progress must be a finite number, not NaN");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("progress must be a finite number, not {fraction}")]
#[non_exhaustive]
pub struct ProgressError {
    /// What was to be reported.
    pub fraction: f64,
}

/// The task that runs on this thread, as it sees itself; made by [`context`].
///
/// Outside of a task (in the host, or on another thread that a task has started) there
/// is none: nothing is cancelled, there is no deadline, and progress goes nowhere. For other
/// threads of the task there is [`Context::handle`].
///
/// ```
/// # pinfold::test_setup!();
/// fn count(to: u64) -> Result<u64, String> {
///     let ctx = pinfold::context();
///     let mut sum = 0;
///     for n in 0..to {
///         ctx.check().map_err(|cancelled| cancelled.to_string())?;
///         sum += n;
///     }
///     Ok(sum)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let endless = rt.spawn(count, u64::MAX);
/// endless.cancel();
/// assert!(matches!(endless.join(), Err(pinfold::TaskError::Cancelled { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Context {
    // What it says is of this thread.
    not_send: std::marker::PhantomData<*const ()>,
}

/// The [`Context`] of the task that runs on this thread.
///
/// ```
/// assert!(!pinfold::context().is_cancelled()); // in the host there is none
/// ```
pub fn context() -> Context {
    Context {
        not_send: std::marker::PhantomData,
    }
}

/// The task that runs on this thread; `None` outside of tasks.
///
/// ```
/// assert_eq!(pinfold::current_task(), None); // in the host
/// ```
pub fn current_task() -> Option<TaskId> {
    context().task()
}

impl Context {
    pub(super) fn running(self) -> Option<(&'static Nest, Hint)> {
        let nest = Nest::here()?;
        let running = nest.runner.current()?;
        Some((nest, running))
    }

    /// Which task this is.
    ///
    /// ```
    /// assert_eq!(pinfold::context().task(), None); // in the host
    /// ```
    pub fn task(self) -> Option<TaskId> {
        self.running().map(|(_, hint)| TaskId::of(hint))
    }

    /// Whether the task was told to end: it was cancelled, or its hard deadline or its run limit
    /// has passed.
    ///
    /// A task that another has spawned hears the same of the task of the host that it is part
    /// of, wherever it runs, and also that this one, or its own parent, has died with its
    /// worker; and a detached one hears that the runtime shuts down. Once true it stays true.
    /// What does not listen is killed with its worker in the end: see [`spawn`](crate::spawn()).
    ///
    /// Costs a few ns: ask often.
    ///
    /// ```
    /// assert!(!pinfold::context().is_cancelled()); // in the host
    /// ```
    pub fn is_cancelled(self) -> bool {
        self.running()
            .is_some_and(|(nest, hint)| nest.runner.is_to_end(hint))
    }

    /// For `?`: an error if the task was cancelled.
    ///
    /// # Errors
    /// [`Cancelled`]. A task that was cancelled and then returns any `Err` ends with
    /// [`TaskError::Cancelled`](crate::TaskError::Cancelled).
    ///
    /// ```
    /// assert_eq!(pinfold::context().check(), Ok(())); // in the host
    /// ```
    pub fn check(self) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            return Err(Cancelled);
        }
        Ok(())
    }

    /// When the task should have ended: the earliest of its soft deadline, its hard deadline and
    /// the end of its [run limit](crate::Task::run_limit). A task that another has spawned has
    /// that of the task of the host it is part of.
    ///
    /// ```
    /// assert_eq!(pinfold::context().deadline(), None); // in the host
    /// ```
    pub fn deadline(self) -> Option<Instant> {
        let now = Instant::now();
        // One that has passed is now.
        self.time_left().map(|left| now + left)
    }

    /// How long it is until [`Context::deadline`]; zero when that has passed.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let task = rt.task(|()| pinfold::context().time_left());
    /// let left = task.soft_deadline(Duration::from_secs(60)).spawn(()).join()?;
    /// assert!(left.is_some_and(|left| left <= Duration::from_secs(60)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn time_left(self) -> Option<Duration> {
        let (nest, hint) = self.running()?;
        let at = nest.runner.deadline(hint)?;
        Some(Duration::from_nanos(at.saturating_sub(clock::now())))
    }

    /// Tells whoever has the task's handle how far the task is:
    /// [`Handle::progress`](crate::Handle::progress). `fraction` is by custom 0 to 1,
    /// but may be any finite number; of the message the first 88 bytes are kept. Costs
    /// some 20 ns.
    ///
    /// # Errors
    /// [`ProgressError`] if `fraction` is not a finite number.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let work = rt.spawn(
    ///     |steps: u32| {
    ///         for step in 0..steps {
    ///             let done = f64::from(step) / f64::from(steps);
    ///             pinfold::context().report_progress(done, "working").unwrap();
    ///             // …
    ///         }
    ///     },
    ///     10,
    /// );
    /// if let Some(progress) = work.progress() {
    ///     println!("{:3.0}% {}", 100.0 * progress.fraction, progress.message);
    /// }
    /// work.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn report_progress(self, fraction: f64, message: &str) -> Result<(), ProgressError> {
        if !fraction.is_finite() {
            return Err(ProgressError { fraction });
        }
        let Some((nest, hint)) = self.running() else {
            return Ok(());
        };
        if nest.runner.may_anything_be_left()
            && let Some(handed) = nest.handed(hint)
        {
            // Other threads may be about to report too.
            let _writing = handed.lock();
            report(nest.runner, hint, fraction, message);
        } else {
            report(nest.runner, hint, fraction, message);
        }
        Ok(())
    }

    /// What `worker_init` made in this worker: see
    /// [`worker_state`](crate::worker_state).
    ///
    /// ```
    /// assert_eq!(pinfold::context().state::<u32>(), None); // in the host
    /// ```
    pub fn state<T: Any + Send + Sync>(self) -> Option<&'static T> {
        worker_state::<T>()
    }
}

/// Says beside the slot of `task`, which runs, how far it is. One at a time.
pub(super) fn report(runner: &Runner, task: Hint, fraction: f64, message: &str) {
    let note = &runner.fold.notes[task.slot.at()];
    note.report(task.generation, fraction, message);
    if note.is_listening(task.generation) {
        // The host, before it sleeps, passes the heavy barrier.
        barrier::light();
        runner.fold.host_bell.ring();
    }
}
