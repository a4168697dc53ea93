//! What errors of tasks say. Each text begins with the task, once, and then says what has
//! happened to it.

use std::fmt;
use std::time::Duration;

use super::FORKED;
use super::failed::{FailedTask, write_end};
use super::task::TaskError;
use super::times::TimeLimit;

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = self.task() {
            write!(f, "{task}: ")?;
        }
        self.why().fmt(f)?;
        let before = match self {
            TaskError::Poison { .. } => &[], // it tells them itself
            error => error.task().map_or(&[][..], |task| &task.attempts),
        };
        for (number, attempt) in before.iter().enumerate() {
            write!(f, "; attempt {}: {attempt}", number + 1)?;
        }
        Ok(())
    }
}

/// Which limit has passed, and what the task did meanwhile.
fn write_late(
    f: &mut fmt::Formatter<'_>,
    task: &FailedTask,
    (which, limit): (TimeLimit, Duration),
    begun: bool,
) -> fmt::Result {
    match which {
        TimeLimit::Run => write!(f, "its {which} of {limit:?} has passed: ")?,
        TimeLimit::Hard | TimeLimit::Start => {
            write!(f, "its {which}, {limit:?} after it was submitted, came ")?;
        }
    }
    match (which, task.ran) {
        (TimeLimit::Run, Some(ran)) => write!(f, "it ran for {ran:.1?}")?,
        (TimeLimit::Run, None) => f.write_str("it ran for longer")?,
        (_, Some(ran)) => write!(f, "when it had run for {ran:.1?}")?,
        (_, None) if !task.attempts.is_empty() => f.write_str("between two attempts")?,
        (_, None) if begun => f.write_str("after it had begun")?,
        (_, None) => f.write_str("before it had begun")?,
    }
    match task.waited {
        Some(waited) if task.ran.is_some() => write!(f, ", and had waited for {waited:.1?}"),
        _ => Ok(()),
    }
}

/// What has happened to a task that was just named.
struct Why<'a>(&'a TaskError);

impl TaskError {
    /// What has happened, without the name of the task.
    pub(crate) fn why(&self) -> impl fmt::Display + '_ {
        Why(self)
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TaskError::Returned { message, .. } => write!(f, "returned an error: {message}"),
            TaskError::Panicked {
                message, location, ..
            } if location.is_empty() => write!(f, "panicked: {message}"),
            TaskError::Panicked {
                message, location, ..
            } => write!(f, "panicked at {location}: {message}"),
            TaskError::WorkerDied {
                death, last_words, ..
            } => {
                f.write_str("its worker was lost: it ")?;
                write_end(f, *death, last_words.as_deref())
            }
            TaskError::Poison { attempts, .. } => {
                let tried = attempts.len();
                write!(f, "is poison: its worker was lost in each of {tried} attempts")?;
                for (number, attempt) in attempts.iter().enumerate() {
                    write!(f, "; {}: it {attempt}", number + 1)?;
                }
                Ok(())
            }
            TaskError::DeadlineExceeded { which, limit, .. } if limit.is_zero() => write!(
                f,
                "its {which} of 0ns had passed when it was submitted: give it some time"
            ),
            TaskError::DeadlineExceeded {
                task,
                which,
                limit,
                begun,
            } => write_late(f, task, (*which, *limit), *begun),
            TaskError::Arguments { message, .. } => write!(f, "its arguments: {message}"),
            TaskError::Result { message, .. } => write!(f, "its result: {message}"),
            TaskError::ArgumentsTooLarge {
                bytes, capacity, ..
            } => write!(
                f,
                "its arguments are {bytes} bytes long, but the memory cap leaves {capacity}: pass less at a time, or raise `memory_cap`"
            ),
            TaskError::BeyondLimit { units, total, .. } => write!(
                f,
                "it wants {units} units of a limit of {total}, which it can never have: let it want less, or make the limit larger"
            ),
            TaskError::OutOfMemory { message, .. } => f.write_str(message),
            TaskError::Cancelled { .. } => f.write_str("it was cancelled"),
            TaskError::DependencyFailed { cause, .. } => {
                write!(f, "not run, for what it depends on has no value: {cause}")
            }
            TaskError::ForeignHandle { .. } => f.write_str(
                "its handle is of another runtime, or of this one before it was built anew: submit both to the same",
            ),
            TaskError::Forked => f.write_str(FORKED),
            TaskError::DescriptorsClosed { .. } => f.write_str(
                "the program has closed descriptors of the runtime (by close_range or closefrom, say), which ended its workers: do so before the runtime is started",
            ),
            TaskError::Shutdown { .. } => f.write_str("the runtime was shut down before it ended"),
            TaskError::NoWorkers { reason, .. } => {
                write!(f, "no worker can be started at the moment: {reason}")
            }
            TaskError::Corrupted { message, .. } => {
                write!(f, "shared memory is damaged: {message}")
            }
            TaskError::NotInTask => f.write_str(
                "`pinfold::spawn` is for tasks, on the thread they run on: use `Runtime::spawn` in the host",
            ),
            TaskError::AlreadyJoined { .. } => f.write_str(
                "its result was taken before: a handle gives it once, so keep what `try_join` or `join_timeout` returns",
            ),
        }
    }
}
