//! Submission: how a task gets into the queue, and what it waits for before that (back-pressure).
//!
//! ```text
//!   job ──▶ shares of limits ──▶ memory for arguments ──▶ a place ──▶ slot filled ──▶ dispatch
//! ```
//!
//! What holds:
//!
//! - A submitter that waits for one of these resources holds those before it in this order, and none behind
//!   it; a task in flight waits for no submitter. So there is no deadlock.
//! - A refused task leaves nothing behind: its arguments go back to the caller, unless they were dropped
//!   first, which the error says.
//! - [`Door`](door::Door) owns whether tasks are accepted, [`Guests`](lines::Guests) the futures that wait for
//!   room.

pub(super) mod accept;
pub(super) mod arguments;
pub(super) mod door;
pub(super) mod guests;
pub(super) mod job;
pub(super) mod lines;
pub(super) mod plain;
