//! The one door to atomics.
//!
//! Every structure that is checked by a model imports its atomics from here, so
//! that the very same source runs on `loom`'s atomics under `--cfg loom`, and on
//! atomics that count, and end the process at a chosen step, with the feature
//! `crash-points`.

#[cfg(all(not(loom), feature = "crash-points"))]
pub use super::counted::{AtomicU32, AtomicU64};
#[cfg(loom)]
pub use super::mortal::{AtomicU32, AtomicU64};
#[cfg(all(not(loom), not(feature = "crash-points")))]
pub use core::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
pub use core::sync::atomic::{Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{Ordering, fence};
