//! Reading the plain form: what serde asks for.

use serde::de::{Deserializer, Visitor};

use super::super::fault::Fault;
use super::super::shape;
use super::names::Names;
use super::parts::Variant;
use super::reader::Reader;
use super::rows;

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
