//! Which task an error is about, and what its attempts have ended in.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backtrace::TaskBacktrace;
use super::times::EarlierAttempt;
use crate::prim::{Death, TaskId};

/// One attempt to run a task, in which the worker ended.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let poison = rt.task(|(): ()| -> () { std::process::exit(7) }).safe_to_repeat(2);
/// match poison.spawn(()).join() {
///     Err(pinfold::TaskError::Poison { attempts, .. }) => {
///         let attempt: &pinfold::Attempt = &attempts[1];
///         assert_eq!(attempt.to_string(), "exited with status 7");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// How the worker ended.
    pub death: Death,
    /// What the task said before (a panic that aborted), if anything.
    pub last_words: Option<String>,
}

impl Attempt {
    pub(crate) fn new(death: Death, last_words: Option<String>) -> Self {
        Attempt { death, last_words }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_end(f, self.death, self.last_words.as_deref())
    }
}

/// How a worker has ended, and what its task said before.
pub(super) fn write_end(
    f: &mut fmt::Formatter<'_>,
    death: Death,
    words: Option<&str>,
) -> fmt::Result {
    write!(f, "{death}")?;
    match words {
        Some(words) => write!(f, "; it had {words}"),
        None => Ok(()),
    }
}

/// The task that an error is about: see [`TaskError::task`](crate::TaskError::task).
///
/// What is not known is empty or `None`.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// fn share(n: u32) -> u32 {
///     100 / n
/// }
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let error = rt.map(share, [5, 0]).last().unwrap().unwrap_err();
/// let task: &pinfold::FailedTask = error.task().unwrap();
/// assert!(task.function.ends_with("share"));
/// assert_eq!(task.item, Some(1));
/// assert!(error.to_string().contains("share, item 1: panicked at "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedTask {
    /// What its function is called ([`std::any::type_name`]).
    pub function: Cow<'static, str>,
    /// The name that it was given ([`Task::named`](crate::Task::named)).
    pub name: Option<String>,
    /// Which task it was ([`Handle::id`](crate::Handle::id)), if it had begun to exist: one
    /// that was refused, or waited for others, had no id.
    pub id: Option<TaskId>,
    /// The number of its item, the first is 0: in [`Task::map`](crate::Task::map) and all that
    /// runs through many items.
    pub item: Option<usize>,
    /// If it was a task of several items ([`Task::chunked`](crate::Task::chunked),
    /// [`Task::reduce`](crate::Task::reduce)): which. Any of them may be the cause.
    pub items: Option<Range<usize>>,
    /// How long the attempt that the error is about had waited to be begun, since it was
    /// queued. This and the next is known of tasks with a [run limit](crate::Task::run_limit) or a
    /// [hard deadline](crate::Task::hard_deadline), and of those that may be tried again.
    pub waited: Option<Duration>,
    /// How long it ran; `None` also if it had not begun.
    pub ran: Option<Duration>,
    /// The attempts before, the first one first. (Of the last one the error itself tells.)
    pub attempts: Vec<EarlierAttempt>,
    /// See [`TaskError::backtrace`](crate::TaskError::backtrace).
    #[serde(default)]
    pub(super) backtrace: Aside<Option<Box<TaskBacktrace>>>,
}

/// What an error carries along, and is not compared by.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Aside<T>(pub T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T: fmt::Debug> fmt::Debug for Aside<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FailedTask {
    /// Whether it was told.
    pub(crate) fn is_known(&self) -> bool {
        !self.function.is_empty()
    }
}

impl fmt::Display for FailedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = match &*self.function {
            "" => "a task",
            function => function,
        };
        match &self.name {
            Some(name) => write!(f, "`{name}` ({function})")?,
            None => f.write_str(function)?,
        }
        match (self.item, &self.items) {
            (None, None) => Ok(()),
            (Some(item), None) => write!(f, ", item {item}"),
            (None, Some(Range { start, end })) => write!(f, ", items {start}..{end}"),
            (Some(item), Some(Range { start, end })) => {
                write!(f, ", item {item} (run with {start}..{end})")
            }
        }
    }
}
