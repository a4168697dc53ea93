//! (supervise)
