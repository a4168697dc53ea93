//! How a lane is made, and found again by others.

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{ProcessId, Word};
use crate::shm::{Segment, Views};

use super::ahead::FAR;
use super::place::Place;
use super::seen::Seen;
use super::shape::Shape;
use super::{
    AREA, BEHIND, CAPACITY, CELLS_AT, CellState, GATES, HEAD, KIND, Lane, PLAIN, TAIL, WEIGHT,
};

impl Lane {
    /// Makes an empty lane at `offset` of the segment, in as many words as [`Shape::words`] says,
    /// which nobody else has yet. What `kind` says is the users' business.
    pub fn create(
        segment: &Segment,
        offset: usize,
        me: ProcessId,
        shape: Shape,
        kind: u64,
    ) -> Self {
        let lane = Self::view(segment, offset, me, shape);
        let first = Place::FIRST.pack();
        for (at, word) in lane.words[..CELLS_AT].iter().enumerate() {
            let value = match at {
                CAPACITY => shape.capacity as u64,
                AREA => shape.area as u64,
                BEHIND => shape.behind as u64,
                WEIGHT => shape.weight,
                KIND => kind,
                PLAIN => shape.plain as u64,
                TAIL | HEAD => first,
                _ => 0,
            };
            // Relaxed: whoever gets the block sees what was written before.
            word.store(value, Ordering::Relaxed);
        }
        for cell in 0..lane.cells {
            let empty = Word::new(CellState::Empty as u8, 0, Place::FIRST.lap());
            // Relaxed: as above.
            lane.word(cell).store(empty.pack(), Ordering::Relaxed);
        }
        lane.set_first_sum();
        lane.open_sides(shape.plain == 0);
        lane
    }

    fn view(segment: &Segment, offset: usize, me: ProcessId, shape: Shape) -> Self {
        let gate = |at: usize| segment.view(offset + GATES * 8 + at * 4);
        let stride = shape.stride();
        Lane {
            words: segment.views(offset, CELLS_AT + shape.cells() * stride),
            for_message: gate(0),
            for_room: gate(1),
            me,
            cells: shape.cells() as u32,
            stride,
            capacity: shape.capacity as u32,
            area: shape.area,
            weight: shape.weight,
            plain: shape.plain,
            far: (FAR / stride) as u32,
            heads: Seen::default(),
            tails: Seen::default(),
            done: Seen::default(),
            waited: Seen::default(),
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
        let word = |at: usize| head[at].load(Ordering::Relaxed);
        let size = |at: usize| usize::try_from(word(at)).ok();
        let shape = Shape {
            capacity: size(CAPACITY)?,
            behind: size(BEHIND)?,
            area: size(AREA)?,
            weight: word(WEIGHT),
            plain: size(PLAIN)?,
        };
        (shape.words()? <= len).then(|| Self::view(segment, offset, me, shape))
    }

    /// The same lane, as another process sees it.
    #[cfg(all(test, loom))]
    pub(super) fn of(&self, me: ProcessId) -> Self {
        Lane { me, ..self.clone() }
    }
}
