//! How long a task waited and ran, and which limit on that has passed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which limit on a task's time has passed: see
/// [`TaskError::DeadlineExceeded`](crate::TaskError::DeadlineExceeded).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::{TaskError, TimeLimit};
/// use std::time::Duration;
/// let hangs = rt.task(|()| loop {}).run_limit(Duration::from_millis(20));
/// let error: TaskError = hangs.spawn(()).join().map(|()| ()).unwrap_err();
/// assert!(matches!(error, TaskError::DeadlineExceeded { which: TimeLimit::Run, .. }));
/// assert!(error.to_string().contains("its run limit of 20ms has passed: it ran for "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TimeLimit {
    /// [`Task::run_limit`](crate::Task::run_limit): an attempt has run for longer.
    Run,
    /// [`Task::hard_deadline`](crate::Task::hard_deadline): the task had not ended by then,
    /// counted from its submission.
    Hard,
    /// [`Task::start_deadline`](crate::Task::start_deadline): the task had not begun by then,
    /// counted from its submission.
    Start,
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeLimit::Run => "run limit",
            TimeLimit::Hard => "hard deadline",
            TimeLimit::Start => "start deadline",
        })
    }
}

/// An attempt to run a task that was not the last one: see
/// [`FailedTask::attempts`](crate::FailedTask::attempts).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let task = rt.task(|n: u32| 1 / n).retry(pinfold::Retry::fixed(2, std::time::Duration::ZERO));
/// let error = task.spawn(0).join().unwrap_err();
/// let [first]: &[pinfold::EarlierAttempt] = &error.task().unwrap().attempts[..] else {
///     panic!("{error:?}")
/// };
/// assert!(first.ended.ends_with("attempt to divide by zero"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EarlierAttempt {
    /// How it ended, in words.
    pub ended: String,
    /// How long it ran, if that is known.
    pub ran: Option<Duration>,
}

impl EarlierAttempt {
    pub(crate) fn new(ended: String, ran: Option<Duration>) -> Self {
        EarlierAttempt { ended, ran }
    }
}

impl fmt::Display for EarlierAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ran {
            Some(ran) => write!(f, "{} (after {ran:.1?})", self.ended),
            None => f.write_str(&self.ended),
        }
    }
}
