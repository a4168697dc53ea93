//! Blocks: taking, freeing, and the hints that say where free ones may be.
//!
//! Allocation asks, in this order: the hints of the thread's own shard; the free
//! bits of a slab of the class (a whole word of 64 hints with one swap); a new
//! slab; the hints of the process's other shards; slabs that can be given back.
//! Freeing puts the hint into the shard that the buffer's record came from; when that
//! is full, half of it is issued: free bits, then their slabs' avail bits. A taker
//! clears the avail bit *before* it takes free bits, so that a bit set meanwhile
//! sets it again.
//!
//! What a block costs that is taken and given back by one thread, in atomic
//! read-modify-writes (each is 5 to 6 ns) and in lines of shared memory:
//!
//! | | read-modify-writes | lines |
//! | --- | --- | --- |
//! | take | the shard's lock; the word `Free`→`Loaned` | the word's, read and written; the span's, read |
//! | give back | the shard's lock | the same |
//!
//! The word is taken by a compare-and-swap, because others may have the same hint. It is
//! given back by a store, as long as no other process was told of the block: the word
//! says whose it is, and nobody changes what is another's (see `change_loan`).

use std::ptr::NonNull;

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{BlockIndex, Generation, Word};

use super::classes::{Class, SLAB_BLOCKS_MAX, SPAN, run_spans};
use super::plan::MAP_WORDS;
use super::spans::{CLAIMED, RUN, Span};
use super::{AllocError, Block, BlockState, Guard, Hold, Inner, Pool};

impl Inner {
    #[inline]
    pub(super) fn block_at(&self, span: usize, place: usize) -> BlockIndex {
        BlockIndex((span * SLAB_BLOCKS_MAX + place) as u32)
    }

    pub(super) fn slab_blocks(
        &self,
        head: usize,
        class: Class,
    ) -> impl Iterator<Item = BlockIndex> + '_ {
        (0..class.slab_blocks()).map(move |place| self.block_at(head, place))
    }

    /// The truth word. The index was made by `block_at`, or checked by `locate`.
    #[inline]
    pub(super) fn word(&self, block: BlockIndex) -> &AtomicU64 {
        &self.blocks[block.0 as usize * self.plan.block_stride()]
    }

    /// The holder bits.
    #[inline]
    pub(super) fn holders(&self, block: BlockIndex) -> &[AtomicU64] {
        let at = block.0 as usize * self.plan.block_stride() + 1;
        &self.blocks[at..at + self.plan.holder_words]
    }

    #[inline]
    pub(super) fn load(&self, block: BlockIndex) -> Word {
        // ordering: Acquire pairs with every Release change of a block's word:
        // what its former owner wrote is seen.
        Word::unpack(self.word(block).load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn state(&self, block: BlockIndex) -> BlockState {
        BlockState::of(self.load(block).state)
    }

    /// One change of ownership. AcqRel: see `load`.
    #[inline]
    pub(super) fn change(&self, block: BlockIndex, from: Word, to: Word) -> bool {
        // ordering: Release pairs with the Acquire in `load` and in this very
        // call by the next owner.
        self.word(block)
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A change by the owner of a loan, who has the only reference to its record. As long
    /// as no other process was told of the block, nobody else changes its word, so a store
    /// is enough: the dead's are recovered, not the living's, and who takes a loan over
    /// (`accept`) was told of it by a parcel.
    #[inline]
    pub(super) fn change_loan(&self, hold: &Hold, to: Word) -> bool {
        let index = hold.block().index;
        if hold.is_told() {
            return self.change(index, hold.word(), to);
        }
        let word = self.word(index);
        // Relaxed: the last to write it was this process. Unless one gone wild did: then
        // it is left as it is.
        if word.load(Ordering::Relaxed) != hold.word().pack() {
            return false;
        }
        // ordering: Release as in `change`.
        word.store(to.pack(), Ordering::Release);
        true
    }

    /// Frees the block of a loan that ends, unless it is another's by now. If it is of a
    /// slab, its hint is left to the caller, and its class returned.
    #[inline]
    pub(super) fn free_loan(&self, hold: &Hold) -> Option<Class> {
        let index = hold.block().index;
        let word = hold.word();
        let head = index.0 as usize / SLAB_BLOCKS_MAX;
        if let Span::Slab(class) = self.span(head)
            && (index.0 as usize % SLAB_BLOCKS_MAX) < class.slab_blocks()
        {
            let free = Word::new(BlockState::Free as u8, 0, word.generation.next());
            return self.change_loan(hold, free).then_some(class);
        }
        // Fails when the block went to another process as an argument.
        if self.load(index) == word {
            self.free(index, word);
        }
        None
    }

    /// Where block `index` lies, if it exists: checks everything that comes from
    /// shared memory against this process's own plan.
    pub(super) fn locate(&self, index: BlockIndex) -> Option<(usize, usize, usize)> {
        let (head, place) = (
            index.0 as usize / SLAB_BLOCKS_MAX,
            index.0 as usize % SLAB_BLOCKS_MAX,
        );
        if head >= self.plan.spans {
            return None;
        }
        match self.span(head) {
            Span::Slab(class) if place < class.slab_blocks() => {
                Some((head, head * SPAN + place * class.size(), class.size()))
            }
            Span::Run(spans) if place == 0 => Some((head, head * SPAN, spans * SPAN)),
            _ => None,
        }
    }

    pub(super) fn make_free(&self, block: BlockIndex) {
        let word = self.load(block);
        if BlockState::of(word.state) == BlockState::Absent {
            let free = Word::new(BlockState::Free as u8, 0, word.generation);
            self.change(block, word, free);
        }
    }

    /// Whatever it was: no block any more. Only for the rescuer of an extent.
    pub(super) fn make_absent(&self, block: BlockIndex) {
        let word = self.load(block);
        if BlockState::of(word.state) != BlockState::Absent {
            self.change(block, word, Word::new(0, 0, word.generation.next()));
        }
    }

    /// Free → Absent; false if somebody has it.
    pub(super) fn retire_block(&self, block: BlockIndex) -> bool {
        let word = self.load(block);
        BlockState::of(word.state) == BlockState::Free
            && self.change(block, word, Word::new(0, 0, word.generation.next()))
    }

    /// Free → Loaned(me), if the hint is true and the block of this class.
    #[inline]
    pub(super) fn claim_block(&self, index: BlockIndex, class: Class) -> Option<Block> {
        let word = self.load(index);
        if BlockState::of(word.state) != BlockState::Free {
            return None;
        }
        let loaned = Word::new(BlockState::Loaned as u8, self.me.0, word.generation);
        if !self.change(index, word, loaned) {
            return None;
        }
        self.forget_holders(index);
        let head = index.0 as usize / SLAB_BLOCKS_MAX;
        // The slab cannot be retired while a block in it is ours, but it may serve
        // another class by now. Others may have met our claim and dropped their hint.
        let found = self.span(head);
        let place = index.0 as usize % SLAB_BLOCKS_MAX;
        if found != Span::Slab(class) || place >= class.slab_blocks() {
            let free = Word::new(BlockState::Free as u8, 0, word.generation.next());
            if self.change(index, loaned, free)
                && let Span::Slab(other) = found
            {
                self.set_free_bit(index, other);
            }
            return None;
        }
        Some(Block {
            index,
            generation: word.generation,
            offset: head * SPAN + place * class.size(),
            capacity: class.size(),
        })
    }

    pub(super) fn set_avail(&self, class: Class, head: usize) {
        let at = class.index() * self.plan.avail_words() + head / 64;
        // ordering: Release pairs with the Acquire in `refill`: the free bit that
        // was set before is seen by whoever clears this one.
        self.avail_bits[at].fetch_or(1 << (head % 64), Ordering::Release);
    }

    pub(super) fn set_free_bit(&self, block: BlockIndex, class: Class) {
        let (head, place) = (
            block.0 as usize / SLAB_BLOCKS_MAX,
            block.0 as usize % SLAB_BLOCKS_MAX,
        );
        // ordering: Release pairs with the Acquire in `take_free_bits`: who takes the
        // hint sees the block free. It may come by on account of an earlier avail bit.
        self.free_bits[head * MAP_WORDS + place / 64]
            .fetch_or(1 << (place % 64), Ordering::Release);
        self.set_avail(class, head);
    }

    /// The same for many: one change of each word of free bits whose blocks follow each
    /// other, and one of the avail bit for the slabs that do.
    fn set_free_bits(&self, blocks: &[BlockIndex], class: Class) {
        let slab = |block: &BlockIndex| block.0 as usize / SLAB_BLOCKS_MAX;
        let place = |block: &BlockIndex| block.0 as usize % SLAB_BLOCKS_MAX;
        let word = |block: &BlockIndex| slab(block) * MAP_WORDS + place(block) / 64;
        for of_slab in blocks.chunk_by(|a, b| slab(a) == slab(b)) {
            for of_word in of_slab.chunk_by(|a, b| word(a) == word(b)) {
                let bits = of_word
                    .iter()
                    .fold(0, |bits, b| bits | 1 << (place(b) % 64));
                // ordering: Release as in `set_free_bit`.
                self.free_bits[word(&of_word[0])].fetch_or(bits, Ordering::Release);
            }
            self.set_avail(class, slab(&of_slab[0]));
        }
    }

    /// Moves free bits of some slab of `class` into `cache`; false if there are none.
    fn refill(&self, class: Class, cache: &mut Vec<BlockIndex>) -> bool {
        let first = class.index() * self.plan.avail_words();
        let words = self.span_end().div_ceil(64);
        for (at, avail) in self.avail_bits[first..first + words].iter().enumerate() {
            // Relaxed: a hint.
            let mut bits = avail.load(Ordering::Relaxed);
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // ordering: Acquire pairs with the Release in `set_avail`.
                avail.fetch_and(!(1 << bit), Ordering::Acquire);
                let head = at * 64 + bit;
                if head < self.plan.spans && self.span(head) == Span::Slab(class) {
                    self.take_free_bits(head, class, cache);
                }
                if !cache.is_empty() {
                    return true;
                }
            }
        }
        false
    }

    fn take_free_bits(&self, head: usize, class: Class, cache: &mut Vec<BlockIndex>) {
        let words = class.slab_blocks().div_ceil(64);
        let map = &self.free_bits[head * MAP_WORDS..][..words];
        for (at, word) in map.iter().enumerate() {
            // Relaxed: a look that saves a swap.
            let mut bits = if word.load(Ordering::Relaxed) == 0 {
                0
            } else {
                // ordering: Acquire pairs with the Release in `set_free_bit`. With a
                // stale word the hint would seem wrong, and be dropped.
                word.swap(0, Ordering::Acquire)
            };
            while bits != 0 {
                let place = at * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if place < class.slab_blocks() {
                    cache.push(self.block_at(head, place));
                }
            }
            if cache.len() >= class.cache_max() {
                if map[at..].iter().any(|w| w.load(Ordering::Relaxed) != 0) {
                    self.set_avail(class, head);
                }
                return;
            }
        }
    }

    /// A block of `class` when this thread's shard has no hint of one.
    fn alloc_small(&self, class: Class) -> Option<Block> {
        let ways: [fn(&Self, Class) -> bool; 2] = [
            |pool, class| pool.issue_hints(class),
            |pool, _| {
                pool.reclaim();
                true
            },
        ];
        let mut ways = ways.iter();
        loop {
            if let Some(block) = self.alloc_in_shard(class) {
                return Some(block);
            }
            // Without the lock of this thread's shard: each locks others, or takes long.
            while !ways.next()?(self, class) {}
        }
    }

    fn alloc_in_shard(&self, class: Class) -> Option<Block> {
        let (_, mut shard) = self.shards.enter_own();
        let hints = &mut shard.hints[class.index()];
        loop {
            while let Some(hint) = hints.pop() {
                if let Some(block) = self.claim_block(hint, class) {
                    return Some(block);
                }
            }
            if self.refill(class, hints) {
                continue;
            }
            hints.extend(self.new_slab(class, class.cache_max())?);
        }
    }

    /// Issues the hints of `class` that this process's threads keep; false if there are
    /// none.
    fn issue_hints(&self, class: Class) -> bool {
        let mut any = false;
        for mut shard in self.shards.each() {
            let hints = std::mem::take(&mut shard.hints[class.index()]);
            any |= !hints.is_empty();
            self.set_free_bits(&hints, class);
        }
        any
    }

    /// Keeps the hint of a block that was freed. If there are as many as may be, the
    /// half that lie there longest are issued.
    #[inline]
    pub(super) fn keep_hint(&self, shard: &mut Guard<'_>, block: BlockIndex, class: Class) {
        if self.is_wanted() {
            self.set_free_bit(block, class);
            return self.tell_of_room();
        }
        let hints = &mut shard.hints[class.index()];
        if hints.len() >= class.cache_max() {
            self.issue_half(hints, class);
        }
        hints.push(block);
    }

    #[cold]
    fn issue_half(&self, hints: &mut Vec<BlockIndex>, class: Class) {
        let half = hints.len().div_ceil(2);
        self.set_free_bits(&hints[..half], class);
        hints.drain(..half);
    }

    fn alloc_run(&self, spans: usize) -> Option<Block> {
        let head = match self.claim_extent(spans) {
            Some(head) => head,
            None => {
                self.reclaim();
                self.claim_extent(spans)?
            }
        };
        let index = self.block_at(head, 0);
        let before = self.load(index);
        let loaned = Word::new(BlockState::Loaned as u8, self.me.0, before.generation);
        if !self.change(index, before, loaned) {
            // The spans are ours alone, so only a wild writer changes the word.
            self.report_damage(index, before, "it changed in a span that is this process's");
            self.free_spans(head, spans);
            return None;
        }
        self.forget_holders(index);
        self.set_span(head, RUN, spans as u64);
        Some(Block {
            index,
            generation: before.generation,
            offset: head * SPAN,
            capacity: spans * SPAN,
        })
    }

    pub(super) fn alloc(&self, len: usize) -> Result<Block, AllocError> {
        let capacity = self.plan.capacity();
        let requested = len;
        let spans = match Class::of(len) {
            Some(class) => class.slab_spans(),
            None => run_spans(len),
        };
        if spans > self.plan.spans {
            return Err(AllocError::TooLarge {
                requested,
                capacity,
            });
        }
        let class = Class::of(len);
        let once = || match class {
            Some(class) => self.alloc_small(class),
            None => self.alloc_run(spans),
        };
        let block = once().or_else(|| self.alloc_after_all(class, once));
        block.ok_or(AllocError::Exhausted {
            requested,
            capacity,
        })
    }

    /// There is no room: what others keep to themselves, and what the host can free.
    #[cold]
    fn alloc_after_all(
        &self,
        class: Option<Class>,
        once: impl Fn() -> Option<Block>,
    ) -> Option<Block> {
        if cfg!(loom) {
            return None;
        }
        let again = || {
            self.issue_all_hints(class?);
            once()
        };
        again().or_else(|| {
            self.ask_host().then_some(())?;
            once().or_else(again)
        })
    }

    /// Frees a block whose word is `word`, which makes it the caller's to free:
    /// `Loaned(me)`, or seen without holders, or judged an orphan by the rescuer.
    /// False if somebody else was first.
    pub(super) fn free(&self, index: BlockIndex, mut word: Word) -> bool {
        if self.is_token(index) && self.locate(index).is_some() {
            // Ours first: whoever else would take it is too late then, and if we die here
            // the recovery comes by this again.
            let ours = Word::new(BlockState::Loaned as u8, self.me.0, word.generation);
            if !self.change(index, word, ours) {
                return false;
            }
            self.end_token(index);
            self.forget_token(index);
            word = ours;
        }
        let Some((head, _, _)) = self.locate(index) else {
            // Unless somebody else was first, and has given the extent back too.
            if self.load(index) == word {
                self.report_damage(
                    index,
                    word,
                    "it was to be freed, and its span has no such block",
                );
            }
            return false;
        };
        match self.span(head) {
            Span::Slab(class) => {
                let free = Word::new(BlockState::Free as u8, 0, word.generation.next());
                if !self.change(index, word, free) {
                    return false;
                }
                let (_, mut shard) = self.shards.enter_own();
                self.keep_hint(&mut shard, index, class);
                true
            }
            Span::Run(spans) => {
                // Make it mine first: a death from here on leaves it `Loaned` by
                // the dead, then `CLAIMED` by the dead; both are repaired. In a new
                // generation, so that it is a change even if it was mine: whoever
                // looked a while ago may be wrong about that.
                let next = word.generation.next();
                let mine = Word::new(BlockState::Loaned as u8, self.me.0, next);
                if !self.change(index, word, mine) {
                    return false;
                }
                // ordering: Release as in `set_span`.
                self.spans[head].store(self.claimed(head), Ordering::Release);
                self.change(index, mine, Word::new(0, 0, next));
                self.free_spans(head, spans);
                if self.is_wanted() {
                    self.tell_of_room();
                }
                true
            }
            Span::Other(_) => false,
        }
    }

    #[cold]
    pub(super) fn report_damage(&self, index: BlockIndex, word: Word, why: &str) {
        let of = match index.0 as usize / SLAB_BLOCKS_MAX {
            head if head < self.plan.spans => format!("{:?}", self.span(head)),
            _ => "no span".to_owned(),
        };
        let (number, state) = (index.0, BlockState::of(word.state));
        self.found_damage(format!(
            "block {number} of {of} says {state:?}, {word:?}: {why}"
        ));
    }

    /// The first that is found is what is told; each is logged.
    #[cold]
    pub(super) fn found_damage(&self, what: String) {
        let _ = self.damage.set(what.clone());
        crate::background::log(move || {
            tracing::error!(what, "shared memory holds what no process writes");
        });
    }

    /// The bytes of a located block.
    #[inline]
    pub(super) fn address(&self, block: &Block) -> NonNull<u8> {
        self.arena
            .range(block.offset, block.capacity)
            .unwrap_or(NonNull::dangling())
    }
}

impl Pool {
    /// Gives the memory of unused spans back to the system; returns bytes freed.
    ///
    /// Freed memory is kept backed, because touching it anew costs 2.6 µs for
    /// each 4 KiB; call this after a peak.
    pub fn trim(&self) -> usize {
        if !self.is_here() {
            return 0;
        }
        let pool = &self.0;
        pool.reclaim();
        if pool.is_wanted() {
            pool.tell_of_room();
        }
        let mut freed = 0;
        for span in 0..pool.span_end() {
            // ordering: AcqRel as in `try_claim`: nobody uses the span meanwhile.
            let claim = Word::new(CLAIMED, pool.me.0, Generation::new(span as u64)).pack();
            let won =
                pool.spans[span].compare_exchange(0, claim, Ordering::AcqRel, Ordering::Relaxed);
            if won.is_ok() {
                let at = pool.plan.arena + span * SPAN;
                if pool.segment.punch(at, SPAN).is_ok() {
                    freed += SPAN;
                }
                pool.free_spans(span, 1);
            }
        }
        freed
    }
}
