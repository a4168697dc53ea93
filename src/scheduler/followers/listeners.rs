//! Who wants to hear how far a task is.

use std::sync::Arc;

use crate::prim::Hint;

use crate::scheduler::followers::news::Listener;

/// A task, and who wants to hear how far it is.
pub struct Listening {
    pub place: Hint,
    /// As often as it had said something when the listener was last told.
    pub heard: u16,
    pub listener: Arc<Listener>,
}
