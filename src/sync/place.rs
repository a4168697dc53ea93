//! Where an object is made: in the host by a runtime, in a task by its context.

use crate::pool::{AllocError, Pool};

/// Where a shared object is made: `&rt` of a [`Runtime`](crate::Runtime) in the host,
/// [`pinfold::context()`](crate::context()) in a task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::Mutex;
///
/// fn in_a_task(start: u64) -> Option<Mutex<u64>> {
///     Mutex::new(pinfold::context(), start).ok()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let here = Mutex::new(&rt, 1_u64)?;
/// let there = rt.spawn(in_a_task, 2).join()?.ok_or("no room")?;
/// assert!(here.try_lock().is_ok() && there.try_lock().is_ok());
/// assert!(Mutex::new(pinfold::context(), 1).is_err()); // this is no task
/// # Ok(())
/// # }
/// ```
pub trait Place: InPool {}

/// What has a pool.
pub trait InPool {
    /// It.
    fn pool(self) -> Result<Pool, AllocError>;
}
