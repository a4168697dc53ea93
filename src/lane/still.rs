//! Whether anything has happened to a lane since it was looked at: one load of one word.

use crate::prim::atomic::{AtomicU64, Ordering};

use super::{CellState, Lane, TAIL};

/// What the word of a place says as long as nothing can be taken from the lane, or put into it.
///
/// It says nothing of those who have the other end: they may be gone.
#[derive(Clone, Copy, Debug)]
pub struct Still<'a> {
    word: &'a AtomicU64,
    says: u64,
}

impl Still<'_> {
    /// Whether it still says so.
    #[inline]
    pub fn is_so(&self) -> bool {
        // Relaxed: whoever sees that it has changed looks at the lane.
        self.word.load(Ordering::Relaxed) == self.says
    }
}

impl Lane {
    /// No message can be taken as long as this is so; `None` if one may be there.
    pub fn no_message(&self) -> Option<Still<'_>> {
        if self.cells > self.capacity {
            return None; // others decide, too
        }
        let place = self.head().ok()?;
        let (state, word) = self.load(place.cell());
        // Places are taken in their order, so this one comes first, and is not filled.
        let is_empty = match state {
            CellState::Empty | CellState::Writing => word.generation == place.lap(),
            // What its receiver has left there, too, who has the side to itself.
            CellState::Reading | CellState::PlainReading | CellState::Plain => {
                word.generation == place.lap_before()
            }
            _ => false,
        };
        is_empty.then(|| self.still(place.cell(), word.pack()))
    }

    /// There is no room as long as this is so; `None` if there may be some.
    pub fn no_room(&self) -> Option<Still<'_>> {
        if self.cells > self.capacity {
            return None; // others decide, too
        }
        let place = self.hint(TAIL).ok()?;
        let (state, word) = self.load(place.cell());
        // Of the lap before, and not read yet. (Of a plain message the word alone does not say that.)
        let is_full = matches!(
            state,
            CellState::Full | CellState::Reading | CellState::PlainReading | CellState::Writing
        );
        let is_before = word.generation == place.lap_before();
        (is_full && is_before).then(|| self.still(place.cell(), word.pack()))
    }

    fn still(&self, cell: u32, says: u64) -> Still<'_> {
        let word = self.word(cell);
        Still { word, says }
    }
}
