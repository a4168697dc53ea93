//! What a lock guards: plain data, in the lane behind its words.

use std::ptr::NonNull;

use bytemuck::Pod;

use crate::prim::atomic::Ordering;
use crate::shm::{Bytes, Segment};

use super::base::{Base, Site};

/// Data begin at multiples of this.
const ALIGN: usize = 64;

/// What a lock can guard: a [`Pod`] type, or a slice of one.
pub trait Data: Point {}

impl<T: Pod> Data for T {}
impl<T: Pod> Data for [T] {}

/// What can be pointed to when so many bytes are known to lie somewhere.
pub trait Point {
    /// The size of an element, in bytes, and how many there must be; `None`: any number.
    const ELEMENT: (usize, Option<usize>);

    /// The value that lies there.
    fn point(at: NonNull<u8>, bytes: usize) -> NonNull<Self>;
}

const fn fits<T>() -> usize {
    assert!(
        align_of::<T>() <= ALIGN,
        "no type of an alignment above 64 is guarded by a lock"
    );
    size_of::<T>()
}

impl<T: Pod> Point for T {
    const ELEMENT: (usize, Option<usize>) = (fits::<T>(), Some(1));

    fn point(at: NonNull<u8>, _: usize) -> NonNull<T> {
        at.cast()
    }
}

impl<T: Pod> Point for [T] {
    const ELEMENT: (usize, Option<usize>) = (fits::<T>(), None);

    fn point(at: NonNull<u8>, bytes: usize) -> NonNull<[T]> {
        let len = bytes.checked_div(size_of::<T>()).unwrap_or(0);
        NonNull::slice_from_raw_parts(at.cast(), len)
    }
}

/// Where the data of an object lie.
#[derive(Debug)]
pub struct Place {
    all: Bytes,
    bytes: usize,
}

impl Place {
    /// Words of an object with so many of its own, and data of so many bytes behind them. The
    /// first two that are not its own say how large the data are.
    pub fn words_for(own: usize, bytes: usize) -> usize {
        let data = bytes.div_ceil(8);
        (own + 2).next_multiple_of(8).saturating_add(data)
    }

    fn data_at(own: usize) -> usize {
        (own + 2).next_multiple_of(8) * 8
    }

    /// Writes the data of a fresh object.
    pub fn write<T: Pod>(segment: &Segment, at: usize, own: usize, values: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if let Some(to) = Self::fresh::<T>(segment, at, own, bytes.len()) {
            // SAFETY: so many bytes lie there, of a block that nobody else has yet.
            unsafe { to.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        }
    }

    /// The same of so many values, all of whose bytes are 0.
    pub fn write_zeros<T: Pod>(segment: &Segment, at: usize, own: usize, values: usize) {
        let bytes = size_of::<T>() * values;
        if let Some(to) = Self::fresh::<T>(segment, at, own, bytes) {
            // SAFETY: as above.
            unsafe { to.write_bytes(0, bytes) };
        }
    }

    /// Where the data of a fresh object are to be written, which are so many bytes of `T`.
    fn fresh<T>(segment: &Segment, at: usize, own: usize, bytes: usize) -> Option<NonNull<u8>> {
        let said = segment.views(at + own * 8, 2);
        for (word, value) in Iterator::zip(said.iter(), [size_of::<T>(), bytes]) {
            let word: &crate::prim::atomic::AtomicU64 = word;
            // Relaxed: whoever gets the object sees what was written before.
            word.store(value as u64, Ordering::Relaxed);
        }
        let all = segment.bytes(at + Self::data_at(own), bytes);
        all.range(0, bytes)
    }

    /// Where the data of an object are, if they are a `T`.
    pub fn find<T: ?Sized + Data>(base: &Base, own: usize) -> Option<Self> {
        let Site { at, words, .. } = base.site;
        if words < own + 2 {
            return None;
        }
        let said = base.pool().segment().views(at + own * 8, 2);
        let word = |number: usize| {
            let word: &crate::prim::atomic::AtomicU64 = &said[number];
            // Relaxed: it never changes, and came with the object.
            usize::try_from(word.load(Ordering::Relaxed)).ok()
        };
        let (element, bytes) = (word(0)?, word(1)?);
        let (size, count) = T::ELEMENT;
        let is_of_it = element == size
            && match count {
                Some(count) => bytes == count * size,
                None => bytes.is_multiple_of(size.max(1)),
            };
        let room = (words * 8).checked_sub(Self::data_at(own))?;
        if !is_of_it || bytes > room {
            return None;
        }
        let all = base.pool().segment().bytes(at + Self::data_at(own), bytes);
        let begin = all.range(0, bytes)?;
        // A block of whole multiples of 64 bytes begins at one.
        (begin.addr().get() % ALIGN == 0).then_some(Place { all, bytes })
    }

    /// The data: valid for as long as this is.
    #[inline]
    pub fn point<T: ?Sized + Data>(&self) -> NonNull<T> {
        // The whole of it is always inside.
        let at = self.all.range(0, self.bytes).unwrap_or(NonNull::dangling());
        T::point(at, self.bytes)
    }
}
