//! What a member has called, as it lies in its place.
//!
//! ```text
//!   word 0   63 … 40 unused | 39 … 32 parcels | 31 … 24 marks | 23 … 8 root | 7 … 0 operation
//!   word 1   63 … 32 type of the values       | 31 … 0 bytes of the value
//!   word 2   elements
//! ```

use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::circle::CALL_WORDS;

/// A collective operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Operation {
    /// [`Member::barrier`](super::Member::barrier).
    Barrier,
    /// [`Member::broadcast`](super::Member::broadcast).
    Broadcast,
    /// [`Member::scatter`](super::Member::scatter).
    Scatter,
    /// [`Member::gather`](super::Member::gather).
    Gather,
    /// [`Member::all_gather`](super::Member::all_gather).
    AllGather,
    /// [`Member::reduce`](super::Member::reduce).
    Reduce,
    /// [`Member::all_reduce`](super::Member::all_reduce).
    AllReduce,
    /// [`Member::all_reduce_slice`](super::Member::all_reduce_slice).
    AllReduceSlice,
}

const OPERATIONS: [Operation; 8] = [
    Operation::Barrier,
    Operation::Broadcast,
    Operation::Scatter,
    Operation::Gather,
    Operation::AllGather,
    Operation::Reduce,
    Operation::AllReduce,
    Operation::AllReduceSlice,
];

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Barrier => "barrier",
            Operation::Broadcast => "broadcast",
            Operation::Scatter => "scatter",
            Operation::Gather => "gather",
            Operation::AllGather => "all_gather",
            Operation::Reduce => "reduce",
            Operation::AllReduce => "all_reduce",
            Operation::AllReduceSlice => "all_reduce_slice",
        })
    }
}

/// What a member has called: all members of a group must call the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// The rank of the member that the others' values go to, or come from; 0 if there is none.
    pub root: usize,
    /// How many elements there are; 0 where that is not said.
    pub len: usize,
    /// Says whether it is the same type of values.
    of: u32,
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.operation.fmt(f)?;
        match self.operation {
            Operation::Broadcast | Operation::Scatter => write!(f, " from member {}", self.root),
            Operation::Gather | Operation::Reduce => write!(f, " to member {}", self.root),
            Operation::AllReduceSlice => write!(f, " of {} elements", self.len),
            _ => Ok(()),
        }
    }
}

/// Adds up what a type's number is hashed to.
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(5) ^ word;
    }
}

impl Call {
    pub(super) fn new<T>(operation: Operation, root: usize, len: usize) -> Self {
        // All processes are of one build, in which a type has one number.
        let mut of = Folded(0);
        typeid::of::<T>().hash(&mut of);
        Call {
            operation,
            root,
            len,
            of: of.finish() as u32,
        }
    }

    /// How two that are not the same differ: what the other has called, in words.
    pub(super) fn but(&self, other: &Call) -> String {
        if self.to_string() == other.to_string() {
            return format!("{other} of another type");
        }
        other.to_string()
    }
}

/// Marks of a value.
pub const MARKED: u8 = 1;
/// It is in a block.
pub const LONG: u8 = 2;
/// There is none.
pub const NO_VALUE: u8 = 4;

/// What is said of the value that comes with a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub marks: u8,
    pub parcels: u8,
    /// Bytes that are encoded; of a long one, its first.
    pub len: u32,
}

impl Size {
    /// Whether memory is kept by the place that it is in.
    pub fn has_parcels(&self) -> bool {
        self.parcels > 0 || self.marks & LONG != 0
    }
}

/// As the words of a place.
pub fn pack(call: &Call, size: Size) -> [u64; CALL_WORDS] {
    let first = call.operation as u64 | (call.root as u64 & 0xFFFF) << 8;
    [
        first | u64::from(size.marks) << 24 | u64::from(size.parcels) << 32,
        u64::from(call.of) << 32 | u64::from(size.len),
        call.len as u64,
    ]
}

/// From the words of a place; `None` if no call is like that.
pub fn unpack(words: [u64; CALL_WORDS]) -> Option<(Call, Size)> {
    let call = Call {
        operation: *OPERATIONS.get(usize::from(words[0] as u8))?,
        root: usize::from((words[0] >> 8) as u16),
        len: usize::try_from(words[2]).ok()?,
        of: (words[1] >> 32) as u32,
    };
    let size = Size {
        marks: (words[0] >> 24) as u8,
        parcels: (words[0] >> 32) as u8,
        len: words[1] as u32,
    };
    Some((call, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        for operation in OPERATIONS {
            let call = Call::new::<f32>(operation, 513, 1 << 40);
            let size = Size {
                marks: LONG | NO_VALUE,
                parcels: 255,
                len: u32::MAX,
            };
            assert_eq!(unpack(pack(&call, size)), Some((call, size)));
            assert_ne!(call, Call::new::<u32>(operation, 513, 1 << 40));
        }
        assert_eq!(unpack([8, 0, 0]), None);
    }

    #[test]
    fn says_how_two_differ() {
        let call = Call::new::<f32>(Operation::AllReduceSlice, 0, 3);
        let other = Call::new::<f32>(Operation::AllReduceSlice, 0, 4);
        assert_eq!(call.but(&other), "all_reduce_slice of 4 elements");
        let other = Call::new::<u32>(Operation::AllReduceSlice, 0, 3);
        assert!(call.but(&other).ends_with("3 elements of another type"));
    }
}
