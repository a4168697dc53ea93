//! A task with settings of its own.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError, TraceparentError, TrySpawnError};
use crate::pool::{Transfer, encoding};
use crate::scheduler::{Backoff, Job, NotAccepted, Scheduler, Ticket};
use crate::task::{FunctionId, Label, Payload, entry_of};

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
    in_flight: Option<usize>,
    label: Option<Arc<Label>>,
    types: PhantomData<fn(F, A) -> R>,
}

impl<F, A, R> Clone for Task<'_, F, A, R> {
    fn clone(&self) -> Self {
        Task {
            label: self.label.clone(),
            ..*self
        }
    }
}

impl<F, A, R> std::fmt::Debug for Task<'_, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("function", &std::any::type_name::<F>())
            .field("attempts", &self.attempts)
            .field("deadline", &self.deadline)
            .field("in_flight", &self.in_flight)
            .field("label", &self.label)
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
            in_flight: None,
            label: None,
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

    /// A name for it, besides that of its function: in its log events, in errors, and for
    /// the task itself ([`task_name`](crate::task_name)). While it runs it is in a
    /// `tracing` span `task` with `name`, `traceparent` and `tags`.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let crash = rt.task(|(): ()| -> () { std::process::exit(3) }).named("nightly");
    /// let error = crash.spawn(()).join().unwrap_err();
    /// assert!(error.to_string().contains("`nightly`"), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.label().name = Some(name.into());
        self
    }

    /// Something else to know it by: in its log events, and for the task itself
    /// ([`task_info`](crate::task_info)). May be called several times.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let tags = rt.task(|(): ()| pinfold::task_info().map(|info| info.tags));
    /// let tags = tags.tag("user", "7").tag("retry", "no").spawn(()).join()?;
    /// let expected = [("user", "7"), ("retry", "no")].map(|(k, v)| (k.into(), v.into()));
    /// assert_eq!(tags, Some(expected.to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.label().tags.push((key.into(), value.into()));
        self
    }

    /// The trace that it belongs to, as in the HTTP header of that name (W3C Trace
    /// Context): `version-traceid-parentid-flags`. In its log events, and for the task
    /// itself ([`traceparent`](crate::traceparent)).
    ///
    /// # Errors
    /// [`TraceparentError`] says what is wrong with the value.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let task = rt.task(|(): ()| pinfold::traceparent()).traceparent(header)?;
    /// assert_eq!(task.spawn(()).join()?.as_deref(), Some(header));
    /// # Ok(())
    /// # }
    /// ```
    pub fn traceparent(mut self, value: &str) -> Result<Self, TraceparentError> {
        TraceparentError::check(value)?;
        self.label().traceparent = Some(value.to_owned());
        Ok(self)
    }

    fn label(&mut self) -> &mut Label {
        Arc::make_mut(self.label.get_or_insert_default())
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
                return handle(scheduler, submitted);
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
        let scheduler = self.core.present();
        let fold = scheduler.fold();
        let queue = fold.plan.shape.slots as usize;
        let default = (64 * fold.plan.shape.executors()).min(queue / 2).max(1);
        Map::new(
            self.clone(),
            items.into_iter(),
            self.in_flight.unwrap_or(default),
        )
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
            label: self.label.clone(),
            name: std::any::type_name::<F>,
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
        if let Some(label) = &self.label {
            // Strings alone: nothing in it can refuse to be encoded.
            let _ = job.payload.encode(&**label);
        }
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
