//! Places that are claimed and taken among others, by compare-and-swap; of a side that one thread has to
//! itself, by that thread.

use crate::prim::{ProcessId, Word};

use super::place::Place;
use super::sole::Entry;
use super::{CellState, HEAD, Lane, Mine, NotNow, TAIL};

impl Lane {
    /// A place to write the next message into; of a lane whose cells are free again as soon as
    /// they are read, and which is not weighed. Of others there is [`Lane::claim_within`].
    #[inline]
    pub fn claim(&self) -> Result<Mine, NotNow> {
        match self.enter(TAIL) {
            Entry::Common => self.claim_among(),
            Entry::Sole(grant) => {
                // From here on the place says whose it is.
                let claimed = self.claim_among();
                self.leave(TAIL, grant);
                claimed
            }
            other => Err(self.no_entry(&other)),
        }
    }

    pub(super) fn claim_among(&self) -> Result<Mine, NotNow> {
        self.claim_if(|_| Ok(()))
    }

    /// The same, if `may` says that the next place may be claimed.
    #[inline(always)]
    pub(super) fn claim_if(
        &self,
        may: impl Fn(Place) -> Result<(), NotNow>,
    ) -> Result<Mine, NotNow> {
        let mut from = self.hint(TAIL)?;
        loop {
            let (place, state, word) = self.next_to_fill(from)?;
            match state {
                // There was no message in the lap before: nobody has to take it first.
                CellState::Empty | CellState::Skip => {}
                // It was read by who had the receivers' side to itself.
                CellState::Plain if self.is_done(place)? => {}
                CellState::Full | CellState::Plain | CellState::Writing => {
                    return Err(NotNow::Wait);
                }
                _ => return Err(NotNow::Kept),
            }
            may(place)?;
            if self.change(
                place,
                word,
                self.state_word(CellState::Writing, place.lap()),
            ) {
                return Ok(self.claimed(place));
            }
            from = place;
        }
    }

    #[inline]
    fn claimed(&self, place: Place) -> Mine {
        self.set_hint(TAIL, place.next(self.cells));
        self.ask_for_room(place);
        Mine::at(place)
    }

    /// The place of the oldest message; who has sent it.
    #[inline]
    pub fn take(&self) -> Result<(Mine, ProcessId), NotNow> {
        let grant = match self.enter(HEAD) {
            Entry::Common => return self.take_among(),
            Entry::Sole(grant) => grant,
            other => return Err(self.no_entry(&other)),
        };
        match self.take_among() {
            Ok((mine, by)) => {
                let grant = Some(grant);
                Ok((Mine { grant, ..mine }, by))
            }
            Err(why) => {
                self.leave(HEAD, grant);
                Err(why)
            }
        }
    }

    pub(super) fn take_among(&self) -> Result<(Mine, ProcessId), NotNow> {
        let mut from = self.head()?;
        loop {
            let (place, state, word) = self.next_to_take(from)?;
            from = place;
            let is_plain = state == CellState::Plain;
            match state {
                CellState::Full | CellState::Plain if word.generation == place.lap() => {
                    let reading = match is_plain {
                        true => CellState::PlainReading,
                        false => CellState::Reading,
                    };
                    if self.change(place, word, self.state_word(reading, place.lap())) {
                        self.set_hint(HEAD, place.next(self.cells));
                        self.ask_for_message(place);
                        let mine = Mine {
                            is_plain,
                            ..Mine::at(place)
                        };
                        return Ok((mine, ProcessId(word.owner)));
                    }
                }
                CellState::Skip => {
                    let empty = Word::new(CellState::Empty as u8, 0, place.lap_after());
                    if self.change(place, word, empty) {
                        from = place.next(self.cells);
                        self.set_hint(HEAD, from);
                    }
                }
                CellState::Writing => return Err(NotNow::Soon),
                // Or somebody still has what was here before.
                _ => return Err(NotNow::Wait),
            }
        }
    }
}
