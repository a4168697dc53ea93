//! Where the plain form goes.

use crate::task::Payload;

/// Takes the bytes of a value, one piece after the other.
pub trait Out {
    /// How many there are.
    fn len(&self) -> usize;

    /// Appends a piece, of which the compiler knows how long it is. False if there is no room.
    fn extend_few<const COUNT: usize>(&mut self, few: [u8; COUNT]) -> bool;

    /// Appends a piece. False if there is no room.
    fn extend(&mut self, more: &[u8]) -> bool;

    /// Appends a long piece. False if there is no memory for it.
    fn try_extend(&mut self, more: &[u8]) -> bool;

    /// Whether so many more bytes had better be in a block.
    fn is_long_with(&self, more: usize) -> bool;
}

impl Out for Payload {
    #[inline(always)]
    fn len(&self) -> usize {
        Payload::len(self)
    }

    #[inline(always)]
    fn extend_few<const COUNT: usize>(&mut self, few: [u8; COUNT]) -> bool {
        Payload::extend_few(self, few);
        true
    }

    #[inline(always)]
    fn extend(&mut self, more: &[u8]) -> bool {
        Payload::extend(self, more);
        true
    }

    fn try_extend(&mut self, more: &[u8]) -> bool {
        Payload::try_extend(self, more)
    }

    fn is_long_with(&self, more: usize) -> bool {
        Payload::is_long_with(self, more)
    }
}

/// Words of a [`Brief`].
pub const BRIEF_WORDS: usize = 16;

/// A few bytes on the stack, as words.
#[derive(Debug)]
pub struct Brief {
    words: [u64; BRIEF_WORDS],
    len: usize,
}

impl Brief {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        Brief {
            words: [0; BRIEF_WORDS],
            len: 0,
        }
    }

    /// How many.
    #[allow(clippy::len_without_is_empty)]
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// As words: only as many as are used.
    #[inline(always)]
    pub fn words(&self) -> &[u64] {
        &self.words[..self.len.div_ceil(8)]
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl Out for Brief {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn extend_few<const COUNT: usize>(&mut self, few: [u8; COUNT]) -> bool {
        self.extend(&few)
    }

    #[inline(always)]
    fn extend(&mut self, more: &[u8]) -> bool {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        let end = self.len + more.len();
        let Some(place) = bytes.get_mut(self.len..end) else {
            return false;
        };
        place.copy_from_slice(more);
        self.len = end;
        true
    }

    fn try_extend(&mut self, more: &[u8]) -> bool {
        self.extend(more)
    }

    fn is_long_with(&self, _: usize) -> bool {
        false
    }
}
