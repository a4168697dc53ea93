//! Reading the named form. The bytes may be anybody's: no length in them is believed.

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::super::depth::{Depth, deeper};
use super::super::fault::Fault;
use super::tag;

/// Where a value is read from.
#[derive(Debug)]
pub struct Reader<'de> {
    /// What was not read yet.
    pub rest: &'de [u8],
    depth: Depth,
}

type Done = Result<(), Fault>;

/// What begins with a tag.
enum Begun<'de> {
    Unit,
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Str(&'de str),
    Bytes(&'de [u8]),
    None,
    /// Something that has parts, with this tag.
    Nested(u8),
}

#[cold]
fn nonsense() -> Fault {
    Fault::mismatch("its bytes make no sense")
}

impl<'de> Reader<'de> {
    pub fn new(bytes: &'de [u8]) -> Self {
        Reader {
            rest: bytes,
            depth: Depth::default(),
        }
    }

    fn peek(&self) -> Result<u8, Fault> {
        self.rest.first().copied().ok_or_else(Fault::short)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(Fault::short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn skip_tag(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn blob(&mut self) -> Result<&'de [u8], Fault> {
        let len = usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX);
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(Fault::short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'de str, Fault> {
        std::str::from_utf8(self.blob()?).map_err(|_| nonsense())
    }

    fn inner<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let (mut read, mut value) = (Some(read), None);
        self.level(&mut |reader| {
            value = read.take().map(|read| read(reader)).transpose()?;
            Ok(())
        })?;
        value.ok_or_else(Fault::short)
    }

    /// Has something read one level deeper.
    fn level(&mut self, read: &mut dyn FnMut(&mut Self) -> Done) -> Done {
        self.depth.enter();
        if self.depth.is_eighth() {
            self.depth.check()?;
            let mut done = Ok(());
            deeper(&mut || done = read(self));
            done?;
        } else {
            read(self)?;
        }
        self.depth.leave();
        Ok(())
    }

    fn parts(&mut self) -> Parts<'_, 'de> {
        Parts {
            reader: self,
            is_struct: false,
        }
    }

    /// Has the visitor read what is up to `END`.
    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let value = visitor.visit_seq(self.parts())?;
        self.end()?;
        Ok(value)
    }

    fn map<V: Visitor<'de>>(&mut self, visitor: V, is_struct: bool) -> Result<V::Value, Fault> {
        let value = visitor.visit_map(Parts {
            reader: self,
            is_struct,
        })?;
        if is_struct {
            self.pass_skipped()?;
        }
        self.end()?;
        Ok(value)
    }

    fn end(&mut self) -> Done {
        match self.peek()? {
            tag::END => {
                self.skip_tag();
                Ok(())
            }
            _ => Err(Fault::mismatch("not all of it was read")),
        }
    }

    /// Goes beyond fields that were left out.
    fn pass_skipped(&mut self) -> Result<(), Fault> {
        while self.peek()? == tag::STR {
            let before = self.rest;
            self.skip_tag();
            self.blob()?;
            if self.peek()? != tag::SKIPPED {
                self.rest = before;
                return Ok(());
            }
            self.skip_tag();
        }
        Ok(())
    }

    /// Reads a tag, and what belongs to it if that has no parts.
    fn begin(&mut self) -> Result<Begun<'de>, Fault> {
        let tag = self.peek()?;
        self.skip_tag();
        Ok(match tag {
            tag::UNIT => Begun::Unit,
            tag::FALSE => Begun::Bool(false),
            tag::TRUE => Begun::Bool(true),
            tag::I8 => Begun::I8(i8::from_le_bytes(self.array()?)),
            tag::I16 => Begun::I16(i16::from_le_bytes(self.array()?)),
            tag::I32 => Begun::I32(i32::from_le_bytes(self.array()?)),
            tag::I64 => Begun::I64(i64::from_le_bytes(self.array()?)),
            tag::I128 => Begun::I128(i128::from_le_bytes(self.array()?)),
            tag::U8 => Begun::U8(u8::from_le_bytes(self.array()?)),
            tag::U16 => Begun::U16(u16::from_le_bytes(self.array()?)),
            tag::U32 => Begun::U32(u32::from_le_bytes(self.array()?)),
            tag::U64 => Begun::U64(u64::from_le_bytes(self.array()?)),
            tag::U128 => Begun::U128(u128::from_le_bytes(self.array()?)),
            tag::F32 => Begun::F32(f32::from_le_bytes(self.array()?)),
            tag::F64 => Begun::F64(f64::from_le_bytes(self.array()?)),
            tag::CHAR => {
                let number = u32::from_le_bytes(self.array()?);
                Begun::Char(char::from_u32(number).ok_or_else(nonsense)?)
            }
            tag::STR | tag::UNIT_VARIANT => Begun::Str(self.text()?),
            tag::BYTES => Begun::Bytes(self.blob()?),
            tag::NONE => Begun::None,
            tag => Begun::Nested(tag),
        })
    }

    /// Gives the visitor what is there.
    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.begin()? {
            Begun::Unit => visitor.visit_unit(),
            Begun::Bool(value) => visitor.visit_bool(value),
            Begun::I8(value) => visitor.visit_i8(value),
            Begun::I16(value) => visitor.visit_i16(value),
            Begun::I32(value) => visitor.visit_i32(value),
            Begun::I64(value) => visitor.visit_i64(value),
            Begun::I128(value) => visitor.visit_i128(value),
            Begun::U8(value) => visitor.visit_u8(value),
            Begun::U16(value) => visitor.visit_u16(value),
            Begun::U32(value) => visitor.visit_u32(value),
            Begun::U64(value) => visitor.visit_u64(value),
            Begun::U128(value) => visitor.visit_u128(value),
            Begun::F32(value) => visitor.visit_f32(value),
            Begun::F64(value) => visitor.visit_f64(value),
            Begun::Char(value) => visitor.visit_char(value),
            Begun::Str(value) => visitor.visit_borrowed_str(value),
            Begun::Bytes(value) => visitor.visit_borrowed_bytes(value),
            Begun::None => visitor.visit_none(),
            Begun::Nested(tag) => self.nested(tag, visitor),
        }
    }

    /// Gives the visitor what has parts, and began with this tag.
    fn nested<V: Visitor<'de>>(&mut self, tag: u8, visitor: V) -> Result<V::Value, Fault> {
        self.inner(|reader| match tag {
            tag::SOME => visitor.visit_some(reader),
            tag::LIST => reader.list(visitor),
            tag::MAP => reader.map(visitor, false),
            tag::STRUCT => reader.map(visitor, true),
            tag::NEWTYPE_VARIANT | tag::TUPLE_VARIANT | tag::STRUCT_VARIANT => {
                let name = Some(reader.text()?);
                visitor.visit_map(Single { reader, name, tag })
            }
            _ => Err(nonsense()),
        })
    }

    /// What a variant holds.
    fn contents<V: Visitor<'de>>(&mut self, tag: u8, visitor: V) -> Result<V::Value, Fault> {
        match tag {
            tag::UNIT_VARIANT => visitor.visit_unit(),
            tag::TUPLE_VARIANT => self.nested(tag::LIST, visitor),
            tag::STRUCT_VARIANT => self.nested(tag::STRUCT, visitor),
            _ => self.inner(|reader| reader.any(visitor)),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek()? {
            tag::NONE | tag::SOME | tag::UNIT => self.any(visitor),
            _ => self.inner(|reader| visitor.visit_some(reader)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.inner(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let tag = self.peek()?;
        match tag {
            tag::STR
            | tag::UNIT_VARIANT
            | tag::NEWTYPE_VARIANT
            | tag::TUPLE_VARIANT
            | tag::STRUCT_VARIANT => {
                self.skip_tag();
                let name = self.text()?;
                let tag = if tag == tag::STR {
                    tag::UNIT_VARIANT
                } else {
                    tag
                };
                visitor.visit_enum(Variant {
                    reader: self,
                    name,
                    tag,
                })
            }
            tag::SOME => {
                self.skip_tag();
                self.inner(|reader| reader.deserialize_enum(name, variants, visitor))
            }
            // `{ name: contents }`, as it is asked for by what was read without a type before.
            tag::MAP | tag::STRUCT => {
                self.skip_tag();
                let access = self.parts();
                let value = visitor.visit_enum(MapAccessDeserializer::new(access))?;
                self.end()?;
                Ok(value)
            }
            _ => self.any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// What is up to `END`.
struct Parts<'r, 'de> {
    reader: &'r mut Reader<'de>,
    is_struct: bool,
}

impl<'de> Parts<'_, 'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.is_struct {
            self.reader.pass_skipped()?;
        }
        if self.reader.peek()? == tag::END {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> de::SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.next(seed)
    }
}

impl<'de> de::MapAccess<'de> for Parts<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A variant with contents, for whoever does not know that it is one.
struct Single<'r, 'de> {
    reader: &'r mut Reader<'de>,
    name: Option<&'de str>,
    tag: u8,
}

impl<'de> de::MapAccess<'de> for Single<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let name = self.name.take().map(BorrowedStrDeserializer::new);
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(Contents {
            reader: self.reader,
            tag: self.tag,
        })
    }
}

/// What a variant holds, for whoever does not know that it does.
struct Contents<'r, 'de> {
    reader: &'r mut Reader<'de>,
    tag: u8,
}

impl<'de> Deserializer<'de> for Contents<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.reader.contents(self.tag, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// A variant, of which the name was read.
struct Variant<'r, 'de> {
    reader: &'r mut Reader<'de>,
    name: &'de str,
    tag: u8,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name = BorrowedStrDeserializer::<Fault>::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl Variant<'_, '_> {
    fn is(&self, tag: u8, what: &str) -> Result<(), Fault> {
        if self.tag == tag {
            return Ok(());
        }
        let name = self.name;
        Err(Fault::mismatch(format!(
            "the variant `{name}` is read as {what}, and was not written so"
        )))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.is(tag::UNIT_VARIANT, "one without contents")
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        if self.tag == tag::NEWTYPE_VARIANT {
            return self.reader.inner(|reader| seed.deserialize(reader));
        }
        seed.deserialize(Contents {
            reader: self.reader,
            tag: self.tag,
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.reader.contents(self.tag, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.reader.contents(self.tag, visitor)
    }
}
