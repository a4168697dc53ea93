//! Typed indices. A bare `u32` read from shared memory becomes one of these only
//! after it was checked against a bound this process knows by itself.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Which executor (a thread of a worker process), counted over the whole fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutorId(pub u32);

/// Which process of the fold: 0 is the host, `w + 1` is worker `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

impl ProcessId {
    /// The host's own number.
    pub const HOST: ProcessId = ProcessId(0);

    /// The number of worker `index`.
    pub const fn of_worker(index: u32) -> ProcessId {
        ProcessId(index + 1)
    }

    /// Which worker it is; `None` for the host.
    pub const fn worker(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

/// Which task slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(pub u32);

impl SlotIndex {
    /// The index as an array index.
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}

/// Which pool block: the span it starts in and its place in that span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex(pub u32);

/// How often a slot or block has changed hands; 40 bits, wraps after 30 hours
/// of a change every 100 ns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// Bits in use.
    pub const BITS: u32 = 40;
    const MASK: u64 = (1 << Self::BITS) - 1;

    /// The low 40 bits of `raw`.
    #[inline]
    pub const fn new(raw: u64) -> Self {
        Generation(raw & Self::MASK)
    }

    /// The number itself.
    #[inline]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The one after this, wrapping.
    #[must_use]
    #[inline]
    pub const fn next(self) -> Self {
        Generation::new(self.0 + 1)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// What a queue carries: *this slot, in this generation, may be ready to run*.
///
/// ```text
///  63        40 39                                     0
/// +------------+----------------------------------------+
/// |   index    |              generation                |
/// +------------+----------------------------------------+
/// ```
///
/// A hint proves nothing. Whoever takes one asks the slot's truth word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The slot it speaks of.
    pub slot: SlotIndex,
    /// The generation in which it was true.
    pub generation: Generation,
}

impl Hint {
    /// As one word.
    pub const fn pack(self) -> u64 {
        ((self.slot.0 as u64) << Generation::BITS) | self.generation.raw()
    }

    /// From a word read from shared memory: the slot is *not* yet checked.
    pub const fn unpack(raw: u64) -> Self {
        Hint {
            slot: SlotIndex((raw >> Generation::BITS) as u32),
            generation: Generation::new(raw),
        }
    }
}

/// Names a task of a runtime; no two tasks of one runtime have the same.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let task = rt.spawn(|()| pinfold::current_task().map(|id| id.to_string()), ());
/// let id: Option<pinfold::TaskId> = task.id();
/// assert_eq!(task.join()?, id.map(|id| id.to_string()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(u64);

impl TaskId {
    pub(crate) fn of(hint: Hint) -> Self {
        TaskId(hint.pack())
    }

    pub(crate) fn hint(self) -> Hint {
        Hint::unpack(self.0)
    }

    /// A number that no other task of its runtime has: for tables, and for what is not Rust.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|()| pinfold::current_task().map(|task| task.as_u64()), ());
    /// let number = task.id().map(|task| task.as_u64());
    /// assert_eq!(task.join()?, number);
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hint { slot, generation } = Hint::unpack(self.0);
        write!(f, "{}.{}", slot.0, generation.raw())
    }
}

impl std::fmt::Debug for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskId({self})")
    }
}

/// A task that runs although its hard deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The worker whose process must be ended.
    pub worker: u32,
    /// The task.
    pub task: Hint,
    /// It was asked to end before, and had its grace.
    pub was_asked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_round_trips() {
        for (slot, generation) in [(0, 0), (7, 1), ((1 << 24) - 1, (1 << 40) - 1)] {
            let hint = Hint {
                slot: SlotIndex(slot),
                generation: Generation::new(generation),
            };
            assert_eq!(Hint::unpack(hint.pack()), hint);
        }
    }

    #[test]
    fn generation_wraps() {
        assert_eq!(Generation::new((1 << 40) - 1).next(), Generation::new(0));
    }
}
