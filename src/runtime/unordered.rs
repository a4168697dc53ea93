//! Many tasks of one function, a bounded number in flight, outcomes as they come.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Ended, Outcome, Reach, Ticket};

use super::Task;
use super::ends::Ends;
use super::feed::{ByItem, feed, has_buffers};
use super::flow::{Flow, TimedOut, flow_methods};
use super::handle::decode;
use super::held::Held;

/// Outcomes as they come, each with the number of its item; made by
/// [`Task::map_unordered`]. Dropping it cancels what nobody has begun; what runs is not told,
/// and nobody sees its outcome.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// for (n, square) in rt.task(|n: u64| n * n).map_unordered(0..100) {
///     assert_eq!(square?, (n * n) as u64);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is submitted before `next`"]
pub struct MapUnordered<'rt, I, F, A, R> {
    task: Task<'rt, F, A, R>,
    by_item: Option<ByItem<'rt, F, A, R>>,
    /// Whose the tickets are.
    scheduler: Held,
    items: I,
    /// Of tasks in flight, each with the number of its item.
    tickets: Vec<Option<(Ticket, usize)>>,
    /// Free places among the tickets.
    vacant: Vec<u32>,
    ends: Ends,
    /// Not yet yielded.
    ready: VecDeque<(usize, Outcome)>,
    /// The number of the next item.
    next: usize,
    in_flight: usize,
    exhausted: bool,
    has_buffers: bool,
    result: PhantomData<fn() -> R>,
}

impl<I, F, A, R> std::fmt::Debug for MapUnordered<'_, I, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapUnordered")
            .field("task", &self.task)
            .field("in_flight", &self.in_flight)
            .field("pulled", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'rt, I, F, A, R> MapUnordered<'rt, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn new(task: Task<'rt, F, A, R>, items: I, in_flight: usize) -> Self {
        MapUnordered {
            scheduler: task.core().present(),
            task,
            by_item: None,
            items,
            tickets: Vec::new(),
            vacant: Vec::new(),
            ends: Ends::default(),
            ready: VecDeque::new(),
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
            if self.ends.open() > 0 {
                return;
            }
            self.scheduler = self.task.core().sound();
        }
        let MapUnordered {
            task,
            by_item,
            scheduler,
            items,
            tickets,
            vacant,
            ready,
            next,
            ..
        } = self;
        let missing = self
            .in_flight
            .saturating_sub(self.ends.open() + ready.len());
        let mut new = Vec::with_capacity(missing.min(1024));
        let first = *next;
        let by_item = by_item.as_ref();
        let fed = feed(
            task,
            by_item,
            scheduler,
            items,
            first,
            missing,
            |submitted| {
                let number = *next;
                *next += 1;
                match submitted {
                    Ok(ticket) => {
                        let place = vacant.pop().unwrap_or_else(|| {
                            tickets.push(None);
                            (tickets.len() - 1) as u32
                        });
                        tickets[place as usize] = Some((ticket, number));
                        new.push(place);
                    }
                    Err(error) => ready.push_back((number, Err(error))),
                }
            },
        );
        let new = new.iter().filter_map(|place| {
            let (ticket, _) = tickets[*place as usize].as_ref()?;
            Some((*place, ticket))
        });
        self.ends.watch(scheduler, new);
        self.exhausted |= fed.is_over;
        self.has_buffers |= fed.has_buffers;
    }

    flow_methods!(
        "```\n\
         # pinfold::test_setup!();\n\
         # fn main() -> Result<(), Box<dyn std::error::Error>> {\n\
         # let rt = pinfold::Runtime::builder().workers(1).start()?;\n\
         use std::time::Duration;\n\
         let nap = |ms| std::thread::sleep(Duration::from_millis(ms));\n\
         let mut naps = rt.task(nap).map_unordered([200]);\n\
         assert_eq!(naps.next_timeout(Duration::ZERO), Err(pinfold::TimedOut));\n\
         assert_eq!(naps.next_timeout(Duration::from_secs(60))?, Some((0, Ok(()))));\n\
         # Ok(())\n\
         # }\n\
         ```"
    );

    /// Waits for at least one outcome, if any is to come.
    fn collect(&mut self, deadline: Option<Instant>) {
        let mut ended: Vec<Ended> = Vec::new();
        self.ends.wait_until(&mut ended, deadline);
        let mut taken = Vec::with_capacity(ended.len());
        for Ended { tag, .. } in ended {
            taken.extend(self.tickets[tag as usize].take());
            self.vacant.push(tag);
        }
        let mut numbers = taken.iter().map(|(_, number)| *number);
        let ready = &mut self.ready;
        // All are of this fold: another one takes its place only when none is left.
        self.scheduler
            .take_settled(taken.iter().map(|(ticket, _)| ticket), |outcome| {
                ready.extend(numbers.next().map(|number| (number, outcome)));
            });
    }

    /// An error of the task of item `number`.
    #[cold]
    pub(super) fn of_item(&self, error: TaskError, number: usize) -> TaskError {
        match self.by_item {
            Some(_) => self.task.order.of_own_item(error, number),
            None => self.task.order.of_item(error, number),
        }
    }

    /// Where the items come from.
    pub(super) fn items(&mut self) -> &mut I {
        &mut self.items
    }

    /// Whether a buffer was among arguments or results.
    pub(super) fn has_buffers(&self) -> bool {
        self.has_buffers
    }
}

impl<I, F, A, R> Iterator for MapUnordered<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = (usize, Result<R, TaskError>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).unwrap_or(None)
    }
}

impl<I, F, A, R> Flow for MapUnordered<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        if self.ends.are_elsewhere()
            && let Some((_, number)) = self.tickets.iter_mut().find_map(Option::take)
        {
            self.exhausted = true;
            return Ok(Some((number, Err(TaskError::Forked))));
        }
        // Refilled when an eighth is missing: as `Map`.
        let low = self.in_flight - self.in_flight / 8;
        if !self.exhausted && self.ends.open() + self.ready.len() < low.max(1) {
            self.fill();
        }
        if self.ready.is_empty() {
            self.collect(deadline);
        }
        let Some((number, outcome)) = self.ready.pop_front() else {
            let is_over = self.ends.open() == 0;
            return if is_over { Ok(None) } else { Err(TimedOut) };
        };
        self.has_buffers |= has_buffers(&outcome);
        let decoded = decode(outcome);
        let decoded = decoded.map_err(|error| self.of_item(error, number));
        Ok(Some((number, decoded)))
    }

    fn cancel_rest(&mut self, reach: Reach) {
        self.exhausted = true;
        self.ends.cancel(reach);
    }
}

impl<I, F, A, R> Drop for MapUnordered<'_, I, F, A, R> {
    fn drop(&mut self) {
        if self.ends.open() > 0 {
            let tickets = self.tickets.iter().flatten();
            self.scheduler.abandon(tickets.map(|(ticket, _)| ticket));
        }
    }
}

impl<I, F, A, R> FusedIterator for MapUnordered<'_, I, F, A, R>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Runs it on every item, in parallel; yields the outcomes as they come, each with
    /// the number of its item (the first is 0). Otherwise as [`Task::map`]: one slow
    /// item holds up no other.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let names = ["a", "bc"].map(String::from);
    /// for (n, len) in rt.task(|s: String| s.len()).map_unordered(names) {
    ///     assert_eq!(len?, n + 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_unordered<I>(&self, items: I) -> MapUnordered<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.map_unordered_by(items.into_iter(), 64)
    }

    /// The same; so many in flight for each executor, if it was not said.
    pub(super) fn map_unordered_by<I>(&self, items: I, each: usize) -> MapUnordered<'rt, I, F, A, R>
    where
        I: Iterator<Item = A>,
    {
        MapUnordered::new(self.clone(), items, self.order.in_flight_of(each))
    }

    /// Runs it on every item; the outcomes are in the order of the items. After each
    /// one that has ended `progress` is called, on this thread, with how many have
    /// ended and how many there are.
    ///
    /// All items are pulled before the first is run. If `progress` panics, what nobody
    /// has begun is cancelled.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut seen = Vec::new();
    /// let outcomes = rt
    ///     .task(|n: u32| n * 2)
    ///     .execute_all(1..=3, |done, total| seen.push(format!("{done}/{total}")));
    /// assert_eq!(outcomes, [Ok(2), Ok(4), Ok(6)]);
    /// assert_eq!(seen, ["1/3", "2/3", "3/3"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute_all<I>(
        &self,
        items: I,
        progress: impl FnMut(usize, usize),
    ) -> Vec<Result<R, TaskError>>
    where
        I: IntoIterator<Item = A>,
    {
        let items: Vec<A> = items.into_iter().collect();
        let total = items.len();
        self.collect_all(self.map_unordered(items), total, progress)
    }

    /// The outcomes of `total` items, in their order.
    pub(super) fn collect_all(
        &self,
        as_they_come: impl Iterator<Item = (usize, Result<R, TaskError>)>,
        total: usize,
        mut progress: impl FnMut(usize, usize),
    ) -> Vec<Result<R, TaskError>> {
        let mut outcomes: Vec<_> = (0..total).map(|_| None).collect();
        let mut done = 0;
        for (number, outcome) in as_they_come {
            outcomes[number] = Some(outcome);
            done += 1;
            progress(done, total);
        }
        // After a shutdown no more items were pulled.
        let not_run = |item| Err(self.order.of_item(TaskError::shutdown(), item));
        let outcomes = outcomes.into_iter().enumerate();
        outcomes
            .map(|(item, outcome)| outcome.unwrap_or_else(|| not_run(item)))
            .collect()
    }
}
