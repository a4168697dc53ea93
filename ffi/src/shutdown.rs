//! Ending a runtime, with a say in how.

use std::sync::Arc;

use pinfold::Shutdown;

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::config::shutdown;
use crate::error::Failure;
use crate::runtime::{PinfoldRuntime, RuntimeObject, not_in_task, runtime};

fn asked(
    handle: *mut PinfoldRuntime,
    how: i32,
    time: u64,
    grace: u64,
) -> Result<(Arc<RuntimeObject>, Shutdown), Failure> {
    not_in_task()?;
    let how = shutdown("how", how, time, grace)?;
    let default = Shutdown::DrainFor(std::time::Duration::from_secs(5));
    Ok((runtime(handle)?, how.unwrap_or(default)))
}

/// Takes no more tasks, and ends those in flight as `how` says, a `pinfold_shutdown`; returns when
/// every task has ended and every process is gone. `time` and `grace` are in nanoseconds, for those
/// that have them; `PINFOLD_FOREVER` is no limit.
///
/// While one thread waits here another may make it more urgent, by a call of its own: of all
/// that is asked for the earliest holds. Once it is over a call does nothing. What is submitted from
/// the beginning on ends with `PINFOLD_STATUS_SHUTDOWN`, or is refused with it. The runtime,
/// its handles, tasks and buffers stay valid, and are to be freed; statistics stay.
///
/// Fails with `PINFOLD_STATUS_NOT_ORDERLY` when it is over, but tasks were ended that this call
/// would have let run: the time was up, or another call has cut it short.
///
/// Any thread, and several at once; not in a task.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_runtime_shutdown(
    runtime: *mut PinfoldRuntime,
    how: i32,
    time: u64,
    grace: u64,
) -> PinfoldStatus {
    guard(|| {
        let (object, how) = asked(runtime, how, time, grace)?;
        Ok(object.runtime.shutdown(how)?)
    })
}

/// As `pinfold_runtime_shutdown`, but does not wait: from here on no task is accepted, and those in
/// flight end as `how` says. `pinfold_runtime_shutdown` with `PINFOLD_SHUTDOWN_DRAIN` waits until it
/// is over; so does `pinfold_runtime_free`.
///
/// Any thread, and several at once; not in a task.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_runtime_begin_shutdown(
    runtime: *mut PinfoldRuntime,
    how: i32,
    time: u64,
    grace: u64,
) -> PinfoldStatus {
    guard(|| {
        let (object, how) = asked(runtime, how, time, grace)?;
        drop(object.runtime.begin_shutdown(how));
        Ok(())
    })
}
