//! Collecting: what executors have finished goes from its slot to its ticket, or is tried again.
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
//! - Whoever collects also releases what depends on it, publishes what became ready, and wakes
//!   those that wait for it, all under the one lock.
//! - [`Completions`](completions::Completions) owns the rings and what was read of them.

pub(super) mod completions;
pub(super) mod plain;
pub(super) mod retry;
pub(super) mod settle;
