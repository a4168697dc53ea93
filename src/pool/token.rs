//! Lanes and tokens: the blocks that a shared object (a channel, for instance) is made of.
//!
//! A *lane* is a block that several processes write at once: a head, and words of its users, of which the pool
//! knows nothing. A *token* (a capability) is a shared block that stands for one end of a lane, and travels as
//! any shared block does. Only holders of a token may use the lane. So when the last holder gives a token
//! back, in whatever process, that end is gone; when both ends are gone, so is the lane.
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
//! | token `Shared`→`Loaned(p)` | a process that sees no holder | compare-and-swap | the recovery does what follows |
//! | the end is *gone*; waiters are told | p | one bit of the lane's word of ends | the same; it may be done twice |
//! | the end is *done*: p does not touch the lane any more | p | another bit | the recovery sees it |
//! | lane `Lane(0)`→`Lane(p + 1)` | a process that sees both done | compare-and-swap | the recovery does what follows |
//! | lane → `Free` | p, when it has let go of what is in it | compare-and-swap | |
//!
//! ```text
//!   lane     0  kind      which [`LaneKind`] it is of; never changes
//!            8  ends      gone: bits 0, 1 (sender, receiver); done: bits 2, 3; closed: bit 4
//!          128  the users' words
//! ```
//!
//! An object with only one sort of ends has no receivers from the beginning: that end is gone, and done.
//!
//! As long as a block is shared, a bit beside those of its holders says whether it is a token; its bytes say
//! for which lane, and which end. What happens when an end goes depends on the lane's kind.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering as Private;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{BlockIndex, ProcessId, Word};
use crate::shm::{Segment, Views};
use crate::sys::barrier;

use super::lane::{End, LaneBlock};
use super::spans::Span;
use super::{
    AllocError, AtEnds, Block, BlockState, Hold, Inner, LaneKind, LaneKinds, Loan, Parcel, Pool,
    Shared, Transfer,
};

/// Bytes of a token: block, generation and end.
pub(super) const TOKEN_LEN: usize = 24;

/// Bits of the word of ends; of the first two for each end.
const GONE: u64 = 1;
const DONE: u64 = 4;
const CLOSED: u64 = 16;
/// Words in front of the users'.
const HEAD_WORDS: usize = 16;

/// Which ends of a lane there are.
#[derive(Clone, Debug)]
pub struct LaneEnds(Views<AtomicU64>);

impl LaneEnds {
    fn mark(&self, bits: u64) -> u64 {
        // ordering: SeqCst, and so in `has`: see there.
        self.0[1].fetch_or(bits, Ordering::SeqCst) | bits
    }

    #[inline]
    fn word(&self) -> u64 {
        // ordering: SeqCst: who has marked it looks for messages, or sleepers, afterwards.
        self.0[1].load(Ordering::SeqCst)
    }

    fn has(&self, bits: u64) -> bool {
        self.word() & bits == bits
    }

    /// No more is to come.
    pub fn close(&self) {
        self.mark(CLOSED);
    }

    /// Whether it was closed, or nobody has that end.
    #[inline]
    pub fn is_closed_or_gone(&self, end: End) -> bool {
        self.word() & (CLOSED | GONE << end as u32) != 0
    }

    /// Whether nobody has that end.
    #[inline]
    pub fn is_gone(&self, end: End) -> bool {
        self.has(GONE << end as u32)
    }

    fn set_gone(&self, end: End) {
        self.mark(GONE << end as u32);
    }

    /// Nobody touches the lane any more on account of this end. Whether the same is so of both.
    fn set_done(&self, end: End) -> bool {
        let bits = self.mark(DONE << end as u32);
        bits & (DONE | DONE << 1) == DONE | DONE << 1
    }

    fn is_done(&self, end: End) -> bool {
        self.has(DONE << end as u32)
    }

    fn are_both_done(&self) -> bool {
        self.has(DONE | DONE << 1)
    }
}

/// An end of a lane, in a process that has it.
#[derive(Clone, Debug)]
pub struct Token(Shared);

impl Token {
    fn of(loan: Loan) -> Self {
        loan.hold.pool().0.make_token(loan.hold.block().index);
        Token(loan.publish())
    }

    pub(super) fn said(bytes: &[u8]) -> Option<(LaneBlock, End)> {
        let word = |at: usize| {
            let bytes = bytes.get(8 * at..8 * at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let end = match word(2)? {
            0 => End::Sender,
            1 => End::Receiver,
            _ => return None,
        };
        Some((LaneBlock::unpack([word(0)?, word(1)?]), end))
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

    /// Has something in shared memory keep the end as well, as a message does. `None` if there is no
    /// room for that.
    pub fn pass_held(&self) -> Option<Parcel> {
        Transfer::of_shared(&self.0).pass_held(self.pool())
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

impl Inner {
    /// What is to be done; `None` if nobody uses this side of the pool any more.
    fn at_ends(&self) -> Option<(Pool, LaneKinds)> {
        let at_ends = self.ends.get()?;
        let inner = at_ends.pool.upgrade()?;
        // ordering: AcqRel as for any other `Pool` that comes or goes.
        let one_more = |pools: usize| (pools > 0).then_some(pools + 1);
        inner
            .pools
            .fetch_update(Private::AcqRel, Private::Acquire, one_more)
            .ok()?;
        Some((Pool(inner), at_ends.kinds))
    }

    /// Calls `look` for every block there is.
    pub(super) fn each_block(&self, mut look: impl FnMut(BlockIndex)) {
        for head in 0..self.span_end() {
            match self.span(head) {
                Span::Slab(class) => self.slab_blocks(head, class).for_each(&mut look),
                Span::Run(_) => look(self.block_at(head, 0)),
                Span::Other(_) => {}
            }
        }
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
        let (Some((pool, kinds)), Some((_, offset, _))) = (self.at_ends(), self.locate(token))
        else {
            return;
        };
        let bytes = self.arena.copy_out(offset, TOKEN_LEN);
        let said = bytes.and_then(|bytes| Token::said(&bytes));
        // One that is done was done by who died then: the lane may be another block by now.
        let Some((lane, end)) = said.filter(|(lane, end)| self.is_undone(&pool, *lane, *end))
        else {
            return;
        };
        let Some(ends) = pool.lane_ends(lane) else {
            return;
        };
        ends.set_gone(end);
        // Pairs with the light one of who publishes something and then looks whether the other
        // end is gone: either it sees that, or the kind sees what was published. And with those
        // of sleepers.
        barrier::heavy();
        let kind = pool.lane_kind(lane, kinds);
        if let Some(kind) = kind {
            kind.gone(&pool, lane, end);
        }
        if ends.set_done(end) {
            self.close(&pool, lane, kind, 0);
        }
    }

    /// Wakes all that sleep at the lane of a token, which somebody keeps meanwhile: so the lane is there.
    pub(super) fn force_lane_of(&self, token: BlockIndex) {
        let Some((pool, kinds)) = self.at_ends() else {
            return;
        };
        if let Some((lane, _)) = pool.end_in(token)
            && let Some(kind) = pool.lane_kind(lane, kinds)
        {
            kind.force(&pool, lane);
        }
    }

    fn is_undone(&self, pool: &Pool, lane: LaneBlock, end: End) -> bool {
        let is_lane = || self.lane_owner(lane) == Some(0);
        let is_done = pool.lane_ends(lane).is_none_or(|ends| ends.is_done(end));
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
    fn close(&self, pool: &Pool, lane: LaneBlock, kind: Option<&dyn LaneKind>, from: u32) {
        let ours = Self::lane_word(lane, Self::closer(self.me));
        if self.change(lane.index, Self::lane_word(lane, from), ours) {
            if let Some(kind) = kind {
                kind.close(pool, lane);
            }
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
        kind: &dyn LaneKind,
        words: usize,
        write: impl FnOnce(&Segment, usize),
    ) -> Result<[Token; 2], AllocError> {
        self.make(kind, words, [End::Sender, End::Receiver], write)
    }

    /// The same with one sort of ends only: all are [`End::Sender`].
    pub fn make_lane_of_one(
        &self,
        kind: &dyn LaneKind,
        words: usize,
        write: impl FnOnce(&Segment, usize),
    ) -> Result<Token, AllocError> {
        let [token] = self.make(kind, words, [End::Sender], write)?;
        Ok(token)
    }

    fn make<const N: usize>(
        &self,
        kind: &dyn LaneKind,
        words: usize,
        ends: [End; N],
        write: impl FnOnce(&Segment, usize),
    ) -> Result<[Token; N], AllocError> {
        let block = self.alloc(words.saturating_add(HEAD_WORDS).saturating_mul(8))?;
        let Block {
            index, generation, ..
        } = *block.hold.block();
        let lane = LaneBlock { index, generation };
        let mut tokens = Vec::with_capacity(N);
        for end in ends {
            let mut token = self.alloc(TOKEN_LEN)?;
            let said = [u64::from(index.0), generation.raw(), end as u64];
            for (bytes, word) in token.chunks_exact_mut(8).zip(said) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            tokens.push(token);
        }
        let gone = || self.exhausted(words * 8);
        let (offset, _) = self.block_place(index).ok_or_else(gone)?;
        let head = self.head_at(offset);
        // Relaxed: whoever gets a token sees what was written before.
        head.0[0].store(kind.number(), Ordering::Relaxed);
        let absent = [End::Sender, End::Receiver]
            .into_iter()
            .filter(|end| !ends.contains(end));
        let marks = absent.map(|end| (GONE | DONE) << end as u32);
        // Relaxed: as above.
        head.0[1].store(marks.sum(), Ordering::Relaxed);
        write(&self.0.segment, offset + HEAD_WORDS * 8);
        // Relaxed: before the lane is one, which the host's recovery sees by its word.
        self.0.header.has_lanes.store(1, Ordering::Relaxed);
        // The tokens first: if we die in between they say of no lane that it has ended.
        let tokens: Vec<Token> = tokens.into_iter().map(Token::of).collect();
        // From now on it is freed by way of them.
        if !block.become_lane(Inner::lane_word(lane, 0)) {
            return Err(gone());
        }
        tokens.try_into().map_err(|_| gone())
    }

    fn head_at(&self, offset: usize) -> LaneEnds {
        LaneEnds(self.0.segment.views(offset, HEAD_WORDS))
    }

    fn block_place(&self, index: BlockIndex) -> Option<(usize, usize)> {
        let (_, offset, capacity) = self.0.locate(index)?;
        Some((self.0.plan.arena + offset, capacity / 8))
    }

    /// The lane that the block with this number is, if it is one.
    pub fn lane_numbered(&self, number: u32) -> Option<LaneBlock> {
        let index = BlockIndex(number);
        self.0.locate(index)?;
        let word = self.0.load(index);
        let generation = word.generation;
        (word.state == BlockState::Lane as u8).then_some(LaneBlock { index, generation })
    }

    /// Where the users' words of a lane lie in the segment, and how many there are; `None` if it is
    /// none any more.
    pub fn lane_place(&self, lane: LaneBlock) -> Option<(usize, usize)> {
        self.0.lane_owner(lane)?;
        let (offset, words) = self.block_place(lane.index)?;
        let words = words.checked_sub(HEAD_WORDS)?;
        Some((offset + HEAD_WORDS * 8, words))
    }

    /// Which ends a lane has; `None` as in [`Pool::lane_place`].
    pub fn lane_ends(&self, lane: LaneBlock) -> Option<LaneEnds> {
        let (offset, _) = self.lane_place(lane)?;
        Some(self.head_at(offset - HEAD_WORDS * 8))
    }

    /// The number of a lane's kind; `None` as in [`Pool::lane_place`].
    pub fn lane_number(&self, lane: LaneBlock) -> Option<u64> {
        let head = self.lane_ends(lane)?;
        // Relaxed: it never changes, and came with the block.
        Some(head.0[0].load(Ordering::Relaxed))
    }

    /// Which end of which lane the token in this block is, which somebody keeps meanwhile.
    pub(super) fn end_in(&self, token: BlockIndex) -> Option<(LaneBlock, End)> {
        let (_, offset, _) = self.0.locate(token)?;
        Token::said(&self.0.arena.copy_out(offset, TOKEN_LEN)?)
    }

    /// Which of these kinds a lane is of.
    pub fn lane_kind(&self, lane: LaneBlock, kinds: LaneKinds) -> Option<&'static dyn LaneKind> {
        let number = self.lane_number(lane)?;
        kinds.iter().copied().find(|kind| kind.number() == number)
    }

    /// What this side of the pool knows of kinds of lanes.
    pub fn lane_kinds(&self) -> LaneKinds {
        self.0.ends.get().map_or(&[], |at_ends| at_ends.kinds)
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.0.segment
    }

    /// Which kinds of lanes there are; before there is any.
    pub fn set_lane_kinds(&self, kinds: LaneKinds) {
        let pool = Arc::downgrade(&self.0);
        let _ = self.0.ends.set(AtEnds { kinds, pool });
    }

    /// All lanes there are.
    pub fn lanes(&self) -> Vec<LaneBlock> {
        let pool = &self.0;
        let mut lanes = Vec::new();
        // Relaxed: see `make_lane`.
        if pool.header.has_lanes.load(Ordering::Relaxed) == 0 {
            return lanes;
        }
        pool.each_block(|index| {
            let word = pool.load(index);
            if word.state == BlockState::Lane as u8 {
                let generation = word.generation;
                lanes.push(LaneBlock { index, generation });
            }
        });
        lanes
    }

    /// After a death: frees a lane of which both ends are done, if nobody alive does it.
    pub fn close_lane(&self, lane: LaneBlock, dead: ProcessId) {
        let (Some(ends), Some(owner)) = (self.lane_ends(lane), self.0.lane_owner(lane)) else {
            return;
        };
        let is_left = owner == Inner::closer(dead) || (owner == 0 && ends.are_both_done());
        if is_left {
            let kind = self.lane_kind(lane, self.lane_kinds());
            self.0.close(self, lane, kind, owner);
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

    /// How many processes the fold has at most, the host among them.
    pub fn processes(&self) -> usize {
        self.0.plan.processes
    }

    /// What is said when there is no room.
    pub fn exhausted(&self, requested: usize) -> AllocError {
        AllocError::Exhausted {
            requested,
            capacity: self.capacity(),
        }
    }

    /// A lane holds what no correct process writes: `what`.
    #[cold]
    pub fn report_lane(&self, lane: LaneBlock, what: &dyn Display) {
        let (block, kind) = (lane.index.0, self.lane_number(lane));
        let kind = kind.map_or("of no kind".to_owned(), |kind| format!("of kind {kind}"));
        self.0.found_damage(format!(
            "the shared object in block {block}, {kind}: {what}"
        ));
    }
}
