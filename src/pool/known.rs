//! A process's cache of values decoded from shared blocks, so that each is decoded once.
//!
//! A worker *keeps* a decoded value until the block is gone; it does not hold the block for that. The host
//! only *sees* its values, as long as somebody there has them.
//!
//! ```text
//!   first use        last user here drops its hold      the block is freed, by whomever
//!  ───────────▶ kept ─────────────────────────────▶ kept ──────────────────▶ gone ──▶ dropped
//!                 ▲                                   │                        when its worker
//!                 └──────────── used again ───────────┘                        looks for work
//! ```
//!
//! The block's word says whether the block is gone: then it is no longer `Shared` in this generation. A
//! process that frees such a block tells the workers that keep anything, so that sleeping ones look too. Each
//! process has a bit, set and cleared by itself, that says whether it keeps anything.
//!
//! | a death | leaves | repaired by |
//! | --- | --- | --- |
//! | between first use and the bit | nothing: the value died too | – |
//! | between freeing the block and telling sleepers | copies that sleepers keep | all are woken after a death |
//! | of a process that keeps anything, at any time | its bit | the recovery of the dead clears it |

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use crate::background::discard;
use crate::prim::atomic::Ordering;
use crate::prim::{BlockIndex, Generation, ProcessId, Word};

use super::hook::Hook;
use super::made::{Entry, Made};
use super::{BlockState, Hold, Inner, Pool, Shared};

impl Shared {
    /// What this process has made of the block as a `V`, or else `make`, which is known from
    /// now on. `make` calls nothing of the user's.
    pub(crate) fn known_as<V: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<V>) -> Arc<V> {
        let (pool, block) = (self.hold.pool(), self.hold.block());
        if !pool.is_here() {
            return make(); // nobody here unlocks what the parent has locked
        }
        self.hold.set_known();
        let pool = &pool.0;
        let mut entries = pool.known.lock();
        if let Some((generation, entry)) = entries.get(&block.index)
            && *generation == block.generation
            && let Some(made) = entry.made()
        {
            drop(entries);
            // If it is of another type, somebody has spoilt what said which block.
            return made.downcast().unwrap_or_else(|_| make());
        }
        let made = make();
        let (entry, is_kept) = match pool.me {
            ProcessId::HOST => {
                let seen: Weak<V> = Arc::downgrade(&made);
                (Entry::Seen(seen), false)
            }
            _ => (Entry::Kept(Arc::clone(&made) as Made), true),
        };
        if !is_kept && entries.len() == entries.capacity() {
            entries.retain(|_, (_, entry)| entry.made().is_some());
        }
        let former = entries.insert(block.index, (block.generation, entry));
        if is_kept {
            pool.keeps(entries.len());
        }
        drop(entries);
        let_go(former.into_iter().map(|(_, entry)| entry).collect());
        made
    }
}

impl Hold {
    /// Somebody may keep what it has made of the block.
    fn set_known(&self) {
        // Relaxed: the reference count orders the drop.
        self.known.store(true, Ordering::Relaxed);
    }

    /// The last reference has freed the block.
    pub(super) fn tell_freed(&self) {
        // Relaxed: the only reference.
        if self.known.load(Ordering::Relaxed) {
            self.pool().0.tell_keepers();
        }
    }
}

impl Inner {
    /// This process keeps so much from now on. Called with the lock of what it is.
    fn keeps(&self, count: usize) {
        let before = self.known.set_kept(count);
        let (at, bit) = (self.me.0 as usize / 64, 1 << (self.me.0 % 64));
        let Some(word) = self.header.keepers.get(at) else {
            return;
        };
        match (before, count) {
            (0, 1..) => {
                // Relaxed: before this process gives its hold back (Release), which who
                // frees the block has seen.
                word.fetch_or(bit, Ordering::Relaxed);
            }
            (1.., 0) => {
                // Relaxed: who is told in vain looks in vain.
                word.fetch_and(!bit, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Process `dead` keeps nothing any more.
    pub(super) fn keeps_nothing(&self, dead: ProcessId) {
        let (at, bit) = (dead.0 as usize / 64, 1 << (dead.0 % 64));
        // Relaxed: as in `keeps`.
        if let Some(word) = self.header.keepers.get(at)
            && word.load(Ordering::Relaxed) & bit != 0
        {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// A block was freed of which somebody may keep what it made.
    #[cold]
    pub(super) fn tell_keepers(&self) {
        let Some(tell) = self.tell.get() else {
            return;
        };
        for (at, word) in self.header.keepers.iter().enumerate() {
            // Relaxed: see `keeps`.
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;
                tell(ProcessId(at as u32 * 64 + bit));
            }
        }
    }

    fn is_gone(&self, block: BlockIndex, generation: Generation) -> bool {
        self.load(block) != Word::new(BlockState::Shared as u8, 0, generation)
    }
}

impl Pool {
    /// Who keeps something is told by `tell` when it may be gone.
    pub fn tell_keepers_by(&self, tell: impl Fn(ProcessId) + Send + Sync + 'static) {
        let _ = self.0.tell.set(Hook::new(Box::new(tell)));
    }

    /// How much this process keeps; a hint.
    #[inline]
    pub fn kept(&self) -> usize {
        self.0.known.kept()
    }

    /// Whether some of what this process keeps is gone.
    #[cold]
    pub fn keeps_gone(&self) -> bool {
        let entries = self.0.known.lock();
        let mut all = entries.iter();
        all.any(|(block, (generation, _))| self.0.is_gone(*block, *generation))
    }

    /// Drops what this process keeps of blocks that are gone.
    #[cold]
    pub fn drop_gone(&self) {
        self.drop_kept(|block, generation| self.0.is_gone(block, generation));
    }

    /// Drops all that this process keeps.
    #[cold]
    pub fn drop_all_kept(&self) {
        self.drop_kept(|_, _| true);
    }

    fn drop_kept(&self, is_to_go: impl Fn(BlockIndex, Generation) -> bool) {
        if !self.is_here() {
            return;
        }
        let mut entries = self.0.known.lock();
        let gone = entries.extract_if(|block, (generation, _)| is_to_go(*block, *generation));
        let gone: Vec<Entry> = gone.map(|(_, (_, entry))| entry).collect();
        self.0.keeps(entries.len());
        drop(entries);
        let_go(gone);
    }
}

/// Drops what may be the user's; without locks.
fn let_go(entries: Vec<Entry>) {
    for entry in entries {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(entry))) {
            discard(panic);
        }
    }
}
