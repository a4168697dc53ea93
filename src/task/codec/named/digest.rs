//! Whether two values in the named form are the same.
//!
//! A hashed map that was read again may give its entries in another order. So elements and
//! entries are added up, whatever their order.

use super::super::depth::{Depth, deeper};
use super::super::shape::and;
use super::tag;

/// A number of a value in the named form; `None` if it is none, or too deep.
pub fn digest(bytes: &[u8]) -> Option<u64> {
    let mut walk = Walk {
        rest: bytes,
        depth: Depth::default(),
    };
    let value = walk.value()?;
    walk.rest.is_empty().then_some(value)
}

struct Walk<'a> {
    rest: &'a [u8],
    depth: Depth,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn blob(&mut self, shape: u64) -> Option<u64> {
        let (len, rest) = self.rest.split_first_chunk()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (blob, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(of_bytes(shape, blob))
    }

    /// What is up to `END`, in any order.
    fn parts(&mut self, shape: u64, each: u32) -> Option<u64> {
        let (mut sum, mut count) = (0_u64, 0_u64);
        while *self.rest.first()? != tag::END {
            let mut part = 0;
            for _ in 0..each {
                part = and(part, self.value()?);
            }
            // Mixed once more: a sum of sums must not look the same from outside.
            sum = sum.wrapping_add(and(part, 1));
            count += 1;
        }
        self.byte()?;
        Some(and(and(shape, sum), count))
    }

    fn value(&mut self) -> Option<u64> {
        self.depth.enter();
        let value = if self.depth.is_eighth() {
            self.depth.check().ok()?;
            let mut value = None;
            deeper(&mut || value = self.value_here());
            value
        } else {
            self.value_here()
        };
        self.depth.leave();
        value
    }

    fn value_here(&mut self) -> Option<u64> {
        let tag = self.byte()?;
        let shape = and(0, tag.into());
        if let Some(size) = super::size_of_tag(tag) {
            let (bytes, rest) = self.rest.split_at_checked(size)?;
            self.rest = rest;
            return Some(of_bytes(shape, bytes));
        }
        match tag {
            tag::STR | tag::BYTES | tag::UNIT_VARIANT => self.blob(shape),
            tag::SOME => Some(and(shape, self.value()?)),
            tag::LIST => self.parts(shape, 1),
            tag::MAP | tag::STRUCT => self.parts(shape, 2),
            tag::NEWTYPE_VARIANT => {
                let name = self.blob(shape)?;
                Some(and(name, self.value()?))
            }
            tag::TUPLE_VARIANT => {
                let name = self.blob(shape)?;
                self.parts(name, 1)
            }
            tag::STRUCT_VARIANT => {
                let name = self.blob(shape)?;
                self.parts(name, 2)
            }
            tag::SKIPPED => Some(shape),
            _ => None,
        }
    }
}

fn of_bytes(shape: u64, bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(and(shape, bytes.len() as u64), and)
}
