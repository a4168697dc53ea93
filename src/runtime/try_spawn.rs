//! Submitting what may be refused: then the arguments come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TrySpawnError};
use crate::scheduler::Seat;

use super::held::Held;
use super::task::{YEAR, spawn_quickly};
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
        let order = &self.order;
        // What it takes of the arguments is theirs again, if it is to go the long way.
        if order.settings.is_none()
            && let Ok(handle) = spawn_quickly(order.core, order.function, order.name, &args)
        {
            return Ok(handle);
        }
        let scheduler = order.core.present();
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
        self.spawn_by(self.order.core.sound(), args, deadline)
    }

    fn spawn_by(
        &self,
        scheduler: Held,
        args: A,
        deadline: Instant,
    ) -> Result<Handle<R>, TrySpawnError<A>> {
        self.spawn_or_return(scheduler, None, args, deadline)
    }

    /// The same with a place that was reserved: never waits.
    pub(super) fn spawn_seated(&self, seat: Seat, args: A) -> Result<Handle<R>, TrySpawnError<A>> {
        let Some(scheduler) = seat.scheduler().map(Arc::clone) else {
            let refusal = Refusal::Shutdown;
            return Err(TrySpawnError { refusal, args });
        };
        self.spawn_or_return(Held::new(scheduler), Some(seat), args, Instant::now())
    }

    /// Submits it, when it has its limits; returns the arguments if it is refused before these
    /// were let go of.
    fn spawn_or_return(
        &self,
        scheduler: Held,
        seat: Option<Seat>,
        args: A,
        deadline: Instant,
    ) -> Result<Handle<R>, TrySpawnError<A>> {
        let mut args = Some(args);
        let order = &self.order;
        let submitted = order.submit_or_return(&scheduler, seat, &mut args, deadline);
        match (submitted, args) {
            (Ok(ticket), _) => Ok(Handle::new(scheduler, ticket)),
            (Err(refusal), Some(args)) => Err(TrySpawnError { refusal, args }),
            (Err(refusal), None) => {
                let error = order.error_of(&scheduler, refusal.into());
                Ok(Handle::failed(scheduler, order.name, error))
            }
        }
    }
}
