//! Barriers: a handle each for their members.

use std::sync::Arc;

use parking_lot::Mutex as Inside;
use pinfold::sync::{Barrier, WaitFault};

use crate::boundary::guard;
use crate::call::PinfoldCall;
use crate::channel::Home;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::objects::{Kind, Object};
use crate::runtime::{PinfoldRuntime, as_pointer};
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::place::{Place, free, in_place};

/// A member of a barrier.
pub struct PinfoldBarrier {
    _private: [u8; 0],
}

/// Something that has one owner; `None`: it was moved to a task.
pub(crate) struct Own<T> {
    it: Inside<Option<Arc<T>>>,
    pub(crate) home: Home,
}

impl<T> Own<T> {
    pub(crate) fn new(it: T, home: Home) -> Box<Self> {
        let it = Inside::new(Some(Arc::new(it)));
        Box::new(Own { it, home })
    }

    /// It, for the time of a call.
    pub(crate) fn get(&self) -> Result<Arc<T>, Failure> {
        self.it.lock().clone().ok_or_else(moved)
    }

    /// All of it, if nobody is in a call with it.
    pub(crate) fn take(&self) -> Result<T, Failure> {
        let mut own = self.it.lock();
        Arc::try_unwrap(own.take().ok_or_else(moved)?).map_err(|used| {
            *own = Some(used);
            let message = "another thread is in a call with it: it cannot be moved to a task now";
            Failure::new(PinfoldStatus::Busy, message)
        })
    }

    pub(crate) fn put_back(&self, it: T) {
        *self.it.lock() = Some(Arc::new(it));
    }
}

fn moved() -> Failure {
    let message = "it was moved to a task: nothing is left of it here but the handle";
    Failure::new(PinfoldStatus::Moved, message)
}

/// Writes handles of all members that `make` makes.
///
/// # Safety
///
/// `count` handles can be written at `out_members`, or it is null.
pub(super) unsafe fn all<T, P>(
    out_members: *mut *mut P,
    count: usize,
    place: impl FnOnce() -> Result<Place, Failure>,
    make: impl FnOnce(&Place) -> Result<Vec<T>, Failure>,
    of: impl Fn(T, Home) -> Box<Own<T>>,
) -> PinfoldStatus
where
    Box<Own<T>>: Kind + Into<Object>,
{
    guard(|| {
        if out_members.is_null() {
            return Err(Failure::null("out_members"));
        }
        let place = place()?;
        // First: it says how many there may be.
        let members = make(&place)?;
        let vacant = (0..members.len()).map(|_| table::reserve());
        let vacant = vacant.collect::<Result<Vec<_>, _>>()?;
        for (at, (member, vacant)) in members.into_iter().zip(vacant).enumerate().take(count) {
            let handle = as_pointer(vacant.fill(of(member, place.home())));
            // SAFETY: the caller's promise.
            unsafe { out_members.add(at).write_unaligned(handle) };
        }
        Ok(())
    })
}

/// # Safety
///
/// As for `pinfold_barrier_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    count: usize,
    out_members: *mut *mut PinfoldBarrier,
) -> PinfoldStatus {
    let members = |place: &Place| Ok(in_place!(place, here => Barrier::new(here, count))?);
    // SAFETY: the caller's promise.
    unsafe { all(out_members, count, place, members, Own::new) }
}

/// A barrier of `count` members, 1 to 16384, for the processes of `runtime`: writes so many handles to
/// `out_members`, in the order of their numbers.
///
/// All are the caller's: free each with `pinfold_barrier_free`. A member is moved to a task by
/// `pinfold_submit_settings.objects`, for there is one of each; nothing is left of it then but the handle.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another count, and with
/// `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_barrier_new`.
///
/// # Safety
///
/// `count` handles can be written at `out_members`, or it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_barrier_new(
    runtime: *mut PinfoldRuntime,
    count: usize,
    out_members: *mut *mut PinfoldBarrier,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), count, out_members) }
}

/// The same in a task. The handles are the worker process's, also after the call: free them.
///
/// Fails as `pinfold_barrier_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_barrier_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_barrier_new(
    call: *mut PinfoldCall,
    count: usize,
    out_members: *mut *mut PinfoldBarrier,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), count, out_members) }
}

/// Waits until all members have called it as often as this one, at most `timeout` nanoseconds;
/// `PINFOLD_FOREVER` is no limit. After a time-out this one counts as come, and the next call goes on
/// waiting for the same.
///
/// `out_number` may be null. If a member is gone, its number is written there.
///
/// Fails with `PINFOLD_STATUS_TIMED_OUT` (the last message says who has not come),
/// `PINFOLD_STATUS_MEMBER_GONE` (a member will never come: its process has died, or it was freed; so it
/// is for all, from then on), `PINFOLD_STATUS_MOVED`, `PINFOLD_STATUS_TOLD_TO_END`,
/// `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it: there must be one for each member.
///
/// # Safety
///
/// `out_number` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_barrier_wait(
    member: *mut PinfoldBarrier,
    timeout: u64,
    out_number: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        let barrier = table::enter::<Box<Own<Barrier>>>(member.addr())?.get()?;
        let waited = match timeout {
            PINFOLD_FOREVER => barrier.wait(),
            timeout => barrier.wait_timeout(duration(timeout)),
        };
        if let Err(WaitFault::Broken { member, .. }) = &waited
            && !out_number.is_null()
        {
            // SAFETY: the caller's promise.
            unsafe { out_number.write_unaligned(*member) };
        }
        Ok(waited?)
    })
}

/// Which member this is, from 0, and of how many.
///
/// Fails with `PINFOLD_STATUS_MOVED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_number` and `out_count` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_barrier_number(
    member: *mut PinfoldBarrier,
    out_number: *mut usize,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (number, count) = unsafe {
        (
            Out::new("out_number", out_number),
            Out::new("out_count", out_count),
        )
    };
    guard(|| {
        let (number, count) = (number?, count?);
        let barrier = table::enter::<Box<Own<Barrier>>>(member.addr())?.get()?;
        number.write(barrier.number());
        count.write(barrier.members());
        Ok(())
    })
}

/// Frees a member: unless it was moved, it will never come, and the others are told. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_barrier_free(member: *mut PinfoldBarrier) -> PinfoldStatus {
    free::<Box<Own<Barrier>>>(member.addr())
}
