//! Why a collective operation has no result.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pool::AllocError;

use super::call::Call;

/// Why a collective operation has no result. It travels, so a task may return it.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::collective::CollectiveError;
///
/// let mut members = rt.collective(2)?;
/// drop(members.pop());
/// let error = members[0].barrier().unwrap_err();
/// assert_eq!(error, CollectiveError::MemberLeft { rank: 1 });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A member's worker died before the member had arrived. So it is for all others, until the
    /// group [shrinks](super::Member::shrink).
    #[error(
        "member {rank} died with worker {worker}: nobody of the group can go on, unless it shrinks"
    )]
    MemberDied {
        /// Its rank.
        rank: usize,
        /// In which worker it was.
        worker: usize,
    },
    /// A member was dropped: its task has ended, panicked, was cancelled or never sent. So it is for
    /// all others, until the group [shrinks](super::Member::shrink).
    #[error("member {rank} has left the group: nobody can go on, unless it shrinks")]
    MemberLeft {
        /// Its rank.
        rank: usize,
    },
    /// A member waits in [`shrink`](super::Member::shrink): the others are to call it, too. If it is this
    /// one, its own [`shrink`](super::Member::shrink) has timed out: it is to be called again.
    #[error("member {rank} wants the group to shrink: call `shrink`, too")]
    Shrinking {
        /// Its rank.
        rank: usize,
    },
    /// Not all have called the same. All of them are told; the group goes on.
    #[error("member {rank} has called {}, and this one {ours}", ours.but(theirs))]
    Mismatch {
        /// What this member has called.
        ours: Call,
        /// The first that has called something else.
        rank: usize,
        /// What that is.
        theirs: Call,
    },
    /// A member had no value: the root gave `None`, or the value could not be sent, as that member
    /// was told. All are told; the group goes on.
    #[error("member {rank} has called, and brought no value")]
    NoValue {
        /// Its rank.
        rank: usize,
    },
    /// There is no such rank. Nobody else knows of the call.
    #[error("there is no member {rank} in a group of {size}")]
    NoSuchRank {
        /// What was asked for.
        rank: usize,
        /// How many members there are.
        size: usize,
    },
    /// Not all arrived in time. The call has not ended: see
    /// [`set_timeout`](super::Member::set_timeout).
    #[error("member {missing} did not come within {} ms", waited.as_millis())]
    TimedOut {
        /// How long this one has waited.
        waited: Duration,
        /// The first that was missing.
        missing: usize,
    },
    /// The task was told to end while it waited: it was cancelled, say
    /// ([`Context::is_cancelled`](crate::Context::is_cancelled)). As after a timeout, the call has not
    /// ended for the others, who are told when the member is dropped.
    #[error("the task was told to end while it waited for other members")]
    Cancelled,
    /// An earlier call has timed out, and has not ended: it must be called again, before others.
    #[error("the {call} before has not ended: call it again")]
    Unfinished {
        /// What has timed out.
        call: Call,
    },
    /// The member was passed on to another task, or made anew from what a
    /// task's arguments say: only the last that it was passed to has it.
    #[error("member {rank} was passed on, and is somebody else's")]
    PassedOn {
        /// Its rank.
        rank: usize,
    },
    /// The value does not travel.
    #[error("it cannot be sent to other members: {message}")]
    Encode {
        /// What it is, and why.
        message: String,
    },
    /// The type does not read what another member has written.
    #[error("what member {rank} has sent cannot be read: {message}")]
    Decode {
        /// Who has sent it.
        rank: usize,
        /// What it is, and why.
        message: String,
    },
    /// There is no shared memory for the value.
    #[error("there is no memory for a member's value: {0}")]
    Alloc(#[from] AllocError),
    /// The memory of the group was spoilt, or its runtime has ended.
    #[error("the group is gone: its runtime has ended, or its memory was damaged")]
    Gone,
    /// This process was forked off the one whose member it is.
    #[error("this process was forked off the one whose member it is")]
    Forked,
}

/// Why a group was not made, or its tasks were not started.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::collective::{GroupError, Member};
///
/// let error = rt.spawn_group(|(_, ()): (Member, ())| (), [(); 2]).unwrap_err();
/// assert_eq!(error, GroupError::TooFewExecutors { members: 2, busy: 0, executors: 1 });
/// assert!(matches!(rt.collective(0), Err(GroupError::Size { members: 0, .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No group has so many members.
    #[error("a group of {members} members: it must have 1 at least, and {most} at most")]
    Size {
        /// How many were asked for.
        members: usize,
        /// The most that there can be.
        most: usize,
    },
    /// The members' tasks wait for each other, so each needs an executor of its own; there are
    /// too few, or other groups have them.
    #[error(
        "{members} members need as many executors at once: there are {executors}, and {busy} run members of other groups"
    )]
    TooFewExecutors {
        /// How many were asked for.
        members: usize,
        /// So many run members of other groups.
        busy: usize,
        /// How many there are.
        executors: usize,
    },
    /// There is no shared memory for it.
    #[error("there is no memory for a group: {0}")]
    Alloc(#[from] AllocError),
}
