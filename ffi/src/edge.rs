//! Where C pointers become Rust values: each kind of pointer is converted here once,
//! so that the exported functions never cast.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use crate::PinfoldStatus;
use crate::error::Failure;

/// An out parameter: a place to write one `T` to, which may hold nothing yet.
pub(crate) struct Out<T>(NonNull<T>);

impl<T: Copy> Out<T> {
    /// Null is the caller's mistake and becomes a status.
    ///
    /// # Safety
    ///
    /// `pointer` is null, or is writable, and touched by nobody else while the `Out` lives.
    #[inline]
    pub(crate) unsafe fn new(name: &str, pointer: *mut T) -> Result<Self, Failure> {
        NonNull::new(pointer)
            .map(Self)
            .ok_or_else(|| Failure::null(name))
    }

    #[inline]
    pub(crate) fn write(&self, value: T) {
        // SAFETY: `new` was promised that the place is writable and ours; it is not null. It may be
        // part of a packed struct.
        unsafe { self.0.write_unaligned(value) }
    }
}

/// A string that ends in NUL.
///
/// # Safety
///
/// `pointer` is null, or such a string, which stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str()
        .map_err(|error| Failure::argument(format!("`{name}` is not UTF-8: {error}")))
}

/// Some bytes; a null pointer is none of them.
///
/// # Safety
///
/// `pointer` is null, or `len` bytes can be read from it for `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(
    name: &str,
    pointer: *const c_void,
    len: usize,
) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    if len > isize::MAX as usize {
        return Err(Failure::argument(format!(
            "`{name}`: {len} bytes are more than there can be"
        )));
    }
    // SAFETY: the caller's promise; not null, and not too long for a slice.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), len) })
}

/// Some handles or structs; a null pointer is none of them.
///
/// # Safety
///
/// `pointer` is null, or `count` aligned ones can be read from it for `'a`.
pub(crate) unsafe fn list<'a, T>(
    name: &str,
    pointer: *const T,
    count: usize,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    if count > isize::MAX as usize / size_of::<T>() || !pointer.is_aligned() {
        return Err(Failure::argument(format!(
            "`{name}`: no list of {count} can be there"
        )));
    }
    // SAFETY: the caller's promise; not null, aligned, and not too long for a slice.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// Writes a text and a NUL to memory of the caller's, and its length without the NUL, which is told
/// even if there is too little memory.
///
/// # Safety
///
/// `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null or
/// writable.
pub(crate) unsafe fn write_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Result<(), Failure> {
    if buffer.is_null() && capacity != 0 {
        return Err(Failure::null("buffer"));
    }
    if !out_len.is_null() {
        // SAFETY: the caller's promise.
        unsafe { out_len.write_unaligned(text.len()) };
    }
    if text.len() >= capacity {
        let needed = text.len() + 1;
        let message = format!("the text needs {needed} bytes, and there is room for {capacity}");
        return Err(Failure::new(PinfoldStatus::BufferTooSmall, message));
    }
    // SAFETY: so many can be written there, says the caller, and one more; it is not ours.
    unsafe {
        let to: *mut u8 = buffer.cast();
        to.copy_from_nonoverlapping(text.as_ptr(), text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

/// A time in nanoseconds; `PINFOLD_FOREVER` is no limit.
pub(crate) fn duration(nanoseconds: u64) -> Duration {
    match nanoseconds {
        crate::PINFOLD_FOREVER => Duration::MAX,
        nanoseconds => Duration::from_nanos(nanoseconds),
    }
}
