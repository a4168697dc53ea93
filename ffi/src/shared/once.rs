//! What is done once in all processes.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pinfold::sync::Once;

use crate::boundary::{answer, guard};
use crate::call::PinfoldCall;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::runtime::PinfoldRuntime;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::place::{Homed, Place, free, in_place, new};

/// Something that is to be done once, in whatever process.
pub struct PinfoldOnce {
    _private: [u8; 0],
}

/// Does what is to be done once. Returns 0, or any other number if it was not done. `was_begun` is 1 if
/// somebody has begun before, and has died in the middle, or has failed; else 0.
pub type PinfoldDo = Option<unsafe extern "C" fn(was_begun: i32, user: *mut c_void) -> i32>;

/// How a function ends that has failed: as if it had panicked.
struct HasFailed(i32);

fn enter(once: *mut PinfoldOnce) -> Result<table::Guard<Homed<Once>>, Failure> {
    table::enter(once.addr())
}

/// # Safety
///
/// As for `pinfold_once_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    out_once: *mut *mut PinfoldOnce,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe {
        new("out_once", out_once, place, |place| {
            let it = in_place!(place, here => Once::new(here))?;
            let home = place.home();
            Ok(Homed { it, home })
        })
    }
}

/// What the processes of `runtime` are to do once, and have not done yet.
///
/// It is the caller's: free it with `pinfold_once_free`. A task gets it by
/// `pinfold_submit_settings.objects`.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_once_new`.
///
/// # Safety
///
/// `out_once` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_once_new(
    runtime: *mut PinfoldRuntime,
    out_once: *mut *mut PinfoldOnce,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), out_once) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_once_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_once_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_once_new(
    call: *mut PinfoldCall,
    out_once: *mut *mut PinfoldOnce,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), out_once) }
}

/// Has it done, unless it was: calls `function` with `user` on this thread, or waits for whoever does
/// it just now, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit. `out_was_called` is 1 if
/// this call has done it, else 0. What was written before it was done is seen by all that come after.
///
/// If the function returns another number than 0, it is not done, and the next one does it; so it is if the process
/// dies meanwhile. It must not unwind.
///
/// Fails with `PINFOLD_STATUS_TASK_FAILED` (the function has returned another number, which the last message
/// tells), `PINFOLD_STATUS_TIMED_OUT` (the last message says who does it),
/// `PINFOLD_STATUS_DEADLOCK` (the function has called this itself), `PINFOLD_STATUS_TOLD_TO_END`,
/// `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `function` may be called with `user`; `out_was_called` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_once_call(
    once: *mut PinfoldOnce,
    timeout: u64,
    function: PinfoldDo,
    user: *mut c_void,
    out_was_called: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_was_called", out_was_called) };
    guard(|| {
        let out = out?;
        let function = function.ok_or_else(|| Failure::null("function"))?;
        let object = enter(once)?;
        let called = catch_unwind(AssertUnwindSafe(|| {
            let run = |state: pinfold::sync::OnceState| {
                // SAFETY: the caller's promise.
                let code = unsafe { function(state.was_begun.into(), user) };
                if code != 0 {
                    resume_unwind(Box::new(HasFailed(code)));
                }
            };
            match timeout {
                PINFOLD_FOREVER => object.it.call_once(run),
                timeout => object.it.call_once_timeout(duration(timeout), run),
            }
        }));
        let was_called = match called {
            Ok(called) => called?,
            Err(payload) => match payload.downcast::<HasFailed>() {
                Ok(failed) => {
                    let message = format!("the function has returned {}", failed.0);
                    return Err(Failure::new(PinfoldStatus::TaskFailed, message));
                }
                Err(payload) => resume_unwind(payload),
            },
        };
        out.write(was_called.into());
        Ok(())
    })
}

/// Whether it is done: 1 or 0.
///
/// Any thread.
///
/// # Safety
///
/// `out_is_done` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_once_is_done(
    once: *mut PinfoldOnce,
    out_is_done: *mut i32,
) -> PinfoldStatus {
    let is_done = || Ok(enter(once)?.it.is_completed().into());
    // SAFETY: the caller's promise.
    unsafe { answer("out_is_done", out_is_done, is_done) }
}

/// Frees a handle of it. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_once_free(once: *mut PinfoldOnce) -> PinfoldStatus {
    free::<Homed<Once>>(once.addr())
}
