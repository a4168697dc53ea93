//! A set of tasks that have one type of result.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::Reach;
use crate::task::NoCapture;

use super::flow::{TimedOut, deadline_in};
use super::members::Members;
use super::{Handle, Runtime, Task};

/// Tasks that are waited for together, in the order in which they end. They may be of any
/// functions and settings, and of different runtimes, as long as their results have one type.
///
/// Each task has a number in its set, which comes with its outcome: the first one is 0. To add
/// a task or to take one costs the same, however many there are.
///
/// Dropping the set cancels what is in it: what nobody has begun never is, what runs is asked
/// to end ([`Handle::cancel`]), and not waited for. [`detach_all`](JoinSet::detach_all) lets
/// it run.
///
/// There is no `join_all` of a set: loop over [`join_next`](JoinSet::join_next), or give the
/// handles to [`join_all`](crate::join_all) or [`gather`](crate::gather()), which keep their order.
///
/// In asynchronous code: [`join_next_async`](JoinSet::join_next_async), or the set as a
/// [`Stream`]. Any executor will do; none is needed for the rest.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let mut set = pinfold::JoinSet::new();
/// let square = set.spawn(&rt, |n: u64| n * n, 7);
/// let half = set.spawn_task(&rt.task(|n: u64| n / 2).safe_to_repeat(3), 84);
/// let sum = set.insert(rt.spawn(|(a, b): (u64, u64)| a + b, (1, 2)));
/// while let Some((task, outcome)) = set.join_next() {
///     let expected = if task == square { 49 } else if task == half { 42 } else { 3 };
///     assert_eq!(outcome?, expected);
/// }
/// assert_eq!((square, half, sum), (0, 1, 2));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the set cancels its tasks"]
pub struct JoinSet<R> {
    members: Members<R>,
}

impl<R> fmt::Debug for JoinSet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<R> Default for JoinSet<R> {
    fn default() -> Self {
        JoinSet::new()
    }
}

impl<R> JoinSet<R> {
    /// A set without tasks.
    ///
    /// ```
    /// assert!(pinfold::JoinSet::<u32>::new().is_empty());
    /// ```
    pub fn new() -> Self {
        JoinSet {
            members: Members::default(),
        }
    }

    /// How many tasks are in the set: those whose outcome was not taken.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut set: pinfold::JoinSet<u32> = (0..3).map(|n| rt.spawn(|n| n, n)).collect();
    /// assert_eq!(set.len(), 3);
    /// set.join_next();
    /// assert_eq!(set.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the set has no tasks.
    ///
    /// ```
    /// assert!(pinfold::JoinSet::<u32>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a task into the set, however it was spawned; returns its number.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut set = pinfold::JoinSet::new();
    /// let one = rt.spawn(|n: u32| n, 1);
    /// let canceller = one.canceller();
    /// assert_eq!(set.insert(one), 0);
    /// assert_eq!(set.join_next(), Some((0, Ok(1))));
    /// assert!(canceller.is_finished());
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert(&mut self, handle: Handle<R>) -> usize {
        self.members.insert(handle)
    }

    /// Cancels all: what nobody has begun never is, what runs is asked to end
    /// ([`Handle::cancel`]). Their outcomes come as ever.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let listens = |()| while !pinfold::context().is_cancelled() {};
    /// let set: pinfold::JoinSet<()> = (0..3).map(|_| rt.spawn(listens, ())).collect();
    /// set.cancel_all();
    /// # let mut set = set;
    /// while let Some((_, outcome)) = set.join_next() {
    ///     // The one that ran has returned; the others never began.
    ///     assert!(outcome.is_ok() || matches!(outcome, Err(pinfold::TaskError::Cancelled { .. })));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_all(&self) {
        self.members.cancel(Reach::Running);
    }

    /// As [`cancel_all`](JoinSet::cancel_all); what still runs after `grace` is killed
    /// ([`Handle::cancel_within`]).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn deaf(_: ()) {
    ///     loop {}
    /// }
    /// let mut set: pinfold::JoinSet<()> = [rt.spawn(deaf, ())].into_iter().collect();
    /// set.cancel_all_within(std::time::Duration::from_millis(20));
    /// assert!(matches!(set.join_next(), Some((0, Err(pinfold::TaskError::Cancelled { .. })))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_all_within(&self, grace: Duration) {
        self.members.cancel(Reach::Within(grace));
    }

    /// Takes all tasks out, and lets them run: nobody will see their outcomes.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut set: pinfold::JoinSet<u32> = (0..3).map(|n| rt.spawn(|n| n, n)).collect();
    /// set.detach_all();
    /// rt.shutdown(pinfold::Shutdown::Drain)?;
    /// assert_eq!(rt.stats().tasks.completed, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn detach_all(&mut self) {
        self.members.drain().for_each(drop);
    }
}

impl<R: Serialize + DeserializeOwned> JoinSet<R> {
    /// Runs `f(args)` in a worker, as [`Runtime::spawn`] does; returns its number in the set.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut set = pinfold::JoinSet::new();
    /// set.spawn(&rt, |n: u32| n + 1, 1);
    /// assert_eq!(set.join_next(), Some((0, Ok(2))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F, A>(&mut self, rt: &Runtime, f: F, args: A) -> usize
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
    {
        self.insert(rt.spawn(f, args))
    }

    /// The same for a task with settings of its own.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let next = rt.task(|n: u32| n + 1).safe_to_repeat(2);
    /// let mut set = pinfold::JoinSet::new();
    /// set.spawn_task(&next, 1);
    /// assert_eq!(set.join_next(), Some((0, Ok(2))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_task<F, A>(&mut self, task: &Task<'_, F, A, R>, args: A) -> usize
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
    {
        self.insert(task.spawn(args))
    }
}

impl<R: DeserializeOwned> JoinSet<R> {
    /// Waits until a task has ended; returns its number and its outcome, or `None` if the set is
    /// empty.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let nap = |ms| std::thread::sleep(std::time::Duration::from_millis(ms));
    /// let mut set: pinfold::JoinSet<()> = [300, 1].map(|ms| rt.spawn(nap, ms)).into_iter().collect();
    /// assert_eq!(set.join_next(), Some((1, Ok(()))));
    /// assert_eq!(set.join_next(), Some((0, Ok(()))));
    /// assert_eq!(set.join_next(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_next(&mut self) -> Option<(usize, Result<R, TaskError>)> {
        self.members.next(None)
    }

    /// As [`join_next`](JoinSet::join_next), and waits at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] if no task has ended by then. All go on.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
    /// let mut set: pinfold::JoinSet<()> = [rt.spawn(nap, 200)].into_iter().collect();
    /// assert_eq!(set.join_next_timeout(Duration::ZERO), Err(pinfold::TimedOut));
    /// assert_eq!(set.join_next_timeout(Duration::from_secs(60)), Ok(Some((0, Ok(())))));
    /// assert_eq!(set.join_next_timeout(Duration::from_secs(60)), Ok(None));
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::type_complexity, reason = "each part says what it is")]
    pub fn join_next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<(usize, Result<R, TaskError>)>, TimedOut> {
        match self.members.next(deadline_in(timeout)) {
            None if !self.is_empty() => Err(TimedOut),
            next => Ok(next),
        }
    }

    /// A task that has ended, if there is one; never waits.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut set: pinfold::JoinSet<u32> = [rt.spawn(|n| n, 1)].into_iter().collect();
    /// let ended = loop {
    ///     match set.try_join_next() {
    ///         Some(ended) => break ended,
    ///         None => std::thread::yield_now(), // … do something else
    ///     }
    /// };
    /// assert_eq!(ended, (0, Ok(1)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_join_next(&mut self) -> Option<(usize, Result<R, TaskError>)> {
        self.members.try_next()
    }

    /// As [`join_next`](JoinSet::join_next), without blocking the thread. Nothing is lost if
    /// the future is dropped: an outcome is handed out only when it is ready.
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
    /// let mut set: pinfold::JoinSet<u64> = (0..10).map(|n| rt.spawn(|n| n, n)).collect();
    /// let sum = async {
    ///     let mut sum = 0;
    ///     while let Some((_, outcome)) = set.join_next_async().await {
    ///         sum += outcome?;
    ///     }
    ///     Ok::<_, pinfold::TaskError>(sum)
    /// };
    /// assert_eq!(block_on(sum)?, 45); // under any executor
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_next_async(&mut self) -> JoinNext<'_, R> {
        JoinNext {
            members: &mut self.members,
            has_waker: false,
        }
    }

    /// A task that has ended, or the waker of `context` is woken when one has: what
    /// [`join_next_async`](JoinSet::join_next_async) is made of.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::task::{Context, Poll, Waker};
    /// let mut set = pinfold::JoinSet::<u32>::new();
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(set.poll_join_next(&mut context), Poll::Ready(None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_join_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<(usize, Result<R, TaskError>)>> {
        self.members.poll_next(context)
    }
}

impl<R> Drop for JoinSet<R> {
    fn drop(&mut self) {
        if !self.is_empty() {
            self.cancel_all();
        }
    }
}

impl<R> FromIterator<Handle<R>> for JoinSet<R> {
    fn from_iter<I: IntoIterator<Item = Handle<R>>>(handles: I) -> Self {
        let members = Members::of(handles);
        JoinSet { members }
    }
}

impl<R> Extend<Handle<R>> for JoinSet<R> {
    fn extend<I: IntoIterator<Item = Handle<R>>>(&mut self, handles: I) {
        for handle in handles {
            self.insert(handle);
        }
    }
}

/// What [`JoinSet::join_next`] returns, as they end; ends when the set is empty.
impl<R: DeserializeOwned> Stream for JoinSet<R> {
    type Item = (usize, Result<R, TaskError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.members.poll_next(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

/// The next end in a [`JoinSet`]; made by [`JoinSet::join_next_async`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut set = pinfold::JoinSet::<u32>::new();
/// let next: pinfold::JoinNext<'_, u32> = set.join_next_async();
/// # drop(next);
/// # Ok(())
/// # }
/// ```
#[must_use = "a future does nothing before it is polled"]
pub struct JoinNext<'a, R> {
    members: &'a mut Members<R>,
    has_waker: bool,
}

impl<R> fmt::Debug for JoinNext<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinNext").finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned> Future for JoinNext<'_, R> {
    type Output = Option<(usize, Result<R, TaskError>)>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let next = self.members.poll_next(context);
        self.has_waker = next.is_pending();
        next
    }
}

impl<R> Drop for JoinNext<'_, R> {
    fn drop(&mut self) {
        if self.has_waker {
            self.members.wake_nobody();
        }
    }
}
