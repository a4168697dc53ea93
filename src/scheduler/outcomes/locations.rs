//! Where the task of each ticket is: written under the scheduler's lock, read without.
//!
//! ```text
//!   word   a hint   the task is, or was last, in this slot
//!          a hint of no slot, and instead of its generation:
//!            0                                    it is in none, for now or for ever
//!            bit 39 and a number                  it waits for others: which node
//! ```

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::{EXECUTORS_MAX, NEST_SLOTS, PENDING_SLOTS_MAX, SLOTS_MAX};
use crate::prim::{Generation, Hint, SlotIndex};

/// The slot of those that are in none: beyond every other.
const NOWHERE: u32 = (1 << 20) - 1;
const _: () =
    assert!(SLOTS_MAX + PENDING_SLOTS_MAX + EXECUTORS_MAX * NEST_SLOTS <= NOWHERE as usize);

const NODE: u64 = 1 << (Generation::BITS - 1);
const _: () = assert!(Generation::BITS > u32::BITS);

/// So many words come first; each further piece has twice as many as the one before.
const FIRST: usize = 1024;
const PIECES: usize = 23;
/// All tickets that there can be.
const _: () = assert!(FIRST << PIECES > u32::MAX as usize);

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In no slot, for now or for ever.
    Nowhere,
    /// It waits for others, without a slot: in this of the nodes.
    Node(u32),
    /// In a slot.
    Slot(Hint),
}

impl Location {
    #[inline]
    fn pack(self) -> u64 {
        match self {
            Location::Slot(hint) => hint.pack(),
            Location::Nowhere => nowhere(0),
            Location::Node(node) => nowhere(NODE | u64::from(node)),
        }
    }

    fn unpack(word: u64) -> Self {
        let hint = Hint::unpack(word);
        if !is_nowhere(hint) {
            return Location::Slot(hint);
        }
        match hint.generation.raw() {
            bits if bits & NODE != 0 => Location::Node(bits as u32),
            _ => Location::Nowhere,
        }
    }
}

fn nowhere(bits: u64) -> u64 {
    let hint = Hint {
        slot: SlotIndex(NOWHERE),
        generation: Generation::new(bits),
    };
    hint.pack()
}

/// Whether it is that of no slot.
pub fn is_nowhere(hint: Hint) -> bool {
    hint.slot.0 == NOWHERE
}

/// Those of all tickets. What has been looked at stays where it is, so that whoever
/// writes holds up nobody who reads.
#[derive(Debug, Default)]
pub struct Locations {
    pieces: [OnceLock<Box<[AtomicU64]>>; PIECES],
}

impl Locations {
    #[inline]
    fn at(&self, id: u32) -> (&OnceLock<Box<[AtomicU64]>>, usize) {
        let number = id as usize + FIRST;
        let piece = number.ilog2() - FIRST.ilog2();
        (
            &self.pieces[piece as usize],
            number - (FIRST << piece as usize),
        )
    }

    /// The task of ticket `id` is here from now on. Under the lock.
    #[inline]
    pub fn set(&self, id: u32, location: Location) {
        let (piece, at) = self.at(id);
        let words = piece.get_or_init(|| new_piece(id));
        // Relaxed: a number, and what it says of a slot is looked for there. Whoever has the
        // ticket has got it after the first of these.
        words[at].store(location.pack(), Ordering::Relaxed);
    }

    #[inline]
    fn word(&self, id: u32) -> u64 {
        let (piece, at) = self.at(id);
        let words = piece.get();
        // Relaxed: as in `set`.
        words.map_or_else(|| nowhere(0), |words| words[at].load(Ordering::Relaxed))
    }

    /// Where the task of ticket `id` is. Under the lock it is still there; else it may have
    /// moved since.
    pub fn get(&self, id: u32) -> Location {
        Location::unpack(self.word(id))
    }

    /// In which slot the task of ticket `id` is, or was last; a hint that is that of no slot,
    /// if it has been in none, or the outcome was taken.
    #[inline]
    pub fn hint(&self, id: u32) -> Hint {
        Hint::unpack(self.word(id))
    }
}

/// The piece with the word of `id`.
#[cold]
fn new_piece(id: u32) -> Box<[AtomicU64]> {
    let len = 1 << (id as usize + FIRST).ilog2();
    (0..len).map(|_| AtomicU64::new(nowhere(0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ticket_has_one_of_its_own() {
        let locations = Locations::default();
        let ids = [0, 1, 1022, 1023, 1024, 3071, 3072, 7167, 7168, 100_000];
        let hint = |id: u32| Hint {
            slot: SlotIndex(id % 1000),
            generation: Generation::new(u64::from(id) + 5),
        };
        assert_eq!(locations.get(77), Location::Nowhere, "nothing was set");
        for id in ids {
            locations.set(id, Location::Slot(hint(id)));
        }
        for id in ids {
            assert_eq!(locations.get(id), Location::Slot(hint(id)), "ticket {id}");
            assert_eq!(locations.hint(id).pack(), hint(id).pack(), "ticket {id}");
        }
    }

    #[test]
    fn a_location_is_one_word() {
        let hint = Hint {
            slot: SlotIndex(NOWHERE - 1),
            generation: Generation::new(u64::MAX),
        };
        for location in [
            Location::Nowhere,
            Location::Node(0),
            Location::Node(u32::MAX),
            Location::Slot(hint),
        ] {
            assert_eq!(Location::unpack(location.pack()), location);
            let is_in_slot = matches!(location, Location::Slot(_));
            assert_eq!(is_nowhere(Hint::unpack(location.pack())), !is_in_slot);
        }
    }
}
