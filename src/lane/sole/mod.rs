//! Sole sides: a side of a lane that one thread has to itself (a single-producer or single-consumer fast
//! path).
//!
//! A claim by compare-and-swap waits until every earlier store has left the CPU, including the lines of the
//! previous message, which the other side holds. So a side that only one thread has used belongs to that
//! thread, which claims nothing: it reads and writes as if it were alone. Another thread takes the side over,
//! or makes it common to all.
//!
//! ```text
//!   side       owner   u64   the owner, and the number of its grant; or that the side is common
//!              inside  u64   of each grant: its owner, and whether that one is inside
//!
//!             first comer        another, of a later grant        the last grant is over
//!   free ────────────────▶ owned ───────────────────────▶ owned ────────────────────────▶ common
//!     ▲                      │                                                  (settled: ──▶)
//!     └──────────────────────┘ its process is dead: the host
//! ```
//!
//! | who | step | what a death leaves |
//! | --- | --- | --- |
//! | owner | 1. its grant's word says *inside*, then a light barrier | the host clears the word |
//! | | 2. it is still the owner: inside; else out again, and on as another thread | as 1 |
//! | | 3. a sender: message, `Plain`, tail; a receiver: message, done | what is whole; a tail that is behind: the next owner walks; a message that stays |
//! | | 4. out: its word says *outside*, then a light barrier | as 1; or sleepers: the host forces the gates |
//! | | 5. it is not the owner any more: opens the gate of its side | sleepers: as 4 |
//! | another | 1. owner or common, by compare-and-swap | that; the next one does 2 and 3 |
//! | | 2. a heavy barrier | as 1 |
//! | | 3. nobody of an earlier grant is inside: the grant's word says *outside*; *settled* | as 1 |
//!
//! Either the owner sees in step 2 that it has lost the side, or the other thread sees in step 3 that the
//! owner is inside: the barriers forbid that both miss. Each grant has its own word, so that an owner which
//! stops before step 1 spoils nothing later. A thread that finds the former owner inside waits as for a place
//! that is being written.
//!
//! **A receiver that owns its side writes nothing into the places** it takes: they are those before *done*,
//! which only ever grows. A sender that finds a message of the previous lap looks whether it is one of them.
//! So a reader writes no line of a message.
//!
//! Messages with buffers, and long ones, say so in a header, and are taken by `Reading`, as in a common lane;
//! the owner stays inside meanwhile. So all places before *done* are finished.

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(not(loom))]
use std::cell::Cell;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU64 as Numbers;

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{ProcessId, Word};
use crate::sys::barrier;

use super::place::Place;
use super::{CellState, DONE, HEAD, Lane, Mine, NotNow, TAIL};

/// How often a side goes to another owner before it is common to all.
const GRANTS: u8 = 3;
/// Words of a side, behind its hint.
const OWNER: usize = 1;
const INSIDE: usize = 4;

/// Which grant of a side; below it are process and thread.
const GRANT_SHIFT: u32 = 56;
const PROCESS_SHIFT: u32 = 36;
const KEY: u64 = (1 << GRANT_SHIFT) - 1;
const THREAD: u64 = (1 << PROCESS_SHIFT) - 1;
/// No fold has so many processes.
const PROCESSES_MAX: u64 = 1 << 12;
const COMMON: u64 = (GRANTS as u64) << GRANT_SHIFT;
/// All users of the side know that it is common.
const SETTLED: u64 = COMMON | 1;

/// A grant's word: who has it, and one of these.
const OUTSIDE: u64 = 1 << GRANT_SHIFT;
const IS_INSIDE: u64 = 2 << GRANT_SHIFT;

/// How often to look whether somebody has left.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 200 };

#[cfg(not(loom))]
thread_local! {
    static ME: Cell<u64> = const { Cell::new(0) };
}

/// This thread's number, of no other in its process.
#[cfg(not(loom))]
#[inline(always)]
fn thread() -> u64 {
    match ME.get() {
        0 => number(),
        me => me,
    }
}

/// In a model each thread is a process.
#[cfg(loom)]
fn thread() -> u64 {
    1
}

#[cfg(not(loom))]
#[cold]
fn number() -> u64 {
    static NEXT: Numbers = Numbers::new(1);
    // Relaxed: only that all are different matters.
    let me = NEXT.fetch_add(1, Ordering::Relaxed);
    ME.set(me);
    me
}

/// In which way a side may be used now.
pub enum Entry {
    /// This thread is inside, by that grant.
    Sole(u8),
    /// As all others do.
    Common,
    /// Somebody who had it is inside yet.
    Busy,
    /// A grant's word says what no correct process writes.
    Damaged(u64),
}

/// What was taken at once.
#[derive(Debug)]
pub enum Taken {
    /// A plain message, which was copied; its place is free.
    Plain,
    /// One with a header: its place.
    Other(Mine),
}

impl Lane {
    /// Makes both sides free, or common.
    pub(super) fn open_sides(&self, are_common: bool) {
        for side in [TAIL, HEAD] {
            let owner = if are_common { SETTLED } else { 0 };
            // Relaxed: whoever gets the block sees what was written before.
            self.words[side + OWNER].store(owner, Ordering::Relaxed);
        }
        // Relaxed: as above.
        self.words[DONE].store(Place::FIRST.pack(), Ordering::Relaxed);
    }

    #[inline(always)]
    fn key(&self) -> u64 {
        u64::from(self.me.0) << PROCESS_SHIFT | thread()
    }

    /// Before anything is done at a side that others might own.
    #[inline(always)]
    pub(super) fn enter(&self, side: usize) -> Entry {
        // ordering: Acquire pairs with the Release in `enter_slowly`: who sees that it is common
        // sees what its owners have done.
        let owner = self.words[side + OWNER].load(Ordering::Acquire);
        if owner == SETTLED {
            return Entry::Common;
        }
        let (key, grant) = (self.key(), (owner >> GRANT_SHIFT) as u8);
        if owner & KEY == key && self.go_in(side, grant, key) {
            return Entry::Sole(grant);
        }
        self.enter_slowly(side, key)
    }

    /// Steps 1 and 2 of an owner.
    #[inline(always)]
    fn go_in(&self, side: usize, grant: u8, key: u64) -> bool {
        let Some(inside) = self.inside(side, grant) else {
            return false;
        };
        // Relaxed: this thread alone writes it as long as it lives.
        if inside.load(Ordering::Relaxed) != OUTSIDE | key {
            return false;
        }
        // Relaxed: the barrier orders it before the look.
        inside.store(IS_INSIDE | key, Ordering::Relaxed);
        // Pairs with the heavy barrier in `is_left`: who was revoked and does not see it here, is
        // seen there.
        barrier::light();
        if self.is_owned(side, grant, key) {
            return true;
        }
        self.leave(side, grant);
        false
    }

    #[inline(always)]
    fn inside(&self, side: usize, grant: u8) -> Option<&AtomicU64> {
        (grant < GRANTS).then(|| &self.words[side + INSIDE + grant as usize])
    }

    #[inline(always)]
    fn is_owned(&self, side: usize, grant: u8, key: u64) -> bool {
        // Relaxed: see where it is called.
        self.words[side + OWNER].load(Ordering::Relaxed) == u64::from(grant) << GRANT_SHIFT | key
    }

    /// Steps 4 and 5 of an owner.
    #[inline(always)]
    pub(super) fn leave(&self, side: usize, grant: u8) {
        let key = self.key();
        if let Some(inside) = self.inside(side, grant) {
            // ordering: Release pairs with the Acquire in `is_left`: what was done inside is seen.
            inside.store(OUTSIDE | key, Ordering::Release);
        }
        // Pairs with the heavy barrier of who waits: who was revoked and does not see it here, for
        // that nobody sleeps.
        barrier::light();
        if !self.is_owned(side, grant, key) {
            self.tell_revoker(side);
        }
    }

    #[cold]
    fn tell_revoker(&self, side: usize) {
        match side {
            TAIL => self.for_room.open_all(),
            _ => self.for_message.open_all(),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(&self, side: usize, key: u64) -> Entry {
        loop {
            // ordering: Acquire as in `enter`.
            let owner = self.words[side + OWNER].load(Ordering::Acquire);
            let grant = (owner >> GRANT_SHIFT) as u8;
            if owner == SETTLED {
                return Entry::Common;
            }
            if grant >= GRANTS {
                if !self.is_left(side, GRANTS) {
                    return self.busy(side);
                }
                self.set_owner(side, owner, SETTLED);
                continue;
            }
            if owner & KEY != key {
                let is_free = owner & KEY == 0;
                let next = match grant + u8::from(!is_free) {
                    GRANTS => COMMON,
                    grant => u64::from(grant) << GRANT_SHIFT | key,
                };
                self.set_owner(side, owner, next);
                continue;
            }
            let Some(inside) = self.inside(side, grant) else {
                return Entry::Busy;
            };
            // Relaxed: as in `go_in`.
            if inside.load(Ordering::Relaxed) != OUTSIDE | key {
                if !self.is_left(side, grant) {
                    return self.busy(side);
                }
                self.mend_tail(side);
                // Relaxed: who looks at it has passed a barrier after the owner was changed.
                inside.store(OUTSIDE | key, Ordering::Relaxed);
            }
            if self.go_in(side, grant, key) {
                return Entry::Sole(grant);
            }
        }
    }

    fn set_owner(&self, side: usize, from: u64, to: u64) {
        // ordering: Release pairs with the Acquire in `enter`. Relaxed, if it fails: it is looked
        // at again.
        let word = &self.words[side + OWNER];
        let _ = word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether nobody of the first so many grants is inside. The owner was changed before.
    fn is_left(&self, side: usize, grants: u8) -> bool {
        if grants == 0 {
            return true;
        }
        // Pairs with the light barriers in `go_in` and `leave`.
        barrier::heavy();
        for _ in 0..LOOKS {
            // ordering: Acquire pairs with the Release in `leave`.
            let is_inside = |word: &AtomicU64| word.load(Ordering::Acquire) & !KEY == IS_INSIDE;
            let words = &self.words[side + INSIDE..][..grants as usize];
            if !words.iter().any(is_inside) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Somebody is inside, unless nobody can be who is said to be.
    fn busy(&self, side: usize) -> Entry {
        let words = &self.words[side + INSIDE..][..GRANTS as usize];
        // Relaxed: whoever finds that it is damage only says so.
        let mut words = words.iter().map(|word| word.load(Ordering::Relaxed));
        let is_nobodys = |word: &u64| {
            let (process, thread) = ((word & KEY) >> PROCESS_SHIFT, word & THREAD);
            word & !KEY == IS_INSIDE && (process >= PROCESSES_MAX || thread == 0)
        };
        words.find(is_nobodys).map_or(Entry::Busy, Entry::Damaged)
    }

    /// What was found instead of a place.
    #[cold]
    pub(super) fn no_entry(&self, entry: &Entry) -> NotNow {
        match entry {
            Entry::Damaged(word) => self.damaged(0, Word::unpack(*word)),
            _ => NotNow::Soon,
        }
    }

    /// Moves the tail to the next place to fill, if the owner before has died before it did.
    fn mend_tail(&self, side: usize) {
        if side == TAIL
            // What is damaged finds whoever sends.
            && let Ok((place, ..)) = self.hint(TAIL).and_then(|tail| self.next_to_fill(tail))
        {
            self.set_hint(TAIL, place);
        }
    }

    /// Sends a message that is nothing but the bytes of all plain ones of this lane.
    #[inline(always)]
    pub fn send_plain(&self, words: &[u64]) -> Result<(), NotNow> {
        match self.enter(TAIL) {
            Entry::Sole(grant) => {
                let sent = self.send_alone(words);
                self.leave(TAIL, grant);
                sent
            }
            Entry::Common => self.send_among(words),
            other => Err(self.no_entry(&other)),
        }
    }

    #[inline(always)]
    fn send_alone(&self, words: &[u64]) -> Result<(), NotNow> {
        // Relaxed: this thread alone writes it.
        let place = Place::unpack(self.words[TAIL].load(Ordering::Relaxed));
        if place.cell() >= self.cells || !self.is_free(place) {
            // What is damaged is found there.
            return self.send_among(words);
        }
        self.put_plain(place, words);
        self.set(place, self.state_word(CellState::Plain, place.lap()));
        self.set_hint(TAIL, place.next(self.cells));
        self.ask_for_next(place);
        Ok(())
    }

    /// Whether this place has room for the message of its lap, to whom the side belongs.
    #[inline(always)]
    fn is_free(&self, place: Place) -> bool {
        // ordering: Acquire, as if `DONE` were read itself; another thread may have read it.
        let done = Place::unpack(self.done.0.load(Ordering::Acquire));
        done.is_after(place.in_lap(place.lap_before())) || self.look_whether_free(place)
    }

    #[inline(never)]
    fn look_whether_free(&self, place: Place) -> bool {
        let (state, word) = self.load(place.cell());
        match state {
            CellState::Empty => word.generation == place.lap(),
            CellState::Plain => {
                word.generation == place.lap_before() && self.is_done(place).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// Whether the place of the lap before, in which there is a plain message, is finished.
    pub(super) fn is_done(&self, place: Place) -> Result<bool, NotNow> {
        // ordering: Acquire pairs with the Release in `take_alone` and `leave_taken`.
        let raw = self.words[DONE].load(Ordering::Acquire);
        let done = Place::unpack(raw);
        // Nobody has written there yet: so nobody can have read it, or the word is another by now.
        if done.is_after(place) && self.load(place.cell()).1.generation == place.lap_before() {
            return Err(self.damaged(place.cell(), Word::unpack(raw)));
        }
        // ordering: Release pairs with the Acquire in `is_free`.
        self.done.0.store(raw, Ordering::Release);
        Ok(done.is_after(place.in_lap(place.lap_before())))
    }

    fn send_among(&self, words: &[u64]) -> Result<(), NotNow> {
        let mine = self.claim_among()?;
        self.put_plain(mine.place, words);
        let _ = self.fill(Mine {
            is_plain: true,
            ..mine
        });
        Ok(())
    }

    #[inline(always)]
    fn put_plain(&self, place: Place, words: &[u64]) {
        let cell = &self.cell(place.cell())[1..];
        for (word, value) in cell.iter().zip(words) {
            // Relaxed: the change of the cell's word makes it visible.
            word.store(*value, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn get_plain(&self, place: Place, words: &mut [u64]) {
        let cell = &self.cell(place.cell())[1..];
        for (word, value) in words.iter_mut().zip(cell) {
            // Relaxed: who asks has seen the message.
            *word = value.load(Ordering::Relaxed);
        }
    }

    /// Takes the oldest message: a plain one into `words`.
    #[inline(always)]
    pub fn take_plain(&self, words: &mut [u64]) -> Result<Taken, NotNow> {
        let grant = match self.enter(HEAD) {
            Entry::Sole(grant) => grant,
            Entry::Common => return self.take_common(words),
            other => return Err(self.no_entry(&other)),
        };
        if let Some(place) = self.take_alone(words) {
            self.leave(HEAD, grant);
            self.keep_away(place);
            return Ok(Taken::Plain);
        }
        self.take_inside(words, grant)
    }

    #[inline(always)]
    fn take_alone(&self, words: &mut [u64]) -> Option<Place> {
        // Relaxed: this thread alone writes it.
        let place = Place::unpack(self.words[DONE].load(Ordering::Relaxed));
        if place.cell() >= self.cells {
            return None;
        }
        let (state, word) = self.load(place.cell());
        if state != CellState::Plain || word.generation != place.lap() {
            return None;
        }
        self.get_plain(place, words);
        let next = place.next(self.cells);
        // ordering: Release pairs with the Acquire in `is_done`: it was read before it is written
        // again.
        self.words[DONE].store(next.pack(), Ordering::Release);
        self.ask_for_more(place);
        Some(place)
    }

    #[inline(never)]
    fn take_inside(&self, words: &mut [u64], grant: u8) -> Result<Taken, NotNow> {
        match self.take_among() {
            Ok((mine, _)) => {
                let mine = Mine {
                    grant: Some(grant),
                    ..mine
                };
                Ok(self.taken(mine, words))
            }
            Err(why) => {
                self.leave(HEAD, grant);
                Err(why)
            }
        }
    }

    fn take_common(&self, words: &mut [u64]) -> Result<Taken, NotNow> {
        let (mine, _) = self.take_among()?;
        Ok(self.taken(mine, words))
    }

    #[inline]
    fn taken(&self, mine: Mine, words: &mut [u64]) -> Taken {
        if !mine.is_plain {
            return Taken::Other(mine);
        }
        self.get_plain(mine.place, words);
        self.empty(mine);
        Taken::Plain
    }

    /// The place was emptied by who has the side to itself: all before it are finished.
    #[cold]
    pub(super) fn leave_taken(&self, place: Place, grant: u8) {
        let next = place.next(self.cells);
        // ordering: as in `take_alone`.
        self.words[DONE].store(next.pack(), Ordering::Release);
        self.leave(HEAD, grant);
    }

    /// After the death of process `dead`, when its places have moved on: sides that it had are
    /// free.
    pub(super) fn free_sides(&self, dead: ProcessId) {
        let is_of_dead = |word: u64| (word & KEY) >> PROCESS_SHIFT == u64::from(dead.0);
        for side in [TAIL, HEAD] {
            for grant in 0..GRANTS {
                if let Some(word) = self.inside(side, grant)
                    // ordering: Acquire: whoever is told so sees what the dead has done.
                    && let inside = word.load(Ordering::Acquire)
                    && inside & KEY != 0
                    && is_of_dead(inside)
                {
                    // ordering: Release pairs with the Acquire in `is_left`.
                    word.store(0, Ordering::Release);
                }
            }
            // Relaxed: a change is by compare-and-swap.
            let owner = self.words[side + OWNER].load(Ordering::Relaxed);
            let grant = (owner >> GRANT_SHIFT) as u8;
            if grant < GRANTS && owner & KEY != 0 && is_of_dead(owner) {
                self.set_owner(side, owner, u64::from(grant) << GRANT_SHIFT);
            }
        }
    }
}
