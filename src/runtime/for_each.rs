//! Running through many items for what it does, not for what comes back.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::Reach;

use super::flow::Flow;
use super::{Chunked, Task};

/// Runs through all; the first error, of a task or of `judge` about the value of an item, cancels
/// the rest.
pub(super) fn run<R>(
    mut outcomes: impl Flow<Item = (usize, Result<R, TaskError>)>,
    judge: impl Fn(R, usize) -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    let mut first = Ok(());
    while let Some((item, outcome)) = outcomes.next() {
        let judged = outcome.and_then(|value| judge(value, item));
        if first.is_ok() && judged.is_err() {
            first = judged;
            outcomes.cancel_rest(Reach::Running);
        }
    }
    first
}

pub(super) fn returned<E: Display>(value: Result<(), E>) -> Result<(), TaskError> {
    value.map_err(|error| TaskError::returned(error.to_string()))
}

impl<F, A> Task<'_, F, A, ()>
where
    F: Fn(A) + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
{
    /// Runs it on every item, in parallel; returns when all have ended. The first item
    /// that ends with an error cancels the rest: no more are pulled, what nobody has
    /// begun never is, and what is running is waited for.
    ///
    /// For a function that returns a `Result` there is
    /// [`try_for_each`](Task::try_for_each).
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// rt.task(|n: u32| assert!(n < 100)).for_each(0..100)?;
    /// assert!(rt.task(|n: u32| assert!(n < 99)).for_each(0..100).is_err());
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

impl<F, A, E> Task<'_, F, A, Result<(), E>>
where
    F: Fn(A) -> Result<(), E> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    E: Serialize + DeserializeOwned + Display,
{
    /// As [`for_each`](Task::for_each) for a function that returns a `Result`: its
    /// error becomes [`TaskError::Returned`], and cancels the rest too.
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn even(n: u32) -> Result<(), String> {
    ///     if n % 2 == 0 { Ok(()) } else { Err(format!("{n} is odd")) }
    /// }
    /// rt.task(even).try_for_each([2, 4])?;
    /// let error = rt.task(even).try_for_each([2, 3, 4]).unwrap_err();
    /// assert!(error.to_string().ends_with("even, item 1: returned an error: 3 is odd"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_for_each<I>(&self, items: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        run(self.map_unordered(items), |value, item| {
            returned(value).map_err(|error| self.order.of_item(error, item))
        })
    }
}

impl<F, A> Chunked<'_, F, A, ()>
where
    F: Fn(A) + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
{
    /// As [`Task::for_each`], in chunks.
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// rt.task(|n: u32| assert!(n < 1000)).chunked().for_each(0..1000)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<I>(&self, items: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        run(self.outcomes(items), |(), _| Ok(()))
    }
}

impl<F, A, E> Chunked<'_, F, A, Result<(), E>>
where
    F: Fn(A) -> Result<(), E> + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    E: Serialize + DeserializeOwned + Display,
{
    /// As [`Task::try_for_each`], in chunks.
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn check(n: u32) -> Result<(), String> {
    ///     if n < 1000 { Ok(()) } else { Err(n.to_string()) }
    /// }
    /// rt.task(check).chunked().try_for_each(0..1000)?;
    /// assert!(rt.task(check).chunked().try_for_each(0..=1000).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_for_each<I>(&self, items: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        run(self.outcomes(items), |value, item| {
            returned(value).map_err(|error| self.task.order.of_item(error, item))
        })
    }
}
