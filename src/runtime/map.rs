//! Many tasks of one function, a bounded number in flight, results in order.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Outcome, Reach, Ticket, small};

use super::Task;
use super::feed::{ByItem, feed, has_buffers};
use super::flow::{Flow, TimedOut, flow_methods};
use super::handle::decode;
use super::held::Held;

/// So many outcomes are taken at a time, if there are as many.
const TAKEN_MAX: usize = 64;

/// Outcomes in the order of the items; made by [`Task::map`]. Dropping it cancels what nobody
/// has begun; what runs is not told, and nobody sees its outcome.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// for (n, square) in rt.map(|n: u64| n * n, 0..100).enumerate() {
///     assert_eq!(square?, (n * n) as u64);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is submitted before `next`"]
pub struct Map<'rt, I, F, A, R> {
    task: Task<'rt, F, A, R>,
    by_item: Option<ByItem<'rt, F, A, R>>,
    /// Whose the tickets are.
    scheduler: Held,
    items: I,
    /// Of tasks in flight, in order.
    tickets: VecDeque<Ticket>,
    /// Outcomes before these, in order.
    ready: VecDeque<Outcome>,
    /// Of an item that could not be submitted: its place is behind all tickets.
    failed: Option<TaskError>,
    /// The number of the item whose outcome is the next.
    next: usize,
    in_flight: usize,
    exhausted: bool,
    has_buffers: bool,
    result: PhantomData<fn() -> R>,
}

impl<I, F, A, R> std::fmt::Debug for Map<'_, I, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map")
            .field("task", &self.task)
            .field("in_flight", &self.in_flight)
            .field("submitted", &self.tickets.len())
            .finish_non_exhaustive()
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Runs it on every item, in parallel; yields the outcomes in the order of the
    /// items. Pulls from `items` lazily, on the calling thread, and keeps a bounded
    /// number [in flight](Task::in_flight). Nothing is submitted before the first `next`.
    /// Dropping the iterator cancels what nobody has begun.
    ///
    /// An item without a value is an `Err` among the others, which go on; to stop at the first,
    /// collect into a `Result`.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let lengths = rt.task(|s: String| s.len()).map(["a", "bc"].map(String::from));
    /// assert_eq!(lengths.collect::<Result<Vec<_>, _>>()?, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> Map<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.map_by(items.into_iter(), 64)
    }

    /// The same; so many in flight for each executor, if it was not said.
    pub(super) fn map_by<I>(&self, items: I, each: usize) -> Map<'rt, I, F, A, R>
    where
        I: Iterator<Item = A>,
    {
        Map::new(self.clone(), items, self.order.in_flight_of(each))
    }
}

impl<'rt, I, F, A, R> Map<'rt, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    pub(super) fn new(task: Task<'rt, F, A, R>, items: I, in_flight: usize) -> Self {
        Map {
            scheduler: task.core().present(),
            task,
            by_item: None,
            items,
            tickets: VecDeque::with_capacity(in_flight.min(1024)),
            ready: VecDeque::new(),
            failed: None,
            next: 0,
            in_flight,
            exhausted: false,
            has_buffers: false,
            result: PhantomData,
        }
    }

    /// The same, each with settings of its own.
    pub(super) fn by_item(mut self, by_item: ByItem<'rt, F, A, R>) -> Self {
        self.by_item = Some(by_item);
        self
    }

    /// Submits up to the bound, or up to the first item that cannot be submitted.
    fn fill(&mut self) {
        if self.scheduler.is_condemned() {
            // The tickets of a damaged fold have ended; first those.
            if !self.tickets.is_empty() {
                return;
            }
            self.scheduler = self.task.core().sound();
        }
        // All that were pulled before are told, ready or out.
        let first = self.next + self.ready.len() + self.tickets.len();
        let Map {
            task,
            by_item,
            scheduler,
            items,
            tickets,
            ready,
            failed,
            in_flight,
            ..
        } = self;
        let missing = in_flight.saturating_sub(tickets.len() + ready.len());
        let fed = feed(
            task,
            by_item.as_ref(),
            scheduler,
            items,
            first,
            missing,
            |submitted| match submitted {
                Ok(ticket) => tickets.push_back(ticket),
                Err(error) => {
                    failed.get_or_insert(*error);
                }
            },
        );
        self.exhausted |= fed.is_over;
        self.has_buffers |= fed.has_buffers;
    }

    /// The outcome of the next item.
    #[inline]
    fn of_item(&mut self, outcome: Result<R, TaskError>) -> Result<R, TaskError> {
        let item = self.next;
        self.next += 1;
        outcome.map_err(|error| self.told(error, item))
    }

    /// An error of the task of this item.
    #[cold]
    pub(super) fn told(&self, error: TaskError, item: usize) -> TaskError {
        match self.by_item {
            Some(_) => self.task.order.of_own_item(error, item),
            None => self.task.order.of_item(error, item),
        }
    }

    flow_methods!(
        "```\n\
         # pinfold::test_setup!();\n\
         # fn main() -> Result<(), Box<dyn std::error::Error>> {\n\
         # let rt = pinfold::Runtime::builder().workers(1).start()?;\n\
         use std::time::Duration;\n\
         let nap = |ms| std::thread::sleep(Duration::from_millis(ms));\n\
         let mut naps = rt.map(nap, [200, 1]);\n\
         assert_eq!(naps.next_timeout(Duration::ZERO), Err(pinfold::TimedOut));\n\
         assert_eq!(naps.next_timeout(Duration::from_secs(60))?, Some(Ok(())));\n\
         # Ok(())\n\
         # }\n\
         ```"
    );

    /// Where the items come from.
    pub(super) fn items(&mut self) -> &mut I {
        &mut self.items
    }

    /// Whether a buffer was among arguments or results.
    pub(super) fn has_buffers(&self) -> bool {
        self.has_buffers
    }
}

impl<I, F, A, R> Iterator for Map<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = Result<R, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).unwrap_or(None)
    }
}

impl<I, F, A, R> Flow for Map<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    #[inline]
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        // Refilled when an eighth is missing: a batch is cheaper than singles, and
        // the rest keeps the workers busy meanwhile.
        let low = self.in_flight - self.in_flight / 8;
        if !self.exhausted
            && self.failed.is_none()
            && self.tickets.len() + self.ready.len() < low.max(1)
        {
            self.fill();
        }
        let mut words = [0; _];
        if self.ready.is_empty()
            && let Some(next) = self.tickets.front()
            && let Some((len, ..)) = self.scheduler.take_small(next, &mut words)
        {
            self.tickets.pop_front();
            let outcome = self.of_item(small(len, &words));
            return Ok(Some(outcome));
        }
        if self.ready.is_empty() {
            let ready = &mut self.ready;
            let scheduler = &self.scheduler;
            let tickets = &mut self.tickets;
            if !scheduler.wait_some(tickets, TAKEN_MAX, deadline, &mut |o| ready.push_back(o)) {
                return Err(TimedOut);
            }
        }
        Ok(match self.ready.pop_front() {
            Some(outcome) => {
                self.has_buffers |= has_buffers(&outcome);
                Some(self.of_item(decode(outcome)))
            }
            None => {
                let failed = self.failed.take();
                failed.map(|failed| self.of_item(Err(failed)))
            }
        })
    }

    fn cancel_rest(&mut self, reach: Reach) {
        self.exhausted = true;
        self.scheduler.cancel_each(self.tickets.iter(), reach);
    }
}

impl<I, F, A, R> Drop for Map<'_, I, F, A, R> {
    fn drop(&mut self) {
        if !self.tickets.is_empty() {
            self.scheduler.abandon(self.tickets.iter());
        }
    }
}

impl<I, F, A, R> FusedIterator for Map<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
}
