//! What the host does for a feed after a death, and who ends it.

use crate::prim::atomic::Ordering;
use crate::prim::{Generation, ProcessId, Word};

use super::{CellState, Feed, KEEPS, LOW, Place, Seat, SeatState, ahead};

impl Feed {
    /// After the death of process `dead`: moves on every place and every seat that names it.
    /// `let_go` is called for what still keeps memory, and nobody reads any more; it may be called
    /// twice for one message.
    pub fn recover(&self, dead: ProcessId, let_go: &dyn Fn(Place)) {
        for number in 0..self.seats as u32 {
            // ordering: Acquire pairs with the Release of who changed it.
            let word = Word::unpack(self.seat(number)[0].load(Ordering::Acquire));
            if (word.state, word.owner) == (SeatState::Joining as u8, dead.0) {
                let generation = word.generation;
                self.give_up(Seat { number, generation });
            }
        }
        // Relaxed: what is beyond is left for the next time.
        let low = self.words[LOW].load(Ordering::Relaxed);
        self.each_cell(|place, state, word| match state {
            CellState::Writing if word.owner == dead.0 => self.set(place, CellState::Skip),
            CellState::Freeing if word.owner == dead.0 => {
                let_go(Place(place));
                self.set(place, CellState::Free);
            }
            // Who has raised low may have died before it has let go of this.
            CellState::Full if ahead(word.generation, low) < 0 => self.let_go_of(place, let_go),
            _ => {}
        });
    }

    /// What `read` finds in each message that keeps memory, or is being cleared by another than `dead`.
    /// Those that come or go meanwhile may be among them or not.
    pub fn each_kept<T>(
        &self,
        dead: ProcessId,
        read: impl Fn(Place) -> T,
        mut each: impl FnMut(T),
    ) {
        self.each_cell(|place, state, word| {
            let is_meant = match state {
                CellState::Full => self.header(Place(place)) & KEEPS != 0,
                CellState::Freeing => word.owner != dead.0,
                _ => false,
            };
            if is_meant {
                let found = read(Place(place));
                // Else it is something else by now, of which the words may be half of each.
                if self.load(place).1 == word {
                    each(found);
                }
            }
        });
    }

    /// Nobody uses it any more: lets go of all that it keeps.
    pub fn clear(&self, let_go: &dyn Fn(Place)) {
        self.each_cell(|place, state, _| match state {
            CellState::Full => self.let_go_of(place, let_go),
            CellState::Freeing => let_go(Place(place)),
            _ => {}
        });
    }

    fn each_cell(&self, mut each: impl FnMut(u64, CellState, Word)) {
        for cell in 0..self.capacity {
            let (state, word) = self.load(cell);
            each(self.place_of(cell, word.generation), state, word);
        }
    }

    /// A place of this cell and generation: the number may lack what is above the generation's bits.
    fn place_of(&self, cell: u64, generation: Generation) -> u64 {
        generation.raw() / self.capacity * self.capacity + cell
    }
}
