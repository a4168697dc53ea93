//! The handle of a task.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Outcome, Scheduler, Ticket};

/// A task that was submitted; ends in its value or in a [`TaskError`].
///
/// Dropping a handle detaches it: the task runs all the same and its outcome is
/// counted, but nobody sees it. A handle may outlive its runtime: it has ended
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
    scheduler: Arc<Scheduler>,
    claim: Claim,
    result: PhantomData<fn() -> R>,
}

/// What a handle still has to get.
#[derive(Debug)]
enum Claim {
    Ticket(Ticket),
    /// The task ended before it was queued.
    Ended(TaskError),
    Taken,
}

impl<R: DeserializeOwned> Handle<R> {
    #[inline]
    pub(super) fn new(scheduler: Arc<Scheduler>, submitted: Result<Ticket, TaskError>) -> Self {
        Handle {
            scheduler,
            claim: match submitted {
                Ok(ticket) => Claim::Ticket(ticket),
                Err(error) => Claim::Ended(error),
            },
            result: PhantomData,
        }
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
    pub fn join(mut self) -> Result<R, TaskError> {
        self.take(|scheduler, ticket| scheduler.wait(ticket, None))
            .unwrap_or(Err(TaskError::Shutdown))
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

    /// What it waits on, while the outcome is to be had.
    pub(super) fn ticket(&self) -> Option<(&Arc<Scheduler>, &Ticket)> {
        match &self.claim {
            Claim::Ticket(ticket) => Some((&self.scheduler, ticket)),
            Claim::Ended(_) | Claim::Taken => None,
        }
    }

    #[inline]
    fn take(
        &mut self,
        get: impl FnOnce(&Scheduler, &Ticket) -> Option<Outcome>,
    ) -> Option<Result<R, TaskError>> {
        let outcome = match &self.claim {
            Claim::Ticket(ticket) => get(&self.scheduler, ticket)?,
            Claim::Ended(error) => Err(Box::new(error.clone())),
            Claim::Taken => return Some(Err(TaskError::AlreadyJoined)),
        };
        self.claim = Claim::Taken;
        Some(decode(outcome))
    }
}

#[inline]
pub(super) fn decode<R: DeserializeOwned>(outcome: Outcome) -> Result<R, TaskError> {
    match outcome {
        Ok(value) => value.decode(),
        Err(error) => Err(*error),
    }
}

impl<R> Drop for Handle<R> {
    #[inline]
    fn drop(&mut self) {
        if let Claim::Ticket(ticket) = &self.claim {
            self.scheduler.detach(ticket);
        }
    }
}

impl<R> Handle<R> {
    /// Takes the task back if nobody has begun it: it ends with
    /// [`TaskError::Cancelled`], and never runs. False if it is running, or has
    /// ended.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let nap = rt.spawn(|ms| std::thread::sleep(std::time::Duration::from_millis(ms)), 200);
    /// let next = rt.spawn(|n: u32| n + 1, 1);
    /// if next.cancel() {
    ///     assert_eq!(next.join(), Err(pinfold::TaskError::Cancelled));
    /// }
    /// nap.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        match &self.claim {
            Claim::Ticket(ticket) => self.scheduler.cancel(ticket),
            Claim::Ended(_) | Claim::Taken => false,
        }
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
        match &self.claim {
            Claim::Ticket(ticket) => self.scheduler.is_settled(ticket),
            Claim::Ended(_) | Claim::Taken => true,
        }
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
        self.join()?.map_err(|error| TaskError::Returned {
            message: error.to_string(),
        })
    }
}
