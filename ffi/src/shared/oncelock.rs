//! Bytes that are made once, and then read by all processes.

use std::ffi::c_void;

use pinfold::sync::OnceLock;

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::call::PinfoldCall;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::runtime::PinfoldRuntime;
use crate::{PINFOLD_FOREVER, table};

use super::place::{Homed, Place, free, in_place, new};

/// Some bytes of shared memory that are written once, by whoever asks for them first, and then read.
pub struct PinfoldOncelock {
    _private: [u8; 0],
}

/// Writes what is made once: `len` bytes at `data`, which are 0 before. Returns 0, or any other number if it
/// was not made.
pub type PinfoldFill =
    Option<unsafe extern "C" fn(data: *mut c_void, len: usize, user: *mut c_void) -> i32>;

fn enter(oncelock: *mut PinfoldOncelock) -> Result<table::Guard<Homed<OnceLock<[u8]>>>, Failure> {
    table::enter(oncelock.addr())
}

/// # Safety
///
/// As for `pinfold_oncelock_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    len: usize,
    out_oncelock: *mut *mut PinfoldOncelock,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe {
        new("out_oncelock", out_oncelock, place, |place| {
            let it: OnceLock<[u8]> = in_place!(place, here => OnceLock::with_len(here, len))?;
            let home = place.home();
            Ok(Homed { it, home })
        })
    }
}

/// `len` bytes for the processes of `runtime`, which nobody has made yet.
///
/// It is the caller's: free it with `pinfold_oncelock_free`. A task gets it by
/// `pinfold_submit_settings.objects`.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_oncelock_new`.
///
/// # Safety
///
/// `out_oncelock` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_oncelock_new(
    runtime: *mut PinfoldRuntime,
    len: usize,
    out_oncelock: *mut *mut PinfoldOncelock,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), len, out_oncelock) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_oncelock_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_oncelock_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_oncelock_new(
    call: *mut PinfoldCall,
    len: usize,
    out_oncelock: *mut *mut PinfoldOncelock,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), len, out_oncelock) }
}

/// The bytes, aligned to 64. If nobody has made them, `function` is called on this thread, with `user`, to
/// write them; waits for whoever does so just now, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no
/// limit.
///
/// The memory is the handle's: it may be read until that is freed. Nobody writes it any more.
///
/// If the function returns another number than 0, they are not made, and the next one makes them; so it is if the
/// process dies meanwhile. It must not unwind.
///
/// Fails with `PINFOLD_STATUS_TASK_FAILED` (the function has returned another number, which the last message
/// tells), `PINFOLD_STATUS_TIMED_OUT` (the last message says who makes them),
/// `PINFOLD_STATUS_DEADLOCK` (the function has called this itself), `PINFOLD_STATUS_TOLD_TO_END`,
/// `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `function` may be called with `user`; `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_oncelock_get_or_init(
    oncelock: *mut PinfoldOncelock,
    timeout: u64,
    function: PinfoldFill,
    user: *mut c_void,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        let function = function.ok_or_else(|| Failure::null("function"))?;
        let object = enter(oncelock)?;
        let fill = |bytes: &mut [u8]| {
            // SAFETY: the caller's promise.
            match unsafe { function(bytes.as_mut_ptr().cast(), bytes.len(), user) } {
                0 => Ok(()),
                code => Err(code),
            }
        };
        let made = match timeout {
            PINFOLD_FOREVER => object.it.get_or_try_fill(fill),
            timeout => object.it.get_or_try_fill_timeout(duration(timeout), fill),
        };
        let bytes = made?.map_err(|code| {
            let message = format!("the function has returned {code}");
            Failure::new(PinfoldStatus::TaskFailed, message)
        })?;
        data.write(bytes.as_ptr().cast());
        len.write(bytes.len());
        Ok(())
    })
}

/// The bytes, if they were made: as of `pinfold_oncelock_get_or_init`, without waiting.
///
/// Fails with `PINFOLD_STATUS_NOTHING_YET` if they were not.
///
/// Any thread.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_oncelock_get(
    oncelock: *mut PinfoldOncelock,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        let object = enter(oncelock)?;
        let not_yet = || {
            let message = "nobody has made it yet";
            Failure::new(PinfoldStatus::NothingYet, message)
        };
        let bytes = object.it.get().ok_or_else(not_yet)?;
        data.write(bytes.as_ptr().cast());
        len.write(bytes.len());
        Ok(())
    })
}

/// Frees a handle of it. Null does nothing.
///
/// Any thread. A call that waits with it goes on. What it has returned may not be read any more.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_oncelock_free(oncelock: *mut PinfoldOncelock) -> PinfoldStatus {
    free::<Homed<OnceLock<[u8]>>>(oncelock.addr())
}
