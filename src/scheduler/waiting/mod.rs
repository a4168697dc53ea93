//! Waiting in the host: threads that sleep until a task has ended (the leader/followers pattern).
//!
//! ```text
//!   a waiter ──spins──▶ leads, if nobody does: sleeps on the fold's bell, collects for all
//!                  └──▶ parks; whoever collects its task unparks it
//! ```
//!
//! What holds (the proof is at the top of [`wait`]):
//!
//! - At most one thread leads. A leader that leaves unparks one other waiter, who takes its place.
//! - A waiter is on the list before it parks, under the lock under which it has seen that its task
//!   has not ended; whoever ends the task after that finds it there.
//! - [`Waiting`](sleepers::Waiting) owns who sleeps and for what. How long to look, to nap and to
//!   sleep is decided in [`policy`], over numbers alone.

pub(super) mod lead;
pub(super) mod patience;
pub(super) mod policy;
pub(super) mod sleepers;
pub(super) mod wait;
