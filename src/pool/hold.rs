//! What a program holds: `Loan` (writable, one owner) and `Shared` (read-only,
//! counted).

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::prim::atomic::{Ordering, fence};
use crate::prim::{BlockIndex, Generation, SlotIndex, Word};

use super::transfer::Transfer;
use super::{AllocError, Block, BlockState, HELD_SHARDS, Inner, Pool, lock};

/// One process's claim to one block; released on drop.
#[derive(Debug)]
pub(crate) struct Hold {
    pool: Pool,
    block: Block,
    at: NonNull<u8>,
    kind: BlockState,
    /// Set when the claim was handed to somebody else.
    moved: AtomicBool,
    /// Set while the block is on its way to another process: its bytes must not be
    /// touched here, whoever still has a reference to the `Loan`.
    sent: AtomicBool,
}

// SAFETY: the block is in shared memory that `pool` keeps mapped; a `Loan` has
// one owner, a `Shared` is only read.
unsafe impl Send for Hold {}
// SAFETY: `&Hold` gives no access to bytes by itself; `Loan` needs `&mut`.
unsafe impl Sync for Hold {}

impl Hold {
    fn new(pool: &Pool, block: Block, kind: BlockState) -> Arc<Self> {
        if kind == BlockState::Loaned {
            // Relaxed: here and in `drop`, a private count for the census.
            pool.0.loans.fetch_add(1, Ordering::Relaxed);
        }
        Arc::new(Hold {
            at: pool.0.address(&block),
            pool: pool.clone(),
            block,
            kind,
            moved: AtomicBool::new(false),
            sent: AtomicBool::new(false),
        })
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    pub(super) fn set_sent(&self, sent: bool) {
        // ordering: Release pairs with the Acquire in `is_sent`.
        self.sent.store(sent, Ordering::Release);
    }

    fn is_sent(&self) -> bool {
        // ordering: Acquire pairs with the Release in `set_sent`.
        self.sent.load(Ordering::Acquire)
    }

    pub(super) fn is_loan(&self) -> bool {
        self.kind == BlockState::Loaned
    }

    /// The bytes, for copying by the runtime itself.
    pub(super) fn bytes(&self, len: usize) -> &[u8] {
        let len = len.min(self.block.capacity);
        // SAFETY: the block's range was checked when it was located, it stays
        // mapped while `pool` lives, and it is ours to read while we hold it.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), len) }
    }

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
            let done = pool.change(self.block.index, self.word(), carried);
            // Relaxed: the Arc that owns `self` orders its drop.
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

impl Drop for Hold {
    fn drop(&mut self) {
        let pool = &self.pool.0;
        if self.is_loan() {
            pool.loans.fetch_sub(1, Ordering::Relaxed);
        }
        // Relaxed: `drop` has the only reference.
        if self.moved.load(Ordering::Relaxed) {
            return;
        }
        if self.is_loan() {
            // Fails when the block went to another process as an argument.
            let word = self.word();
            if pool.load(self.block.index) == word {
                pool.free(self.block.index, word);
            }
        } else {
            pool.release(self.block.index, self.block.generation);
        }
    }
}

impl Inner {
    pub(super) fn shard(
        &self,
        block: BlockIndex,
    ) -> &std::sync::Mutex<std::collections::HashMap<BlockIndex, u32>> {
        &self.held[block.0 as usize % HELD_SHARDS]
    }

    fn own_bit(&self) -> (usize, u64) {
        (self.me.0 as usize / 64, 1 << (self.me.0 % 64))
    }

    fn is_sole_holder(&self, block: BlockIndex) -> bool {
        let (at, bit) = self.own_bit();
        // ordering: Acquire pairs with the Release in `release`.
        self.holders(block)
            .iter()
            .enumerate()
            .all(|(i, word)| word.load(Ordering::Acquire) & !(if i == at { bit } else { 0 }) == 0)
    }

    /// A new owner begins with no holders, whatever a former life of the block left.
    pub(super) fn forget_holders(&self, block: BlockIndex) {
        for word in self.holders(block) {
            // Relaxed: nobody holds a block that is loaned; who is about to, in error,
            // takes his bit away himself.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Whether another than `dead` holds the block, or is about to.
    pub(super) fn is_held_by_others(
        &self,
        block: BlockIndex,
        dead: crate::prim::ProcessId,
    ) -> bool {
        let (at, bit) = (dead.0 as usize / 64, 1 << (dead.0 % 64));
        self.holders(block).iter().enumerate().any(|(i, word)| {
            // ordering: Acquire as in `free_if_unheld`.
            word.load(Ordering::Acquire) & !(if i == at { bit } else { 0 }) != 0
        })
    }

    /// Makes this process the only holder of a block that is its own.
    fn hold_alone(&self, block: BlockIndex) {
        let (at, bit) = self.own_bit();
        for (i, word) in self.holders(block).iter().enumerate() {
            // Relaxed: the change of the truth word that follows publishes it.
            word.store(if i == at { bit } else { 0 }, Ordering::Relaxed);
        }
        lock(self.shard(block)).insert(block, 1);
    }

    /// Adds a hold of a block that somebody keeps alive meanwhile.
    fn acquire(&self, block: BlockIndex, generation: Generation) -> bool {
        let (at, bit) = self.own_bit();
        let mut held = lock(self.shard(block));
        let count = held.entry(block).or_insert(0);
        if *count == 0 {
            // ordering: AcqRel pairs with the other holders' in `release`.
            self.holders(block)[at].fetch_or(bit, Ordering::AcqRel);
            // ordering: pairs with the fence in `free_if_unheld`: either we see that
            // the block is being freed, or whoever frees it sees our bit.
            fence(Ordering::SeqCst);
        }
        if self.load(block) != Word::new(BlockState::Shared as u8, 0, generation) {
            if *count == 0 {
                held.remove(&block);
                // ordering: as above.
                self.holders(block)[at].fetch_and(!bit, Ordering::AcqRel);
                // Whoever else let go meanwhile has seen our bit, and left it to us.
                let now = self.load(block);
                if now.state == BlockState::Shared as u8 {
                    self.free_if_unheld(block, now.generation);
                }
            }
            return false;
        }
        *count += 1;
        true
    }

    fn release(&self, block: BlockIndex, generation: Generation) {
        let (at, bit) = self.own_bit();
        let mut held = lock(self.shard(block));
        match held.get_mut(&block) {
            Some(count) if *count > 1 => {
                *count -= 1;
                return;
            }
            _ => held.remove(&block),
        };
        // ordering: AcqRel; Release: our reads are done before others see the bit
        // gone; Acquire: who clears the last bit has seen the others' reads done.
        self.holders(block)[at].fetch_and(!bit, Ordering::AcqRel);
        drop(held);
        self.free_if_unheld(block, generation);
    }

    /// Frees a shared block nobody holds. Of several who see that, the
    /// compare-and-swap chooses one.
    ///
    /// In two steps, because a holder may come whose giver has died meanwhile: first
    /// the block becomes ours, then the bits are looked at again; if there is one now,
    /// it is shared again, and all is as before.
    pub(super) fn free_if_unheld(&self, block: BlockIndex, generation: Generation) {
        let holders = self.holders(block);
        let shared = Word::new(BlockState::Shared as u8, 0, generation);
        let ours = Word::new(BlockState::Loaned as u8, self.me.0, generation);
        // ordering: Acquire pairs with the Release of each holder's last clear.
        let is_unheld = || holders.iter().all(|w| w.load(Ordering::Acquire) == 0);
        loop {
            // ordering: pairs with itself: of two that have cleared their bits in
            // different words, and look at the other's, one sees both clear.
            fence(Ordering::SeqCst);
            if !is_unheld() || !self.change(block, shared, ours) {
                return;
            }
            // ordering: pairs with the fence in `acquire`.
            fence(Ordering::SeqCst);
            if is_unheld() {
                self.free(block, ours);
                return;
            }
            if !self.change(block, ours, shared) {
                return;
            }
        }
    }

    fn describe(&self, index: BlockIndex, generation: Generation) -> Option<Block> {
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
    pub fn alloc(&self, len: usize) -> Result<Loan, AllocError> {
        let block = self.0.alloc(len)?;
        Ok(Loan {
            hold: Hold::new(self, block, BlockState::Loaned),
            len,
        })
    }

    /// Takes a block that the host passed as an argument: a loan changes hands, a
    /// shared one gets one more holder. `None` if it is not what was said.
    pub(super) fn accept(
        &self,
        index: BlockIndex,
        generation: Generation,
        loan_from: Option<crate::prim::ProcessId>,
    ) -> Option<Arc<Hold>> {
        let block = self.0.describe(index, generation)?;
        let Some(from) = loan_from else {
            let held = self.0.acquire(index, generation);
            return held.then(|| Hold::new(self, block, BlockState::Shared));
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
            .then(|| Hold::new(self, block, BlockState::Loaned))
    }

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
        Transfer::of(hold, len as u64)
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
            .then(|| Hold::new(self, block, kind))
            .and_then(|hold| Transfer::of(hold, 0))
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
    ) -> Option<Arc<Hold>> {
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
            .then(|| Hold::new(self, block, kind))
    }
}

/// A buffer in shared memory that one owner may write.
///
/// Comes from [`Runtime::alloc`](crate::Runtime::alloc) in the host and from
/// [`alloc`](crate::alloc) in a task. It derefs to `[u8]`; [`Loan::publish`] turns
/// it into a [`Shared`]. As an argument or result of a task it changes hands
/// without a copy. Dropping it frees the memory; if its process dies, it is freed
/// too.
///
/// The bytes of a fresh loan are whatever the last user of the memory left:
/// write before you publish. The start is aligned to 16 bytes (64 from 256 bytes
/// on), so `bytemuck::cast_slice_mut` to `u64` or `f64` works.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut loan = rt.alloc(5)?;
/// loan.copy_from_slice(b"hello");
/// let shared = loan.publish();
/// assert_eq!(&shared[..], b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Loan {
    pub(super) hold: Arc<Hold>,
    pub(super) len: usize,
}

impl Loan {
    /// How many bytes the block could hold.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert!(rt.alloc(100)?.capacity() >= 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn capacity(&self) -> usize {
        self.hold.block.capacity
    }

    /// Keeps the first `len` bytes; does nothing if there are fewer.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut loan = rt.alloc(100)?;
    /// loan.truncate(3);
    /// assert_eq!(loan.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Ends writing: the same memory, readable by any number of holders in any
    /// process of the fold.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut loan = rt.alloc(1)?;
    /// loan[0] = 7;
    /// let first = loan.publish();
    /// let second = first.clone();
    /// assert_eq!(first[0], second[0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish(self) -> Shared {
        let (pool, block) = (self.hold.pool.clone(), self.hold.block);
        pool.0.hold_alone(block.index);
        let shared = Word::new(BlockState::Shared as u8, 0, block.generation);
        // Relaxed: this is the only owner.
        self.hold.moved.store(true, Ordering::Relaxed);
        if !pool.0.change(block.index, self.hold.word(), shared) {
            pool.0.report_damage(block.index, self.hold.word());
        }
        Shared {
            hold: Hold::new(&pool, block, BlockState::Shared),
            len: self.len,
        }
    }
}

impl Deref for Loan {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        if self.hold.is_sent() {
            return &[]; // another process may be writing
        }
        self.hold.bytes(self.len)
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [u8] {
        if self.hold.is_sent() {
            return &mut [];
        }
        let len = self.len.min(self.hold.block.capacity);
        // SAFETY: range and lifetime as in `Hold::bytes`; the word says Loaned by
        // this process and `&mut self` is the only way to this hold's bytes (the
        // transfer's second reference never touches them while a `Loan` lives).
        unsafe { std::slice::from_raw_parts_mut(self.hold.at.as_ptr(), len) }
    }
}

/// A read-only buffer in shared memory, held by any number of owners in any
/// process of the fold.
///
/// Comes from [`Loan::publish`]. Cloning counts within this process; passing it to
/// a task or returning it from one moves no byte. The last drop, in whatever
/// process, frees the memory; the death of a process drops what it held.
///
/// The bytes do not change while it is held, as long as no process of the fold
/// writes where it should not; a value that must be trusted against a worker gone
/// wild should be copied before it is checked.
///
/// ```
/// # pinfold::test_setup!();
/// fn sum(data: pinfold::Shared) -> u64 {
///     data.iter().map(|b| u64::from(*b)).sum()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut loan = rt.alloc(1000)?;
/// loan.fill(2);
/// assert_eq!(rt.spawn(sum, loan.publish()).join()?, 2000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Shared {
    pub(super) hold: Arc<Hold>,
    pub(super) len: usize,
}

impl Deref for Shared {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.hold.bytes(self.len)
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Shared {}
