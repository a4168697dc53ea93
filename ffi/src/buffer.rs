//! Buffers: memory that host and workers share.
//!
//! ```text
//!              publish                     retain: another handle of the same
//!  writable ────────────▶ published ──────▶ any number of them, none of which writes
//!     │                       │
//!     │ moved to a task, or made the output of one
//!     └──────────▶ moved ◀────┘             the handle has nothing any more, and is to be freed
//! ```
//!
//! Whichever it is, its handle is the caller's until he frees it. A range of a published one is a
//! published one, of the same memory.

use std::ffi::c_void;

use parking_lot::Mutex;
use pinfold::{AllocError, Loan, Shared};
use serde::{Deserialize, Serialize};

use crate::boundary::guard;
use crate::bytes::{Bytes, LINE};
use crate::edge::Out;
use crate::error::Failure;
use crate::runtime::{PinfoldRuntime, as_pointer};
use crate::value::Output;
use crate::{PinfoldStatus, table};

/// Memory that host and workers share: passed to tasks and back without a copy.
pub struct PinfoldBuffer {
    _private: [u8; 0],
}

/// What is in the place of the number of a runtime in a worker, which is of one only.
pub(crate) const WORKER: u64 = 0;

/// From so many bytes on a block of the pool is aligned to a line.
const ALIGNED: usize = 256;

/// Memory of at least so many bytes that begins at a multiple of 64.
pub(crate) fn aligned(
    len: usize,
    alloc: impl FnOnce(usize) -> Result<Loan, AllocError>,
) -> Result<Loan, AllocError> {
    let mut loan = alloc(len.max(ALIGNED))?;
    loan.truncate(len);
    debug_assert_eq!(loan.as_ptr().addr() % LINE, 0, "long ones are aligned");
    Ok(loan)
}

/// A buffer on its way to a task.
#[derive(Serialize, Deserialize)]
pub(crate) enum Part {
    /// The task's own from now on.
    Loan(Loan),
    Shared(Shared),
    /// The output of a task that was short enough to travel in place.
    Bytes(Bytes),
}

impl Part {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Part::Loan(loan) => loan,
            Part::Shared(shared) => shared,
            Part::Bytes(bytes) => bytes,
        }
    }

    /// The same once more, unless it has one owner.
    pub(crate) fn share(&self) -> Option<Part> {
        match self {
            Part::Loan(_) => None,
            Part::Shared(shared) => Some(Part::Shared(shared.clone())),
            Part::Bytes(bytes) => Some(Part::Bytes(bytes.clone())),
        }
    }
}

/// Those bytes of a published one: the same memory, or a copy of what is short.
fn range(part: &Part, offset: usize, len: usize) -> Result<Part, Failure> {
    let all = part.bytes().len();
    let past = || {
        let message = format!("{len} bytes from byte {offset} on: the buffer has {all} bytes");
        Failure::argument(message)
    };
    let end = offset.checked_add(len).ok_or_else(past)?;
    match part {
        Part::Loan(_) => Err(not_published()),
        Part::Shared(shared) => shared
            .slice(offset..end)
            .map(Part::Shared)
            .map_err(|_| past()),
        Part::Bytes(bytes) => {
            let meant = bytes.get(offset..end).ok_or_else(past)?;
            Ok(Part::Bytes(meant.into()))
        }
    }
}

impl From<&Output> for Part {
    fn from(output: &Output) -> Self {
        match output {
            Output::Bytes(bytes) => Part::Bytes(bytes[..].into()),
            Output::Buffer(shared) => Part::Shared(shared.clone()),
        }
    }
}

/// Behind a `pinfold_buffer`.
pub(crate) struct BufferObject {
    /// The number of its runtime.
    home: u64,
    /// `None`: it was moved.
    part: Mutex<Option<Part>>,
}

fn moved() -> Failure {
    let message = "this buffer was moved to a task: nothing is left of it here but the handle";
    Failure::new(PinfoldStatus::Moved, message)
}

fn not_published() -> Failure {
    let message = "this buffer is not published: publish it, or have it moved to the task";
    Failure::new(PinfoldStatus::NotPublished, message)
}

fn published() -> Failure {
    let message = "this buffer is published: others may read it, and nobody writes it any more";
    Failure::new(PinfoldStatus::Published, message)
}

impl BufferObject {
    /// C's handle of a new one.
    pub(crate) fn handle(home: u64, part: Part) -> Result<*mut PinfoldBuffer, Failure> {
        let part = Mutex::new(Some(part));
        table::insert(Box::new(BufferObject { home, part })).map(as_pointer)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Part) -> Result<T, Failure>) -> Result<T, Failure> {
        act(self.part.lock().as_mut().ok_or_else(moved)?)
    }

    /// All there is of it.
    pub(crate) fn take(&self) -> Result<Part, Failure> {
        self.part.lock().take().ok_or_else(moved)
    }

    /// What a task gets of it: the same, or, if it is not published and `moves`, all of it.
    fn give(&self, moves: bool) -> Result<Part, Failure> {
        let mut part = self.part.lock();
        match part.as_ref().ok_or_else(moved)?.share() {
            Some(shared) => Ok(shared),
            None if moves => part.take().ok_or_else(moved),
            None => Err(not_published()),
        }
    }
}

/// What a task of runtime `home` gets of these buffers; or nothing was done.
pub(crate) fn give(
    buffers: &[*mut PinfoldBuffer],
    moves: bool,
    home: u64,
) -> Result<Vec<Part>, Failure> {
    let mut given = Vec::with_capacity(buffers.len());
    let each = buffers.iter().try_for_each(|buffer| {
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        if buffer.home != home {
            let message = "this buffer is of another runtime than the task";
            return Err(Failure::new(PinfoldStatus::ForeignHandle, message));
        }
        let part = buffer.give(moves)?;
        given.push((buffer, part));
        Ok(())
    });
    if let Err(failure) = each {
        for (buffer, part) in given {
            if let Part::Loan(_) = part {
                *buffer.part.lock() = Some(part);
            }
        }
        return Err(failure);
    }
    Ok(given.into_iter().map(|(_, part)| part).collect())
}

/// Those that were moved are their handles' again, as far as these are there.
pub(crate) fn take_back(buffers: &[*mut PinfoldBuffer], parts: Vec<Part>) {
    for (handle, part) in buffers.iter().zip(parts) {
        if let Part::Loan(_) = part
            && let Ok(buffer) = table::enter::<Box<BufferObject>>(handle.addr())
        {
            *buffer.part.lock() = Some(part);
        }
    }
}

/// A buffer of `len` bytes for the tasks of `runtime`, to be written
/// (`pinfold_buffer_data`) and then published. What is in it is
/// undefined until it is written.
///
/// The buffer is the caller's: free it with `pinfold_buffer_free`, at any time, also after
/// its runtime.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY` (no shared memory is left now),
/// `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_buffer_new`.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_buffer_new(
    runtime: *mut PinfoldRuntime,
    len: usize,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        let runtime = crate::runtime::runtime(runtime)?;
        let loan = aligned(len, |len| runtime.runtime.alloc(len))?;
        out.write(BufferObject::handle(runtime.number, Part::Loan(loan))?);
        Ok(())
    })
}

/// Where to write a buffer that is not published: a multiple of 64.
///
/// The memory is the buffer's: it may be written by any thread until the buffer is published, moved or
/// freed; and read until it is moved or freed.
///
/// Fails with `PINFOLD_STATUS_PUBLISHED` and `PINFOLD_STATUS_MOVED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_data` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_buffer_data(
    buffer: *mut PinfoldBuffer,
    out_data: *mut *mut c_void,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let data = unsafe { Out::new("out_data", out_data) };
    guard(|| {
        let data = data?;
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        buffer.with(|part| {
            let Part::Loan(loan) = part else {
                return Err(published());
            };
            data.write(loan.as_mut_ptr().cast());
            Ok(())
        })
    })
}

/// Where a buffer begins, for reading; and its length in bytes. It begins at a multiple of 64,
/// unless it is a range (`pinfold_buffer_range`).
///
/// The memory is the buffer's: it may be read by any thread until the buffer is moved or freed.
///
/// Fails with `PINFOLD_STATUS_MOVED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_buffer_const_data(
    buffer: *mut PinfoldBuffer,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        buffer.with(|part| {
            data.write(part.bytes().as_ptr().cast());
            len.write(part.bytes().len());
            Ok(())
        })
    })
}

/// The length of a buffer in bytes.
///
/// Fails with `PINFOLD_STATUS_MOVED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_len` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_buffer_len(
    buffer: *mut PinfoldBuffer,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let len = unsafe { Out::new("out_len", out_len) };
    guard(|| {
        let len = len?;
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        buffer.with(|part| {
            len.write(part.bytes().len());
            Ok(())
        })
    })
}

/// Ends the writing of a buffer: the same memory, which from now on any number of tasks may read,
/// in place, and nobody may write.
///
/// Fails with `PINFOLD_STATUS_PUBLISHED` if it was before, and with `PINFOLD_STATUS_MOVED`.
///
/// Any thread; no other may be writing.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_buffer_publish(buffer: *mut PinfoldBuffer) -> PinfoldStatus {
    guard(|| {
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        let mut part = buffer.part.lock();
        match part.take().ok_or_else(moved)? {
            Part::Loan(loan) => {
                *part = Some(Part::Shared(loan.publish()));
                Ok(())
            }
            before => {
                *part = Some(before);
                Err(published())
            }
        }
    })
}

/// Another handle of a published buffer: the memory stays until the last one is freed, and the
/// last task that has it has ended.
///
/// The new handle is the caller's: free it with `pinfold_buffer_free`.
///
/// Fails with `PINFOLD_STATUS_NOT_PUBLISHED` (it has one owner until then) and
/// `PINFOLD_STATUS_MOVED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_buffer_retain(
    buffer: *mut PinfoldBuffer,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        let part = buffer.give(false)?;
        out.write(BufferObject::handle(buffer.home, part)?);
        Ok(())
    })
}

/// A range of a published buffer: `len` bytes from byte `offset` on, of the same memory, as a
/// buffer. It is passed to tasks, kept and made an output as any other, without a copy. The memory,
/// all of it, stays until the last handle of it is freed, and the last task that has it has ended.
///
/// The range begins `offset` bytes past the buffer's begin: at a multiple of 64 only if `offset` is
/// one. It may be empty. Of a range there are ranges, too.
///
/// The new handle is the caller's: free it with `pinfold_buffer_free`.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if the range ends past the buffer's end (the message
/// has both), `PINFOLD_STATUS_NOT_PUBLISHED` and `PINFOLD_STATUS_MOVED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_range` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_buffer_range(
    buffer: *mut PinfoldBuffer,
    offset: usize,
    len: usize,
    out_range: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_range", out_range) };
    guard(|| {
        let out = out?;
        let buffer = table::enter::<Box<BufferObject>>(buffer.addr())?;
        let part = buffer.with(|part| range(part, offset, len))?;
        out.write(BufferObject::handle(buffer.home, part)?);
        Ok(())
    })
}

/// Frees a handle of a buffer; the memory with the last one, when no task has it any more. Null
/// does nothing.
///
/// Any thread. What the memory was read or written by may not be used any more.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_buffer_free(buffer: *mut PinfoldBuffer) -> PinfoldStatus {
    guard(|| match buffer.is_null() {
        true => Ok(()),
        false => table::remove::<Box<BufferObject>>(buffer.addr()),
    })
}
