//! Joining a task: its output is copied, and its handle freed, in one call.

use std::ffi::c_void;

use pinfold::Section;

use crate::boundary::guard;
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle, outcome_of, timed_out, too_small};
use crate::table::{Alone, Owned};
use crate::value::Ended;
use crate::wire::Short;
use crate::{PinfoldStatus, table};

/// Waits for a task to end, copies its output to `buffer`, and frees the handle: the quickest
/// way to a small result. `out_len` is its length.
///
/// If the output is longer than `capacity` bytes, the status is
/// `PINFOLD_STATUS_BUFFER_TOO_SMALL`, `out_len` is what is needed, and the handle stays. In
/// all other cases it is freed, also if the task has failed.
///
/// Any thread.
///
/// # Safety
///
/// `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is not asked
/// for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_join(
    handle: *mut PinfoldHandle,
    buffer: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        if (!buffer.is_null() || capacity == 0)
            && let Some(short) = take_own(handle.addr(), capacity)
        {
            // SAFETY: the caller's promise.
            return unsafe { copy(short.bytes(), buffer, capacity, out_len) };
        }
        // SAFETY: the caller's promise.
        unsafe { join_otherwise(handle, buffer, capacity, out_len) }
    })
}

/// The short output of a task that has ended, if its handle is this thread's own; that is freed then.
#[inline(always)]
fn take_own(number: usize, capacity: usize) -> Option<Short> {
    let own = table::enter_own::<TaskHandle>(number)?;
    take_of(own, capacity)
}

#[inline(always)]
fn take_of(mut own: Owned<TaskHandle>, capacity: usize) -> Option<Short> {
    let (handle, section) = own.parts();
    // What is left is dropped when the section has ended.
    let (short, _left) = handle.take_short(Some(section), capacity)?;
    own.free_empty();
    Some(short)
}

/// The same of a handle that nobody uses now.
#[inline]
fn take_alone(mut alone: Alone<TaskHandle>, capacity: usize) -> Result<Short, Alone<TaskHandle>> {
    let section = Section::enter();
    let taken = alone.take_short(section.as_ref(), capacity);
    drop(section);
    let Some((short, _left)) = taken else {
        return Err(alone);
    };
    alone.free_empty();
    Ok(short)
}

/// The same of either.
pub(crate) fn take_at_once(number: usize, capacity: usize) -> Option<Short> {
    match table::enter_own(number) {
        Some(own) => take_of(own, capacity),
        None => take_alone(table::enter_alone(number)?, capacity).ok(),
    }
}

/// The same for a task that has not ended, or that others ask about, or whose output is long.
///
/// # Safety
///
/// As for [`pinfold_handle_join`].
#[inline(never)]
unsafe fn join_otherwise(
    handle: *mut PinfoldHandle,
    buffer: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> Result<(), Failure> {
    if buffer.is_null() && capacity != 0 {
        return Err(Failure::null("buffer"));
    }
    let number = handle.addr();
    // Nearly always it has ended at the first look, when many are in flight, or at the second;
    // and nobody else uses the handle.
    for _ in 0..2 {
        let Some(alone) = table::enter_alone::<TaskHandle>(number) else {
            table::enter::<TaskHandle>(number)?.wait();
            continue;
        };
        let mut alone = match take_alone(alone, capacity) {
            // SAFETY: the caller's promise.
            Ok(short) => return unsafe { copy(short.bytes(), buffer, capacity, out_len) },
            Err(alone) => alone,
        };
        let function = alone.function();
        if let Some(ended) = alone.take_if_ended(capacity) {
            alone.free();
            return match ended.as_ref().ok().and_then(Ended::bytes) {
                // SAFETY: the caller's promise.
                Some(bytes) => unsafe { copy(bytes, buffer, capacity, out_len) },
                None => outcome_of(ended, function).output().map(drop),
            };
        }
        drop(alone);
        table::enter::<TaskHandle>(number)?.wait();
    }
    let handle = table::enter::<TaskHandle>(number)?;
    let outcome = handle.outcome_until(None).ok_or_else(timed_out)?;
    let copied = match outcome.output() {
        // SAFETY: the caller's promise.
        Ok(output) => unsafe { copy(output.bytes(), buffer, capacity, out_len) }.map(Ok)?,
        Err(failure) => Err(failure),
    };
    table::remove::<TaskHandle>(number)?;
    copied
}

/// Copies what a task has made; fails if there is no room for it.
///
/// # Safety
///
/// As for [`pinfold_handle_join`].
#[inline]
unsafe fn copy(
    bytes: &[u8],
    buffer: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> Result<(), Failure> {
    if !out_len.is_null() {
        // SAFETY: the caller's promise.
        unsafe { out_len.write_unaligned(bytes.len()) };
    }
    if bytes.len() > capacity {
        return Err(too_small(bytes.len(), capacity));
    }
    let to: *mut u8 = buffer.cast();
    match bytes.first_chunk::<8>() {
        // One store instead of a call.
        // SAFETY: so many can be written there, says the caller; it is not ours.
        Some(eight) if bytes.len() == 8 => unsafe { to.cast::<[u8; 8]>().write(*eight) },
        _ if bytes.is_empty() => (),
        // SAFETY: as above.
        _ => unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) },
    }
    Ok(())
}
