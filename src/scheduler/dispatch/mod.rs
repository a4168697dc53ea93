//! Dispatch: into which executor's submission queue a task goes, and who is woken for it.
//!
//! ```text
//!   a hint ──▶ an inbox (normal) │ a lane (other priorities) │ an errand ring (one worker alone)
//!          └──no room──▶ put aside, tried again after each collection
//! ```
//!
//! What holds:
//!
//! - A hint is *staged* first, and executors see it when its ring is published; a thread that stages publishes
//!   before it releases the lock.
//! - After a ring is published, an executor that will look at it is awake, or one is woken, or the supervisor
//!   looks after a while ([`Stall`](stall::Stall)).
//! - [`Queues`](queues::Queues) owns the rings, [`Choice`](choice::Choice) what is known of each executor. The
//!   decision itself is a pure function: [`balance`].

pub(super) mod balance;
pub(super) mod choice;
pub(super) mod errand;
pub(super) mod place;
pub(super) mod queues;
pub(super) mod stall;
