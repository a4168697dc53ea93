//! Cells that a process will come to soon: asked for before, so that nobody waits for their lines.

use std::sync::atomic::AtomicU64;

use crate::prim::atomic::Ordering;
use crate::sys::prefetch_for_write;

use super::place::Place;
use super::{HEAD, Lane, TAIL};

/// So many cells ahead.
const AHEAD: u32 = 8;
/// After so many cells it is looked anew how far the other side is: each time that costs it a
/// line.
const EACH: u32 = 32;
/// In shorter lanes the other side is always near.
const LEAST: u32 = 128;

/// How far the other side was when this process last looked; its own, and no more than a guess.
#[derive(Debug, Default)]
pub struct Seen(AtomicU64);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Seen::default()
    }
}

impl Lane {
    /// A place was claimed: another one that is not far is asked for, if the receivers have left
    /// it.
    #[inline]
    pub(super) fn ask_for_room(&self, place: Place) {
        self.ask(place, place.lap_before(), &self.heads, HEAD);
    }

    /// A message was taken: another one that is not far is asked for, if the senders have left it.
    #[inline]
    pub(super) fn ask_for_message(&self, place: Place) {
        self.ask(place, place.lap(), &self.tails, TAIL);
    }

    #[inline]
    fn ask(&self, place: Place, lap: crate::prim::Generation, seen: &Seen, hint: usize) {
        let cell = place.cell();
        if self.capacity < LEAST {
            return;
        }
        if cell.is_multiple_of(EACH) {
            self.look(seen, hint);
        }
        // Relaxed: a guess.
        let other = Place::unpack(seen.0.load(Ordering::Relaxed));
        let ahead = cell + AHEAD;
        if ahead >= self.capacity || !other.is_after(Place::new(lap, ahead)) {
            return;
        }
        let line = 64 / size_of::<u64>();
        for words in self.cell(ahead).chunks(line) {
            prefetch_for_write(&words[0]);
        }
    }

    fn look(&self, seen: &Seen, hint: usize) {
        // Relaxed: a guess; private.
        seen.0
            .store(self.words[hint].load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// To be called by who had to wait for a message, and has it: what came meanwhile is asked for
    /// as it goes on.
    pub fn look_at_tail(&self) {
        self.look(&self.tails, TAIL);
    }

    /// The same of who had to wait for room.
    pub fn look_at_head(&self) {
        self.look(&self.heads, HEAD);
    }

    /// How many messages were taken, or sent, since `before`, and where this is known from then on; in
    /// this process or another.
    pub fn passed(&self, before: &AtomicU64, is_receiver: bool) -> usize {
        let hint = if is_receiver { HEAD } else { TAIL };
        // Relaxed: a guess; private.
        let now = self.words[hint].load(Ordering::Relaxed);
        let last = before.swap(now, Ordering::Relaxed);
        Place::unpack(now).distance(Place::unpack(last), self.capacity)
    }
}
