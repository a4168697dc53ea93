//! The named form: each value says what it is, fields and variants by their names.
//!
//! ```text
//!   value    a tag, and what belongs to it
//!   list     elements, END                       sequences, tuples
//!   map      (key, value) .., END
//!   struct   (name, value or SKIPPED) .., END
//!   variant  name, and what is in it
//!   length   8 bytes
//! ```
//!
//! Nothing that serde tells is lost: `Some(None)` is not `None`, a number keeps its type.
//! Whoever asks what comes next is answered as by JSON: a variant without contents is its
//! name then, one with contents a map of its name to them. That is what `flatten`,
//! `untagged` and `tag` expect, and for the same reason it calls itself readable to humans.

mod digest;
mod read;
mod write;

pub(super) use digest::digest;
pub(super) use read::Reader;
pub(super) use write::Writer;

mod tag {
    pub const UNIT: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const I8: u8 = 3;
    pub const I16: u8 = 4;
    pub const I32: u8 = 5;
    pub const I64: u8 = 6;
    pub const I128: u8 = 7;
    pub const U8: u8 = 8;
    pub const U16: u8 = 9;
    pub const U32: u8 = 10;
    pub const U64: u8 = 11;
    pub const U128: u8 = 12;
    pub const F32: u8 = 13;
    pub const F64: u8 = 14;
    pub const CHAR: u8 = 15;
    pub const STR: u8 = 16;
    pub const BYTES: u8 = 17;
    pub const NONE: u8 = 18;
    pub const SOME: u8 = 19;
    pub const LIST: u8 = 20;
    pub const MAP: u8 = 21;
    pub const STRUCT: u8 = 22;
    pub const UNIT_VARIANT: u8 = 23;
    pub const NEWTYPE_VARIANT: u8 = 24;
    pub const TUPLE_VARIANT: u8 = 25;
    pub const STRUCT_VARIANT: u8 = 26;
    /// In place of the value of a field.
    pub const SKIPPED: u8 = 27;
    pub const END: u8 = 28;
}

/// How many bytes follow a tag of a value of one size.
fn size_of_tag(tag: u8) -> Option<usize> {
    Some(match tag {
        tag::UNIT | tag::FALSE | tag::TRUE | tag::NONE => 0,
        tag::I8 | tag::U8 => 1,
        tag::I16 | tag::U16 => 2,
        tag::I32 | tag::U32 | tag::F32 | tag::CHAR => 4,
        tag::I64 | tag::U64 | tag::F64 => 8,
        tag::I128 | tag::U128 => 16,
        _ => return None,
    })
}
