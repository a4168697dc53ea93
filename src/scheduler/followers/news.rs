//! What the attendant is told to see to, and who is told by it.

use std::sync::Arc;
use std::task::Waker;

use crate::prim::Hint;

use crate::scheduler::depend::nodes::NodeId;
use crate::scheduler::outcomes::value::Outcome;
use crate::scheduler::terms::retry::{End, Judge};

/// What is to be done with the outcome of a task; called by the attendant, without locks. It
/// is the library's own, and quick: what is the user's goes to `background`.
pub type Follower = Box<dyn FnOnce(&Arc<Outcome>) + Send>;

/// What the attendant has to see to.
pub enum News {
    /// A task has ended.
    Ended {
        outcome: Arc<Outcome>,
        /// Who wanted to know.
        followers: Vec<Follower>,
    },
    /// A task has ended, for which somebody sleeps.
    Wake(Waker),
    /// A pending task has all it needs, but was not quick to queue.
    Ready(NodeId),
    /// There may be memory again for those that wait for some.
    Memory,
    /// A task has said how far it is.
    Heard(Arc<Listener>),
    /// Something of the user's is to be dropped.
    Gone(Box<dyn Send>),
    /// Whether its outcome is a failure is for the user to say.
    ToJudge {
        task: Hint,
        /// What its function is called.
        name: fn() -> &'static str,
        end: End,
        outcome: Outcome,
        judge: Judge,
    },
}

/// Who is told how far a task is. The library's own, as a [`Follower`]; but it holds something
/// of the user's.
pub type Listener = dyn Fn() + Send + Sync;
