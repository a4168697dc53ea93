//! A task with settings of its own.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError, TraceparentError, TrySpawnError};
use crate::pool::{Transfer, encoding};
use crate::prim::Priority;
use crate::scheduler::{
    Backoff, Job, Judge, Limit, NotAccepted, Outcome, Retries, Retry, Scheduler, Ticket,
    decode_again,
};
use crate::task::{FunctionId, Label, Payload, entry_of};

use super::core::Core;
use super::memo::Known;
use super::{Handle, Map, Memo};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

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
    pub(super) function: Option<FunctionId>,
    /// What it is called in errors.
    pub(super) name: fn() -> &'static str,
    attempts: u32,
    backoff: Backoff,
    deadline: Option<Duration>,
    start_limit: Option<Duration>,
    soft_limit: Option<Duration>,
    retry: Option<Retry>,
    judge: Option<Judgement<R>>,
    limits: [Option<(&'rt Limit, u64)>; 2],
    memo: Option<&'rt Memo>,
    priority: Priority,
    label: Option<Arc<Label>>,
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
    /// What it is called in errors.
    pub name: fn() -> &'static str,
}

impl<F: Copy, A, R> Clone for Task<'_, F, A, R> {
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
            start_limit: None,
            soft_limit: None,
            retry: None,
            judge: None,
            limits: [None; 2],
            memo: None,
            priority: Priority::Normal,
            label: None,
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

    /// Runs it again if its value is an `Err` or it panics, as `retry` says; the last
    /// attempt's outcome is the task's. This is apart from what happens when its worker
    /// dies: see [`Task::safe_to_repeat`]. Its arguments must not contain a
    /// [`Loan`](crate::Loan).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// fn flaky(_: ()) -> Result<u32, String> {
    ///     static CALLS: AtomicU32 = AtomicU32::new(0);
    ///     match CALLS.fetch_add(1, Ordering::Relaxed) {
    ///         0 => Err("not yet".into()),
    ///         1 => panic!("nor now"),
    ///         calls => Ok(calls),
    ///     }
    /// }
    /// let retry = pinfold::Retry::fixed(5, std::time::Duration::from_millis(1));
    /// assert_eq!(rt.task(flaky).retry(retry).spawn(()).join()?, Ok(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// With [`Task::retry`]: which values count as failures, instead of every `Err`; a
    /// panic always does. `judge` is called in the host.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let retry = pinfold::Retry::fixed(3, std::time::Duration::ZERO);
    /// let task = rt
    ///     .task(|n: u32| if n == 0 { Err("busy".to_owned()) } else { Err("wrong".to_owned()) })
    ///     .retry(retry)
    ///     .retry_when(|value| matches!(value, Err(why) if why == "busy"));
    /// let _ = task.spawn(0).join()?; // three attempts
    /// let _ = task.spawn(1).join()?; // one
    /// assert_eq!(rt.stats().tasks.repeated, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_when(mut self, judge: fn(&R) -> bool) -> Self
    where
        R: 'static,
    {
        self.judge = Some((judge, judgement::<R>));
        self
    }

    /// Takes `units` of `limit` for as long as the task is in flight, from its submission
    /// to its end. `spawn` and `map` wait until there are as many, `try_spawn` does not.
    /// A task may be under two limits; a third takes the place of the second. Tasks that
    /// depend on others ([`Task::spawn_after`]) are under none.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let few = pinfold::Limit::new(1);
    /// let nap = |ms| std::thread::sleep(std::time::Duration::from_millis(ms));
    /// let task = rt.task(nap).limited(&few, 1);
    /// let first = task.spawn(100);
    /// let refused = task.try_spawn(100).unwrap_err();
    /// assert_eq!(refused.refusal, pinfold::Refusal::Limited { units: 1, total: 1 });
    /// let second = task.spawn(0); // when the first has ended
    /// assert!(first.is_finished());
    /// # second.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn limited(mut self, limit: &'rt Limit, units: u64) -> Self {
        let [first, second] = &mut self.limits;
        let free = if first.is_none() { first } else { second };
        *free = Some((limit, units));
        self
    }

    /// Remembers its values in `memo`: a call with the same arguments, as they are
    /// encoded, is not run again, and one that is in flight is joined (and ends as that
    /// does, also if that is cancelled). For functions whose value depends on nothing but
    /// their arguments. Applies to `spawn`; calls with buffers in their arguments, `map`
    /// and the others run each call.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let memo = pinfold::Memo::new(100);
    /// let len = rt.task(|s: String| s.len()).memoized(&memo);
    /// assert_eq!(len.spawn("abc".into()).join()?, 3);
    /// assert_eq!(len.spawn("abc".into()).join()?, 3);
    /// assert_eq!(rt.stats().tasks.submitted, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn memoized(mut self, memo: &'rt Memo) -> Self {
        self.memo = Some(memo);
        self
    }

    /// How urgent it is; [`Priority::Normal`] otherwise. Each attempt waits at the same
    /// level.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::Priority;
    /// let tidy = rt.task(|n: u32| n).priority(Priority::Background);
    /// let answer = rt.task(|n: u32| n + 1).priority(Priority::Urgent);
    /// let later: Vec<_> = (0..10).map(|n| tidy.spawn(n)).collect();
    /// assert_eq!(answer.spawn(1).join()?, 2); // does not wait for all of these
    /// for (n, handle) in later.into_iter().enumerate() {
    ///     assert_eq!(handle.join()?, n as u32);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
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
        if let Some(memo) = self.memo {
            return self.spawn_memoized(memo, args);
        }
        self.spawn_plain(args)
    }

    #[cold]
    fn spawn_memoized(&self, memo: &Memo, args: A) -> Handle<R> {
        let mut job = self.job();
        let scheduler = self.core.sound();
        if self.encode(&args, &mut job).is_err() || !job.buffers.is_empty() {
            job.buffers.iter().for_each(Transfer::recall);
            return self.spawn_plain(args);
        }
        match memo.look_up(&scheduler, job.function, job.payload.bytes()) {
            Known::Value(outcome) => Handle::known(scheduler, outcome, job.name),
            Known::Joined(ticket) => handle(scheduler, Ok(ticket), self.name),
            Known::Nothing(call) => {
                let first = self.spawn_plain(args);
                first.is_remembered(call);
                first
            }
        }
    }

    #[inline]
    fn spawn_plain(&self, args: A) -> Handle<R> {
        let submitted = self.submit(args);
        Handle::new(submitted.scheduler, submitted.ticket, self.name)
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
                Ok(()) => self.submit_job(&scheduler, &mut job, None),
                Err(error) => Err(NotAccepted::Failed(error)),
            };
            if !matches!(submitted, Err(NotAccepted::Refused(Refusal::Rebuilding))) {
                drop(args);
                return Submitted {
                    scheduler,
                    ticket: submitted.map_err(error_of),
                    has_buffers,
                    name: self.name,
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
        self.spawn_by(scheduler, args, Instant::now())
    }

    /// Submits it if it can be accepted within `timeout`; waits for room in the queue,
    /// for memory for long arguments, and for its [limits](Task::limited).
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let task = rt.task(|n: u32| n + 1);
    /// assert_eq!(task.spawn_timeout(1, Duration::from_secs(1))?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_timeout(&self, args: A, timeout: Duration) -> Result<Handle<R>, TrySpawnError<A>> {
        let now = Instant::now();
        // Beyond what the clock can say: a year, which is as good.
        let deadline = now.checked_add(timeout).unwrap_or(now + YEAR);
        self.spawn_by(self.core.sound(), args, deadline)
    }

    fn spawn_by(
        &self,
        scheduler: Arc<Scheduler>,
        args: A,
        deadline: Instant,
    ) -> Result<Handle<R>, TrySpawnError<A>> {
        let mut job = self.job();
        if let Err(error) = self.encode(&args, &mut job) {
            return Ok(handle(
                scheduler,
                Err(NotAccepted::Failed(error)),
                self.name,
            ));
        }
        match self.submit_job(&scheduler, &mut job, Some(deadline)) {
            Err(NotAccepted::Refused(refusal)) => {
                job.buffers.iter().for_each(Transfer::recall);
                Err(TrySpawnError { refusal, args })
            }
            submitted => Ok(handle(scheduler, submitted, self.name)),
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
        Map::new(self.clone(), items, self.in_flight_of(each))
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

    /// Another function with the settings of this one, and its name; but for those that
    /// speak of this one's values.
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
            start_limit: self.start_limit,
            soft_limit: self.soft_limit,
            retry: self.retry,
            limits: self.limits,
            priority: self.priority,
            label: self.label.clone(),
            in_flight: self.in_flight,
            ..Task::new(self.core, call)
        }
    }

    /// Takes what the task needs of its limits, and submits it.
    #[inline]
    fn submit_job(
        &self,
        scheduler: &Scheduler,
        job: &mut Job,
        deadline: Option<Instant>,
    ) -> Result<Ticket, NotAccepted> {
        if self.limits[0].is_some() {
            self.take_limits(scheduler, job, deadline)?;
        }
        scheduler.submit(job, deadline)
    }

    #[cold]
    pub(super) fn take_limits(
        &self,
        scheduler: &Scheduler,
        job: &mut Job,
        deadline: Option<Instant>,
    ) -> Result<(), NotAccepted> {
        job.permits.clear();
        for (limit, units) in self.limits.iter().flatten() {
            let permit = scheduler.take(limit, *units, deadline)?;
            job.permits.push(permit);
        }
        Ok(())
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
            name: self.name,
            attempts: self.attempts,
            backoff: self.backoff,
            deadline: self.deadline,
            start_limit: self.start_limit,
            soft_limit: self.soft_limit,
            retries: self.retry.map(|retry| Retries {
                retry,
                judge: self.judge.map(|(judge, make)| make(judge)),
                failures: 0,
            }),
            permits: Vec::new(),
            priority: self.priority,
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

/// Which values are failures, and what makes a judge of outcomes of that.
type Judgement<R> = (fn(&R) -> bool, fn(fn(&R) -> bool) -> Judge);

fn judgement<R: DeserializeOwned + 'static>(judge: fn(&R) -> bool) -> Judge {
    Arc::new(move |outcome: &Outcome| match outcome {
        Ok(_) => decode_again::<R>(outcome).is_ok_and(|value| judge(&value)),
        Err(error) => matches!(**error, TaskError::Panicked { .. }),
    })
}

#[cold]
pub(super) fn foreign() -> TaskError {
    TaskError::Arguments {
        message: "the function is not part of the main program (a shared library's?)".into(),
    }
}

/// Encodes `args` into `job`, whose former contents are forgotten.
#[inline]
pub(super) fn encode<A: Serialize>(args: &A, job: &mut Job) -> Result<(), TaskError> {
    job.payload.clear();
    if let Some(label) = &job.label {
        // Strings alone: nothing in it can refuse to be encoded.
        let _ = job.payload.encode(&**label);
    }
    let (encoded, buffers) = encoding(|| job.payload.encode(args));
    job.buffers = buffers;
    encoded.map_err(|error| TaskError::Arguments {
        message: format!("they cannot be encoded: {error}"),
    })
}

#[inline]
pub(super) fn handle<R: DeserializeOwned>(
    scheduler: Arc<Scheduler>,
    submitted: Result<Ticket, NotAccepted>,
    name: fn() -> &'static str,
) -> Handle<R> {
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
