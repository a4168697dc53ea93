//! The ends of channels that a task was submitted with.

use crate::PinfoldStatus;
use crate::boundary::answer;
use crate::call::{PinfoldCall, with};
use crate::channel::{Home, PinfoldReceiver, PinfoldSender, ReceiverObject, SenderObject};
use crate::runtime::as_pointer;

/// How many sending ends of channels the task was submitted with.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_sender_count(
    call: *mut PinfoldCall,
    out_count: *mut usize,
) -> PinfoldStatus {
    let count = || with(call, |frame| Ok(frame.rest().senders.count()));
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// A handle of sending end `index` that the task was submitted with.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_sender_free`. With
/// the process it ends. The call has what was not asked for, until the function returns; what was asked for is the
/// function's alone: when it frees its last sender, there is none. To ask for the same again gives one more
/// handle, to be freed too, unless the handle that was given last is freed.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with `PINFOLD_STATUS_MOVED` if it
/// was asked for before, and the last handle of it was freed.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_sender` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_sender(
    call: *mut PinfoldCall,
    index: usize,
    out_sender: *mut *mut PinfoldSender,
) -> PinfoldStatus {
    let end = || {
        with(call, |frame| {
            let home = Home::worker();
            let make = |end| SenderObject::handle(end, home.clone()).map(|handle| handle.addr());
            let again = |handle| SenderObject::give(as_pointer(handle), home.number);
            let all = &frame.rest().senders;
            all.handle(index, ("sender", "task"), make, again)
                .map(as_pointer)
        })
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_sender", out_sender, end) }
}

/// How many receiving ends of channels the task was submitted with.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_receiver_count(
    call: *mut PinfoldCall,
    out_count: *mut usize,
) -> PinfoldStatus {
    let count = || with(call, |frame| Ok(frame.rest().receivers.count()));
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// A handle of receiving end `index` that the task was submitted with.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_receiver_free`. With
/// the process it ends. The call has what was not asked for, until the function returns; what was asked for is the
/// function's alone: when it frees its last receiver, there is none. To ask for the same again gives one more
/// handle, to be freed too, unless the handle that was given last is freed.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with `PINFOLD_STATUS_MOVED` if it
/// was asked for before, and the last handle of it was freed.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_receiver` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_receiver(
    call: *mut PinfoldCall,
    index: usize,
    out_receiver: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let end = || {
        with(call, |frame| {
            let home = Home::worker();
            let make = |end| ReceiverObject::handle(end, home.clone()).map(|handle| handle.addr());
            let again = |handle| ReceiverObject::give(as_pointer(handle), home.number);
            let all = &frame.rest().receivers;
            all.handle(index, ("receiver", "task"), make, again)
                .map(as_pointer)
        })
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_receiver", out_receiver, end) }
}
