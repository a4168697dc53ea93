//! What a process keeps at hand, divided among its threads.
//!
//! A process's threads are numbered as they come, and thread n uses shard n modulo
//! [`SHARDS`]. A shard is behind one lock, and has all that an allocation or a free
//! needs besides the block's own word: the hints, the records of buffers, and the
//! counts. So one lock is all that either of them takes.
//!
//! ```text
//!   shard   hints[class]   indices of blocks that were free when last seen
//!           spare          records (`R`) to be used again
//!           holds, loans   how many records of this shard are in use; of loans
//!           keeper         keeps this side of the pool (`K`) while `holds` is not 0
//! ```
//!
//! A buffer's record goes back to the shard it came from, whichever thread drops it.
//! (The lock is no step of a model, in which each process has one thread.)
//! Nothing here is truth: a block whose hint lies here is `Free` by its word, so its
//! slab can be given back under the hint, the death of the process loses nothing but
//! hints, and another thread that finds no room has the hints of all shards issued.
//!
//! The record does not count as an owner of the side of the pool, since that would be
//! two more changes of one shared counter for each buffer. The shard owns it for all of
//! its records. When the last [`Pool`](super::Pool) that is no record's goes (*close*), a shard
//! without records lets go at once, and any other with its last record.

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::prim::{BlockIndex, Line};

use super::classes::COUNT;

/// How many threads have a shard of their own. Few: what a worker has is taken apart when
/// it dies, before anybody hears of it.
pub(super) const SHARDS: usize = 4;
/// Records that a shard keeps to be used again.
const SPARE_MAX: usize = 128;
/// How often a taken lock is looked at before the CPU is left to others.
const LOOKS: u32 = 100;
/// How often it is left to them before a sleep.
const YIELDS: u32 = 100;
const NAP: Duration = Duration::from_micros(50);

/// All shards of a process.
#[derive(Debug)]
pub(super) struct Shards<R, K> {
    shards: [Line<Shard<R, K>>; SHARDS],
}

impl<R, K> Default for Shards<R, K> {
    fn default() -> Self {
        Shards {
            shards: std::array::from_fn(|_| Line::default()),
        }
    }
}

pub(super) struct Shard<R, K> {
    locked: AtomicBool,
    /// Changed under the lock, read without.
    loans: AtomicUsize,
    content: UnsafeCell<Content<R, K>>,
}

impl<R, K> Default for Shard<R, K> {
    fn default() -> Self {
        Shard {
            locked: AtomicBool::default(),
            loans: AtomicUsize::default(),
            content: UnsafeCell::default(),
        }
    }
}

// SAFETY: `content` is reached through a `Guard` alone, of which there is one at a time.
unsafe impl<R, K: Send> Sync for Shard<R, K> {}
// SAFETY: the records in `spare` are plain memory that nobody refers to, and need no drop (`take_record`).
unsafe impl<R, K: Send> Send for Shard<R, K> {}
impl<R, K> std::panic::RefUnwindSafe for Shard<R, K> {}

/// What is behind a shard's lock.
pub(super) struct Content<R, K> {
    /// Per class: blocks that were free when last seen.
    pub(super) hints: [Vec<BlockIndex>; COUNT],
    spare: Vec<NonNull<R>>,
    holds: usize,
    keeper: Option<K>,
    closed: bool,
}

impl<R, K> Default for Content<R, K> {
    fn default() -> Self {
        Content {
            hints: std::array::from_fn(|_| Vec::new()),
            spare: Vec::new(),
            holds: 0,
            keeper: None,
            closed: false,
        }
    }
}

impl<R, K> Drop for Content<R, K> {
    fn drop(&mut self) {
        for record in self.spare.drain(..) {
            // SAFETY: it came from a box, and nobody refers to it.
            drop(unsafe { Box::from_raw(record.as_ptr()) });
        }
    }
}

/// The one way to a shard's content; ends the turn when dropped.
pub(super) struct Guard<'a, R, K> {
    shard: &'a Shard<R, K>,
}

impl<R, K> Deref for Guard<'_, R, K> {
    type Target = Content<R, K>;
    #[inline]
    fn deref(&self) -> &Content<R, K> {
        // SAFETY: this guard has the lock.
        unsafe { &*self.shard.content.get() }
    }
}

impl<R, K> DerefMut for Guard<'_, R, K> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Content<R, K> {
        // SAFETY: as above, and `&mut self`.
        unsafe { &mut *self.shard.content.get() }
    }
}

impl<R, K> Drop for Guard<'_, R, K> {
    #[inline]
    fn drop(&mut self) {
        // ordering: Release pairs with the Acquire in `enter`.
        self.shard.locked.store(false, Ordering::Release);
    }
}

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Which shard this thread uses.
#[inline]
fn own() -> usize {
    let number = NUMBER.get();
    if number == usize::MAX {
        return first_own();
    }
    number
}

#[cold]
fn first_own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: any number will do; different ones are better.
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    NUMBER.set(number);
    number
}

impl<R, K> Shards<R, K> {
    /// This thread's shard, and its number.
    #[inline]
    pub(super) fn enter_own(&self) -> (u8, Guard<'_, R, K>) {
        let number = own();
        (number as u8, self.enter(number as u8))
    }

    /// Shard `number`. Who has one enters no second.
    #[inline]
    pub(super) fn enter(&self, number: u8) -> Guard<'_, R, K> {
        let shard: &Shard<R, K> = &self.shards[usize::from(number) % SHARDS];
        // ordering: Acquire pairs with the Release of the guard before.
        if shard.locked.swap(true, Ordering::Acquire) {
            shard.wait();
        }
        Guard { shard }
    }

    /// One after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = Guard<'_, R, K>> {
        (0..SHARDS as u8).map(|number| self.enter(number))
    }

    /// Writable buffers of this process.
    pub(super) fn loans(&self) -> usize {
        // Relaxed: a count for the census.
        let loans = |shard: &Line<Shard<R, K>>| shard.loans.load(Ordering::Relaxed);
        self.shards.iter().map(loans).sum()
    }

    /// No `Pool` is left but those in records; see the module's text.
    pub(super) fn close(&self) {
        for number in 0..SHARDS as u8 {
            let keeper = {
                let mut content = self.enter(number);
                content.closed = true;
                content.keeper_if_idle()
            };
            // Never under the lock, which may end with it. Who closes has one himself.
            drop(keeper);
        }
    }
}

impl<R, K> Shard<R, K> {
    /// Waits for the lock, which is held for some dozens of instructions, unless its
    /// holder is not running.
    #[cold]
    fn wait(&self) {
        let mut looks = 0_u32;
        // ordering: Acquire as in `enter`.
        while self.locked.swap(true, Ordering::Acquire) {
            // Relaxed: a look that leaves the line where it is.
            while self.locked.load(Ordering::Relaxed) {
                looks = looks.wrapping_add(1);
                if !looks.is_multiple_of(LOOKS) {
                    std::hint::spin_loop();
                } else if looks < YIELDS * LOOKS {
                    std::thread::yield_now();
                } else {
                    // To yield may not let it run, if its priority is lower.
                    std::thread::sleep(NAP);
                }
            }
        }
    }
}

impl<R, K> Content<R, K> {
    fn keeper_if_idle(&mut self) -> Option<K> {
        (self.holds == 0).then(|| self.keeper.take()).flatten()
    }
}

impl<R, K: Clone> Guard<'_, R, K> {
    /// A record of this shard, which counts from now on, of the side of the pool that `keeper` keeps.
    #[inline]
    pub(super) fn take_record(&mut self, keeper: &K, record: R, is_loan: bool) -> NonNull<R> {
        const { assert!(!std::mem::needs_drop::<R>(), "a record owns nothing") };
        let content = &mut **self;
        let at = match content.spare.pop() {
            Some(at) => {
                // SAFETY: a spare record came from a box and is nobody's; what it holds
                // needs no drop.
                unsafe { at.write(record) };
                at
            }
            None => NonNull::from(Box::leak(Box::new(record))),
        };
        content.holds += 1;
        if content.keeper.is_none() {
            content.keeper = Some(keeper.clone());
        }
        if is_loan {
            self.shard.add_loans(1);
        }
        at
    }

    /// Ends a record, and the turn. What is returned is dropped by the caller, who uses
    /// this side of the pool no more.
    ///
    /// # Safety
    /// `at` is from `take_record` of this shard, and nobody refers to it.
    #[inline]
    #[must_use]
    pub(super) unsafe fn put_record(mut self, at: NonNull<R>, is_loan: bool) -> Option<K> {
        if is_loan {
            self.shard.add_loans(usize::MAX);
        }
        let content = &mut *self;
        if content.spare.len() < SPARE_MAX {
            content.spare.push(at);
        } else {
            // SAFETY: it came from a box, and nobody refers to it.
            drop(unsafe { Box::from_raw(at.as_ptr()) });
        }
        content.holds -= 1;
        if content.closed {
            content.keeper_if_idle()
        } else {
            None
        }
    }
}

impl<R, K> Shard<R, K> {
    /// Under the lock. `usize::MAX` takes one away.
    #[inline]
    fn add_loans(&self, more: usize) {
        // Relaxed: a count for the census; the lock has one change it at a time.
        let loans = self.loans.load(Ordering::Relaxed);
        self.loans
            .store(loans.wrapping_add(more), Ordering::Relaxed);
    }
}

impl<R, K> std::fmt::Debug for Shard<R, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("loans", &self.loans)
            .finish_non_exhaustive()
    }
}
