//! Waiting in the host: threads that sleep until a task has ended.
//!
//! ```text
//!   a waiter ──▶ spins ──▶ leads, if nobody does: sleeps on the fold's bell, collects for all
//!                     └──▶ parks; whoever collects its task unparks it
//! ```

pub(super) mod lead;
pub(super) mod patience;
pub(super) mod policy;
pub(super) mod sleepers;
pub(super) mod wait;
