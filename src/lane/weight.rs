//! Lanes that are bounded by weight: by the bytes of all waiting messages together.
//!
//! Each cell has one more word, the *sum*: the weight of all messages up to this one, since the lane was made;
//! and the lowest bits of the lap, which show whether the sum was written in this lap.
//!
//! ```text
//!   weights      3     1     4     2                what waits weighs 1 + 4, the sum in front of p
//!   sums      0  3     4     8                      less the sum in front of the oldest: 8 - 3
//!             ───────────────────────▶
//!                taken │ oldest    p, to be claimed
//! ```
//!
//! A sender that would claim place p reads both sums first. If its compare-and-swap succeeds, nobody else has
//! claimed p meanwhile, so the sum in front of it was right; and messages taken meanwhile only lower the
//! weight. So the bound holds exactly, without a count that a death could leave wrong.
//!
//! | change | who | what a death after it leaves |
//! | --- | --- | --- |
//! | `Empty`→`Writing(p)` | p, a sender | no sum: a sender that would claim the next place waits. The host writes the sum of the place before, p weighs nothing |
//! | sum of p's place | the same | p's weight, which counts until all before it are taken: then the skipped place is passed |
//! | as of any lane | | |
//!
//! A lane has one cell more than it may hold messages: the sum in front of the oldest one is never
//! overwritten.

use crate::prim::atomic::Ordering;

use super::place::Place;
use super::{CellState, HEAD, Lane, Mine, NotNow, TAIL};

const SUM_BITS: u32 = 48;
const SUM: u64 = (1 << SUM_BITS) - 1;

/// The most that a lane can be bounded by.
pub const WEIGHT_MAX: u64 = SUM / 2;

/// What a word says of a place.
enum Sum {
    Known(u64),
    /// It was not written yet.
    NotYet,
    /// The cell is used again.
    Over,
}

impl Lane {
    /// A place to write the next message into, which weighs so much; [`NotNow::Wait`] if too many
    /// messages wait, or they would weigh too much with it.
    pub fn claim_within(&self, weight: u64) -> Result<Mine, NotNow> {
        if self.cells == self.capacity {
            return self.claim();
        }
        // It is common: nobody has a side of it to himself.
        let mine = self.claim_if(|place| self.may_claim(place, weight))?;
        if self.weight > 0 {
            self.set_sum(mine.place, self.sum_before(mine.place) + weight);
        }
        Ok(mine)
    }

    /// Whether it is bounded by weight.
    #[inline]
    pub fn is_weighed(&self) -> bool {
        self.weight > 0
    }

    /// The most that messages may weigh together.
    pub fn weight_bound(&self) -> u64 {
        self.weight
    }

    /// Whether there is room for a message of that weight, at some moment.
    pub fn has_room(&self, weight: u64) -> Result<bool, NotNow> {
        let (place, state, _) = self.next_to_fill(self.hint(TAIL)?)?;
        if !matches!(state, CellState::Empty | CellState::Skip) {
            return Ok(false);
        }
        match self.may_claim(place, weight) {
            Ok(()) => Ok(true),
            Err(NotNow::Damaged(what)) => Err(NotNow::Damaged(what)),
            Err(_) => Ok(false),
        }
    }

    fn may_claim(&self, place: Place, weight: u64) -> Result<(), NotNow> {
        // The place of which one more may wait; all before it are taken, too.
        let last = place.back(self.capacity, self.cells);
        if last.is_after(self.last_taken(last)) {
            return Err(NotNow::Wait);
        }
        if self.weight == 0 || self.weight_before(place)?.saturating_add(weight) <= self.weight {
            return Ok(());
        }
        Err(NotNow::Wait)
    }

    /// The last place of the same cell that was taken, or skipped.
    fn last_taken(&self, place: Place) -> Place {
        let (state, word) = self.load(place.cell());
        match state {
            CellState::Empty
            | CellState::Writing
            | CellState::Full
            | CellState::Plain
            | CellState::Damaged => place.in_lap_before(word.generation),
            _ => place.in_lap(word.generation),
        }
    }

    /// What messages weigh that wait in places before this one, the next to be claimed.
    fn weight_before(&self, place: Place) -> Result<u64, NotNow> {
        let all = match self.sum(place.back(1, self.cells)) {
            Sum::Known(sum) => sum,
            Sum::NotYet => return Err(NotNow::Soon),
            // Somebody has claimed it meanwhile: that is seen next.
            Sum::Over => return Ok(0),
        };
        // Each time more were taken meanwhile.
        for _ in 0..=self.cells {
            let oldest = self.oldest_before(place)?;
            if !place.is_after(oldest) {
                return Ok(0);
            }
            if let Sum::Known(taken) = self.sum(oldest.back(1, self.cells)) {
                return Ok(all.wrapping_sub(taken) & SUM);
            }
        }
        Err(NotNow::Soon)
    }

    /// The oldest place that was not taken; or this one.
    fn oldest_before(&self, place: Place) -> Result<Place, NotNow> {
        let mut oldest = self.hint(HEAD)?;
        while place.is_after(oldest) {
            let taken = self.last_taken(oldest);
            if oldest.is_after(taken) {
                break;
            }
            oldest = taken.next(self.cells);
        }
        Ok(oldest)
    }

    fn sum_at(&self, cell: u32) -> &crate::prim::atomic::AtomicU64 {
        &self.cell(cell)[self.stride - 1]
    }

    fn sum(&self, place: Place) -> Sum {
        // ordering: Acquire pairs with the Release in `set_sum`.
        let word = self.sum_at(place.cell()).load(Ordering::Acquire);
        let written = (word >> SUM_BITS) as u16;
        match written.wrapping_sub(place.lap().raw() as u16) as i16 {
            0 => Sum::Known(word & SUM),
            ..0 => Sum::NotYet,
            _ => Sum::Over,
        }
    }

    fn set_sum(&self, place: Place, sum: u64) {
        let word = place.lap().raw() << SUM_BITS | sum & SUM;
        // ordering: Release pairs with the Acquire in `sum`.
        self.sum_at(place.cell()).store(word, Ordering::Release);
    }

    /// In front of a place that was claimed: so it was seen to be there.
    fn sum_before(&self, place: Place) -> u64 {
        match self.sum(place.back(1, self.cells)) {
            Sum::Known(sum) => sum,
            Sum::NotYet | Sum::Over => 0,
        }
    }

    /// In front of the first place there is nothing.
    pub(super) fn set_first_sum(&self) {
        if self.weight > 0 {
            let first = Place::FIRST.in_lap(Place::FIRST.lap_before());
            (0..self.cells).for_each(|cell| self.set_sum(Place::new(first.lap(), cell), 0));
        }
    }

    /// The dead has claimed this place, and will not write a message there.
    pub(super) fn settle_sum(&self, place: Place) {
        if self.weight > 0 && !matches!(self.sum(place), Sum::Known(_)) {
            self.set_sum(place, self.sum_before(place));
        }
    }
}
