//! What shared objects can come to, as statuses.

use pinfold::broadcast::{self, CreateError, SubscribeError};
use pinfold::channel::SelectError;
use pinfold::collective::{CollectiveError, GroupError};
use pinfold::sync::{CountError, LockFault, WaitFault};

use crate::PinfoldStatus;
use crate::error::{Failure, chain};

impl From<LockFault> for Failure {
    fn from(fault: LockFault) -> Self {
        let status = match &fault {
            LockFault::Busy { .. } => PinfoldStatus::Busy,
            LockFault::TimedOut { .. } => PinfoldStatus::TimedOut,
            LockFault::Cancelled => PinfoldStatus::ToldToEnd,
            LockFault::Relocked => PinfoldStatus::Deadlock,
            LockFault::Gone => PinfoldStatus::Shutdown,
            LockFault::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&fault))
    }
}

impl From<WaitFault> for Failure {
    fn from(fault: WaitFault) -> Self {
        let status = match &fault {
            WaitFault::TimedOut { .. } => PinfoldStatus::TimedOut,
            WaitFault::Died { .. } | WaitFault::Abandoned { .. } | WaitFault::Broken { .. } => {
                PinfoldStatus::MemberGone
            }
            WaitFault::Cancelled => PinfoldStatus::ToldToEnd,
            WaitFault::Gone => PinfoldStatus::Shutdown,
            WaitFault::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&fault))
    }
}

impl From<CountError> for Failure {
    fn from(error: CountError) -> Self {
        match error {
            CountError::Alloc(error) => error.into(),
            other => Self::argument(chain(&other)),
        }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Alloc(error) => error.into(),
            other => Self::argument(chain(&other)),
        }
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        let status = match &error {
            SubscribeError::TooMany { .. } => PinfoldStatus::TooMany,
            SubscribeError::Alloc(_) => PinfoldStatus::NoMemory,
            SubscribeError::Gone => PinfoldStatus::Shutdown,
            SubscribeError::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&error))
    }
}

impl From<broadcast::RecvError> for Failure {
    fn from(error: broadcast::RecvError) -> Self {
        use broadcast::RecvError;
        let status = match &error {
            RecvError::Lagged(_) => PinfoldStatus::Lagged,
            RecvError::Disconnected => PinfoldStatus::Disconnected,
            RecvError::Empty => PinfoldStatus::Empty,
            RecvError::TimedOut { .. } => PinfoldStatus::TimedOut,
            RecvError::Cancelled => PinfoldStatus::ToldToEnd,
            RecvError::Decode { .. } => PinfoldStatus::NotTransferable,
            RecvError::Gone => PinfoldStatus::Shutdown,
            RecvError::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&error))
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        let status = match &error {
            SelectError::NotReady => PinfoldStatus::NothingYet,
            SelectError::TimedOut { .. } => PinfoldStatus::TimedOut,
            SelectError::Nothing => PinfoldStatus::InvalidArgument,
            SelectError::Cancelled => PinfoldStatus::ToldToEnd,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&error))
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Alloc(error) => error.into(),
            other => Self::argument(chain(&other)),
        }
    }
}

impl From<CollectiveError> for Failure {
    fn from(error: CollectiveError) -> Self {
        let status = match &error {
            CollectiveError::MemberDied { .. } | CollectiveError::MemberLeft { .. } => {
                PinfoldStatus::MemberGone
            }
            CollectiveError::Shrinking { .. } => PinfoldStatus::Shrinking,
            CollectiveError::Mismatch { .. } | CollectiveError::NoValue { .. } => {
                PinfoldStatus::Mismatch
            }
            CollectiveError::NoSuchRank { .. } => PinfoldStatus::InvalidArgument,
            CollectiveError::TimedOut { .. } => PinfoldStatus::TimedOut,
            CollectiveError::Cancelled => PinfoldStatus::ToldToEnd,
            CollectiveError::Unfinished { .. } => PinfoldStatus::Unfinished,
            CollectiveError::PassedOn { .. } => PinfoldStatus::Moved,
            CollectiveError::Encode { .. } | CollectiveError::Decode { .. } => {
                PinfoldStatus::NotTransferable
            }
            CollectiveError::Alloc(_) => PinfoldStatus::NoMemory,
            CollectiveError::Gone => PinfoldStatus::Shutdown,
            CollectiveError::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&error))
    }
}

/// The member that it is about.
pub(crate) fn rank_of(error: &CollectiveError) -> Option<usize> {
    match error {
        CollectiveError::MemberDied { rank, .. }
        | CollectiveError::MemberLeft { rank }
        | CollectiveError::Shrinking { rank }
        | CollectiveError::Mismatch { rank, .. }
        | CollectiveError::NoValue { rank }
        | CollectiveError::Decode { rank, .. }
        | CollectiveError::TimedOut { missing: rank, .. } => Some(*rank),
        _ => None,
    }
}
