//! What can go wrong, as the user of the library sees it.

use std::fmt;
use std::time::Duration;

use crate::pool::AllocError;
pub use crate::prim::Death;
use crate::task::{Outcome, fault_of_traceparent};

/// Why a runtime did not start.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::StartError;
/// let refused = pinfold::Runtime::builder().queue_capacity(0).start();
/// assert!(matches!(refused, Err(StartError::OutOfBounds { value: 0, .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `pinfold::init()` was not called, so a worker could not be started.
    #[error(
        "call `pinfold::init()` first thing in `main` (in tests: `pinfold::test_setup!();` once per test binary)"
    )]
    NotInitialized,
    /// A task tried to start a runtime inside a worker.
    #[error("a runtime cannot be started inside a worker: submit from the host instead")]
    InsideWorker,
    /// A configured value is out of its bounds.
    #[error("{name} is {value}, but must be {bounds}")]
    OutOfBounds {
        /// Which setting.
        name: &'static str,
        /// What it was set to.
        value: u64,
        /// What it may be.
        bounds: &'static str,
    },
    /// The operating system refused something.
    #[error("{what}: {}", crate::sys::calls::explained_io(source))]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The segment could not be made.
    #[error("{0}")]
    Segment(String),
    /// The zygote did not come up.
    #[error("{0}")]
    Zygote(String),
    /// The function given to `worker_init` is not part of the main program.
    #[error(
        "the function given to `worker_init` is not part of the main program (a shared library's?)"
    )]
    ForeignInit,
    /// What `worker_init_with` was given as arguments does not travel.
    #[error("the arguments of `worker_init_with` cannot be sent to the workers: {0}")]
    InitArguments(String),
    /// A worker could not be forked, or, with [`start_checked`](crate::Builder::start_checked),
    /// ended before it had begun to work.
    #[error("worker {worker} could not be started: {reason}")]
    Worker {
        /// Which.
        worker: u32,
        /// Why.
        reason: String,
    },
}

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
        self.death.fmt(f)?;
        match &self.last_words {
            Some(words) => write!(f, "; it had {words}"),
            None => Ok(()),
        }
    }
}

/// Why a task has no value.
///
/// Every handle ends in a value or in one of these; nothing is dropped without
/// one. Each kind is also counted in [`Stats`](crate::Stats).
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::TaskError;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let task = rt.spawn(|n: u32| 100 / n, 0);
/// match task.join() {
///     Err(TaskError::Panicked { message, location }) => {
///         assert_eq!(message, "attempt to divide by zero");
///         assert!(!location.is_empty());
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The task returned an `Err` ([`Handle::join_flat`](crate::Handle::join_flat)
    /// only; `join` gives the `Result` itself).
    Returned {
        /// The error, displayed.
        message: String,
    },
    /// The task panicked; its worker lives on.
    Panicked {
        /// What the panic said.
        message: String,
        /// Where: `file:line:column`. Empty if nobody has seen where it was raised: it was
        /// thrown on by `resume_unwind`, or the program has set a panic hook of its own.
        location: String,
    },
    /// The worker process ended while it ran the task, which was to be run at most
    /// once.
    WorkerDied {
        /// The task's function.
        task: &'static str,
        /// The name that it was given, if any ([`Task::named`](crate::Task::named)).
        name: Option<String>,
        /// How it ended.
        death: Death,
        /// What the task said before (a panic that aborted), if anything.
        last_words: Option<String>,
    },
    /// The worker process ended in each attempt to run the task, and it has no
    /// attempt left ([`Task::safe_to_repeat`](crate::Task::safe_to_repeat)).
    Poison {
        /// The task's function.
        task: &'static str,
        /// The name that it was given, if any ([`Task::named`](crate::Task::named)).
        name: Option<String>,
        /// What each attempt died of, the first one first.
        attempts: Vec<Attempt>,
    },
    /// The task's [hard deadline](crate::Task::hard_deadline) came first; if it was
    /// running, its worker was killed. Or its [start deadline](crate::Task::start_deadline)
    /// came before it had begun. One of no time at all has passed when the task is
    /// submitted: it is never run.
    DeadlineExceeded {
        /// How long after it was queued the deadline was.
        limit: Duration,
        /// Whether an attempt had begun; its worker was killed then, if it still ran.
        begun: bool,
        /// If it came between two attempts: how the last one had ended.
        last: Option<String>,
    },
    /// The arguments could not be encoded for, or decoded in, the worker.
    Arguments {
        /// What was wrong.
        message: String,
    },
    /// The result could not be encoded in, or decoded from, the worker.
    Result {
        /// What was wrong.
        message: String,
    },
    /// The arguments are larger than all the memory there is for them; waiting would not
    /// help.
    ArgumentsTooLarge {
        /// How long they are, encoded, in bytes.
        bytes: usize,
        /// How many bytes the [`memory_cap`](crate::Builder::memory_cap) leaves for them.
        capacity: usize,
    },
    /// The task wants more of a [`Limit`](crate::Limit) than there is in all; waiting would
    /// not help.
    BeyondLimit {
        /// What the task wants.
        units: u64,
        /// How many units there are in all.
        total: u64,
    },
    /// Arguments or result did not fit into the memory cap.
    OutOfMemory {
        /// What did not fit, and what to do.
        message: String,
    },
    /// It was cancelled: before it began, or while it ran and then ended with an error
    /// or with its worker.
    Cancelled,
    /// A task that it depends on has no value, so it was not run.
    DependencyFailed {
        /// The function of the first task that failed.
        task: &'static str,
        /// Why that one has no value.
        cause: Box<TaskError>,
    },
    /// A handle that it was to depend on is of another runtime, or of the fold that this
    /// runtime had before its memory was damaged.
    ForeignHandle {
        /// The function of that handle's task.
        task: &'static str,
    },
    /// This process was forked off the one whose runtime it is: it has none of that one's
    /// tasks, and can give it none. (It may start a runtime of its own.)
    Forked,
    /// The runtime was shut down before the task had ended.
    Shutdown,
    /// No worker lives, and none can be started at the moment. All tasks end so, and all that
    /// are submitted, until one can: the runtime goes on trying, after a second at the earliest
    /// and ten at the latest, and then works as before.
    NoWorkers {
        /// What the last attempt failed of.
        reason: String,
    },
    /// The program has closed descriptors of the runtime, or opened other files by their
    /// numbers: what ran was ended, and the fold is built anew.
    DescriptorsClosed,
    /// Shared memory held what no correct process writes: a worker has gone wild.
    Corrupted {
        /// What was found.
        message: String,
    },
    /// [`spawn`](crate::spawn) was called outside of a task.
    NotInTask,
    /// The result was already taken by an earlier `try_join`, `join_timeout` or `.await`.
    AlreadyJoined,
}

impl TaskError {
    /// Why there is no memory for a task's arguments.
    pub(crate) fn of_arguments(error: AllocError) -> Self {
        match error {
            AllocError::TooLarge {
                requested,
                capacity,
            } => TaskError::ArgumentsTooLarge {
                bytes: requested,
                capacity,
            },
            AllocError::Forked => TaskError::Forked,
            error => error.into(),
        }
    }

    /// What a run that ended without a value ended in; `bytes` are its message.
    pub(crate) fn of_run(outcome: Outcome, bytes: &[u8]) -> Self {
        let message = String::from_utf8_lossy(bytes).into_owned();
        match outcome {
            Outcome::Panicked => {
                let said = postcard::from_bytes::<(String, String)>(bytes);
                let (message, location) = said.unwrap_or_default();
                TaskError::Panicked { message, location }
            }
            Outcome::BadArguments => TaskError::Arguments { message },
            Outcome::BadResult => TaskError::Result { message },
            Outcome::NoMemory => {
                let message = match postcard::from_bytes(bytes) {
                    Ok(packed) => format!(
                        "there is no memory for the task's result: {}",
                        AllocError::unpack(packed)
                    ),
                    Err(_) => "there is no memory for the task's result".into(),
                };
                TaskError::OutOfMemory { message }
            }
            Outcome::Damaged => TaskError::Corrupted { message },
            Outcome::None
            | Outcome::Value
            | Outcome::ReturnedErr
            | Outcome::Lost
            | Outcome::MarkedArguments
            | Outcome::MarkedValue
            | Outcome::MarkedErr
            | Outcome::Cancelled => TaskError::Corrupted {
                message: "a finished task has no outcome".into(),
            },
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Returned { message } => write!(f, "the task returned an error: {message}"),
            TaskError::Panicked { message, location } if location.is_empty() => write!(f, "the task panicked: {message}"),
            TaskError::Panicked { message, location } => write!(f, "the task panicked at {location}: {message}"),
            TaskError::WorkerDied {
                task,
                name,
                death,
                last_words,
            } => {
                let attempt = Attempt::new(*death, last_words.clone());
                let called = Called(name.as_deref(), task);
                write!(f, "the worker that ran {called} was lost: it {attempt}")
            }
            TaskError::Poison {
                task,
                name,
                attempts,
            } => {
                let tried = attempts.len();
                let called = Called(name.as_deref(), task);
                write!(
                    f,
                    "{called} is poison: its worker was lost in each of {tried} attempts"
                )?;
                for (number, attempt) in attempts.iter().enumerate() {
                    write!(f, "; {}: it {attempt}", number + 1)?;
                }
                Ok(())
            }
            TaskError::DeadlineExceeded { limit, .. } if limit.is_zero() => f.write_str(
                "the task's deadline of 0ns had passed when it was submitted: give it some time",
            ),
            TaskError::DeadlineExceeded {
                limit,
                last: Some(last),
                ..
            } => write!(
                f,
                "the task's deadline of {limit:?} came between two attempts; the last one: {last}"
            ),
            TaskError::DeadlineExceeded { limit, begun, .. } => {
                let when = if *begun { "after" } else { "before" };
                write!(f, "the task's deadline of {limit:?} came {when} it had begun")
            }
            TaskError::Arguments { message } => write!(f, "the task's arguments: {message}"),
            TaskError::Result { message } => write!(f, "the task's result: {message}"),
            TaskError::ArgumentsTooLarge { bytes, capacity } => write!(
                f,
                "the task's arguments are {bytes} bytes long, but the memory cap leaves {capacity}: pass less at a time, or raise `memory_cap`"
            ),
            TaskError::BeyondLimit { units, total } => write!(
                f,
                "the task wants {units} units of a limit of {total}, which it can never have: let it want less, or make the limit larger"
            ),
            TaskError::OutOfMemory { message } => f.write_str(message),
            TaskError::Cancelled => f.write_str("the task was cancelled"),
            TaskError::DependencyFailed { task, cause } => {
                write!(f, "{task}, which the task depends on, failed: {cause}")
            }
            TaskError::ForeignHandle { task } => write!(
                f,
                "the handle of {task}, which the task was to depend on, is of another runtime, or of this one before it was built anew: submit both to the same"
            ),
            TaskError::Forked => f.write_str(FORKED),
            TaskError::DescriptorsClosed => f.write_str(
                "the program has closed descriptors of the runtime (by close_range or closefrom, say), which ended its workers: do so before the runtime is started",
            ),
            TaskError::Shutdown => f.write_str("the runtime was shut down before the task ended"),
            TaskError::NoWorkers { reason } => {
                write!(f, "no worker can be started at the moment: {reason}")
            }
            TaskError::Corrupted { message } => write!(f, "shared memory is damaged: {message}"),
            TaskError::NotInTask => f.write_str(
                "`pinfold::spawn` is for tasks, on the thread they run on: use `Runtime::spawn` in the host",
            ),
            TaskError::AlreadyJoined => f.write_str(
                "the task's result was taken before: a handle gives it once, so keep what `try_join` or `join_timeout` returns",
            ),
        }
    }
}

/// What to know in a process that was forked off.
const FORKED: &str = "this process was forked off the one whose runtime it is: start a runtime after the fork, or leave its tasks to the parent";

/// A task, by the name that it was given, if any, and by its function.
struct Called<'a>(Option<&'a str>, &'a str);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Called(Some(name), function) => write!(f, "`{name}` ({function})"),
            Called(None, function) => f.write_str(function),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<AllocError> for TaskError {
    fn from(error: AllocError) -> Self {
        TaskError::OutOfMemory {
            message: error.to_string(),
        }
    }
}

/// A trace context that is none; see [`Task::traceparent`](crate::Task::traceparent).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let error: pinfold::TraceparentError = rt.task(|n: u32| n).traceparent("00-12").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#""00-12" is not a W3C traceparent: it must be 55 characters long (version 00)"#,
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a W3C traceparent: {why}")]
#[non_exhaustive]
pub struct TraceparentError {
    /// What was given.
    pub value: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl TraceparentError {
    pub(crate) fn check(value: &str) -> Result<(), Self> {
        match fault_of_traceparent(value) {
            None => Ok(()),
            Some(why) => Err(TraceparentError {
                value: value.to_owned(),
                why,
            }),
        }
    }
}

/// Why a task was not accepted.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// rt.shutdown(pinfold::Shutdown::Drain)?;
/// let refused = rt.try_spawn(|n: u32| n, 1).map(drop).unwrap_err();
/// assert_eq!(refused.refusal, pinfold::Refusal::Shutdown);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `queue_capacity` tasks are in flight.
    #[error(
        "{capacity} tasks are in flight, which is the bound: join some, or raise `queue_capacity`"
    )]
    Full {
        /// The bound.
        capacity: usize,
    },
    /// No memory for the arguments now.
    #[error(
        "no memory for {bytes} bytes of arguments now: raise `memory_cap`, or wait for tasks to end"
    )]
    OutOfMemory {
        /// How long the encoded arguments are, in bytes.
        bytes: usize,
    },
    /// A [`Limit`](crate::Limit) is reached, or is less than the task wants.
    #[error("the task wants {units} units of a limit of {total}, {}", advice(*units, *total))]
    Limited {
        /// What the task wants.
        units: u64,
        /// How many there are in all.
        total: u64,
    },
    /// Shared memory was found damaged; the runtime is building the fold anew, which
    /// takes some milliseconds.
    #[error("the fold is being built anew after damage: try again in a moment")]
    Rebuilding,
    /// This process was forked off the one whose runtime it is.
    #[error("{FORKED}")]
    Forked,
    /// The runtime is shut down.
    #[error("the runtime is shut down")]
    Shutdown,
    /// No worker lives, and none can be started at the moment: see [`TaskError::NoWorkers`].
    #[error("no worker can be started at the moment: `Runtime::stats` says why (`no_workers`)")]
    NoWorkers,
}

/// What to do about a limit that is reached.
fn advice(units: u64, total: u64) -> &'static str {
    if units > total {
        "which it can never have: let it want less, or make the limit larger"
    } else {
        "and there are not as many free: wait for tasks to end, or make the limit larger"
    }
}

/// A task was not accepted; its arguments come back.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).queue_capacity(1).start()?;
/// let first = rt.spawn(|(): ()| std::thread::sleep(std::time::Duration::from_secs(1)), ());
/// let refused = rt.try_spawn(|s: String| s.len(), "mine".to_string()).unwrap_err();
/// assert_eq!(refused.refusal, pinfold::Refusal::Full { capacity: 1 });
/// assert_eq!(refused.args, "mine");
/// first.join()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TrySpawnError<A> {
    /// Why.
    pub refusal: Refusal,
    /// The arguments.
    pub args: A,
}

impl<A> fmt::Display for TrySpawnError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl<A: fmt::Debug> std::error::Error for TrySpawnError<A> {}

/// A shutdown that was to drain had to abort tasks.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// fn endless(_: ()) {
///     loop {
///         std::thread::park();
///     }
/// }
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let _stuck = rt.spawn(endless, ());
/// let short = std::time::Duration::from_millis(10);
/// let error: pinfold::ShutdownError = rt.shutdown(pinfold::Shutdown::DrainFor(short)).unwrap_err();
/// assert_eq!(error.aborted, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{aborted} tasks had not ended within {after:?} and were aborted{}", if *.cut_short { ", as another call of `shutdown` was more urgent" } else { "" })]
pub struct ShutdownError {
    /// How many tasks ended with [`TaskError::Shutdown`]; or, if the more urgent call has
    /// cancelled tasks first, how many had not ended by then.
    pub aborted: usize,
    /// How long they had been waited for.
    pub after: Duration,
    /// Another call has ended tasks before this one would have.
    pub cut_short: bool,
}
