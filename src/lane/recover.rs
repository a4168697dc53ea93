//! What a death leaves in a lane, and the counts.

use crate::prim::atomic::Ordering;
use crate::prim::{ProcessId, Word};

use super::place::Place;
use super::{CellState, DROPPED, LOST, Lane, Mine};

impl Lane {
    /// How many messages were lost with a receiver that died while it took them.
    pub fn lost(&self) -> u64 {
        // Relaxed: a count.
        self.words[LOST].load(Ordering::Relaxed)
    }

    /// How many were dropped to make room for others.
    pub fn dropped(&self) -> u64 {
        // Relaxed: a count.
        self.words[DROPPED].load(Ordering::Relaxed)
    }

    /// One was.
    pub fn count_dropped(&self) {
        // Relaxed: a count.
        self.words[DROPPED].fetch_add(1, Ordering::Relaxed);
    }

    /// After the death of process `dead`: moves on every place that names it. `let_go` is called
    /// for each message with a header that it had begun to take, or to let go of; it may be called
    /// twice. Where messages are acknowledged [`Lane::give_back_all`] comes before.
    pub fn recover(&self, dead: ProcessId, mut let_go: impl FnMut(&Mine)) {
        for cell in 0..self.cells {
            let (state, word) = self.load(cell);
            let place = Place::new(word.generation, cell);
            let next = match state {
                CellState::Writing => Word::new(CellState::Skip as u8, 0, word.generation),
                CellState::Reading | CellState::PlainReading | CellState::Acked => {
                    Word::new(CellState::Empty as u8, 0, place.lap_after())
                }
                _ => continue,
            };
            if word.owner != dead.0 {
                continue;
            }
            match state {
                CellState::Writing => self.settle_sum(place),
                CellState::Reading | CellState::Acked => let_go(&Mine::at(place)),
                _ => {}
            }
            if matches!(state, CellState::Reading | CellState::PlainReading) {
                // Relaxed: a count; after a second death of the host's there is nobody to ask.
                self.words[LOST].fetch_add(1, Ordering::Relaxed);
            }
            self.set(place, next);
        }
        self.free_sides(dead);
    }

    /// Calls `each` for every message that is whole, or is being taken by a process that
    /// `lives`. Those that come or go meanwhile may be seen or not.
    pub fn each_whole(&self, lives: impl Fn(ProcessId) -> bool, mut each: impl FnMut(&Mine)) {
        for cell in 0..self.cells {
            let (state, word) = self.load(cell);
            let is_whole = match state {
                CellState::Full | CellState::Back => true,
                CellState::Reading => lives(ProcessId(word.owner)),
                _ => false,
            };
            if is_whole {
                each(&Mine::at(Place::new(word.generation, cell)));
            }
        }
    }
}
