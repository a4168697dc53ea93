//! Slots: the tasks in flight, as the host knows them.
//!
//! ```text
//!   free ──▶ filled, queued ──▶ … ──▶ collected ──▶ free, in the next generation
//!     └──▶ kept for a task that is about to be queued
//! ```

pub(super) mod inflight;
