//! What the attendant is told to see to, and who is told by it.

use std::sync::Arc;

use crate::prim::Hint;
use crate::task::Outcome as Ran;

use super::pending::NodeId;
use super::retry::Judge;
use super::value::Outcome;

/// What is to be done with the outcome of a task; called by the attendant, without locks.
pub type Follower = Box<dyn FnOnce(&Arc<Outcome>) + Send>;

/// What the attendant has to tell.
pub enum News {
    /// A task has ended.
    Ended {
        outcome: Arc<Outcome>,
        /// Who wanted to know.
        followers: Vec<Follower>,
    },
    /// A pending task has all it needs, but was not quick to queue.
    Ready(NodeId),
    /// A task has said how far it is.
    Heard(Arc<Listener>),
    /// Something of the user's is to be dropped: what that does may need the lock.
    Gone(Box<dyn Send>),
    /// Whether its outcome is a failure is for the user to say.
    ToJudge {
        task: Hint,
        /// What its function is called.
        name: fn() -> &'static str,
        ran: Ran,
        outcome: Outcome,
        judge: Judge,
    },
}

/// Who is told how far a task is.
pub type Listener = dyn Fn() + Send + Sync;
