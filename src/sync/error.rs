//! Why a lock was not had, or a wait has ended without what was waited for.

use std::fmt::{self, Debug, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::object::GaveUp;
use crate::pool::AllocError;

use super::Holder;

/// Why there is no lock, no permit, and nothing was run once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LockFault {
    /// Somebody has it now: of those that do not wait.
    #[error("{}", held("it is held", holder.as_ref()))]
    Busy {
        /// Who; `None` if it was given back meanwhile. Of several, one.
        holder: Option<Holder>,
    },
    /// Somebody had it all the time.
    #[error("{}", held(&format!("it was held for {} ms", waited.as_millis()), holder.as_ref()))]
    TimedOut {
        /// How long was waited.
        waited: Duration,
        /// Who has it now; `None` if it was given back just then. Of several, one.
        holder: Option<Holder>,
    },
    /// The task that waits was told to end: it was cancelled, or its time is over.
    #[error("the task that waits for it was told to end")]
    Cancelled,
    /// The calling thread has it already: it would wait for itself.
    #[error("this thread has it already, and would wait for itself")]
    Relocked,
    /// The runtime has ended, or its memory was damaged.
    #[error("it is gone: its runtime has ended, or its memory was damaged")]
    Gone,
    /// This process was forked off the one whose it is.
    #[error("this process was forked off the one whose it is")]
    Forked,
}

impl LockFault {
    pub(super) fn given_up(why: GaveUp, holder: Option<Holder>) -> Self {
        match why {
            GaveUp::AtOnce => LockFault::Busy { holder },
            GaveUp::Late(waited) => LockFault::TimedOut { waited, holder },
            GaveUp::Told => LockFault::Cancelled,
        }
    }
}

fn held(what: &str, holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("{what}: by {holder}"),
        None => what.to_owned(),
    }
}

/// Why a lock was not had, or not without a warning.
pub enum LockError<G> {
    /// The lock is had, but what it guards may be half changed: whoever had it before has died, or
    /// panicked, and nobody has said since that all is well (`mend` of the guard). This is the guard.
    Poisoned(G),
    /// The lock is not had.
    Fault(LockFault),
}

impl<G> LockError<G> {
    /// The guard, if there is one, when `mend` has seen to what it guards. It is not told anybody
    /// any more: the guard's `mend` was called.
    ///
    /// # Errors
    /// Why the lock is not had.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::sync::Mutex;
    ///
    /// let sum = Mutex::new(&rt, 0_u64)?;
    /// // To be whole is to be even.
    /// let mut sum = sum.lock().or_else(|error| error.mend(|sum| *sum -= *sum % 2))?;
    /// *sum += 2;
    /// # Ok(())
    /// # }
    /// ```
    pub fn mend(self, mend: impl FnOnce(&mut G::Data)) -> Result<G, LockFault>
    where
        G: Mend,
    {
        match self {
            LockError::Poisoned(mut guard) => {
                guard.mend_by(mend);
                Ok(guard)
            }
            LockError::Fault(fault) => Err(fault),
        }
    }

    /// Why the lock is not had; `None` if it is.
    pub fn fault(&self) -> Option<&LockFault> {
        match self {
            LockError::Poisoned(_) => None,
            LockError::Fault(fault) => Some(fault),
        }
    }
}

/// Guards that may change what they guard.
pub trait Mend: private::MendBy {}

pub(super) mod private {
    /// What is done for `LockError::mend`.
    pub trait MendBy {
        type Data: ?Sized;
        fn mend_by(&mut self, mend: impl FnOnce(&mut Self::Data));
    }
}

impl<G: private::MendBy> Mend for G {}

impl<G> From<LockFault> for LockError<G> {
    fn from(fault: LockFault) -> Self {
        LockError::Fault(fault)
    }
}

impl<G> Debug for LockError<G> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Poisoned(_) => f.write_str("Poisoned(..)"),
            LockError::Fault(fault) => f.debug_tuple("Fault").field(fault).finish(),
        }
    }
}

impl<G> Display for LockError<G> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Poisoned(_) => f.write_str(
                "whoever had the lock before has died, or panicked: the data may be half changed",
            ),
            LockError::Fault(fault) => Display::fmt(fault, f),
        }
    }
}

impl<G> std::error::Error for LockError<G> {}

/// Why an object for so many could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CountError {
    /// It cannot be for so many, or so few.
    #[error("it cannot be for {count}: it is for 1 to {most}")]
    Count {
        /// What was asked for.
        count: usize,
        /// The most there can be.
        most: usize,
    },
    /// No ticker has this period.
    #[error("a ticker cannot have a period of {period:?}: it is 1 ns to a century")]
    Period {
        /// What was asked for.
        period: Duration,
    },
    /// There is no shared memory for it.
    #[error(transparent)]
    Alloc(#[from] AllocError),
}

impl CountError {
    pub(super) fn check(count: usize, most: usize) -> Result<(), Self> {
        if (1..=most).contains(&count) {
            return Ok(());
        }
        Err(CountError::Count { count, most })
    }
}

/// Why what many do together has not come about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum WaitFault {
    /// It has not come about in time.
    #[error("{missing} were missing after {} ms{}", waited.as_millis(), those(" of ", holders))]
    TimedOut {
        /// How long was waited.
        waited: Duration,
        /// How many counts, members, or arrivals are missing.
        missing: usize,
        /// Whom it waits for, as far as is known: which processes have what is missing.
        holders: Vec<Holder>,
    },
    /// All are done, but some by their process's death.
    #[error("all are done, but some have died{}", those(": ", holders))]
    Died {
        /// The processes that have died.
        holders: Vec<Holder>,
    },
    /// Nobody is left who could count.
    #[error(
        "{missing} were not counted, and nobody is left who could{}",
        those("; died: ", holders)
    )]
    Abandoned {
        /// How many counts are missing.
        missing: usize,
        /// The processes that have died, of those that could have counted.
        holders: Vec<Holder>,
    },
    /// A member of a barrier will not come: its process has died, or it was dropped.
    #[error("member {member} of the barrier is gone: {}", gone(holder.as_ref(), *has_died))]
    Broken {
        /// Which one.
        member: usize,
        /// Who had it last, if anybody had.
        holder: Option<Holder>,
        /// Whether that process has died.
        has_died: bool,
    },
    /// The task that waits was told to end: it was cancelled, or its time is over.
    #[error("the task that waits was told to end")]
    Cancelled,
    /// The runtime has ended, or its memory was damaged.
    #[error("it is gone: its runtime has ended, or its memory was damaged")]
    Gone,
    /// This process was forked off the one whose it is.
    #[error("this process was forked off the one whose it is")]
    Forked,
}

fn those(before: &str, holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let named: Vec<_> = holders.iter().map(Holder::to_string).collect();
    format!("{before}{}", named.join("; "))
}

fn gone(holder: Option<&Holder>, has_died: bool) -> String {
    match (holder, has_died) {
        (Some(holder), true) => format!("{holder} has died"),
        (Some(holder), false) => format!("{holder} has dropped it"),
        (None, _) => "it was dropped before anybody had it".to_owned(),
    }
}

impl From<LockFault> for WaitFault {
    fn from(fault: LockFault) -> Self {
        match fault {
            LockFault::Forked => WaitFault::Forked,
            LockFault::Cancelled => WaitFault::Cancelled,
            _ => WaitFault::Gone,
        }
    }
}
