//! The ends of channels that a task was submitted with.

use crate::PinfoldStatus;
use crate::boundary::answer;
use crate::call::{PinfoldCall, with};
use crate::channel::{Home, PinfoldReceiver, PinfoldSender, ReceiverObject, SenderObject};
use crate::error::Failure;

fn none(what: &str, index: usize, count: usize) -> Failure {
    Failure::argument(format!("there is no {what} {index}: the task has {count}"))
}

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
    let count = || with(call, |frame| Ok(frame.rest().ends.senders.len()));
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// A handle of sending end `index` that the task was submitted with.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_sender_free`. With
/// the process it ends. The call has its own until the function returns.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
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
            let all = &frame.rest().ends.senders;
            let end = all
                .get(index)
                .ok_or_else(|| none("sender", index, all.len()))?;
            SenderObject::handle(end.clone(), Home::worker())
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
    let count = || with(call, |frame| Ok(frame.rest().ends.receivers.len()));
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// A handle of receiving end `index` that the task was submitted with.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_receiver_free`. With
/// the process it ends. The call has its own until the function returns.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
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
            let all = &frame.rest().ends.receivers;
            let end = all
                .get(index)
                .ok_or_else(|| none("receiver", index, all.len()))?;
            ReceiverObject::handle(end.clone(), Home::worker())
        })
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_receiver", out_receiver, end) }
}
