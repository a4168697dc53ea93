//! What a process keeps at hand, divided among its threads.
//!
//! A process's threads are numbered as they come, and thread n uses shard n modulo
//! [`SHARDS`]. A shard is behind one lock, and has all that an allocation or a free
//! needs besides the block's own word: the hints, the records of buffers, and the
//! counts. So one lock is all that either of them takes.
//!
//! ```text
//!   shard   hints[class]   indices of blocks that were free when last seen
//!           spare          records (`Hold`) to be used again
//!           holds, loans   how many records of this shard are in use; of loans
//!           keeper         keeps this side of the pool while `holds` is not 0
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
//! its records. When the last [`Pool`] that is no record's goes (*close*), a shard
//! without records lets go at once, and any other with its last record.

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::prim::{BlockIndex, Line};

use super::Inner;
use super::classes::COUNT;
use super::hold::Hold;

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
#[derive(Debug, Default)]
pub(super) struct Shards {
    shards: [Line<Shard>; SHARDS],
}

#[derive(Default)]
pub(super) struct Shard {
    locked: AtomicBool,
    /// Changed under the lock, read without.
    loans: AtomicUsize,
    content: UnsafeCell<Content>,
}

// SAFETY: `content` is reached through a `Guard` alone, of which there is one at a time.
unsafe impl Sync for Shard {}
// SAFETY: the records in `spare` are plain memory that nobody refers to.
unsafe impl Send for Shard {}
impl std::panic::RefUnwindSafe for Shard {}

/// What is behind a shard's lock.
pub(super) struct Content {
    /// Per class: blocks that were free when last seen.
    pub(super) hints: [Vec<BlockIndex>; COUNT],
    spare: Vec<NonNull<Hold>>,
    holds: usize,
    keeper: Option<Arc<Inner>>,
    closed: bool,
}

impl Default for Content {
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

impl Drop for Content {
    fn drop(&mut self) {
        for record in self.spare.drain(..) {
            // SAFETY: it came from a box, and nobody refers to it.
            drop(unsafe { Box::from_raw(record.as_ptr()) });
        }
    }
}

/// The one way to a shard's content; ends the turn when dropped.
pub(super) struct Guard<'a> {
    shard: &'a Shard,
}

impl Deref for Guard<'_> {
    type Target = Content;
    #[inline]
    fn deref(&self) -> &Content {
        // SAFETY: this guard has the lock.
        unsafe { &*self.shard.content.get() }
    }
}

impl DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Content {
        // SAFETY: as above, and `&mut self`.
        unsafe { &mut *self.shard.content.get() }
    }
}

impl Drop for Guard<'_> {
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

impl Shards {
    /// This thread's shard, and its number.
    #[inline]
    pub(super) fn enter_own(&self) -> (u8, Guard<'_>) {
        let number = own();
        (number as u8, self.enter(number as u8))
    }

    /// Shard `number`. Who has one enters no second.
    #[inline]
    pub(super) fn enter(&self, number: u8) -> Guard<'_> {
        let shard: &Shard = &self.shards[usize::from(number) % SHARDS];
        // ordering: Acquire pairs with the Release of the guard before.
        if shard.locked.swap(true, Ordering::Acquire) {
            shard.wait();
        }
        Guard { shard }
    }

    /// One after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = Guard<'_>> {
        (0..SHARDS as u8).map(|number| self.enter(number))
    }

    /// Writable buffers of this process.
    pub(super) fn loans(&self) -> usize {
        // Relaxed: a count for the census.
        let loans = |shard: &Line<Shard>| shard.loans.load(Ordering::Relaxed);
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

impl Shard {
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

impl Content {
    fn keeper_if_idle(&mut self) -> Option<Arc<Inner>> {
        (self.holds == 0).then(|| self.keeper.take()).flatten()
    }
}

impl Guard<'_> {
    /// A record of this shard, which counts from now on.
    #[inline]
    pub(super) fn take_record(&mut self, inner: &Arc<Inner>, record: Hold) -> NonNull<Hold> {
        let is_loan = record.is_loan();
        let content = &mut **self;
        let at = match content.spare.pop() {
            Some(at) => {
                // SAFETY: a spare record came from a box and is nobody's; what it holds
                // needs no drop (a `Hold` owns nothing).
                unsafe { at.write(record) };
                at
            }
            None => NonNull::from(Box::leak(Box::new(record))),
        };
        content.holds += 1;
        if content.keeper.is_none() {
            content.keeper = Some(Arc::clone(inner));
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
    pub(super) unsafe fn put_record(
        mut self,
        at: NonNull<Hold>,
        is_loan: bool,
    ) -> Option<Arc<Inner>> {
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

impl Shard {
    /// Under the lock. `usize::MAX` takes one away.
    #[inline]
    fn add_loans(&self, more: usize) {
        // Relaxed: a count for the census; the lock has one change it at a time.
        let loans = self.loans.load(Ordering::Relaxed);
        self.loans
            .store(loans.wrapping_add(more), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("loans", &self.loans)
            .finish_non_exhaustive()
    }
}
