//! The private part of an executor's knowledge of each of its slots.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::layout::NEST_SLOTS;
use crate::pool::{Handing, Transfer};
use crate::prim::Generation;
use crate::task::Entry;

/// Instead of the next free slot: there is none.
const NONE: u32 = u32::MAX;

/// What is held for a child's arguments.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Their buffers, but for ends of shared objects.
    pub holds: Vec<Transfer>,
    /// What keeps these until the child begins.
    pub ends: Option<Handing>,
}

impl Held {
    /// The child is about to be queued.
    pub fn new(mut holds: Vec<Transfer>, ends: Option<Handing>) -> Self {
        if let Some(ends) = &ends {
            ends.let_go(&mut holds);
        }
        Held { holds, ends }
    }

    fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.ends.is_none()
    }
}

/// One of each for each slot, and which of them are free: the one that was given back last
/// is the next to be used, while it is in the nearest cache.
///
/// The generations are those of the words. They are here too, because what lies in shared
/// memory may be spoilt: a slot is given back once for each time that it was taken, whatever
/// its word says.
#[derive(Debug)]
pub(super) struct Owns {
    /// What was spawned last in it.
    pub entries: [Cell<Option<Entry>>; NEST_SLOTS],
    /// What is held for the arguments of those few that need it.
    holds: RefCell<HashMap<usize, Held>>,
    generations: [Cell<Generation>; NEST_SLOTS],
    /// The free one after it, if it is free.
    next_free: [Cell<u32>; NEST_SLOTS],
    first_free: Cell<u32>,
}

impl Owns {
    /// All of them are taken.
    pub fn new() -> Self {
        Owns {
            entries: std::array::from_fn(|_| Cell::new(None)),
            holds: RefCell::default(),
            generations: std::array::from_fn(|_| Cell::new(Generation::new(0))),
            next_free: std::array::from_fn(|_| Cell::new(NONE)),
            first_free: Cell::new(NONE),
        }
    }

    /// In which generation one is, or will be when it is taken.
    #[inline]
    pub fn generation(&self, place: usize) -> Generation {
        self.generations[place].get()
    }

    /// From now on it is in this one: as its word says, when this executor begins to use it.
    pub fn begin(&self, place: usize, generation: Generation) {
        self.generations[place].set(generation);
    }

    /// Holds this for the child that is there.
    pub fn hold(&self, place: usize, held: Held) {
        if !held.is_empty() {
            self.holds.borrow_mut().insert(place, held);
        }
    }

    /// Whether anything is held for the child that is there.
    #[inline]
    pub fn is_held(&self, place: usize) -> bool {
        let holds = self.holds.borrow();
        !holds.is_empty() && holds.contains_key(&place)
    }

    /// What is held for it, and no more from now on.
    pub fn let_go(&self, place: usize) -> Held {
        self.holds.borrow_mut().remove(&place).unwrap_or_default()
    }

    /// Whether a child of this generation is the one that is there: each generation has one
    /// at most.
    #[inline]
    pub fn is_of(&self, place: usize, generation: Generation) -> bool {
        self.generations[place].get() == generation
    }

    /// Takes one that is free.
    #[inline]
    pub fn take(&self) -> Option<usize> {
        let place = self.first_free.get() as usize;
        self.first_free.set(self.next_free.get(place)?.get());
        Some(place)
    }

    /// Gives back one that is taken, and was not used.
    #[inline]
    pub fn put_back(&self, place: usize) {
        let next = self.first_free.replace(place as u32);
        self.next_free[place].set(next);
    }

    /// The same of one that had the child of this generation, for which nothing is held; the
    /// next one begins. False: that was done before.
    #[inline]
    pub fn free(&self, place: usize, generation: Generation) -> bool {
        let is_there = self.is_of(place, generation);
        if is_there {
            self.generations[place].set(generation.next());
            self.put_back(place);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owns() -> Owns {
        let owns = Owns::new();
        (0..NEST_SLOTS).for_each(|place| owns.begin(place, Generation::new(place as u64)));
        owns
    }

    #[test]
    fn what_was_given_back_last_comes_first() {
        let owns = owns();
        assert_eq!(owns.take(), None);
        for place in [3, 0, 255] {
            owns.put_back(place);
        }
        assert_eq!(owns.take(), Some(255));
        owns.put_back(7);
        let rest: Vec<usize> = std::iter::from_fn(|| owns.take()).collect();
        assert_eq!(rest, [7, 0, 3]);
    }

    #[test]
    fn each_is_given_back_once() {
        let owns = owns();
        let (before, now) = (Generation::new(4), Generation::new(5));
        assert!(!owns.free(5, before), "of another generation");
        assert!(owns.free(5, now));
        assert!(!owns.free(5, now), "again");
        assert_eq!(owns.generation(5), now.next());
        assert_eq!((owns.take(), owns.take()), (Some(5), None));
        assert!(!owns.free(5, now), "late");
        assert!(owns.is_of(5, now.next()));
    }
}
