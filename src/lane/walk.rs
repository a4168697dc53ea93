//! From where a hint points to the place that is next: the hints may be behind, the words say where it goes on.

use super::place::Place;
use super::{CellState, Lane, NotNow};
use crate::prim::Word;

/// A place, and what its word said.
pub(super) type Next = (Place, CellState, Word);

impl Lane {
    /// The next place to fill, from `place` on: it is `Empty` in its lap, or its word is of the lap before. Of a
    /// place that is claimed, or was, the word says which was the last of its cell that is: it goes on behind that.
    #[inline(always)]
    pub(super) fn next_to_fill(&self, mut place: Place) -> Result<Next, NotNow> {
        loop {
            let (state, word) = self.load(place.cell());
            let lap = word.generation;
            let claimed = match state {
                CellState::Damaged => return Err(self.damaged(place.cell(), word)),
                CellState::Empty if lap == place.lap() => return Ok((place, state, word)),
                CellState::Empty => place.in_lap_before(lap),
                _ if lap == place.lap_before() => return Ok((place, state, word)),
                _ => place.in_lap(lap),
            };
            place = self.behind(claimed, place, word)?;
        }
    }

    /// The next place to take, from `place` on: its word is of its lap and nobody has taken it, or of the lap
    /// before and somebody has; then nobody can have written in it.
    #[inline(always)]
    pub(super) fn next_to_take(&self, mut place: Place) -> Result<Next, NotNow> {
        loop {
            let (state, word) = self.load(place.cell());
            let lap = word.generation;
            let taken = match state {
                CellState::Damaged => return Err(self.damaged(place.cell(), word)),
                CellState::Reading
                | CellState::PlainReading
                | CellState::Back
                | CellState::Acked => match lap == place.lap_before() {
                    true => return Ok((place, state, word)),
                    false => place.in_lap(lap),
                },
                // Its receiver, which has the side to itself, has left it there.
                CellState::Plain if lap == place.lap_before() => return Ok((place, state, word)),
                _ if lap == place.lap() => return Ok((place, state, word)),
                _ => place.in_lap_before(lap),
            };
            place = self.behind(taken, place, word)?;
        }
    }

    /// The place behind `known`; damage if that does not lead on from `place`, where `word` was found.
    #[inline(always)]
    fn behind(&self, known: Place, place: Place, word: Word) -> Result<Place, NotNow> {
        let next = known.next(self.cells);
        match next.is_after(place) {
            true => Ok(next),
            false => Err(self.damaged(place.cell(), word)),
        }
    }
}
