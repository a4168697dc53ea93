//! How large a lane is, and its cells.

use super::place::Place;
use super::{CELL_HEAD, CELLS_AT};

/// Plain messages have no more bytes.
pub const PLAIN_MAX: usize = 128;

/// What a lane is made with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// How many messages may wait to be taken.
    pub capacity: usize,
    /// So many cells more: for messages that were taken, and keep their place (`again.rs`).
    pub behind: usize,
    /// Words of a cell for parcels and bytes of a message with a header.
    pub area: usize,
    /// What messages that wait may weigh together (`weight.rs`); 0: anything.
    pub weight: u64,
    /// Bytes of the messages that are plain: nothing but so many bytes. 0: there are none, and
    /// each message is claimed. They may take a word more than the others. Only where cells are free
    /// again as soon as their message is read, and messages weigh nothing.
    pub plain: usize,
}

impl Shape {
    /// One of so many messages, all with headers, with cells of `area` words, which are free again as
    /// soon as their message is read.
    pub fn of(capacity: usize, area: usize) -> Self {
        Shape {
            capacity,
            area,
            ..Shape::default()
        }
    }

    pub(super) fn cells(self) -> usize {
        // The sum in front of the oldest message that waits is never written over.
        self.capacity + self.behind.max(usize::from(self.weight > 0))
    }

    pub(super) fn stride(self) -> usize {
        CELL_HEAD + self.area + usize::from(self.weight > 0)
    }

    /// Words that it takes. `None` if there is no such lane: it is empty, or more than can be
    /// counted, or plain messages do not fit it.
    pub fn words(self) -> Option<usize> {
        let most = Place::CELLS_MAX as usize;
        let is_sound = (1..=most).contains(&self.capacity)
            && self.behind <= most
            && self.cells() <= most
            && self.area <= most
            && self.plain <= PLAIN_MAX.min((self.stride() - 1) * 8)
            && (self.plain == 0 || self.cells() == self.capacity);
        let cells = is_sound.then(|| self.cells().checked_mul(self.stride()))??;
        cells.checked_add(CELLS_AT)
    }
}
