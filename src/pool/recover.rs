//! After a death: one pass over the words, each step of which may be done twice.

use crate::prim::{BlockIndex, Generation, ProcessId, SlotIndex, Word};

use super::entry::Passage;
use super::passage;
use super::spans::{CLAIMED, Span};
use super::{BlockState, Pool};

/// What a pass found, in blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Freed because only the dead owned them.
    pub freed: usize,
    /// Shared blocks that the dead had held.
    pub released: usize,
    /// Extents that the dead had been building or taking down.
    pub extents: usize,
}

impl Pool {
    /// Moves on everything process `dead` owned. It must have ended, and its
    /// successor not yet begun; only the host calls this, one death at a time.
    ///
    /// `lives_on` says of a task slot whether the result it carries will still be
    /// collected; blocks carried by others are freed. `is_in_message` says the same of what
    /// the dead one passed by messages: whether one names it that is whole, and that either nobody
    /// reads or somebody living does. It is asked for passages of the dead only.
    pub fn recover(
        &self,
        dead: ProcessId,
        lives_on: impl Fn(SlotIndex) -> bool,
        is_in_message: impl Fn(Passage) -> bool,
    ) -> Recovered {
        let pool = &self.0;
        let mut found = Recovered::default();
        pool.keeps_nothing(dead);
        pool.recover_entries(dead, |entry| is_in_message(Passage::Entry(entry)));
        let lives_on = |block, word: Word| match passage::sender(word.owner) {
            None => lives_on(SlotIndex(word.owner)),
            Some(sender) if sender == dead => {
                is_in_message(Passage::Carried(block, word.generation))
            }
            Some(_) => true,
        };
        let mut head = 0;
        while head < pool.span_end() {
            match pool.span(head) {
                Span::Slab(class) => {
                    found.extents += usize::from(pool.mend_slab(head, class, dead));
                    for block in pool.slab_blocks(head, class) {
                        self.recover_block(block, dead, &lives_on, &mut found);
                        if pool.state(block) == BlockState::Free {
                            pool.set_free_bit(block, class);
                        }
                    }
                    head += class.slab_spans();
                }
                Span::Run(_) => {
                    self.recover_block(pool.block_at(head, 0), dead, &lives_on, &mut found);
                    head += 1;
                }
                Span::Other(word) => {
                    if pool.is_impossible(head, word) {
                        pool.report_damage(
                            pool.block_at(head, 0),
                            word,
                            "its span is in no such state",
                        );
                    }
                    let claimed = Word::new(CLAIMED, dead.0, Generation::new(head as u64));
                    if word == claimed {
                        pool.finish_extent(head);
                        found.extents += 1;
                    }
                    head += 1;
                }
            }
        }
        found
    }

    fn recover_block(
        &self,
        block: BlockIndex,
        dead: ProcessId,
        lives_on: &impl Fn(BlockIndex, Word) -> bool,
        found: &mut Recovered,
    ) {
        let pool = &self.0;
        let word = pool.load(block);
        // Of one look: the living change it meanwhile.
        match BlockState::of(word.state) {
            // It was freeing it, and somebody has come.
            BlockState::Loaned if word.owner == dead.0 && pool.is_held_by_others(block, dead) => {
                let shared = Word::new(BlockState::Shared as u8, 0, word.generation);
                pool.change(block, word, shared);
                pool.settle(block);
                pool.free_if_unheld(block, word.generation);
            }
            BlockState::Loaned if word.owner == dead.0 => {
                found.freed += usize::from(pool.free(block, word));
            }
            BlockState::Carried if passage::sender(word.owner) == Some(dead) => {
                let is_named = lives_on(block, word);
                found.freed += usize::from(pool.recover_carried(block, word, is_named));
            }
            BlockState::Carried
                if passage::sender(word.owner).is_some_and(|p| !pool.is_process(p.0)) =>
            {
                pool.report_damage(block, word, "it is in a message of no process");
            }
            BlockState::Carried if !lives_on(block, word) => {
                found.freed += usize::from(pool.free(block, word));
            }
            BlockState::Shared => {
                found.released += usize::from(pool.forget_holder(block, dead));
                // It, or whoever died before, may have ended the last passage.
                pool.settle(block);
                pool.free_if_unheld(block, word.generation);
            }
            BlockState::Lane if word.owner > 0 && !pool.is_process(word.owner - 1) => {
                pool.report_damage(block, word, "no process closes it");
            }
            BlockState::Damaged => pool.report_damage(block, word, "there is no such state"),
            BlockState::Loaned if !pool.is_process(word.owner) => {
                pool.report_damage(block, word, "no process may write it");
            }
            _ => {}
        }
    }
}
