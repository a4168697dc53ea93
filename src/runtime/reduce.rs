//! Combining values in workers, as a tree.
//!
//! ```text
//!   items   0 1 2 3 4 5 6        the tree is that of the item's numbers: a block of
//!   pairs   └┬┘ └┬┘ └┬┘ │        2ᵏ items begins at a multiple of 2ᵏ
//!   fours    └─┬─┘   │  │
//!   rest       │     └┬─┘        at the end, from the right
//!              └──┬───┘
//! ```
//!
//! Several items travel in one task, as many as take some time; they too are a block.
//! So the grouping depends on nothing but how many items there are: not on times, not
//! on who runs what.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Ended, Reach};

use super::chunks::CHUNKS_IN_FLIGHT;
use super::ends::Ends;
use super::grain::{Grain, timed};
use super::submitted::Submitted;
use super::{Handle, Task};

/// Values of blocks, in order; and how many nanoseconds it took.
type Blocks<R> = (u64, Vec<R>);

/// A task in flight.
enum Run<R> {
    /// Of items, from `start`, so many.
    Items(usize, usize, Handle<Blocks<R>>),
    /// Of one item, which is tried again by itself.
    Item(usize, Handle<R>),
    /// Of two blocks that make one, from `start`, of so many items.
    Pair(usize, usize, Handle<R>),
}

/// What is known so far.
struct Reduction<'rt, C, R> {
    combine: Task<'rt, C, (R, R), R>,
    /// Blocks whose neighbour is not there yet, by the first item: how many items, and
    /// their value.
    blocks: BTreeMap<usize, (usize, R)>,
    runs: Vec<Option<Run<R>>>,
    vacant: Vec<u32>,
    ends: Ends,
    /// Tasks of items in flight.
    items_out: usize,
    grain: Grain,
    error: Option<TaskError>,
}

/// Puts the next block behind those that are there, and makes one of two as long as
/// there are two of the same size.
fn push<R>(blocks: &mut Vec<(usize, R)>, value: R, combine: impl Fn((R, R)) -> R) {
    let (mut len, mut value) = (1, value);
    while let Some((_, left)) = blocks.pop_if(|(before, _)| *before == len) {
        value = combine((left, value));
        len *= 2;
    }
    blocks.push((len, value));
}

impl<C, R> Reduction<'_, C, R>
where
    C: Fn((R, R)) -> R + Copy + Send + 'static,
    R: Serialize + DeserializeOwned,
{
    fn start<T: DeserializeOwned>(
        &mut self,
        submitted: Submitted,
        items: Range<usize>,
        run: impl FnOnce(Handle<T>) -> Run<R>,
    ) -> bool {
        let ticket = match submitted.ticket {
            Ok(ticket) => ticket,
            Err(error) => {
                self.fail(*error, items);
                return false;
            }
        };
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.runs.push(None);
            (self.runs.len() - 1) as u32
        });
        let scheduler = submitted.scheduler;
        self.ends.watch(&scheduler, [(place, &ticket)].into_iter());
        self.runs[place as usize] = Some(run(Handle::new(scheduler, ticket)));
        true
    }

    /// The first error cancels the rest.
    fn fail(&mut self, mut error: TaskError, items: Range<usize>) {
        if self.error.is_none() {
            error.tell_of(
                (self.combine.order.name)(),
                self.combine.order.label(),
                None,
            );
            self.error = Some(error.of_items(items));
            self.ends.cancel(Reach::Running);
        }
    }

    /// Waits until some tasks have ended; false if there are none.
    fn step(&mut self) -> bool {
        let mut ended = Vec::new();
        self.ends.wait(&mut ended);
        let any = !ended.is_empty();
        for Ended { tag, .. } in ended {
            self.vacant.push(tag);
            match self.runs[tag as usize].take() {
                Some(Run::Items(start, len, handle)) => {
                    self.items_out -= 1;
                    match handle.join() {
                        Ok((ns, values)) => self.add_items(start, len, ns, values),
                        Err(error) => self.fail(error, start..start + len),
                    }
                }
                Some(Run::Item(start, handle)) => {
                    self.items_out -= 1;
                    match handle.join() {
                        Ok(value) => self.add(start, 1, value),
                        Err(error) => self.fail(error, start..start + 1),
                    }
                }
                Some(Run::Pair(start, len, handle)) => match handle.join() {
                    Ok(value) => self.add(start, len, value),
                    Err(error) => self.fail(error, start..start + len),
                },
                None => {}
            }
        }
        any
    }

    /// The items from `start` on have become blocks: one for each bit of their number.
    fn add_items(&mut self, start: usize, len: usize, ns: u64, values: Vec<R>) {
        if values.len() != len.count_ones() as usize {
            let message = format!("{} blocks of {len} items", values.len());
            return self.fail(TaskError::result(message), start..start + len);
        }
        self.grain.learn(len, ns);
        let (mut start, mut left) = (start, len);
        for value in values {
            let block = 1 << left.ilog2();
            self.add(start, block, value);
            start += block;
            left -= block;
        }
    }

    /// Adds a block; if its neighbour is there, both are combined.
    fn add(&mut self, start: usize, len: usize, value: R) {
        if self.error.is_some() {
            return;
        }
        let neighbour = start ^ len;
        let is_there = self
            .blocks
            .get(&neighbour)
            .is_some_and(|(size, _)| *size == len);
        let other = if is_there {
            self.blocks.remove(&neighbour)
        } else {
            None
        };
        let Some((_, other)) = other else {
            self.blocks.insert(start, (len, value));
            return;
        };
        let (first, pair) = if neighbour < start {
            (neighbour, (other, value))
        } else {
            (start, (value, other))
        };
        self.combine_pair(first, 2 * len, pair);
    }

    fn combine_pair(&mut self, start: usize, len: usize, pair: (R, R)) {
        let submitted = self.combine.submit(pair);
        self.start(submitted, start..start + len, |handle| {
            Run::Pair(start, len, handle)
        });
    }

    /// All items are blocks: combines what has no neighbour, from the right.
    fn finish(mut self) -> Result<Option<R>, TaskError> {
        while self.step() {}
        while self.error.is_none() && self.blocks.len() > 1 {
            if let (Some((_, (_, right))), Some((start, (_, left)))) =
                (self.blocks.pop_last(), self.blocks.pop_last())
            {
                // Of a size that none has: it is not taken for a neighbour.
                self.combine_pair(start, 0, (left, right));
            }
            while self.step() {}
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.blocks.pop_first().map(|(_, (_, value))| value)),
        }
    }
}

impl<F, A, R> Task<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Runs it on every item, and `combine` on two values at a time until one is left:
    /// in workers too. `None` if there are no items.
    ///
    /// Neighbours are combined, the left one first: if `combine` is associative the
    /// value is that of a loop over the items, commutative or not. Which values are
    /// combined depends on the number of items alone; so a sum of floating-point
    /// numbers is the same in each run, whatever the workers.
    ///
    /// Short functions are given several items at a time, as by
    /// [`Task::chunked`]; a [run limit](Task::run_limit) is for so many.
    /// If the task may be repeated, `combine` may. Of a task that is
    /// [tried again](Task::retry) each item is a task of its own; `combine` is not tried
    /// again.
    ///
    /// # Errors
    /// The first one, of `combine` too. It cancels the rest; what runs is waited for.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let digits = rt.task(|n: u32| n.to_string());
    /// let text = digits.reduce(0..12, |(a, b)| a + &b)?;
    /// assert_eq!(text.as_deref(), Some("01234567891011"));
    /// assert_eq!(digits.reduce([], |(a, b)| a + &b)?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<I, C>(&self, items: I, combine: C) -> Result<Option<R>, TaskError>
    where
        I: IntoIterator<Item = A>,
        C: Fn((R, R)) -> R + Copy + Send + 'static,
    {
        let call = self.call();
        let leaf = self.with(move |items: Vec<A>| -> Blocks<R> {
            timed(|| {
                let mut blocks = Vec::new();
                for item in items {
                    push(&mut blocks, call(item), combine);
                }
                blocks.into_iter().map(|(_, value)| value).collect()
            })
        });
        let mut items = items.into_iter().fuse();
        let in_flight = self.order.in_flight_of(CHUNKS_IN_FLIGHT);
        let mut reduction = Reduction {
            combine: self.with(combine),
            blocks: BTreeMap::new(),
            runs: Vec::new(),
            vacant: Vec::new(),
            ends: Ends::default(),
            items_out: 0,
            grain: Grain::new(),
            error: None,
        };
        let mut start = 0;
        while reduction.error.is_none() {
            if reduction.items_out >= in_flight {
                reduction.step();
                continue;
            }
            if self.order.is_tried_again() {
                let Some(item) = items.next() else { break };
                let submitted = self.submit(item);
                let started = reduction.start(submitted, start..start + 1, |handle| {
                    Run::Item(start, handle)
                });
                reduction.items_out += usize::from(started);
                start += 1;
                continue;
            }
            let size = reduction.grain.aligned_size(start);
            let chunk: Vec<A> = items.by_ref().take(size).collect();
            let len = chunk.len();
            if len == 0 {
                break;
            }
            let submitted = leaf.submit(chunk);
            if submitted.has_buffers {
                reduction.grain.stay_alone();
            }
            let started = reduction.start(submitted, start..start + len, |handle| {
                Run::Items(start, len, handle)
            });
            reduction.items_out += usize::from(started);
            start += len;
        }
        reduction.finish()
    }
}
