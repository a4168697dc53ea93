//! Many tasks of one function, a bounded number in flight, results in order.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;

use super::{Handle, Task};

/// Outcomes in the order of the items; made by [`Task::map`].
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
    items: I,
    handles: VecDeque<Handle<R>>,
    in_flight: usize,
    exhausted: bool,
}

impl<I, F, A, R> std::fmt::Debug for Map<'_, I, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map")
            .field("task", &self.task)
            .field("in_flight", &self.in_flight)
            .field("submitted", &self.handles.len())
            .finish_non_exhaustive()
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
            task,
            items,
            handles: VecDeque::with_capacity(in_flight.min(1024)),
            in_flight,
            exhausted: false,
        }
    }

    /// Submits up to the bound, with few publications.
    fn fill(&mut self) {
        let Map {
            task,
            items,
            handles,
            in_flight,
            exhausted,
        } = self;
        let mut missing = *in_flight - handles.len().min(*in_flight);
        let task = *task;
        let next = |job: &mut _| {
            if missing == 0 {
                return Ok(false);
            }
            missing -= 1;
            match items.next() {
                Some(args) => task.encode(&args, job).map(|()| true),
                None => {
                    *exhausted = true;
                    Ok(false)
                }
            }
        };
        task.core()
            .scheduler
            .submit_all(&mut task.job(), next, |submitted| {
                handles.push_back(task.handle(submitted));
            });
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

    fn next(&mut self) -> Option<Self::Item> {
        // Refilled when an eighth is missing: a batch is cheaper than singles, and
        // the rest keeps the workers busy meanwhile.
        let low = self.in_flight - self.in_flight / 8;
        if !self.exhausted && self.handles.len() < low.max(1) {
            self.fill();
        }
        self.handles.pop_front().map(Handle::join)
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
