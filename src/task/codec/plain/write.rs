//! Writing the plain form.

use serde::ser::{self, Serialize, Serializer};

use crate::task::Payload;

use super::super::depth::{Depth, deeper};
use super::super::fault::{Fault, Kind};
use super::super::shape::{self, Run, and};
use super::super::{ZERO_MAX, too_many};

/// A name that was met while writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Field(&'static str),
    Variant(&'static str),
}

/// Where a value is written.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Payload,
    /// What was written so far.
    pub shape: u64,
    depth: Depth,
    /// Elements that took no byte.
    empty: u32,
    /// The names of fields and variants, if somebody wants them.
    pub names: Option<Vec<Name>>,
}

type Done = Result<(), Fault>;

impl<'a> Writer<'a> {
    #[inline(always)]
    pub fn new(out: &'a mut Payload) -> Self {
        Writer {
            out,
            shape: shape::NOTHING,
            depth: Depth::default(),
            empty: 0,
            names: None,
        }
    }

    #[inline(always)]
    fn token(&mut self, token: u64) {
        self.shape = and(self.shape, token);
    }

    #[inline(always)]
    fn varint(&mut self, mut value: u64) {
        let mut bytes = [0; 10];
        let mut len = 0;
        while value > 0x7f && len < 9 {
            bytes[len] = value as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value as u8;
        self.out.extend(&bytes[..=len]);
    }

    fn varint_128(&mut self, mut value: u128) {
        while value > 0x7f {
            self.out.extend(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.out.extend(&[value as u8]);
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.out.extend(bytes);
    }

    #[inline(always)]
    fn variant(&mut self, index: u32, name: &'static str) {
        self.token(shape::ENUM + u64::from(index));
        self.varint(index.into());
        if let Some(names) = &mut self.names {
            names.push(Name::Variant(name));
        }
    }

    /// Writes something inside of what is being written.
    #[inline(always)]
    fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        if self.depth.is_eighth() {
            self.depth.check()?;
            return deeper(|| value.serialize(&mut *self));
        }
        value.serialize(self)
    }

    /// The same, which is a level of its own.
    #[inline(always)]
    fn wrapped<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.depth.enter();
        self.inner(value)?;
        self.depth.leave();
        Ok(())
    }

    #[inline(always)]
    fn list(&mut self, len: Option<usize>, token: u64) -> Result<List<'_, 'a>, Fault> {
        let Some(len) = len else {
            return Err(Fault::unfit("it does not know how many elements it has"));
        };
        self.varint(len as u64);
        self.depth.enter();
        Ok(List {
            run: Run::new(self.shape, token),
            left: len,
            begun: 0,
            writer: self,
        })
    }

    #[inline(always)]
    fn record(&mut self) -> Fields<'_, 'a> {
        self.depth.enter();
        Fields {
            writer: self,
            count: 0,
        }
    }
}

#[inline(always)]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl<'w, 'a> Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = List<'w, 'a>;
    type SerializeTuple = Fields<'w, 'a>;
    type SerializeTupleStruct = Fields<'w, 'a>;
    type SerializeTupleVariant = Fields<'w, 'a>;
    type SerializeMap = List<'w, 'a>;
    type SerializeStruct = Fields<'w, 'a>;
    type SerializeStructVariant = Fields<'w, 'a>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Done {
        self.token(shape::BOOL);
        self.out.extend(&[value.into()]);
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Done {
        self.token(shape::I8);
        self.out.extend(&[value as u8]);
        Ok(())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Done {
        self.token(shape::I16);
        self.varint(zigzag(value.into()));
        Ok(())
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Done {
        self.token(shape::I32);
        self.varint(zigzag(value.into()));
        Ok(())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Done {
        self.token(shape::I64);
        self.varint(zigzag(value));
        Ok(())
    }

    #[inline]
    fn serialize_i128(self, value: i128) -> Done {
        self.token(shape::I128);
        self.varint_128(((value << 1) ^ (value >> 127)) as u128);
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Done {
        self.token(shape::U8);
        self.out.extend(&[value]);
        Ok(())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Done {
        self.token(shape::U16);
        self.varint(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Done {
        self.token(shape::U32);
        self.varint(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Done {
        self.token(shape::U64);
        self.varint(value);
        Ok(())
    }

    #[inline]
    fn serialize_u128(self, value: u128) -> Done {
        self.token(shape::U128);
        self.varint_128(value);
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Done {
        self.token(shape::F32);
        self.out.extend(&value.to_bits().to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Done {
        self.token(shape::F64);
        self.out.extend(&value.to_bits().to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Done {
        self.token(shape::CHAR);
        self.bytes(value.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Done {
        self.token(shape::STR);
        self.bytes(value.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.token(shape::BYTES);
        self.bytes(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Done {
        self.token(shape::NONE);
        self.out.extend(&[0]);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.token(shape::SOME);
        self.out.extend(&[1]);
        self.wrapped(value)
    }

    #[inline]
    fn serialize_unit(self) -> Done {
        self.token(shape::UNIT);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, variant: &'static str) -> Done {
        self.variant(index, variant);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        self.wrapped(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(index, variant);
        self.wrapped(value)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<List<'w, 'a>, Fault> {
        self.list(len, shape::SEQ)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Fields<'w, 'a>, Fault> {
        self.token(shape::TUPLE + len as u64);
        Ok(self.record())
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Fields<'w, 'a>, Fault> {
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'w, 'a>, Fault> {
        self.variant(index, variant);
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<List<'w, 'a>, Fault> {
        self.list(len, shape::MAP)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'w, 'a>, Fault> {
        self.token(shape::STRUCT);
        Ok(self.record())
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'w, 'a>, Fault> {
        self.variant(index, variant);
        self.serialize_struct(name, len)
    }
}

/// A sequence or a map: as long as it says.
#[derive(Debug)]
pub struct List<'w, 'a> {
    writer: &'w mut Writer<'a>,
    run: Run,
    left: usize,
    /// Where the present element begins.
    begun: usize,
}

impl List<'_, '_> {
    #[inline(always)]
    fn begin(&mut self) {
        self.begun = self.writer.out.len();
        self.writer.shape = shape::NOTHING;
    }

    #[inline(always)]
    fn end_element(&mut self) -> Done {
        self.run.push(self.writer.shape);
        if self.writer.out.len() == self.begun {
            self.writer.empty += 1;
            if self.writer.empty > ZERO_MAX {
                return Err(too_many());
            }
        }
        self.left = self.left.wrapping_sub(1);
        Ok(())
    }

    #[inline(always)]
    fn finish(self) -> Done {
        self.writer.shape = self.run.end();
        self.writer.depth.leave();
        if self.left != 0 {
            return Err(Fault::unfit("it has not as many elements as it says"));
        }
        Ok(())
    }
}

impl ser::SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.begin();
        self.writer.inner(value)?;
        self.end_element()
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl ser::SerializeMap for List<'_, '_> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.begin();
        self.writer.inner(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.writer.inner(value)?;
        self.end_element()
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

/// A tuple or a struct.
#[derive(Debug)]
pub struct Fields<'w, 'a> {
    writer: &'w mut Writer<'a>,
    count: u64,
}

impl Fields<'_, '_> {
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.count += 1;
        self.writer.inner(value)
    }

    #[inline(always)]
    fn named<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        if let Some(names) = &mut self.writer.names {
            names.push(Name::Field(key));
        }
        self.field(value)
    }

    #[inline(always)]
    fn finish(self) -> Done {
        self.writer.token(shape::END + self.count);
        self.writer.depth.leave();
        Ok(())
    }
}

#[cold]
fn skipped(key: &'static str) -> Fault {
    Fault::new(Kind::Unfit, format!("the field `{key}` is left out"))
}

macro_rules! tuples {
    ($($part:ident :: $method:ident),*) => {
        $(impl ser::$part for Fields<'_, '_> {
            type Ok = ();
            type Error = Fault;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                self.field(value)
            }

            #[inline]
            fn end(self) -> Done {
                self.finish()
            }
        })*
    };
}

tuples! {
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
}

macro_rules! structs {
    ($($part:ident),*) => {
        $(impl ser::$part for Fields<'_, '_> {
            type Ok = ();
            type Error = Fault;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Done {
                self.named(key, value)
            }

            #[inline]
            fn skip_field(&mut self, key: &'static str) -> Done {
                Err(skipped(key))
            }

            #[inline]
            fn end(self) -> Done {
                self.finish()
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);
