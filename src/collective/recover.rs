//! Recovery of groups: when a process dies, when a member is given up, and when the runtime ends.
//!
//! A group is a lane (`src/pool/token.rs`), and so is each of its seats: a seat's token is gone when nobody
//! can have the member any more. A holder of a member has a token of the group, too.
//!
//! | what ends | what is done |
//! | --- | --- |
//! | the last token of a seat | the seat is left, or dead; all waiters are woken, and told |
//! | the last token of the group | the values in its places are let go of, the block is freed |
//! | a process | the seats it had taken are dead; buffers that it had passed and no place names are freed; all sleepers are woken once |
//! | the runtime | all sleepers are woken, and told |

use std::collections::HashSet;

use crate::pool::{AllocError, End, LaneBlock, LaneKind, Passage, Pool, Token};
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::Views;

use super::circle::Circle;
use super::value;

/// Groups, as a kind of shared objects.
#[derive(Debug)]
pub struct Groups;

/// Seats in them.
#[derive(Debug)]
pub struct Seats;

/// Words of a seat: the group's lane, and which line of it.
const SEAT_WORDS: usize = 3;

/// The place where a group meets; `None` if it is none, or is gone.
pub fn circle_of(pool: &Pool, block: LaneBlock) -> Option<Circle> {
    if pool.lane_number(block)? != Groups.number() {
        return None;
    }
    let (offset, words) = pool.lane_place(block)?;
    Circle::attach(pool.segment(), offset, words)
}

/// Which line of which group a seat is.
pub fn seat_of(pool: &Pool, block: LaneBlock) -> Option<(LaneBlock, usize)> {
    if pool.lane_number(block)? != Seats.number() {
        return None;
    }
    let (offset, words) = pool.lane_place(block)?;
    if words < SEAT_WORDS {
        return None;
    }
    let words: Views<AtomicU64> = pool.segment().views(offset, SEAT_WORDS);
    // Relaxed: they never change, and came with the block.
    let [group, generation, line] = std::array::from_fn(|at| words[at].load(Ordering::Relaxed));
    let line = usize::try_from(line).ok()?;
    Some((LaneBlock::unpack([group, generation]), line))
}

/// The token of a new group.
pub fn make_group(pool: &Pool, members: usize, words: usize) -> Result<Token, AllocError> {
    pool.make_lane_of_one(&Groups, words, |segment, offset| {
        Circle::create(segment, offset, members);
    })
}

/// The token of a seat in it.
pub fn make_seat(pool: &Pool, group: LaneBlock, line: usize) -> Result<Token, AllocError> {
    pool.make_lane_of_one(&Seats, SEAT_WORDS, |segment, offset| {
        let words: Views<AtomicU64> = segment.views(offset, SEAT_WORDS);
        let [index, generation] = group.pack();
        for (word, value) in words.iter().zip([index, generation, line as u64]) {
            // Relaxed: whoever gets the block sees what was written before.
            word.store(value, Ordering::Relaxed);
        }
    })
}

impl LaneKind for Groups {
    fn number(&self) -> u64 {
        30
    }

    fn gone(&self, _: &Pool, _: LaneBlock, _: End) {}

    fn close(&self, pool: &Pool, block: LaneBlock) {
        if let Some(circle) = circle_of(pool, block) {
            for (line, round) in places(&circle) {
                value::let_go(&circle, pool, line, round);
            }
        }
    }

    fn recover(
        &self,
        pool: &Pool,
        block: LaneBlock,
        dead: ProcessId,
        named: &mut HashSet<Passage>,
    ) {
        let Some(circle) = circle_of(pool, block) else {
            return;
        };
        circle.bury(dead);
        for (line, round) in places(&circle) {
            let parcels = value::parcels(&circle, pool, line, round);
            // One that was written meanwhile is of somebody alive, and does not matter.
            if circle.has_arrived(line, round) {
                named.extend(parcels.iter().filter_map(|parcel| parcel.passage()));
            }
        }
    }

    fn settle(&self, pool: &Pool, block: LaneBlock, _: ProcessId) {
        if let Some(circle) = circle_of(pool, block) {
            circle.settle();
        }
    }

    fn force(&self, pool: &Pool, block: LaneBlock) {
        if let Some(circle) = circle_of(pool, block) {
            circle.force();
        }
    }
}

/// The places in which there is something: whose, and of which round.
fn places(circle: &Circle) -> Vec<(usize, u64)> {
    let rounds = |line| {
        let rounds = circle.rounds(line).into_iter();
        rounds.map(move |round| (line, round))
    };
    let all = (0..circle.members()).flat_map(rounds);
    all.filter(|(_, round)| *round != 0).collect()
}

impl LaneKind for Seats {
    fn number(&self) -> u64 {
        31
    }

    fn gone(&self, pool: &Pool, block: LaneBlock, _: End) {
        let Some((group, line)) = seat_of(pool, block) else {
            return;
        };
        if let Some(circle) = circle_of(pool, group)
            && line < circle.members()
        {
            circle.end(line);
        }
    }

    fn close(&self, _: &Pool, _: LaneBlock) {}

    fn recover(&self, _: &Pool, _: LaneBlock, _: ProcessId, _: &mut HashSet<Passage>) {}

    fn settle(&self, _: &Pool, _: LaneBlock, _: ProcessId) {}

    fn force(&self, _: &Pool, _: LaneBlock) {}
}
