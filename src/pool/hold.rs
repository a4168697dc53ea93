//! One process's claim to one block: how it comes to it, and what becomes of the block. What is
//! noted of it is in [`super::record`]; the sets of holders are in [`super::holders`].

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::prim::{BlockIndex, Generation, SlotIndex, Word};

use super::{Block, BlockState, Guard, Hold, Inner, Pool, lock};

/// A reference to a record; the last one releases the block.
pub(crate) struct HoldRef(NonNull<Hold>);

// SAFETY: the block is in shared memory that `pool` keeps mapped; a `Loan` has
// one owner, a `Shared` is only read. The count of references is atomic.
unsafe impl Send for HoldRef {}
// SAFETY: `&Hold` gives no access to bytes by itself; `Loan` needs `&mut`.
unsafe impl Sync for HoldRef {}

impl Deref for HoldRef {
    type Target = Hold;
    #[inline]
    fn deref(&self) -> &Hold {
        // SAFETY: a record lives while there are references to it.
        unsafe { self.0.as_ref() }
    }
}

impl std::fmt::Debug for HoldRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl Clone for HoldRef {
    fn clone(&self) -> Self {
        self.refer();
        HoldRef(self.0)
    }
}

impl Drop for HoldRef {
    #[inline]
    fn drop(&mut self) {
        if self.give_up() {
            self.end();
        }
    }
}

impl HoldRef {
    /// A record of a block that this process owns or holds.
    pub(super) fn new(pool: &Pool, block: Block, kind: BlockState) -> Self {
        let (home, mut shard) = pool.0.shards.enter_own();
        Self::new_in(pool, home, &mut shard, block, kind)
    }

    /// The same, of shard `home`.
    #[inline]
    pub(super) fn new_in(
        pool: &Pool,
        home: u8,
        shard: &mut Guard<'_>,
        block: Block,
        kind: BlockState,
    ) -> Self {
        // SAFETY: a second `Pool` of the same value that is never dropped; the
        // shard's keeper keeps what it refers to while the record is in use.
        let side = ManuallyDrop::new(unsafe { std::ptr::read(pool) });
        let at = pool.0.address(&block);
        let record = Hold::new(side, home, block, at, kind);
        let is_loan = record.is_loan();
        HoldRef(shard.take_record(&pool.0, record, is_loan))
    }

    /// Whether both refer to the same record.
    pub(super) fn is(&self, other: &HoldRef) -> bool {
        self.0 == other.0
    }

    /// Releases the block, and gives the record back. This was the last reference.
    fn end(&mut self) {
        if !self.pool().is_here() {
            return; // the block and its record are the parent's
        }
        let (home, is_loan) = (self.home(), self.is_loan());
        let inner: &Inner = &self.pool().0;
        let freed = match self.has_moved() {
            true => None,
            false if is_loan => inner.free_loan(self),
            false => {
                if inner.release(self.block().index, self.block().generation) {
                    self.tell_freed();
                }
                None
            }
        };
        let mut shard = inner.shards.enter(home);
        if let Some(class) = freed {
            inner.keep_hint(&mut shard, self.block().index, class);
        }
        // SAFETY: the last reference ends here, to a record of this shard.
        let keeper = unsafe { shard.put_record(self.0, is_loan) };
        drop(keeper);
    }
}

impl Hold {
    /// So many bytes from `start` on, or as many as there are.
    #[inline]
    pub(super) fn bytes(&self, start: usize, len: usize) -> &[u8] {
        let start = start.min(self.block().capacity);
        let len = len.min(self.block().capacity - start);
        // SAFETY: the block's range was checked when it was located, it stays
        // mapped while `pool` lives, and it is ours to read while we hold it.
        unsafe { std::slice::from_raw_parts(self.at().as_ptr().add(start), len) }
    }

    /// Whether its bytes were zero when it was allocated.
    pub(super) fn is_zeroed(&self) -> bool {
        self.pool().0.is_zeroed
    }

    /// Nothing of what was in the block is left. It is this process's, and nobody has seen it.
    #[cold]
    pub(super) fn zero(&self) {
        // SAFETY: range and lifetime as in `bytes`; nobody else has the block.
        unsafe { std::ptr::write_bytes(self.at().as_ptr(), 0, self.block().capacity) };
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        let owner = if self.is_loan() {
            self.pool().0.me.0
        } else {
            0
        };
        Word::new(self.kind() as u8, owner, self.block().generation)
    }

    /// Hands the block over to the result in task slot `slot`; returns in which
    /// generation. `None` when this process or another holds it besides: then it
    /// must be copied.
    ///
    /// The generation is a new one, because of a former holder that is still looking
    /// whether any is left: with several holder words it may see the one before the
    /// host's bit is in it, and the other after ours is gone.
    pub(super) fn carry(&self, slot: SlotIndex) -> Option<Generation> {
        let pool = &self.pool().0;
        let next = self.block().generation.next();
        let carried = Word::new(BlockState::Carried as u8, slot.0, next);
        if self.is_loan() {
            let done = pool.change_loan(self, carried);
            self.set_whether_moved(done);
            return done.then_some(next);
        }
        let mut held = lock(pool.shard(self.block().index));
        if held.get(&self.block().index) != Some(&1) || !pool.is_sole_holder(self.block().index) {
            return None;
        }
        let done = pool.change(self.block().index, self.word(), carried);
        if done {
            held.remove(&self.block().index);
            self.set_moved();
        }
        done.then_some(next)
    }
}

impl Inner {
    pub(super) fn describe(&self, index: BlockIndex, generation: Generation) -> Option<Block> {
        let (_, offset, capacity) = self.locate(index)?;
        Some(Block {
            index,
            generation,
            offset,
            capacity,
        })
    }
}

impl Pool {
    /// Takes a block that the host passed as an argument: a loan changes hands, a
    /// shared one gets one more holder. `None` if it is not what was said.
    pub(super) fn accept(
        &self,
        index: BlockIndex,
        generation: Generation,
        loan_from: Option<crate::prim::ProcessId>,
    ) -> Option<HoldRef> {
        let block = self.0.describe(index, generation)?;
        let Some(from) = loan_from else {
            let held = self.0.acquire(index, generation);
            return held.then(|| HoldRef::new(self, block, BlockState::Shared));
        };
        let theirs = Word::new(BlockState::Loaned as u8, from.0, generation);
        // In a new generation: what the giver still believes to have does not fit any
        // more, even if giver and taker are of one process.
        let generation = generation.next();
        let block = Block {
            generation,
            ..block
        };
        let ours = Word::new(BlockState::Loaned as u8, self.0.me.0, generation);
        self.0
            .change(index, theirs, ours)
            .then(|| HoldRef::new(self, block, BlockState::Loaned))
    }

    /// The bytes from `from` to `to` of a block that others may take over or free
    /// meanwhile: whether they are worth anything shows when the block is taken.
    pub fn peek(&self, index: BlockIndex, from: usize, to: usize) -> Option<Vec<u8>> {
        let (_, offset, capacity) = self.0.locate(index)?;
        let aligned = from / 8 * 8;
        if from > to || to > capacity {
            return None;
        }
        let mut bytes = self.0.arena.copy_out(offset + aligned, to - aligned)?;
        bytes.drain(..from - aligned);
        Some(bytes)
    }

    /// The first `len` bytes of a block that the host keeps for the running task.
    /// `None` if they are not there.
    pub fn argument_bytes(
        &self,
        index: BlockIndex,
        generation: Generation,
        len: usize,
    ) -> Option<&[u8]> {
        let block = self.0.describe(index, generation)?;
        let loaned = Word::new(
            BlockState::Loaned as u8,
            crate::prim::ProcessId::HOST.0,
            generation,
        );
        if self.0.load(index) != loaned || len > block.capacity {
            return None;
        }
        let at = self.0.address(&block);
        // SAFETY: range checked by `describe`, mapped while `self` lives, and not
        // written while the host keeps it for the task that asks.
        Some(unsafe { std::slice::from_raw_parts(at.as_ptr(), len) })
    }

    /// Takes a block that a task's result carried in `slot`.
    pub(super) fn adopt(
        &self,
        index: BlockIndex,
        generation: Generation,
        slot: SlotIndex,
        as_loan: bool,
    ) -> Option<HoldRef> {
        let block = self.0.describe(index, generation)?;
        let carried = Word::new(BlockState::Carried as u8, slot.0, generation);
        if self.0.load(index) != carried {
            return None;
        }
        let (kind, owner) = if as_loan {
            (BlockState::Loaned, self.0.me.0)
        } else {
            self.0.hold_alone(index);
            (BlockState::Shared, 0)
        };
        let ours = Word::new(kind as u8, owner, generation);
        self.0
            .change(index, carried, ours)
            .then(|| HoldRef::new(self, block, kind))
    }
}
