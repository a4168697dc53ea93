//! What a task can know about itself.
//!
//! A plain task costs nothing for this: which task a thread runs is read from what the executor announces
//! anyway.

use std::rc::Rc;

use crate::task::{FunctionId, Label};

use super::labels;
use super::nest::Nest;

/// What a task knows of itself; made by [`task_info`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// fn describe(_: ()) -> Option<String> {
///     let info: pinfold::TaskInfo = pinfold::task_info()?;
///     let (key, value) = info.tags.first()?;
///     Some(format!("{} for {key} {value}", info.name?))
/// }
/// let task = rt.task(describe).named("resize").tag("user", "7");
/// assert_eq!(task.spawn(()).join()?.as_deref(), Some("resize for user 7"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its function, as the compiler calls it.
    pub function: &'static str,
    /// The name that it was given ([`Task::named`](crate::Task::named)).
    pub name: Option<String>,
    /// The trace that it belongs to ([`Task::traceparent`](crate::Task::traceparent)).
    pub traceparent: Option<String>,
    /// Its tags, in the order in which they were given ([`Task::tag`](crate::Task::tag)).
    pub tags: Vec<(String, String)>,
}

/// What the task knows of itself that calls this; `None` outside of a task, and on a thread
/// that a task has started.
///
/// A task that was spawned by a task has no name, trace or tags of its own: what it
/// should know of its parent's it gets as an argument.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// fn function(_: ()) -> Option<String> {
///     Some(pinfold::task_info()?.function.to_owned())
/// }
/// let name = rt.spawn(function, ()).join()?;
/// assert!(name.is_some_and(|name| name.ends_with("::function")));
/// assert_eq!(pinfold::task_info(), None); // this is no task
/// # Ok(())
/// # }
/// ```
pub fn task_info() -> Option<TaskInfo> {
    let (function, label) = running()?;
    let Label {
        name,
        traceparent,
        tags,
    } = label.map_or_else(Label::default, |label| Label::clone(&label));
    Some(TaskInfo {
        function,
        name,
        traceparent,
        tags,
    })
}

/// What the task is called that calls this: by the name that it was given, or else by
/// that of its function. `None` outside of a task.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let name = rt.task(|(): ()| pinfold::task_name()).named("nightly").spawn(());
/// assert_eq!(name.join()?.as_deref(), Some("nightly"));
/// # Ok(())
/// # }
/// ```
pub fn task_name() -> Option<String> {
    let (function, label) = running()?;
    let given = label.and_then(|label| label.name.clone());
    Some(given.unwrap_or_else(|| function.to_owned()))
}

/// The trace context that the task was given that calls this, as W3C writes it; `None` if
/// it has none, and outside of a task.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let task = rt.task(|(): ()| pinfold::traceparent()).traceparent(context)?;
/// assert_eq!(task.spawn(()).join()?.as_deref(), Some(context));
/// # Ok(())
/// # }
/// ```
pub fn traceparent() -> Option<String> {
    running()?.1?.traceparent.clone()
}

/// The function that this thread runs, and its task's label if it has one.
fn running() -> Option<(&'static str, Option<Rc<Label>>)> {
    let nest = Nest::here()?;
    let runner = nest.runner;
    let (hint, head) = runner.running()?;
    let function = runner.functions.name(FunctionId(head.function))?;
    Some((function, labels::of(hint)))
}
