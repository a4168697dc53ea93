//! Handles of tasks: waiting, outcomes.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use pinfold::{Handle, Section, TaskError};

use crate::boundary::guard;
use crate::buffer::{BufferObject, Part, PinfoldBuffer};
use crate::edge::{Out, duration};
use crate::ends::End;
use crate::error::{Failure, chain, status_of};
use crate::value::{Ended, Output};
use crate::wire::Short;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

/// A task that was submitted.
pub struct PinfoldHandle {
    _private: [u8; 0],
}

/// How a task has ended, as C asks for it.
pub(crate) struct Outcome {
    /// What it made; or why there is nothing.
    pub(crate) output: Result<Output, (PinfoldStatus, String)>,
    /// What the function has returned.
    code: i32,
}

/// Behind a `pinfold_handle`.
///
/// ```text
///   task ──the first to wait for it decodes it──▶ outcome (stays)
/// ```
///
/// Most are joined, and have nothing else: no more than fits into a line of cache with what goes
/// around it.
pub(crate) struct TaskHandle {
    /// There but for the moment in which its outcome is taken, when nobody else uses this.
    submitted: Option<Submitted>,
    /// The number of its runtime.
    home: u64,
    rest: OnceBox<Rest>,
}

struct Submitted {
    task: Handle<Ended>,
    function: &'static str,
}

/// What a handle has when somebody has asked for it.
#[derive(Default)]
struct Rest {
    /// Held by who waits for the task, to decode its outcome.
    taking: Mutex<()>,
    outcome: OnceLock<Arc<Outcome>>,
    /// Who wants to hear that it has ended.
    end: OnceLock<Arc<End>>,
    /// One more than the grace in nanoseconds, if the task is cancelled when this is freed.
    abort: AtomicU64,
}

/// The task is not cancelled when its handle is freed.
const NEVER: u64 = 0;

impl Outcome {
    /// What the function has returned.
    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    /// What the task made, or why there is nothing.
    pub(crate) fn output(&self) -> Result<&Output, Failure> {
        let failure = |(status, message): &(PinfoldStatus, String)| Failure::new(*status, message);
        self.output.as_ref().map_err(failure)
    }
}

impl Drop for TaskHandle {
    #[inline]
    fn drop(&mut self) {
        let Some(rest) = self.rest.get() else {
            return;
        };
        // Relaxed: whoever drops it is after all its users.
        let abort = rest.abort.load(Ordering::Relaxed);
        // One whose outcome was taken has ended.
        if abort != NEVER && rest.outcome.get().is_none() && self.submitted.is_some() {
            self.cancel(match abort {
                PINFOLD_FOREVER => PINFOLD_FOREVER,
                abort => abort - 1,
            });
        }
    }
}

impl TaskHandle {
    #[inline]
    pub(crate) fn new(task: Handle<Ended>, function: &'static str, home: u64) -> Self {
        TaskHandle {
            submitted: Some(Submitted { task, function }),
            home,
            rest: OnceBox::new(),
        }
    }

    fn rest(&self) -> &Rest {
        self.rest.get_or_init(Box::default)
    }

    /// How it has ended, if somebody has asked.
    #[inline]
    fn known(&self) -> Option<&Arc<Outcome>> {
        self.rest.get()?.outcome.get()
    }

    /// What the Rust library has.
    pub(crate) fn task(&self) -> &Handle<Ended> {
        &self.submitted().task
    }

    fn submitted(&self) -> &Submitted {
        match &self.submitted {
            Some(submitted) => submitted,
            None => unreachable!("it is put back before others may use this"),
        }
    }

    /// The function's name.
    pub(crate) fn function(&self) -> &'static str {
        self.submitted().function
    }

    /// Waits until the task has ended.
    pub(crate) fn wait(&self) {
        if self.known().is_none() {
            self.task().wait_timeout(Duration::MAX);
        }
    }

    /// The output, if it is there, has at most `capacity` bytes, and those are few, and nobody has asked for
    /// anything; there is nothing left in this then. What could not be left to others is to be dropped outside the
    /// section.
    #[inline(always)]
    pub(crate) fn take_short(
        &mut self,
        section: Option<&Section>,
        capacity: usize,
    ) -> Option<(Short, impl Sized + use<>)> {
        if self.rest.get().is_some() {
            return None;
        }
        // Two words, each of which goes on as it is: what is written in two pieces is not read in one.
        let (word, len) = (Cell::new(0), Cell::new(0));
        let fits = |encoded: &[u8]| {
            let Some(short) = Short::read(encoded).filter(|short| short.len <= capacity) else {
                return false;
            };
            word.set(short.word);
            len.set(short.len);
            true
        };
        let left = self.submitted.as_mut()?.task.take_small_if(section, fits)?;
        let short = Short {
            word: word.get(),
            len: len.get(),
        };
        Some((short, left))
    }

    /// The outcome itself, if the task has ended, nobody has asked for it, and its output has
    /// at most `capacity` bytes; the task is gone then.
    #[inline]
    pub(crate) fn take_if_ended(&mut self, capacity: usize) -> Option<Result<Ended, TaskError>> {
        if self.known().is_some() {
            return None;
        }
        let fits = |ended: &Result<Ended, TaskError>| match ended {
            Ok(ended) => ended.bytes().is_none_or(|bytes| bytes.len() <= capacity),
            Err(_) => true,
        };
        let Submitted { task, function } = self.submitted.take()?;
        let back = |task| self.submitted = Some(Submitted { task, function });
        task.join_if(fits).map_err(back).ok()
    }

    /// Who wants to hear of its end.
    pub(crate) fn end(&self) -> &Arc<End> {
        self.rest().end.get_or_init(Arc::default)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.known().is_some() || self.task().is_finished()
    }

    /// Cancels the task; `grace` is in nanoseconds.
    pub(crate) fn cancel(&self, grace: u64) {
        match grace {
            PINFOLD_FOREVER => self.task().cancel(),
            grace => self.task().cancel_within(duration(grace)),
        };
    }

    pub(crate) fn abort_on_free(&self, grace: u64) {
        // Relaxed: whoever frees the handle is after all its users.
        let abort = &self.rest().abort;
        abort.store(grace.saturating_add(1), Ordering::Relaxed);
    }

    /// Has `callback` called by another thread when the task has ended.
    pub(crate) fn on_complete(
        &self,
        callback: impl FnOnce(&Outcome) + Send + 'static,
    ) -> Result<(), Failure> {
        let function = self.function();
        let task = self.task();
        Ok(task.on_complete(move |ended| callback(&outcome_of(ended, function)))?)
    }

    /// How it has ended, if it has within `timeout`.
    #[inline]
    pub(crate) fn outcome(&self, timeout: Duration) -> Option<&Arc<Outcome>> {
        if let Some(outcome) = self.known() {
            return Some(outcome);
        }
        self.outcome_until(match timeout {
            Duration::MAX => None, // and no look at the clock
            timeout => Instant::now().checked_add(timeout),
        })
    }

    /// How it has ended, if it has. If another thread is about to decode that, it has not.
    #[inline]
    pub(crate) fn outcome_now(&self) -> Option<&Arc<Outcome>> {
        let rest = self.rest();
        if let Some(outcome) = rest.outcome.get() {
            return Some(outcome);
        }
        let _taking = rest.taking.try_lock()?;
        let ended = self.task().outcome(Duration::ZERO)?;
        Some(
            rest.outcome
                .get_or_init(|| Arc::new(outcome_of(ended, self.function()))),
        )
    }

    /// The same until a time; `None`: without end.
    pub(crate) fn outcome_until(&self, until: Option<Instant>) -> Option<&Arc<Outcome>> {
        let rest = self.rest();
        if let Some(outcome) = rest.outcome.get() {
            return Some(outcome);
        }
        let _taking = match until {
            Some(until) => rest.taking.try_lock_until(until)?,
            None => rest.taking.lock(),
        };
        if let Some(outcome) = rest.outcome.get() {
            return Some(outcome);
        }
        let left = until.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let ended = self.task().outcome(left)?;
        Some(
            rest.outcome
                .get_or_init(|| Arc::new(outcome_of(ended, self.function()))),
        )
    }
}

/// How a task of `function` has ended, for C.
pub(crate) fn outcome_of(ended: Result<Ended, TaskError>, function: &'static str) -> Outcome {
    match ended.map(Ended::result) {
        Ok(Ok(output)) => Outcome {
            output: Ok(output.aligned()),
            code: 0,
        },
        Ok(Err(failed)) => Outcome {
            code: failed.code,
            output: Err((PinfoldStatus::TaskFailed, format!("{function}: {failed}"))),
        },
        Err(error) => Outcome {
            code: 0,
            output: Err(told(error, function)),
        },
    }
}

/// The status of an error, and its text, in which the function is called by its name in C.
#[cold]
fn told(mut error: TaskError, function: &'static str) -> (PinfoldStatus, String) {
    let status = status_of(&error);
    if let Some(task) = error.task_mut()
        && task.function.starts_with("pinfold_c::")
    {
        task.function = function.into();
    }
    let message = chain(&error);
    // A task that it depends on: which function that was is not known here.
    let others = ["_after", "_quick", ""].map(|way| format!("pinfold_c::call::run{way}"));
    let message = others
        .iter()
        .fold(message, |text, name| text.replace(name.as_str(), "a task"));
    (status, message)
}

#[cold]
pub(crate) fn too_small(len: usize, capacity: usize) -> Failure {
    let message = format!("the output has {len} bytes, and there is room for {capacity}");
    Failure::new(PinfoldStatus::BufferTooSmall, message)
}

pub(crate) fn timed_out() -> Failure {
    Failure::new(PinfoldStatus::TimedOut, "the task has not ended yet")
}

/// Waits at most `timeout` nanoseconds for a task to end, however it does; 0 only looks, and
/// `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_OK`: it has ended. `PINFOLD_STATUS_TIMED_OUT`: it goes on.
///
/// Any thread, and several at once.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_handle_wait(handle: *mut PinfoldHandle, timeout: u64) -> PinfoldStatus {
    guard(|| {
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        match handle.outcome(duration(timeout)) {
            Some(_) => Ok(()),
            None => Err(timed_out()),
        }
    })
}

/// Waits for a task to end, and returns its status and its output, in place: where that begins, a
/// multiple of 64, and its length in bytes. If the task has no output, both are 0.
///
/// The memory is the handle's: it may be read until that is freed.
///
/// A status from 100 on says why there is none; `pinfold_last_message` says more.
///
/// Any thread, and several at once.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_result(
    handle: *mut PinfoldHandle,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let outcome = handle.outcome(Duration::MAX).ok_or_else(timed_out)?;
        match &outcome.output {
            Ok(output) => {
                data.write(output.bytes().as_ptr().cast());
                len.write(output.bytes().len());
                Ok(())
            }
            Err((status, message)) => {
                data.write(std::ptr::null());
                len.write(0);
                Err(Failure::new(*status, message.clone()))
            }
        }
    })
}

/// Waits for a task to end, and returns its output as a buffer: the same memory, which stays also
/// when the handle is freed. It is published: it may be passed to other tasks, of the same
/// runtime.
///
/// The buffer is the caller's: free it with `pinfold_buffer_free`.
///
/// A status from 100 on says why there is none; `pinfold_last_message` says more.
///
/// Any thread, and several at once.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_output_buffer(
    handle: *mut PinfoldHandle,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let outcome = handle.outcome(Duration::MAX).ok_or_else(timed_out)?;
        match &outcome.output {
            Ok(output) => {
                out.write(BufferObject::handle(handle.home, Part::from(output))?);
                Ok(())
            }
            Err((status, message)) => Err(Failure::new(*status, message.clone())),
        }
    })
}

/// What the function of a task has returned, if that has ended: 0 unless its status is
/// `PINFOLD_STATUS_TASK_FAILED`. Fails with `PINFOLD_STATUS_TIMED_OUT` if it has not ended.
///
/// Any thread.
///
/// # Safety
///
/// `out_code` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_code(
    handle: *mut PinfoldHandle,
    out_code: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let code = unsafe { Out::new("out_code", out_code) };
    guard(|| {
        let code = code?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let outcome = handle.outcome(Duration::ZERO).ok_or_else(timed_out)?;
        code.write(outcome.code);
        Ok(())
    })
}

/// Frees a handle. If the task has not ended, it runs on, and nobody hears of it. Null does nothing.
///
/// Any thread. What `pinfold_handle_result` has returned may not be read any more.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_handle_free(handle: *mut PinfoldHandle) -> PinfoldStatus {
    guard(|| match handle.is_null() {
        true => Ok(()),
        false => table::remove::<TaskHandle>(handle.addr()),
    })
}
