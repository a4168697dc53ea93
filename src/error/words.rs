//! What errors of tasks say. Each text begins with the task, once, and then says what has
//! happened to it.

use std::fmt;

use super::FORKED;
use super::failed::write_end;
use super::task::TaskError;

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = self.task() {
            write!(f, "{task}: ")?;
        }
        self.why().fmt(f)
    }
}

/// What has happened to a task that was just named.
pub(super) struct Why<'a>(pub(super) &'a TaskError);

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
            TaskError::DeadlineExceeded { limit, .. } if limit.is_zero() => f.write_str(
                "its deadline of 0ns had passed when it was submitted: give it some time",
            ),
            TaskError::DeadlineExceeded {
                limit,
                last: Some(last),
                ..
            } => write!(
                f,
                "its deadline of {limit:?} came between two attempts; the last one: {last}"
            ),
            TaskError::DeadlineExceeded { limit, begun, .. } => {
                let when = if *begun { "after" } else { "before" };
                write!(f, "its deadline of {limit:?} came {when} it had begun")
            }
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
