//! Settings of their own for the items of a map.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;

use super::feed::ByItem;
use super::for_each::{returned, run};
use super::{Map, MapUnordered, Task};

/// A task that has settings of its own for each item; made by [`Task::per_item`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let lengths = rt.task(|s: String| s.len()).per_item(|task, _, s| task.named(s.as_str()));
/// let words = ["a", "bc"].map(String::from);
/// assert_eq!(lengths.map(words).collect::<Result<Vec<_>, _>>()?, [1, 2]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `map` or `for_each`"]
pub struct PerItem<'rt, F, A, R> {
    task: Task<'rt, F, A, R>,
    by_item: ByItem<'rt, F, A, R>,
}

impl<F: Copy, A, R> Clone for PerItem<'_, F, A, R> {
    fn clone(&self) -> Self {
        PerItem {
            task: self.task.clone(),
            by_item: self.by_item.clone(),
        }
    }
}

impl<F, A, R> std::fmt::Debug for PerItem<'_, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerItem")
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
    /// Settings by item: `settings` is given this task, the number of an item (the first is 0)
    /// and the item, when it is pulled, and returns the task with the settings that this one is
    /// to have: a name, tags, limits on time, retries, a priority. It is called on the thread
    /// that runs through the items, and may capture what it likes.
    ///
    /// Two settings are those of all: [`in_flight`](Task::in_flight), and
    /// [`memoized`](Task::memoized), which is for `spawn`. What is given several items at a time
    /// ([`chunked`](Task::chunked), [`reduce`](Task::reduce)) is not offered.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// fn parse((file, text): (String, String)) -> u32 {
    ///     text.parse().unwrap_or_else(|error| panic!("{file}: {error}"))
    /// }
    /// // As long as a file is: so much time; and errors and logs say which it was.
    /// let parse = rt.task(parse).per_item(|task, _, (file, text)| {
    ///     let limit = Duration::from_secs(5) + Duration::from_millis(text.len() as u64);
    ///     task.named(file.as_str()).run_limit(limit)
    /// });
    /// let files = [("a", "1"), ("b", "x")].map(|(file, text)| (file.into(), text.into()));
    /// let error = parse.map(files).last().unwrap().unwrap_err();
    /// assert!(error.to_string().starts_with("`b` ("), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn per_item(
        &self,
        settings: impl Fn(Self, usize, &A) -> Self + Send + Sync + 'rt,
    ) -> PerItem<'rt, F, A, R> {
        PerItem {
            task: self.clone(),
            by_item: std::sync::Arc::new(settings),
        }
    }
}

impl<'rt, F, A, R> PerItem<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// As [`Task::map`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::Priority::{Low, Urgent};
    /// let task = rt.task(|n: u32| n + 1);
    /// let task = task.per_item(|task, _, n| task.priority(if *n > 1 { Low } else { Urgent }));
    /// assert_eq!(task.map(0..3).collect::<Result<Vec<_>, _>>()?, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> Map<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.task.map(items).by_item(self.by_item.clone())
    }

    /// As [`Task::map_unordered`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|_: u32| pinfold::task_name());
    /// let task = task.per_item(|task, number, _| task.named(format!("item {number}")));
    /// for (number, name) in task.map_unordered([7, 8, 9]) {
    ///     assert_eq!(name?, Some(format!("item {number}")));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_unordered<I>(&self, items: I) -> MapUnordered<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.task.map_unordered(items).by_item(self.by_item.clone())
    }

    /// As [`Task::execute_all`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| n * 2).per_item(|task, _, n| task.tag("n", n.to_string()));
    /// assert_eq!(task.execute_all(1..=2, |_, _| ()), [Ok(2), Ok(4)]);
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
        self.task
            .collect_all(self.map_unordered(items), total, progress)
    }
}

impl<F, A> PerItem<'_, F, A, ()>
where
    F: Fn(A) + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
{
    /// As [`Task::for_each`].
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| assert!(n < 9)).per_item(|task, _, n| task.named(n.to_string()));
    /// let error = task.for_each(0..10).unwrap_err();
    /// assert!(error.to_string().starts_with("`9` ("), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<I>(&self, items: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        run(self.map_unordered(items), |(), _| Ok(()))
    }
}

impl<F, A, E> PerItem<'_, F, A, Result<(), E>>
where
    F: Fn(A) -> Result<(), E> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    E: Serialize + DeserializeOwned + Display,
{
    /// As [`Task::try_for_each`].
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// fn check(n: u64) -> Result<(), String> {
    ///     if n < 3 { Ok(()) } else { Err(format!("{n} is too much")) }
    /// }
    /// let task = rt.task(check);
    /// let task = task.per_item(|task, _, n| task.run_limit(Duration::from_secs(60 + n)));
    /// task.try_for_each(0..3)?;
    /// assert!(task.try_for_each(0..4).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_for_each<I>(&self, items: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        run(self.map_unordered(items), |value, item| {
            returned(value).map_err(|error| self.task.order.of_own_item(error, item))
        })
    }
}
