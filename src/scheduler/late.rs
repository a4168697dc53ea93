//! Where a task is that was not submitted straight into a slot: its handle does not know.

use crate::prim::Hint;

use super::pending::NodeId;
use super::ticket::{Tickets, is_nowhere};

/// Where a task is whose handle does not know: one that was not submitted straight into a
/// slot.
#[derive(Clone, Copy, Debug)]
pub enum Late {
    /// In none, for now or for ever.
    Nowhere,
    /// It waits for others.
    Node(NodeId),
    /// It is on its way to the queue, and was cancelled on it.
    Cancelled,
    /// In a slot.
    Slot(u64),
}

impl Tickets {
    /// A new ticket of a task that is in no slot.
    pub fn open_nowhere(&mut self) -> u32 {
        let id = self.open();
        self.late[id as usize] = Late::Nowhere;
        id
    }

    /// Ticket `id`, just opened, is that of a pending task.
    #[inline]
    pub fn is_pending(&mut self, id: u32, node: NodeId) {
        self.late[id as usize] = Late::Node(node);
    }

    /// The task of ticket `id`, which was pending, goes into a slot; false if it was
    /// cancelled on its way.
    #[inline]
    pub fn set_place(&mut self, id: u32, hint: Hint) -> bool {
        let late = &mut self.late[id as usize];
        let is_pending = matches!(late, Late::Node(_));
        if is_pending {
            *late = Late::Slot(hint.pack());
        }
        is_pending
    }

    /// Cancels the task of ticket `id`, which was in no slot when it was submitted, if it
    /// is pending: returns which one it is.
    pub fn cancel_pending(&mut self, id: u32) -> Option<NodeId> {
        let &Late::Node(node) = &self.late[id as usize] else {
            return None;
        };
        self.late[id as usize] = Late::Cancelled;
        Some(node)
    }

    /// Whether the task of ticket `id`, whose handle has this hint, waits for others.
    pub fn is_waiting(&self, id: u32, hint: Hint) -> bool {
        is_nowhere(hint) && matches!(self.late[id as usize], Late::Node(_)) && self.is_open(id)
    }

    /// Where the task of ticket `id`, whose handle has this hint, is or was; a hint that is
    /// that of no slot, if it has been in none.
    #[inline]
    pub fn place(&self, id: u32, hint: Hint) -> Hint {
        match self.late[id as usize] {
            Late::Slot(late) if is_nowhere(hint) => Hint::unpack(late),
            _ => hint,
        }
    }
}
