//! What a nest knows of each child.

use crate::error::TaskError;
use crate::pool::Transfer;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::task::Finished;

/// A slot of this executor's, and in which generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub slot: u32,
    pub generation: Generation,
}

/// What a `Child` stands for.
#[derive(Debug)]
pub(super) enum Entry {
    Vacant,
    /// In a slot; nothing is held for its arguments.
    Plain(Spot),
    /// What few are. Boxed: entries are written and read all the time.
    Rare(Box<Rare>),
}

#[derive(Debug)]
pub(super) enum Rare {
    /// In a slot, with what is held for its arguments.
    Slot(Spot, Vec<Transfer>),
    /// Done, and its slot was needed for another; or why it cannot be had.
    Moved(Result<Finished, TaskError>),
}

impl Entry {
    /// Where it is.
    #[inline]
    pub fn spot(&self) -> Option<Spot> {
        match self {
            Entry::Vacant => None,
            Entry::Plain(spot) => Some(*spot),
            Entry::Rare(rare) => match &**rare {
                Rare::Slot(spot, _) => Some(*spot),
                Rare::Moved(_) => None,
            },
        }
    }

    /// The same, and what is held.
    pub fn into_slot(self) -> Option<(Spot, Vec<Transfer>)> {
        match self {
            Entry::Vacant => None,
            Entry::Plain(spot) => Some((spot, Vec::new())),
            Entry::Rare(rare) => match *rare {
                Rare::Slot(spot, holds) => Some((spot, holds)),
                Rare::Moved(_) => None,
            },
        }
    }

    /// What has come of one; its place is nobody's slot any more.
    pub fn moved(finished: Result<Finished, TaskError>) -> Self {
        Entry::Rare(Box::new(Rare::Moved(finished)))
    }

    /// From here on it is this, and was not [`Entry::Rare`].
    #[inline]
    pub fn is(&mut self, now: Entry) {
        debug_assert!(!matches!(self, Entry::Rare(_)), "nothing is to be dropped");
        // To look for what is to be dropped takes its time.
        std::mem::forget(std::mem::replace(self, now));
    }
}

impl Spot {
    /// Which task that is.
    pub fn hint(self) -> Hint {
        Hint {
            slot: SlotIndex(self.slot),
            generation: self.generation,
        }
    }
}
