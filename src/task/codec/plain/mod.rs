//! The plain form: the values one after the other, without a word about what they are.
//!
//! Its bytes are those of `postcard`. Whoever reads it must ask for what was written; both
//! sides make a number of that, its [shape](super::shape).

mod parts;
mod read;
mod write;

pub(super) use read::{Names, Reader};
pub(super) use write::{Name, Writer};
