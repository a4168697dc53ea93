//! Where shared objects are made: see [`Place`].

use crate::pool::{AllocError, Pool};
use crate::sync::{InPool, Place};

use super::Runtime;

impl Place for &Runtime {}

impl InPool for &Runtime {
    fn pool(self) -> Result<Pool, AllocError> {
        Ok(self.core.sound().pool().clone())
    }
}
