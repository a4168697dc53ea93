//! Dispatch: to which executor's submission queue a task goes, and who is woken for it.
//!
//! ```text
//!   a hint ──▶ an inbox (normal) │ a lane (other priorities) │ an errand ring (one worker alone)
//!          └──no room──▶ kept aside, tried again after each collection
//! ```

pub(super) mod balance;
pub(super) mod choice;
pub(super) mod errand;
pub(super) mod place;
pub(super) mod queues;
pub(super) mod stall;
