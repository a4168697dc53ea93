//! Submission: how a task comes into the queue, and what it waits for until then.
//!
//! ```text
//!   job ──▶ shares of limits ──▶ memory for arguments ──▶ a place ──▶ slot filled ──▶ dispatch
//! ```
//!
//! What holds:
//!
//! - Whoever waits for one of these holds what is before it in this order, and nothing behind it;
//!   what is in flight waits for nobody who submits. So nobody waits in a circle.
//! - A task that is refused leaves nothing behind: its arguments are the caller's again, unless they
//!   were dropped first, which is said.
//! - [`Door`](door::Door) owns whether tasks are accepted, [`Guests`](lines::Guests) who waits for
//!   room without a thread.

pub(super) mod accept;
pub(super) mod arguments;
pub(super) mod door;
pub(super) mod guests;
pub(super) mod job;
pub(super) mod lines;
pub(super) mod plain;
