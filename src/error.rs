//! What can go wrong, as the user of the library sees it.

use std::fmt;
use std::time::Duration;

pub use crate::prim::Death;
use crate::task::fault_of_traceparent;

mod backtrace;
mod failed;
mod task;
mod times;
mod words;

pub use backtrace::TaskBacktrace;
pub use failed::{Attempt, FailedTask};
pub(crate) use task::PanicTold;
pub use task::TaskError;
pub use times::{EarlierAttempt, TimeLimit};

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

/// What to know in a process that was forked off.
const FORKED: &str = "this process was forked off the one whose runtime it is: start a runtime after the fork, or leave its tasks to the parent";

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
