//! Long results: blocks that were the task's, and are the host's when it has collected it.
//!
//! To copy one takes as long as to decode it. So it stays where it is until it is decoded, but
//! not if much lies there already: what nobody asks for would leave no room for the results of
//! others.

use std::sync::atomic::Ordering;

use crate::prim::{BlockIndex, Generation, SlotIndex};

use super::{Loan, Pool};

/// A long result that was collected, and lies where its task has left it.
#[derive(Debug)]
pub struct Kept(Loan);

impl Kept {
    /// Its bytes: as of a [`Shared`], copy first what is then to be checked.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let hold = &self.0.hold;
        let kept = &hold.pool().0.kept;
        // Relaxed: a sum, which nothing else depends on.
        kept.fetch_sub(hold.block().capacity, Ordering::Relaxed);
    }
}

impl Pool {
    /// Copies `len` bytes out of a block that a task's result in `slot` consists
    /// of, and frees it. `None` if it is not what the slot says.
    pub fn take_result(
        &self,
        index: BlockIndex,
        generation: Generation,
        slot: SlotIndex,
        len: usize,
    ) -> Option<Vec<u8>> {
        let hold = self.adopt(index, generation, slot, true)?;
        let block = *hold.block();
        (len <= block.capacity)
            .then(|| self.0.arena.copy_out(block.offset, len))
            .flatten()
    }

    /// Takes over such a block, to be read where it is; if there is room for the time until
    /// somebody does: all that is kept so is a quarter of the pool at most. `None` if it is not what
    /// the slot says.
    pub fn keep_result(
        &self,
        index: BlockIndex,
        generation: Generation,
        slot: SlotIndex,
        len: usize,
    ) -> Option<Result<Kept, Vec<u8>>> {
        let hold = self.adopt(index, generation, slot, true)?;
        let block = *hold.block();
        if len > block.capacity {
            return None;
        }
        // Relaxed: a sum, which nothing else depends on.
        let before = self.0.kept.fetch_add(block.capacity, Ordering::Relaxed);
        let kept = Kept(Loan::of(hold, len));
        if before + block.capacity <= self.capacity() / 4 {
            return Some(Ok(kept));
        }
        self.0.arena.copy_out(block.offset, len).map(Err)
    }

    /// Frees such a block; nothing if it is not what the slot says.
    pub fn free_result(&self, index: BlockIndex, generation: Generation, slot: SlotIndex) {
        drop(self.adopt(index, generation, slot, true));
    }
}
