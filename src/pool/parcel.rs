//! What a buffer is in words, on its way: three behind the encoded bytes.
//!
//! ```text
//!  word 0   63 … 40 start, high half | 39 … 32 kind | 31 … 0 block
//!  word 1   63 … 40 start, low half  | 39 … 0 generation, or which passage
//!  word 2   length in bytes
//! ```
//!
//! Start and length say which bytes of the block are meant; a loan starts at 0. Several ranges of one
//! block are a parcel each. Whoever accepts one believes neither before it has compared them
//! with the size of the block, which it knows from its own map.

use crate::prim::{BlockIndex, Generation};

/// How a block travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ParcelKind {
    /// Argument; the host holds it until the task ends.
    SharedArgument = 1,
    /// Argument; the host's until the worker takes it.
    LoanArgument = 2,
    /// Result, `Carried` by the task's slot.
    SharedResult = 3,
    /// Result, `Carried` by the task's slot.
    LoanResult = 4,
    /// Result that was among the arguments: the host holds it already.
    Borrowed = 5,
    /// In a message, kept by a passage: see [`super::passage`].
    Passing = 6,
    /// In a message, `Carried` by it.
    SharedMessage = 7,
    /// In a message, `Carried` by it.
    LoanMessage = 8,
    /// An end among the arguments of a task that may be run again, kept by a passage until that has ended: each
    /// attempt holds it besides.
    Repeated = 9,
}

/// A block on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// How it travels.
    pub kind: ParcelKind,
    /// Which block.
    pub index: BlockIndex,
    /// In which generation; of a passage (`super::passage`), which entry it is instead.
    pub generation: Generation,
    /// At which of its bytes that begins what is meant; below [`Parcel::STARTS`].
    pub start: u64,
    /// How many bytes are meant.
    pub len: u64,
}

/// Bits of a start that are in a word with something else.
const HALF: u32 = 24;
const SHIFT: u32 = u64::BITS - HALF;

impl Parcel {
    /// Words of a parcel.
    pub const WORDS: usize = 3;

    /// No block has so many bytes.
    pub const STARTS: u64 = 1 << (2 * HALF);

    /// Whether it gives its one owner away.
    pub fn is_loan(&self) -> bool {
        matches!(
            self.kind,
            ParcelKind::LoanArgument | ParcelKind::LoanResult | ParcelKind::LoanMessage
        )
    }

    /// As words.
    pub fn pack(self) -> [u64; Self::WORDS] {
        debug_assert!(self.start < Self::STARTS);
        let first = u64::from(self.index.0) | (self.kind as u64) << 32;
        [
            first | (self.start >> HALF) << SHIFT,
            self.generation.raw() | self.start << SHIFT,
            self.len,
        ]
    }

    /// From words; `None` for a kind that does not exist.
    pub fn unpack(words: [u64; Self::WORDS]) -> Option<Self> {
        let kind = match (words[0] >> 32) as u8 {
            1 => ParcelKind::SharedArgument,
            2 => ParcelKind::LoanArgument,
            3 => ParcelKind::SharedResult,
            4 => ParcelKind::LoanResult,
            5 => ParcelKind::Borrowed,
            6 => ParcelKind::Passing,
            7 => ParcelKind::SharedMessage,
            8 => ParcelKind::LoanMessage,
            9 => ParcelKind::Repeated,
            _ => return None,
        };
        Some(Parcel {
            kind,
            index: BlockIndex(words[0] as u32),
            generation: Generation::new(words[1]),
            start: (words[0] >> SHIFT) << HALF | words[1] >> SHIFT,
            len: words[2],
        })
    }
}
