//! Several items in one task, for functions so short that a task for each costs more
//! than the function.
//!
//! ```text
//!   items ─▶ chunks, as many items as take 100 µs ─▶ tasks ─▶ values, and how long it took
//!                       ▲                                                │
//!                       └────────────────── measured ────────────────────┘
//! ```
//!
//! The function of a chunk is a closure around the item's function. As that has no
//! size, neither has the closure; so it is a task like any other.

use std::collections::{BTreeMap, VecDeque};
use std::iter::FusedIterator;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::Reach;

use super::flow::{Flow, TimedOut, flow_methods};
use super::grain::{Grain, timed};
use super::unordered::MapUnordered;
use super::{Map, Task};

/// Chunks in flight for each executor, if it was not said.
pub(super) const CHUNKS_IN_FLIGHT: usize = 8;

/// What comes back from a chunk: how many nanoseconds it took, and the values.
type Values<R> = (u64, Vec<R>);

/// A task that is given several items at a time; made by [`Task::chunked`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let squares = rt.task(|n: u64| n * n).chunked().map(0..1000);
/// assert_eq!(squares.sum::<Result<u64, _>>()?, 332_833_500);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before `map` or `for_each`"]
pub struct Chunked<'rt, F, A, R> {
    pub(super) task: Task<'rt, F, A, R>,
    size: Option<usize>,
}

impl<F: Copy, A, R> Clone for Chunked<'_, F, A, R> {
    fn clone(&self) -> Self {
        Chunked {
            task: self.task.clone(),
            size: self.size,
        }
    }
}

/// Makes chunks of items.
#[derive(Debug)]
pub(super) struct Chunks<I> {
    items: I,
    grain: Grain,
    /// Items so far, and chunks.
    pulled: usize,
    made: usize,
    /// Chunks that have not come back, by number: the first item, and how many.
    out: BTreeMap<usize, (usize, usize)>,
}

impl<I: Iterator> Iterator for Chunks<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk: Vec<_> = self.items.by_ref().take(self.grain.size()).collect();
        if chunk.is_empty() {
            return None;
        }
        self.out.insert(self.made, (self.pulled, chunk.len()));
        self.made += 1;
        self.pulled += chunk.len();
        Some(chunk)
    }
}

impl<I> Chunks<I> {
    /// Chunk `number` has come back: the outcomes of its items, each with which it is. With buffers
    /// in items or values, those to come travel one by one.
    fn open<R>(
        &mut self,
        number: usize,
        outcome: Result<Values<R>, TaskError>,
        has_buffers: bool,
        ready: &mut VecDeque<(usize, Result<R, TaskError>)>,
    ) {
        if has_buffers {
            self.grain.stay_alone();
        }
        let Some((start, len)) = self.out.remove(&number) else {
            return;
        };
        let items = start..start + len;
        match outcome {
            Ok((ns, values)) if values.len() == len => {
                self.grain.learn(len, ns);
                ready.extend(items.zip(values.into_iter().map(Ok)));
            }
            Ok((_, values)) => {
                let message = format!("{} values of {len} items", values.len());
                ready.extend(items.map(|n| {
                    let message = message.clone();
                    (n, Err(TaskError::result(message)))
                }));
            }
            Err(error) => {
                let error = error.of_items(items.clone());
                ready.extend(items.map(|n| (n, Err(error.clone()))));
            }
        }
    }
}

/// Outcomes of items as their chunks come back.
struct Outcomes<'rt, I, G, A, R> {
    chunks: MapUnordered<'rt, Chunks<I>, G, Vec<A>, Values<R>>,
    ready: VecDeque<(usize, Result<R, TaskError>)>,
}

impl<I, G, A, R> Iterator for Outcomes<'_, I, G, A, R>
where
    I: Iterator<Item = A>,
    G: Fn(Vec<A>) -> Values<R> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = (usize, Result<R, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).unwrap_or(None)
    }
}

impl<I, G, A, R> Flow for Outcomes<'_, I, G, A, R>
where
    I: Iterator<Item = A>,
    G: Fn(Vec<A>) -> Values<R> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        while self.ready.is_empty() {
            let Some((number, outcome)) = self.chunks.next_until(deadline)? else {
                return Ok(None);
            };
            let has_buffers = self.chunks.has_buffers();
            let chunks = self.chunks.items();
            chunks.open(number, outcome, has_buffers, &mut self.ready);
        }
        let Some((n, outcome)) = self.ready.pop_front() else {
            return Ok(None);
        };
        let outcome = outcome.map_err(|error| self.chunks.of_item(error, n));
        Ok(Some((n, outcome)))
    }

    fn cancel_rest(&mut self, reach: Reach) {
        self.chunks.cancel_rest(reach);
    }
}

/// Outcomes of items in their order.
struct InOrder<'rt, I, G, A, R> {
    chunks: Map<'rt, Chunks<I>, G, Vec<A>, Values<R>>,
    /// Chunks that have come back.
    back: usize,
    ready: VecDeque<(usize, Result<R, TaskError>)>,
}

impl<I, G, A, R> Iterator for InOrder<'_, I, G, A, R>
where
    I: Iterator<Item = A>,
    G: Fn(Vec<A>) -> Values<R> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).unwrap_or(None)
    }
}

impl<I, G, A, R> Flow for InOrder<'_, I, G, A, R>
where
    I: Iterator<Item = A>,
    G: Fn(Vec<A>) -> Values<R> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        while self.ready.is_empty() {
            let Some(outcome) = self.chunks.next_until(deadline)? else {
                return Ok(None);
            };
            let has_buffers = self.chunks.has_buffers();
            let chunks = self.chunks.items();
            chunks.open(self.back, outcome, has_buffers, &mut self.ready);
            self.back += 1;
        }
        let Some((n, outcome)) = self.ready.pop_front() else {
            return Ok(None);
        };
        Ok(Some(outcome.map_err(|error| self.chunks.told(error, n))))
    }

    fn cancel_rest(&mut self, reach: Reach) {
        self.chunks.cancel_rest(reach);
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// For a very short function: puts several items into one task, as many as take
    /// about 100 µs together, by what was measured for those before; at most 1024
    /// ([`Chunked::chunk_size`] says how many instead). The
    /// first items travel one by one, and so do all when an item or a value holds a
    /// [`Shared`](crate::Shared) or [`Loan`](crate::Loan).
    ///
    /// Each item has its outcome; an `Err` that the function returns is its item's
    /// alone. What ends the task, though, is the outcome of all items of the chunk: a
    /// panic, a death of the worker, a run limit or a hard deadline (which are for the chunk). What the
    /// settings say of a task is said of a chunk, and [`Stats`](crate::Stats) count
    /// chunks. Of a task that is [tried again](Task::retry) each item is a task of its own,
    /// so that it is tried again by itself.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u64| n + 1).chunked();
    /// let sum: u64 = task.map(0..10_000).sum::<Result<u64, _>>()?;
    /// assert_eq!(sum, 50_005_000);
    /// assert!(rt.stats().tasks.submitted < 10_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn chunked(self) -> Chunked<'rt, F, A, R> {
        Chunked {
            task: self,
            size: None,
        }
    }
}

/// Outcomes of chunks, or of items one by one.
enum Either<C, S> {
    Chunks(C),
    Single(S),
}

impl<C: Iterator, S: Iterator<Item = C::Item>> Iterator for Either<C, S> {
    type Item = C::Item;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Either::Chunks(chunks) => chunks.next(),
            Either::Single(single) => single.next(),
        }
    }
}

impl<C: Flow, S: Flow<Item = C::Item>> Flow for Either<C, S> {
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        match self {
            Either::Chunks(chunks) => chunks.next_until(deadline),
            Either::Single(single) => single.next_until(deadline),
        }
    }

    fn cancel_rest(&mut self, reach: Reach) {
        match self {
            Either::Chunks(chunks) => chunks.cancel_rest(reach),
            Either::Single(single) => single.cancel_rest(reach),
        }
    }
}

/// Outcomes of items that travel in chunks; made by [`Chunked::map`] and
/// [`Chunked::map_unordered`]. Dropping it cancels the chunks that nobody has begun; what runs
/// is not told, and nobody sees its outcome.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut squares = rt.task(|n: u64| n * n).chunked().map(0..);
/// assert_eq!(squares.next(), Some(Ok(0)));
/// squares.cancel();
/// assert!(squares.count() < 1 << 20); // no more items are pulled
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is submitted before `next`"]
pub struct ChunkedMap<T> {
    outcomes: T,
}

impl<T: Flow> ChunkedMap<T> {
    flow_methods!(
        "```\n\
         # pinfold::test_setup!();\n\
         # fn main() -> Result<(), Box<dyn std::error::Error>> {\n\
         # let rt = pinfold::Runtime::builder().workers(1).start()?;\n\
         use std::time::Duration;\n\
         let nap = |ms| std::thread::sleep(Duration::from_millis(ms));\n\
         let mut naps = rt.task(nap).chunked().map([200]);\n\
         assert_eq!(naps.next_timeout(Duration::ZERO), Err(pinfold::TimedOut));\n\
         assert_eq!(naps.next_timeout(Duration::from_secs(60))?, Some(Ok(())));\n\
         # Ok(())\n\
         # }\n\
         ```"
    );
}

impl<T: Flow> Iterator for ChunkedMap<T> {
    type Item = T::Item;

    fn next(&mut self) -> Option<Self::Item> {
        self.outcomes.next()
    }
}

impl<T: Flow> FusedIterator for ChunkedMap<T> {}

impl<T: Flow> Flow for ChunkedMap<T> {
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        self.outcomes.next_until(deadline)
    }

    fn cancel_rest(&mut self, reach: Reach) {
        self.outcomes.cancel_rest(reach);
    }
}

/// The function of a chunk.
fn of_chunk<F, A, R>(f: F) -> impl Fn(Vec<A>) -> Values<R> + Copy + Send + 'static
where
    F: Fn(A) -> R + Copy + Send + 'static,
{
    move |items| timed(|| items.into_iter().map(f).collect())
}

impl<'rt, F, A, R> Chunked<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn chunks<I>(&self, items: I) -> Chunks<I::IntoIter>
    where
        I: IntoIterator<Item = A>,
    {
        Chunks {
            items: items.into_iter(),
            grain: Grain::new().or_fixed(self.size),
            pulled: 0,
            made: 0,
            out: BTreeMap::new(),
        }
    }

    /// Puts `items` items into each task (at least 1), but the last, whatever they take and
    /// whatever they hold: for functions of which that is known, or that are better at many at
    /// once. Buffers are limited to 255 in the items of a task, and in its values; one that
    /// several items have in common (a [`Constant`](crate::Constant), say) is one of them. More
    /// are [`TaskError::Arguments`] or [`TaskError::Result`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u64| n + 1).chunked().chunk_size(100);
    /// assert_eq!(task.map(0..1000).sum::<Result<u64, _>>()?, 500_500);
    /// assert_eq!(rt.stats().tasks.submitted, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn chunk_size(mut self, items: usize) -> Self {
        self.size = Some(items.max(1));
        self
    }

    /// As [`Task::map`]: the outcomes are in the order of the items.
    /// [`in_flight`](Task::in_flight) is in chunks; 8 for each executor by default.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u64| n + 1).chunked();
    /// assert!(task.map(0..1000).eq((1..=1000).map(Ok)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(
        &self,
        items: I,
    ) -> ChunkedMap<impl Flow<Item = Result<R, TaskError>> + use<'rt, I, F, A, R>>
    where
        I: IntoIterator<Item = A>,
    {
        let outcomes = if self.task.order.is_tried_again() {
            Either::Single(self.task.map(items))
        } else {
            let task = self.task.with(of_chunk(self.task.call()));
            Either::Chunks(InOrder {
                chunks: task.map_by(self.chunks(items), CHUNKS_IN_FLIGHT),
                back: 0,
                ready: VecDeque::new(),
            })
        };
        ChunkedMap { outcomes }
    }

    /// As [`Task::map_unordered`]: the outcomes as they come, each with the number of
    /// its item.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// for (n, next) in rt.task(|n: usize| n + 1).chunked().map_unordered(0..1000) {
    ///     assert_eq!(next?, n + 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_unordered<I>(
        &self,
        items: I,
    ) -> ChunkedMap<impl Flow<Item = (usize, Result<R, TaskError>)> + use<'rt, I, F, A, R>>
    where
        I: IntoIterator<Item = A>,
    {
        ChunkedMap {
            outcomes: self.outcomes(items),
        }
    }

    pub(super) fn outcomes<I>(
        &self,
        items: I,
    ) -> impl Flow<Item = (usize, Result<R, TaskError>)> + use<'rt, I, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        if self.task.order.is_tried_again() {
            return Either::Single(self.task.map_unordered(items));
        }
        let task = self.task.with(of_chunk(self.task.call()));
        Either::Chunks(Outcomes {
            chunks: task.map_unordered_by(self.chunks(items), CHUNKS_IN_FLIGHT),
            ready: VecDeque::new(),
        })
    }
}
