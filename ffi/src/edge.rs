//! Where C pointers become Rust values: each kind of pointer is converted here once,
//! so that the exported functions never cast.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

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

/// A time in nanoseconds; `PINFOLD_FOREVER` is no limit.
pub(crate) fn duration(nanoseconds: u64) -> Duration {
    match nanoseconds {
        crate::PINFOLD_FOREVER => Duration::MAX,
        nanoseconds => Duration::from_nanos(nanoseconds),
    }
}
