//! Constants of a runtime.

use std::sync::{Arc, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pool::{AllocError, Loan, Shared};
use crate::task::{Constant, ConstantError, Home};

use super::Runtime;
use super::core::Core;

/// The memory of a runtime that may have ended.
struct HomeOf(Weak<Core>);

impl Home for HomeOf {
    fn has(&self, buffer: &Shared) -> bool {
        // Of a runtime that has ended, or is another process's, a task says so.
        let core = self.0.upgrade().filter(|core| !core.is_elsewhere());
        core.is_none_or(|core| core.with_present(|present| buffer.is_of(present.pool())))
    }

    fn alloc(&self, len: usize) -> Result<Loan, AllocError> {
        let core = self.0.upgrade().ok_or(AllocError::NoPool)?;
        core.sound().alloc(len)
    }
}

impl Runtime {
    /// Makes a value one that any number of tasks can have for the price of a small argument:
    /// a table, a model, a configuration. It is encoded now, and decoded once in each worker
    /// whose tasks use it: see [`Constant`].
    ///
    /// What a closure would capture is a constant, if it is large, or else an argument, in a
    /// tuple with the others.
    ///
    /// # Errors
    /// [`ConstantError::Encode`] if the value does not travel (as for arguments),
    /// [`ConstantError::Alloc`] if there is no room for it.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let table: Vec<u64> = (0..100_000).map(|n| n * n).collect();
    /// let table = rt.constant(table)?;
    /// let add = 1; // small: a part of the arguments
    /// let look_up = |(table, add, n): (pinfold::Constant<Vec<u64>>, u64, usize)| table[n] + add;
    /// let handles: Vec<_> = (0..1000).map(|n| rt.spawn(look_up, (table.clone(), add, n))).collect();
    /// for (n, handle) in (0..).zip(handles) {
    ///     assert_eq!(handle.join()?, n * n + 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn constant<T>(&self, value: T) -> Result<Constant<T>, ConstantError>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Constant::new(value, Box::new(HomeOf(Arc::downgrade(&self.core))))
    }
}
