//! What executors have finished, as they say themselves.

/// Who waits for one of many, or submits, collects so many of each executor's at a time.
pub(in crate::scheduler) const PORTION: u64 = 256;
