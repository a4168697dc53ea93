//! The objects that a task was submitted with, and those of a message.

use std::ffi::c_void;

use parking_lot::Mutex;

use crate::PinfoldStatus;
use crate::boundary::answer;
use crate::call::{PinfoldCall, with};
use crate::channel::Home;
use crate::error::Failure;
use crate::message::{PinfoldMessage, enter};
use crate::runtime::as_pointer;

use super::thing::Thing;

/// Objects that were got; `None` of one that has one owner, and was asked for.
#[derive(Default)]
pub(crate) struct Handed(Mutex<Vec<Option<Thing>>>);

impl Handed {
    pub(crate) fn of(things: Vec<Thing>) -> Self {
        Handed(Mutex::new(things.into_iter().map(Some).collect()))
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// C's handle of one of them. `whose` has them.
    fn handle(&self, index: usize, home: Home, whose: &str) -> Result<*mut c_void, Failure> {
        let thing = {
            let mut all = self.0.lock();
            let count = all.len();
            let none = || {
                Failure::argument(format!(
                    "there is no object {index}: the {whose} has {count}"
                ))
            };
            let place = all.get_mut(index).ok_or_else(none)?;
            let moved = || {
                let message = "this object has one owner, and was asked for before";
                Failure::new(PinfoldStatus::Moved, message)
            };
            match place.as_ref().ok_or_else(moved)?.share() {
                Some(shared) => shared,
                None => place.take().ok_or_else(moved)?,
            }
        };
        thing.handle(home).map(as_pointer)
    }
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
/// The handle is the worker process's, also after the call: free it by the function of its kind. What has
/// one owner (a member of a barrier or of a group, a subscriber) is had once. The call has what was not asked for, until the
/// function returns.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
/// `PINFOLD_STATUS_MOVED` if it has one owner, and was asked for before.
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
            frame.rest().things.handle(index, Home::worker(), "task")
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
/// The handle is the caller's, also when the message is freed: free it by the function of its kind. What
/// has one owner (a member of a barrier or of a group, a subscriber) is had once. The message has what was not
/// asked for, until it is freed.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
/// `PINFOLD_STATUS_MOVED` if it has one owner, and was asked for before.
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
        let home = message.home.clone();
        message.objects.handle(index, home, "message")
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_object", out_object, object) }
}
