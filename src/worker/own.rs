//! What an executor alone knows of each of its slots.

use std::cell::{Cell, RefCell};

use crate::layout::NEST_SLOTS;
use crate::pool::Transfer;
use crate::task::Entry;

/// No slot.
const NONE: u32 = u32::MAX;

/// One of each for each slot, and which of them are free: the one that was given back last
/// is the next to be used, while it is in the nearest cache.
#[derive(Debug)]
pub(super) struct Owns {
    /// What was spawned last in it.
    pub entries: [Cell<Option<Entry>>; NEST_SLOTS],
    /// What is held for its arguments.
    pub holds: [RefCell<Vec<Transfer>>; NEST_SLOTS],
    /// The free one after it, if it is free.
    next_free: [Cell<u32>; NEST_SLOTS],
    first_free: Cell<u32>,
}

impl Owns {
    /// None of them is free.
    pub fn new() -> Self {
        Owns {
            entries: std::array::from_fn(|_| Cell::new(None)),
            holds: std::array::from_fn(|_| RefCell::default()),
            next_free: std::array::from_fn(|_| Cell::new(NONE)),
            first_free: Cell::new(NONE),
        }
    }

    /// Takes one that is free.
    #[inline]
    pub fn pop_free(&self) -> Option<usize> {
        let place = self.first_free.get() as usize;
        self.first_free.set(self.next_free.get(place)?.get());
        Some(place)
    }

    /// This one is free, and nothing is held for it.
    #[inline]
    pub fn push_free(&self, place: usize) {
        if let Some(next) = self.next_free.get(place) {
            next.set(self.first_free.replace(place as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_last_comes_first() {
        let owns = Owns::new();
        assert_eq!(owns.pop_free(), None);
        for place in [3, 0, 255, NEST_SLOTS] {
            owns.push_free(place);
        }
        assert_eq!(owns.pop_free(), Some(255));
        owns.push_free(7);
        let rest: Vec<usize> = std::iter::from_fn(|| owns.pop_free()).collect();
        assert_eq!(rest, [7, 0, 3]);
    }
}
