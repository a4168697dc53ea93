//! The settings under which a task runs: plain values, which neither take the scheduler's lock nor wait for
//! it.

pub(super) mod backoff;
pub(super) mod limit;
pub(super) mod reach;
pub(super) mod retry;
pub(super) mod settings;
pub(super) mod timing;
