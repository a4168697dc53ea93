//! What is told to a pending task when one that it depends on has ended.

use crate::error::TaskError;

use crate::scheduler::depend::edge::SlotEdge;
use crate::scheduler::depend::inputs::Input;
use crate::scheduler::depend::nodes::NodeId;

/// The input of a pending task.
#[derive(Clone, Copy, Debug)]
pub enum Dependent {
    /// Of one that has no slot.
    Node { node: NodeId, input: u32 },
    /// Of one that has.
    Slot(SlotEdge),
}

/// What a task that has ended means for one that depends on it.
pub type Arrival = (Dependent, Result<Input, TaskError>);
