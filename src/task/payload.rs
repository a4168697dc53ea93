//! Encoded values on their way into a slot: 48 bytes in place, more on the heap, or in the block
//! of the pool in which they are to travel.

use std::mem::ManuallyDrop;

use crate::pool::{Kept, Loan, Parcel, Pool};

use super::slot::{Head, PAYLOAD_WORDS, Place};

/// Bytes that fit into a slot.
pub const INLINE_LEN: usize = 48;

/// Values of so many bytes are written into the block in which they travel, if there is one.
pub const LONG: usize = 64 * 1024;

/// Most pieces are no longer: an integer, encoded, has ten bytes at most.
const A_LITTLE: usize = 16;

/// A byte buffer that needs no allocation up to [`INLINE_LEN`].
#[derive(Debug, Default)]
pub struct Payload {
    inline: [u64; INLINE_LEN / 8],
    len: usize,
    /// So many bytes at the end, one or none, say in which form the rest is ([`super::codec`]). A
    /// word as its neighbours are: so an empty payload is made of whole ones.
    marks: usize,
    /// Holds all bytes once they are more than [`INLINE_LEN`].
    spill: Spilled,
}

/// A place for what does not fit, which mostly is empty. To see that, and so that there is nothing
/// to drop, takes one look.
#[derive(Debug, Default)]
struct Spilled(ManuallyDrop<Spill>);

impl Spilled {
    #[inline(always)]
    fn is_nothing(&self) -> bool {
        matches!(&*self.0, Spill::Heap(bytes) if bytes.capacity() == 0)
    }

    fn take(&mut self) -> Spill {
        ManuallyDrop::into_inner(std::mem::take(&mut self.0))
    }

    fn set(&mut self, spill: Spill) {
        *self = Spilled(ManuallyDrop::new(spill));
    }
}

impl Drop for Spilled {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.is_nothing() {
            let_go(self);
        }
    }
}

#[cold]
#[inline(never)]
fn let_go(spilled: &mut Spilled) {
    drop(spilled.take());
}

/// Where bytes are that do not fit into a slot.
#[derive(Debug)]
enum Spill {
    Heap(Vec<u8>),
    /// The first bytes of it.
    Block(Loan),
    /// As they were collected.
    Kept(Kept),
    /// Nowhere: they are counted.
    Counted,
}

impl Default for Spill {
    fn default() -> Self {
        Spill::Heap(Vec::new())
    }
}

impl Payload {
    /// An empty one.
    #[inline]
    pub fn new() -> Self {
        Payload::default()
    }

    /// Of bytes that came out of a slot.
    pub fn from_words(words: [u64; INLINE_LEN / 8], len: usize) -> Self {
        Payload {
            inline: words,
            len: len.min(INLINE_LEN),
            marks: 0,
            spill: Spilled::default(),
        }
    }

    /// Of bytes that came out of a block.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let mut payload = Payload::new();
        if bytes.len() > INLINE_LEN {
            payload.len = bytes.len();
            payload.spill.set(Spill::Heap(bytes));
        } else {
            payload.extend(&bytes);
        }
        payload
    }

    /// Of a long result, where it is.
    pub fn from_kept(kept: Kept) -> Self {
        let mut payload = Payload::new();
        if kept.bytes().len() > INLINE_LEN {
            payload.len = kept.bytes().len();
            payload.spill.set(Spill::Kept(kept));
        } else {
            payload.extend(kept.bytes());
        }
        payload
    }

    /// One that counts what is appended, and does not keep it; as if `len` bytes were in it.
    pub fn counting(len: usize) -> Self {
        let mut payload = Payload::new();
        payload.len = len;
        payload.spill.set(Spill::Counted);
        payload
    }

    /// An empty one has this memory for what will not fit into a slot.
    #[inline]
    pub fn use_heap(&mut self, bytes: Vec<u8>) {
        self.spill.set(Spill::Heap(bytes));
    }

    /// Takes out the memory of the heap that it has, if there is any.
    #[inline]
    pub fn take_heap(mut self) -> Option<Vec<u8>> {
        match self.spill.take() {
            Spill::Heap(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Has its bytes in this block from now on.
    pub fn move_into(&mut self, mut block: Loan) {
        if !self.is_inline() {
            let bytes = self.bytes();
            match block.get_mut(..bytes.len()) {
                Some(place) => place.copy_from_slice(bytes),
                None => return,
            }
        }
        self.spill.set(Spill::Block(block));
    }

    /// Takes out the block, if its bytes are in one of that pool.
    pub fn take_block(&mut self, pool: &Pool) -> Option<Loan> {
        match &*self.spill.0 {
            Spill::Block(block) if !self.is_inline() && block.is_of(pool) => {}
            _ => return None,
        }
        let Spill::Block(mut block) = self.spill.take() else {
            return None;
        };
        block.truncate(self.len);
        self.clear();
        Some(block)
    }

    /// Has these bytes instead, which came out of a slot; keeps the memory.
    #[inline]
    pub fn restart(&mut self, words: [u64; INLINE_LEN / 8], len: usize) {
        self.inline = words;
        self.len = len.min(INLINE_LEN);
        self.marks = 0;
        self.clear_spill();
    }

    /// Forgets the bytes, keeps memory of the heap.
    pub fn clear(&mut self) {
        self.len = 0;
        self.marks = 0;
        self.clear_spill();
    }

    #[inline]
    fn clear_spill(&mut self) {
        match &mut *self.spill.0 {
            Spill::Heap(bytes) => bytes.clear(),
            _ => self.forget_block(),
        }
    }

    #[cold]
    fn forget_block(&mut self) {
        self.spill.set(Spill::default());
    }

    /// Appends what says in which form a value is.
    pub fn mark(&mut self, form: u8) {
        self.extend(&[form]);
        self.marks = 1;
    }

    /// Whether that was done.
    #[inline]
    pub fn is_marked(&self) -> bool {
        self.marks > 0
    }

    /// Whether it is nothing but a few bytes of a value in the plain form.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_inline() && !self.is_marked()
    }

    /// Forgets all but the first `len` bytes, and what was said of them.
    pub fn truncate(&mut self, len: usize) {
        self.marks = 0;
        if len >= self.len {
            return;
        }
        if let Spill::Heap(bytes) = &mut *self.spill.0 {
            bytes.truncate(len.max(INLINE_LEN));
        }
        if len <= INLINE_LEN && !self.is_inline() {
            // Those that were inline once are there still; others may not be.
            let mut inline = self.inline;
            if let Some(bytes) = self.bytes().get(..len) {
                bytemuck::cast_slice_mut(&mut inline)[..len].copy_from_slice(bytes);
            }
            self.inline = inline;
        }
        self.len = len;
    }

    /// How many bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether they fit into a slot.
    #[inline]
    pub fn is_inline(&self) -> bool {
        self.len <= INLINE_LEN
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        if self.is_inline() {
            return &bytemuck::cast_slice(&self.inline)[..self.len];
        }
        match &*self.spill.0 {
            Spill::Heap(bytes) => bytes,
            Spill::Block(block) => block.get(..self.len).unwrap_or_default(),
            Spill::Kept(kept) => kept.bytes().get(..self.len).unwrap_or_default(),
            Spill::Counted => &[],
        }
    }

    /// As words for a slot: only as many as are used.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.inline[..self.len.min(INLINE_LEN).div_ceil(8)]
    }

    /// The words for a slot, used or not; of no meaning for a long one.
    #[inline]
    pub fn all_words(&self) -> [u64; INLINE_LEN / 8] {
        self.inline
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, more: &[u8]) {
        if more.len() <= 8 && self.len + more.len() <= INLINE_LEN {
            self.extend_a_little(more);
        } else if self.len > INLINE_LEN
            && let Spill::Heap(bytes) = &mut *self.spill.0
        {
            bytes.extend_from_slice(more);
            self.len += more.len();
        } else {
            self.extend_much(more);
        }
    }

    /// Appends up to 16 bytes, of which the compiler knows how many.
    #[inline(always)]
    pub fn extend_few<const COUNT: usize>(&mut self, few: [u8; COUNT]) {
        if COUNT <= A_LITTLE && self.len + COUNT <= INLINE_LEN {
            let (first, second) = few.split_at(COUNT.min(8));
            self.extend_a_little(first);
            if COUNT > 8 {
                self.extend_a_little(second);
            }
        } else {
            self.extend_far(&few);
        }
    }

    #[inline(never)]
    fn extend_far(&mut self, more: &[u8]) {
        self.extend(more);
    }

    #[inline(never)]
    fn extend_much(&mut self, more: &[u8]) {
        let end = self.len + more.len();
        if end <= INLINE_LEN {
            if more.len() <= A_LITTLE {
                more.chunks(8).for_each(|few| self.extend_a_little(few));
                return;
            }
            bytemuck::cast_slice_mut(&mut self.inline)[self.len..end].copy_from_slice(more);
        } else {
            self.spill_over(more);
        }
        self.len = end;
    }

    /// Appends up to 8 bytes to inline ones. Whole words are written: to read one that was
    /// just written byte by byte takes until they have left the CPU.
    #[inline(always)]
    fn extend_a_little(&mut self, few: &[u8]) {
        let piece = match few {
            [byte] => u64::from(*byte),
            [a, b] => u16::from_le_bytes([*a, *b]).into(),
            [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]).into(),
            [a, b, c, d, e, f, g, h] => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            _ => {
                let bytes = few.iter().enumerate();
                bytes.fold(0, |piece, (at, byte)| piece | u64::from(*byte) << (8 * at))
            }
        };
        let (first, shift) = (self.len / 8, 8 * (self.len % 8));
        if let Some(word) = self.inline.get_mut(first) {
            *word = match shift {
                0 => piece.to_le(),
                _ => {
                    let before = u64::from_le(*word) & !(u64::MAX << shift);
                    (before | piece << shift).to_le()
                }
            };
        }
        if shift + 8 * few.len() > 64
            && let Some(word) = self.inline.get_mut(first + 1)
        {
            *word = (piece >> (64 - shift)).to_le();
        }
        self.len += few.len();
    }

    /// Appends the first `len` bytes of some words, if all stays inline; else nothing, and
    /// false. Whole words are moved, never bytes.
    #[inline]
    pub fn extend_by_words<const COUNT: usize>(&mut self, more: &[u64; COUNT], len: usize) -> bool {
        let (at, end) = (self.len, self.len + len);
        if end > INLINE_LEN || len > 8 * COUNT {
            return false;
        }
        put_words(&mut self.inline, at, more, len);
        self.len = end;
        true
    }

    /// Puts more behind the bytes than fits into a slot; how many they are is the caller's.
    #[cold]
    fn spill_over(&mut self, more: &[u8]) {
        let at = self.len;
        let inline = match self.is_inline() {
            true => &bytemuck::cast_slice(&self.inline)[..at],
            false => &[],
        };
        match &mut *self.spill.0 {
            Spill::Heap(bytes) => {
                bytes.truncate(at - inline.len());
                bytes.extend_from_slice(inline);
                bytes.extend_from_slice(more);
            }
            Spill::Block(block) => {
                if let Some(place) = block.get_mut(..at + more.len()) {
                    let (before, behind) = place.split_at_mut(at);
                    before[..inline.len()].copy_from_slice(inline);
                    behind.copy_from_slice(more);
                    return;
                }
                let before = match inline {
                    [] => block.get(..at).unwrap_or_default(),
                    inline => inline,
                };
                let whole = [before, more].concat();
                self.spill.set(Spill::Heap(whole));
            }
            Spill::Kept(kept) => {
                let before = match inline {
                    [] => kept.bytes().get(..at).unwrap_or_default(),
                    inline => inline,
                };
                let whole = [before, more].concat();
                self.spill.set(Spill::Heap(whole));
            }
            Spill::Counted => {}
        }
    }

    /// Whether so many more bytes had better be in a block.
    pub fn is_long_with(&self, more: usize) -> bool {
        self.len + more >= LONG && matches!(*self.spill.0, Spill::Heap(_))
    }

    /// Appends bytes if there is memory for them; whether there was.
    pub fn try_extend(&mut self, more: &[u8]) -> bool {
        let has_room = match &mut *self.spill.0 {
            Spill::Heap(bytes) => bytes.try_reserve(INLINE_LEN + more.len()).is_ok(),
            _ => true,
        };
        if has_room {
            self.extend(more);
        }
        has_room
    }

    /// Appends parcels.
    pub fn push_parcels(&mut self, parcels: &[Parcel]) {
        for parcel in parcels {
            for word in parcel.pack() {
                self.extend(&word.to_ne_bytes());
            }
        }
    }
}

/// Puts the first `len` bytes of `more` behind the first `at` bytes of `words`. There is room.
#[inline]
pub fn put_words(words: &mut [u64; INLINE_LEN / 8], at: usize, more: &[u64], len: usize) {
    let (first, shift) = (at / 8, 8 * (at % 8));
    for (n, piece) in more.iter().take(len.div_ceil(8)).enumerate() {
        let left = len - 8 * n;
        let piece = match left {
            0..8 => u64::from_le(*piece) & !(u64::MAX << (8 * left)),
            _ => u64::from_le(*piece),
        };
        if let Some(word) = words.get_mut(first + n) {
            let before = u64::from_le(*word) & !(u64::MAX << shift);
            *word = (before | piece << shift).to_le();
        }
        if shift > 0
            && let Some(word) = words.get_mut(first + n + 1)
        {
            *word = (piece >> (64 - shift)).to_le();
        }
    }
}

/// Splits the last `count` parcels off encoded bytes; `None` if they are not there.
pub fn split_parcels(bytes: &[u8], count: u8) -> Option<(&[u8], Vec<Parcel>)> {
    let size = Parcel::WORDS * 8;
    let at = bytes.len().checked_sub(usize::from(count) * size)?;
    let (value, tail) = bytes.split_at(at);
    let word = |bytes: &[u8], i: usize| {
        let bytes = bytes[i * 8..][..8].try_into().unwrap_or_default();
        u64::from_ne_bytes(bytes)
    };
    let parcels: Option<Vec<_>> = tail
        .chunks_exact(size)
        .map(|b| Parcel::unpack([word(b, 0), word(b, 1), word(b, 2)]))
        .collect();
    Some((value, parcels?))
}

/// The parcels among the arguments in a slot, as `Slot::read` gives it, before the block
/// that they may be in is taken over. Others may write it meanwhile: then they are not
/// what they say.
pub fn parcels_of(head: &Head, words: [u64; PAYLOAD_WORDS], pool: &Pool) -> Option<Vec<Parcel>> {
    if head.parcels == 0 {
        return Some(Vec::new());
    }
    let split = |bytes: &[u8]| split_parcels(bytes, head.parcels).map(|(_, parcels)| parcels);
    match head.place {
        Place::Inline(len) => split(Payload::from_words(words, len).bytes()),
        Place::Block { index, len, .. } => {
            let from = len.checked_sub(usize::from(head.parcels) * Parcel::WORDS * 8)?;
            split(&pool.peek(index, from, len)?)
        }
    }
}
