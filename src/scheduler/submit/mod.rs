//! Submission: how a task comes into the queue, and what it waits for until then.
//!
//! ```text
//!   job ──▶ shares of limits ──▶ memory for arguments ──▶ a place ──▶ slot filled ──▶ dispatch
//! ```

pub(super) mod accept;
pub(super) mod arguments;
pub(super) mod door;
pub(super) mod guests;
pub(super) mod job;
pub(super) mod lines;
pub(super) mod plain;
