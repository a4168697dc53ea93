//! Cells that a process will come to soon: asked for before, so that nobody waits for their lines.

use std::sync::atomic::AtomicU64;

use crate::prim::Generation;
use crate::prim::atomic::{AtomicU64 as Word, Ordering};
use crate::sys::{prefetch, prefetch_for_write};

use super::place::Place;
use super::{DONE, HEAD, Lane, TAIL};

/// So many cells ahead.
const AHEAD: u32 = 8;
/// After so many cells it is looked anew how far the other side is: each time that costs it a
/// line.
const EACH: u32 = 32;
/// So many words ahead by who is alone: what arrives in the time that a line takes.
pub(super) const FAR: usize = 128;
/// In shorter lanes the other side is always near.
const LEAST: u32 = 128;

/// How far the other side was when this process last looked; its own, and no more than a guess.
#[derive(Debug, Default)]
pub struct Seen(pub(super) AtomicU64);

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
    fn ask(&self, place: Place, lap: Generation, seen: &Seen, hint: usize) {
        let cell = place.cell();
        if self.cells < LEAST {
            return;
        }
        if cell.is_multiple_of(EACH) {
            self.look(seen, hint);
        }
        // Relaxed: a guess.
        let other = Place::unpack(seen.0.load(Ordering::Relaxed));
        let ahead = cell + AHEAD;
        if ahead >= self.cells || !other.is_after(Place::new(lap, ahead)) {
            return;
        }
        let line = 64 / size_of::<u64>();
        for words in self.cell(ahead).chunks(line) {
            prefetch_for_write(&words[0]);
        }
    }

    fn look(&self, seen: &Seen, hint: usize) {
        // Relaxed: a guess; private.
        seen.0.store(self.guess(hint), Ordering::Relaxed);
    }

    fn guess(&self, hint: usize) -> u64 {
        // Relaxed: a guess.
        let raw = self.words[hint].load(Ordering::Relaxed);
        if hint == TAIL {
            return raw;
        }
        let done = self.words[DONE].load(Ordering::Relaxed);
        match Place::unpack(done).is_after(Place::unpack(raw)) {
            true => done,
            false => raw,
        }
    }

    /// A place was written by who is alone: asks for another one that is not far, if it is known to be
    /// free.
    #[inline(always)]
    pub(super) fn ask_for_next(&self, place: Place) {
        // Relaxed: a guess.
        let done = Place::unpack(self.done.0.load(Ordering::Relaxed));
        if let Some(cell) = self.far_cell(place, place.lap_before(), done) {
            prefetch_for_write(cell);
        }
    }

    /// A message was taken by who is alone: asks for another one that is not far, if it is known to
    /// be there.
    #[inline(always)]
    pub(super) fn ask_for_more(&self, place: Place) {
        // Relaxed: a guess.
        let tail = Place::unpack(self.tails.0.load(Ordering::Relaxed));
        if let Some(cell) = self.far_cell(place, place.lap(), tail) {
            prefetch(cell);
        }
    }

    /// The first word of a cell some lines behind this place, if it is before `end` in that lap.
    #[inline(always)]
    fn far_cell(&self, place: Place, lap: Generation, end: Place) -> Option<&Word> {
        let far = place.cell() + self.far;
        let is_there = far < self.cells && end.is_after(Place::new(lap, far));
        is_there.then(|| self.word(far))
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
        let now = self.guess(hint);
        // Relaxed: a guess; private.
        let last = before.swap(now, Ordering::Relaxed);
        Place::unpack(now).distance(Place::unpack(last), self.cells)
    }
}
