//! Slots: the tasks in flight, as the host knows them.
//!
//! ```text
//!   free ──take──▶ filled, queued ──▶ … ──▶ collected ──free_up──▶ free, in the next generation
//!     └──keep──▶ kept for a task that is about to be queued ──give_back──▶ free
//! ```
//!
//! What holds, whenever the lock is free:
//!
//! - A slot is free, kept (reserved), or has a task: exactly one of these.
//! - A slot that has a task names its ticket; the ticket's location is that slot.
//! - The host's generation of a slot is that of its state word, unless memory is damaged.
//! - `in_flight` counts the slots that have a task, including tasks that wait for others.

pub(super) mod inflight;
pub(super) mod table;
