//! Wait groups and their members.

use pinfold::sync::{Member, WaitGroup};

use crate::boundary::{answer, guard};
use crate::call::PinfoldCall;
use crate::edge::duration;
use crate::error::Failure;
use crate::runtime::{PinfoldRuntime, as_pointer};
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::latch::two;
use super::place::{Homed, Place, free, in_place};

/// Waits until all of its members are done.
pub struct PinfoldWaitgroup {
    _private: [u8; 0],
}

/// Is done when it is freed, with the task that has it, or when its process dies.
pub struct PinfoldWaitgroupMember {
    _private: [u8; 0],
}

/// # Safety
///
/// As for `pinfold_waitgroup_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    out_group: *mut *mut PinfoldWaitgroup,
    out_member: *mut *mut PinfoldWaitgroupMember,
) -> PinfoldStatus {
    let outs = (("out_group", out_group), ("out_member", out_member));
    // SAFETY: the caller's promise.
    unsafe {
        two(outs.0, outs.1, place, |place| {
            Ok(in_place!(place, here => WaitGroup::new(here))?)
        })
    }
}

/// A wait group of the processes of `runtime`, and its first member.
///
/// Both are the caller's: free each with `pinfold_waitgroup_free` and `pinfold_waitgroup_member_free`. Each
/// task that gets the member by `pinfold_submit_settings.objects` is one more, until it has ended; so is a
/// clone. Free the one here when it has nothing to do (any more).
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_waitgroup_new`.
///
/// # Safety
///
/// `out_group` and `out_member` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_waitgroup_new(
    runtime: *mut PinfoldRuntime,
    out_group: *mut *mut PinfoldWaitgroup,
    out_member: *mut *mut PinfoldWaitgroupMember,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), out_group, out_member) }
}

/// The same in a task. Both handles are the worker process's, also after the call: free them.
///
/// Fails as `pinfold_waitgroup_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_waitgroup_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_waitgroup_new(
    call: *mut PinfoldCall,
    out_group: *mut *mut PinfoldWaitgroup,
    out_member: *mut *mut PinfoldWaitgroupMember,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), out_group, out_member) }
}

/// Waits until no member is left, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit.
///
/// Fails with `PINFOLD_STATUS_TIMED_OUT` (the last message says which processes have members),
/// `PINFOLD_STATUS_MEMBER_GONE` (none is left, and some processes have died that had one, which the message
/// names), `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_waitgroup_wait(
    group: *mut PinfoldWaitgroup,
    timeout: u64,
) -> PinfoldStatus {
    guard(|| {
        let group = table::enter::<Homed<WaitGroup>>(group.addr())?;
        match timeout {
            PINFOLD_FOREVER => group.it.wait()?,
            timeout => group.it.wait_timeout(duration(timeout))?,
        }
        Ok(())
    })
}

/// Whether no member is left: 1 or 0.
///
/// Any thread.
///
/// # Safety
///
/// `out_is_done` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_waitgroup_is_done(
    group: *mut PinfoldWaitgroup,
    out_is_done: *mut i32,
) -> PinfoldStatus {
    let is_done = || {
        let group = table::enter::<Homed<WaitGroup>>(group.addr())?;
        Ok(group.it.is_done().into())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_is_done", out_is_done, is_done) }
}

/// Frees a handle of a wait group. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_waitgroup_free(group: *mut PinfoldWaitgroup) -> PinfoldStatus {
    free::<Homed<WaitGroup>>(group.addr())
}

/// One more member of the same group, the caller's.
///
/// Any thread.
///
/// # Safety
///
/// `out_member` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_waitgroup_member_clone(
    member: *mut PinfoldWaitgroupMember,
    out_member: *mut *mut PinfoldWaitgroupMember,
) -> PinfoldStatus {
    let clone = || {
        let member = table::enter::<Homed<Member>>(member.addr())?;
        let clone = Homed {
            it: member.it.clone(),
            home: member.home.clone(),
        };
        table::insert(clone).map(as_pointer)
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_member", out_member, clone) }
}

/// This member is done, and freed. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_waitgroup_member_free(
    member: *mut PinfoldWaitgroupMember,
) -> PinfoldStatus {
    free::<Homed<Member>>(member.addr())
}
