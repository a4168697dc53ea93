//! Settings of a task, as C has them.

use std::ffi::{CStr, c_char, c_void};
use std::time::Duration;

use pinfold::{Limit, Memo, Priority, Retry, Task, TaskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{choice, unknown};
use crate::edge::{duration, list, text};
use crate::error::{Failure, c_text, chain, status_of};
use crate::limit::PinfoldLimit;
use crate::memo::PinfoldMemo;
use crate::value::Ended;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

/// How urgent a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PinfoldPriority {
    /// As `PINFOLD_PRIORITY_NORMAL`.
    Default = 0,
    /// When there is nothing else to do.
    Background = 1,
    /// After the normal ones.
    Low = 2,
    /// What most tasks are.
    Normal = 3,
    /// Before the others.
    Urgent = 4,
}

/// How long a task waits between attempts that have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PinfoldRetry {
    /// It is not tried again; with a `retry_if`, up to three attempts, one right after the other.
    Default = 0,
    /// `retry_delay` each time.
    Fixed = 1,
    /// `retry_delay` after the first attempt, then longer by that each time.
    Linear = 2,
    /// `retry_delay` after the first attempt, then twice as long each time, up to
    /// `retry_longest`.
    Exponential = 3,
}

/// Says whether what a task would end in is a failure, to be tried again: other than 0 is yes.
/// `status`, `code` and `message` are what its handle would tell: `PINFOLD_STATUS_OK`, 0 and ""
/// for a task that has an output.
///
/// It is called in the program, on a thread of the library; several may be at once, of several
/// tasks. `message` is there until it returns. It must not unwind, and should not take long.
pub type PinfoldRetryIf = Option<
    unsafe extern "C" fn(
        status: PinfoldStatus,
        code: i32,
        message: *const c_char,
        user: *mut c_void,
    ) -> i32,
>;

/// Something to know a task by, in its log events.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldTag {
    /// What it is about; not null.
    pub key: *const c_char,
    /// What is said of it; not null.
    pub value: *const c_char,
}

/// So much of a limit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldShare {
    /// Of which one; not null.
    pub limit: *mut PinfoldLimit,
    /// How much.
    pub units: u64,
}

/// Settings of a task. Start from `PINFOLD_TASK_SETTINGS_INIT`: a field that is 0 or null has its
/// default. Fields may be added at the end; `size` says which there are. Times are in
/// nanoseconds. They hold in whatever way the task is submitted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldTaskSettings {
    /// `sizeof(pinfold_task_settings)`.
    pub size: usize,
    /// A name for errors, events and statistics, besides the function's. Default: none.
    pub name: *const c_char,
    /// The trace that it belongs to, as in the HTTP header of that name (W3C Trace Context).
    /// Default: none.
    pub traceparent: *const c_char,
    /// `tag_count` tags; copied.
    pub tags: *const PinfoldTag,
    /// How many there are.
    pub tag_count: usize,
    /// `limit_count` shares, which the task takes for as long as it is in flight, all in one step.
    /// To submit waits until they are free. If it wants more than there is in all it ends with
    /// `PINFOLD_STATUS_TOO_LARGE`.
    pub limits: *const PinfoldShare,
    /// How many there are.
    pub limit_count: usize,
    /// How long each attempt may run, in ns. One that runs for longer ends with
    /// `PINFOLD_STATUS_DEADLINE_EXCEEDED`, and its worker is killed and replaced. Default: no limit.
    pub run_limit: u64,
    /// How long after its submission the task must have ended, in ns; as `run_limit` else.
    pub hard_deadline: u64,
    /// How long after its submission the task must have begun, in ns; else it ends with
    /// `PINFOLD_STATUS_DEADLINE_EXCEEDED`.
    pub start_deadline: u64,
    /// How long after its submission the task should have ended, in ns: it sees so itself.
    pub soft_deadline: u64,
    /// How urgent it is: a `pinfold_priority`. Default: normal.
    pub priority: i32,
    /// Running the task twice does no harm: when a worker dies that runs it, it is run again, up to
    /// so many times in all. Default 1: it is run at most once.
    pub attempts: u32,
    /// How long it waits before its third attempt of these, in ns; then twice as long each time.
    /// Default 10 ms.
    pub backoff_first: u64,
    /// The longest of these waits, in ns. Default 1 s.
    pub backoff_longest: u64,
    /// Whether the task is tried again if it returns a number other than 0, and how long it waits: a
    /// `pinfold_retry`. Default: it is not.
    pub retry: i32,
    /// Up to so many attempts in all. Default 3.
    pub retry_attempts: u32,
    /// The wait after the first failure, in ns.
    pub retry_delay: u64,
    /// The longest wait of `PINFOLD_RETRY_EXPONENTIAL`, in ns. Default: a day.
    pub retry_longest: u64,
    /// Whether each wait is stretched at random, by up to its own length: a `pinfold_choice`.
    /// Default: no.
    pub retry_jitter: i32,
    /// 0.
    pub reserved: i32,
    /// What counts as a failure. Default: each number other than 0 that the function returns. To
    /// take `PINFOLD_STATUS_WORKER_DIED` for one is to declare that running it again does no
    /// harm. It may be called as long as the task, or a handle of it, is there.
    pub retry_if: PinfoldRetryIf,
    /// What `retry_if` is called with.
    pub retry_user: *mut c_void,
    /// Remembers its outputs: it is not run again for an argument whose output is there, and of
    /// several that are the same and in flight one is run. For functions whose output depends on
    /// nothing but their argument. It is for tasks without dependencies, buffers among the
    /// arguments, or a bound on waiting. Default: none.
    pub memo: *mut PinfoldMemo,
}

/// A callback and its argument, on their way to another thread.
#[derive(Clone, Copy)]
struct Judge {
    call: unsafe extern "C" fn(PinfoldStatus, i32, *const c_char, *mut c_void) -> i32,
    user: *mut c_void,
}

// SAFETY: the user was told that it is called on other threads.
unsafe impl Send for Judge {}
// SAFETY: as above; several at once.
unsafe impl Sync for Judge {}

impl Judge {
    fn is_failure(&self, outcome: &Result<Ended, TaskError>) -> bool {
        let tell = |status, code, message: &CStr| {
            // SAFETY: who gave it promised that it may be called so; the text is there meanwhile.
            unsafe { (self.call)(status, code, message.as_ptr(), self.user) != 0 }
        };
        match outcome {
            Ok(Ended::Err(failed)) => tell(
                PinfoldStatus::TaskFailed,
                failed.code,
                &c_text(failed.to_string()),
            ),
            Ok(_) => tell(PinfoldStatus::Ok, 0, c""),
            Err(error) => tell(status_of(error), 0, &c_text(chain(error))),
        }
    }
}

/// The same, looked at.
#[derive(Default)]
pub(crate) struct Settings<'a> {
    name: Option<&'a str>,
    traceparent: Option<&'a str>,
    tags: Vec<(&'a str, &'a str)>,
    limits: Vec<(Limit, u64)>,
    run_limit: Option<Duration>,
    hard_deadline: Option<Duration>,
    start_deadline: Option<Duration>,
    soft_deadline: Option<Duration>,
    priority: Priority,
    attempts: u32,
    backoff: Option<(Duration, Duration)>,
    retry: Option<Retry>,
    judge: Option<Judge>,
    pub(crate) memo: Option<Memo>,
    /// What it counts as in the profile: all C tasks are of one function for the library.
    pub(crate) profiled_as: Option<&'static str>,
}

/// A limit of time; 0 and `PINFOLD_FOREVER` are none.
fn limit(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != 0 && nanoseconds != PINFOLD_FOREVER).then(|| duration(nanoseconds))
}

fn or(nanoseconds: u64, default: Duration) -> Duration {
    match nanoseconds {
        0 => default,
        nanoseconds => duration(nanoseconds),
    }
}

const DAY: Duration = Duration::from_secs(86_400);

impl PinfoldTaskSettings {
    /// Looks at all of it.
    ///
    /// # Safety
    ///
    /// Its pointers are null, or what they are said to be, for `'a`.
    pub(crate) unsafe fn read<'a>(&self) -> Result<Settings<'a>, Failure> {
        let optional = |name: &str, pointer: *const c_char| match pointer.is_null() {
            true => Ok(None),
            // SAFETY: the caller's promise.
            false => unsafe { text(name, pointer) }.map(Some),
        };
        // SAFETY: the caller's promise.
        let (tags, limits) = unsafe {
            (
                list("settings->tags", self.tags, self.tag_count)?,
                list("settings->limits", self.limits, self.limit_count)?,
            )
        };
        let tag = |tag: &PinfoldTag| {
            // SAFETY: the caller's promise.
            let key = unsafe { text("settings->tags[].key", tag.key) }?;
            // SAFETY: as above.
            Ok((key, unsafe { text("settings->tags[].value", tag.value) }?))
        };
        let share = |share: &PinfoldShare| {
            let limit = table::enter::<Limit>(share.limit.addr())?;
            Ok((Limit::clone(&limit), share.units))
        };
        if self.reserved != 0 {
            return Err(Failure::argument("`settings->reserved` must be 0"));
        }
        Ok(Settings {
            name: optional("settings->name", self.name)?,
            traceparent: optional("settings->traceparent", self.traceparent)?,
            tags: tags.iter().map(tag).collect::<Result<_, Failure>>()?,
            limits: limits.iter().map(share).collect::<Result<_, Failure>>()?,
            run_limit: limit(self.run_limit),
            hard_deadline: limit(self.hard_deadline),
            start_deadline: limit(self.start_deadline),
            soft_deadline: limit(self.soft_deadline),
            priority: self.priority()?,
            attempts: self.attempts,
            backoff: (self.backoff_first != 0 || self.backoff_longest != 0).then(|| {
                let first = or(self.backoff_first, Duration::from_millis(10));
                (first, or(self.backoff_longest, Duration::from_secs(1)))
            }),
            retry: self.retry()?,
            judge: self.retry_if.map(|call| Judge {
                call,
                user: self.retry_user,
            }),
            memo: match self.memo.is_null() {
                true => None,
                false => Some(Memo::clone(&*table::enter::<Memo>(self.memo.addr())?)),
            },
            profiled_as: None,
        })
    }

    fn priority(&self) -> Result<Priority, Failure> {
        Ok(match self.priority {
            1 => Priority::Background,
            2 => Priority::Low,
            0 | 3 => Priority::Normal,
            4 => Priority::Urgent,
            other => return Err(unknown("settings->priority", other, "pinfold_priority")),
        })
    }

    fn retry(&self) -> Result<Option<Retry>, Failure> {
        let jitter = choice("settings->retry_jitter", self.retry_jitter)?;
        let attempts = match self.retry_attempts {
            0 => 3,
            attempts => attempts,
        };
        let delay = duration(self.retry_delay);
        let retry = match self.retry {
            0 if self.retry_if.is_some() => Retry::fixed(attempts, delay),
            0 if self.retry_attempts != 0 || self.retry_delay != 0 => {
                let message = "`settings->retry` must say how long to wait between attempts: PINFOLD_RETRY_FIXED, say";
                return Err(Failure::argument(message));
            }
            0 => return Ok(None),
            1 => Retry::fixed(attempts, delay),
            2 => Retry::linear(attempts, delay),
            3 => Retry::exponential(attempts, delay, or(self.retry_longest, DAY)),
            other => return Err(unknown("settings->retry", other, "pinfold_retry")),
        };
        Ok(Some(match jitter {
            Some(true) => retry.with_jitter(),
            _ => retry,
        }))
    }
}

impl Settings<'_> {
    /// A task with these settings.
    pub(crate) fn of<'rt, F, A>(
        &self,
        mut task: Task<'rt, F, A, Ended>,
    ) -> Result<Task<'rt, F, A, Ended>, Failure>
    where
        F: Fn(A) -> Ended + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
    {
        if let Some(name) = self.name {
            task = task.named(name);
        }
        if let Some(value) = self.traceparent {
            let checked = task.traceparent(value);
            task = checked.map_err(|error| Failure::argument(chain(&error)))?;
        }
        for (key, value) in &self.tags {
            task = task.tag(*key, *value);
        }
        for (limit, units) in &self.limits {
            task = task.limited(limit, *units);
        }
        if let Some(limit) = self.run_limit {
            task = task.run_limit(limit);
        }
        if let Some(limit) = self.hard_deadline {
            task = task.hard_deadline(limit);
        }
        if let Some(limit) = self.start_deadline {
            task = task.start_deadline(limit);
        }
        if let Some(limit) = self.soft_deadline {
            task = task.soft_deadline(limit);
        }
        if self.priority != Priority::Normal {
            task = task.priority(self.priority);
        }
        if self.attempts > 1 {
            task = task.safe_to_repeat(self.attempts);
        }
        if let Some((first, longest)) = self.backoff {
            task = task.backoff(first, longest);
        }
        if let Some(retry) = self.retry {
            task = task.retry(retry);
        }
        if let Some(judge) = self.judge {
            task = task.retry_if(move |outcome| judge.is_failure(outcome));
        }
        if let Some(memo) = &self.memo {
            task = task.memoized(memo);
        }
        if let Some(what) = self.profiled_as {
            task = task.profiled_as(what);
        }
        Ok(task)
    }
}
