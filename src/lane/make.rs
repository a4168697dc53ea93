//! How a lane is made, and found again by others.

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{ProcessId, Word};
use crate::shm::{Segment, Views};

use super::ahead::{FAR, Seen};
use super::place::Place;
use super::{CAPACITY_MAX, CELL_HEAD, CELLS_AT, CellState, GATES, HEAD, KIND, Lane, PLAIN, TAIL};

/// Plain messages have no more bytes.
pub const PLAIN_MAX: usize = 128;

/// How large a lane is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many messages fit.
    pub capacity: usize,
    /// Words of a cell for parcels and bytes of a message with a header.
    pub area: usize,
    /// Bytes of the messages that are plain: nothing but so many bytes. 0: there are none, and
    /// each message is claimed. They may take a word more than the others.
    pub plain: usize,
}

impl Lane {
    /// Words that a lane takes of so many messages, with cells of `area` words for parcels and
    /// bytes. `None` if it is more than can be counted.
    pub fn words_for(capacity: usize, area: usize) -> Option<usize> {
        if capacity == 0 || capacity > CAPACITY_MAX {
            return None;
        }
        let cells = capacity.checked_mul(CELL_HEAD.checked_add(area)?)?;
        cells.checked_add(CELLS_AT)
    }

    /// Makes an empty lane at `offset` of the segment, which nobody else has yet. What `kind` says
    /// is the users' business.
    pub fn create(segment: &Segment, offset: usize, me: ProcessId, size: Size, kind: u64) -> Self {
        let stride = CELL_HEAD + size.area;
        let lane = Self::view(segment, offset, me, size.capacity, stride, size.plain);
        let first = Place::FIRST.pack();
        for (at, word) in lane.words[..CELLS_AT].iter().enumerate() {
            let value = match at {
                0 => size.capacity as u64,
                1 => stride as u64,
                KIND => kind,
                PLAIN => size.plain as u64,
                TAIL | HEAD => first,
                _ => 0,
            };
            // Relaxed: whoever gets the block sees what was written before.
            word.store(value, Ordering::Relaxed);
        }
        for cell in 0..lane.capacity {
            let empty = Word::new(CellState::Empty as u8, 0, Place::FIRST.lap());
            // Relaxed: as above.
            lane.word(cell).store(empty.pack(), Ordering::Relaxed);
        }
        lane.open_sides(size.plain == 0);
        lane
    }

    fn view(
        segment: &Segment,
        offset: usize,
        me: ProcessId,
        capacity: usize,
        stride: usize,
        plain: usize,
    ) -> Self {
        let gate = |at: usize| segment.view(offset + GATES * 8 + at * 4);
        Lane {
            words: segment.views(offset, CELLS_AT + capacity * stride),
            for_message: gate(0),
            for_room: gate(1),
            me,
            capacity: capacity as u32,
            stride,
            plain,
            far: (FAR / stride.max(1)) as u32,
            heads: Seen::default(),
            tails: Seen::default(),
            done: Seen::default(),
        }
    }

    /// The side of process `me` of the lane in the `len` words at `offset`; `None` if there is
    /// none that fits.
    pub fn attach(segment: &Segment, offset: usize, len: usize, me: ProcessId) -> Option<Self> {
        if len < CELLS_AT {
            return None;
        }
        let head: Views<AtomicU64> = segment.views(offset, CELLS_AT);
        // Relaxed: it never changes, and came with the block.
        let word = |at: usize| usize::try_from(head[at].load(Ordering::Relaxed)).ok();
        let (capacity, stride, plain) = (word(0)?, word(1)?, word(PLAIN)?);
        let need = Self::words_for(capacity, stride.checked_sub(CELL_HEAD)?)?;
        let fits = need <= len && plain <= ((stride - 1) * 8).min(PLAIN_MAX);
        fits.then(|| Self::view(segment, offset, me, capacity, stride, plain))
    }

    /// The same lane, as another process sees it.
    #[cfg(all(test, loom))]
    pub(super) fn of(&self, me: ProcessId) -> Self {
        Lane { me, ..self.clone() }
    }
}
