//! A task's context on other threads of its process: see [`super::handed`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::prim::{Hint, TaskId};
use crate::sys::clock;

use super::context::{Cancelled, Context, ProgressError, report};
use super::handed::Handed;
use super::nest::Nest;

/// A task's [`Context`](crate::Context) for other threads; made by
/// [`Context::handle`](crate::Context::handle).
///
/// A task that uses threads of its own (rayon, say) gives each a clone: there it sees
/// cancellation and the deadline, and reports progress. It is of that one task: when the task has
/// ended, it says so, and [`ContextHandle::check`] fails, so that a thread that was left behind
/// ends too. One that was made outside of a task is of none: nothing is cancelled, there is no
/// deadline, and progress goes nowhere.
///
/// ```
/// # pinfold::test_setup!();
/// fn count(to: u64) -> Result<u64, String> {
///     let ctx = pinfold::context().handle();
///     let half = |from: u64, to: u64| {
///         let mut sum = 0;
///         for n in from..to {
///             ctx.check().map_err(|cancelled| cancelled.to_string())?;
///             sum += n;
///         }
///         Ok::<u64, String>(sum)
///     };
///     std::thread::scope(|threads| {
///         let other = threads.spawn(|| half(to / 2, to));
///         Ok(half(0, to / 2)? + other.join().unwrap()?)
///     })
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// assert_eq!(rt.spawn(count, 1000).join()?, Ok(499_500));
/// let endless = rt.spawn(count, u64::MAX);
/// endless.cancel();
/// assert!(matches!(endless.join(), Err(pinfold::TaskError::Cancelled { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ContextHandle(Option<Arc<Handed>>);

impl Nest {
    /// A handle of the task that runs on this thread.
    pub(super) fn hand(&self, task: Hint) -> ContextHandle {
        let mut handed = self.handed.borrow_mut();
        handed.retain(|handed| !handed.is_over());
        let known = handed.iter().find(|handed| handed.is_of(task));
        let one = known.map(Arc::clone).unwrap_or_else(|| {
            let one = Arc::new(Handed::new(self.runner, task));
            handed.push(Arc::clone(&one));
            one
        });
        self.runner.may_leave(true);
        ContextHandle(Some(one))
    }

    /// What is shared by the handles of a task, if there are any.
    pub(super) fn handed(&self, task: Hint) -> Option<Arc<Handed>> {
        let handed = self.handed.borrow();
        handed.iter().find(|handed| handed.is_of(task)).cloned()
    }

    /// A task that has run on this thread has ended, and so have its handles.
    pub(super) fn end_handles(&self, task: Hint) {
        let mut handed = self.handed.borrow_mut();
        handed.retain(|handed| {
            let is_of_another = !handed.is_of(task);
            if !is_of_another {
                handed.end();
            }
            is_of_another && !handed.is_over()
        });
        self.runner.may_leave(!handed.is_empty());
    }
}

impl Context {
    /// A context of the task for other threads, which it has started, or which work for it: see
    /// [`ContextHandle`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let work = |(): ()| {
    ///     let ctx = pinfold::context().handle();
    ///     let other = std::thread::spawn(move || {
    ///         ctx.report_progress(0.5, "half").unwrap();
    ///         ctx.task()
    ///     });
    ///     other.join().unwrap() == pinfold::current_task()
    /// };
    /// assert!(rt.spawn(work, ()).join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle(self) -> ContextHandle {
        self.running()
            .map_or_else(ContextHandle::of_none, |(nest, hint)| nest.hand(hint))
    }
}

impl ContextHandle {
    fn of_none() -> Self {
        ContextHandle(None)
    }

    /// Which task this is of.
    ///
    /// ```
    /// assert_eq!(pinfold::context().handle().task(), None); // in the host
    /// ```
    pub fn task(&self) -> Option<TaskId> {
        self.0.as_ref().map(|handed| TaskId::of(handed.task()))
    }

    /// Whether the task has ended. Once true it stays true. A later attempt at the same task is
    /// not meant.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::sync::Mutex;
    /// static KEPT: Mutex<Option<pinfold::ContextHandle>> = Mutex::new(None);
    /// let keep = |(): ()| {
    ///     let ctx = pinfold::context().handle();
    ///     let has_ended = ctx.has_ended();
    ///     *KEPT.lock().unwrap() = Some(ctx);
    ///     has_ended
    /// };
    /// assert!(!rt.spawn(keep, ()).join()?);
    /// // In the same worker, later:
    /// let look = |(): ()| KEPT.lock().unwrap().as_ref().is_some_and(|ctx| ctx.has_ended());
    /// assert!(rt.spawn(look, ()).join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_ended(&self) -> bool {
        self.0.as_ref().is_some_and(|handed| handed.is_over())
    }

    /// Whether what works for the task is to end: as
    /// [`Context::is_cancelled`](crate::Context::is_cancelled), and when the task has ended.
    /// Costs a few ns: ask often.
    ///
    /// ```
    /// assert!(!pinfold::context().handle().is_cancelled()); // in the host
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|handed| handed.is_to_end())
    }

    /// For `?`: an error if what works for the task is to end.
    ///
    /// # Errors
    /// [`Cancelled`].
    ///
    /// ```
    /// assert_eq!(pinfold::context().handle().check(), Ok(())); // in the host
    /// ```
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            return Err(Cancelled);
        }
        Ok(())
    }

    /// As [`Context::deadline`](crate::Context::deadline); `None` when the task has ended.
    ///
    /// ```
    /// assert_eq!(pinfold::context().handle().deadline(), None); // in the host
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        self.time_left().map(|left| now + left)
    }

    /// How long it is until [`ContextHandle::deadline`]; zero when that has passed.
    ///
    /// ```
    /// assert_eq!(pinfold::context().handle().time_left(), None); // in the host
    /// ```
    pub fn time_left(&self) -> Option<Duration> {
        let at = self.0.as_ref()?.deadline()?;
        Some(Duration::from_nanos(at.saturating_sub(clock::now())))
    }

    /// As [`Context::report_progress`](crate::Context::report_progress); several threads take
    /// turns. When the task has ended it goes nowhere.
    ///
    /// # Errors
    /// [`ProgressError`] if `fraction` is not a finite number.
    ///
    /// ```
    /// assert_eq!(pinfold::context().handle().report_progress(0.5, "half"), Ok(()));
    /// ```
    pub fn report_progress(&self, fraction: f64, message: &str) -> Result<(), ProgressError> {
        if !fraction.is_finite() {
            return Err(ProgressError { fraction });
        }
        if let Some(handed) = &self.0 {
            let writing = handed.lock();
            if !handed.is_over() && !handed.was_spawned() {
                report(handed.runner(), handed.task(), fraction, message);
            }
            drop(writing);
        }
        Ok(())
    }
}
