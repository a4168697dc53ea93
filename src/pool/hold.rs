//! One process's claim to one block. The sets of holders are in [`super::holders`].
//!
//! A claim is a *record* that its references count. Who drops the only reference sees
//! that by a load, so a buffer that was never cloned or sent costs no change of a
//! counter that others could see.
//!
//! A loan's record also says whether the loan is on its way into a task or out of one:
//! see [`super::going`].

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use crate::prim::atomic::Ordering;
use crate::prim::{BlockIndex, Generation, SlotIndex, Word};

use super::buffer::Loan;
use super::classes::Class;
use super::going::Goings;
use super::shard::Guard;
use super::transfer::Transfer;
use super::{AllocError, Block, BlockState, Inner, Pool, lock};

/// One process's claim to one block.
#[derive(Debug)]
pub(crate) struct Hold {
    /// How many `HoldRef`s there are.
    refs: AtomicUsize,
    /// Not counted as a `Pool`, and never dropped: see `super::shard`.
    pool: ManuallyDrop<Pool>,
    /// The shard that this record came from.
    home: u8,
    block: Block,
    at: NonNull<u8>,
    kind: BlockState,
    /// Set when the claim was handed to somebody else.
    moved: AtomicBool,
    /// Whether the loan is on its way somewhere, or was sent.
    going: Goings,
    /// Set once another process may have been told of the block, and may change its
    /// word. Until then a loan's word changes by stores of this process alone.
    told: AtomicBool,
    /// Set once somebody may keep what it has made of the block.
    pub(super) known: AtomicBool,
}

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
        // Relaxed: the new reference comes from one that is at hand.
        let before = self.refs.fetch_add(1, Ordering::Relaxed);
        if before > usize::MAX / 2 {
            std::process::abort(); // 2^63 references were forgotten
        }
        HoldRef(self.0)
    }
}

impl Drop for HoldRef {
    #[inline]
    fn drop(&mut self) {
        // ordering: Acquire pairs with the Release of the references that have gone. Who
        // sees 1 has the only one: nobody is left who could clone it meanwhile.
        if self.refs.load(Ordering::Acquire) != 1 {
            // ordering: Release: uses by this reference are done. The fence pairs with
            // the Release of the others.
            if self.refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence_private();
        }
        self.end();
    }
}

/// Counts of references are no atomics of a model, so neither is their fence.
fn fence_private() {
    // ordering: Acquire, see `HoldRef::drop`.
    std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
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
        let record = Hold {
            refs: AtomicUsize::new(1),
            at: pool.0.address(&block),
            // SAFETY: a second `Pool` of the same value that is never dropped; the
            // shard's keeper keeps what it refers to while the record is in use.
            pool: ManuallyDrop::new(unsafe { std::ptr::read(pool) }),
            home,
            block,
            kind,
            moved: AtomicBool::new(false),
            going: Goings::default(),
            told: AtomicBool::new(false),
            known: AtomicBool::new(false),
        };
        HoldRef(shard.take_record(&pool.0, record))
    }

    /// Whether both refer to the same record.
    pub(super) fn is(&self, other: &HoldRef) -> bool {
        self.0 == other.0
    }

    /// Whether there are no more than so many references to the record.
    pub(super) fn has_refs(&self, refs: usize) -> bool {
        // ordering: Acquire as in `drop`.
        self.refs.load(Ordering::Acquire) == refs
    }

    /// Releases the block, and gives the record back. This was the last reference.
    fn end(&mut self) {
        if !self.pool.is_here() {
            return; // the block and its record are the parent's
        }
        let (home, is_loan) = (self.home, self.is_loan());
        // Relaxed: the only reference.
        let has_moved = self.moved.load(Ordering::Relaxed);
        let inner: &Inner = &self.pool.0;
        let freed = match has_moved {
            true => None,
            false if is_loan => inner.free_loan(self),
            false => {
                if inner.release(self.block.index, self.block.generation) {
                    self.tell_freed();
                }
                None
            }
        };
        let mut shard = inner.shards.enter(home);
        if let Some(class) = freed {
            inner.keep_hint(&mut shard, self.block.index, class);
        }
        // SAFETY: the last reference ends here, to a record of this shard.
        let keeper = unsafe { shard.put_record(self.0, is_loan) };
        drop(keeper);
    }
}

impl Hold {
    #[inline]
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    #[inline]
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// Where the block's bytes are.
    #[inline]
    pub(super) fn at(&self) -> NonNull<u8> {
        self.at
    }

    /// Whether the claim was handed to somebody else.
    pub(super) fn has_moved(&self) -> bool {
        // Relaxed: as in `set_moved`.
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn set_moved(&self) {
        // Relaxed: the reference count orders the drop.
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Another process may be told of the block from now on.
    pub(super) fn set_told(&self) {
        // Relaxed: as in `set_moved`.
        self.told.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_told(&self) -> bool {
        // Relaxed: asked by the only reference.
        self.told.load(Ordering::Relaxed)
    }

    /// Whether the loan is on its way somewhere.
    #[inline]
    pub(super) fn going(&self) -> &Goings {
        &self.going
    }

    #[inline]
    pub(super) fn is_loan(&self) -> bool {
        self.kind == BlockState::Loaned
    }

    /// So many bytes from `start` on, or as many as there are.
    #[inline]
    pub(super) fn bytes(&self, start: usize, len: usize) -> &[u8] {
        let start = start.min(self.block.capacity);
        let len = len.min(self.block.capacity - start);
        // SAFETY: the block's range was checked when it was located, it stays
        // mapped while `pool` lives, and it is ours to read while we hold it.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(start), len) }
    }

    /// Whether its bytes were zero when it was allocated.
    pub(super) fn is_zeroed(&self) -> bool {
        self.pool.0.is_zeroed
    }

    /// Nothing of what was in the block is left. It is this process's, and nobody has seen it.
    #[cold]
    fn zero(&self) {
        // SAFETY: range and lifetime as in `bytes`; nobody else has the block.
        unsafe { std::ptr::write_bytes(self.at.as_ptr(), 0, self.block.capacity) };
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        let owner = if self.is_loan() { self.pool.0.me.0 } else { 0 };
        Word::new(self.kind as u8, owner, self.block.generation)
    }

    /// Hands the block over to the result in task slot `slot`; returns in which
    /// generation. `None` when this process or another holds it besides: then it
    /// must be copied.
    ///
    /// The generation is a new one, because of a former holder that is still looking
    /// whether any is left: with several holder words it may see the one before the
    /// host's bit is in it, and the other after ours is gone.
    pub(super) fn carry(&self, slot: SlotIndex) -> Option<Generation> {
        let pool = &self.pool.0;
        let next = self.block.generation.next();
        let carried = Word::new(BlockState::Carried as u8, slot.0, next);
        if self.is_loan() {
            let done = pool.change_loan(self, carried);
            // Relaxed: the count of references orders the drop.
            self.moved.store(done, Ordering::Relaxed);
            return done.then_some(next);
        }
        let mut held = lock(pool.shard(self.block.index));
        if held.get(&self.block.index) != Some(&1) || !pool.is_sole_holder(self.block.index) {
            return None;
        }
        let done = pool.change(self.block.index, self.word(), carried);
        if done {
            held.remove(&self.block.index);
            self.moved.store(true, Ordering::Relaxed);
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

    /// Takes over the block of long arguments of a spawned task from the process that
    /// spawned it, which may die meanwhile.
    pub fn take_arguments(
        &self,
        index: BlockIndex,
        generation: Generation,
        len: usize,
        from: crate::prim::ProcessId,
    ) -> Option<Transfer> {
        let hold = self.accept(index, generation, Some(from))?;
        Transfer::of(hold, 0, len as u64)
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

    /// Takes over, for the host, an argument that process `dead` had given to a task it
    /// spawned; before [`Pool::recover`], which would free it. The generation stays: the
    /// giver is dead, and the task's slot names it. `None` if somebody else has it by now.
    pub fn inherit(
        &self,
        index: BlockIndex,
        generation: Generation,
        is_loan: bool,
        dead: crate::prim::ProcessId,
    ) -> Option<Transfer> {
        let block = self.0.describe(index, generation)?;
        let (is_ours, kind) = if is_loan {
            let loaned = |to: u32| Word::new(BlockState::Loaned as u8, to, generation);
            let (theirs, ours) = (loaned(dead.0), loaned(self.0.me.0));
            (self.0.change(index, theirs, ours), BlockState::Loaned)
        } else {
            (self.0.acquire(index, generation), BlockState::Shared)
        };
        is_ours
            .then(|| HoldRef::new(self, block, kind))
            .and_then(|hold| {
                // Who runs the task was told of it by the dead, and takes it over from us.
                hold.set_told();
                Transfer::of(hold, 0, 0)
            })
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
