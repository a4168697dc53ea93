//! Submitting what may be refused: then the arguments come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TrySpawnError};
use crate::scheduler::{Job, NotAccepted, Scheduler, Seat, Ticket};

use super::task::{YEAR, drop_with};
use super::{Handle, Task};

impl<F, A, R> Task<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Submits it if it can be accepted now: see
    /// [`Runtime::try_spawn`](crate::Runtime::try_spawn).
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).try_spawn(1)?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_spawn(&self, args: A) -> Result<Handle<R>, TrySpawnError<A>> {
        let scheduler = self.core.present();
        if let Err(refusal) = scheduler.try_reserve() {
            scheduler.count_refusal();
            return Err(TrySpawnError { refusal, args });
        }
        self.spawn_by(scheduler, args, Instant::now())
    }

    /// Submits it if it can be accepted within `timeout`; waits for room in the queue,
    /// for memory for long arguments, and for its [limits](Task::limited).
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let task = rt.task(|n: u32| n + 1);
    /// assert_eq!(task.spawn_timeout(1, Duration::from_secs(1))?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_timeout(&self, args: A, timeout: Duration) -> Result<Handle<R>, TrySpawnError<A>> {
        let now = Instant::now();
        // Beyond what the clock can say: a year, which is as good.
        let deadline = now.checked_add(timeout).unwrap_or(now + YEAR);
        self.spawn_by(self.core.sound(), args, deadline)
    }

    fn spawn_by(
        &self,
        scheduler: Arc<Scheduler>,
        args: A,
        deadline: Instant,
    ) -> Result<Handle<R>, TrySpawnError<A>> {
        self.spawn_or_return(&scheduler, args, deadline, |job, let_go| {
            scheduler.submit_keeping(job, Some(deadline), let_go)
        })
    }

    /// The same with a place that was reserved: never waits.
    pub(super) fn spawn_seated(&self, seat: Seat, args: A) -> Result<Handle<R>, TrySpawnError<A>> {
        let Some(scheduler) = seat.scheduler().map(Arc::clone) else {
            let refusal = Refusal::Shutdown;
            return Err(TrySpawnError { refusal, args });
        };
        self.spawn_or_return(&scheduler, args, Instant::now(), |job, let_go| {
            scheduler.submit_seated(seat, job, let_go)
        })
    }

    /// Has `submit` submit it, when it has its limits; returns the arguments if it is refused
    /// before these were let go of.
    fn spawn_or_return(
        &self,
        scheduler: &Arc<Scheduler>,
        args: A,
        deadline: Instant,
        submit: impl FnOnce(&mut Job, &mut dyn FnMut()) -> Result<Ticket, NotAccepted>,
    ) -> Result<Handle<R>, TrySpawnError<A>> {
        let handle_of = |submitted: Result<Ticket, NotAccepted>| {
            let scheduler = Arc::clone(scheduler);
            match submitted {
                Ok(ticket) => Handle::new(scheduler, ticket),
                Err(refused) => {
                    let error = self.refuse(&scheduler, refused);
                    Handle::failed(scheduler, self.name, error)
                }
            }
        };
        let mut job = self.job();
        if let Err(error) = self.encode_to_go(&args, &mut job) {
            drop_with(args, &error);
            return Ok(handle_of(Err(NotAccepted::Failed(error))));
        }
        let mut args = Some(args);
        let admitted = match &self.settings {
            Some(_) => self.admit(scheduler, &mut job, Some(deadline)),
            None => Ok(()),
        };
        let submitted = admitted.and_then(|()| submit(&mut job, &mut || drop(args.take())));
        // What is not on its way is the arguments' again.
        drop(job);
        if submitted.is_err() && self.has_limits() {
            scheduler.has_given_back();
        }
        match (submitted, args) {
            (Err(NotAccepted::Refused(refusal)), Some(args)) => {
                scheduler.count_refusal();
                Err(TrySpawnError { refusal, args })
            }
            (submitted, _) => Ok(handle_of(submitted)),
        }
    }
}
