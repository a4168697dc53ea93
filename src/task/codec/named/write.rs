//! Writing the named form.

use serde::ser::{self, Serialize, Serializer};

use super::super::depth::{Depth, deeper};
use super::super::fault::Fault;
use super::tag;

/// Where a value is written.
#[derive(Debug, Default)]
pub struct Writer {
    pub out: Vec<u8>,
    depth: Depth,
}

type Done = Result<(), Fault>;

impl Writer {
    fn fixed<const LEN: usize>(&mut self, tag: u8, bytes: [u8; LEN]) -> Done {
        self.out.push(tag);
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    fn blob(&mut self, bytes: &[u8]) {
        let len = bytes.len() as u64;
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(bytes);
    }

    fn variant(&mut self, tag: u8, name: &'static str) {
        self.out.push(tag);
        self.blob(name.as_bytes());
    }

    fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.level(&mut |writer| value.serialize(writer))
    }

    /// Has something written one level deeper.
    fn level(&mut self, write: &mut dyn FnMut(&mut Self) -> Done) -> Done {
        self.depth.enter();
        if self.depth.is_eighth() {
            self.depth.check()?;
            let mut done = Ok(());
            deeper(&mut || done = write(self));
            done?;
        } else {
            write(self)?;
        }
        self.depth.leave();
        Ok(())
    }

    fn begin(&mut self, tag: u8) -> Result<Parts<'_>, Fault> {
        self.out.push(tag);
        Ok(Parts(self))
    }
}

macro_rules! numbers {
    ($($method:ident $type:ident $tag:ident)*) => {
        $(fn $method(self, value: $type) -> Done {
            self.fixed(tag::$tag, value.to_le_bytes())
        })*
    };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Parts<'w>;
    type SerializeTuple = Parts<'w>;
    type SerializeTupleStruct = Parts<'w>;
    type SerializeTupleVariant = Parts<'w>;
    type SerializeMap = Parts<'w>;
    type SerializeStruct = Parts<'w>;
    type SerializeStructVariant = Parts<'w>;

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

    fn serialize_bool(self, value: bool) -> Done {
        self.fixed(if value { tag::TRUE } else { tag::FALSE }, [])
    }

    fn serialize_char(self, value: char) -> Done {
        self.fixed(tag::CHAR, u32::from(value).to_le_bytes())
    }

    fn serialize_str(self, value: &str) -> Done {
        self.out.push(tag::STR);
        self.blob(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.out.push(tag::BYTES);
        self.blob(value);
        Ok(())
    }

    fn serialize_none(self) -> Done {
        self.fixed(tag::NONE, [])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.out.push(tag::SOME);
        self.inner(value)
    }

    fn serialize_unit(self) -> Done {
        self.fixed(tag::UNIT, [])
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.variant(tag::UNIT_VARIANT, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        self.inner(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(tag::NEWTYPE_VARIANT, variant);
        self.inner(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'w>, Fault> {
        self.begin(tag::LIST)
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'w>, Fault> {
        self.begin(tag::LIST)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'w>, Fault> {
        self.begin(tag::LIST)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'w>, Fault> {
        self.variant(tag::TUPLE_VARIANT, variant);
        Ok(Parts(self))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'w>, Fault> {
        self.begin(tag::MAP)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'w>, Fault> {
        self.begin(tag::STRUCT)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'w>, Fault> {
        self.variant(tag::STRUCT_VARIANT, variant);
        Ok(Parts(self))
    }
}

/// Something with parts.
#[derive(Debug)]
pub struct Parts<'w>(&'w mut Writer);

impl Parts<'_> {
    fn finish(self) -> Done {
        self.0.out.push(tag::END);
        Ok(())
    }
}

macro_rules! lists {
    ($($part:ident :: $method:ident),*) => {
        $(impl ser::$part for Parts<'_> {
            type Ok = ();
            type Error = Fault;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                self.0.inner(value)
            }

            fn end(self) -> Done {
                self.finish()
            }
        })*
    };
}

lists! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.0.inner(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.0.inner(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

macro_rules! structs {
    ($($part:ident),*) => {
        $(impl ser::$part for Parts<'_> {
            type Ok = ();
            type Error = Fault;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Done {
                key.serialize(&mut *self.0)?;
                self.0.inner(value)
            }

            fn skip_field(&mut self, key: &'static str) -> Done {
                key.serialize(&mut *self.0)?;
                self.0.out.push(tag::SKIPPED);
                Ok(())
            }

            fn end(self) -> Done {
                self.finish()
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);
