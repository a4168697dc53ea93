//! Which groups of tasks have executors for their members.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pool::LaneBlock;

/// Which groups have executors for their members.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Vec<(LaneBlock, usize)>>);

impl Running {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<(LaneBlock, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
