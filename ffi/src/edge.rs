//! Where C pointers become Rust values: each kind of pointer is converted here once,
//! so that the exported functions never cast.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use crate::PinfoldStatus;

/// An out parameter: a place to write one `T` to, which may hold nothing yet.
pub(crate) struct Out<T>(NonNull<T>);

// A panic can leave no half-written place behind: `write` is the only access, a single store.
impl<T> UnwindSafe for Out<T> {}
impl<T> RefUnwindSafe for Out<T> {}

impl<T: Copy> Out<T> {
    /// Null is the caller's mistake and becomes a status.
    ///
    /// # Safety
    ///
    /// `pointer` is null, or is aligned, writable, and touched by nobody else while the `Out` lives.
    pub(crate) unsafe fn new(pointer: *mut T) -> Result<Self, PinfoldStatus> {
        NonNull::new(pointer)
            .map(Self)
            .ok_or(PinfoldStatus::NullArgument)
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: `new` was promised that the place is writable and ours; it is not null.
        unsafe { self.0.write(value) }
    }
}
