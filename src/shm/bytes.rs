//! Raw user bytes in a mapping.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::sys::Mapping;

/// A zone of user bytes: the pool's arena.
///
/// Whose bytes they are is the pool's business; this type only makes sure that
/// no range leaves the zone.
#[derive(Clone, Debug)]
pub struct Bytes {
    at: NonNull<u8>,
    len: usize,
    /// Keeps the range mapped.
    _map: Arc<Mapping>,
}

// SAFETY: an address range kept mapped by the `Arc`; access goes through the
// methods below, whose contracts name who may call them.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    pub(super) fn new(map: &Arc<Mapping>, offset: usize, len: usize) -> Self {
        assert!(offset.checked_add(len).is_some_and(|end| end <= map.len()));
        // SAFETY: the range was just checked to lie in the mapping.
        let at = unsafe { map.base().add(offset) };
        Bytes {
            at,
            len,
            _map: Arc::clone(map),
        }
    }

    /// The address of `len` bytes at `offset` of the zone; `None` if they leave it.
    #[inline]
    pub fn range(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: the range lies in the zone, checked just above.
        Some(unsafe { self.at.add(offset) })
    }

    /// Copies `len` bytes at `offset` out, without trusting that nobody writes
    /// them meanwhile. `None` if they leave the zone or `offset` is not a
    /// multiple of 8.
    pub fn copy_out(&self, offset: usize, len: usize) -> Option<Vec<u8>> {
        let words = len.div_ceil(8);
        let at = self.range(offset, words * 8)?.cast::<AtomicU64>();
        if !at.is_aligned() {
            return None;
        }
        // SAFETY: in the zone and aligned, checked just above; atomics tolerate
        // concurrent stores by a peer.
        let source = unsafe { std::slice::from_raw_parts(at.as_ptr(), words) };
        let mut copy = Vec::<u8>::with_capacity(words * 8);
        let room = copy.spare_capacity_mut().chunks_exact_mut(8);
        for (word, room) in source.iter().zip(room) {
            // Relaxed: what makes the bytes ours was read before (a truth word).
            let word = word.load(Ordering::Relaxed).to_ne_bytes();
            room.copy_from_slice(&word.map(MaybeUninit::new));
        }
        // SAFETY: `words * 8` bytes were just written, which is `len` or more.
        unsafe { copy.set_len(len) };
        Some(copy)
    }
}
