//! Lanes of which nobody ever takes anything: each process sees all that was put there, once, in order.
//!
//! A message is known by its place, which is the same for all. One that its sender died over is none, and has its
//! number all the same.

use std::sync::OnceLock;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU64;

#[cfg(loom)]
use crate::prim::atomic::AtomicU64;
use crate::prim::atomic::Ordering;

use super::place::Place;
use super::{CellState, Lane, Mine};

/// What a process has made of the messages that it has seen; its own memory.
pub struct Board<Q> {
    /// How many places.
    places: AtomicU64,
    items: Box<[OnceLock<Q>]>,
}

impl<Q> Board<Q> {
    /// That of a lane with room for so many.
    pub fn new(capacity: usize) -> Self {
        Board {
            places: AtomicU64::new(0),
            items: (0..capacity).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Looks what is new, and makes of it what `read` says. How many places there are.
    #[inline]
    pub fn look(&self, lane: &Lane, read: impl Fn(&Mine) -> Option<Q>) -> usize {
        // ordering: Acquire pairs with the Release below: who sees the number sees what is there.
        let places = self.places.load(Ordering::Acquire) as usize;
        if lane.is_new(places) {
            return self.see(lane, places, read);
        }
        places
    }

    #[cold]
    fn see(&self, lane: &Lane, mut places: usize, read: impl Fn(&Mine) -> Option<Q>) -> usize {
        while let (Some(item), Some(place)) = (self.items.get(places), lane.peek(places)) {
            if let Some(seen) = place.and_then(|place| read(&place)) {
                // Another thread may have been quicker: it is the same.
                let _ = item.set(seen);
            }
            places += 1;
            // ordering: Release pairs with the Acquire above.
            self.places.fetch_max(places as u64, Ordering::Release);
        }
        places
    }

    /// What was made of the messages in the first so many places, by their numbers.
    pub fn seen(&self, places: usize) -> impl Iterator<Item = (usize, &Q)> {
        let items = self.items.iter().take(places).enumerate();
        items.filter_map(|(number, item)| Some((number, item.get()?)))
    }

    /// The same of one of them.
    pub fn get(&self, number: usize) -> Option<&Q> {
        self.items.get(number)?.get()
    }
}

impl Lane {
    /// Whether there is more than the first `seen` messages.
    #[inline]
    pub fn is_new(&self, seen: usize) -> bool {
        seen < self.capacity() && self.load(seen as u32).0 != CellState::Empty
    }

    /// The message of this number, to be read, not to be taken; `Some(None)`: it never was whole. `None`:
    /// there is none yet.
    pub fn peek(&self, number: usize) -> Option<Option<Mine>> {
        let cell = u32::try_from(number).ok()?;
        if number >= self.capacity() {
            return None;
        }
        match self.load(cell).0 {
            CellState::Full => Some(Some(Mine::at(Place::new(Place::FIRST.lap(), cell)))),
            CellState::Empty | CellState::Writing => None,
            _ => Some(None),
        }
    }
}
