//! References into a mapping that keep it mapped.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::prim::Line;
use crate::prim::atomic::{AtomicU32, AtomicU64};
use crate::sys::Mapping;

/// What may lie in shared memory and be referred to by `&T`.
///
/// # Safety
/// The type is `repr(C)` (or a primitive), valid for every bit pattern, holds no
/// address, has no drop glue, and consists of atomics and unread padding only, so
/// that a store by another process is never a data race.
pub unsafe trait ShmSafe: Sync {}

// SAFETY: an atomic; every bit pattern is valid.
unsafe impl ShmSafe for AtomicU32 {}
// SAFETY: an atomic; every bit pattern is valid.
unsafe impl ShmSafe for AtomicU64 {}
// SAFETY: as its elements, without padding between them.
unsafe impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {}
// SAFETY: repr(C); the padding behind the value is never read.
unsafe impl<T: ShmSafe> ShmSafe for Line<T> {}

/// A `T` in a mapping.
#[derive(Debug)]
pub struct View<T> {
    at: NonNull<T>,
    map: Arc<Mapping>,
}

/// Several `T` in a row in a mapping.
#[derive(Debug)]
pub struct Views<T> {
    at: NonNull<T>,
    count: usize,
    map: Arc<Mapping>,
    of: PhantomData<T>,
}

// SAFETY: a shared reference to a `Sync` value, kept alive by the `Arc`.
unsafe impl<T: ShmSafe> Send for View<T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for View<T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Send for Views<T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Views<T> {}

fn locate<T>(map: &Mapping, offset: usize, count: usize) -> NonNull<T> {
    let len = size_of::<T>().checked_mul(count);
    let end = len.and_then(|len| offset.checked_add(len));
    assert!(
        end.is_some_and(|end| end <= map.len()),
        "a view of {count} × {} bytes at {offset} leaves the segment of {} bytes",
        size_of::<T>(),
        map.len()
    );
    // SAFETY: `offset` is at most the mapping's length, checked just above.
    let at = unsafe { map.base().add(offset) }.cast::<T>();
    assert!(at.is_aligned(), "a view at offset {offset} is not aligned");
    at
}

impl<T: ShmSafe> View<T> {
    pub(super) fn new(map: &Arc<Mapping>, offset: usize) -> Self {
        View {
            at: locate(map, offset, 1),
            map: Arc::clone(map),
        }
    }
}

impl<T: ShmSafe> Views<T> {
    pub(super) fn new(map: &Arc<Mapping>, offset: usize, count: usize) -> Self {
        Views {
            at: locate(map, offset, count),
            count,
            map: Arc::clone(map),
            of: PhantomData,
        }
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        View {
            at: self.at,
            map: Arc::clone(&self.map),
        }
    }
}

impl<T> Clone for Views<T> {
    fn clone(&self) -> Self {
        Views {
            at: self.at,
            count: self.count,
            map: Arc::clone(&self.map),
            of: PhantomData,
        }
    }
}

impl<T: ShmSafe> Deref for View<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `locate` checked range and alignment, `map` keeps it mapped,
        // and `ShmSafe` says any bytes are a `T` and concurrent stores are atomic.
        unsafe { self.at.as_ref() }
    }
}

impl<T: ShmSafe> Deref for Views<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: as for `View`, for `count` values in a row.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.count) }
    }
}
