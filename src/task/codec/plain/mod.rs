//! The plain form: the values one after the other, without a word about what they are.
//!
//! | value | bytes |
//! | --- | --- |
//! | number, `bool`, `char` | as many as its type has, the lowest first |
//! | text, bytes | how many, and they |
//! | list, map | how many, and the elements |
//! | option | 0, or 1 and the value |
//! | variant | its number, and what is in it |
//! | tuple, struct | its parts |
//!
//! "How many" and the numbers of variants take seven bits to a byte, the lowest first; all but
//! the last have the highest bit set. Numbers have no such form: so a list of them is what lies
//! in memory, and is moved in one piece ([`rows`]).
//!
//! Whoever reads it must ask for what was written; both sides make a number of that, its
//! [shape](super::shape).

mod empty;
mod memory;
mod names;
mod numbers;
mod out;
mod parts;
mod read;
mod reader;
mod rows;
mod write;

pub(super) use names::{Name, Names};
pub use numbers::is_flat;
pub(super) use numbers::{is_sure, read_flat};
pub use out::Brief;
pub(super) use reader::Reader;
pub(super) use write::{Length, Writer};
