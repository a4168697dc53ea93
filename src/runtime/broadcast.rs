//! The same task once in each worker.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::task::NoCapture;

use super::{Handle, Runtime, Task};

impl Runtime {
    /// Runs `f(args)` once in each worker: see [`Task::broadcast`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let handles = rt.broadcast(|()| std::process::id(), ());
    /// let pids = pinfold::gather(handles, pinfold::on_error::Raise)?;
    /// assert_eq!(pids.len(), 2);
    /// assert_ne!(pids[0], pids[1]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast<F, A, R>(&self, f: F, args: A) -> Vec<Handle<R>>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned + Clone,
        R: Serialize + DeserializeOwned,
    {
        self.task(f).broadcast(args)
    }
}

impl<F, A, R> Task<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Runs it once in each worker: to fill a cache there, to have a setting read anew, to ask
    /// what each has counted. The handles are in the order of the workers' numbers
    /// ([`Context::worker`](crate::Context::worker)).
    ///
    /// Each of them is a task of its own, with the settings of this one, but for the priority:
    /// a worker runs it before all else, as soon as one of its executors has nothing under way.
    /// It is nobody else's: behind a long task it waits. If its worker dies while it runs it
    /// ends as any task does, with [`TaskError::WorkerDied`](crate::TaskError::WorkerDied), or,
    /// if it may be repeated, is run by the successor; what was not begun then is the
    /// successor's too. A worker that starts later, as a successor, does not run what its
    /// predecessor has run: what every start is to do is
    /// [`worker_init`](crate::Builder::worker_init)'s.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// static LEVEL: AtomicU64 = AtomicU64::new(0); // each process has its own
    ///
    /// fn set_level(level: u64) {
    ///     LEVEL.store(level, Ordering::Relaxed);
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// for (worker, done) in rt.task(set_level).broadcast(3).into_iter().enumerate() {
    ///     if let Err(error) = done.join() {
    ///         eprintln!("worker {worker} has the old level: {error}");
    ///     }
    /// }
    /// assert_eq!(rt.spawn(|()| LEVEL.load(Ordering::Relaxed), ()).join()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast(&self, args: A) -> Vec<Handle<R>>
    where
        A: Clone,
    {
        self.broadcast_with(|_| args.clone())
    }

    /// The same, with arguments for each worker, which `args` makes by its number.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(3).start()?;
    /// let tens = rt.task(|n: usize| 10 * n).broadcast_with(|worker| worker);
    /// assert_eq!(pinfold::join_all(tens), [Ok(0), Ok(10), Ok(20)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_with(&self, mut args: impl FnMut(usize) -> A) -> Vec<Handle<R>> {
        let workers = self.core().present().fold().plan.shape.workers;
        let mut task = self.clone();
        task.order.memo = None;
        let spawn_in = |worker: u32| {
            task.settings().bound = Some(worker);
            task.submit(args(worker as usize)).handle()
        };
        (0..workers).map(spawn_in).collect()
    }
}
