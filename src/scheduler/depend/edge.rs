//! An edge that leads to a pending task in a slot.

use crate::prim::Hint;

/// An edge, as the host knows it; one word, for what is made of pieces and then moved waits
/// for them.
///
/// ```text
///   63 … 32                          31 … 28   27         26 … 24   23 … 20   19 … 0
///   generation, as far as it fits    0         is told?   input     0         slot
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotEdge(u64);

impl SlotEdge {
    /// One that has come from nowhere.
    pub const BLANK: SlotEdge = SlotEdge(0);
    const TOLD: u64 = 1 << 27;

    /// That of an input of the task of a hint.
    #[inline]
    pub fn new(to: Hint, input: usize) -> Self {
        let generation = to.generation.raw() << 32;
        SlotEdge(generation | (input as u64 & 7) << 24 | u64::from(to.slot.0))
    }

    /// The slot that it leads to.
    #[inline]
    pub fn slot(self) -> u32 {
        self.0 as u32 & ((1 << 20) - 1)
    }

    /// Which input it is.
    #[inline]
    pub fn input(self) -> usize {
        (self.0 >> 24) as usize & 7
    }

    #[inline]
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether whoever has run what it begins at has brought the input.
    #[inline]
    pub fn is_told(self) -> bool {
        self.0 & Self::TOLD != 0
    }

    #[inline]
    pub fn told_if(self, is_told: bool) -> Self {
        SlotEdge(self.0 | if is_told { Self::TOLD } else { 0 })
    }
}
