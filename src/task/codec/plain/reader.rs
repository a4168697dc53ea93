//! Where a value is read from, and its smallest pieces. The bytes may be anybody's: no length in them is believed. Others may
//! write them meanwhile, where long values are read from shared memory: so each is read once, and
//! what must be so and so (a text, say) is copied before that is looked at.

use serde::de::{DeserializeSeed, Visitor};

use super::super::depth::{Depth, deeper};
use super::super::fault::Fault;
use super::super::shape::{self, and};
use super::empty::Empty;
use super::names::{Name, Names};
use super::{memory, numbers};

/// Where a value is read from.
#[derive(Debug)]
pub struct Reader<'de, 'n> {
    /// What was not read yet.
    pub rest: &'de [u8],
    /// What was asked for so far.
    pub shape: u64,
    pub names: Names<'n>,
    pub(super) depth: Depth,
    /// Elements that took no byte.
    pub(super) empty: Empty,
}

impl<'de, 'n> Reader<'de, 'n> {
    #[inline(always)]
    pub fn new(bytes: &'de [u8], names: Names<'n>) -> Self {
        Reader {
            rest: bytes,
            shape: shape::NOTHING,
            names,
            depth: Depth::default(),
            empty: Empty::default(),
        }
    }

    #[inline(always)]
    pub(super) fn token(&mut self, token: u64) {
        self.shape = and(self.shape, token);
    }

    #[inline(always)]
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or_else(Fault::short)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, len: usize) -> Result<&'de [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(Fault::short)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline(always)]
    pub(super) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(Fault::short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length, or which variant: of up to `bits` bits.
    #[inline(always)]
    pub(super) fn varint(&mut self, bits: u32) -> Result<u64, Fault> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        self.varint_after(first, bits)
    }

    #[inline(never)]
    fn varint_after(&mut self, first: u8, bits: u32) -> Result<u64, Fault> {
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            if shift + 7 > bits && u32::from(byte) >> (bits - shift) != 0 {
                return Err(Fault::mismatch("a number in it is larger than its type"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    #[inline(always)]
    pub(super) fn len(&mut self) -> Result<usize, Fault> {
        Ok(self.varint(64)? as usize)
    }

    #[inline(always)]
    fn blob(&mut self) -> Result<&'de [u8], Fault> {
        let len = self.len()?;
        self.take(len)
    }

    #[inline(always)]
    pub(super) fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let wrong = || Fault::mismatch("a text in it is not UTF-8");
        let text = self.blob()?;
        if let Some(copy) = Few::of(text) {
            let text = std::str::from_utf8(copy.bytes()).map_err(|_| wrong())?;
            return visitor.visit_str(text);
        }
        let text = String::from_utf8(memory::copy_of(text)?).map_err(|_| wrong())?;
        visitor.visit_string(text)
    }

    #[inline(always)]
    pub(super) fn byte_text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let bytes = self.blob()?;
        match Few::of(bytes) {
            Some(copy) => visitor.visit_bytes(copy.bytes()),
            None => visitor.visit_byte_buf(memory::copy_of(bytes)?),
        }
    }

    /// Reads something inside of what is being read.
    #[inline(always)]
    pub(super) fn inner<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        if self.depth.is_eighth() && !numbers::is_of_number::<S>() {
            return self.deep(|reader| seed.deserialize(reader));
        }
        seed.deserialize(self)
    }

    #[cold]
    #[inline(never)]
    fn deep<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let (mut read, mut value) = (Some(read), None);
        self.deep_by(&mut |reader| {
            value = read.take().map(|read| read(reader)).transpose()?;
            Ok(())
        })?;
        value.ok_or_else(Fault::short)
    }

    fn deep_by(
        &mut self,
        read: &mut dyn FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.depth.check()?;
        let mut done = Ok(());
        deeper(&mut || done = read(self));
        done
    }

    /// Has a visitor read one level deeper.
    #[inline(always)]
    pub(super) fn wrapped<T>(
        &mut self,
        visit: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.depth.enter();
        let value = if self.depth.is_eighth() {
            self.deep(visit)
        } else {
            visit(self)
        }?;
        self.depth.leave();
        Ok(value)
    }

    /// The next name that was written, if that matters.
    #[inline(always)]
    pub(super) fn next_name(&mut self) -> Option<Option<Name>> {
        match &mut self.names {
            Names::Compared(names) => {
                let (first, rest) = names
                    .split_first()
                    .map_or((None, *names), |(a, b)| (Some(*a), b));
                *names = rest;
                Some(first)
            }
            _ => None,
        }
    }

    #[cold]
    pub(super) fn look_at_variant(
        &mut self,
        index: u32,
        variants: &'static [&'static str],
    ) -> Result<(), Fault> {
        let own = variants.get(index as usize);
        if let Names::Summed(sum) = &mut self.names {
            *sum = shape::and_name(*sum, own.unwrap_or(&""));
            return Ok(());
        }
        match self.next_name() {
            Some(Some(Name::Variant(written))) if own == Some(&written) => Ok(()),
            Some(written) => Err(Fault::unfit(format!(
                "{written:?} was written, which is not number {index} of {variants:?}"
            ))),
            None => Ok(()),
        }
    }
}

/// A copy of a few bytes that others may be writing.
struct Few {
    bytes: [u8; Few::MOST],
    len: usize,
}

impl Few {
    const MOST: usize = 48;

    #[inline(always)]
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut few = Few {
            bytes: [0; Few::MOST],
            len: bytes.len(),
        };
        few.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(few)
    }

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
