//! Submitting without blocking the thread.
//!
//! ```text
//!   New ─▶ Shares ─▶ Memory ─▶ Place ─▶ queued
//!    ▲   of limits   for long     in the queue
//!    └── the fold is built anew ──┘  arguments
//! ```
//!
//! What is held in a step is the future's, and given back when it is dropped. The steps are in
//! the order in which threads take them, so nobody waits for what is held by one who waits for
//! him.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Refusal;
use crate::pool::Transfer;
use crate::scheduler::{InLine, Job, NotAccepted, Prepared, Scheduler};
use crate::task::{Erased, NoCapture};

use super::held::Held;
use super::memo::Call;
use super::order::drop_with;
use super::submitted::Encoded;
use super::task::spawn_quickly;
use super::{Handle, Runtime, Task};

/// Submits a task as soon as there is room, without blocking the thread; made by
/// [`Task::spawn_async`]. Ends in the task's handle, which is a future too.
///
/// Dropping it before its end gives back all that it holds, and the task is not run.
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
/// let rt = pinfold::Runtime::builder().workers(1).queue_capacity(1).start()?;
/// let sum = async {
///     // The second waits until the first has ended: there is one place.
///     let first = rt.spawn_async(|n: u32| n * n, 3).await;
///     let second = rt.spawn_async(|n: u32| n * n, 4).await;
///     Ok::<_, pinfold::TaskError>(first.await? + second.await?)
/// };
/// assert_eq!(block_on(sum)?, 25); // under any executor
/// # Ok(())
/// # }
/// ```
#[must_use = "a future does nothing before it is polled"]
pub struct SpawnAsync<'rt, F, A, R> {
    task: Task<'rt, F, A, R>,
    /// Gone when loans are among them and they are encoded.
    args: Option<A>,
    stage: Stage,
    /// Where it waits.
    line: Option<InLine>,
    /// If the outcome is to be remembered.
    call: Option<Call>,
    was_looked_up: bool,
}

/// What is next.
enum Stage {
    /// Everything.
    New,
    /// To take shares of limits.
    Shares(Held, Box<Job>),
    /// To find memory.
    Memory(Held, Box<Job>),
    /// To find a place in the queue.
    Place(Held, Box<Prepared>),
    /// Nothing: it has ended, or just looks.
    Over,
}

// Nothing in it is pinned.
impl<F, A, R> Unpin for SpawnAsync<'_, F, A, R> {}

impl<F, A, R> fmt::Debug for SpawnAsync<'_, F, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnAsync")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Submits it as [`Task::spawn`] does, but whatever that waits for (room in the queue,
    /// memory for long arguments, [limits](Task::limited)) does not block the thread: await
    /// the future, under any executor. Those that wait are served in the order in which they
    /// came.
    ///
    /// See [`SpawnAsync`] for an example.
    pub fn spawn_async(&self, args: A) -> SpawnAsync<'rt, F, A, R> {
        SpawnAsync {
            task: self.clone(),
            args: Some(args),
            stage: Stage::New,
            line: None,
            call: None,
            was_looked_up: false,
        }
    }
}

impl Runtime {
    /// As [`Runtime::spawn`], without blocking the thread: see [`Task::spawn_async`].
    pub fn spawn_async<F, A, R>(&self, f: F, args: A) -> SpawnAsync<'_, F, A, R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.task(f).spawn_async(args)
    }
}

impl<F, A, R> SpawnAsync<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// What is known of it without running it, if its outcomes are remembered.
    fn look_up(&mut self) -> Option<Handle<R>> {
        let order = &self.task.order;
        let memo = order.memo.as_ref()?;
        let args = self.args.as_ref()?;
        if std::mem::replace(&mut self.was_looked_up, true) || order.core.is_elsewhere() {
            return None;
        }
        match order.recall(order.core.present(), memo, Erased::of(args)) {
            Ok((scheduler, ticket)) => Some(Handle::new(scheduler, ticket)),
            Err(call) => {
                self.call = call;
                None
            }
        }
    }

    /// The first step.
    fn begin(&mut self, context: &mut Context<'_>) -> Poll<Option<Handle<R>>> {
        if let Some(known) = self.look_up() {
            return Poll::Ready(Some(known));
        }
        let mut encoded: Option<Encoded> = None;
        if let (None, Some(args)) = (&self.task.order.settings, &self.args) {
            let order = &self.task.order;
            match spawn_quickly(order.core, order.function, order.name, args) {
                Ok(handle) => return Poll::Ready(Some(handle)),
                Err(slow) => encoded = slow,
            }
        }
        let Poll::Ready(scheduler) = self.task.core().poll_sound(context.waker()) else {
            self.stage = Stage::New;
            return Poll::Pending;
        };
        let mut job = Box::new(self.task.order.job());
        let is_home = |buffers: &[Transfer]| {
            let mut all = buffers.iter();
            all.all(|buffer| buffer.is_of_pool(scheduler.pool()))
        };
        // Constants are encoded for the fold that there was just before.
        match (encoded.filter(|(_, buffers)| is_home(buffers)), &self.args) {
            (Some((payload, buffers)), _) => (job.payload, job.buffers) = (payload, buffers),
            (None, Some(args)) => {
                if let Err(error) = self.task.order.encode(Erased::of(args), &mut job) {
                    return Poll::Ready(self.refused(&scheduler, NotAccepted::Failed(error)));
                }
            }
            (None, None) => return Poll::Ready(None),
        }
        if !is_home(&job.buffers) && !Held::is_same(&scheduler, &self.task.core().present()) {
            self.stage = Stage::New;
            return Poll::Ready(None);
        }
        if let Some(late) = self.task.order.lateness() {
            return Poll::Ready(self.refused(&scheduler, NotAccepted::Failed(late)));
        }
        if job.buffers.iter().any(Transfer::is_loan) {
            // Then it shows whether others have them.
            drop(self.args.take());
        }
        self.stage = Stage::Shares(scheduler, job);
        Poll::Ready(None)
    }

    /// What has come of it; `None`: once more.
    fn refused(&mut self, scheduler: &Held, why: NotAccepted) -> Option<Handle<R>> {
        let name = self.task.order.name;
        if matches!(why, NotAccepted::Refused(Refusal::Rebuilding)) {
            if self.args.is_some() {
                self.stage = Stage::New;
                return None;
            }
            // Loans were among them, of the fold that is damaged.
            let ticket = scheduler.stillborn(name, self.task.order.label());
            return Some(Handle::new(scheduler.clone(), ticket));
        }
        if let NotAccepted::Failed(error) = &why {
            drop_with(&mut self.args, error);
        }
        self.args = None;
        let error = self.task.order.refuse(scheduler, why);
        Some(Handle::failed(scheduler.clone(), name, error))
    }

    /// The next step. `Ready(None)`: there is another.
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Option<Handle<R>>> {
        let waker = context.waker();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::New => self.begin(context),
            Stage::Shares(scheduler, mut job) => {
                let settings = job.settings.clone();
                let Some(settings) = settings.filter(|settings| settings.limits.any()) else {
                    self.stage = Stage::Memory(scheduler, job);
                    return Poll::Ready(None);
                };
                match scheduler.poll_shares(&settings.limits, &mut self.line, waker) {
                    Poll::Pending => {
                        self.stage = Stage::Shares(scheduler, job);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(permits)) => {
                        job.permits = permits;
                        self.stage = Stage::Memory(scheduler, job);
                    }
                    Poll::Ready(Err(refusal)) => {
                        return Poll::Ready(self.refused(&scheduler, refusal.into()));
                    }
                }
                Poll::Ready(None)
            }
            Stage::Memory(scheduler, mut job) => {
                match scheduler.poll_memory(&mut job, &mut self.line, waker) {
                    Poll::Pending => {
                        self.stage = Stage::Memory(scheduler, job);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(prepared)) => {
                        self.stage = Stage::Place(scheduler, Box::new(prepared));
                    }
                    Poll::Ready(Err(why)) => {
                        drop(job);
                        self.gives_back(&scheduler);
                        return Poll::Ready(self.refused(&scheduler, why));
                    }
                }
                Poll::Ready(None)
            }
            Stage::Place(scheduler, prepared) => {
                let seat = match scheduler.poll_place(&mut self.line, waker) {
                    Poll::Pending => {
                        self.stage = Stage::Place(scheduler, prepared);
                        return Poll::Pending;
                    }
                    Poll::Ready(seat) => seat.map_err(NotAccepted::from),
                };
                let submitted = match seat {
                    Ok(seat) => scheduler.submit_prepared(seat, *prepared),
                    Err(why) => {
                        drop(prepared);
                        Err(why)
                    }
                };
                Poll::Ready(match submitted {
                    Ok(ticket) => Some(Handle::new(scheduler, ticket)),
                    Err(why) => {
                        self.gives_back(&scheduler);
                        self.refused(&scheduler, why)
                    }
                })
            }
            // Polled after its end: it has no other handle to give.
            Stage::Over => Poll::Pending,
        }
    }
}

impl<F, A, R> SpawnAsync<'_, F, A, R> {
    /// What it held of limits was dropped.
    fn gives_back(&self, scheduler: &Scheduler) {
        let settings = self.task.order.settings.as_ref();
        if settings.is_some_and(|settings| settings.limits.any()) {
            scheduler.note_given_back();
        }
    }
}

impl<F, A, R> Future for SpawnAsync<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Output = Handle<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Handle<R>> {
        loop {
            match self.step(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {}
                Poll::Ready(Some(handle)) => {
                    self.args = None;
                    if let Some(call) = self.call.take() {
                        handle.remember(call);
                    }
                    return Poll::Ready(handle);
                }
            }
        }
    }
}

impl<F, A, R> Drop for SpawnAsync<'_, F, A, R> {
    fn drop(&mut self) {
        // First out of the line: what was granted there goes to the next.
        self.line = None;
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Memory(scheduler, job) => {
                drop(job);
                self.gives_back(&scheduler);
            }
            Stage::Place(scheduler, prepared) => {
                drop(prepared);
                self.gives_back(&scheduler);
            }
            Stage::New | Stage::Shares(..) | Stage::Over => {}
        }
    }
}
