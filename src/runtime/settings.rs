//! What a task may be told before it is submitted.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{TaskError, TraceparentError};
use crate::prim::Priority;
use crate::scheduler::{Backoff, Limit, Outcome, Retry, Settings, look_at};
use crate::task::Label;

use super::{Memo, Task};

impl<F, A, R> Task<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
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
        self.settings().attempts = attempts.max(1);
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
        self.settings().backoff = Backoff {
            first,
            longest: longest.max(first),
        };
        self
    }

    /// The task may run for `limit`, from when it begins; how long it waits does not count.
    /// One that runs for longer ends with
    /// [`TaskError::DeadlineExceeded`](crate::TaskError::DeadlineExceeded), and its worker is
    /// killed (after [`Builder::kill_grace`](crate::Builder::kill_grace), which lets it end by
    /// itself) and replaced. The worker is stopped and looked at first, so it is not killed for a
    /// task that it has finished; what its other threads run, and what it runs for others while
    /// it waits for tasks of its own, dies along.
    ///
    /// Each attempt has the whole limit. One that was ended by it is not repeated because the
    /// task is [safe to repeat](Task::safe_to_repeat), but [`Task::retry_if`] can say so.
    ///
    /// What the task spawns ([`spawn`](crate::spawn())) is part of it: the limit goes on while it
    /// waits for that, and while it runs some of that, or of another task's, in the meantime. The task sees
    /// the end of its time by [`Context::deadline`](crate::Context::deadline). In
    /// [`chunked`](Task::chunked) and [`reduce`](Task::reduce) the limit is for a chunk of items.
    ///
    /// Limits are looked at each millisecond at the most: a task may run longer than it should
    /// by as much, and by what the machine makes the host wait for a CPU. A limit of zero has
    /// passed at once: such a task is not accepted.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// fn work(n: u32) -> u32 {
    ///     while n == 3 {} // a task that hangs
    ///     n + 1
    /// }
    /// let limit = Duration::from_millis(50);
    /// let outcomes: Vec<_> = rt.task(work).run_limit(limit).map(0..100).collect();
    /// let lost = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    /// assert_eq!(lost, 1); // those that wait behind it are none the worse
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_limit(mut self, limit: Duration) -> Self {
        self.settings().run_limit = Some(limit);
        self
    }

    /// The task must have ended `limit` after it is submitted, whatever it does, and however
    /// long it has waited: for a limit on the time that it runs there is [`Task::run_limit`].
    /// ([`map`](Task::map) submits far ahead: most of a deadline may pass in the queue.) If it
    /// has not, it ends with
    /// [`TaskError::DeadlineExceeded`](crate::TaskError::DeadlineExceeded): before it
    /// has begun it is taken back; while it runs its worker is killed (after
    /// [`Builder::kill_grace`](crate::Builder::kill_grace)) and replaced. The worker
    /// is stopped and looked at first, so no other task is killed in its place; with
    /// several threads in a worker, though, what the others run dies along. A limit of
    /// zero has passed at once: such a task is not accepted.
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
    /// let outcome = stuck.join();
    /// assert!(matches!(
    ///     outcome,
    ///     Err(pinfold::TaskError::DeadlineExceeded { begun: true, .. }),
    /// ));
    /// assert_eq!(rt.spawn(|n: u32| n + 1, 1).join()?, 2); // and it goes on
    /// # Ok(())
    /// # }
    /// ```
    pub fn hard_deadline(mut self, limit: Duration) -> Self {
        self.settings().deadline = Some(limit);
        self
    }

    /// The task must have begun `limit` after it is submitted; if it has not, it is taken
    /// back and ends with
    /// [`TaskError::DeadlineExceeded`](crate::TaskError::DeadlineExceeded). One that has
    /// begun is left alone. A limit of zero has passed at once: such a task is not
    /// accepted.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let busy = rt.spawn(|ms| std::thread::sleep(Duration::from_millis(ms)), 300);
    /// let limit = Duration::from_millis(10);
    /// let late = rt.task(|n: u32| n).start_deadline(limit).spawn(1);
    /// let outcome = late.join();
    /// assert!(matches!(
    ///     outcome,
    ///     Err(pinfold::TaskError::DeadlineExceeded { begun: false, .. }),
    /// ));
    /// # busy.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_deadline(mut self, limit: Duration) -> Self {
        self.settings().start_limit = Some(limit);
        self
    }

    /// The task should have ended `limit` after it is submitted; it sees so itself, with
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
        self.settings().soft_limit = Some(limit);
        self
    }

    /// Runs it again if its value is an `Err` or it panics, as `retry` says; the last
    /// attempt's outcome is the task's. What else is a failure [`Task::retry_if`] can say. This
    /// is apart from what happens when its worker dies: see [`Task::safe_to_repeat`]. Its
    /// arguments must not contain a [`Loan`](crate::Loan).
    ///
    /// It holds however the task is submitted. [`chunked`](Task::chunked) and
    /// [`reduce`](Task::reduce) give each item a task of its own then, so that each is tried
    /// again by itself; what combines values in `reduce` is not tried again.
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
        self.settings().retry = Some(retry);
        self
    }

    /// What counts as a failure, and is tried again as [`Task::retry`] says (without one: up to
    /// three attempts, one right after the other). `judge` is asked of whatever the task would
    /// end in: a value, an `Err`, a panic, a passed [run limit](Task::run_limit), a death of its
    /// worker. Without a `judge` each `Err` and each panic is a failure.
    ///
    /// To say so of a death is to declare that running the task again does no harm: a task that
    /// is [safe to repeat](Task::safe_to_repeat) has the attempts that this gives it first, and
    /// `judge` is asked of what they have come to. It is not asked when the task was cancelled or
    /// has never begun, when its [hard deadline](Task::hard_deadline) has come, and when the
    /// runtime shuts down.
    ///
    /// It runs in the host, on a thread of the library, and may have captures. If it panics, that
    /// is logged, and the outcome is the task's. Meanwhile the task keeps its place in the queue.
    /// How the attempts before have ended, the last error says
    /// ([`FailedTask::attempts`](crate::FailedTask)). Of a task that is judged
    /// [`chunked`](Task::chunked) and [`reduce`](Task::reduce) run each item by itself, as with
    /// `retry`.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::{Retry, TaskError};
    /// use std::time::Duration;
    /// fn fetch(n: u32) -> Result<u32, String> {
    ///     match n {
    ///         0 => Err("busy".into()),
    ///         1 => Err("wrong".into()),
    ///         2 => std::process::abort(),
    ///         _ => Ok(n),
    ///     }
    /// }
    /// let curable = "busy".to_owned();
    /// let task = rt
    ///     .task(fetch)
    ///     .retry(Retry::fixed(3, Duration::ZERO))
    ///     .retry_if(move |outcome| match outcome {
    ///         Ok(Err(why)) => *why == curable,
    ///         Err(error) => matches!(error, TaskError::WorkerDied { .. }),
    ///         Ok(Ok(_)) => false,
    ///     });
    /// assert!(task.spawn(0).join()?.is_err()); // three attempts
    /// assert!(task.spawn(1).join()?.is_err()); // one
    /// assert!(task.spawn(2).join().is_err()); // three, and as many workers
    /// assert_eq!(rt.stats().tasks.repeated, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_if<J>(mut self, judge: J) -> Self
    where
        J: Fn(&Result<R, TaskError>) -> bool + Send + Sync + 'static,
    {
        let settings = self.settings();
        settings.judge = Some(Arc::new(move |outcome: &mut Outcome| {
            look_at(outcome, |outcome| judge(outcome))
        }));
        settings
            .retry
            .get_or_insert(Retry::fixed(3, Duration::ZERO));
        self
    }

    /// Takes `units` of `limit` for as long as the task is in flight, from its submission
    /// to its end. `spawn` and `map` wait until there are as many, `try_spawn` does not.
    /// A task may be under several limits: it takes its shares of all in one step, and while it
    /// waits it holds none, so that no two tasks wait for each other's (one that wants much
    /// may wait long while many that want little come). A limit that is named twice is one of
    /// the sum. One that depends on others
    /// ([`Task::spawn_after`]) takes its share when it is submitted too. One that wants
    /// more than there is in all ends with
    /// [`TaskError::BeyondLimit`](crate::TaskError::BeyondLimit).
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
    pub fn limited(mut self, limit: &Limit, units: u64) -> Self {
        self.settings().limits.add(limit, units);
        self
    }

    /// Remembers its values in `memo`: a call with the same arguments, as they are
    /// encoded, is not run again, and one that is in flight is joined (and ends as that
    /// does, also if that is cancelled; to cancel the one that has joined does nothing; for a moment
    /// after its end it still counts as in flight). For functions whose value depends on nothing but
    /// their arguments. Applies to `spawn`; calls with buffers in their arguments, `map`
    /// and the others run each call. A value with a [`Loan`](crate::Loan) in it has one owner:
    /// it is not remembered, and a call that has joined another gets
    /// [`TaskError::Result`](crate::TaskError::Result) instead: return a
    /// [`Shared`](crate::Shared).
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
    pub fn memoized(mut self, memo: &Memo) -> Self {
        self.order.memo = Some(memo.clone());
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
        self.settings().priority = priority;
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
        self.label_mut().name = Some(name.into());
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
        self.label_mut().tags.push((key.into(), value.into()));
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
        self.label_mut().traceparent = Some(value.to_owned());
        Ok(self)
    }

    /// What it counts as in [`Runtime::profile`](crate::Runtime::profile), instead of its
    /// function: for a function that does one thing or another, as its arguments say.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
    /// let run = |script: String| script.len();
    /// rt.task(run).profiled_as("import").spawn("…".into()).join()?;
    /// assert_eq!(rt.profile().functions[0].function, "import");
    /// # Ok(())
    /// # }
    /// ```
    pub fn profiled_as(mut self, what: &'static str) -> Self {
        self.settings().profiled_as = Some(what);
        self
    }

    pub(super) fn settings(&mut self) -> &mut Settings {
        self.order.settings_mut()
    }

    fn label_mut(&mut self) -> &mut Label {
        self.order.label_mut()
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
        self.order.in_flight = Some(items.max(1));
        self
    }
}
