//! What has ended of many tasks, in one call: as [`batch`](crate::batch), for callers to whom each call
//! is dear, but who submit one by one, and have the handles beside each other.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

use crate::batch::places;
use crate::boundary::guard;
use crate::edge::{Out, duration, list};
use crate::error::Failure;
use crate::events::{EventsObject, PinfoldEvents, nothing_yet};
use crate::handle::{PinfoldHandle, TaskHandle, timed_out, too_small};
use crate::{PinfoldStatus, table};

/// Waits at most `timeout` nanoseconds for the first of `count` tasks, and copies its output to
/// `buffer`; and after it those of the tasks next to it, as far as they have ended without another wait
/// and there is room: `out_lens[i]` bytes each, one after the other. `out_done` is how many were copied.
///
/// It stops before the first whose output it cannot copy. All handles stay the caller's, with what they
/// have.
///
/// If that is the very first of them, the status says why: `PINFOLD_STATUS_TIMED_OUT`;
/// `PINFOLD_STATUS_BUFFER_TOO_SMALL`, and `out_lens[0]` is how long it is; `PINFOLD_STATUS_BAD_HANDLE`
/// or `PINFOLD_STATUS_NULL_ARGUMENT`; or a status from 100 on if the task has no output.
///
/// Any thread, and several at once.
///
/// # Safety
///
/// `count` handles can be read at `handles`, `capacity` bytes be written at `buffer` (null if there are
/// none), and `count` lengths at `out_lens`; `out_done` is null, or writable. Nobody else touches what is written
/// during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_copy_many(
    handles: *const *mut PinfoldHandle,
    count: usize,
    timeout: u64,
    buffer: *mut c_void,
    capacity: usize,
    out_lens: *mut usize,
    out_done: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let done = unsafe { Out::new("out_done", out_done) };
    guard(|| {
        let done = done?;
        done.write(0);
        // SAFETY: the caller's promise.
        let (handles, lens) = unsafe {
            (
                list("handles", handles, count)?,
                places("out_lens", out_lens, count)?,
            )
        };
        if buffer.is_null() && capacity != 0 {
            return Err(Failure::null("buffer"));
        }
        let mut filled = 0;
        for (index, (handle, len)) in handles.iter().zip(lens).enumerate() {
            let copied = table::enter::<TaskHandle>(handle.addr()).and_then(|handle| {
                let outcome = match index {
                    0 if timeout > 0 => handle.outcome(duration(timeout)),
                    _ => handle.outcome_now(),
                };
                let output = outcome.ok_or_else(timed_out)?.output()?.bytes();
                *len = output.len();
                if output.len() > capacity - filled {
                    return Err(too_small(output.len(), capacity));
                }
                // SAFETY: `capacity` bytes can be written there, says the caller; it is not ours.
                unsafe {
                    let to = buffer.cast::<u8>().wrapping_add(filled);
                    to.copy_from_nonoverlapping(output.as_ptr(), output.len());
                }
                Ok(output.len())
            });
            match copied {
                Ok(len) => filled += len,
                Err(failure) if index == 0 => return Err(failure),
                Err(_) => break,
            }
            done.write(index + 1);
        }
        Ok(())
    })
}

/// Frees `count` handles, as `pinfold_handle_free` does, and has null in the place of each. Null is passed
/// over.
///
/// Fails with `PINFOLD_STATUS_BAD_HANDLE` if one was none, which stays there; all others are freed.
///
/// Any thread.
///
/// # Safety
///
/// `count` handles can be read and written at `handles`, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_free_many(
    handles: *mut *mut PinfoldHandle,
    count: usize,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let handles = unsafe { places("handles", handles, count) }?;
        let mut result = Ok(());
        for handle in handles.iter_mut().filter(|handle| !handle.is_null()) {
            match table::remove::<TaskHandle>(handle.addr()) {
                Ok(()) => *handle = null_mut(),
                Err(failure) => result = result.and(Err(failure)),
            }
        }
        result
    })
}

/// Takes up to `capacity` tokens, as `pinfold_events_next` does one by one: `out_count` is how many. Never
/// waits.
///
/// Fails with `PINFOLD_STATUS_NOTHING_YET` if there is none, and with `PINFOLD_STATUS_FORKED` in a process
/// that was forked off.
///
/// Any thread, and several at once: each token is told once.
///
/// # Safety
///
/// `capacity` tokens can be written at `out_tokens`; `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_events_next_many(
    events: *mut PinfoldEvents,
    out_tokens: *mut u64,
    capacity: usize,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let count = unsafe { Out::new("out_count", out_count) };
    guard(|| {
        let count = count?;
        count.write(0);
        // SAFETY: the caller's promise.
        let tokens = unsafe { places("out_tokens", out_tokens, capacity) }?;
        let events = table::enter::<Arc<EventsObject>>(events.addr())?;
        events.check_here()?;
        let mut taken = 0;
        for token in tokens {
            let Some(next) = events.next() else { break };
            *token = next;
            taken += 1;
        }
        count.write(taken);
        match taken {
            0 => Err(nothing_yet()),
            _ => Ok(()),
        }
    })
}
