//! The one door to locks and conditions of a process's own threads, of what is checked by a model; as
//! [`atomic`](super::atomic) is to atomics.

#[cfg(not(loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard};
