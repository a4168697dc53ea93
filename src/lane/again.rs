//! Acknowledged messages: a message whose receiver has not acknowledged it is taken again.
//!
//! ```text
//!              take            acknowledge           let go of
//!   Full(p) ─────────▶ Reading(q) ────────▶ Acked(q) ─────────▶ Empty, next lap
//!                       │       ▲
//!            give back, │       │ take again, by any r: Reading(r)
//!            or death   ▼       │
//!                       Back ───┘
//! ```
//!
//! A place keeps its message until it is acknowledged, while head and tail go on: so there are more cells than
//! messages may wait ([`Shape::behind`](super::Shape::behind)). A word of the lane says that some may be
//! `Back`. A receiver looks at that word first, sets it to 0 before it looks at all cells, and to 1 again if
//! it has found one. So a message that is given back is either seen by that look, or the word is set after it.
//!
//! | change | who | how | what a death after it leaves |
//! | --- | --- | --- | --- |
//! | header: given back once more | q | relaxed store | names the dead; one attempt too many is counted |
//! | `Reading(q)`→`Back` | q; for a dead q the host | store, Release | the host sets the word, and wakes all |
//! | word 1 | the same | swap, Release | the host wakes all |
//! | word 0 | r, a receiver | swap | the host sets it to 1 |
//! | `Back`→`Reading(r)` | r | compare-and-swap, Acquire | names the dead: the host gives it back |
//! | `Reading(q)`→`Acked(q)` | q, which has done with it | store, Release | the host lets go of what the message keeps |
//! | `Acked(q)`→`Empty`, next lap | q, when it has let go of that | store, Release | |

use crate::prim::atomic::Ordering;
use crate::prim::{ProcessId, Word};

use super::place::Place;
use super::{BACK, CellState, Lane, Mine};

/// The highest bits of a header say how often the message was given back.
const RETURNS: u32 = 49;

impl Lane {
    /// Puts back the message that is being read: it is taken again before all others.
    pub fn give_back(&self, mine: Mine) {
        let header = &self.cell(mine.place.cell())[1];
        // Relaxed: the word that follows publishes it.
        let raw = header.load(Ordering::Relaxed);
        let more = raw.checked_add(1 << RETURNS).unwrap_or(raw);
        // Relaxed: as above.
        header.store(more, Ordering::Relaxed);
        let back = Word::new(CellState::Back as u8, 0, mine.place.lap());
        self.set(mine.place, back);
        self.set_back();
    }

    fn set_back(&self) {
        // ordering: AcqRel pairs with the swap in `take_returned`. No plain store: who takes the word
        // away sees what all have given back that have set it, not the last of them only.
        self.words[BACK].swap(1, Ordering::AcqRel);
    }

    /// How often the message that is being read was given back.
    pub fn returns(&self, mine: &Mine) -> u32 {
        (self.header(mine) >> RETURNS) as u32
    }

    /// Whether a message may have been given back that nobody has taken since.
    pub fn may_have_returned(&self) -> bool {
        // ordering: Acquire pairs with the Release in `set_back`.
        self.words[BACK].load(Ordering::Acquire) != 0
    }

    /// The oldest message that was given back.
    pub fn take_returned(&self) -> Option<Mine> {
        // ordering: AcqRel: the look that follows comes after it; who gives back later sets it again.
        if !self.may_have_returned() || self.words[BACK].swap(0, Ordering::AcqRel) == 0 {
            return None;
        }
        while let Some((place, word)) = self.oldest_returned() {
            let ours = self.state_word(CellState::Reading, place.lap());
            if self.change(place, word, ours) {
                // There may be more.
                self.set_back();
                return Some(Mine::at(place));
            }
        }
        None
    }

    fn oldest_returned(&self) -> Option<(Place, Word)> {
        let mut oldest: Option<(Place, Word)> = None;
        for cell in 0..self.cells {
            let (state, word) = self.load(cell);
            let place = Place::new(word.generation, cell);
            if state == CellState::Back && oldest.is_none_or(|(other, _)| other.is_after(place)) {
                oldest = Some((place, word));
            }
        }
        oldest
    }

    /// The message will not be given back any more: what it keeps is let go of next, then its place
    /// is emptied.
    pub fn acknowledge(&self, mine: &Mine) {
        self.set(
            mine.place,
            self.state_word(CellState::Acked, mine.place.lap()),
        );
    }

    /// How many messages were taken and neither acknowledged nor given back, and how many wait to be
    /// taken again; at some moment.
    pub fn unacknowledged(&self) -> (usize, usize) {
        let states = (0..self.cells).map(|cell| self.load(cell).0);
        states.fold((0, 0), |(taken, back), state| match state {
            CellState::Reading => (taken + 1, back),
            CellState::Back => (taken, back + 1),
            _ => (taken, back),
        })
    }

    /// Whether a message comes back, or may come back that another process has. Not if this one has
    /// any itself: two that wait for each other would wait for ever.
    pub fn may_come_back(&self) -> bool {
        let [mut back, mut ours, mut others] = [false; 3];
        for cell in 0..self.cells {
            match self.load(cell) {
                (CellState::Reading, word) if word.owner == self.me.0 => ours = true,
                (CellState::Reading, _) => others = true,
                (CellState::Back, _) => back = true,
                _ => {}
            }
        }
        back || others && !ours
    }

    /// After the death of process `dead`, before [`Lane::recover`]: what it had taken is taken
    /// again.
    pub fn give_back_all(&self, dead: ProcessId) {
        for cell in 0..self.cells {
            let (state, word) = self.load(cell);
            if state == CellState::Reading && word.owner == dead.0 {
                self.give_back(Mine::at(Place::new(word.generation, cell)));
            }
        }
        // It may have been looking for messages that others have given back.
        self.set_back();
    }
}
