//! Handles in the order in which their tasks end.

use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::Reach;

use super::Handle;
use super::flow::{Flow, TimedOut, flow_methods};
use super::members::Members;

/// The outcomes of several tasks as they come, each with the number of its handle (the first
/// is 0). To add tasks on the way there is [`JoinSet`](crate::JoinSet).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let nap = |ms| std::thread::sleep(std::time::Duration::from_millis(ms));
/// let ended = pinfold::as_completed([300, 1].map(|ms| rt.spawn(nap, ms)));
/// assert_eq!(ended.map(|(task, _)| task).collect::<Vec<_>>(), [1, 0]);
/// # Ok(())
/// # }
/// ```
pub fn as_completed<R>(handles: impl IntoIterator<Item = Handle<R>>) -> AsCompleted<R>
where
    R: DeserializeOwned,
{
    AsCompleted {
        members: Members::of(handles),
    }
}

/// Outcomes as they come; made by [`as_completed`]. Also a [`Stream`], for asynchronous code.
///
/// Dropping it drops the handles, which detaches their tasks.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let tasks = (0..3).map(|n| rt.spawn(|n: u32| n, n));
/// let mut ended: pinfold::AsCompleted<u32> = pinfold::as_completed(tasks);
/// assert_eq!(ended.len(), 3);
/// let (task, outcome) = ended.next().ok_or("three")?;
/// assert_eq!(outcome, Ok(task as u32));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it detaches the tasks"]
pub struct AsCompleted<R> {
    members: Members<R>,
}

impl<R: DeserializeOwned> AsCompleted<R> {
    flow_methods!(
        "```\n\
         # pinfold::test_setup!();\n\
         # fn main() -> Result<(), Box<dyn std::error::Error>> {\n\
         # let rt = pinfold::Runtime::builder().workers(1).start()?;\n\
         use std::time::Duration;\n\
         let nap = |ms| std::thread::sleep(Duration::from_millis(ms));\n\
         let mut naps = pinfold::as_completed([rt.spawn(nap, 200)]);\n\
         assert_eq!(naps.next_timeout(Duration::ZERO), Err(pinfold::TimedOut));\n\
         assert_eq!(naps.next_timeout(Duration::from_secs(60))?, Some((0, Ok(()))));\n\
         # Ok(())\n\
         # }\n\
         ```"
    );
}

impl<R: DeserializeOwned> Flow for AsCompleted<R> {
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut> {
        match self.members.next(deadline) {
            None if self.members.len() > 0 => Err(TimedOut),
            next => Ok(next),
        }
    }

    fn cancel_rest(&mut self, reach: Reach) {
        self.members.cancel(reach);
    }
}

impl<R: DeserializeOwned> Iterator for AsCompleted<R> {
    type Item = (usize, Result<R, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.members.next(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.members.len(), Some(self.members.len()))
    }
}

impl<R: DeserializeOwned> ExactSizeIterator for AsCompleted<R> {}

impl<R: DeserializeOwned> FusedIterator for AsCompleted<R> {}

impl<R: DeserializeOwned> Stream for AsCompleted<R> {
    type Item = (usize, Result<R, TaskError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.members.poll_next(context)
    }
}
