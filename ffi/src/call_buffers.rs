//! A task's buffers: those that it was given, those that it makes, and the one that is its output.

use std::ffi::c_void;

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::buffer::{BufferObject, Part, PinfoldBuffer, WORKER, aligned};
use crate::call::{Frame, Made, PinfoldCall, with};
use crate::edge::Out;
use crate::error::Failure;
use crate::table;

/// How many buffers the task was submitted with.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_buffer_count(
    call: *mut PinfoldCall,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let count = unsafe { Out::new("out_count", out_count) };
    guard(|| {
        let count = count?;
        with(call, |frame| {
            count.write(frame.rest().buffers.len());
            Ok(())
        })
    })
}

fn at(frame: &mut Frame, index: usize) -> Result<&mut Option<Part>, Failure> {
    let count = frame.rest().buffers.len();
    let none = || Failure::argument(format!("there is no buffer {index}: the task has {count}"));
    frame.rest().buffers.get_mut(index).ok_or_else(none)
}

fn taken() -> Failure {
    let message = "this buffer was taken before, by pinfold_call_buffer_take";
    Failure::new(PinfoldStatus::Moved, message)
}

/// Buffer `index` that the task was submitted with, in place: where it begins, a multiple of 64
/// (unless it is a range), and its length in bytes.
///
/// The memory is the call's: it may be read until the function returns (or until the buffer is taken). To keep
/// it beyond that, or to write one that was moved to the task, take it
/// (`pinfold_call_buffer_take`).
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
/// `PINFOLD_STATUS_MOVED`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_buffer(
    call: *mut PinfoldCall,
    index: usize,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        with(call, |frame| {
            let part = at(frame, index)?.as_ref().ok_or_else(taken)?;
            data.write(part.bytes().as_ptr().cast());
            len.write(part.bytes().len());
            Ok(())
        })
    })
}

/// A handle of buffer `index`: of a published one, another; of one that was moved to the task, the
/// one and only, by which it may be written; it can be taken once.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`, or
/// make it the output. With the process it ends.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
/// `PINFOLD_STATUS_MOVED`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_buffer_take(
    call: *mut PinfoldCall,
    index: usize,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        with(call, |frame| {
            let place = at(frame, index)?;
            let shared = place.as_ref().ok_or_else(taken)?.share();
            let part = shared.or_else(|| place.take()).ok_or_else(taken)?;
            out.write(BufferObject::handle(WORKER, part)?);
            Ok(())
        })
    })
}

/// A handle of input `index`, the output of a task that this one was submitted after
/// (`pinfold_call_input`): to keep it, or to pass it on.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_input_buffer(
    call: *mut PinfoldCall,
    index: usize,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        with(call, |frame| {
            let part = Part::from(frame.input(index)?);
            out.write(BufferObject::handle(WORKER, part)?);
            Ok(())
        })
    })
}

/// A buffer of `len` bytes, made in a task: as `pinfold_buffer_new` makes them in the host.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`, or
/// make it the output. With the process it ends.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_TOO_LARGE`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_buffer_new(
    call: *mut PinfoldCall,
    len: usize,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        with(call, |_| {
            let loan = aligned(len, pinfold::alloc)?;
            out.write(BufferObject::handle(WORKER, Part::Loan(loan))?);
            Ok(())
        })
    })
}

/// Makes a buffer the task's output, without a copy, as far as no other handle of it is left in
/// this worker when the function returns. It is moved: the handle has nothing any more, and is
/// to be freed as ever. One that is not published is published so. If the
/// function returns another number than 0, there is no output.
///
/// Another call, of this function or of `pinfold_call_output`, takes the place of this one.
///
/// Fails with `PINFOLD_STATUS_MOVED`.
///
/// Only in a task, by the thread that the function was called on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_call_output_buffer(
    call: *mut PinfoldCall,
    buffer: *mut PinfoldBuffer,
) -> PinfoldStatus {
    guard(|| {
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        with(call, |frame| {
            frame.made = match buffer.take()? {
                Part::Loan(loan) => Made::Loan(loan),
                Part::Shared(shared) => Made::Shared(shared),
                Part::Bytes(bytes) => Made::Bytes(Box::new(bytes)),
            };
            Ok(())
        })
    })
}
