//! Who holds a shared block: one bit per process, and one for messages.
//!
//! ```text
//!  every word but the last    63 ……………………………………………………… 0 a process each
//!  the last word              63 … 35 version | 34 repeated | 33 token | 32 in transit | 31 … 0 a process each
//! ```
//!
//! *Token*: the block stands for an end of a lane: see [`super::token`]. It stays as long as
//! the block is in use, whoever has it.
//!
//! *Repeated*: it is, or was, among the arguments of a task that may be run again: who lets go of it tells that
//! task ([`super::repeated`]). It stays as *token* does.
//!
//! *In transit* is set while a passage may speak of the block: see [`super::passage`]. The
//! *version* grows by each passage, and, if there are several words, by each process that
//! comes to hold the block. It stays when the block is freed.
//!
//! So whether anybody holds a block shows a *look* at the words one by one. A holder that comes
//! is in its word before who it has the block from is out of his. If that happens while the
//! words are read, the one may be read before and the other after it; the version is another
//! then, and all is read again. What a look says was so at one moment.
//!
//! The bits of a block that is not shared mean nothing: who makes it shared sets them anew.

use smallvec::SmallVec;

use crate::prim::atomic::{AtomicU64, Ordering, fence};
use crate::prim::{BlockIndex, Generation, ProcessId, Word};

use super::{BlockState, HELD_SHARDS, Inner, lock};

/// A passage may speak of the block.
pub(super) const IN_TRANSIT: u64 = 1 << 32;
/// The bits of the last word below the version.
const LAST_HOLDERS: u64 = TOKEN - 1;
/// The block is a token.
const TOKEN: u64 = IN_TRANSIT << 1;
/// Who lets go of it has somebody to tell.
const REPEATED: u64 = TOKEN << 1;
/// What the version grows by.
pub(super) const ONE_VERSION: u64 = REPEATED << 1;

/// In which word a process's bit is, and which it is.
fn bit_of(process: ProcessId) -> (usize, u64) {
    (process.0 as usize / 64, 1 << (process.0 % 64))
}

impl Inner {
    pub(super) fn shard(
        &self,
        block: BlockIndex,
    ) -> &std::sync::Mutex<std::collections::HashMap<BlockIndex, u32>> {
        &self.held[block.0 as usize % HELD_SHARDS]
    }

    /// The word with the bit of the messages.
    pub(super) fn last_holders(&self, block: BlockIndex) -> &AtomicU64 {
        let words = self.holders(block);
        &words[words.len() - 1]
    }

    /// What of a block's word number `at` says who holds it.
    fn mask(&self, at: usize) -> u64 {
        if at + 1 == self.plan.holder_words {
            LAST_HOLDERS
        } else {
            u64::MAX
        }
    }

    /// Whether nobody but `but` holds the block, or is about to.
    fn is_held_by_none_but(&self, block: BlockIndex, but: Option<ProcessId>) -> bool {
        let (own, bit) = but.map_or((0, 0), bit_of);
        let words = self.holders(block);
        let is_clear =
            |at: usize, word: u64| word & self.mask(at) & !(if at == own { bit } else { 0 }) == 0;
        let last = words.len() - 1;
        // ordering: here and below, Acquire pairs with the Release of who lets go: what it
        // has handed the block to is seen, and its own reads are done.
        let mut version = words[last].load(Ordering::Acquire);
        loop {
            if !is_clear(last, version) {
                return false;
            }
            for (at, word) in words[..last].iter().enumerate() {
                if !is_clear(at, word.load(Ordering::Acquire)) {
                    return false;
                }
            }
            if last == 0 {
                return true; // one word, one moment
            }
            let now = words[last].load(Ordering::Acquire);
            if now == version {
                return true;
            }
            version = now;
        }
    }

    /// Whether no process holds the block, and `entries` passages keep it.
    pub(super) fn is_kept_by_entries(&self, block: BlockIndex, entries: usize) -> bool {
        // ordering: Acquire pairs with the Release of who lets go: what it did before is seen. The
        // last word is read first and last: see `super::repeated`.
        let read = || {
            self.holders(block)
                .iter()
                .map(|word| word.load(Ordering::Acquire))
        };
        let before: SmallVec<[u64; 2]> = read().rev().collect();
        let held = |(at, word): (usize, &u64)| word & self.mask(at) & !self.transit(at) != 0;
        if before.iter().rev().enumerate().any(held) || self.entries_of(block) != entries {
            return false;
        }
        // ordering: the entries were read before this, each with Acquire: that one was ended is
        // seen only with the bit, and the version, of who has ended it.
        read().eq(before.into_iter().rev())
    }

    pub(super) fn is_sole_holder(&self, block: BlockIndex) -> bool {
        self.is_held_by_none_but(block, Some(self.me))
    }

    /// Whether another than `dead` holds the block, or is about to.
    pub(super) fn is_held_by_others(&self, block: BlockIndex, dead: ProcessId) -> bool {
        !self.is_held_by_none_but(block, Some(dead))
    }

    /// A new owner begins with no holders, whatever a former life of the block left.
    #[inline]
    pub(super) fn forget_holders(&self, block: BlockIndex) {
        for (at, word) in self.holders(block).iter().enumerate() {
            // Relaxed: nobody holds a block that is loaned; who is about to, in error,
            // takes his bit away himself.
            let before = word.load(Ordering::Relaxed);
            let token = if at + 1 == self.plan.holder_words {
                TOKEN | REPEATED
            } else {
                0
            };
            if before & (self.mask(at) | token) != 0 {
                word.store(before & !(self.mask(at) | token), Ordering::Relaxed);
            }
        }
    }

    /// Makes this process the only holder of a block that is its own.
    pub(super) fn hold_alone(&self, block: BlockIndex) {
        let (own, bit) = bit_of(self.me);
        for (at, word) in self.holders(block).iter().enumerate() {
            // Relaxed: the change of the truth word that follows publishes it.
            let version = word.load(Ordering::Relaxed) & !self.mask(at);
            word.store(version | if at == own { bit } else { 0 }, Ordering::Relaxed);
        }
        lock(self.shard(block)).insert(block, 1);
    }

    /// Makes a token of a block that is this process's.
    pub(super) fn make_token(&self, block: BlockIndex) {
        // Relaxed: the change of the truth word that follows publishes it.
        self.last_holders(block).fetch_or(TOKEN, Ordering::Relaxed);
    }

    /// Whether the block is a token; asked by who has it.
    #[inline]
    pub(super) fn is_token(&self, block: BlockIndex) -> bool {
        // Relaxed: it came with the block.
        self.last_holders(block).load(Ordering::Relaxed) & TOKEN != 0
    }

    /// It is a token no more, before it is freed.
    pub(super) fn forget_token(&self, block: BlockIndex) {
        // Relaxed: the change of the truth word that follows publishes it.
        self.last_holders(block)
            .fetch_and(!(TOKEN | REPEATED), Ordering::Relaxed);
    }

    /// A task that may be run again has it among its arguments from now on.
    pub(super) fn set_repeated(&self, block: BlockIndex) {
        // Relaxed: what the task is queued by publishes it.
        self.last_holders(block)
            .fetch_or(REPEATED, Ordering::Relaxed);
    }

    /// Whether such a task has it, or had.
    #[inline]
    pub(super) fn is_repeated(&self, block: BlockIndex) -> bool {
        // Relaxed: it came with the block; if it is set only now the task has not begun, and its
        // arguments are not all.
        self.last_holders(block).load(Ordering::Relaxed) & REPEATED != 0
    }

    /// Adds a hold of a block that somebody keeps alive meanwhile.
    pub(super) fn acquire(&self, block: BlockIndex, generation: Generation) -> bool {
        let (at, bit) = bit_of(self.me);
        let mut held = lock(self.shard(block));
        let count = held.entry(block).or_insert(0);
        if *count == 0 {
            let words = self.holders(block);
            // ordering: AcqRel pairs with the other holders' in `release`.
            words[at].fetch_or(bit, Ordering::AcqRel);
            if let [_, .., last] = words {
                // ordering: AcqRel: who looks, and sees that we let go, sees this.
                last.fetch_add(ONE_VERSION, Ordering::AcqRel);
            }
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
                drop(held);
                if now.state == BlockState::Shared as u8 {
                    self.free_if_unheld(block, now.generation);
                }
            }
            return false;
        }
        *count += 1;
        true
    }

    /// One hold less; whether that has freed the block.
    pub(super) fn release(&self, block: BlockIndex, generation: Generation) -> bool {
        let (at, bit) = bit_of(self.me);
        let mut held = lock(self.shard(block));
        match held.get_mut(&block) {
            Some(count) if *count > 1 => {
                *count -= 1;
                return false;
            }
            _ => held.remove(&block),
        };
        let teller = self.begin_to_tell(block, None);
        // ordering: AcqRel; Release: our reads are done before others see the bit
        // gone; Acquire: who clears the last bit has seen the others' reads done.
        self.holders(block)[at].fetch_and(!bit, Ordering::AcqRel);
        drop(held);
        self.tell(block, teller);
        self.free_if_unheld(block, generation)
    }

    /// Frees a shared block nobody holds. Of several who see that, the
    /// compare-and-swap chooses one, for which this is true.
    ///
    /// In two steps, because a holder may come whose giver has died meanwhile: first
    /// the block becomes ours, then the bits are looked at again; if there is one now,
    /// it is shared again, and all is as before.
    pub(super) fn free_if_unheld(&self, block: BlockIndex, generation: Generation) -> bool {
        let shared = Word::new(BlockState::Shared as u8, 0, generation);
        let ours = Word::new(BlockState::Loaned as u8, self.me.0, generation);
        let is_unheld = || self.is_held_by_none_but(block, None);
        loop {
            // ordering: pairs with itself: of two that have cleared their bits in
            // different words, and look at the other's, one sees both clear.
            fence(Ordering::SeqCst);
            if !is_unheld() || !self.change(block, shared, ours) {
                return false;
            }
            // ordering: pairs with the fence in `acquire`.
            fence(Ordering::SeqCst);
            if is_unheld() {
                return self.free(block, ours);
            }
            if !self.change(block, ours, shared) {
                return false;
            }
        }
    }

    /// Takes the bit of `dead` away; whether it was set.
    pub(super) fn forget_holder(&self, block: BlockIndex, dead: ProcessId) -> bool {
        let (at, bit) = bit_of(dead);
        // ordering: AcqRel as in `release`.
        self.holders(block)[at].fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// The processes that hold the block, and whether passages may.
    pub(super) fn holder_numbers(&self, block: BlockIndex) -> (Vec<u32>, bool) {
        let words = self.holders(block).iter().enumerate();
        let numbers = words.flat_map(|(at, word)| {
            // Relaxed: a count of what is, not a decision.
            let bits = word.load(Ordering::Relaxed) & self.mask(at) & !self.transit(at);
            (0..64)
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(move |bit| at as u32 * 64 + bit)
        });
        // Relaxed: as above.
        let last = self.last_holders(block).load(Ordering::Relaxed);
        (numbers.collect(), last & IN_TRANSIT != 0)
    }

    fn transit(&self, at: usize) -> u64 {
        if at + 1 == self.plan.holder_words {
            IN_TRANSIT
        } else {
            0
        }
    }
}
