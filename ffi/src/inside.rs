//! What a task can learn of itself, and say; and the same for other threads that work for it.

use std::ffi::c_char;
use std::time::Duration;

use pinfold::{Context, ContextHandle, ProgressError, context};

use crate::boundary::guard;
use crate::call::{PinfoldCall, with};
use crate::edge::{Out, text};
use crate::error::Failure;
use crate::runtime::as_pointer;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

/// A task, for other threads of its process that work for it: OpenMP's, say.
pub struct PinfoldContext {
    _private: [u8; 0],
}

impl From<ProgressError> for Failure {
    fn from(error: ProgressError) -> Self {
        Self::argument(error.to_string())
    }
}

/// The context of the task that runs on this thread, which is `call`.
fn of(call: *mut PinfoldCall) -> Result<Context, Failure> {
    with(call, |_| Ok(context()))
}

fn nanoseconds(left: Option<Duration>) -> u64 {
    let Some(left) = left else {
        return PINFOLD_FOREVER;
    };
    u64::try_from(left.as_nanos()).map_or(PINFOLD_FOREVER - 1, |ns| ns.min(PINFOLD_FOREVER - 1))
}

/// A number that no other task of its runtime has; `pinfold_handle_id` is the same in the host.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_id` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_id(
    call: *mut PinfoldCall,
    out_id: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_id", out_id) };
    guard(|| {
        let out = out?;
        let task = of(call)?.task();
        let message = "no task of the library's runs on this thread";
        let task = task.ok_or_else(|| Failure::new(PinfoldStatus::NotInTask, message))?;
        out.write(task.as_u64());
        Ok(())
    })
}

/// Whether the task was told to end: 1 or 0. It was cancelled, or its hard deadline or its run
/// limit has passed, or a task that it is part of has ended. Once 1, it stays so. Return soon, whatever; what
/// does not listen may be killed with its worker.
///
/// Costs some 10 ns: ask often.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_cancelled` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_is_cancelled(
    call: *mut PinfoldCall,
    out_cancelled: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_cancelled", out_cancelled) };
    guard(|| {
        let out = out?;
        out.write(of(call)?.is_cancelled().into());
        Ok(())
    })
}

/// How many nanoseconds the task has left, by the earliest of its deadlines and limits: 0 when that has passed,
/// `PINFOLD_FOREVER` if it has none.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_left` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_time_left(
    call: *mut PinfoldCall,
    out_left: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_left", out_left) };
    guard(|| {
        let out = out?;
        out.write(nanoseconds(of(call)?.time_left()));
        Ok(())
    })
}

/// Tells whoever has the task's handle how far the task is (`pinfold_handle_progress`): a
/// fraction, by custom 0 to 1, but any finite number, and a text, of which the first 88 bytes are
/// kept (null: none). Costs some 30 ns.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if the fraction is not finite, or the text is not
/// UTF-8.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `message` is null, or a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_report_progress(
    call: *mut PinfoldCall,
    fraction: f64,
    message: *const c_char,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { text_or_none(message) }?;
        Ok(of(call)?.report_progress(fraction, message)?)
    })
}

/// # Safety
///
/// `message` is null, or a string that ends in NUL, and stays so for `'a`.
unsafe fn text_or_none<'a>(message: *const c_char) -> Result<&'a str, Failure> {
    match message.is_null() {
        true => Ok(""),
        // SAFETY: the caller's promise.
        false => unsafe { text("message", message) },
    }
}

/// The task for other threads of this process that work for it: they learn whether it was
/// cancelled, and say how far it is. It stays valid when the task has ended, and says so.
///
/// It is the worker process's: free it with `pinfold_context_free`, on any thread.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_context` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_context(
    call: *mut PinfoldCall,
    out_context: *mut *mut PinfoldContext,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_context", out_context) };
    guard(|| {
        let out = out?;
        let context = of(call)?.handle();
        out.write(as_pointer(table::insert(context)?));
        Ok(())
    })
}

/// Whether what works for the task is to end: 1 or 0. As `pinfold_call_is_cancelled`, and 1 when the
/// task has ended.
///
/// Any thread of the worker process.
///
/// # Safety
///
/// `out_cancelled` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_context_is_cancelled(
    context: *mut PinfoldContext,
    out_cancelled: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_cancelled", out_cancelled) };
    guard(|| {
        let out = out?;
        let context = table::enter::<ContextHandle>(context.addr())?;
        out.write(context.is_cancelled().into());
        Ok(())
    })
}

/// As `pinfold_call_time_left`; `PINFOLD_FOREVER` also when the task has ended.
///
/// Any thread of the worker process.
///
/// # Safety
///
/// `out_left` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_context_time_left(
    context: *mut PinfoldContext,
    out_left: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_left", out_left) };
    guard(|| {
        let out = out?;
        let context = table::enter::<ContextHandle>(context.addr())?;
        out.write(nanoseconds(context.time_left()));
        Ok(())
    })
}

/// As `pinfold_call_report_progress`; several threads take turns. When the task has ended, it goes
/// nowhere.
///
/// Any thread of the worker process.
///
/// # Safety
///
/// `message` is null, or a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_context_report_progress(
    context: *mut PinfoldContext,
    fraction: f64,
    message: *const c_char,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { text_or_none(message) }?;
        let context = table::enter::<ContextHandle>(context.addr())?;
        Ok(context.report_progress(fraction, message)?)
    })
}

/// Frees a context. Null does nothing.
///
/// Any thread of the worker process.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_context_free(context: *mut PinfoldContext) -> PinfoldStatus {
    guard(|| match context.is_null() {
        true => Ok(()),
        false => table::remove::<ContextHandle>(context.addr()),
    })
}
