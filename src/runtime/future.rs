//! A handle is a future too.
//!
//! The first poll that finds the task unfinished has the attendant wake whichever waker
//! was given last. No executor is needed or assumed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Scheduler, Ticket};

use super::handle::Handle;

/// Who is to be woken.
#[derive(Debug, Default)]
pub struct Wakeful(Option<Arc<Mutex<Option<Waker>>>>);

impl Wakeful {
    /// Has `waker` woken when the task of `ticket` has ended; false if it has.
    fn set(&mut self, scheduler: &Scheduler, ticket: &Ticket, waker: &Waker) -> bool {
        if let Some(slot) = &self.0 {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            return match &mut *slot {
                Some(last) => {
                    last.clone_from(waker);
                    true
                }
                // Taken by the attendant: the outcome is there.
                None => false,
            };
        }
        let slot = Arc::new(Mutex::new(Some(waker.clone())));
        let theirs = Arc::clone(&slot);
        let wake = move || {
            let waker = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        let follower = Box::new(move |_: &_| wake());
        let follows = scheduler.follow(ticket, follower).is_ok();
        if follows {
            self.0 = Some(slot);
        }
        follows
    }
}

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
        let waits = self.with_ticket(|scheduler, ticket, wakeful| {
            wakeful.set(scheduler, ticket, context.waker())
        });
        match waits {
            Some(true) => Poll::Pending,
            // It has ended in between.
            _ => Poll::Ready(self.try_join().unwrap_or(Err(TaskError::Shutdown))),
        }
    }
}
