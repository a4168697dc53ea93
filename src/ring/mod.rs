//! Rings of 64-bit words in shared memory.
//!
//! ```text
//!   0            128           256
//!   +------------+-------------+--------------------------------------+
//!   | head       | tail        | capacity words                       |
//!   +------------+-------------+--------------------------------------+
//!    next to take  next to fill   word i of the stream is at i mod capacity
//! ```
//!
//! `head` and `tail` only ever grow; `tail - head` words are in the ring, never
//! more than `capacity` (a power of two). A difference greater than that was not
//! written by this code: it is reported as [`Damaged`] and never used.
//!
//! Two protocols over the same bytes:
//!
//! * [`spsc`]: one writer, one reader. Publishing is one Release store.
//! * [`steal`]: one writer side, any number of takers in any process. A taker
//!   copies the words out and then moves `head` over them by compare-and-swap;
//!   if that fails it has copied for nothing. There is no mark per word, so a
//!   taker or writer that dies at any point leaves the ring whole.

pub mod spsc;
pub mod steal;

use crate::prim::Line;
use crate::prim::atomic::AtomicU64;
use crate::shm::{Segment, View, Views};

/// Head or tail hold values that no correct peer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ring damaged: head {head}, tail {tail}, capacity {capacity}")]
pub struct Damaged {
    /// What `head` said.
    pub head: u64,
    /// What `tail` said.
    pub tail: u64,
    /// How many words fit.
    pub capacity: u64,
}

/// A ring's bytes, attached.
#[derive(Clone, Debug)]
pub struct RingView {
    head: View<Line<AtomicU64>>,
    tail: View<Line<AtomicU64>>,
    words: Views<AtomicU64>,
}

impl RingView {
    /// Bytes that head and tail take.
    pub const INDICES_LEN: usize = 2 * size_of::<Line<AtomicU64>>();

    /// Bytes that a ring of `capacity` words takes.
    pub const fn len(capacity: usize) -> usize {
        Self::INDICES_LEN + Self::words_len(capacity)
    }

    /// Bytes of `capacity` words.
    pub const fn words_len(capacity: usize) -> usize {
        capacity * size_of::<AtomicU64>()
    }

    /// The ring of `capacity` words (a power of two) at `offset`.
    ///
    /// # Panics
    /// If `capacity` is not a power of two, or the range leaves the segment.
    pub fn attach(segment: &Segment, offset: usize, capacity: usize) -> Self {
        Self::attach_apart(segment, offset, offset + Self::INDICES_LEN, capacity)
    }

    /// The ring whose head and tail are at `indices`, and whose words at `words`.
    ///
    /// # Panics
    /// As [`RingView::attach`].
    pub fn attach_apart(segment: &Segment, indices: usize, words: usize, capacity: usize) -> Self {
        assert!(capacity.is_power_of_two(), "capacity {capacity}");
        RingView {
            head: segment.view(indices),
            tail: segment.view(indices + size_of::<Line<AtomicU64>>()),
            words: segment.views(words, capacity),
        }
    }

    #[inline]
    fn capacity(&self) -> u64 {
        self.words.len() as u64
    }

    #[inline]
    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[(position & (self.capacity() - 1)) as usize]
    }

    /// The `count` words from `position` on (at most `capacity`), in at most two pieces:
    /// to walk along them costs neither a mask nor a check for each.
    #[inline]
    fn run(&self, position: u64, count: u64) -> (&[AtomicU64], &[AtomicU64]) {
        let words = &*self.words;
        let from = (position & (self.capacity() - 1)) as usize;
        let first = (words.len() - from).min(count as usize);
        (&words[from..from + first], &words[..count as usize - first])
    }

    fn damaged(&self, head: u64, tail: u64) -> Damaged {
        Damaged {
            head,
            tail,
            capacity: self.capacity(),
        }
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
