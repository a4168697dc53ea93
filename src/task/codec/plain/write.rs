//! Writing the plain form.

use serde::ser::{self, Serialize, Serializer};

use crate::task::Payload;

use super::super::depth::{Depth, deeper};
use super::super::fault::{Fault, Kind};
use super::super::shape::{self, Run, and};
use super::empty::Empty;
use super::names::Name;
use super::out::Out;
use super::{memory, numbers, rows};

/// Where a value is written.
#[derive(Debug)]
pub struct Writer<'a, O = Payload> {
    out: &'a mut O,
    /// What was written so far.
    pub shape: u64,
    depth: Depth,
    /// Elements that took no byte.
    empty: Empty,
    /// The names of fields and variants, if somebody wants them.
    pub names: Option<Vec<Name>>,
    /// What is done if it gets long.
    pub length: Length,
}

/// What is done about a value of which it turns out that it is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Nothing.
    Any,
    /// It is given up, to be written elsewhere.
    Short,
    /// That was done.
    Long,
}

/// A piece that had better not be moved twice.
const PIECE: usize = 1024;

type Done = Result<(), Fault>;

#[inline(always)]
fn done(is_there: bool) -> Done {
    match is_there {
        true => Ok(()),
        false => Err(no_room()),
    }
}

#[cold]
fn no_room() -> Fault {
    Fault::new(Kind::Beyond, "it is not short")
}

impl<'a, O: Out> Writer<'a, O> {
    #[inline(always)]
    pub fn new(out: &'a mut O) -> Self {
        Writer {
            out,
            shape: shape::NOTHING,
            depth: Depth::default(),
            empty: Empty::default(),
            names: None,
            length: Length::Any,
        }
    }

    #[inline(always)]
    fn token(&mut self, token: u64) {
        self.shape = and(self.shape, token);
    }

    /// How long something is, or which variant.
    #[inline(always)]
    pub fn varint(&mut self, value: u64) -> Done {
        let is_there = match value {
            0..0x80 => self.out.extend_few([value as u8]),
            _ => self.long_varint(value),
        };
        done(is_there)
    }

    #[inline(never)]
    fn long_varint(&mut self, mut value: u64) -> bool {
        let mut bytes = [0; 10];
        let mut len = 0;
        while value > 0x7f && len < 9 {
            bytes[len] = value as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value as u8;
        self.out.extend(&bytes[..=len])
    }

    /// A number, as wide as its type.
    #[inline(always)]
    fn fixed<const LEN: usize>(&mut self, token: u64, bytes: [u8; LEN]) -> Done {
        self.token(token);
        done(self.out.extend_few(bytes))
    }

    #[inline(always)]
    fn blob(&mut self, len: usize, bytes: &[u8]) -> Done {
        self.varint(len as u64)?;
        if bytes.len() >= PIECE {
            return self.piece(bytes);
        }
        done(self.out.extend(bytes))
    }

    #[cold]
    #[inline(never)]
    fn piece(&mut self, bytes: &[u8]) -> Done {
        if self.length != Length::Any && self.out.is_long_with(bytes.len()) {
            self.length = Length::Long;
            return Err(Fault::new(Kind::Beyond, "it is long"));
        }
        match self.out.try_extend(bytes) {
            true => Ok(()),
            false => Err(memory::no_memory(bytes.len())),
        }
    }

    #[inline(always)]
    fn variant(&mut self, index: u32, name: &'static str) -> Done {
        self.token(shape::ENUM + u64::from(index));
        self.varint(index.into())?;
        if let Some(names) = &mut self.names {
            names.push(Name::Variant(name));
        }
        Ok(())
    }

    /// Writes something inside of what is being written.
    #[inline(always)]
    fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        if self.depth.is_eighth() && !numbers::is_number::<T>() {
            return self.deep(&mut |writer| value.serialize(writer));
        }
        value.serialize(self)
    }

    #[cold]
    #[inline(never)]
    fn deep(&mut self, write: &mut dyn FnMut(&mut Self) -> Done) -> Done {
        self.depth.check()?;
        let mut done = Ok(());
        deeper(&mut || done = write(self));
        done
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
    fn list(&mut self, len: Option<usize>, token: u64) -> Result<List<'_, 'a, O>, Fault> {
        let Some(len) = len else {
            return Err(Fault::unfit("it does not know how many elements it has"));
        };
        self.varint(len as u64)?;
        self.depth.enter();
        Ok(List {
            run: Run::new(self.shape, token),
            left: len,
            begun: 0,
            writer: self,
        })
    }

    #[inline(always)]
    fn record(&mut self) -> Fields<'_, 'a, O> {
        self.depth.enter();
        Fields {
            writer: self,
            count: 0,
        }
    }
}

macro_rules! numbers {
    ($($method:ident $type:ident $token:ident)*) => {
        $(#[inline(always)]
        fn $method(self, value: $type) -> Done {
            self.fixed(shape::$token, value.to_le_bytes())
        })*
    };
}

impl<'w, 'a, O: Out> Serializer for &'w mut Writer<'a, O> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = List<'w, 'a, O>;
    type SerializeTuple = Fields<'w, 'a, O>;
    type SerializeTupleStruct = Fields<'w, 'a, O>;
    type SerializeTupleVariant = Fields<'w, 'a, O>;
    type SerializeMap = List<'w, 'a, O>;
    type SerializeStruct = Fields<'w, 'a, O>;
    type SerializeStructVariant = Fields<'w, 'a, O>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline(always)]
    fn serialize_bool(self, value: bool) -> Done {
        self.fixed(shape::BOOL, [value.into()])
    }

    numbers! {
        serialize_i8 i8 I8
        serialize_i16 i16 I16
        serialize_i32 i32 I32
        serialize_i64 i64 I64
        serialize_i128 i128 I128
        serialize_u8 u8 U8
        serialize_u16 u16 U16
        serialize_u32 u32 U32
        serialize_u64 u64 U64
        serialize_u128 u128 U128
        serialize_f32 f32 F32
        serialize_f64 f64 F64
    }

    #[inline(always)]
    fn serialize_char(self, value: char) -> Done {
        self.fixed(shape::CHAR, u32::from(value).to_le_bytes())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Done {
        self.token(shape::STR);
        self.blob(value.len(), value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.token(shape::BYTES);
        self.blob(value.len(), value)
    }

    #[inline(always)]
    fn serialize_none(self) -> Done {
        self.fixed(shape::NONE, [0])
    }

    #[inline(always)]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.fixed(shape::SOME, [1])?;
        self.wrapped(value)
    }

    #[inline(always)]
    fn serialize_unit(self) -> Done {
        self.token(shape::UNIT);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    #[inline(always)]
    fn serialize_unit_variant(self, _: &'static str, index: u32, variant: &'static str) -> Done {
        self.variant(index, variant)?;
        Ok(())
    }

    #[inline(always)]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        self.wrapped(value)
    }

    #[inline(always)]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(index, variant)?;
        self.wrapped(value)
    }

    #[inline(always)]
    fn serialize_seq(self, len: Option<usize>) -> Result<List<'w, 'a, O>, Fault> {
        self.list(len, shape::SEQ)
    }

    #[inline]
    fn collect_seq<I>(self, list: I) -> Done
    where
        I: IntoIterator<Item: Serialize>,
    {
        if let Some(row) = rows::of(&list) {
            self.shape = row.shape(self.shape);
            return self.blob(row.len, row.bytes);
        }
        let elements = list.into_iter();
        let len = match elements.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        let mut list = self.list(len, shape::SEQ)?;
        for element in elements {
            ser::SerializeSeq::serialize_element(&mut list, &element)?;
        }
        list.finish()
    }

    #[inline(always)]
    fn serialize_tuple(self, len: usize) -> Result<Fields<'w, 'a, O>, Fault> {
        self.token(shape::TUPLE + len as u64);
        Ok(self.record())
    }

    #[inline(always)]
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Fields<'w, 'a, O>, Fault> {
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'w, 'a, O>, Fault> {
        self.variant(index, variant)?;
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<List<'w, 'a, O>, Fault> {
        self.list(len, shape::MAP)
    }

    #[inline(always)]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'w, 'a, O>, Fault> {
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
    ) -> Result<Fields<'w, 'a, O>, Fault> {
        self.variant(index, variant)?;
        self.serialize_struct(name, len)
    }
}

/// A sequence or a map: as long as it says.
#[derive(Debug)]
pub struct List<'w, 'a, O = Payload> {
    writer: &'w mut Writer<'a, O>,
    run: Run,
    left: usize,
    /// Where the present element begins.
    begun: usize,
}

impl<O: Out> List<'_, '_, O> {
    #[inline(always)]
    fn begin(&mut self) {
        self.begun = self.writer.out.len();
        self.writer.shape = shape::NOTHING;
    }

    #[inline(always)]
    fn end_element(&mut self) -> Done {
        self.run.push(self.writer.shape);
        if self.writer.out.len() == self.begun {
            self.writer.empty.count()?;
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

impl<O: Out> ser::SerializeSeq for List<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.begin();
        self.writer.inner(value)?;
        self.end_element()
    }

    #[inline(always)]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeMap for List<'_, '_, O> {
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

    #[inline(always)]
    fn end(self) -> Done {
        self.finish()
    }
}

/// A tuple or a struct.
#[derive(Debug)]
pub struct Fields<'w, 'a, O = Payload> {
    writer: &'w mut Writer<'a, O>,
    count: u64,
}

impl<O: Out> Fields<'_, '_, O> {
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
        $(impl<O: Out> ser::$part for Fields<'_, '_, O> {
            type Ok = ();
            type Error = Fault;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                self.field(value)
            }

            #[inline(always)]
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
        $(impl<O: Out> ser::$part for Fields<'_, '_, O> {
            type Ok = ();
            type Error = Fault;

            #[inline(always)]
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

            #[inline(always)]
            fn end(self) -> Done {
                self.finish()
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);
