//! What has become of a ticket, and what each event makes of it.
//!
//! | entry | what it says | a group watches | one task depends on it | a follower, a waker, a mark | the handle goes | the task ends |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `Plain` | only the handle waits | `Pending` | `Needed` | `Followed` | `Detached` | `Settled` |
//! | `Pending` | groups watch, too | stays | `Needed` | `Followed` | `Detached` | `Settled`; a failure `Shared` |
//! | `Detached` | nobody will ask | stays | `Needed` | `Followed` | – | `Vacant` |
//! | `Needed` | one task depends on it | stays | `Followed`, for two | `Followed` | stays, marked | `Settled`, or `Vacant` if marked |
//! | `Followed` | anything more | stays | stays | stays | stays, marked | `Settled` or `Shared`; `Vacant` if marked |
//! | `Settled` | the outcome is there | is told | gets it | `Shared` | `Vacant` | – |
//! | `Shared` | others look at it, too | is told | gets it | gets it | `Vacant` | – |
//! | `Taken` | the handle has it | is told | an error | an error | `Vacant` | – |
//! | `Vacant` | the number is free | – | – | – | – | – |
//!
//! From `Settled` and `Shared` the handle takes the outcome: `Taken`, or `Vacant` if the handle goes
//! in the same step. A value with a `Loan` in it is never `Shared`: it is the handle's alone.

use std::sync::Arc;

use crate::error::TaskError;

use crate::scheduler::depend::dependent::Dependent;
use crate::scheduler::depend::edge::SlotEdge;
use crate::scheduler::outcomes::following::Following;
use crate::scheduler::outcomes::groups::Watchers;
use crate::scheduler::outcomes::value::{Outcome, SMALL, Value, has_loan};

/// No handle will ask.
pub type IsDetached = bool;

#[derive(Debug)]
pub enum Entry {
    /// To be reused.
    Vacant,
    /// The task has not ended, and nobody but the handle waits for it.
    Plain,
    /// It has not.
    Pending(Watchers),
    /// It has not, and nobody will ask for the outcome.
    Detached(Watchers),
    /// It has not, and one task depends on it.
    Needed(Watchers, Dependent, IsDetached),
    /// It has.
    Settled(Outcome),
    /// It has not, and somebody else wants to know too.
    Followed(Box<Following>),
    /// It has, and somebody else looks at it too.
    Shared(Arc<Outcome>),
    /// It has, and the handle has the outcome, and is there still.
    Taken,
}

impl Entry {
    /// No bytes.
    pub const NOTHING: Entry = Entry::Settled(Ok(Value::Small {
        len: 0,
        is_err: false,
        words: [0; SMALL / 8],
    }));
    /// One task depends on it, which is to be named.
    pub const SOMEWHERE: Entry =
        Entry::Needed(Watchers::NONE, Dependent::Slot(SlotEdge::BLANK), false);
}

const _: () = assert!(size_of::<Entry>() <= 40);

/// Whether somebody should know of it: it is no value, or one that is an `Err`, and not what was
/// asked for.
pub fn is_failure(outcome: &Outcome) -> bool {
    match outcome {
        Ok(value) => value.is_err(),
        Err(error) => is_unasked(error),
    }
}

fn is_unasked(error: &TaskError) -> bool {
    match error {
        TaskError::DependencyFailed { cause, .. } => is_unasked(cause),
        TaskError::Cancelled { .. } | TaskError::Shutdown { .. } => false,
        _ => true,
    }
}

/// What has become of a task that has ended; of a failure, whether somebody was told.
pub fn ended(outcome: Outcome, is_told: bool) -> Entry {
    if is_told && is_failure(&outcome) && !has_loan(&outcome) {
        Entry::Shared(Arc::new(outcome))
    } else {
        Entry::Settled(outcome)
    }
}
