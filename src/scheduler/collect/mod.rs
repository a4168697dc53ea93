//! Collecting: the outcome of a finished task goes from its slot to its ticket, or the task is tried again.
//!
//! ```text
//!   completion rings ──read──▶ hints ──▶ the slot's state word says "done"?
//!                                         ├─ plain ──▶ ticket                      (`plain`)
//!                                         └─ else ───▶ ticket, followers, groups   (`settle`)
//!                                                └─▶ the same slot, queued again   (`retry`)
//! ```
//!
//! What holds:
//!
//! - A completion is a hint: the state word is believed, not the ring. A hint may be late, doubled or
//!   missing (then a wait, or the next death, looks at every word).
//! - The thread that collects a task also releases its dependents, publishes those that became ready, and
//!   wakes the waiters, all under the one lock.
//! - [`Completions`](completions::Completions) owns the rings and what was read from them.

pub(super) mod completions;
pub(super) mod plain;
pub(super) mod retry;
pub(super) mod settle;
