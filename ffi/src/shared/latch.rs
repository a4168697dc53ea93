//! Latches, and what counts for them.

use pinfold::sync::{CountDown, Latch};

use crate::boundary::{answer, guard};
use crate::call::PinfoldCall;
use crate::channel::Home;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::objects::{Kind, Object};
use crate::runtime::{PinfoldRuntime, as_pointer};
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::place::{Homed, Place, free, in_place};

/// Waits until so much was counted.
pub struct PinfoldLatch {
    _private: [u8; 0],
}

/// What counts for a latch.
pub struct PinfoldCountdown {
    _private: [u8; 0],
}

/// Writes two handles, of what `make` makes.
///
/// # Safety
///
/// Both are null, or writable.
pub(super) unsafe fn two<A, B, P, Q>(
    (first_name, out_first): (&str, *mut *mut P),
    (second_name, out_second): (&str, *mut *mut Q),
    place: impl FnOnce() -> Result<Place, Failure>,
    make: impl FnOnce(&Place) -> Result<(A, B), Failure>,
) -> PinfoldStatus
where
    Homed<A>: Kind + Into<Object>,
    Homed<B>: Kind + Into<Object>,
{
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (to_first, to_second) = unsafe {
        (
            Out::new(first_name, out_first),
            Out::new(second_name, out_second),
        )
    };
    guard(|| {
        let (to_first, to_second) = (to_first?, to_second?);
        let place = place()?;
        let vacant = (table::reserve()?, table::reserve()?);
        let (first, second) = make(&place)?;
        let home: Home = place.home();
        let first = Homed {
            it: first,
            home: home.clone(),
        };
        to_first.write(as_pointer(vacant.0.fill(first)));
        let second = Homed { it: second, home };
        to_second.write(as_pointer(vacant.1.fill(second)));
        Ok(())
    })
}

/// # Safety
///
/// As for `pinfold_latch_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    count: usize,
    out_latch: *mut *mut PinfoldLatch,
    out_countdown: *mut *mut PinfoldCountdown,
) -> PinfoldStatus {
    let outs = (("out_latch", out_latch), ("out_countdown", out_countdown));
    // SAFETY: the caller's promise.
    unsafe {
        two(outs.0, outs.1, place, |place| {
            Ok(in_place!(place, here => Latch::new(here, count))?)
        })
    }
}

/// A latch that waits for `count` counts, 1 to 1048576, of the processes of `runtime`; and what
/// counts for it.
///
/// Both are the caller's: free each with `pinfold_latch_free` and `pinfold_countdown_free`. Tasks get
/// them by `pinfold_submit_settings.objects`. When nobody is left who could count, in any process or in the
/// argument of a task, the wait ends: so free the countdown here that is the tasks' now.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another count, and with
/// `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_latch_new`.
///
/// # Safety
///
/// `out_latch` and `out_countdown` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_latch_new(
    runtime: *mut PinfoldRuntime,
    count: usize,
    out_latch: *mut *mut PinfoldLatch,
    out_countdown: *mut *mut PinfoldCountdown,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), count, out_latch, out_countdown) }
}

/// The same in a task. Both handles are the worker process's, also after the call: free them.
///
/// Fails as `pinfold_latch_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_latch_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_latch_new(
    call: *mut PinfoldCall,
    count: usize,
    out_latch: *mut *mut PinfoldLatch,
    out_countdown: *mut *mut PinfoldCountdown,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), count, out_latch, out_countdown) }
}

/// Waits until all is counted, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit.
///
/// Fails with `PINFOLD_STATUS_TIMED_OUT` (the last message says how many counts are missing),
/// `PINFOLD_STATUS_MEMBER_GONE` (nobody is left who could count; the message names who has died),
/// `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_latch_wait(latch: *mut PinfoldLatch, timeout: u64) -> PinfoldStatus {
    guard(|| {
        let latch = table::enter::<Homed<Latch>>(latch.addr())?;
        match timeout {
            PINFOLD_FOREVER => latch.it.wait()?,
            timeout => latch.it.wait_timeout(duration(timeout))?,
        }
        Ok(())
    })
}

/// How many counts are missing.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_latch_left(
    latch: *mut PinfoldLatch,
    out_count: *mut usize,
) -> PinfoldStatus {
    let left = || Ok(table::enter::<Homed<Latch>>(latch.addr())?.it.left());
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, left) }
}

/// Counts one, in one step. `out_counted` is 0 if all were counted before (or in a process that was forked off), else 1.
///
/// Any thread.
///
/// # Safety
///
/// `out_counted` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_countdown_count(
    countdown: *mut PinfoldCountdown,
    out_counted: *mut i32,
) -> PinfoldStatus {
    let count = || {
        let countdown = table::enter::<Homed<CountDown>>(countdown.addr())?;
        Ok(countdown.it.count_down().into())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_counted", out_counted, count) }
}

/// Frees a handle of a latch. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_latch_free(latch: *mut PinfoldLatch) -> PinfoldStatus {
    free::<Homed<Latch>>(latch.addr())
}

/// Frees a handle of what counts: one less who could. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_countdown_free(countdown: *mut PinfoldCountdown) -> PinfoldStatus {
    free::<Homed<CountDown>>(countdown.addr())
}
