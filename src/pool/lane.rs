//! Which lane, and which end of it: see [`super::token`].

use crate::prim::{BlockIndex, Generation};

/// One of the two sorts of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sender = 0,
    Receiver = 1,
}

/// Which block a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBlock {
    pub(super) index: BlockIndex,
    pub(super) generation: Generation,
}

impl LaneBlock {
    /// As two words, for the memory of another lane that belongs to it.
    pub fn pack(self) -> [u64; 2] {
        [u64::from(self.index.0), self.generation.raw()]
    }

    /// From two words; whether there is such a lane shows when it is looked up.
    pub fn unpack([index, generation]: [u64; 2]) -> Self {
        LaneBlock {
            index: BlockIndex(index as u32),
            generation: Generation::new(generation),
        }
    }

    /// In which generation of the block it is this lane.
    pub fn generation(self) -> Generation {
        self.generation
    }

    /// Its number among the blocks.
    pub fn number(self) -> u32 {
        self.index.0
    }
}
