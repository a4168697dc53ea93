//! Lanes and tokens: blocks that a channel is made of.
//!
//! A *lane* is a block that several processes write at once: its users' own words, of which the
//! pool knows nothing. A *token* is a shared block that stands for one end of a lane, and travels as
//! any shared block does. Who holds the token of an end may use the lane; nobody else does. So
//! when the last holder gives a token back, in whatever process, that end is gone; when both are,
//! so is the lane.
//!
//! ```text
//!   lane    Loaned(p) ──▶ Lane(0) ─────────────▶ Lane(p + 1) ──▶ Free
//!                                 both ends done      p lets go of what is in it
//!
//!   token   Shared ─────────────▶ Loaned(p) ──▶ Free
//!                   no holder         p: end gone, end done
//! ```
//!
//! | | who | how | what a death after it leaves |
//! | --- | --- | --- | --- |
//! | token `Shared`→`Loaned(p)` | who sees no holder | compare-and-swap | the recovery does what follows |
//! | the end is *gone*; who waits is told | p | one bit of the lane's word of ends | the same; it may be done twice |
//! | the end is *done*: p does not touch the lane any more | p | another bit | the recovery sees it |
//! | lane `Lane(0)`→`Lane(p + 1)` | who sees both done | compare-and-swap | the recovery does what follows |
//! | lane → `Free` | p, when it has let go of what is in it | compare-and-swap | |
//!
//! That a block is a token says a bit beside its holders', as long as it is shared; which lane it
//! is for, and which end, its bytes. What is to be done when an end goes is the channels' business:
//! see [`Pool::when_ends_go`].

use std::sync::atomic::Ordering as Private;
use std::sync::{Arc, Weak};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::prim::atomic::Ordering;
use crate::prim::{BlockIndex, Generation, ProcessId, Word};
use crate::shm::Segment;

use super::hold::Hold;
use super::spans::Span;
use super::{AllocError, Block, BlockState, Inner, Loan, Pool, Shared, Transfer};

/// Bytes of a token: block, generation and end.
const TOKEN_LEN: usize = 24;

/// One of the two sorts of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sender = 0,
    Receiver = 1,
}

/// Which block a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBlock {
    index: BlockIndex,
    generation: Generation,
}

/// What the channels do when an end of a lane goes; all in shared memory, and without the user's
/// code. May be called twice.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Nobody has this end any more: says so in the lane, and tells who waits.
    pub gone: fn(&Pool, LaneBlock, End),
    /// This process does not touch the lane any more on account of this end. Whether the same is
    /// so of both.
    pub done: fn(&Pool, LaneBlock, End) -> bool,
    /// Whether both ends are done, and whether this one is.
    pub are_done: fn(&Pool, LaneBlock, End) -> (bool, bool),
    /// Nobody has the lane: lets go of what is in it.
    pub close: fn(&Pool, LaneBlock),
}

/// An end of a lane, in a process that has it.
#[derive(Clone, Debug)]
pub struct Token(Shared);

impl Token {
    fn of(loan: Loan) -> Self {
        loan.hold.pool().0.make_token(loan.hold.block().index);
        Token(loan.publish())
    }

    fn said(bytes: &[u8]) -> Option<(LaneBlock, End)> {
        let word = |at: usize| {
            let bytes = bytes.get(8 * at..8 * at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let end = match word(2)? {
            0 => End::Sender,
            1 => End::Receiver,
            _ => return None,
        };
        let lane = LaneBlock {
            index: BlockIndex(u32::try_from(word(0)?).ok()?),
            generation: Generation::new(word(1)?),
        };
        Some((lane, end))
    }

    /// The lane; `None` if somebody has spoilt it.
    pub fn lane(&self) -> Option<LaneBlock> {
        Self::said(&self.0).map(|(lane, _)| lane)
    }

    /// Which end.
    pub fn end(&self) -> Option<End> {
        Self::said(&self.0).map(|(_, end)| end)
    }

    /// Whose side of the pool it is of.
    pub fn pool(&self) -> &Pool {
        self.0.hold.pool()
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shared = Shared::deserialize(deserializer)?;
        if !shared.hold.is_token() {
            return Err(serde::de::Error::custom("it is no end of a channel"));
        }
        Ok(Token(shared))
    }
}

/// What is done when an end goes, and by which side of the pool.
#[derive(Debug)]
pub(super) struct AtEnds {
    ends: Ends,
    pool: Weak<Inner>,
}

impl Inner {
    /// What is to be done; `None` if nobody uses this side of the pool any more.
    fn at_ends(&self) -> Option<(Pool, Ends)> {
        let at_ends = self.ends.get()?;
        let inner = at_ends.pool.upgrade()?;
        // ordering: AcqRel as for any other `Pool` that comes or goes.
        let one_more = |pools: usize| (pools > 0).then_some(pools + 1);
        inner
            .pools
            .fetch_update(Private::AcqRel, Private::Acquire, one_more)
            .ok()?;
        Some((Pool(inner), at_ends.ends))
    }

    fn lane_word(lane: LaneBlock, owner: u32) -> Word {
        Word::new(BlockState::Lane as u8, owner, lane.generation)
    }

    /// Who closes a lane is named by this.
    fn closer(process: ProcessId) -> u32 {
        process.0 + 1
    }

    /// A token is this process's alone, and about to be freed.
    pub(super) fn end_token(&self, token: BlockIndex) {
        let (Some((pool, ends)), Some((_, offset, _))) = (self.at_ends(), self.locate(token))
        else {
            return;
        };
        let pool = &pool;
        let bytes = self.arena.copy_out(offset, TOKEN_LEN);
        let said = bytes.and_then(|bytes| Token::said(&bytes));
        // One that is done was done by who died then: the lane may be another block by now.
        let Some((lane, end)) = said.filter(|(lane, end)| self.is_undone(pool, &ends, *lane, *end))
        else {
            return;
        };
        (ends.gone)(pool, lane, end);
        if (ends.done)(pool, lane, end) {
            self.close(pool, lane, &ends, 0);
        }
    }

    fn is_undone(&self, pool: &Pool, ends: &Ends, lane: LaneBlock, end: End) -> bool {
        let is_lane = || self.lane_owner(lane) == Some(0);
        if !is_lane() {
            return false;
        }
        let (_, is_done) = (ends.are_done)(pool, lane, end);
        // Looked at again: if it is still the lane, what was read was the lane's.
        !is_done && is_lane()
    }

    fn lane_owner(&self, lane: LaneBlock) -> Option<u32> {
        self.locate(lane.index)?;
        let word = self.load(lane.index);
        let is_it = word.state == BlockState::Lane as u8 && word.generation == lane.generation;
        is_it.then_some(word.owner)
    }

    /// Frees a lane of which both ends are done.
    fn close(&self, pool: &Pool, lane: LaneBlock, ends: &Ends, from: u32) {
        let ours = Self::lane_word(lane, Self::closer(self.me));
        if self.change(lane.index, Self::lane_word(lane, from), ours) {
            (ends.close)(pool, lane);
            self.free(lane.index, ours);
        }
    }
}

impl Hold {
    /// Whether the block, which is shared, stands for an end of a lane.
    pub(super) fn is_token(&self) -> bool {
        !self.is_loan() && self.pool().0.is_token(self.block().index)
    }
}

impl Transfer {
    /// Whether it stands for an end of a lane: there is no copy of it.
    pub fn is_token(&self) -> bool {
        self.hold.is_token()
    }
}

impl Loan {
    /// Makes a lane of the block.
    fn become_lane(self, word: Word) -> bool {
        let done = self.hold.pool().0.change_loan(&self.hold, word);
        if done {
            self.hold.set_moved();
        }
        done
    }

    /// Has `len` bytes, of those that the block has.
    pub(crate) fn extend_to(&mut self, len: usize) {
        self.len = len.min(self.hold.block().capacity);
    }
}

impl Pool {
    /// Makes a lane of so many words, which `write` fills, and its two tokens, the sender's first.
    pub fn make_lane(
        &self,
        words: usize,
        write: impl FnOnce(&Segment, usize),
    ) -> Result<[Token; 2], AllocError> {
        let block = self.alloc(words.saturating_mul(8))?;
        let Block {
            index, generation, ..
        } = *block.hold.block();
        let lane = LaneBlock { index, generation };
        let make = |end: End| {
            let mut token = self.alloc(TOKEN_LEN)?;
            let said = [u64::from(index.0), generation.raw(), end as u64];
            for (bytes, word) in token.chunks_exact_mut(8).zip(said) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            Ok(token)
        };
        let tokens = [make(End::Sender)?, make(End::Receiver)?];
        let (offset, _) = self
            .place_of(index)
            .ok_or_else(|| self.exhausted(words * 8))?;
        write(&self.0.segment, offset);
        // Relaxed: before the lane is one, which the host's recovery sees by its word.
        self.0.header.has_lanes.store(1, Ordering::Relaxed);
        // The tokens first: if we die in between they say of no lane that it has ended.
        let tokens = tokens.map(Token::of);
        // From now on it is freed by way of them.
        if !block.become_lane(Inner::lane_word(lane, 0)) {
            return Err(self.exhausted(words * 8));
        }
        Ok(tokens)
    }

    fn place_of(&self, index: BlockIndex) -> Option<(usize, usize)> {
        let (_, offset, capacity) = self.0.locate(index)?;
        Some((self.0.plan.arena + offset, capacity / 8))
    }

    /// Where a lane lies in the segment, and how many words it has; `None` if it is none any more.
    pub fn lane_place(&self, lane: LaneBlock) -> Option<(usize, usize)> {
        self.0.lane_owner(lane)?;
        self.place_of(lane.index)
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.0.segment
    }

    /// What is done when an end of a lane goes.
    pub fn when_ends_go(&self, ends: Ends) {
        let pool = Arc::downgrade(&self.0);
        let _ = self.0.ends.set(AtEnds { ends, pool });
    }

    /// All lanes there are.
    pub fn lanes(&self) -> Vec<LaneBlock> {
        let pool = &self.0;
        let mut lanes = Vec::new();
        // Relaxed: see `make_lane`.
        if pool.header.has_lanes.load(Ordering::Relaxed) == 0 {
            return lanes;
        }
        let mut look = |index: BlockIndex| {
            let word = pool.load(index);
            if word.state == BlockState::Lane as u8 {
                let generation = word.generation;
                lanes.push(LaneBlock { index, generation });
            }
        };
        for head in 0..pool.span_end() {
            match pool.span(head) {
                Span::Slab(class) => pool.slab_blocks(head, class).for_each(&mut look),
                Span::Run(_) => look(pool.block_at(head, 0)),
                Span::Other(_) => {}
            }
        }
        lanes
    }

    /// After a death: frees a lane of which both ends are done, if nobody alive does it.
    pub fn close_lane(&self, lane: LaneBlock, dead: ProcessId) {
        let (Some(at_ends), Some(owner)) = (self.0.ends.get(), self.0.lane_owner(lane)) else {
            return;
        };
        let ends = &at_ends.ends;
        let is_left = owner == Inner::closer(dead)
            || (owner == 0 && (ends.are_done)(self, lane, End::Sender).0);
        if is_left {
            self.0.close(self, lane, ends, owner);
        }
    }

    /// The runtime is over: nobody waits in its memory any more.
    pub fn set_over(&self) {
        // ordering: SeqCst, before those that wait are woken.
        self.0.over.store(true, Private::SeqCst);
    }

    /// Whether it is.
    #[inline]
    pub fn is_over(&self) -> bool {
        // ordering: as in `set_over`.
        self.0.over.load(Private::SeqCst)
    }

    /// Which process's side it is.
    pub fn process(&self) -> ProcessId {
        self.0.me
    }

    /// What is said when there is no room.
    pub fn exhausted(&self, requested: usize) -> AllocError {
        AllocError::Exhausted {
            requested,
            capacity: self.capacity(),
        }
    }

    /// A lane holds what no correct process writes.
    pub fn report_lane(&self) {
        // Relaxed: a private counter.
        self.0.damage.fetch_add(1, Private::Relaxed);
    }
}
