//! Handles of tasks: waiting, outcomes.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pinfold::{Handle, TaskError};

use crate::boundary::guard;
use crate::call::{Ended, Output};
use crate::edge::{Out, duration};
use crate::error::{Failure, chain, status_of};
use crate::{PinfoldStatus, table};

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
///   task ──the first to wait for it takes it──▶ outcome (stays)
/// ```
pub(crate) struct TaskHandle {
    task: Handle<Ended>,
    function: &'static str,
    /// Held by who waits for the task, to take its outcome.
    taking: Mutex<()>,
    outcome: OnceLock<Box<Outcome>>,
}

impl TaskHandle {
    #[inline]
    pub(crate) fn new(task: Handle<Ended>, function: &'static str) -> Self {
        TaskHandle {
            task,
            function,
            taking: Mutex::new(()),
            outcome: OnceLock::new(),
        }
    }

    /// What the Rust library has.
    pub(crate) fn task(&self) -> &Handle<Ended> {
        &self.task
    }

    /// How it has ended, if it has within `timeout`.
    pub(crate) fn outcome(&self, timeout: Duration) -> Option<&Outcome> {
        if let Some(outcome) = self.outcome.get() {
            return Some(outcome);
        }
        let until = Instant::now().checked_add(timeout);
        let _taking = match until {
            Some(until) => self.taking.try_lock_until(until)?,
            None => self.taking.lock(),
        };
        if let Some(outcome) = self.outcome.get() {
            return Some(outcome);
        }
        let left = until.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let ended = self.task.take_outcome(left)?;
        Some(
            self.outcome
                .get_or_init(|| Box::new(self.outcome_of(ended))),
        )
    }

    fn outcome_of(&self, ended: Result<Ended, TaskError>) -> Outcome {
        match ended {
            Ok(Ok(output)) => Outcome {
                output: Ok(output),
                code: 0,
            },
            Ok(Err(failed)) => Outcome {
                code: failed.code,
                output: Err((
                    PinfoldStatus::TaskFailed,
                    format!("{}: {failed}", self.function),
                )),
            },
            Err(error) => Outcome {
                code: 0,
                output: Err(self.told(error)),
            },
        }
    }

    /// The status of an error, and its text, in which the function is called by its name in C.
    #[cold]
    fn told(&self, mut error: TaskError) -> (PinfoldStatus, String) {
        let status = status_of(&error);
        if let Some(task) = error.task_mut()
            && task.function.starts_with("pinfold_c::")
        {
            task.function = self.function.into();
        }
        let message = chain(&error);
        // A task that it depends on: which function that was is not known here.
        let others = ["pinfold_c::call::run_after", "pinfold_c::call::run"];
        let message = others
            .iter()
            .fold(message, |text, name| text.replace(name, "a task"));
        (status, message)
    }
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

/// Waits for a task to end, copies its output to `buffer`, and frees the handle: the quickest
/// way to a small result. `out_len` is its length.
///
/// If the output is longer than `capacity` bytes, the status is
/// `PINFOLD_STATUS_BUFFER_TOO_SMALL`, `out_len` is what is needed, and the handle stays. In
/// all other cases it is freed, also if the task has failed.
///
/// Any thread.
///
/// # Safety
///
/// `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is not asked
/// for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_join(
    handle: *mut PinfoldHandle,
    buffer: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        if buffer.is_null() && capacity != 0 {
            return Err(Failure::null("buffer"));
        }
        let number = handle.addr();
        let handle = table::enter::<TaskHandle>(number)?;
        let outcome = handle.outcome(Duration::MAX).ok_or_else(timed_out)?;
        let done = match &outcome.output {
            Ok(output) => {
                let bytes = output.bytes();
                if !out_len.is_null() {
                    // SAFETY: the caller's promise.
                    unsafe { out_len.write_unaligned(bytes.len()) };
                }
                if bytes.len() > capacity {
                    let message = format!(
                        "the output has {} bytes, and there is room for {capacity}",
                        bytes.len()
                    );
                    return Err(Failure::new(PinfoldStatus::BufferTooSmall, message));
                }
                if !bytes.is_empty() {
                    // SAFETY: so many can be written there, says the caller; it is not ours.
                    unsafe {
                        let to: *mut u8 = buffer.cast();
                        to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    }
                }
                Ok(())
            }
            Err((status, message)) => Err(Failure::new(*status, message.clone())),
        };
        table::remove::<TaskHandle>(number)?;
        done
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
