//! A task with settings of its own.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError, TrySpawnError};
use crate::pool::{Transfer, encoding};
use crate::scheduler::{Backoff, Job, NotAccepted, Scheduler, Ticket};
use crate::task::{FunctionId, Payload, entry_of};

use super::core::Core;
use super::{Handle, Map};

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
    /// Of no size; what is made of it names it by its type.
    call: F,
    function: Option<FunctionId>,
    /// What it is called in errors.
    name: fn() -> &'static str,
    attempts: u32,
    backoff: Backoff,
    deadline: Option<Duration>,
    in_flight: Option<usize>,
    types: PhantomData<fn(A) -> R>,
}

/// A task that was submitted, or not.
pub(super) struct Submitted {
    /// To which fold.
    pub scheduler: Arc<Scheduler>,
    /// Or why it was not accepted.
    pub ticket: Result<Ticket, TaskError>,
    /// Buffers were among its arguments.
    pub has_buffers: bool,
}

impl<F: Copy, A, R> Clone for Task<'_, F, A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Copy, A, R> Copy for Task<'_, F, A, R> {}

impl<F, A, R> std::fmt::Debug for Task<'_, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("function", &std::any::type_name::<F>())
            .field("attempts", &self.attempts)
            .field("deadline", &self.deadline)
            .field("in_flight", &self.in_flight)
            .finish()
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    #[inline]
    pub(super) fn new(core: &'rt Arc<Core>, call: F) -> Self {
        let entry = entry_of::<F, A, R>();
        Task {
            core,
            call,
            function: core.function(entry),
            name: std::any::type_name::<F>,
            attempts: 1,
            backoff: Backoff::default(),
            deadline: None,
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
    ///     Err(pinfold::TaskError::Poison { attempts, .. }) => assert_eq!(attempts.len(), 2),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn safe_to_repeat(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// At least once: [`Task::safe_to_repeat`] with three attempts. A task that kills
    /// its worker three times is taken for poison
    /// ([`TaskError::Poison`](crate::TaskError::Poison)).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).at_least_once().spawn(1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn at_least_once(self) -> Self {
        self.safe_to_repeat(3)
    }

    /// How long a task that may be repeated waits in between: not at all before the
    /// second attempt, `first` before the third, then twice as long each time up to
    /// `longest`; each wait is stretched at random by up to its own length, so that
    /// many do not come at once (exponential back-off with jitter). Default: 10 ms,
    /// 1 s.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let task = rt
    ///     .task(|n: u32| n + 1)
    ///     .safe_to_repeat(5)
    ///     .backoff(Duration::from_millis(1), Duration::from_millis(20));
    /// assert_eq!(task.spawn(1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff {
            first,
            longest: longest.max(first),
        };
        self
    }

    /// The task must have ended `limit` after its submission, whatever it does. If it
    /// has not, it ends with
    /// [`TaskError::DeadlineExceeded`](crate::TaskError::DeadlineExceeded): before it
    /// has begun it is taken back; while it runs its worker is killed (after
    /// [`Builder::kill_grace`](crate::Builder::kill_grace)) and replaced. The worker
    /// is stopped and looked at first, so no other task is killed in its place; with
    /// several threads in a worker, though, what the others run dies along.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// fn endless(_: ()) {
    ///     loop {}
    /// }
    /// let limit = Duration::from_millis(50);
    /// let stuck = rt.task(endless).hard_deadline(limit).spawn(());
    /// assert_eq!(
    ///     stuck.join(),
    ///     Err(pinfold::TaskError::DeadlineExceeded { limit, begun: true }),
    /// );
    /// assert_eq!(rt.spawn(|n: u32| n + 1, 1).join()?, 2); // and it goes on
    /// # Ok(())
    /// # }
    /// ```
    pub fn hard_deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
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
        let submitted = self.submit(args);
        Handle::new(submitted.scheduler, submitted.ticket)
    }

    /// Submits it; says what came of it.
    #[inline]
    pub(super) fn submit(&self, args: A) -> Submitted {
        let mut job = self.job();
        loop {
            let scheduler = self.core.sound();
            let encoded = self.encode(&args, &mut job);
            let has_buffers = !job.buffers.is_empty();
            let submitted = match encoded {
                Ok(()) => scheduler.submit(&mut job, None),
                Err(error) => Err(NotAccepted::Failed(error)),
            };
            if !matches!(submitted, Err(NotAccepted::Refused(Refusal::Rebuilding))) {
                drop(args);
                return Submitted {
                    scheduler,
                    ticket: submitted.map_err(error_of),
                    has_buffers,
                };
            }
            // Meanwhile the fold was found damaged: once more, with its successor.
            job.buffers.iter().for_each(Transfer::recall);
        }
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
        let scheduler = self.core.present();
        if let Err(refusal) = scheduler.try_reserve() {
            return Err(TrySpawnError { refusal, args });
        }
        let mut job = self.job();
        if let Err(error) = self.encode(&args, &mut job) {
            return Ok(handle(scheduler, Err(NotAccepted::Failed(error))));
        }
        let now = std::time::Instant::now();
        match scheduler.submit(&mut job, Some(now)) {
            Err(NotAccepted::Refused(refusal)) => {
                job.buffers.iter().for_each(Transfer::recall);
                Err(TrySpawnError { refusal, args })
            }
            submitted => Ok(handle(scheduler, submitted)),
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
        self.map_by(items.into_iter(), 64)
    }

    /// The same; so many in flight for each executor, if it was not said.
    pub(super) fn map_by<I>(&self, items: I, each: usize) -> Map<'rt, I, F, A, R>
    where
        I: Iterator<Item = A>,
    {
        Map::new(*self, items, self.in_flight_of(each))
    }

    /// How many to keep in flight, if it was not said: so many for each executor.
    pub(super) fn in_flight_of(&self, each: usize) -> usize {
        let shape = self.core.present().fold().plan.shape;
        let most = (shape.slots as usize / 2).max(1);
        let default = (each * shape.executors()).min(most);
        self.in_flight.unwrap_or(default)
    }

    /// The function.
    pub(super) fn call(&self) -> F {
        self.call
    }

    /// Another function with the settings of this one, and its name.
    pub(super) fn with<G, B, S>(&self, call: G) -> Task<'rt, G, B, S>
    where
        G: Fn(B) -> S + Copy + Send + 'static,
        B: Serialize + DeserializeOwned,
        S: Serialize + DeserializeOwned,
    {
        Task {
            name: self.name,
            attempts: self.attempts,
            backoff: self.backoff,
            deadline: self.deadline,
            in_flight: self.in_flight,
            ..Task::new(self.core, call)
        }
    }

    pub(super) fn core(&self) -> &'rt Arc<Core> {
        self.core
    }

    /// An empty job of this task.
    #[inline]
    pub(super) fn job(&self) -> Job {
        Job {
            function: self.function.unwrap_or(FunctionId(0)),
            payload: Payload::new(),
            buffers: Vec::new(),
            name: self.name,
            attempts: self.attempts,
            backoff: self.backoff,
            deadline: self.deadline,
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

#[inline]
fn handle<R: DeserializeOwned>(
    scheduler: Arc<Scheduler>,
    submitted: Result<Ticket, NotAccepted>,
) -> Handle<R> {
    Handle::new(scheduler, submitted.map_err(error_of))
}

#[cold]
pub(super) fn error_of(not_accepted: NotAccepted) -> TaskError {
    match not_accepted {
        NotAccepted::Failed(error) => error,
        NotAccepted::Refused(Refusal::Shutdown) => TaskError::Shutdown,
        NotAccepted::Refused(refusal @ Refusal::Rebuilding) => TaskError::Corrupted {
            message: refusal.to_string(),
        },
        NotAccepted::Refused(refusal) => TaskError::OutOfMemory {
            message: refusal.to_string(),
        },
    }
}
