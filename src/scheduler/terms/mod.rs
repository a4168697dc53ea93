//! The terms under which a task runs: plain values, which neither lock nor wait for anything
//! of the scheduler's.

pub(super) mod backoff;
pub(super) mod limit;
pub(super) mod reach;
pub(super) mod retry;
pub(super) mod settings;
pub(super) mod timing;
