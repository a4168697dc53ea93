//! Collecting: what executors have finished goes from its slot to its ticket, or is tried again.
//!
//! ```text
//!   completion rings ──▶ read ──▶ settle ──▶ ticket, followers, dependents, waiters
//!                                  └──▶ retry ──▶ the same slot, queued once more
//! ```

pub(super) mod completions;
pub(super) mod plain;
pub(super) mod retry;
pub(super) mod settle;
