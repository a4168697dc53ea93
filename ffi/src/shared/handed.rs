//! The objects that a task was submitted with, and those of a message.

use std::ffi::c_void;

use crate::PinfoldStatus;
use crate::boundary::answer;
use crate::call::{PinfoldCall, with};
use crate::channel::Home;
use crate::error::Failure;
use crate::given::Given;
use crate::message::{PinfoldMessage, enter};
use crate::runtime::as_pointer;

use super::thing::Thing;

/// C's handle of one of them. `whose` has them.
fn handle(
    things: &Given<Thing>,
    index: usize,
    home: &Home,
    whose: &str,
) -> Result<*mut c_void, Failure> {
    let make = |thing: Thing| thing.handle(home.clone());
    let again = |handle| Thing::again(handle, home.number);
    things
        .handle(index, ("object", whose), make, again)
        .map(as_pointer)
}

/// How many objects the task was submitted with (`pinfold_submit_settings.objects`).
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_object_count(
    call: *mut PinfoldCall,
    out_count: *mut usize,
) -> PinfoldStatus {
    let count = || with(call, |frame| Ok(frame.rest().things.count()));
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// A handle of object `index` that the task was submitted with: of the kind that it had there, as which
/// other functions take it. What was a `pinfold_mutex *` there, say, is one here, behind the `void *`.
///
/// The handle is the worker process's, also after the call: free it by the function of its kind. The call has what
/// was not asked for, until the function returns; what was asked for is the function's alone. To ask for the same
/// again gives one more handle, to be freed too; not of what has one owner (a member of a barrier or of a group, a
/// subscriber), nor when the handle that was given last is freed.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
/// `PINFOLD_STATUS_MOVED` if it was asked for before, and has one owner, or the last handle of it was freed.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_object` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_object(
    call: *mut PinfoldCall,
    index: usize,
    out_object: *mut *mut c_void,
) -> PinfoldStatus {
    let object = || {
        with(call, |frame| {
            handle(&frame.rest().things, index, &Home::worker(), "task")
        })
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_object", out_object, object) }
}

/// How many objects the message has besides buffers and ends of channels
/// (`pinfold_submit_settings.objects`).
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_object_count(
    message: *mut PinfoldMessage,
    out_count: *mut usize,
) -> PinfoldStatus {
    let count = || Ok(enter(message)?.objects.count());
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// A handle of object `index` of a message: of the kind that it had where it was sent, as
/// `pinfold_call_object` has it.
///
/// The handle is the caller's, also when the message is freed: free it by the function of its kind. The message has what was
/// not asked for, until it is freed; what was asked for is the caller's alone, and may be asked for again as
/// `pinfold_call_object` says.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
/// `PINFOLD_STATUS_MOVED` if it was asked for before, and has one owner, or the last handle of it was freed.
///
/// Any thread.
///
/// # Safety
///
/// `out_object` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_object(
    message: *mut PinfoldMessage,
    index: usize,
    out_object: *mut *mut c_void,
) -> PinfoldStatus {
    let object = || {
        let message = enter(message)?;
        handle(&message.objects, index, &message.home, "message")
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_object", out_object, object) }
}
