//! Why a task has no value, and which task that is.
//!
//! An error is made where something goes wrong, often by code that knows no more than that. It
//! becomes a task's in one place, [`TaskError::tell_of`], called when a task ends with it: from
//! there on it says which task.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backtrace::TaskBacktrace;
use super::failed::{Aside, Attempt, FailedTask};
use super::times::TimeLimit;
use crate::pool::AllocError;
use crate::prim::{Death, TaskId};
use crate::task::{Label, Outcome, decode_own};

/// Why a task has no value.
///
/// Every handle ends in a value or in one of these; they are counted in
/// [`Stats`](crate::Stats). An error says which task it is about ([`TaskError::task`]), and its
/// text begins with that. It can be an argument or a result of a task: so a task may return the
/// error of its child.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::TaskError;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let task = rt.task(|n: u32| 100 / n).named("share").spawn(0);
/// let error = task.join().unwrap_err();
/// assert!(error.to_string().starts_with("`share` ("));
/// match error {
///     TaskError::Panicked { message, location, .. } => {
///         assert_eq!(message, "attempt to divide by zero");
///         assert!(!location.is_empty());
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskError {
    /// The task returned an `Err` ([`Handle::join_flat`](crate::Handle::join_flat)
    /// only; `join` gives the `Result` itself).
    Returned {
        /// Which task.
        task: Box<FailedTask>,
        /// The error, displayed.
        message: String,
    },
    /// The task panicked; its worker lives on.
    Panicked {
        /// Which task.
        task: Box<FailedTask>,
        /// What the panic said.
        message: String,
        /// Where: `file:line:column`. Empty if nobody has seen where it was raised: it was
        /// thrown on by `resume_unwind`, or the program has set a panic hook of its own.
        location: String,
    },
    /// The worker process ended while it ran the task, which is not run again: it is run at most
    /// once, or was tried again as [`Task::retry_if`](crate::Task::retry_if) said.
    WorkerDied {
        /// Which task.
        task: Box<FailedTask>,
        /// How it ended.
        death: Death,
        /// What the task said before (a panic that aborted), if anything.
        last_words: Option<String>,
    },
    /// The worker process ended in each attempt to run the task, and it has no
    /// attempt left ([`Task::safe_to_repeat`](crate::Task::safe_to_repeat)).
    Poison {
        /// Which task.
        task: Box<FailedTask>,
        /// What each attempt died of, the first one first.
        attempts: Vec<Attempt>,
    },
    /// The task had no more time: it ran for longer than its
    /// [run limit](crate::Task::run_limit), and its worker was killed; or its
    /// [hard deadline](crate::Task::hard_deadline) came, counted from its submission, and if it
    /// was running, its worker was killed; or its [start deadline](crate::Task::start_deadline)
    /// came before it had begun. [`FailedTask::waited`] and [`FailedTask::ran`] say what it has
    /// spent its time with. A limit of no time at all has passed when the task is submitted: it
    /// is never run.
    DeadlineExceeded {
        /// Which task.
        task: Box<FailedTask>,
        /// Which limit it was.
        which: TimeLimit,
        /// How long it was: for an attempt to run; of a deadline, since the task was submitted.
        limit: Duration,
        /// Whether an attempt had begun; its worker was killed then, if it still ran. A deadline
        /// may also have come between two attempts: those are in [`FailedTask::attempts`].
        begun: bool,
    },
    /// The arguments could not be encoded for, or decoded in, the worker.
    Arguments {
        /// Which task.
        task: Box<FailedTask>,
        /// What was wrong.
        message: String,
    },
    /// The result could not be encoded in, or decoded from, the worker.
    Result {
        /// Which task.
        task: Box<FailedTask>,
        /// What was wrong.
        message: String,
    },
    /// The arguments are larger than all the memory there is for them; waiting would not
    /// help.
    ArgumentsTooLarge {
        /// Which task.
        task: Box<FailedTask>,
        /// How long they are, encoded, in bytes.
        bytes: usize,
        /// How many bytes the [`memory_cap`](crate::Builder::memory_cap) leaves for them.
        capacity: usize,
    },
    /// The task wants more of a [`Limit`](crate::Limit) than there is in all; waiting would
    /// not help.
    BeyondLimit {
        /// Which task.
        task: Box<FailedTask>,
        /// What the task wants.
        units: u64,
        /// How many units there are in all.
        total: u64,
    },
    /// Arguments or result did not fit into the memory cap.
    OutOfMemory {
        /// Which task.
        task: Box<FailedTask>,
        /// What did not fit, and what to do.
        message: String,
    },
    /// It was cancelled: before it began, or while it ran and then ended with an error
    /// or with its worker.
    Cancelled {
        /// Which task.
        task: Box<FailedTask>,
    },
    /// A task that it depends on has no value, so it was not run.
    DependencyFailed {
        /// Which task.
        task: Box<FailedTask>,
        /// Why the first task that failed has no value, and which it is.
        cause: Box<TaskError>,
    },
    /// Of a task that another was to depend on, as that one's cause: its handle is of another
    /// runtime, or of the fold that this runtime had before its memory was damaged.
    ForeignHandle {
        /// Which task.
        task: Box<FailedTask>,
    },
    /// This process was forked off the one whose runtime it is: it has none of that one's
    /// tasks, and can give it none. (It may start a runtime of its own.)
    Forked,
    /// The runtime was shut down before the task had ended.
    Shutdown {
        /// Which task.
        task: Box<FailedTask>,
    },
    /// No worker lives, and none can be started at the moment. So end all tasks, and all that are
    /// submitted, until one can: the runtime goes on trying
    /// ([`Builder::start_attempts`](crate::Builder::start_attempts)), and then works as before.
    NoWorkers {
        /// Which task.
        task: Box<FailedTask>,
        /// What the last attempt failed of.
        reason: String,
    },
    /// The program has closed descriptors of the runtime, or opened other files by their
    /// numbers: what ran was ended, and the fold is built anew.
    DescriptorsClosed {
        /// Which task.
        task: Box<FailedTask>,
    },
    /// Shared memory held what no correct process writes: a worker has written at random.
    Corrupted {
        /// Which task.
        task: Box<FailedTask>,
        /// What was found.
        message: String,
    },
    /// [`spawn`](crate::spawn) was called outside of a task.
    NotInTask,
    /// The outcome was taken before, by `try_join`, `join_timeout` or `.await`.
    AlreadyJoined {
        /// Which task.
        task: Box<FailedTask>,
    },
}

/// What a worker tells of a panic: its message, its place, and how it came there.
pub(crate) type PanicTold = (String, String, Option<TaskBacktrace>);

macro_rules! task_of {
    ($error:expr) => {
        match $error {
            TaskError::Returned { task, .. }
            | TaskError::Panicked { task, .. }
            | TaskError::WorkerDied { task, .. }
            | TaskError::Poison { task, .. }
            | TaskError::DeadlineExceeded { task, .. }
            | TaskError::Arguments { task, .. }
            | TaskError::Result { task, .. }
            | TaskError::ArgumentsTooLarge { task, .. }
            | TaskError::BeyondLimit { task, .. }
            | TaskError::OutOfMemory { task, .. }
            | TaskError::Cancelled { task }
            | TaskError::DependencyFailed { task, .. }
            | TaskError::ForeignHandle { task }
            | TaskError::Shutdown { task }
            | TaskError::NoWorkers { task, .. }
            | TaskError::DescriptorsClosed { task }
            | TaskError::Corrupted { task, .. }
            | TaskError::AlreadyJoined { task } => Some(task),
            TaskError::Forked | TaskError::NotInTask => None,
        }
    };
}

impl TaskError {
    /// Which task has no value. `None` if it is no task's: what a process that was forked off
    /// is told ([`TaskError::Forked`]), or who spawns outside of a task
    /// ([`TaskError::NotInTask`]).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| 100 / n).named("share").spawn(0);
    /// let id = task.id();
    /// let error = task.join().unwrap_err();
    /// let task = error.task().expect("it ran");
    /// assert_eq!((task.name.as_deref(), task.id), (Some("share"), id));
    /// # Ok(())
    /// # }
    /// ```
    pub fn task(&self) -> Option<&FailedTask> {
        task_of!(self)
    }

    /// The same, to be filled in by who knows better what is meant: a layer above this library that
    /// calls functions by names of its own.
    pub fn task_mut(&mut self) -> Option<&mut FailedTask> {
        task_of!(self)
    }

    /// How the task came to its panic, if the environment asks for backtraces
    /// (`RUST_LIB_BACKTRACE`, else `RUST_BACKTRACE`, as in [`std::backtrace`]): of
    /// [`TaskError::Panicked`], and of [`TaskError::DependencyFailed`] by such a one.
    /// What counts is the environment that the workers were started with.
    ///
    /// `None` also if nobody has seen the panic begin ([`TaskError::Panicked`] has no place
    /// then), if memory was too full for it, and of a panic that aborted.
    /// Two errors that differ in their backtraces alone are equal.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let error = rt.spawn(|n: u32| 100 / n, 0).join().unwrap_err();
    /// let asks = std::backtrace::Backtrace::capture().status();
    /// let is_asked_for = asks == std::backtrace::BacktraceStatus::Captured;
    /// assert_eq!(error.backtrace().is_some(), is_asked_for);
    /// # Ok(())
    /// # }
    /// ```
    pub fn backtrace(&self) -> Option<&TaskBacktrace> {
        match self {
            TaskError::DependencyFailed { cause, .. } => cause.backtrace(),
            error => error.task()?.backtrace.0.as_deref(),
        }
    }

    /// The time of a task is over, which has begun or not.
    pub(crate) fn late(which: TimeLimit, limit: Duration, begun: bool) -> Self {
        TaskError::DeadlineExceeded {
            task: Box::default(),
            which,
            limit,
            begun,
        }
    }

    /// Says that it is about this task, as far as that has not been said before.
    #[cold]
    pub(crate) fn tell_of(
        &mut self,
        function: &'static str,
        label: Option<&Label>,
        id: Option<TaskId>,
    ) {
        let Some(task) = self.task_mut() else {
            return;
        };
        if !task.is_known() {
            task.function = Cow::Borrowed(function);
        } else if task.function != function {
            return;
        }
        task.id = task.id.or(id);
        if task.name.is_none() {
            task.name = label.and_then(|label| label.name.clone());
        }
    }

    /// The same for a task of which no more is known.
    #[cold]
    pub(crate) fn told_of(mut self, function: &'static str) -> Self {
        self.tell_of(function, None, None);
        self
    }

    /// Of the task of one item of many.
    #[cold]
    pub(crate) fn of_item(mut self, item: usize) -> Self {
        if let Some(task) = self.task_mut() {
            task.item = Some(item);
        }
        self
    }

    /// Of a task of several items.
    #[cold]
    pub(crate) fn of_items(mut self, items: Range<usize>) -> Self {
        if let Some(task) = self.task_mut() {
            match items.len() {
                0 => {}
                1 => task.item = Some(items.start),
                _ => (task.item, task.items) = (None, Some(items)),
            }
        }
        self
    }

    /// The task was cancelled.
    pub(crate) fn cancelled() -> Self {
        TaskError::Cancelled {
            task: Box::default(),
        }
    }

    /// The runtime is shut down.
    pub(crate) fn shutdown() -> Self {
        TaskError::Shutdown {
            task: Box::default(),
        }
    }

    /// The result was taken before.
    pub(crate) fn already_joined() -> Self {
        TaskError::AlreadyJoined {
            task: Box::default(),
        }
    }

    /// Its arguments are wrong.
    pub(crate) fn arguments(message: impl Into<String>) -> Self {
        TaskError::Arguments {
            task: Box::default(),
            message: message.into(),
        }
    }

    /// Its result is wrong.
    pub(crate) fn result(message: impl Into<String>) -> Self {
        TaskError::Result {
            task: Box::default(),
            message: message.into(),
        }
    }

    /// Shared memory is damaged.
    pub(crate) fn corrupted(message: impl Into<String>) -> Self {
        TaskError::Corrupted {
            task: Box::default(),
            message: message.into(),
        }
    }

    /// There is no memory for something.
    pub(crate) fn out_of_memory(message: impl Into<String>) -> Self {
        TaskError::OutOfMemory {
            task: Box::default(),
            message: message.into(),
        }
    }

    /// The task returned an `Err`.
    pub(crate) fn returned(message: impl Into<String>) -> Self {
        TaskError::Returned {
            task: Box::default(),
            message: message.into(),
        }
    }

    /// No worker lives.
    pub(crate) fn no_workers(reason: String) -> Self {
        TaskError::NoWorkers {
            task: Box::default(),
            reason,
        }
    }

    /// Why there is no memory for a task's arguments.
    pub(crate) fn of_arguments(error: AllocError) -> Self {
        match error {
            AllocError::TooLarge {
                requested,
                capacity,
            } => TaskError::ArgumentsTooLarge {
                task: Box::default(),
                bytes: requested,
                capacity,
            },
            AllocError::Forked => TaskError::Forked,
            error => error.into(),
        }
    }

    /// What a run that ended without a value ended in; `bytes` are its message.
    pub(crate) fn of_run(outcome: Outcome, bytes: &[u8]) -> Self {
        let message = || String::from_utf8_lossy(bytes);
        match outcome {
            Outcome::Panicked => {
                let said = decode_own::<PanicTold>(bytes).unwrap_or_default();
                let (message, location, backtrace) = said;
                let backtrace = backtrace.and_then(TaskBacktrace::bounded);
                TaskError::Panicked {
                    task: Box::new(FailedTask {
                        backtrace: Aside(backtrace),
                        ..FailedTask::default()
                    }),
                    message,
                    location,
                }
            }
            Outcome::BadArguments => TaskError::arguments(message()),
            Outcome::BadResult => TaskError::result(message()),
            Outcome::NoMemory => TaskError::out_of_memory(match decode_own(bytes) {
                Some(packed) => format!(
                    "there is no memory for its result: {}",
                    AllocError::unpack(packed)
                ),
                None => "there is no memory for its result".into(),
            }),
            Outcome::Damaged => TaskError::corrupted(message()),
            Outcome::None
            | Outcome::Value
            | Outcome::ReturnedErr
            | Outcome::Lost
            | Outcome::MarkedArguments
            | Outcome::MarkedValue
            | Outcome::MarkedErr
            | Outcome::Cancelled => TaskError::corrupted("a finished task has no outcome"),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<AllocError> for TaskError {
    fn from(error: AllocError) -> Self {
        TaskError::out_of_memory(error.to_string())
    }
}
