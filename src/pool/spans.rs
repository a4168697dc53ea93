//! Spans: which part of the arena serves as what.
//!
//! A span's word uses the generation's bits for an argument:
//!
//! | state | owner | argument | meaning |
//! | --- | --- | --- | --- |
//! | `FREE` | – | – | nobody's |
//! | `CLAIMED` | p | head | taken by p for the extent that starts at span *head*; the head itself carries its own number while the extent is being built or taken down |
//! | `SLAB` | – | class | head of a slab |
//! | `RUN` | – | spans | head of a run |
//! | `RETIRING` | p | class | head of a slab that p tries to empty; a slab all the while |
//!
//! Only heads matter: the other spans of an extent stay `CLAIMED` with the head's
//! number, whoever owned it then.
//!
//! Building claims upwards from the head; taking down first turns the head into
//! `CLAIMED(p, itself)`, then frees the others *downwards*, the head last. So
//! at any death the rest of a broken extent is one unbroken row behind its head,
//! and the rescuer frees upwards from a head that is `CLAIMED` by the dead.
//!
//! A slab is announced *before* its blocks become free, and its blocks are absent
//! before it is taken down. So nobody, however old his hint, finds a free block in
//! an extent that is `CLAIMED`; and while somebody has one, the slab stays.

use crate::prim::atomic::Ordering;
use crate::prim::{Generation, ProcessId, Word};

use super::classes::{Class, SLAB_BLOCKS_MAX};
use super::plan::MAP_WORDS;
use super::{BlockState, Inner, PoolHeader};

pub(super) const CLAIMED: u8 = 1;
pub(super) const SLAB: u8 = 2;
pub(super) const RUN: u8 = 3;
pub(super) const RETIRING: u8 = 4;

const FREE_WORD: u64 = 0;

/// What a span's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Slab(Class),
    Run(usize),
    Other(Word),
}

impl Inner {
    #[inline]
    pub(super) fn span(&self, span: usize) -> Span {
        // ordering: Acquire pairs with the Release that made it a slab or run.
        let word = Word::unpack(self.spans[span].load(Ordering::Acquire));
        match (word.state, Class::from_index(word.generation.raw())) {
            (SLAB | RETIRING, Some(class)) if span + class.slab_spans() <= self.plan.spans => {
                Span::Slab(class)
            }
            (RUN, _) if self.is_run(span, word.generation.raw()) => {
                Span::Run(word.generation.raw() as usize)
            }
            _ => Span::Other(word),
        }
    }

    /// Whether no correct process writes `word` for a span that is neither slab nor run.
    pub(super) fn is_impossible(&self, span: usize, word: Word) -> bool {
        match word.state {
            0 => word.pack() != FREE_WORD,
            CLAIMED => word.generation.raw() > span as u64 || !self.is_process(word.owner),
            _ => true,
        }
    }

    /// Whether there is a process of this number.
    pub(super) fn is_process(&self, number: u32) -> bool {
        (number as usize) < self.plan.processes
    }

    #[inline]
    fn is_run(&self, span: usize, count: u64) -> bool {
        count >= 1 && count <= (self.plan.spans - span) as u64
    }

    pub(super) fn claimed(&self, head: usize) -> u64 {
        Word::new(CLAIMED, self.me.0, Generation::new(head as u64)).pack()
    }

    pub(super) fn set_span(&self, span: usize, state: u8, argument: u64) {
        let word = Word::new(state, self.me.0, Generation::new(argument));
        // ordering: Release pairs with the Acquire in `span`.
        self.spans[span].store(word.pack(), Ordering::Release);
    }

    /// How far the arena was ever used; everything above is untouched.
    pub(super) fn span_end(&self) -> usize {
        let PoolHeader { span_end, .. } = &*self.header;
        // ordering: Acquire pairs with the Release in `claim_extent`.
        (span_end.load(Ordering::Acquire) as usize).min(self.plan.spans)
    }

    /// Claims `count` spans in a row; returns the head.
    pub(super) fn claim_extent(&self, count: usize) -> Option<usize> {
        let spans = self.plan.spans;
        let low = &self.header.span_low;
        // Relaxed: here and in `free_spans`, a hint where to start.
        let seen = low.load(Ordering::Relaxed);
        let start = (seen as usize).min(spans);
        for (from, to) in [(start, spans), (0, (start + count).min(spans))] {
            let mut head = from;
            while head + count <= to {
                match self.try_claim(head, count) {
                    Ok(()) => {
                        if head <= start {
                            // Unless somebody has freed a lower one meanwhile.
                            let next = (head + count) as u64;
                            let _ = low.compare_exchange(
                                seen,
                                next,
                                Ordering::Relaxed,
                                Ordering::Relaxed,
                            );
                        }
                        return Some(head);
                    }
                    Err(taken) => head = taken + 1,
                }
            }
        }
        None
    }

    /// Claims exactly these spans, or says which one is taken.
    fn try_claim(&self, head: usize, count: usize) -> Result<(), usize> {
        // Relaxed: a cheap look from the far end saves most vain claims.
        let is_free = |span: &usize| self.spans[*span].load(Ordering::Relaxed) == FREE_WORD;
        if let Some(taken) = (head..head + count).rev().find(|span| !is_free(span)) {
            return Err(taken);
        }
        // ordering: Release pairs with `span_end`; raised before the first claim,
        // so that a rescuer looks far enough.
        self.header
            .span_end
            .fetch_max((head + count) as u64, Ordering::AcqRel);
        let claim = self.claimed(head);
        for span in head..head + count {
            // ordering: Acquire pairs with the Release in `free_spans`: the
            // former user is done with the memory.
            let won = self.spans[span].compare_exchange(
                FREE_WORD,
                claim,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if won.is_err() {
                self.free_spans(head, span - head);
                return Err(span);
            }
        }
        Ok(())
    }

    /// Frees the first `count` spans of an extent whose head this process has
    /// `CLAIMED`: downwards, the head last.
    pub(super) fn free_spans(&self, head: usize, count: usize) {
        for span in (head..head + count).rev() {
            // ordering: Release pairs with the Acquire in `try_claim`.
            self.spans[span].store(FREE_WORD, Ordering::Release);
        }
        if count > 0 {
            self.header
                .span_low
                .fetch_min(head as u64, Ordering::Relaxed);
        }
    }

    /// What a death leaves of an extent whose head is `CLAIMED` by the dead: the
    /// row of spans that carry the head's number, and block words in any state.
    pub(super) fn finish_extent(&self, head: usize) {
        for place in 0..SLAB_BLOCKS_MAX {
            self.make_absent(self.block_at(head, place));
        }
        self.clear_hints(head);
        let mut count = 1;
        while head + count < self.plan.spans {
            // ordering: Acquire as in `span`.
            let raw = self.spans[head + count].load(Ordering::Acquire);
            let word = Word::unpack(raw);
            if word.state != CLAIMED || word.generation.raw() != head as u64 {
                break;
            }
            count += 1;
        }
        self.free_spans(head, count);
    }

    /// Forgets all free bits of a span.
    pub(super) fn clear_hints(&self, head: usize) {
        for word in &self.free_bits[head * MAP_WORDS..(head + 1) * MAP_WORDS] {
            // Relaxed: hints; those of others may come in meanwhile.
            if word.load(Ordering::Relaxed) != 0 {
                word.swap(0, Ordering::Relaxed);
            }
        }
    }

    /// Makes a new slab; the blocks beyond `keep` are announced as free bits, the
    /// first `keep` are returned as hints.
    pub(super) fn new_slab(
        &self,
        class: Class,
        keep: usize,
    ) -> Option<Vec<crate::prim::BlockIndex>> {
        let head = self.claim_extent(class.slab_spans())?;
        let blocks = class.slab_blocks();
        self.set_span(head, SLAB, class.index() as u64);
        for place in 0..blocks {
            self.make_free(self.block_at(head, place));
        }
        let keep = keep.min(blocks);
        for (at, word) in self.free_bits[head * MAP_WORDS..][..MAP_WORDS]
            .iter()
            .enumerate()
        {
            let set = |place: usize| (keep..blocks).contains(&place);
            let bits = (0..64).filter(|bit| set(at * 64 + bit));
            let bits = bits.fold(0u64, |bits, bit| bits | 1 << bit);
            if bits != 0 {
                // ordering: Release as in `set_free_bit`.
                word.fetch_or(bits, Ordering::Release);
            }
        }
        if keep < blocks {
            self.set_avail(class, head);
        }
        Some((0..keep).map(|place| self.block_at(head, place)).collect())
    }

    /// Gives slabs without a used block back, of whatever class. Returns how many
    /// spans that freed.
    pub(super) fn reclaim(&self) -> usize {
        (0..self.span_end()).map(|head| self.try_retire(head)).sum()
    }

    fn try_retire(&self, head: usize) -> usize {
        let Span::Slab(class) = self.span(head) else {
            return 0;
        };
        let slab = Word::unpack(self.spans[head].load(Ordering::Relaxed));
        let all_free = |state| state == BlockState::Free;
        if slab.state != SLAB
            || !self
                .slab_blocks(head, class)
                .all(|b| all_free(self.state(b)))
        {
            return 0;
        }
        let retiring = Word::new(RETIRING, self.me.0, slab.generation).pack();
        // ordering: AcqRel; Acquire to see the slab's blocks, Release as in `set_span`.
        let won = self.spans[head].compare_exchange(
            slab.pack(),
            retiring,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if won.is_err() {
            return 0;
        }
        let emptied = self
            .slab_blocks(head, class)
            .all(|block| self.retire_block(block));
        if !emptied {
            self.revive_slab(head, class);
            return 0;
        }
        let claim = self.claimed(head);
        // ordering: Release as in `set_span`. From here on the extent is being
        // taken down.
        self.spans[head].store(claim, Ordering::Release);
        self.clear_hints(head);
        self.free_spans(head, class.slab_spans());
        class.slab_spans()
    }

    /// Makes good what `dead` left of a slab, if anything: half emptied, or with
    /// blocks that were not made yet. The latter cannot be retired by others, who
    /// want all blocks free; it is claimed like that, because a complete one can.
    pub(super) fn mend_slab(&self, head: usize, class: Class, dead: ProcessId) -> bool {
        let absent = |block| self.state(block) == BlockState::Absent;
        // ordering: Acquire as in `span`.
        let raw = self.spans[head].load(Ordering::Acquire);
        let word = Word::unpack(raw);
        let broken = word.owner == dead.0 && self.slab_blocks(head, class).any(absent);
        let retiring = Word::new(RETIRING, self.me.0, word.generation).pack();
        let mine = match word.state {
            RETIRING => word.owner == dead.0,
            SLAB if broken => self.spans[head]
                // ordering: AcqRel as in `try_retire`.
                .compare_exchange(raw, retiring, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok(),
            _ => false,
        };
        if mine {
            self.revive_slab(head, class);
        }
        mine
    }

    /// Undoes a retirement that found a used block, or whose author died.
    pub(super) fn revive_slab(&self, head: usize, class: Class) {
        for block in self.slab_blocks(head, class) {
            self.make_free(block);
        }
        self.set_span(head, SLAB, class.index() as u64);
        for block in self.slab_blocks(head, class) {
            if self.state(block) == BlockState::Free {
                self.set_free_bit(block, class);
            }
        }
    }
}
