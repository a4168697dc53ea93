//! Semaphores.

use parking_lot::Mutex as Inside;
use pinfold::sync::{Semaphore, SemaphorePermit};

use crate::boundary::{answer, guard};
use crate::call::PinfoldCall;
use crate::channel::Home;
use crate::error::Failure;
use crate::runtime::PinfoldRuntime;
use crate::{PinfoldStatus, table};

use super::mutex::patient;
use super::place::{Place, free, in_place, new};

/// Some permits, each of which one may have at a time, in any process.
pub struct PinfoldSemaphore {
    _private: [u8; 0],
}

/// Behind a `pinfold_semaphore`.
pub(crate) struct SemaphoreObject {
    /// Those that were taken by this handle.
    held: Inside<Vec<SemaphorePermit>>,
    pub(crate) semaphore: Semaphore,
    pub(crate) home: Home,
}

impl SemaphoreObject {
    pub(crate) fn new(semaphore: Semaphore, home: Home) -> Box<Self> {
        Box::new(SemaphoreObject {
            held: Inside::new(Vec::new()),
            semaphore,
            home,
        })
    }
}

fn enter(handle: *mut PinfoldSemaphore) -> Result<table::Guard<Box<SemaphoreObject>>, Failure> {
    table::enter(handle.addr())
}

/// # Safety
///
/// As for `pinfold_semaphore_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    permits: usize,
    out_semaphore: *mut *mut PinfoldSemaphore,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe {
        new("out_semaphore", out_semaphore, place, |place| {
            let semaphore = in_place!(place, here => Semaphore::new(here, permits))?;
            Ok(SemaphoreObject::new(semaphore, place.home()))
        })
    }
}

/// A semaphore of so many permits, 1 to 65536, for the processes of `runtime`. What a process that
/// dies has of them is free again.
///
/// The semaphore is the caller's: free it with `pinfold_semaphore_free`. A task gets it by
/// `pinfold_submit_settings.objects`.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another number of permits, and with
/// `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_semaphore_new`.
///
/// # Safety
///
/// `out_semaphore` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_semaphore_new(
    runtime: *mut PinfoldRuntime,
    permits: usize,
    out_semaphore: *mut *mut PinfoldSemaphore,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), permits, out_semaphore) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_semaphore_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_semaphore_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_semaphore_new(
    call: *mut PinfoldCall,
    permits: usize,
    out_semaphore: *mut *mut PinfoldSemaphore,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), permits, out_semaphore) }
}

/// Takes a permit. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
/// `PINFOLD_FOREVER` is no limit.
///
/// Fails with `PINFOLD_STATUS_BUSY` (none is free, and the call does not wait) or
/// `PINFOLD_STATUS_TIMED_OUT`: the last message names one that has a permit; with
/// `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it waited),
/// `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_semaphore_acquire(
    semaphore: *mut PinfoldSemaphore,
    timeout: u64,
) -> PinfoldStatus {
    guard(|| {
        let object = enter(semaphore)?;
        let it = &object.semaphore;
        let permit = patient(
            timeout,
            || it.acquire(),
            || it.try_acquire(),
            |time| it.acquire_timeout(time),
        )?;
        object.held.lock().push(permit);
        Ok(())
    })
}

/// Gives back one of the permits that were taken by this handle.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if there is none.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_semaphore_release(semaphore: *mut PinfoldSemaphore) -> PinfoldStatus {
    guard(|| {
        let permit = enter(semaphore)?.held.lock().pop();
        let none = || {
            let message = "no permit of this semaphore was taken by this handle";
            Failure::new(PinfoldStatus::NotHeld, message)
        };
        permit.map(drop).ok_or_else(none)
    })
}

/// How many permits are free, at some moment.
///
/// Any thread.
///
/// # Safety
///
/// `out_permits` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_semaphore_available(
    semaphore: *mut PinfoldSemaphore,
    out_permits: *mut usize,
) -> PinfoldStatus {
    let free = || Ok(enter(semaphore)?.semaphore.available());
    // SAFETY: the caller's promise.
    unsafe { answer("out_permits", out_permits, free) }
}

/// Frees a handle of a semaphore; the permits that were taken by it are given back. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_semaphore_free(semaphore: *mut PinfoldSemaphore) -> PinfoldStatus {
    free::<Box<SemaphoreObject>>(semaphore.addr())
}
