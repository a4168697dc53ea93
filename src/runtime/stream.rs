//! Many tasks of one function as a stream: a bounded number in flight, outcomes in order or as
//! they come, no thread blocked.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::Reach;
use crate::task::NoCapture;

use super::members::Members;
use super::{Runtime, SpawnAsync, Task};

/// Outcomes as they come.
struct Pump<'rt, I, F, A, R> {
    task: Task<'rt, F, A, R>,
    items: I,
    /// An item that waits for room.
    spawning: Option<SpawnAsync<'rt, F, A, R>>,
    members: Members<R>,
    in_flight: usize,
    exhausted: bool,
}

// Nothing in it is pinned.
impl<I, F, A, R> Unpin for Pump<'_, I, F, A, R> {}

impl<I, F, A, R> Pump<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The next one, with the number of its item. So many have come already that nobody has
    /// seen yet.
    fn poll(
        &mut self,
        held: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<(usize, Result<R, TaskError>)>> {
        while self.members.len() + held < self.in_flight {
            if self.spawning.is_none() && !self.exhausted {
                match self.items.next() {
                    Some(item) => self.spawning = Some(self.task.spawn_async(item)),
                    None => self.exhausted = true,
                }
            }
            let Some(spawning) = &mut self.spawning else {
                break;
            };
            let Poll::Ready(handle) = Pin::new(spawning).poll(context) else {
                break;
            };
            self.spawning = None;
            self.members.insert(handle);
        }
        match self.members.poll_next(context) {
            Poll::Ready(None) if self.spawning.is_some() => Poll::Pending,
            Poll::Ready(Some((number, outcome))) => {
                // One error says so, and no more items are pulled.
                let is_closed =
                    matches!(outcome, Err(TaskError::Shutdown { .. } | TaskError::Forked));
                self.exhausted |= is_closed;
                Poll::Ready(Some((number, outcome)))
            }
            next => next,
        }
    }
}

impl<I, F, A, R> Pump<'_, I, F, A, R> {
    fn cancel(&mut self, reach: Reach) {
        self.exhausted = true;
        self.spawning = None;
        self.members.cancel(reach);
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("task", &self.task)
            .field("in_flight", &self.in_flight)
            .field("submitted", &self.members.numbers())
            .finish_non_exhaustive()
    }
}

impl<I, F, A, R> Drop for Pump<'_, I, F, A, R> {
    fn drop(&mut self) {
        if self.members.len() > 0 {
            self.members.cancel(Reach::Waiting);
        }
    }
}

/// Outcomes in the order of the items, for asynchronous code; made by [`Task::map_stream`].
/// Dropping it cancels what nobody has begun; what runs is not told, and nobody sees its
/// outcome.
#[must_use = "a stream does nothing before it is polled"]
pub struct MapStream<'rt, I, F, A, R> {
    pump: Pump<'rt, I, F, A, R>,
    /// The number of the next item.
    next: usize,
    /// Outcomes of later ones.
    early: BTreeMap<usize, Result<R, TaskError>>,
}

/// Outcomes as they come, each with the number of its item, for asynchronous code; made by
/// [`Task::map_unordered_stream`]. Dropping it cancels what nobody has begun; what runs is not
/// told, and nobody sees its outcome.
#[must_use = "a stream does nothing before it is polled"]
pub struct MapUnorderedStream<'rt, I, F, A, R> {
    pump: Pump<'rt, I, F, A, R>,
}

impl<I, F, A, R> fmt::Debug for MapStream<'_, I, F, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pump.show("MapStream", f)
    }
}

impl<I, F, A, R> fmt::Debug for MapUnorderedStream<'_, I, F, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pump.show("MapUnorderedStream", f)
    }
}

// Nothing in it is pinned.
impl<I, F, A, R> Unpin for MapStream<'_, I, F, A, R> {}

impl<I, F, A, R> MapStream<'_, I, F, A, R> {
    /// Pulls no more items, and cancels what has not ended: see
    /// [`Map::cancel`](crate::Map::cancel). The outcomes come all the same.
    pub fn cancel(&mut self) {
        self.pump.cancel(Reach::Running);
    }
}

impl<I, F, A, R> MapUnorderedStream<'_, I, F, A, R> {
    /// Pulls no more items, and cancels what has not ended: see
    /// [`Map::cancel`](crate::Map::cancel). The outcomes come all the same.
    pub fn cancel(&mut self) {
        self.pump.cancel(Reach::Running);
    }
}

impl<I, F, A, R> Stream for MapStream<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = Result<R, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(outcome) = this.early.remove(&this.next) {
                this.next += 1;
                return Poll::Ready(Some(outcome));
            }
            match this.pump.poll(this.early.len(), context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some((number, outcome))) => {
                    this.early.insert(number, outcome);
                }
            }
        }
    }
}

impl<I, F, A, R> Stream for MapUnorderedStream<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = (usize, Result<R, TaskError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pump.poll(0, context)
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// As [`Task::map`] for asynchronous code: a [`Stream`] of the outcomes, in the order of
    /// the items, which blocks no thread. Pulls from `items` as it is polled, and keeps a
    /// bounded number [in flight](Task::in_flight). Any executor will do.
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
    /// use std::future::poll_fn;
    /// use std::pin::Pin;
    /// use futures_core::Stream;
    /// let sum = async {
    ///     let mut squares = rt.task(|n: u64| n * n).in_flight(4).map_stream(0..10);
    ///     let mut sum = 0;
    ///     // Or `squares.next()` of the crates `futures` and `tokio-stream`.
    ///     while let Some(square) = poll_fn(|c| Pin::new(&mut squares).poll_next(c)).await {
    ///         sum += square?;
    ///     }
    ///     Ok::<_, pinfold::TaskError>(sum)
    /// };
    /// assert_eq!(block_on(sum)?, 285);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_stream<I>(&self, items: I) -> MapStream<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        MapStream {
            pump: self.pump(items.into_iter()),
            next: 0,
            early: BTreeMap::new(),
        }
    }

    /// As [`Task::map_unordered`] for asynchronous code: a [`Stream`] of the outcomes as they
    /// come, each with the number of its item. Otherwise as [`Task::map_stream`].
    pub fn map_unordered_stream<I>(&self, items: I) -> MapUnorderedStream<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        MapUnorderedStream {
            pump: self.pump(items.into_iter()),
        }
    }

    fn pump<I>(&self, items: I) -> Pump<'rt, I, F, A, R> {
        let mut task = self.clone();
        // As in `map`: only single calls are remembered.
        task.order.memo = None;
        Pump {
            in_flight: task.order.in_flight_of(64).max(1),
            task,
            items,
            spawning: None,
            members: Members::default(),
            exhausted: false,
        }
    }
}

impl Runtime {
    /// As [`Runtime::map`] for asynchronous code: see [`Task::map_stream`].
    pub fn map_stream<F, A, R, I>(&self, f: F, items: I) -> MapStream<'_, I::IntoIter, F, A, R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.task(f).map_stream(items)
    }
}
