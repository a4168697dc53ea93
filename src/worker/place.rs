//! A worker's place in the fold: its number, among how many.

use std::sync::OnceLock;

use crate::layout::Shape;

use super::{Context, panics};

/// Which worker this process is, and of how many.
static PLACE: OnceLock<(u32, Shape)> = OnceLock::new();

/// This process is worker `worker`.
pub(super) fn set(worker: u32, shape: Shape) {
    let _ = PLACE.set((worker, shape));
}

impl Context {
    /// The number of this worker, from 0: of any thread of it, in
    /// [`worker_init`](crate::Builder::worker_init) too (to choose a device, say); `None` in the
    /// host. A successor has the number of the one whose place it takes.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let place = |_: ()| {
    ///     let here = pinfold::context();
    ///     (here.worker(), here.worker_count())
    /// };
    /// let (worker, of) = rt.spawn(place, ()).join()?;
    /// assert!(worker < of && of == Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(self) -> Option<usize> {
        PLACE.get().map(|(worker, _)| *worker as usize)
    }

    /// How many workers the fold has; `None` in the host.
    ///
    /// ```
    /// assert_eq!(pinfold::context().worker_count(), None); // in the host
    /// ```
    pub fn worker_count(self) -> Option<usize> {
        PLACE.get().map(|(_, shape)| shape.workers as usize)
    }

    /// The number of this thread among the executors of the fold, from 0 up to
    /// [`worker_count`](Context::worker_count) times
    /// [`threads_per_worker`](crate::Builder::threads_per_worker); `None` in the host, and on
    /// other threads of a worker. At no time two tasks run with the same number, but those that
    /// wait in `join` below one that is run on the spot.
    ///
    /// ```
    /// assert_eq!(pinfold::context().executor(), None); // in the host
    /// ```
    pub fn executor(self) -> Option<usize> {
        panics::executor()
    }
}
