//! The one door to atomics.
//!
//! Every structure that is checked by a model imports its atomics from here, so
//! that the very same source runs on `loom`'s atomics under `--cfg loom`.

#[cfg(loom)]
pub use super::mortal::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{Ordering, fence};
