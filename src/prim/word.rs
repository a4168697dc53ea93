//! The word of truth: state, owner and generation in 64 bits.
//!
//! ```text
//!  63   60 59               40 39                                     0
//! +-------+-------------------+----------------------------------------+
//! | state |       owner       |              generation                |
//! +-------+-------------------+----------------------------------------+
//!    4              20                          40                bits
//! ```
//!
//! Task slots, pool blocks and pool spans all use this shape; what the states
//! are called is the business of each of them. Every change of ownership is one
//! compare-and-swap (or, by the sole owner, one store) of the whole word.

use super::Generation;

const STATE_SHIFT: u32 = 60;
const OWNER_SHIFT: u32 = Generation::BITS;

/// The greatest owner number a word can hold.
pub const OWNER_MAX: u32 = (1 << (STATE_SHIFT - OWNER_SHIFT)) - 1;

/// A truth word taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// What state it is in, 0 to 15.
    pub state: u8,
    /// Who owns it, 0 to [`OWNER_MAX`].
    pub owner: u32,
    /// Which generation it is.
    pub generation: Generation,
}

impl Word {
    /// Puts the three together.
    #[inline]
    pub const fn new(state: u8, owner: u32, generation: Generation) -> Self {
        Word {
            state,
            owner,
            generation,
        }
    }

    /// As the 64 bits that lie in shared memory.
    #[inline]
    pub const fn pack(self) -> u64 {
        debug_assert!(self.state < 16 && self.owner <= OWNER_MAX);
        ((self.state as u64) << STATE_SHIFT)
            | ((self.owner as u64) << OWNER_SHIFT)
            | self.generation.raw()
    }

    /// From the 64 bits; every bit pattern is a word, if not always a sensible one.
    #[inline]
    pub const fn unpack(raw: u64) -> Self {
        Word {
            state: (raw >> STATE_SHIFT) as u8,
            owner: ((raw >> OWNER_SHIFT) as u32) & OWNER_MAX,
            generation: Generation::new(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for state in [0, 1, 15] {
            for owner in [0, 1, OWNER_MAX] {
                for generation in [0, 1, (1 << 40) - 1] {
                    let word = Word::new(state, owner, Generation::new(generation));
                    assert_eq!(Word::unpack(word.pack()), word);
                }
            }
        }
    }

    #[test]
    fn all_zero_is_state_zero() {
        assert_eq!(Word::unpack(0), Word::new(0, 0, Generation::new(0)));
    }
}
