//! After a death: one pass over the words, each step of which may be done twice.

use crate::prim::atomic::Ordering;
use crate::prim::{Generation, ProcessId, SlotIndex, Word};

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
    /// collected; blocks carried by others are freed.
    pub fn recover(&self, dead: ProcessId, lives_on: impl Fn(SlotIndex) -> bool) -> Recovered {
        let pool = &self.0;
        let mut found = Recovered::default();
        pool.keeps_nothing(dead);
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
                        pool.report_damage(pool.block_at(head, 0), word);
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
        block: crate::prim::BlockIndex,
        dead: ProcessId,
        lives_on: &impl Fn(SlotIndex) -> bool,
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
                pool.free_if_unheld(block, word.generation);
            }
            BlockState::Loaned if word.owner == dead.0 => {
                found.freed += usize::from(pool.free(block, word));
            }
            BlockState::Carried if !lives_on(SlotIndex(word.owner)) => {
                found.freed += usize::from(pool.free(block, word));
            }
            BlockState::Shared => {
                let (at, bit) = (dead.0 as usize / 64, 1 << (dead.0 % 64));
                // ordering: AcqRel as in `release`.
                let before = pool.holders(block)[at].fetch_and(!bit, Ordering::AcqRel);
                found.released += usize::from(before & bit != 0);
                pool.free_if_unheld(block, word.generation);
            }
            BlockState::Damaged => pool.report_damage(block, word),
            BlockState::Loaned if !pool.is_process(word.owner) => {
                pool.report_damage(block, word);
            }
            _ => {}
        }
    }
}
