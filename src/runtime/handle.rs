//! The handle of a task.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::prim::TaskId;
use crate::scheduler::{Claim, Outcome, Reach, SMALL, Scheduler, Ticket, Value, small};
use crate::task::Reported;

use super::held::Held;
use super::memo::Call;

/// A task that was submitted; ends in its value or in a [`TaskError`].
///
/// Dropping a handle detaches it: the task runs all the same and its outcome is
/// counted, but nobody sees it; of a failure there is a log event, and it is counted as
/// [`unobserved`](crate::Counters::unobserved). A handle may outlive its runtime: it has ended
/// then.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let handle: pinfold::Handle<u32> = rt.spawn(|n: u32| n + 1, 1);
/// drop(rt); // waits for the task
/// assert_eq!(handle.join()?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping the handle detaches the task; call `join` for its outcome"]
pub struct Handle<R> {
    /// There until [`Handle::take_small_if`] has left it to others.
    pub(super) scheduler: Option<Held>,
    /// There until `join` has taken a value of a few bytes.
    pub(super) ticket: Claim,
    result: PhantomData<fn() -> R>,
}

// Two registers: programs move handles about, and what was written in pieces a moment ago is
// not moved at once.
const _: () = assert!(size_of::<Option<Handle<()>>>() == 16);

/// How far a task has said it is; from [`Handle::progress`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let task = rt.spawn(|()| pinfold::context().report_progress(0.5, "half").is_ok(), ());
/// while !task.is_finished() {
///     let progress: Option<pinfold::Progress> = task.progress();
///     assert!(progress.is_none_or(|progress| progress.message == "half"));
/// }
/// assert_eq!(task.join()?, true);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// By custom 0 to 1; a finite number, unless shared memory is damaged.
    pub fraction: f64,
    /// What the task said.
    pub message: String,
}

impl From<Reported> for Progress {
    fn from(reported: Reported) -> Self {
        Progress {
            fraction: reported.fraction,
            message: reported.message,
        }
    }
}

impl<R: DeserializeOwned> Handle<R> {
    #[inline]
    pub(super) fn new(scheduler: Held, ticket: Ticket) -> Self {
        Handle {
            scheduler: Some(scheduler),
            ticket: ticket.into(),
            result: PhantomData,
        }
    }

    /// Of a task that ended before it was queued.
    #[cold]
    pub(super) fn failed(
        scheduler: Held,
        name: fn() -> &'static str,
        error: Box<TaskError>,
    ) -> Self {
        let ticket = scheduler.ended(name, Arc::new(Err(error)));
        Self::new(scheduler, ticket)
    }

    /// Waits for the task to end.
    ///
    /// # Errors
    /// Why there is no value: [`TaskError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.spawn(|n: u32| n + 1, 1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn join(self) -> Result<R, TaskError> {
        self.join_as(Ok)
    }

    /// The same, and makes something else of the value.
    #[inline(always)]
    fn join_as<T>(mut self, of: impl FnOnce(R) -> Result<T, TaskError>) -> Result<T, TaskError> {
        if let Some(taken) = self.take_small() {
            return taken.decode(of);
        }
        self.take(|scheduler, ticket| scheduler.wait(ticket, None))
            .unwrap_or_else(|| Err(TaskError::shutdown()))
            .and_then(of)
            .map_err(|error| self.told_of(error))
    }

    /// As [`join`](Handle::join), if the task has ended and `accepts` the outcome; else the handle
    /// itself, which has it still. It may look for the end for a microsecond or two. A value with a
    /// [`Loan`](crate::Loan) in it is an error here, as for [`outcome`](Handle::outcome).
    ///
    /// # Errors
    /// The handle.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut task = rt.spawn(|n: u32| n + 1, 1);
    /// let outcome = loop {
    ///     match task.join_if(|outcome| outcome.is_ok()) {
    ///         Ok(outcome) => break outcome,
    ///         Err(handle) => task = handle, // … do something else
    ///     }
    /// };
    /// assert_eq!(outcome, Ok(2));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn join_if(
        mut self,
        accepts: impl FnOnce(&Result<R, TaskError>) -> bool,
    ) -> Result<Result<R, TaskError>, Self> {
        let mut taken = self.take_small();
        if taken.is_none() {
            // It is collected now if it has ended, and others with it.
            let ended = self.ticket().map(|t| self.scheduler().peek(t).is_some());
            if ended == Some(false) {
                return Err(self);
            }
            taken = self.take_small();
        }
        if let Some(taken) = taken {
            let outcome = taken.decode(Ok);
            if accepts(&outcome) {
                return Ok(outcome);
            }
            self.ticket = self.scheduler().ended(taken.function, taken.value()).into();
            return Err(self);
        }
        match self.outcome(Duration::ZERO) {
            Some(outcome) if accepts(&outcome) => Ok(outcome),
            _ => Err(self),
        }
    }

    /// Waits at most `timeout`; `None` when the task has not ended by then (it
    /// goes on, and can be joined again).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let mut nap = rt.spawn(|ms| std::thread::sleep(Duration::from_millis(ms)), 200);
    /// assert!(nap.join_timeout(Duration::from_millis(1)).is_none());
    /// assert_eq!(nap.join_timeout(Duration::from_secs(60)), Some(Ok(())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<R, TaskError>> {
        let deadline = Instant::now().checked_add(timeout);
        self.take(|scheduler, ticket| scheduler.wait(ticket, deadline))
    }

    /// The outcome, if the task has ended; never waits.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut task = rt.spawn(|n: u32| n + 1, 1);
    /// let value = loop {
    ///     if let Some(outcome) = task.try_join() {
    ///         break outcome?;
    ///     }
    ///     std::thread::yield_now(); // … do something else
    /// };
    /// assert_eq!(value, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_join(&mut self) -> Option<Result<R, TaskError>> {
        self.take(Scheduler::poll)
    }

    /// What has become of the task, if it has ended within `timeout`, and as often as it is asked
    /// for: the handle keeps the outcome, so that another task may be submitted after it still.
    /// Without time it never waits; [`Duration::MAX`] is no limit. A value with a
    /// [`Loan`](crate::Loan) in it is had by `join` only; here it is an error.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let task = rt.spawn(|n: u32| n + 1, 1);
    /// assert_eq!(task.outcome(Duration::MAX), Some(Ok(2)));
    /// assert_eq!(task.outcome(Duration::ZERO), Some(Ok(2)));
    /// assert_eq!(task.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn outcome(&self, timeout: Duration) -> Option<Result<R, TaskError>> {
        if timeout.is_zero() {
            return self.take(Scheduler::peek);
        }
        // Without a limit the clock is not looked at.
        let deadline = match timeout {
            Duration::MAX => None,
            timeout => Instant::now().checked_add(timeout),
        };
        self.take(|scheduler, ticket| scheduler.look(ticket, deadline))
    }

    /// Waits for the end of the task, at most `timeout`, and leaves the outcome where it is; whether
    /// the task has ended. [`Duration::MAX`] is no limit. Any number of threads may wait for one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let nap = rt.spawn(|ms| std::thread::sleep(Duration::from_millis(ms)), 200);
    /// assert!(!nap.wait_timeout(Duration::from_millis(1)));
    /// assert!(nap.wait_timeout(Duration::MAX));
    /// assert_eq!(nap.join(), Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = match timeout {
            Duration::MAX => None,
            timeout => Instant::now().checked_add(timeout),
        };
        let ticket = self.ticket();
        ticket.is_none_or(|ticket| self.scheduler().look(ticket, deadline).is_some())
    }

    /// A value of a few bytes, if it is there; the ticket is gone then.
    #[inline(always)]
    fn take_small(&mut self) -> Option<Taken> {
        let mut words = [0; _];
        let ticket = self.ticket()?;
        let (len, is_err, function) = self.scheduler().take_small(ticket, &mut words)?;
        self.ticket = Claim::none();
        Some(Taken {
            len,
            is_err,
            words,
            function,
        })
    }

    #[inline]
    fn take(
        &self,
        get: impl FnOnce(&Scheduler, &Ticket) -> Option<Outcome>,
    ) -> Option<Result<R, TaskError>> {
        let Some(ticket) = self.ticket() else {
            return Some(Err(TaskError::already_joined()));
        };
        let decoded = decode(get(self.scheduler(), ticket)?);
        Some(decoded.map_err(|error| self.told_of(error)))
    }
}

#[inline]
pub(super) fn decode<R: DeserializeOwned>(outcome: Outcome) -> Result<R, TaskError> {
    match outcome {
        Ok(value) => value.decode(),
        Err(error) => Err(*error),
    }
}

/// A value of a few bytes that a handle had.
struct Taken {
    len: u8,
    is_err: bool,
    words: [u64; SMALL / 8],
    function: fn() -> &'static str,
}

impl Taken {
    #[inline(always)]
    fn decode<R: DeserializeOwned, T>(
        &self,
        of: impl FnOnce(R) -> Result<T, TaskError>,
    ) -> Result<T, TaskError> {
        let value = small(self.len, &self.words).and_then(of);
        value.map_err(|error| error.told_of((self.function)()))
    }

    /// The same as an outcome.
    #[cold]
    fn value(&self) -> Arc<Outcome> {
        Arc::new(Ok(Value::Small {
            len: self.len,
            is_err: self.is_err,
            words: self.words,
        }))
    }
}

impl<R> Drop for Handle<R> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket() {
            abandon(self.scheduler(), ticket);
        }
    }
}

/// The handle of a task is gone, whose ticket is still there.
#[cold]
fn abandon(scheduler: &Scheduler, ticket: &Ticket) {
    if let Some(reach) = ticket.aborts()
        && !scheduler.is_taken(ticket)
    {
        scheduler.cancel(ticket, reach);
    }
    scheduler.detach(ticket);
}

impl<R> Handle<R> {
    /// Whose the task is; asked only when there is a ticket.
    #[inline(always)]
    pub(super) fn scheduler(&self) -> &Held {
        match &self.scheduler {
            Some(scheduler) => scheduler,
            None => unreachable!("who has taken the value uses the handle no more"),
        }
    }

    /// Its claim to an outcome, if it has one.
    #[inline(always)]
    pub(super) fn ticket(&self) -> Option<&Ticket> {
        self.ticket.get()
    }

    /// What the function of its task is called.
    pub(super) fn name(&self) -> fn() -> &'static str {
        let ticket = self.ticket();
        ticket.map_or(|| "", |ticket| self.scheduler().name_of(ticket))
    }

    /// An error that was made of its value.
    #[cold]
    fn told_of(&self, mut error: TaskError) -> TaskError {
        if let Some(ticket) = self.ticket() {
            self.scheduler().tell_of(ticket, &mut error);
        }
        error
    }

    /// Its outcome is remembered.
    pub(super) fn remember(&self, call: Call) {
        if let Some(ticket) = self.ticket() {
            call.follow(self.scheduler(), ticket);
        }
    }

    /// Which task it is; `None` while it waits for others (but not if it is plain, with few
    /// inputs: that is in a slot meanwhile), if it ended before it was
    /// queued or with its runtime, or its outcome was taken.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (a, b) = (rt.spawn(|n: u32| n, 1), rt.spawn(|n: u32| n, 1));
    /// assert_ne!(a.id(), b.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> Option<TaskId> {
        let ticket = self.ticket()?;
        self.scheduler().task_id(ticket)
    }

    /// Cancels the task. One that has not begun never will, and ends with
    /// [`TaskError::Cancelled`]. One that runs is asked to end: it sees so with
    /// [`Context::is_cancelled`](crate::Context::is_cancelled) and
    /// [`Context::check`](crate::Context::check), and so do the tasks it has spawned;
    /// what it spawned and was not begun never is. If it then returns an `Err`, or its
    /// worker dies, it ends with `Cancelled`; if it returns a value, that is its value, and
    /// a panic stays a panic. It is not tried again.
    ///
    /// Returns whether the task had not ended.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let busy = rt.spawn(|ms| std::thread::sleep(std::time::Duration::from_millis(ms)), 200);
    /// let queued = rt.spawn(|n: u32| n, 1);
    /// assert!(queued.cancel());
    /// assert!(matches!(queued.join(), Err(pinfold::TaskError::Cancelled { .. })));
    /// # busy.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        self.cancel_by(None)
    }

    /// As [`Handle::cancel`]; but if the task still runs after `grace`, its worker is
    /// killed (and replaced), and it ends with [`TaskError::Cancelled`]. So a task can be ended
    /// that never checks, in a loop or in a C library; a thread cannot.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn deaf(_: ()) {
    ///     loop {}
    /// }
    /// let task = rt.spawn(deaf, ());
    /// task.cancel_within(std::time::Duration::from_millis(20));
    /// assert!(matches!(task.join(), Err(pinfold::TaskError::Cancelled { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_within(&self, grace: Duration) -> bool {
        self.cancel_by(Some(grace))
    }

    fn cancel_by(&self, grace: Option<Duration>) -> bool {
        let ticket = self.ticket();
        ticket.is_some_and(|ticket| self.scheduler().cancel(ticket, Reach::with(grace)))
    }

    /// From here on, dropping the handle before it was joined [cancels](Handle::cancel)
    /// the task, instead of letting it run on. A running task that never checks runs on all the
    /// same: see [`abort_on_drop_within`](Handle::abort_on_drop_within).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let busy = rt.spawn(|ms| std::thread::sleep(std::time::Duration::from_millis(ms)), 200);
    /// drop(rt.spawn(|n: u32| n, 1).abort_on_drop());
    /// assert_eq!(rt.stats().tasks.cancelled, 1);
    /// # busy.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort_on_drop(self) -> Self {
        self.abort_by(Reach::Running)
    }

    /// From here on, dropping the handle before it was joined cancels the task; and if it
    /// still runs after `grace` (in milliseconds, twelve days at most), its worker is killed:
    /// [`Handle::cancel_within`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn deaf(_: ()) {
    ///     loop {}
    /// }
    /// drop(rt.spawn(deaf, ()).abort_on_drop_within(std::time::Duration::from_millis(20)));
    /// assert_eq!(rt.spawn(|n: u32| n, 1).join()?, 1); // there is a worker for it
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort_on_drop_within(self, grace: Duration) -> Self {
        self.abort_by(Reach::Within(grace))
    }

    fn abort_by(mut self, reach: Reach) -> Self {
        if let Some(ticket) = self.ticket.get_mut() {
            ticket.abort_on_drop(reach);
        }
        self
    }

    /// How far the task has last said it is; `None` if it has said nothing, or has
    /// ended. Takes no lock and never waits.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n, 1);
    /// assert_eq!(task.progress(), None); // this one says nothing
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(&self) -> Option<Progress> {
        let id = self.id()?;
        let reported = self.scheduler().reported(id)?;
        Some(Progress::from(reported))
    }

    /// Whether the task has ended; never waits.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n + 1, 1);
    /// while !task.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// # task.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_finished(&self) -> bool {
        let ticket = self.ticket();
        ticket.is_none_or(|ticket| self.scheduler().is_settled(ticket))
    }
}

impl<T: DeserializeOwned, E: DeserializeOwned + Display> Handle<Result<T, E>> {
    /// As [`Handle::join`] for a task that returns a `Result`: its error becomes
    /// [`TaskError::Returned`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn parse(s: String) -> Result<i32, String> {
    ///     s.parse().map_err(|e| format!("{s:?}: {e}"))
    /// }
    /// assert_eq!(rt.spawn(parse, "7".into()).join_flat()?, 7);
    /// let error = rt.spawn(parse, "x".into()).join_flat().unwrap_err();
    /// assert!(error.to_string().contains("invalid digit"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn join_flat(self) -> Result<T, TaskError> {
        self.join_as(|value| value.map_err(|error| TaskError::returned(error.to_string())))
    }
}
