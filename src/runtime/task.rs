//! A task with settings of its own.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError, TrySpawnError};
use crate::pool::{Transfer, encoding};
use crate::scheduler::{Job, NotAccepted, Scheduler, Ticket};
use crate::task::{FunctionId, Payload, entry_of};

use super::{Core, Handle, Map};

/// A function to be run, with settings; made by
/// [`Runtime::task`](crate::Runtime::task).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let fetch = rt.task(|page: u32| page * 10).safe_to_repeat(5);
/// assert_eq!(fetch.spawn(3).join()?, 30);
/// assert_eq!(fetch.map(0..3).collect::<Result<Vec<_>, _>>()?, [0, 10, 20]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `spawn` or `map`"]
pub struct Task<'rt, F, A, R> {
    core: &'rt Arc<Core>,
    function: Option<FunctionId>,
    attempts: u32,
    in_flight: Option<usize>,
    types: PhantomData<fn(F, A) -> R>,
}

impl<F, A, R> Clone for Task<'_, F, A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F, A, R> Copy for Task<'_, F, A, R> {}

impl<F, A, R> std::fmt::Debug for Task<'_, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("function", &std::any::type_name::<F>())
            .field("attempts", &self.attempts)
            .field("in_flight", &self.in_flight)
            .finish()
    }
}

impl<F, A, R> Task<'_, F, A, R> {
    pub(super) fn scheduler(&self) -> &Scheduler {
        &self.core.scheduler
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    #[inline]
    pub(super) fn new(core: &'rt Arc<Core>, _: F) -> Self {
        let entry = entry_of::<F, A, R>();
        Task {
            core,
            function: core.scheduler.functions().id(entry),
            attempts: 1,
            in_flight: None,
            types: PhantomData,
        }
    }

    /// Declares that running the task twice does no harm: when a worker dies while
    /// running it, it is run again, up to `attempts` times in all (at least 1).
    /// Without this a task is run at most once. Its arguments must not contain a
    /// [`Loan`](crate::Loan).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn poison(_: ()) {
    ///     std::process::abort()
    /// }
    /// match rt.task(poison).safe_to_repeat(2).spawn(()).join() {
    ///     Err(pinfold::TaskError::WorkerDied { attempts, .. }) => assert_eq!(attempts, 2),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn safe_to_repeat(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How many items [`Task::map`] keeps in flight, at least 1. Default: 64 for
    /// each executor, at most half of the queue.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| n).in_flight(2);
    /// assert_eq!(task.map(0..10).count(), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_flight(mut self, items: usize) -> Self {
        self.in_flight = Some(items.max(1));
        self
    }

    /// Submits it: see [`Runtime::spawn`](crate::Runtime::spawn).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).spawn(1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn spawn(&self, args: A) -> Handle<R> {
        let mut job = self.job();
        let submitted = match self.encode(&args, &mut job) {
            Ok(()) => {
                drop(args);
                self.core.scheduler.submit(&mut job, None)
            }
            Err(error) => Err(NotAccepted::Failed(error)),
        };
        self.handle(submitted)
    }

    /// Submits it if it can be accepted now: see
    /// [`Runtime::try_spawn`](crate::Runtime::try_spawn).
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).try_spawn(1)?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_spawn(&self, args: A) -> Result<Handle<R>, TrySpawnError<A>> {
        if let Err(refusal) = self.core.scheduler.try_reserve() {
            return Err(TrySpawnError { refusal, args });
        }
        let mut job = self.job();
        if let Err(error) = self.encode(&args, &mut job) {
            return Ok(self.handle(Err(NotAccepted::Failed(error))));
        }
        let now = std::time::Instant::now();
        match self.core.scheduler.submit(&mut job, Some(now)) {
            Err(NotAccepted::Refused(refusal)) => {
                job.buffers.iter().for_each(Transfer::recall);
                Err(TrySpawnError { refusal, args })
            }
            submitted => Ok(self.handle(submitted)),
        }
    }

    /// Runs it on every item, in parallel; yields the outcomes in the order of the
    /// items. Pulls from `items` lazily, on the calling thread, and keeps a bounded
    /// number [in flight](Task::in_flight). Dropping the iterator detaches what is
    /// in flight.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let lengths = rt.task(|s: String| s.len()).map(["a", "bc"].map(String::from));
    /// assert_eq!(lengths.collect::<Result<Vec<_>, _>>()?, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> Map<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        let fold = self.core.scheduler.fold();
        let queue = fold.plan.shape.slots as usize;
        let default = (64 * fold.plan.shape.executors()).min(queue / 2).max(1);
        Map::new(*self, items.into_iter(), self.in_flight.unwrap_or(default))
    }

    pub(super) fn core(&self) -> &'rt Arc<Core> {
        self.core
    }

    #[inline]
    fn handle(&self, submitted: Result<Ticket, NotAccepted>) -> Handle<R> {
        let scheduler = Arc::clone(&self.core.scheduler);
        Handle::new(scheduler, submitted.map_err(error_of))
    }

    /// An empty job of this task.
    #[inline]
    pub(super) fn job(&self) -> Job {
        Job {
            function: self.function.unwrap_or(FunctionId(0)),
            payload: Payload::new(),
            buffers: Vec::new(),
            attempts: self.attempts,
        }
    }

    /// Encodes `args` into `job`, whose former contents are forgotten.
    #[inline]
    pub(super) fn encode(&self, args: &A, job: &mut Job) -> Result<(), TaskError> {
        if self.function.is_none() {
            return Err(TaskError::Arguments {
                message: "the function is not part of the main program (a shared library's?)"
                    .into(),
            });
        }
        job.payload.clear();
        let (encoded, buffers) = encoding(|| job.payload.encode(args));
        job.buffers = buffers;
        encoded.map_err(|error| TaskError::Arguments {
            message: format!("they cannot be encoded: {error}"),
        })
    }
}

#[cold]
pub(super) fn error_of(not_accepted: NotAccepted) -> TaskError {
    match not_accepted {
        NotAccepted::Failed(error) => error,
        NotAccepted::Refused(Refusal::Shutdown) => TaskError::Shutdown,
        NotAccepted::Refused(refusal) => TaskError::OutOfMemory {
            message: refusal.to_string(),
        },
    }
}
