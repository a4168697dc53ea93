//! How a task's argument and its result travel.
//!
//! Most have a few bytes. So these are written and read in as few steps as a number is, without what
//! derived code does for all that might be there:
//!
//! | what | is written as |
//! | --- | --- |
//! | argument of up to 8 bytes | function and a mark in one number, the bytes in another |
//! | any other argument | function and a mark, and then the bytes, the buffers and the ends of channels |
//! | result of up to 8 bytes | which variant, and the bytes in a number |
//! | any other result | which variant, and then the bytes, the buffer, or what has failed |

use std::fmt;

use serde::de::{EnumAccess, Error, SeqAccess, VariantAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::{Bytes, Few};
use crate::call::{Ended, Request};

/// What follows is a number, as in [`Few`].
const LESS: u8 = 0;
const EIGHT: u8 = 1;
/// It is bytes.
const MORE: u8 = 2;
/// It is bytes, buffers and ends of channels.
const CARGO: u8 = 3;

/// Writes two things, one after the other.
#[inline(always)]
fn two<S: Serializer>(
    serializer: S,
    head: &impl Serialize,
    body: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(2)?;
    tuple.serialize_element(head)?;
    tuple.serialize_element(body)?;
    tuple.end()
}

#[inline(always)]
fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(list: &mut A) -> Result<T, A::Error> {
    match list.next_element()? {
        Some(element) => Ok(element),
        None => Err(A::Error::custom("something is missing at its end")),
    }
}

#[cold]
fn unknown<E: Error>(mark: usize) -> E {
    E::custom(format_args!("{mark} is no mark of what follows"))
}

/// Bytes, to be written.
struct Long<'a>(&'a [u8]);

impl Serialize for Long<'_> {
    #[inline(never)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Bytes that were read.
struct Owned(Box<Bytes>);

impl<'de> Deserialize<'de> for Owned {
    #[inline(never)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Owned(Box::new(Bytes::deserialize(deserializer)?)))
    }
}

impl Serialize for Request {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = |mark: u8| u64::from(self.function) | u64::from(mark) << 32;
        match (&self.argument, &self.cargo) {
            (Few::Eight(word), None) => two(serializer, &head(EIGHT), word),
            (Few::Less(word), None) => two(serializer, &head(LESS), word),
            (bytes, None) => two(serializer, &head(MORE), &Long(bytes)),
            (bytes, Some(cargo)) => two(serializer, &head(CARGO), &(Long(bytes), cargo)),
        }
    }
}

impl Request {
    #[cold]
    fn read_other<'de, A: SeqAccess<'de>>(head: u64, mut list: A) -> Result<Self, A::Error> {
        let mut cargo = None;
        let argument = match (head >> 32) as u8 {
            LESS => Few::Less(next(&mut list)?),
            MORE => Few::More(next::<_, Owned>(&mut list)?.0),
            CARGO => {
                let (bytes, more): (Owned, _) = next(&mut list)?;
                cargo = Some(more);
                Few::More(bytes.0)
            }
            other => return Err(unknown(other.into())),
        };
        Ok(Request {
            function: head as u32,
            argument,
            cargo,
        })
    }
}

struct ReadRequest;

impl<'de> Visitor<'de> for ReadRequest {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function and its argument")
    }

    #[inline(always)]
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Request, A::Error> {
        let head: u64 = next(&mut list)?;
        match (head >> 32) as u8 {
            EIGHT => Ok(Request {
                function: head as u32,
                argument: Few::Eight(next(&mut list)?),
                cargo: None,
            }),
            _ => Request::read_other(head, list),
        }
    }
}

impl<'de> Deserialize<'de> for Request {
    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, ReadRequest)
    }
}

/// What it is for the library, which asks whether a task has failed.
const RESULT: &str = "Result";
const VARIANTS: &[&str] = &["Eight", "Less", "More", "Buffer", "Err"];

/// Which of them.
struct Which(usize);

struct ReadWhich;

impl Visitor<'_> for ReadWhich {
    type Value = Which;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a variant")
    }

    #[inline(always)]
    fn visit_u64<E: Error>(self, index: u64) -> Result<Which, E> {
        Ok(Which(index as usize))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Which, E> {
        let index = VARIANTS.iter().position(|variant| *variant == name);
        index
            .map(Which)
            .ok_or_else(|| E::unknown_variant(name, VARIANTS))
    }
}

impl<'de> Deserialize<'de> for Which {
    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(ReadWhich)
    }
}

impl Serialize for Ended {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ended::Eight(word) => serializer.serialize_newtype_variant(RESULT, 0, "Eight", word),
            other => other.serialize_other(serializer),
        }
    }
}

impl Ended {
    #[cold]
    fn serialize_other<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ended::Eight(word) => serializer.serialize_newtype_variant(RESULT, 0, "Eight", word),
            Ended::Less(word) => serializer.serialize_newtype_variant(RESULT, 1, "Less", word),
            Ended::More(more) => {
                serializer.serialize_newtype_variant(RESULT, 2, "More", &Long(more))
            }
            Ended::Buffer(shared) => {
                serializer.serialize_newtype_variant(RESULT, 3, "Buffer", shared)
            }
            Ended::Err(failed) => serializer.serialize_newtype_variant(RESULT, 4, "Err", failed),
        }
    }

    #[cold]
    fn read_other<'de, A: VariantAccess<'de>>(which: Which, value: A) -> Result<Self, A::Error> {
        Ok(match which.0 {
            1 => Ended::Less(value.newtype_variant()?),
            2 => Ended::More(value.newtype_variant::<Owned>()?.0),
            3 => Ended::Buffer(value.newtype_variant()?),
            4 => Ended::Err(value.newtype_variant()?),
            other => return Err(unknown(other)),
        })
    }
}

struct ReadEnded;

impl<'de> Visitor<'de> for ReadEnded {
    type Value = Ended;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    #[inline(always)]
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Ended, A::Error> {
        match data.variant()? {
            (Which(0), word) => Ok(Ended::Eight(word.newtype_variant()?)),
            (which, value) => Ended::read_other(which, value),
        }
    }
}

impl<'de> Deserialize<'de> for Ended {
    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum(RESULT, VARIANTS, ReadEnded)
    }
}
