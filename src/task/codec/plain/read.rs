//! Reading the plain form. The bytes may be anybody's: no length in them is believed. Others may
//! write them meanwhile, where long values are read from shared memory: so each is read once, and
//! what must be so and so (a text, say) is copied before that is looked at.

use serde::de::{DeserializeSeed, Deserializer, Visitor};

use super::super::ZERO_MAX;
use super::super::depth::{Depth, deeper};
use super::super::fault::Fault;
use super::super::shape::{self, Run, and};
use super::parts::{Elements, Fields, List, Variant};
use super::rows;
use super::write::Name;

/// What is done about the names of fields and variants.
#[derive(Debug)]
pub enum Names<'n> {
    /// They are not looked at.
    Ignored,
    /// Those that were written, in this order.
    Compared(&'n [Name]),
    /// Those of variants are part of this.
    Summed(u64),
}

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
    pub(super) empty: u32,
}

impl<'de, 'n> Reader<'de, 'n> {
    #[inline(always)]
    pub fn new(bytes: &'de [u8], names: Names<'n>) -> Self {
        Reader {
            rest: bytes,
            shape: shape::NOTHING,
            names,
            depth: Depth::default(),
            empty: 0,
        }
    }

    #[inline(always)]
    pub(super) fn token(&mut self, token: u64) {
        self.shape = and(self.shape, token);
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Fault> {
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
    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(Fault::short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length, or which variant: of up to `bits` bits.
    #[inline(always)]
    fn varint(&mut self, bits: u32) -> Result<u64, Fault> {
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
    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let wrong = || Fault::mismatch("a text in it is not UTF-8");
        let text = self.blob()?;
        if let Some(copy) = Few::of(text) {
            let text = std::str::from_utf8(copy.bytes()).map_err(|_| wrong())?;
            return visitor.visit_str(text);
        }
        let text = String::from_utf8(rows::copy_of(text)?).map_err(|_| wrong())?;
        visitor.visit_string(text)
    }

    #[inline(always)]
    fn byte_text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let bytes = self.blob()?;
        match Few::of(bytes) {
            Some(copy) => visitor.visit_bytes(copy.bytes()),
            None => visitor.visit_byte_buf(rows::copy_of(bytes)?),
        }
    }

    /// Reads something inside of what is being read.
    #[inline(always)]
    pub(super) fn inner<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        if self.depth.is_eighth() && !rows::is_of_number::<S>() {
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

    #[inline(always)]
    fn list(&mut self, token: u64) -> Result<List<'_, 'de, 'n>, Fault> {
        let len = self.len()?;
        if len > self.rest.len() + ZERO_MAX as usize {
            return Err(Fault::mismatch(format!(
                "it says that it has {len} elements, and {} bytes follow",
                self.rest.len()
            )));
        }
        self.depth.enter();
        Ok(List {
            run: Run::new(self.shape, token),
            reader: self,
            left: len,
            begun: 0,
        })
    }

    #[inline(always)]
    pub(super) fn fields<V: Visitor<'de>>(
        &mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.token(shape::STRUCT);
        self.depth.enter();
        let mut access = Fields {
            reader: self,
            fields,
            asked: 0,
            next: 0,
        };
        let value = visitor.visit_seq(&mut access)?;
        let asked = access.asked;
        self.depth.leave();
        self.token(shape::END + asked);
        Ok(value)
    }

    #[inline(always)]
    pub(super) fn tuple<V: Visitor<'de>>(
        &mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.token(shape::TUPLE + len as u64);
        self.depth.enter();
        let mut access = Elements {
            reader: self,
            left: len,
        };
        let value = visitor.visit_seq(&mut access)?;
        let left = access.left;
        self.depth.leave();
        self.token(shape::END + (len - left) as u64);
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
    fn look_at_variant(
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

#[cold]
fn not_told() -> Fault {
    Fault::unfit("it asks what was written, which the plain form does not tell")
}

macro_rules! numbers {
    ($($method:ident $visit:ident $token:ident |$reader:ident| $read:expr;)*) => {
        $(#[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let $reader = self;
            $reader.token(shape::$token);
            visitor.$visit($read)
        })*
    };
}

macro_rules! untold {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
            Err(not_told())
        })*
    };
}

impl<'de, 'n> Deserializer<'de> for &mut Reader<'de, 'n> {
    type Error = Fault;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    untold! { deserialize_any deserialize_ignored_any deserialize_identifier }

    numbers! {
        deserialize_i8 visit_i8 I8 |r| i8::from_le_bytes(r.array()?);
        deserialize_i16 visit_i16 I16 |r| i16::from_le_bytes(r.array()?);
        deserialize_i32 visit_i32 I32 |r| i32::from_le_bytes(r.array()?);
        deserialize_i64 visit_i64 I64 |r| i64::from_le_bytes(r.array()?);
        deserialize_i128 visit_i128 I128 |r| i128::from_le_bytes(r.array()?);
        deserialize_u8 visit_u8 U8 |r| u8::from_le_bytes(r.array()?);
        deserialize_u16 visit_u16 U16 |r| u16::from_le_bytes(r.array()?);
        deserialize_u32 visit_u32 U32 |r| u32::from_le_bytes(r.array()?);
        deserialize_u64 visit_u64 U64 |r| u64::from_le_bytes(r.array()?);
        deserialize_u128 visit_u128 U128 |r| u128::from_le_bytes(r.array()?);
        deserialize_f32 visit_f32 F32 |r| f32::from_le_bytes(r.array()?);
        deserialize_f64 visit_f64 F64 |r| f64::from_le_bytes(r.array()?);
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.token(shape::STR);
        self.text(visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.token(shape::BYTES);
        self.byte_text(visitor)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    #[inline(always)]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.token(shape::BOOL);
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            other => Err(Fault::mismatch(format!("a truth value in it is {other}"))),
        }
    }

    #[inline(always)]
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.token(shape::CHAR);
        let number = u32::from_le_bytes(self.array()?);
        let character = char::from_u32(number);
        visitor.visit_char(character.ok_or_else(|| Fault::mismatch("a character in it is none"))?)
    }

    #[inline(always)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.byte()? {
            0 => {
                self.token(shape::NONE);
                visitor.visit_none()
            }
            1 => {
                self.token(shape::SOME);
                self.wrapped(|reader| visitor.visit_some(reader))
            }
            other => Err(Fault::mismatch(format!("an option in it is {other}"))),
        }
    }

    #[inline(always)]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.token(shape::UNIT);
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.wrapped(|reader| visitor.visit_newtype_struct(reader))
    }

    #[inline(always)]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(read) = rows::read::<V>(self) {
            return read;
        }
        let mut list = self.list(shape::SEQ)?;
        let value = visitor.visit_seq(&mut list)?;
        list.finish()?;
        Ok(value)
    }

    #[inline(always)]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.tuple(len, visitor)
    }

    #[inline(always)]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.tuple(len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut list = self.list(shape::MAP)?;
        let value = visitor.visit_map(&mut list)?;
        list.finish()?;
        Ok(value)
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.fields(fields, visitor)
    }

    #[inline(always)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let index = self.varint(32)? as u32;
        self.token(shape::ENUM + u64::from(index));
        if !matches!(self.names, Names::Ignored) {
            self.look_at_variant(index, variants)?;
        }
        visitor.visit_enum(Variant {
            reader: self,
            index,
        })
    }
}
