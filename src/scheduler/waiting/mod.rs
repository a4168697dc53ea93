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
//! - A waiter enters the list before it parks, under the same lock under which it has seen that its task has
//!   not ended; a thread that ends the task after that finds the waiter there.
//! - [`Waiting`](sleepers::Waiting) owns who sleeps and for what. [`policy`], a pure function of numbers,
//!   decides how long to spin, to nap and to sleep.

pub(super) mod lead;
pub(super) mod patience;
pub(super) mod policy;
pub(super) mod sleepers;
pub(super) mod wait;
