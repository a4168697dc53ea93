//! Reading the parts of a value: elements, fields, what is in a variant.

use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::super::fault::Fault;
use super::super::shape::{self, Run};
use super::empty;
use super::names::Name;
use super::reader::Reader;

impl<'de, 'n> Reader<'de, 'n> {
    #[inline(always)]
    pub(super) fn list(&mut self, token: u64) -> Result<List<'_, 'de, 'n>, Fault> {
        let len = self.len()?;
        if len > self.rest.len() + empty::MOST as usize {
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
}

/// A sequence or a map: as long as the bytes say.
pub struct List<'r, 'de, 'n> {
    reader: &'r mut Reader<'de, 'n>,
    run: Run,
    left: usize,
    /// How many bytes were left where the present element begins.
    begun: usize,
}

impl<'de> List<'_, 'de, '_> {
    /// Whether there is one more.
    #[inline(always)]
    fn begin(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.begun = self.reader.rest.len();
        self.reader.shape = shape::NOTHING;
        true
    }

    #[inline(always)]
    fn end_element(&mut self) -> Result<(), Fault> {
        self.run.push(self.reader.shape);
        if self.reader.rest.len() == self.begun {
            self.reader.empty.count()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.rest.len() + 1))
    }

    #[inline(always)]
    pub(super) fn finish(self) -> Result<(), Fault> {
        self.reader.shape = self.run.end();
        self.reader.depth.leave();
        if self.left > 0 {
            return Err(Fault::unfit("it has not read all elements"));
        }
        Ok(())
    }
}

impl<'de> de::SeqAccess<'de> for &mut List<'_, 'de, '_> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if !self.begin() {
            return Ok(None);
        }
        let value = self.reader.inner(seed)?;
        self.end_element()?;
        Ok(Some(value))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::MapAccess<'de> for &mut List<'_, 'de, '_> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if !self.begin() {
            return Ok(None);
        }
        self.reader.inner(seed).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let value = self.reader.inner(seed)?;
        self.end_element()?;
        Ok(value)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// The elements of a tuple: as many as its type says.
pub struct Elements<'r, 'de, 'n> {
    reader: &'r mut Reader<'de, 'n>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de, '_> {
    type Error = Fault;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.reader.inner(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The fields of a struct: as many as are asked for.
pub struct Fields<'r, 'de, 'n> {
    reader: &'r mut Reader<'de, 'n>,
    fields: &'static [&'static str],
    asked: u64,
    /// The first of `fields` that may be meant next.
    next: usize,
}

impl Fields<'_, '_, '_> {
    /// Whether a field of that name may come here. What else is in the list of names are
    /// other names of the same fields.
    #[cold]
    fn look_at_name(&mut self, written: Option<Name>) -> Result<(), Fault> {
        let later = self.fields.get(self.next..).unwrap_or_default();
        let at = match written {
            Some(Name::Field(name)) => later.iter().position(|field| *field == name),
            _ => None,
        };
        let Some(at) = at else {
            return Err(Fault::unfit(format!(
                "{written:?} was written where one of {later:?} is read"
            )));
        };
        self.next += at + 1;
        Ok(())
    }
}

impl<'de> de::SeqAccess<'de> for &mut Fields<'_, 'de, '_> {
    type Error = Fault;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if self.asked == self.fields.len() as u64 {
            return Ok(None);
        }
        self.asked += 1;
        if let Some(written) = self.reader.next_name() {
            self.look_at_name(written)?;
        }
        self.reader.inner(seed).map(Some)
    }
}

/// A variant, of which the number was read.
pub struct Variant<'r, 'de, 'n> {
    pub(super) reader: &'r mut Reader<'de, 'n>,
    pub(super) index: u32,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de, '_> {
    type Error = Fault;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let index: U32Deserializer<Fault> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de, '_> {
    type Error = Fault;

    #[inline]
    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        self.reader.wrapped(|reader| seed.deserialize(reader))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.reader.tuple(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.reader.fields(fields, visitor)
    }
}
