//! What keeps a buffer that is in a message, as it is named: see [`super::passage`].

use crate::prim::{BlockIndex, Generation};

const SEQUENCE_BITS: u32 = 20;
pub(super) const SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;

/// Which entry of the table of passages, and in which of its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub(super) at: u32,
    pub(super) sequence: u32,
}

impl Entry {
    /// As a parcel has it in place of the generation: the block stays in the one that it is in as
    /// long as the passage lasts.
    #[inline]
    pub(super) fn pack(self) -> Generation {
        Generation::new(u64::from(self.at) << SEQUENCE_BITS | u64::from(self.sequence))
    }

    #[inline]
    pub(super) fn unpack(packed: Generation) -> Self {
        let (at, sequence) = (packed.raw() >> SEQUENCE_BITS, packed.raw() & SEQUENCE);
        let (at, sequence) = (at as u32, sequence as u32);
        Entry { at, sequence }
    }
}

/// What keeps a buffer that is in a message; the message's parcel says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Passage {
    /// An entry of the table.
    Entry(Entry),
    /// The block's own word.
    Carried(BlockIndex, Generation),
}
