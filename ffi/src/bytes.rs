//! Arguments and results: some bytes, aligned to 64, on both sides.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The length of a line of cache, in bytes: what every pointer to an argument or a result is a
/// multiple of.
pub(crate) const LINE: usize = 64;

/// A line of cache.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; LINE]);

impl Default for Line {
    #[inline]
    fn default() -> Self {
        Line([0; LINE])
    }
}

/// Bytes that begin at a multiple of 64. Up to one line of them is in place.
#[derive(Clone, Default)]
pub(crate) struct Bytes {
    len: usize,
    first: Line,
    /// All of them, if there are more than in one line.
    lines: Vec<Line>,
}

impl Bytes {
    /// `len` bytes, all 0.
    pub(crate) fn zeroed(len: usize) -> Self {
        let lines = match len {
            0..=LINE => Vec::new(),
            _ => vec![Line([0; LINE]); len.div_ceil(LINE)],
        };
        Bytes {
            len,
            first: Line::default(),
            lines,
        }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.len <= LINE {
            return &self.first.0[..self.len];
        }
        &self.lines.as_flattened_lines()[..self.len]
    }
}

impl std::ops::DerefMut for Bytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        if self.len <= LINE {
            return &mut self.first.0[..self.len];
        }
        &mut self.lines.as_flattened_lines_mut()[..self.len]
    }
}

trait Flat {
    fn as_flattened_lines(&self) -> &[u8];
    fn as_flattened_lines_mut(&mut self) -> &mut [u8];
}

impl Flat for Vec<Line> {
    fn as_flattened_lines(&self) -> &[u8] {
        // SAFETY: a `Line` is 64 bytes and nothing else.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.len() * LINE) }
    }

    fn as_flattened_lines_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), self.len() * LINE) }
    }
}

const _: () = assert!(size_of::<Line>() == LINE && align_of::<Line>() == LINE);

/// Some bytes, which need not be aligned; two registers, for they are handed on several times.
#[derive(Clone)]
pub(crate) enum Few {
    /// Eight, as a number that has them in memory.
    Eight(u64),
    /// Fewer: the last byte of the number says how many.
    Less(u64),
    More(Box<Bytes>),
    /// An argument on its way: the caller's, for as long as the call lasts in which it is submitted. It
    /// is encoded there and then, and what arrives is one's own.
    Lent(*const &'static [u8]),
}

// SAFETY: lent bytes are read only while the call lasts that was given them.
unsafe impl Send for Few {}
// SAFETY: as above.
unsafe impl Sync for Few {}

pub(crate) const WORD: usize = size_of::<u64>();

impl Few {
    /// None.
    pub(crate) const NONE: Few = Few::Less(0);

    /// The same, aligned.
    pub(crate) fn aligned(&mut self) {
        if !matches!(self, Few::More(_)) {
            *self = Few::More(Box::new(self[..].into()));
        }
    }

    /// Up to eight bytes.
    #[inline]
    fn word(bytes: &[u8]) -> Option<Self> {
        if let Ok(all) = bytes.try_into() {
            return Some(Few::Eight(u64::from_ne_bytes(all)));
        }
        let mut word = [0; WORD];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        word[WORD - 1] = bytes.len() as u8;
        Some(Few::Less(u64::from_ne_bytes(word)))
    }

    /// Bytes that stay where they are, to be sent in the call that they are a part of.
    #[inline]
    pub(crate) fn lent(bytes: &&[u8]) -> Self {
        Few::word(bytes).unwrap_or(Few::Lent(std::ptr::from_ref(bytes).cast()))
    }
}

impl std::ops::Deref for Few {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Few::Eight(word) => bytes_of(word),
            Few::Less(word) => less_of(word),
            Few::More(bytes) => bytes,
            // SAFETY: whoever made it promised so.
            Few::Lent(bytes) => unsafe { **bytes },
        }
    }
}

/// A number, as it lies in memory.
#[inline]
pub(crate) fn bytes_of(word: &u64) -> &[u8; WORD] {
    // SAFETY: a number is so many bytes.
    unsafe { &*std::ptr::from_ref(word).cast() }
}

/// As many of them as the last one says.
#[inline]
pub(crate) fn less_of(word: &u64) -> &[u8] {
    let [bytes @ .., len] = bytes_of(word);
    bytes.get(..usize::from(*len)).unwrap_or(bytes)
}

impl From<&[u8]> for Few {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        Few::word(bytes).unwrap_or_else(|| Few::More(Box::new(bytes.into())))
    }
}

impl From<&[u8]> for Bytes {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        let mut own = Bytes::zeroed(bytes.len());
        own.copy_from_slice(bytes);
        own
    }
}

impl Serialize for Bytes {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

struct Read;

impl Visitor<'_> for Read {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(bytes.into())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_kept_and_aligned() {
        for len in [0, 1, 63, 64, 65, 127, 128, 129, 5000] {
            let all: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let bytes = Bytes::from(&all[..]);
            assert_eq!(&bytes[..], &all[..]);
            assert_eq!(bytes.as_ptr().addr() % LINE, 0);
        }
    }

    #[test]
    fn few_bytes_are_kept_in_a_number_and_out_of_it() {
        for len in 0..=LINE + 1 {
            let all: Vec<u8> = (0..len).map(|at| 200 - at as u8).collect();
            let lent = Few::lent(&&all[..]).to_vec();
            assert_eq!(lent, all);
            let own = Few::from(&all[..]);
            assert_eq!(own[..], all[..]);
            assert_eq!(matches!(own, Few::More(_)), len > WORD);
        }
    }

    #[test]
    fn a_number_that_others_have_spoilt_says_no_more_bytes_than_it_has() {
        for word in [u64::MAX, 0x80 << 56, 8 << 56] {
            assert!(Few::Less(word).len() < WORD);
        }
    }
}
