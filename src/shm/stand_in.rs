//! What stands for the real thing in models: a segment whose values are made on the
//! heap when first viewed, because `loom`'s atomics cannot lie in a mapping.
//!
//! Same names, same calls; so rings, bells, slots and the pool are the very source.
//! Two views of one offset are of one value, as in a mapping.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::prim::Line;
use crate::prim::atomic::{AtomicU32, AtomicU64};

/// What may be viewed.
///
/// # Safety
/// As in the real module; and its default is what all zero bytes are.
pub unsafe trait ShmSafe: Send + Sync + Default + 'static {}

// SAFETY: an atomic, zero by default.
unsafe impl ShmSafe for AtomicU32 {}
// SAFETY: an atomic, zero by default.
unsafe impl ShmSafe for AtomicU64 {}
// SAFETY: as its value.
unsafe impl<T: ShmSafe> ShmSafe for Line<T> {}

/// A `T` in a segment.
#[derive(Debug)]
pub struct View<T>(Arc<Vec<T>>);

/// Several `T` in a row in a segment.
#[derive(Debug)]
pub struct Views<T>(Arc<Vec<T>>);

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        View(Arc::clone(&self.0))
    }
}

impl<T> Clone for Views<T> {
    fn clone(&self) -> Self {
        Views(Arc::clone(&self.0))
    }
}

impl<T> Deref for View<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0[0]
    }
}

impl<T> Deref for Views<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// Values by offset.
#[derive(Debug, Default)]
pub struct Segment {
    zones: Mutex<HashMap<usize, Arc<dyn Any + Send + Sync>>>,
}

impl Segment {
    /// An empty one: all zero.
    pub fn empty() -> Self {
        Segment::default()
    }

    fn zone<T: ShmSafe>(&self, offset: usize, count: usize) -> Arc<Vec<T>> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let zone = zones.entry(offset).or_insert_with(|| {
            let fresh: Vec<T> = (0..count).map(|_| T::default()).collect();
            Arc::new(fresh)
        });
        let zone = Arc::clone(zone).downcast::<Vec<T>>();
        let zone = zone.expect("an offset is always viewed as the same type");
        assert_eq!(zone.len(), count, "an offset is always viewed whole");
        zone
    }

    /// The `T` at `offset`.
    pub fn view<T: ShmSafe>(&self, offset: usize) -> View<T> {
        View(self.zone(offset, 1))
    }

    /// The `count` values of `T` from `offset` on.
    pub fn views<T: ShmSafe>(&self, offset: usize, count: usize) -> Views<T> {
        Views(self.zone(offset, count))
    }

    /// The bytes of a zone that holds user data: none, models look at words only.
    pub fn bytes(&self, _offset: usize, _len: usize) -> Bytes {
        Bytes
    }

    /// Gives nothing back.
    pub fn punch(&self, _offset: usize, _len: usize) -> Result<(), nix::errno::Errno> {
        Ok(())
    }
}

/// No bytes.
#[derive(Clone, Debug)]
pub struct Bytes;

impl Bytes {
    /// No address.
    pub fn range(&self, _offset: usize, _len: usize) -> Option<NonNull<u8>> {
        None
    }

    /// No copy.
    pub fn copy_out(&self, _offset: usize, _len: usize) -> Option<Vec<u8>> {
        None
    }
}
