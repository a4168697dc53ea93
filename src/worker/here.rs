//! The state that all threads of a worker share, once the process has become a worker.

use std::sync::OnceLock;

use crate::pool::{AllocError, Pool};
use crate::task::Kept;

/// The exit status of a worker whose own code failed (not a task's).
pub(super) const BROKEN: i32 = 70;

/// Its side of the pool.
pub(super) static POOL: OnceLock<Pool> = OnceLock::new();
/// What `worker_init` has made.
pub(super) static STATE: Kept = Kept::nothing();

/// Its side of the pool.
///
/// # Errors
/// [`AllocError::NoPool`]: this process is no worker.
pub(super) fn pool() -> Result<&'static Pool, AllocError> {
    POOL.get().ok_or(AllocError::NoPool)
}

/// What `worker_init` made in this worker, if it is a `T`.
///
/// `None` outside of a worker, without a
/// [`Builder::worker_init`](crate::Builder::worker_init), and for another type. The
/// state lives as long as its worker; a replaced worker makes its own.
///
/// When a worker ends in order (the runtime was shut down, and nothing was in flight any
/// more) its state is dropped, unless threads that tasks or `worker_init` have started still
/// run then: one of them might use it. A worker that is killed, or dies, drops nothing.
///
/// ```
/// # pinfold::test_setup!();
/// struct Model(u64);
///
/// fn load() -> Result<Model, std::io::Error> {
///     Ok(Model(3)) // from a file, say
/// }
///
/// fn apply(n: u64) -> u64 {
///     n * pinfold::worker_state::<Model>().map_or(0, |model| model.0)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).worker_init(load).start()?;
/// assert_eq!(rt.spawn(apply, 14).join()?, 42);
/// # Ok(())
/// # }
/// ```
pub fn worker_state<T: Send + Sync + 'static>() -> Option<&'static T> {
    STATE.get()
}
