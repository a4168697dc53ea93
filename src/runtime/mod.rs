//! The face: builder, runtime, handles. Wires scheduler and supervisor together,
//! and owns the order of start and shutdown.

mod after;
#[cfg(feature = "indicatif")]
mod bar;
mod broadcast;
mod builder;
mod callbacks;
mod canceller;
mod channels;
mod chunks;
mod closing;
mod collectives;
mod completed;
mod constant;
mod core;
mod ends;
mod face;
mod feed;
mod flow;
mod for_each;
mod founder;
mod future;
mod gather;
mod grain;
mod handle;
mod held;
mod inits;
mod join_set;
mod map;
mod members;
mod memo;
mod order;
#[cfg(all(feature = "bench-internals", not(loom)))]
mod peek;
mod per_item;
mod places;
mod present;
mod reduce;
mod refused;
mod reserve;
mod running;
mod scope;
mod settings;
mod shutdown;
mod signals;
mod spawn_async;
mod stats;
mod stored;
mod stream;
mod submitted;
mod task;
mod try_spawn;
mod unordered;
mod wait;
mod waits;

pub use after::Dependencies;
pub use builder::Builder;
pub use callbacks::CallbackError;
pub use canceller::Canceller;
pub use chunks::{Chunked, ChunkedMap};
pub use completed::{AsCompleted, as_completed};
pub use flow::{TimedOut, Timeout};
pub use gather::{
    gather, gather_timeout, join_all, join_all_timeout, join_any, join_any_within, on_error,
};
pub use handle::{Handle, Progress};
pub use join_set::{JoinNext, JoinSet};
pub use map::Map;
pub use memo::Memo;
#[cfg(all(feature = "bench-internals", not(loom)))]
pub use peek::Peek;
pub use per_item::PerItem;
pub use reserve::{Permit, Reserve};
pub use scope::Scope;
pub use shutdown::ShuttingDown;
pub use signals::{Termination, wait_for_termination};
pub use spawn_async::SpawnAsync;
pub use stats::{Activity, ClassStats, LogStats, QueueStats, Stats, Totals, WorkerStats};
pub use stored::StoredTask;
pub use stream::{MapStream, MapUnorderedStream};
pub use task::Task;
pub use unordered::MapUnordered;
pub use wait::{WaitFor, Waited, wait};
pub use waits::WaitStats;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::background::Log;
use crate::config::Shutdown;
use crate::error::{ShutdownError, TaskError, TrySpawnError};
use crate::pool::{AllocError, Loan, array};
use crate::scheduler::{Audit, Profile};
use crate::task::{NoCapture, entry_of};

use self::after::spawn_after_quickly;
use self::core::Core;
use self::task::spawn_quickly;

/// A fold of worker processes, and the way to give them work.
///
/// All methods take `&self`; share it between threads by reference or in an
/// `Arc`. Dropping it shuts it down as configured by
/// [`Builder::on_drop`]; while the dropping thread panics, by [`Shutdown::Abort`].
///
/// ```
/// # pinfold::test_setup!();
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     pinfold::init();
///     let rt = pinfold::Runtime::builder().workers(2).start()?;
///     let handle = rt.spawn(square, 7);
///     assert_eq!(handle.join()?, 49);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Runtime {
    core: Arc<Core>,
}

impl Runtime {
    /// Settings for a new runtime.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .memory_cap(64 << 20)
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs `f(args)` in a worker.
    ///
    /// `f` is a function item or a closure that captures nothing: what it needs
    /// comes in `args` (several arguments as a tuple; what is large, and the same for many tasks,
    /// as a [`Constant`](crate::Constant)). Argument and result are owned values that implement
    /// serde's traits; large data travel as [`Shared`](crate::Shared) or
    /// [`Loan`](crate::Loan), without a copy.
    ///
    /// A captured value of size zero, such as `()` or a marker, is allowed, and made anew in the
    /// worker. So a marker type that proves that a library was initialised proves nothing there,
    /// unless the worker has initialised it, too ([`Builder::worker_init`](Builder::worker_init)).
    ///
    /// Waits while [`queue_capacity`](Builder::queue_capacity) tasks are in flight,
    /// or while there is no memory for long arguments. It does not fail: what goes
    /// wrong is returned by [`Handle::join`]. The task is run at most once;
    /// [`Runtime::task`] has settings for more.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let sum = rt.spawn(|(a, b): (u32, u32)| a + b, (2, 3));
    /// assert_eq!(sum.join()?, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn spawn<F, A, R>(&self, f: F, args: A) -> Handle<R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let function = self.core.function(entry_of::<F, A, R>());
        match spawn_quickly(&self.core, function, std::any::type_name::<F>, &args) {
            Ok(handle) => handle,
            Err(encoded) => self.task(f).spawn_slowly(args, encoded),
        }
    }

    /// Runs `f((args, inputs))` in a worker when the tasks of `after` have ended, with
    /// their values as inputs: see [`Task::spawn_after`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (a, b) = (rt.spawn(|n: u64| n * n, 3), rt.spawn(|n: u64| n * n, 4));
    /// let sum = |((), (a, b)): ((), (u64, u64))| a + b;
    /// assert_eq!(rt.spawn_after((&a, &b), sum, ()).join()?, 25);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn spawn_after<D, F, A, I, R>(&self, after: D, f: F, args: A) -> Handle<R>
    where
        D: Dependencies<Inputs = I> + after::Sealed<Values = I>,
        F: Fn((A, I)) -> R + NoCapture,
        A: Serialize + DeserializeOwned + Send + 'static,
        I: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned,
    {
        let function = self.core.function(entry_of::<F, (A, I), R>());
        let name = std::any::type_name::<F>;
        match spawn_after_quickly(&self.core, function, name, &after, &args) {
            Ok(handle) => handle,
            Err(encoded) => self.task(f).spawn_after_slowly(&after, args, encoded),
        }
    }

    /// As [`Runtime::spawn`], but never waits: gives the arguments back when the
    /// task cannot be accepted now.
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let handle = rt.try_spawn(|n: u32| n + 1, 1)?;
    /// assert_eq!(handle.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_spawn<F, A, R>(&self, f: F, args: A) -> Result<Handle<R>, TrySpawnError<A>>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.task(f).try_spawn(args)
    }

    /// Runs `f` on every item, in parallel; yields the results in the order of the
    /// items. Pulls from `items` as it goes and keeps a bounded number in flight,
    /// so the input may be endless. See [`Task::map`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let squares: Result<Vec<u64>, _> = rt.map(|n: u64| n * n, 0..5).collect();
    /// assert_eq!(squares?, [0, 1, 4, 9, 16]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<F, A, R, I>(&self, f: F, items: I) -> Map<'_, I::IntoIter, F, A, R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.task(f).map(items)
    }

    /// Runs `body` on this thread; every task that it spawns through the [`Scope`] has
    /// ended before this returns: with a value, with an error, or cancelled.
    ///
    /// The first task that ends with an error cancels the rest: what nobody has begun
    /// never is. What is running is asked to end ([`Handle::cancel`]), and waited for; if
    /// that may take for ever, give the scope a [grace](Scope::grace). What these have
    /// spawned themselves, and detached, it does not wait for, unless it is told to
    /// ([`Scope::and_descendants`]). An error is noticed when
    /// the scope is used next, or when `body` has ended; also if its handle was joined
    /// or dropped. An `Err` that a task returns is its value, and cancels nothing;
    /// neither does a task that was cancelled.
    ///
    /// What a task of the scope has spawned itself ([`spawn`](crate::spawn()) in a task) is
    /// waited for if it has joined it; what it has detached, too, after
    /// [`Scope::and_descendants`].
    ///
    /// If `body` panics, its tasks are cancelled and waited for, and the panic goes on.
    /// Scopes may be nested.
    ///
    /// # Errors
    /// The first one of a task of the scope; the value of `body` is dropped then.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let handles = rt.scope(|s| [1, 2].map(|n| s.spawn(|n: u32| n * 10, n)))?;
    /// assert!(handles.iter().all(|handle| handle.is_finished()));
    ///
    /// let failed = rt.scope(|s| {
    ///     let _ = s.spawn(|n: u32| 100 / n, 0);
    /// });
    /// assert!(matches!(failed, Err(pinfold::TaskError::Panicked { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<T>(&self, body: impl FnOnce(&Scope<'_>) -> T) -> Result<T, TaskError> {
        let (value, errors) = scope::scope(&self.core, true, body);
        match errors.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(value),
        }
    }

    /// As [`Runtime::scope`], but an error cancels nothing: all are returned beside the
    /// value of `body`, each with the number of its task (the first one spawned is 0),
    /// in the order in which they ended.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let ((), errors) = rt.scope_collect(|s| {
    ///     for n in 0..3 {
    ///         let _ = s.spawn(|n: u32| 100 / (n % 2), n);
    ///     }
    /// });
    /// let mut of: Vec<usize> = errors.iter().map(|(child, _)| *child).collect();
    /// of.sort();
    /// assert_eq!(of, [0, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope_collect<T>(
        &self,
        body: impl FnOnce(&Scope<'_>) -> T,
    ) -> (T, Vec<(usize, TaskError)>) {
        scope::scope(&self.core, false, body)
    }

    /// A task of `f` with settings of its own: see [`Task`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let handle = rt.task(|n: u32| n + 1).safe_to_repeat(3).spawn(1);
    /// assert_eq!(handle.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn task<F, A, R>(&self, f: F) -> Task<'_, F, A, R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Task::new(&self.core, f)
    }

    /// Allocates a buffer of `len` bytes in the fold's shared memory.
    ///
    /// # Errors
    /// [`AllocError::TooLarge`] when it can never fit under the
    /// [`memory_cap`](Builder::memory_cap), [`AllocError::Exhausted`] when it does
    /// not fit now.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut data = rt.alloc(1 << 20)?;
    /// data.fill(1);
    /// let sum = rt.spawn(|d: pinfold::Shared| d.iter().map(|b| *b as u64).sum::<u64>(), data.publish());
    /// assert_eq!(sum.join()?, 1 << 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn alloc(&self, len: usize) -> Result<Loan, AllocError> {
        self.core.sound().alloc(len)
    }

    /// Allocates an array of `len` elements in the fold's shared memory: all bytes 0, beginning
    /// at a multiple of 64 bytes. It may have no elements.
    ///
    /// `T` is what `bytemuck` calls plain old data: numbers, arrays of them, and structs that
    /// derive `bytemuck::Pod`. A type without bytes, or of an alignment above 64, does not
    /// compile.
    ///
    /// Written, it is published; then tasks get all of it, or ranges
    /// ([`Shared::slice`](crate::Shared::slice), [`Shared::slices`](crate::Shared::slices)),
    /// without a copy. In a task use [`alloc_array`](crate::alloc_array()). To save the time in
    /// which a large one is made zero, use [`alloc`](Runtime::alloc), write by
    /// `bytemuck::cast_slice_mut`, and cast what was published
    /// ([`Shared::try_cast`](crate::Shared::try_cast)).
    ///
    /// # Errors
    /// As of [`alloc`](Runtime::alloc), for the bytes of so many elements.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let mut squares = rt.alloc_array::<f64>(1000)?;
    /// for (n, element) in squares.iter_mut().enumerate() {
    ///     *element = (n * n) as f64;
    /// }
    /// let squares = squares.publish();
    /// let sum = |part: pinfold::Shared<f64>| part.iter().sum::<f64>();
    /// let sums = rt.map(sum, squares.slices(250)?);
    /// assert_eq!(sums.sum::<Result<f64, _>>()?, 332_833_500.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```compile_fail,E0080
    /// # fn with(rt: &pinfold::Runtime) {
    /// rt.alloc_array::<()>(10); // what would they be?
    /// # }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with(&pinfold::Runtime::builder().start()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn alloc_array<T: bytemuck::Pod>(&self, len: usize) -> Result<Loan<T>, AllocError> {
        array(len, |bytes| self.alloc(bytes))
    }

    /// Gives freed shared memory back to the system; returns how many bytes. Freed
    /// memory is otherwise kept for reuse, because touching fresh memory is slow.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// drop(rt.alloc(1 << 20)?);
    /// assert!(rt.trim_memory() >= 1 << 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn trim_memory(&self) -> usize {
        self.core.sound().pool().trim()
    }

    /// What happened so far, and what is going on now.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// rt.spawn(|n: u32| n, 1).join()?;
    /// assert_eq!(rt.stats().tasks.completed, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        Stats::read(&self.core)
    }

    /// What was measured of the tasks that have ended, by function; empty unless
    /// [`Builder::profile`] is on.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
    /// fn half(n: u64) -> u64 {
    ///     n / 2
    /// }
    /// rt.map(half, 0..100).count();
    /// for function in &rt.profile().functions {
    ///     println!("{}: {} tasks", function.function, function.count);
    ///     println!("  p99 {} ns, CPU {} ns", function.run.p99_ns, function.cpu.total_ns);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn profile(&self) -> Profile {
        if self.core.is_elsewhere() {
            return Profile::default();
        }
        self.core.present().profile().unwrap_or_default()
    }

    /// Counts task slots and memory blocks by state and by owner, and lists what is
    /// owned by nobody alive. That list is empty, whoever died: if not, it is a bug
    /// of this library.
    ///
    /// Reads all of it under the scheduler's lock (some 10 µs, more with many blocks
    /// in use): for tests and for a look at a running service, not for every task.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let _ = rt.spawn(|(): ()| -> () { std::process::abort() }, ()).join();
    /// assert!(rt.audit().orphans.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn audit(&self) -> Audit {
        self.core.sound().audit()
    }

    /// Cancels all tasks that nobody runs: those that are queued, wait for others or for their
    /// next attempt. They end with [`TaskError::Cancelled`]. What runs is not told, what is
    /// spawned later is accepted. Returns how many were cancelled.
    ///
    /// Tasks that others run as part of themselves ([`spawn`](crate::spawn)) are not concerned.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let nap = |ms| std::thread::sleep(std::time::Duration::from_millis(ms));
    /// let busy = rt.spawn(nap, 100);
    /// while !busy.is_running() {
    ///     std::thread::yield_now();
    /// }
    /// let queued = rt.spawn(nap, 1);
    /// assert_eq!(rt.cancel_pending(), 1);
    /// assert!(matches!(queued.join(), Err(pinfold::TaskError::Cancelled { .. })));
    /// busy.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_pending(&self) -> usize {
        self.core.present().cancel_waiting()
    }

    /// Takes no more tasks and ends those in flight as `how` says; returns when
    /// every handle has ended, every process is gone, and no descriptor of it is left.
    ///
    /// While one thread waits here another may make it more urgent, by a call of its own: of
    /// all that is asked for the earliest holds. So a first Ctrl-C can drain, and a second one
    /// abort. Each call returns when it is over, and is told of tasks that were ended which it
    /// would have let run. Once it is over a call does nothing.
    ///
    /// # Errors
    /// [`ShutdownError`] when draining took too long and tasks were aborted, or when another
    /// call has cut it short.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn endless(_: ()) {
    ///     loop {
    ///         std::thread::park();
    ///     }
    /// }
    /// let stuck = rt.spawn(endless, ());
    /// rt.shutdown(pinfold::Shutdown::Abort)?;
    /// assert!(matches!(stuck.join(), Err(pinfold::TaskError::Shutdown { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> Result<(), ShutdownError> {
        self.core.shutdown(how)
    }

    /// As [`Runtime::shutdown`], but does not wait: from here on no task is accepted, and
    /// those in flight end as `how` says. What is returned says when it is over; so does
    /// another call of `shutdown`, and dropping the runtime waits for it. It can be made more
    /// urgent as ever, by another call of either.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn endless(_: ()) {
    ///     loop {
    ///         std::thread::park();
    ///     }
    /// }
    /// let stuck = rt.spawn(endless, ());
    /// let ending = rt.begin_shutdown(pinfold::Shutdown::Drain);
    /// let refused = rt.try_spawn(|n: u32| n, 1).map(drop).unwrap_err();
    /// assert_eq!(refused.refusal, pinfold::Refusal::Shutdown);
    /// // It would take for ever:
    /// rt.begin_shutdown(pinfold::Shutdown::Abort).wait()?;
    /// assert!(ending.is_over() && ending.wait().is_err());
    /// assert!(stuck.join().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_shutdown(&self, how: Shutdown) -> ShuttingDown {
        self.core.begin_shutdown(how)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Err(error) = self.core.shutdown_at_drop() {
            Log::of_this_thread().with(|| {
                tracing::warn!(%error, "a dropped runtime aborted tasks");
            });
        }
    }
}
