//! What happens because of time: attempts that are due, deadlines, limits on running time; and
//! cancellation, which ends tasks as these do.

pub(super) mod cancel;
pub(super) mod deadline;
pub(super) mod run_limits;
pub(super) mod timers;
pub(super) mod watched;
