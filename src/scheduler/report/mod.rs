//! Reports: the host's state as users and tests see it. Nothing here changes a task.
//!
//! [`Tally`](counters::Tally) is the only place where ends are counted.

pub(super) mod audit;
pub(super) mod counters;
pub(super) mod profile;
pub(super) mod profiling;
pub(super) mod snapshot;
