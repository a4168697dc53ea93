//! What a value looked like when it was written: which calls of serde's, in which order.
//!
//! Whoever reads the plain form has to ask for the same as was written; nothing in the
//! bytes tells him. So both make a number of what they write, and of what they ask for.

/// Of nothing.
pub const NOTHING: u64 = 0x9ae1_6a3b_2f90_404f;

/// The shape, and one thing more.
#[inline(always)]
pub const fn and(shape: u64, token: u64) -> u64 {
    (shape.rotate_left(5) ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The shape, and a name.
pub fn and_name(shape: u64, name: &str) -> u64 {
    let bytes = name.bytes();
    bytes.fold(and(shape, name.len() as u64), |shape, byte| {
        and(shape, byte.into())
    })
}

pub const BOOL: u64 = 1;
pub const I8: u64 = 2;
pub const I16: u64 = 3;
pub const I32: u64 = 4;
pub const I64: u64 = 5;
pub const I128: u64 = 6;
pub const U8: u64 = 7;
pub const U16: u64 = 8;
pub const U32: u64 = 9;
pub const U64: u64 = 10;
pub const U128: u64 = 11;
pub const F32: u64 = 12;
pub const F64: u64 = 13;
pub const CHAR: u64 = 14;
pub const STR: u64 = 15;
pub const BYTES: u64 = 16;
pub const NONE: u64 = 17;
pub const SOME: u64 = 18;
pub const UNIT: u64 = 19;
pub const SEQ: u64 = 20;
pub const MAP: u64 = 21;
pub const STRUCT: u64 = 22;
pub const END: u64 = 23;
/// And how many.
pub const TUPLE: u64 = 1 << 32;
/// And which variant.
pub const ENUM: u64 = 2 << 32;

/// What the elements of a sequence look like: each kind once, as long as equal ones follow
/// each other. So all `Vec<u64>` have one shape.
#[derive(Debug)]
pub struct Run {
    outer: u64,
    last: u64,
}

impl Run {
    /// Begins in a value of shape `outer`.
    #[inline(always)]
    pub fn new(outer: u64, token: u64) -> Self {
        Run {
            outer: and(outer, token),
            last: 0,
        }
    }

    /// One more element, of that shape.
    #[inline(always)]
    pub fn push(&mut self, element: u64) {
        if element != self.last {
            self.outer = and(self.outer, element);
            self.last = element;
        }
    }

    /// The shape of the value so far.
    #[inline(always)]
    pub fn end(&self) -> u64 {
        and(self.outer, END)
    }
}
