//! Tasks that are waited for, cancelled and given up together.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::boundary::guard;
use crate::edge::duration;
use crate::error::Failure;
use crate::handle::{TaskHandle, timed_out};
use crate::runtime::as_pointer;
use crate::submit::{PinfoldSubmitSettings, submit};
use crate::task::{PinfoldTask, TaskObject};
use crate::{PINFOLD_FOREVER, PinfoldStatus, edge::Out, table};

/// Tasks that are waited for, cancelled and given up together.
pub struct PinfoldGroup {
    _private: [u8; 0],
}

#[derive(Default)]
struct Members {
    /// In the order in which they were submitted, each with its number.
    open: VecDeque<(u64, Arc<TaskHandle>)>,
    next: u64,
    /// Of those that have ended without a value, the one that was submitted first.
    failure: Option<(u64, PinfoldStatus, String)>,
}

/// Behind a `pinfold_group`.
#[derive(Default)]
pub(crate) struct GroupObject(Mutex<Members>);

impl GroupObject {
    fn cancel(&self, grace: u64) {
        let open: Vec<_> = self
            .0
            .lock()
            .open
            .iter()
            .map(|(_, task)| Arc::clone(task))
            .collect();
        for task in open {
            task.cancel(grace);
        }
    }

    /// What is submitted while this waits is waited for too.
    fn wait(&self, until: Option<Instant>) -> Result<(), Failure> {
        loop {
            let first = self.0.lock().open.front().cloned();
            let Some((number, task)) = first else {
                break;
            };
            let outcome = task.outcome_until(until).ok_or_else(timed_out)?;
            let mut members = self.0.lock();
            if let Err(failure) = outcome.output()
                && members
                    .failure
                    .as_ref()
                    .is_none_or(|(before, ..)| number < *before)
            {
                members.failure = Some((number, failure.status, failure.message));
            }
            // Another thread may have taken it out.
            let at = members
                .open
                .binary_search_by_key(&number, |(number, _)| *number);
            let ended = at.ok().and_then(|at| members.open.remove(at));
            drop(members);
            drop(ended);
        }
        match &self.0.lock().failure {
            None => Ok(()),
            Some((_, status, message)) => Err(Failure::new(*status, message.clone())),
        }
    }
}

impl Drop for GroupObject {
    fn drop(&mut self) {
        self.cancel(PINFOLD_FOREVER);
    }
}

/// An empty group of tasks. It is the caller's: free it with `pinfold_group_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_group` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_group_new(out_group: *mut *mut PinfoldGroup) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_group", out_group) };
    guard(|| {
        let out = out?;
        out.write(as_pointer(table::insert(Arc::new(GroupObject::default()))?));
        Ok(())
    })
}

/// Submits a task into a group, as `pinfold_task_submit_with` does: there is no handle. The tasks of a group may be of
/// several runtimes.
///
/// Fails as `pinfold_task_submit_with`.
///
/// Any thread, also while others wait for the group.
///
/// # Safety
///
/// As for `pinfold_task_submit_with`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_group_submit(
    group: *mut PinfoldGroup,
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { pinfold_group_submit_timeout(group, task, argument, len, settings, PINFOLD_FOREVER) }
}

/// The same, if the task can be accepted within `timeout` nanoseconds: as
/// `pinfold_task_submit_with_timeout`.
///
/// Any thread, also while others wait for the group.
///
/// # Safety
///
/// As for `pinfold_task_submit_with`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_group_submit_timeout(
    group: *mut PinfoldGroup,
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
) -> PinfoldStatus {
    guard(move || {
        let group = table::enter::<Arc<GroupObject>>(group.addr())?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        // SAFETY: the caller's promise.
        let handle = unsafe { submit(&task, argument, len, settings, duration(timeout)) }?;
        let handle = Arc::new(task.task_handle(handle));
        let mut members = group.0.lock();
        let number = members.next;
        members.next += 1;
        members.open.push_back((number, handle));
        Ok(())
    })
}

/// Waits at most `timeout` nanoseconds for all tasks of a group to end, however each does; 0 only
/// looks, and `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_OK`: all have ended with their values. A
/// status from 100 on: all have ended, and this is how the first of those that failed did (in the order in which
/// they were submitted, of all that were ever waited for in this group); `pinfold_last_message` says more.
/// `PINFOLD_STATUS_TIMED_OUT`: some go on.
///
/// Any thread, and several at once.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_group_wait(group: *mut PinfoldGroup, timeout: u64) -> PinfoldStatus {
    guard(|| {
        let group = table::enter::<Arc<GroupObject>>(group.addr())?;
        group.wait(Instant::now().checked_add(duration(timeout)))
    })
}

/// Cancels all tasks of a group that have not ended, each as by `pinfold_handle_cancel_within`
/// with this `grace`. Those that are submitted later are not.
///
/// Any thread, also while others wait for the group.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_group_cancel(group: *mut PinfoldGroup, grace: u64) -> PinfoldStatus {
    guard(|| {
        table::enter::<Arc<GroupObject>>(group.addr())?.cancel(grace);
        Ok(())
    })
}

/// Frees a group, and cancels its tasks that have not ended, as by `pinfold_handle_cancel`: what has not begun never will,
/// what runs is asked to end. To let them end, wait first. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_group_free(group: *mut PinfoldGroup) -> PinfoldStatus {
    guard(|| match group.is_null() {
        true => Ok(()),
        false => table::remove::<Arc<GroupObject>>(group.addr()),
    })
}
