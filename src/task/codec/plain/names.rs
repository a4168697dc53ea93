//! Names of fields and variants: the plain form has none, but whoever writes a value may note them, to
//! compare them with those by which it is read.

/// A name that was met while writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Field(&'static str),
    Variant(&'static str),
}

/// What is done about the names of fields and variants.
#[derive(Debug)]
pub enum Names<'n> {
    /// They are not looked at.
    Ignored,
    /// Those that were written, in this order.
    Compared(&'n [Name]),
    /// Those of variants are part of this.
    Summed(u64),
}
