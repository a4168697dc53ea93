//! A handle is a future too.
//!
//! The first poll that finds the task unfinished has the attendant wake whichever waker
//! was given last. No executor is needed or assumed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use crate::error::TaskError;

use super::handle::Handle;

/// Ends as [`Handle::join`] does. Dropping it detaches the task.
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
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let sum = async {
///     let a = rt.spawn(|n: u32| n * n, 3);
///     let b = rt.spawn(|n: u32| n * n, 4);
///     Ok::<_, pinfold::TaskError>(a.await? + b.await?)
/// };
/// assert_eq!(block_on(sum)?, 25); // under any executor
/// # Ok(())
/// # }
/// ```
impl<R: DeserializeOwned> Future for Handle<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.try_join() {
            return Poll::Ready(outcome);
        }
        let waits = |ticket| self.scheduler().wake_at_end(ticket, context.waker());
        if self.ticket().is_some_and(waits) {
            return Poll::Pending;
        }
        // It has ended in between.
        Poll::Ready(self.try_join().unwrap_or(Err(TaskError::shutdown())))
    }
}
