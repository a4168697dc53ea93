//! Many small tasks in one call, for callers to whom each call is dear (interpreters): their
//! arguments lie one after the other, and so do their outputs.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::boundary::guard;
use crate::edge::{Out, bytes, duration, list};
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle, timed_out};
use crate::join::take_at_once;
use crate::task::{PinfoldTask, TaskObject};
use crate::{PinfoldStatus, table};

/// A place for `count` values of the caller's, which hold something already.
///
/// # Safety
///
/// `pointer` is null, or `count` aligned values can be read and written there, and nobody else
/// touches them for `'a`.
pub(crate) unsafe fn places<'a, T>(
    name: &str,
    pointer: *mut T,
    count: usize,
) -> Result<&'a mut [T], Failure> {
    // SAFETY: the caller's promise.
    unsafe { list(name, pointer.cast_const(), count) }?;
    match count {
        0 => Ok(&mut []),
        // SAFETY: as above; `list` has looked that it can be there.
        _ => Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) }),
    }
}

/// Submits `count` tasks, as `pinfold_task_submit` does one after the other. The argument of task
/// `i` is `lens[i]` bytes; they lie one after the other at `arguments`, and are copied.
///
/// Each handle is the caller's. If the call fails, `out_handles` is null from the first task on that
/// was not submitted.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if the sum of `lens` is not `total`.
///
/// Any thread.
///
/// # Safety
///
/// `total` bytes can be read at `arguments` (null if there are none), `count` lengths at `lens`,
/// and `count` handles written to `out_handles`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit_many(
    task: *mut PinfoldTask,
    arguments: *const c_void,
    total: usize,
    lens: *const usize,
    count: usize,
    out_handles: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let many = unsafe { many(arguments, total, lens, count, out_handles) }?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        for (argument, handle) in many {
            *handle = task.submit(argument)?;
        }
        Ok(())
    })
}

/// The same, as far as they are accepted within `timeout` nanoseconds in all: `out_handles` is null
/// from the first on that was not, and the status is why, as of `pinfold_task_submit_timeout`. Call
/// again with those.
///
/// Any thread.
///
/// # Safety
///
/// As for `pinfold_task_submit_many`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit_many_timeout(
    task: *mut PinfoldTask,
    arguments: *const c_void,
    total: usize,
    lens: *const usize,
    count: usize,
    timeout: u64,
    out_handles: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let many = unsafe { many(arguments, total, lens, count, out_handles) }?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let until = Instant::now().checked_add(duration(timeout));
        for (argument, handle) in many {
            *handle = task.submit_until(argument, until)?;
        }
        Ok(())
    })
}

/// Submits a task once for each worker, all with the same `len` bytes of argument, which are copied: to fill a
/// cache there, to have a setting read anew. Handle `i` is that of worker `i` (`pinfold_task_info.worker`).
/// How many there are is written to `out_count`, also if `max` are too few. A worker runs its one before all else,
/// as soon as one of its executors has nothing under way; the settings but the priority are the task's, and no outcome is
/// remembered.
///
/// Each handle is the caller's, as that of `pinfold_task_submit`.
///
/// Fails with `PINFOLD_STATUS_BUFFER_TOO_SMALL` if there are more than `max` workers, or with
/// `PINFOLD_STATUS_SHUTDOWN` if the runtime was freed; with nothing submitted.
///
/// Any thread.
///
/// # Safety
///
/// `len` bytes can be read at `argument` (null if there are none); `max` handles can be written to
/// `out_handles`; `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_broadcast(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    max: usize,
    out_handles: *mut *mut PinfoldHandle,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_count", out_count) };
    guard(|| {
        let out = out?;
        // SAFETY: the caller's promise.
        let argument = unsafe { bytes("argument", argument, len) }?;
        // SAFETY: the caller's promise; looks whether they can be there.
        unsafe { list("out_handles", out_handles.cast_const(), max) }?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let ended = || Failure::new(PinfoldStatus::Shutdown, "its runtime was freed");
        let runtime = task.runtime.upgrade().ok_or_else(ended)?;
        let workers = runtime.runtime.stats().workers.len();
        out.write(workers);
        if workers > max {
            let message = format!("there are {workers} workers, and room for {max} handles");
            return Err(Failure::new(PinfoldStatus::BufferTooSmall, message));
        }
        let vacant = (0..workers).map(|_| table::reserve());
        let vacant = vacant.collect::<Result<Vec<_>, _>>()?;
        let handles = task.alone.broadcast_with(|_| task.request(&argument));
        for (at, (vacant, handle)) in vacant.into_iter().zip(handles).enumerate() {
            let handle = task.handle(vacant, handle);
            // SAFETY: the caller's promise.
            unsafe { out_handles.add(at).write_unaligned(handle) };
        }
        Ok(())
    })
}

/// The arguments of many tasks, and the places of their handles, which are null from here on.
///
/// # Safety
///
/// As for `pinfold_task_submit_many`, for `'a`.
unsafe fn many<'a>(
    arguments: *const c_void,
    total: usize,
    lens: *const usize,
    count: usize,
    out_handles: *mut *mut PinfoldHandle,
) -> Result<impl Iterator<Item = (&'a [u8], &'a mut *mut PinfoldHandle)>, Failure> {
    // SAFETY: the caller's promise.
    let (mut left, lens, handles) = unsafe {
        let handles = places("out_handles", out_handles, count)?;
        handles.fill(null_mut());
        (
            bytes("arguments", arguments, total)?,
            list("lens", lens, count)?,
            handles,
        )
    };
    let sum = lens
        .iter()
        .try_fold(0_usize, |sum, len| sum.checked_add(*len));
    if sum != Some(total) {
        let message = format!("`lens` are not {total} bytes in all");
        return Err(Failure::argument(message));
    }
    Ok(lens.iter().zip(handles).map(move |(len, handle)| {
        let (argument, rest) = left.split_at(*len);
        left = rest;
        (argument, handle)
    }))
}

/// The length of a short output that is there, copied to `buffer` from `at` on; the handle is freed then.
///
/// # Safety
///
/// `capacity` bytes can be written at `buffer`.
#[inline]
unsafe fn join_at_once(
    number: usize,
    buffer: *mut c_void,
    at: usize,
    capacity: usize,
) -> Option<usize> {
    let short = take_at_once(number, capacity - at)?;
    let bytes = short.bytes();
    let to = buffer.cast::<u8>().wrapping_add(at);
    // SAFETY: the caller's promise; there is room for them.
    unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Some(bytes.len())
}

/// Waits at most `timeout` nanoseconds in all for `count` tasks, one after the other, and copies their
/// outputs to `buffer`, one after the other: `out_lens[i]` bytes each. `out_statuses[i]` is how
/// task `i` has ended.
///
/// A handle whose output was copied is freed, and null in `handles`. That of a task that has ended
/// without an output stays the caller's, who may ask it why.
///
/// If one has not ended in time, or its output does not fit any more, the status is
/// `PINFOLD_STATUS_TIMED_OUT` or `PINFOLD_STATUS_BUFFER_TOO_SMALL`: that one's handle and those after
/// it stay, and have that status in `out_statuses`; if it does not fit, `out_lens` there is how long it
/// is. Call again with them.
///
/// Fails with `PINFOLD_STATUS_BAD_HANDLE` or `PINFOLD_STATUS_NULL_ARGUMENT` at the first handle that
/// is none; those before it are done.
///
/// Any thread.
///
/// # Safety
///
/// `count` handles can be read and written at `handles`, `capacity` bytes be written at `buffer`
/// (null if there are none), and `count` values at `out_lens` and at `out_statuses`. Nobody else
/// touches them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_join_many(
    handles: *mut *mut PinfoldHandle,
    count: usize,
    timeout: u64,
    buffer: *mut c_void,
    capacity: usize,
    out_lens: *mut usize,
    out_statuses: *mut i32,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let (handles, lens, statuses) = unsafe {
            (
                places("handles", handles, count)?,
                places("out_lens", out_lens, count)?,
                places("out_statuses", out_statuses, count)?,
            )
        };
        if buffer.is_null() && capacity != 0 {
            return Err(Failure::null("buffer"));
        }
        let until = Instant::now().checked_add(duration(timeout));
        lens.fill(0);
        let mut filled = 0;
        for (index, handle) in handles.iter_mut().enumerate() {
            let (len, status) = (&mut lens[index], &mut statuses[index]);
            let number = handle.addr();
            // SAFETY: `capacity` bytes can be written at `buffer`, says the caller; it is not null if there
            // are any, and they are not ours.
            let copied = unsafe { join_at_once(number, buffer, filled, capacity) };
            if let Some(copied) = copied {
                *len = copied;
                filled += copied;
                *status = PinfoldStatus::Ok as i32;
                *handle = null_mut();
                continue;
            }
            let entered = table::enter::<TaskHandle>(number)?;
            let left = until.map_or(Duration::MAX, |until| match index {
                0 => duration(timeout),
                _ => until.saturating_duration_since(Instant::now()),
            });
            let Some(outcome) = entered.outcome(left) else {
                statuses[index..].fill(PinfoldStatus::TimedOut as i32);
                return Err(timed_out());
            };
            let output = match &outcome.output {
                Ok(output) => output.bytes(),
                Err((why, _)) => {
                    *status = *why as i32;
                    continue;
                }
            };
            *len = output.len();
            if output.len() > capacity - filled {
                let (has, left) = (output.len(), capacity - filled);
                statuses[index..].fill(PinfoldStatus::BufferTooSmall as i32);
                let message =
                    format!("the next output has {has} bytes, and there is room for {left}");
                return Err(Failure::new(PinfoldStatus::BufferTooSmall, message));
            }
            // SAFETY: `capacity` bytes can be written there, says the caller; it is not ours.
            unsafe {
                let to = buffer.cast::<u8>().wrapping_add(filled);
                to.copy_from_nonoverlapping(output.as_ptr(), output.len());
            }
            filled += output.len();
            *status = PinfoldStatus::Ok as i32;
            *handle = null_mut();
            table::remove::<TaskHandle>(number)?;
        }
        Ok(())
    })
}
