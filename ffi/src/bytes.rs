//! Arguments and results: some bytes, aligned to 64, on both sides.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The length of a line of cache, in bytes: what every pointer to an argument or a result is a
/// multiple of.
pub(crate) const LINE: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Bytes that begin at a multiple of 64. Up to one line of them is in place.
#[derive(Clone)]
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
            first: Line([0; LINE]),
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

/// Some bytes, which need not be aligned: few of them are in place.
#[derive(Clone)]
pub(crate) enum Few {
    Here(u8, [u8; FEW]),
    There(Box<Bytes>),
}

/// With what goes around them they are no more than the library hands over without an allocation.
const FEW: usize = 20;

impl Few {
    /// The same, aligned.
    pub(crate) fn aligned(&mut self) {
        if let Few::Here(len, bytes) = self {
            *self = Few::There(Box::new(bytes[..usize::from(*len)].into()));
        }
    }
}

impl std::ops::Deref for Few {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Few::Here(len, bytes) => &bytes[..usize::from(*len)],
            Few::There(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Few {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        match bytes.len() {
            0..=FEW => (&bytes[..]).into(),
            _ => Few::There(Box::new(bytes)),
        }
    }
}

impl From<&[u8]> for Few {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > FEW {
            return Few::There(Box::new(bytes.into()));
        }
        let mut few = [0; FEW];
        few[..bytes.len()].copy_from_slice(bytes);
        Few::Here(bytes.len() as u8, few)
    }
}

impl Serialize for Few {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

struct ReadFew;

impl Visitor<'_> for ReadFew {
    type Value = Few;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Few, E> {
        Ok(bytes.into())
    }
}

impl<'de> Deserialize<'de> for Few {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(ReadFew)
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

/// An argument: on its way it is the caller's memory, and on arrival it is one's own.
#[derive(Clone)]
pub(crate) enum Argument {
    /// The caller's, for as long as the call lasts in which it is submitted: it is encoded
    /// there and then.
    Lent(*const u8, usize),
    Own(Bytes),
}

impl Serialize for Argument {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = match self {
            // SAFETY: whoever made it promised so; see `Lent`.
            Argument::Lent(at, len) => unsafe { std::slice::from_raw_parts(*at, *len) },
            Argument::Own(bytes) => bytes,
        };
        serializer.serialize_bytes(bytes)
    }
}

impl<'de> Deserialize<'de> for Argument {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(Argument::Own)
    }
}

// SAFETY: lent bytes are read only while the call lasts that was given them.
unsafe impl Send for Argument {}

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
}
