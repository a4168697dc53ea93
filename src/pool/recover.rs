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
            _ => {}
        }
    }

    /// Blocks in use, by state: what `Loaned`, `Shared` and `Carried` add up to.
    pub fn in_use(&self) -> [usize; 3] {
        let pool = &self.0;
        let mut counts = [0; 3];
        let mut count = |block| match pool.state(block) {
            BlockState::Loaned => counts[0] += 1,
            BlockState::Shared => counts[1] += 1,
            BlockState::Carried => counts[2] += 1,
            _ => {}
        };
        for head in 0..pool.span_end() {
            match pool.span(head) {
                Span::Slab(class) => pool.slab_blocks(head, class).for_each(&mut count),
                Span::Run(_) => count(pool.block_at(head, 0)),
                Span::Other(Word { .. }) => {}
            }
        }
        counts
    }
}
