//! Prefetching the cells that a process will come to soon, so that it does not wait for their lines.

use crate::prim::Generation;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::sys::{prefetch, prefetch_for_write};

use super::place::Place;
use super::seen::Seen;
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
/// After so many messages a receiver that is alone looks how far the sender is: each time that costs
/// the sender a line.
const STRETCH: u32 = 256;
/// So few messages behind the sender a receiver takes lines away that the sender has not filled, or has
/// asked for to fill them.
const NEAR: usize = 64;
/// So long it leaves the sender alone then, in looks: some hundred messages.
const SLIP: u32 = if cfg!(loom) { 0 } else { 128 };

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

    /// A message was taken by who is alone, who is outside again. It looks now and then how far the sender is.
    #[inline(always)]
    pub(super) fn keep_away(&self, place: Place) {
        if place.cell().is_multiple_of(STRETCH) && self.cells >= LEAST {
            self.slip_back(place);
        }
    }

    /// Two that are equally quick, one close behind the other, are both slower than one of them is alone, for
    /// each line goes there and back while it is filled; and they stay together, for neither has to wait. So
    /// the receiver stays behind for a moment, unless it has waited for a message not long ago.
    #[cold]
    #[inline(never)]
    fn slip_back(&self, place: Place) {
        self.look(&self.tails, TAIL);
        // Relaxed: guesses; private.
        let seen = |seen: &Seen| Place::unpack(seen.0.load(Ordering::Relaxed));
        let is_near = seen(&self.tails).distance(place, self.cells) <= NEAR;
        let is_stretch = place.distance(seen(&self.waited), self.cells) >= STRETCH as usize;
        if self.cells >= 2 * STRETCH && is_near && is_stretch {
            (0..SLIP).for_each(|_| std::hint::spin_loop());
        }
    }

    /// The first word of a cell some lines behind this place, if it is before `end` in that lap.
    #[inline(always)]
    fn far_cell(&self, place: Place, lap: Generation, end: Place) -> Option<&AtomicU64> {
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

    /// How many messages were taken, or sent, since this was asked last by this process, which has to
    /// wait; in this process or another.
    pub fn passed(&self, is_receiver: bool) -> usize {
        let hint = if is_receiver { HEAD } else { TAIL };
        let now = self.guess(hint);
        // Relaxed: a guess; private.
        let last = self.waited.0.swap(now, Ordering::Relaxed);
        Place::unpack(now).distance(Place::unpack(last), self.cells)
    }
}
