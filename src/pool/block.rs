//! A block: the states of its word, and where it lies.

use crate::prim::{BlockIndex, Generation};

/// What a block's word may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockState {
    /// No block is here now.
    Absent = 0,
    /// Nobody's.
    Free = 1,
    /// One process may write it.
    Loaned = 2,
    /// Read-only; its holders are bits.
    Shared = 3,
    /// In the result of the task in the slot that the owner field names.
    Carried = 4,
    /// Written by several processes at once: see [`super::token`].
    Lane = 5,
    /// No correct process wrote this.
    Damaged = 15,
}

impl BlockState {
    #[inline]
    pub(super) fn of(state: u8) -> Self {
        match state {
            0 => BlockState::Absent,
            1 => BlockState::Free,
            2 => BlockState::Loaned,
            3 => BlockState::Shared,
            4 => BlockState::Carried,
            5 => BlockState::Lane,
            _ => BlockState::Damaged,
        }
    }
}

/// A block this process owns or holds: where it is and which one.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Which.
    pub index: BlockIndex,
    /// In which generation.
    pub generation: Generation,
    /// Its first byte, in bytes from the arena's start.
    pub offset: usize,
    /// Its size in bytes.
    pub capacity: usize,
}
