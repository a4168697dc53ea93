//! What becomes of a lane when a process dies.

use crate::prim::atomic::Ordering;
use crate::prim::{ProcessId, Word};

use super::place::Place;
use super::{CellState, LOST, Lane, Mine};

impl Lane {
    /// After the death of process `dead`: moves on every place that names it. `let_go` is called
    /// for each message that it had begun to take; it may be called twice.
    pub fn recover(&self, dead: ProcessId, mut let_go: impl FnMut(&Mine)) {
        for cell in 0..self.capacity {
            let (state, word) = self.load(cell);
            let place = Place::new(word.generation, cell);
            let next = match state {
                CellState::Writing => Word::new(CellState::Skip as u8, 0, word.generation),
                CellState::Reading | CellState::PlainReading => {
                    Word::new(CellState::Empty as u8, 0, place.lap_after())
                }
                _ => continue,
            };
            if word.owner != dead.0 {
                continue;
            }
            if state != CellState::Writing {
                if state == CellState::Reading {
                    let_go(&Mine::at(place));
                }
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
        for cell in 0..self.capacity {
            let (state, word) = self.load(cell);
            let is_whole = match state {
                CellState::Full => true,
                CellState::Reading => lives(ProcessId(word.owner)),
                _ => false,
            };
            if is_whole {
                each(&Mine::at(Place::new(word.generation, cell)));
            }
        }
    }
}
