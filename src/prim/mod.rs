//! Floor 0, words: the few names everything else is written in.
//!
//! Nothing here makes a system call or knows of shared memory.

pub mod atomic;
#[cfg(all(not(loom), feature = "crash-points"))]
pub mod counted;
mod death;
mod ids;
mod line;
#[cfg(loom)]
pub mod mortal;
mod priority;
pub mod sync;
mod word;

pub use death::Death;
pub use ids::{BlockIndex, ExecutorId, Generation, Hint, Overdue, ProcessId, SlotIndex, TaskId};
pub use line::Line;
pub use priority::{Priority, PriorityError};
pub use word::{OWNER_MAX, Word};
