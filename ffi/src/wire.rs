//! How a task's argument and its result travel.
//!
//! Most have a few bytes. So these are written and read in as few steps as a number is, without what
//! derived code does for all that might be there:
//!
//! | what | is written as |
//! | --- | --- |
//! | argument of up to 8 bytes | function and a mark in one number, the bytes in another |
//! | any other argument | function and a mark, and then the bytes, the buffers and the ends of channels |
//! | result of up to 8 bytes | a mark, and the bytes in a number |
//! | any other result | a mark, and then the bytes, the buffer, or what has failed |
//!
//! Each mark, and each number, has a word of its own: no shifting of bytes, in either direction.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::{Bytes, Few, WORD, bytes_of, less_of};
use crate::value::{Ended, Failed, Request};

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
fn unknown<E: Error>(mark: u64) -> E {
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

/// What a failure is for the library, which asks whether a task has failed.
const ERR: &str = "Result::Err";
/// What follows is a buffer, or what has failed.
const BUFFER: u8 = 4;
const FAILED: u8 = 5;

impl Serialize for Ended {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ended::Eight(word) => two(serializer, &u64::from(EIGHT), word),
            other => other.serialize_other(serializer),
        }
    }
}

/// Why a task has failed, with its mark.
struct Reason<'a>(&'a Failed);

impl Serialize for Reason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        two(serializer, &u64::from(FAILED), self.0)
    }
}

impl Ended {
    #[cold]
    fn serialize_other<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ended::Eight(word) => two(serializer, &u64::from(EIGHT), word),
            Ended::Less(word) => two(serializer, &u64::from(LESS), word),
            Ended::More(more) => two(serializer, &u64::from(MORE), &Long(more)),
            Ended::Buffer(shared) => two(serializer, &u64::from(BUFFER), shared),
            Ended::Err(failed) => serializer.serialize_newtype_struct(ERR, &Reason(failed)),
        }
    }

    #[cold]
    fn read_other<'de, A: SeqAccess<'de>>(mark: u64, mut list: A) -> Result<Self, A::Error> {
        Ok(match u8::try_from(mark) {
            Ok(LESS) => Ended::Less(next(&mut list)?),
            Ok(MORE) => Ended::More(next::<_, Owned>(&mut list)?.0),
            Ok(BUFFER) => Ended::Buffer(next(&mut list)?),
            Ok(FAILED) => Ended::Err(next(&mut list)?),
            _ => return Err(unknown(mark)),
        })
    }
}

/// A result of up to eight bytes, as in [`Few`].
pub(crate) struct Short {
    pub(crate) word: u64,
    pub(crate) len: usize,
}

impl Short {
    /// What [`Ended`] has written, if it is one: the mark, and the number.
    #[inline(always)]
    pub(crate) fn read(encoded: &[u8]) -> Option<Self> {
        let (mark, rest) = encoded.split_first_chunk()?;
        let word = u64::from_le_bytes(rest.try_into().ok()?);
        let len = match u64::from_le_bytes(*mark) {
            mark if mark == u64::from(EIGHT) => WORD,
            mark if mark == u64::from(LESS) => less_of(&word).len(),
            _ => return None,
        };
        Some(Short { word, len })
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &bytes_of(&self.word)[..self.len]
    }
}

struct ReadEnded;

impl<'de> Visitor<'de> for ReadEnded {
    type Value = Ended;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    #[inline(always)]
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ended, A::Error> {
        match next(&mut list)? {
            mark if mark == u64::from(EIGHT) => Ok(Ended::Eight(next(&mut list)?)),
            mark => Ended::read_other(mark, list),
        }
    }
}

impl<'de> Deserialize<'de> for Ended {
    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, ReadEnded)
    }
}
