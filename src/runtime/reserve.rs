//! Places in the queue, reserved.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TrySpawnError};
use crate::scheduler::{InLine, Seat};
use crate::task::NoCapture;

use super::core::Core;
use super::held::Held;
use super::task::YEAR;
use super::{Handle, Runtime, Task};

/// A place in the queue of a runtime, reserved for one task; made by [`Runtime::reserve`].
/// Given back when it is dropped.
///
/// With it a task does not have to wait for room. It counts as one of the
/// [`queue_capacity`](crate::Builder::queue_capacity) tasks in flight, but does not hold up a
/// shutdown.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).queue_capacity(1).start()?;
/// let permit = rt.try_reserve()?;
/// assert_eq!(rt.try_reserve().unwrap_err(), pinfold::Refusal::Full { capacity: 1 });
/// // … look for something to do, and then:
/// assert_eq!(permit.spawn(|n: u32| n + 1, 1)?.join()?, 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it gives back the place"]
pub struct Permit {
    core: Arc<Core>,
    seat: Seat,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A place as soon as there is one; made by [`Runtime::reserve`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let reserve: pinfold::Reserve<'_> = rt.reserve();
/// drop(reserve); // as if it had not been
/// # Ok(())
/// # }
/// ```
#[must_use = "a future does nothing before it is polled"]
pub struct Reserve<'rt> {
    core: &'rt Arc<Core>,
    /// Where it waits, and in whose line.
    waits: Option<Held>,
    line: Option<InLine>,
}

impl fmt::Debug for Reserve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").finish_non_exhaustive()
    }
}

impl Future for Reserve<'_> {
    type Output = Result<Permit, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let scheduler = match this.waits.take() {
                Some(scheduler) => scheduler,
                None => match this.core.poll_sound(context.waker()) {
                    Poll::Ready(scheduler) => scheduler,
                    Poll::Pending => return Poll::Pending,
                },
            };
            match scheduler.poll_place(&mut this.line, context.waker()) {
                Poll::Pending => {
                    this.waits = Some(scheduler);
                    return Poll::Pending;
                }
                // Once more, with its successor.
                Poll::Ready(Err(Refusal::Rebuilding)) => {}
                Poll::Ready(seat) => {
                    let core = Arc::clone(this.core);
                    return Poll::Ready(seat.map(|seat| Permit { core, seat }));
                }
            }
        }
    }
}

impl Runtime {
    /// Reserves a place in the queue, as soon as there is one, without blocking the thread:
    /// await it, under any executor. So a service can look for work only when there is room
    /// for it. Those that wait are served in the order in which they came.
    ///
    /// # Errors
    /// Of the future: [`Refusal`] when no task is accepted any more.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn block_on<T>(f: impl Future<Output = T>) -> T {
    /// #     use std::{pin::pin, sync::Arc, task::{Context, Poll, Wake}, thread};
    /// #     struct Unpark(thread::Thread);
    /// #     impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark() } }
    /// #     let waker = Arc::new(Unpark(thread::current())).into();
    /// #     let mut f = pin!(f);
    /// #     loop {
    /// #         match f.as_mut().poll(&mut Context::from_waker(&waker)) {
    /// #             Poll::Ready(value) => return value,
    /// #             Poll::Pending => thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let served = async {
    ///     for request in 0..3 {
    ///         let permit = rt.reserve().await?;
    ///         // … wait for a request, in the knowledge that it will be accepted
    ///         let handle = permit.spawn(|n: u32| n * n, request)?;
    ///         assert_eq!(handle.await?, request * request);
    ///     }
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// };
    /// block_on(served)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve(&self) -> Reserve<'_> {
        Reserve {
            core: &self.core,
            waits: None,
            line: None,
        }
    }

    /// Reserves a place in the queue if there is one now.
    ///
    /// # Errors
    /// [`Refusal`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let permit = rt.try_reserve()?;
    /// drop(permit); // somebody else may have it
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_reserve(&self) -> Result<Permit, Refusal> {
        let scheduler = self.core.present();
        self.reserve_by(&scheduler, Instant::now())
    }

    /// Reserves a place in the queue; waits for one at most `timeout`.
    ///
    /// # Errors
    /// [`Refusal`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let permit = rt.reserve_timeout(std::time::Duration::from_secs(60))?;
    /// assert_eq!(permit.spawn(|n: u32| n, 1)?.join()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve_timeout(&self, timeout: Duration) -> Result<Permit, Refusal> {
        let now = Instant::now();
        // Beyond what the clock can say: a year, which is as good.
        let deadline = now.checked_add(timeout).unwrap_or(now + YEAR);
        self.reserve_by(&self.core.sound(), deadline)
    }

    fn reserve_by(&self, scheduler: &Held, by: Instant) -> Result<Permit, Refusal> {
        scheduler.seat(by).map(|seat| Permit {
            core: Arc::clone(&self.core),
            seat,
        })
    }
}

impl Permit {
    /// Runs `f(args)` in a worker, as [`Runtime::spawn`]. Never waits.
    ///
    /// # Errors
    /// [`TrySpawnError`], with the arguments, if the runtime was shut down meanwhile, its fold
    /// is being built anew, or there is no memory for long arguments now. The place is given
    /// back then: who waits for anything must not hold it
    /// ([`spawn_async`](Runtime::spawn_async) does wait).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let permit = rt.try_reserve()?;
    /// assert_eq!(permit.spawn(|n: u32| n + 1, 1)?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F, A, R>(self, f: F, args: A) -> Result<Handle<R>, TrySpawnError<A>>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let core = Arc::clone(&self.core);
        self.spawn_task(&Task::new(&core, f), args)
    }

    /// The same for a task with settings of its own; in the runtime that this place is of.
    ///
    /// # Errors
    /// As [`Permit::spawn`]; or if its [limits](Task::limited) have not enough free now.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| n + 1).safe_to_repeat(3);
    /// let permit = rt.try_reserve()?;
    /// assert_eq!(permit.spawn_task(&task, 1)?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_task<F, A, R>(
        self,
        task: &Task<'_, F, A, R>,
        args: A,
    ) -> Result<Handle<R>, TrySpawnError<A>>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        task.spawn_seated(self.seat, args)
    }
}
