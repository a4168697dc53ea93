//! Allocating a block for the program: from the thread's cache of hints, or from those of all.

use super::classes::Class;
use super::hold::HoldRef;
use super::{AllocError, BlockState, Loan, Pool};

impl Pool {
    /// Allocates a block of at least `len` bytes.
    #[inline]
    pub fn alloc(&self, len: usize) -> Result<Loan, AllocError> {
        if !self.is_here() {
            return Err(AllocError::Forked);
        }
        let hold = self.alloc_at_hand(len);
        let hold = hold.map_or_else(|| self.alloc_anew(len), Ok)?;
        if self.0.is_zeroed {
            hold.zero();
        }
        Ok(Loan::of(hold, len))
    }

    /// A block of which this thread's shard has a hint.
    #[inline]
    fn alloc_at_hand(&self, len: usize) -> Option<HoldRef> {
        let class = Class::of(len)?;
        let (home, mut shard) = self.0.shards.enter_own();
        while let Some(hint) = shard.hints[class.index()].pop() {
            if let Some(block) = self.0.claim_block(hint, class) {
                let kind = BlockState::Loaned;
                return Some(HoldRef::new_in(self, home, &mut shard, block, kind));
            }
        }
        None
    }

    #[cold]
    fn alloc_anew(&self, len: usize) -> Result<HoldRef, AllocError> {
        let block = self.0.alloc(len)?;
        Ok(HoldRef::new(self, block, BlockState::Loaned))
    }
}
