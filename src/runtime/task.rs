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

use super::after::{Dependencies, Sealed};
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
    function: Option<FunctionId>,
    attempts: u32,
    backoff: Backoff,
    deadline: Option<Duration>,
    start_limit: Option<Duration>,
    soft_limit: Option<Duration>,
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
    pub(super) fn new(core: &'rt Arc<Core>, _: F) -> Self {
        let entry = entry_of::<F, A, R>();
        Task {
            core,
            function: core.function(entry),
            attempts: 1,
            backoff: Backoff::default(),
            deadline: None,
            start_limit: None,
            soft_limit: None,
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

    /// The task must have begun `limit` after its submission; if it has not, it is taken
    /// back and ends with
    /// [`TaskError::DeadlineExceeded`](crate::TaskError::DeadlineExceeded). One that has
    /// begun is left alone.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let busy = rt.spawn(|ms| std::thread::sleep(Duration::from_millis(ms)), 300);
    /// let limit = Duration::from_millis(10);
    /// let late = rt.task(|n: u32| n).start_deadline(limit).spawn(1);
    /// assert_eq!(
    ///     late.join(),
    ///     Err(pinfold::TaskError::DeadlineExceeded { limit, begun: false }),
    /// );
    /// # busy.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_deadline(mut self, limit: Duration) -> Self {
        self.start_limit = Some(limit);
        self
    }

    /// The task should have ended `limit` after its submission; it sees so itself, with
    /// [`Context::deadline`](crate::Context::deadline), and nobody else does anything
    /// about it.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::{Duration, Instant};
    /// fn improve(_: ()) -> u32 {
    ///     let end = pinfold::context().deadline();
    ///     let mut best = 0;
    ///     while end.is_some_and(|end| Instant::now() < end) {
    ///         best += 1; // … a little better each time
    ///     }
    ///     best
    /// }
    /// let task = rt.task(improve).soft_deadline(Duration::from_millis(20));
    /// assert!(task.spawn(()).join()? > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn soft_deadline(mut self, limit: Duration) -> Self {
        self.soft_limit = Some(limit);
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
        loop {
            let scheduler = self.core.sound();
            let submitted = match self.encode(&args, &mut job) {
                Ok(()) => scheduler.submit(&mut job, None),
                Err(error) => Err(NotAccepted::Failed(error)),
            };
            if !matches!(submitted, Err(NotAccepted::Refused(Refusal::Rebuilding))) {
                drop(args);
                return handle::<F, R>(scheduler, submitted);
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
            return Ok(handle::<F, R>(scheduler, Err(NotAccepted::Failed(error))));
        }
        let now = std::time::Instant::now();
        match scheduler.submit(&mut job, Some(now)) {
            Err(NotAccepted::Refused(refusal)) => {
                job.buffers.iter().for_each(Transfer::recall);
                Err(TrySpawnError { refusal, args })
            }
            submitted => Ok(handle::<F, R>(scheduler, submitted)),
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
        let scheduler = self.core.present();
        let fold = scheduler.fold();
        let queue = fold.plan.shape.slots as usize;
        let default = (64 * fold.plan.shape.executors()).min(queue / 2).max(1);
        Map::new(*self, items.into_iter(), self.in_flight.unwrap_or(default))
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
            name: std::any::type_name::<F>,
            attempts: self.attempts,
            backoff: self.backoff,
            deadline: self.deadline,
            start_limit: self.start_limit,
            soft_limit: self.soft_limit,
        }
    }

    /// Encodes `args` into `job`, whose former contents are forgotten.
    #[inline]
    pub(super) fn encode(&self, args: &A, job: &mut Job) -> Result<(), TaskError> {
        if self.function.is_none() {
            return Err(foreign());
        }
        encode(args, job)
    }
}

impl<F, A, I, R> Task<'_, F, (A, I), R>
where
    F: Fn((A, I)) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned + Send + 'static,
    I: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned,
{
    /// Submits it, to begin when the tasks of `after` have ended: it is called with
    /// `args` and their values. Until then it takes no place in the queue, and no
    /// executor waits. The handles may be joined or dropped as ever.
    ///
    /// If one of them ends without a value (or with one that is an `Err`), this task is
    /// not run, and ends at once with
    /// [`TaskError::DependencyFailed`](crate::TaskError::DependencyFailed), which names
    /// the first one that failed; so do those that depend on this one. Its deadlines and
    /// its back-off count from when it is queued.
    ///
    /// A [`Shared`](crate::Shared) in a value is handed on without a copy; all else is
    /// decoded and encoded again, by the host: return large data as `Shared`. A value
    /// with a [`Loan`](crate::Loan) in it cannot be handed on.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parts: Vec<_> = (1..=3u64).map(|n| rt.spawn(|n: u64| n * n, n)).collect();
    /// let sum = rt.task(|(scale, squares): (u64, Vec<u64>)| scale * squares.iter().sum::<u64>());
    /// let total = sum.spawn_after(parts.iter().collect::<Vec<_>>(), 10);
    /// let text = rt
    ///     .task(|((), (total, first)): ((), (u64, u64))| format!("{total} {first}"))
    ///     .spawn_after((&total, &parts[0]), ());
    /// assert_eq!(text.join()?, "140 1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_after<D>(&self, after: D, args: A) -> Handle<R>
    where
        D: Dependencies<Inputs = I> + Sealed<Values = I>,
    {
        let scheduler = self.core.sound();
        let mut job = self.job();
        if self.function.is_none() {
            return handle::<F, R>(scheduler, Err(NotAccepted::Failed(foreign())));
        }
        let decode = after.decode();
        let build = Box::new(move |outcomes: &[_]| {
            let inputs = decode(outcomes)?;
            encode(&(args, inputs), &mut job)?;
            Ok(job)
        });
        let submitted = scheduler.submit_after(after.list(&scheduler), build);
        handle::<F, R>(scheduler, submitted)
    }
}

#[cold]
fn foreign() -> TaskError {
    TaskError::Arguments {
        message: "the function is not part of the main program (a shared library's?)".into(),
    }
}

/// Encodes `args` into `job`, whose former contents are forgotten.
#[inline]
fn encode<A: Serialize>(args: &A, job: &mut Job) -> Result<(), TaskError> {
    job.payload.clear();
    let (encoded, buffers) = encoding(|| job.payload.encode(args));
    job.buffers = buffers;
    encoded.map_err(|error| TaskError::Arguments {
        message: format!("they cannot be encoded: {error}"),
    })
}

#[inline]
fn handle<F, R: DeserializeOwned>(
    scheduler: Arc<Scheduler>,
    submitted: Result<Ticket, NotAccepted>,
) -> Handle<R> {
    let name = std::any::type_name::<F>;
    Handle::new(scheduler, submitted.map_err(error_of), name)
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
