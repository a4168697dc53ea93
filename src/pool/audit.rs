//! Who owns which block, and which blocks and spans nobody alive does.

use std::collections::BTreeSet;

use crate::prim::atomic::Ordering;
use crate::prim::{BlockIndex, ProcessId, SlotIndex, Word};

use super::block::BlockState;
use super::classes::SLAB_BLOCKS_MAX;
use super::entry::Passage;
use super::passage;
use super::spans::{CLAIMED, RETIRING, Span};
use super::{Inner, Pool, lock};

/// Blocks of a pool, by state and by owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolCensus {
    /// Of slabs, not in use.
    pub free: usize,
    /// Writable, each with one owner.
    pub loaned: usize,
    /// Read-only.
    pub shared: usize,
    /// In results that were not yet collected, and in messages that were not taken.
    pub carried: usize,
    /// Of the read-only ones, and of those carried: what messages alone keep.
    pub passing: usize,
    /// Of channels.
    pub lanes: usize,
    /// Per process: the blocks it may write.
    pub loaned_by: Vec<usize>,
    /// Per process: the read-only blocks it holds.
    pub held_by: Vec<usize>,
    /// What nobody alive owns: a text for each that says what and why.
    pub orphans: BTreeSet<String>,
}

/// What the pool cannot know by itself.
pub trait Living {
    /// Whether the process may still use what it owns. One that is dead and whose
    /// things are about to be recovered counts as alive until then.
    fn is_alive(&self, process: ProcessId) -> bool;
    /// Whether the process may be in the middle of a change.
    fn is_busy(&self, process: ProcessId) -> bool;
    /// Whether the result that `slot` carries will be collected.
    fn will_be_collected(&self, slot: SlotIndex) -> bool;
    /// Whether a message names the passage, or somebody living may be about to write one that
    /// does, or to end it. What the pool sees by itself is whose it is.
    fn is_in_message(&self, _passage: Passage) -> bool {
        true
    }
}

impl Pool {
    /// Counts every block and looks for orphans. Changes nothing. What is changing
    /// hands meanwhile may look like an orphan: ask twice.
    pub fn census(&self, living: &impl Living, processes: usize) -> PoolCensus {
        let pool = &self.0;
        let mut census = PoolCensus {
            loaned_by: vec![0; processes],
            held_by: vec![0; processes],
            ..PoolCensus::default()
        };
        let end = pool.span_end();
        let mut head = 0;
        while head < end {
            head += match pool.span(head) {
                Span::Slab(class) => {
                    pool.count_retiring(head, living, &mut census);
                    for block in pool.slab_blocks(head, class) {
                        pool.count_block(block, living, &mut census);
                    }
                    class.slab_spans()
                }
                Span::Run(spans) => {
                    pool.count_block(pool.block_at(head, 0), living, &mut census);
                    spans
                }
                Span::Other(word) => {
                    pool.count_span(head, word, living, &mut census);
                    1
                }
            };
        }
        pool.count_passages(living, &mut census);
        // Loans of this process that no value of it stands for.
        let me = pool.me.0 as usize;
        let values = pool.shards.loans();
        let words = census.loaned_by.get(me).copied().unwrap_or(0);
        if words > values {
            let lost = words - values;
            census.orphans.insert(format!(
                "{lost} of the {words} blocks that this process may write belong to no buffer"
            ));
        }
        census
    }
}

impl Inner {
    fn count_block(&self, block: BlockIndex, living: &impl Living, census: &mut PoolCensus) {
        let word = self.load(block);
        let mut orphan = |why: String| {
            let generation = word.generation;
            census
                .orphans
                .insert(format!("block {} {generation:?}: {why}", block.0));
        };
        match self.state(block) {
            BlockState::Free => census.free += 1,
            BlockState::Loaned => {
                census.loaned += 1;
                if let Some(count) = census.loaned_by.get_mut(word.owner as usize) {
                    *count += 1;
                }
                if !living.is_alive(ProcessId(word.owner)) {
                    orphan(format!("writable by process {}, which ended", word.owner));
                }
            }
            BlockState::Carried => {
                census.carried += 1;
                if let Some(sender) = passage::sender(word.owner) {
                    census.passing += 1;
                    if !living.is_alive(sender) {
                        let sender = sender.0;
                        orphan(format!("in a message of process {sender}, which ended"));
                    } else if !living.is_in_message(Passage::Carried(block, word.generation)) {
                        orphan("carried by no message".into());
                    }
                } else if !living.will_be_collected(SlotIndex(word.owner)) {
                    orphan(format!("in the result of slot {}, of no task", word.owner));
                }
            }
            BlockState::Shared => {
                census.shared += 1;
                let (holders, in_transit) = self.holder_numbers(block);
                for holder in &holders {
                    if let Some(count) = census.held_by.get_mut(*holder as usize) {
                        *count += 1;
                    }
                    if !living.is_alive(ProcessId(*holder)) {
                        orphan(format!("held by process {holder}, which ended"));
                    }
                    if *holder == self.me.0 && !lock(self.shard(block)).contains_key(&block) {
                        orphan("held by this process for no buffer".into());
                    }
                }
                match (holders.is_empty(), in_transit) {
                    (true, false) => orphan("read-only, held by nobody".into()),
                    (true, true) => census.passing += 1,
                    _ => {}
                }
                if in_transit && !self.has_any_entry(block) {
                    orphan("in transit in no message".into());
                }
            }
            BlockState::Lane => {
                census.lanes += 1;
                let closer = word.owner.checked_sub(1).map(ProcessId);
                if closer.is_some_and(|closer| !living.is_busy(closer)) {
                    orphan(format!(
                        "a channel that process {} had begun to close",
                        word.owner - 1
                    ));
                }
            }
            BlockState::Absent => {
                let head = block.0 as usize / SLAB_BLOCKS_MAX;
                // Relaxed: a count of what is, not a decision.
                let maker = Word::unpack(self.spans[head].load(Ordering::Relaxed)).owner;
                // Who has announced it still makes its blocks, if it is at work.
                if !living.is_busy(ProcessId(maker)) {
                    orphan("absent, in a slab or run that is in use".into());
                }
            }
            BlockState::Damaged => orphan("in a state that does not exist".into()),
        }
    }

    fn count_passages(&self, living: &impl Living, census: &mut PoolCensus) {
        for (entry, said) in self.passages_made() {
            let Some(maker) = said.maker else {
                continue;
            };
            let (block, maker_number) = (said.block.0, maker.0);
            let mut orphan = |why: String| {
                census
                    .orphans
                    .insert(format!("{entry:?} of block {block}: {why}"));
            };
            if !self.is_process(maker_number) || !living.is_alive(maker) {
                orphan(format!("made by process {maker_number}, which ended"));
            } else if self.load_any(said.block).state != BlockState::Shared as u8 {
                orphan("the block is not read-only".into());
            } else if !living.is_in_message(Passage::Entry(entry)) {
                orphan("named by no message".into());
            }
        }
    }

    fn count_span(&self, span: usize, word: Word, living: &impl Living, census: &mut PoolCensus) {
        let is_whole = match word.state {
            0 => word.pack() == 0,
            CLAIMED => {
                let head = word.generation.raw() as usize;
                // The rest of an extent that is being built or taken down: its head
                // says so, by carrying its own number.
                head <= span
                    && living.is_busy(ProcessId(word.owner))
                    && (head == span || self.is_claimed_head(head))
            }
            _ => false,
        };
        if !is_whole {
            census.orphans.insert(format!(
                "span {span}: state {}, process {}, {:?}",
                word.state, word.owner, word.generation
            ));
        }
    }

    /// A slab that somebody tries to empty, and nobody does.
    fn count_retiring(&self, head: usize, living: &impl Living, census: &mut PoolCensus) {
        // Relaxed: a count of what is, not a decision.
        let word = Word::unpack(self.spans[head].load(Ordering::Relaxed));
        if word.state == RETIRING && !living.is_busy(ProcessId(word.owner)) {
            census.orphans.insert(format!(
                "span {head}: a slab that process {} had begun to give back",
                word.owner
            ));
        }
    }

    fn is_claimed_head(&self, head: usize) -> bool {
        match self.span(head) {
            Span::Other(word) => word.state == CLAIMED && word.generation.raw() == head as u64,
            Span::Slab(_) | Span::Run(_) => false,
        }
    }
}
