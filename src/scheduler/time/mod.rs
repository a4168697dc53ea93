//! Time: attempts that are due, deadlines, limits on running time; and cancellation, which ends tasks as these
//! do.
//!
//! ```text
//!   the supervisor ──tick──▶ timers that have come ──▶ cancelled before it began │ overdue: its
//!                        └──▶ run limits: a look at each executor                   worker is ended
//! ```
//!
//! What holds: a task that has not begun is ended by a compare-and-swap that competes with the claim; a
//! running task is ended only with its worker, which is stopped first, and then checked for what it runs.
//! [`Timers`](timers::Timers) and [`RunLimits`](watched::RunLimits) own when to look.

pub(super) mod cancel;
pub(super) mod deadline;
pub(super) mod run_limits;
pub(super) mod timers;
pub(super) mod watched;
