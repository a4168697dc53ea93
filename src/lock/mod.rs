//! A biased lock for the host's threads, tuned for the case that one thread takes it nearly every time.
//!
//! An uncontended mutex takes two atomic exchanges for each section, and each of them waits until every
//! earlier store has left the CPU: lines of slots and rings that executors hold, some 50 ns. So a thread that
//! came often in a row becomes the lock's *favourite* (bias owner), which enters and leaves with plain stores.
//! Any other thread revokes the bias first.
//!
//! ```text
//!   favourite   u64   where a thread's record is; 0: nobody. Set under the mutex, by that
//!                     thread; cleared under the mutex, by another
//!   others            a mutex: everybody else; all records; who was how often here in a row
//!   record            thread  u64   whose it is
//!                     turns   u32   odd: it is inside. Written by that thread alone
//! ```
//!
//! | who       | step                                                             |
//! | --------- | ---------------------------------------------------------------- |
//! | favourite | 1. its `turns` becomes odd, then a light barrier                 |
//! |           | 2. it is still the favourite: inside; else out again, and as others |
//! |           | 3. out: `turns` becomes even, then a light barrier               |
//! |           | 4. it is not the favourite any more: wakes who waits for it      |
//! | another   | 1. takes the mutex                                               |
//! |           | 2. somebody is the favourite: clears that, then a heavy barrier  |
//! |           | 3. waits while the `turns` of that one is odd; inside            |
//!
//! Either the favourite sees in step 2 that it was revoked, or the other thread sees in step 3 that `turns` is
//! odd: the barriers between the two steps of each forbid that both miss. The same holds for steps 3 and 4 of
//! the favourite: either it wakes the other, or the other does not sleep.
//!
//! A thread may stop for any time before step 1, and be revoked meanwhile. So each thread has its own `turns`,
//! and harms nobody by writing it late. A record is reused when its thread has ended.
//!
//! A forked child has the lock as it was at that moment, perhaps held by a thread that the child does not
//! have. The child takes it by a separate mutex, which no thread of the parent ever touches; or not at all
//! ([`Biased::lock_at_home`]).
//!
//! When several threads come often, none of them is the favourite. They get *seats*, small numbers
//! ([`seat`](fn@seat)): a resource that each of them takes for each operation can exist once for each seat.
//!
//! A favourite that is revoked soon was not worth it: the next one has to come more often in a row. Where the
//! heavy barrier is not available there are no favourites.
#![allow(unsafe_code)]

#[cfg(all(test, loom))]
mod model;
mod owner;
mod seat;
mod section;
#[cfg(not(loom))]
mod spare;
#[cfg(all(test, not(loom)))]
mod tests;

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::AtomicU64 as Numbers;
use std::sync::{Arc, PoisonError, Weak};

#[cfg(loom)]
use loom::{
    sync::{Mutex, MutexGuard},
    thread_local,
};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use crate::prim::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::{Home, barrier, futex};

#[cfg(not(loom))]
pub use owner::{OWNERS, is_owned, is_owner, own_number, owner, share};
#[cfg(test)]
pub use seat::take_a_seat;
pub use seat::{SEATS, note_met, seat};
#[cfg(not(loom))]
pub use section::{Section, wait_for_sections};
#[cfg(not(loom))]
pub use spare::{Leaving, Spare, leave_in};

/// Who came so often in a row becomes the favourite, at first.
const IN_A_ROW: u32 = if cfg!(loom) { 1 } else { 64 };
const IN_A_ROW_MAX: u32 = 1 << 16;
/// To revoke costs as much as so many sections of a favourite save.
const WORTH_IT: u32 = 1024;
/// The number of all threads that are about to end.
const NOBODY: u64 = u64::MAX;
/// How often to look whether the favourite has left before sleeping.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 100 };

/// A mutual exclusion lock that costs the thread that mostly takes it nearly nothing.
///
/// Not fair, and not to be taken twice by one thread: that waits for ever, as with a
/// `Mutex`. A panic inside does not poison it.
pub struct Biased<T> {
    favourite: AtomicU64,
    home: Home,
    others: Mutex<History>,
    /// For all, in a process that was forked off.
    elsewhere: Mutex<()>,
    value: UnsafeCell<T>,
}

/// Of a thread that is the favourite, or was.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Record {
    thread: AtomicU64,
    turns: AtomicU32,
}

/// Who came.
#[derive(Debug)]
struct History {
    has_favourites: bool,
    last: u64,
    in_a_row: u32,
    /// How often in a row makes a favourite.
    needed: u32,
    /// `turns` of the last favourite when it became that.
    turns_before: u32,
    /// Each with what is gone when its thread has ended. They live as long as the lock:
    /// others look at them without the mutex.
    records: Vec<(Arc<Record>, Weak<()>)>,
}

// SAFETY: whoever holds a `Guard` has the value to itself (see the table above), on the
// thread that it was made on; so the value only goes from thread to thread.
unsafe impl<T: Send> Sync for Biased<T> {}
// SAFETY: it owns its value; nothing else in it belongs to a thread: of a favourite only
// the number is known.
unsafe impl<T: Send> Send for Biased<T> {}

#[cfg(not(loom))]
thread_local! {
    static ME: Cell<u64> = const { Cell::new(0) };
}
#[cfg(loom)]
thread_local! {
    static ME: Cell<u64> = Cell::new(0);
}

thread_local! {
    static LIVES: Lives = Lives(Arc::new(()));
}

/// Of each thread that has become a favourite.
struct Lives(Arc<()>);

impl Drop for Lives {
    fn drop(&mut self) {
        // What else this thread still does it does as nobody: its records may be another's
        // from here on.
        let _ = ME.try_with(|me| me.set(NOBODY));
    }
}

/// This thread's number; there is no other of it, ever.
#[inline]
fn me() -> u64 {
    match ME.with(Cell::get) {
        0 => number(),
        me => me,
    }
}

#[cold]
fn number() -> u64 {
    static NEXT: Numbers = Numbers::new(1);
    // Relaxed: only that all are different matters.
    let me = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    ME.with(|mine| mine.set(me));
    me
}

impl<T> Biased<T> {
    /// A free one. It has favourites if the barrier is the cheap one by now.
    pub fn new(value: T) -> Self {
        Self::with_favourites(value, barrier::is_asymmetric())
    }

    fn with_favourites(value: T, has_favourites: bool) -> Self {
        Biased {
            favourite: AtomicU64::default(),
            home: Home::here(),
            elsewhere: Mutex::new(()),
            others: Mutex::new(History {
                has_favourites,
                last: 0,
                in_a_row: 0,
                needed: IN_A_ROW,
                turns_before: 0,
                records: Vec::new(),
            }),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, which nobody else can get at.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Whether this process was forked off the one that made the lock.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        !self.home.is_here()
    }

    /// Waits until nobody else is inside. In a process that was forked off, the value is
    /// what it was at that moment: half changed, if somebody was inside.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        match self.lock_as_favourite() {
            Some(guard) => guard,
            None => self.lock_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_any(&self) -> Guard<'_, T> {
        self.lock_as_another().unwrap_or_else(|| {
            let alone = self.elsewhere.lock();
            let alone = alone.unwrap_or_else(PoisonError::into_inner);
            Guard::new(self, Entry::Elsewhere(alone))
        })
    }

    /// Waits until nobody else is inside. `None` in a process that was forked off.
    #[inline]
    pub fn lock_at_home(&self) -> Option<Guard<'_, T>> {
        match self.lock_as_favourite() {
            Some(guard) => Some(guard),
            None => self.lock_as_another(),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_as_another(&self) -> Option<Guard<'_, T>> {
        (!self.is_elsewhere()).then(|| self.lock_slowly(me()))
    }

    /// For the favourite, who never waits. `None`: this is another thread, or another process.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn lock_as_favourite(&self) -> Option<Guard<'_, T>> {
        if self.is_elsewhere() {
            return None;
        }
        let favourite = self.favourite()?;
        // Relaxed: only this thread writes its number there, or takes it away.
        let is_me = favourite.thread.load(Ordering::Relaxed) == me();
        (is_me && self.enter(favourite)).then(|| Guard::new(self, Entry::Favourite(favourite)))
    }

    #[inline]
    fn favourite(&self) -> Option<&Record> {
        // ordering: Acquire pairs with the Release in `lock_slowly`: the record is seen.
        let address = self.favourite.load(Ordering::Acquire);
        // SAFETY: 0 or the address of a record, made with `expose_provenance`; it lives as
        // long as the lock, and is only ever shared.
        unsafe { ptr::with_exposed_provenance::<Record>(address as usize).as_ref() }
    }

    #[inline]
    fn is_favourite(&self, record: &Record) -> bool {
        // Relaxed: see where it is called.
        self.favourite.load(Ordering::Relaxed) == address(record)
    }

    /// Steps 1 and 2 of the favourite.
    #[inline]
    fn enter(&self, own: &Record) -> bool {
        // Relaxed: this thread alone writes it.
        let turns = own.turns.load(Ordering::Relaxed);
        if turns % 2 == 1 {
            return false; // a guard of this very thread is alive
        }
        // Relaxed: what was inside before is this thread's own.
        own.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the heavy barrier in `revoke`: who was revoked and does not see it
        // here, is seen there.
        barrier::light();
        if self.is_favourite(own) {
            return true;
        }
        self.leave(own);
        false
    }

    /// Steps 3 and 4 of the favourite.
    #[inline]
    fn leave(&self, own: &Record) {
        // Relaxed: this thread wrote it last.
        let turns = own.turns.load(Ordering::Relaxed);
        // ordering: Release pairs with the Acquire in `revoke`: what was done inside is seen.
        own.turns.store(turns.wrapping_add(1), Ordering::Release);
        // Pairs with the heavy barrier in `revoke`: who was revoked and does not see it
        // here, for that nobody sleeps.
        barrier::light();
        if !self.is_favourite(own) {
            wake(own);
        }
    }

    #[cold]
    fn lock_slowly(&self, me: u64) -> Guard<'_, T> {
        let mut history = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(favourite) = self.favourite() {
            self.revoke(favourite, &mut history);
        }
        if !history.has_favourites {
            return Guard::new(self, Entry::Other(history));
        }
        if history.last != me {
            history.last = me;
            history.in_a_row = 0;
        }
        history.in_a_row += 1;
        if history.in_a_row < history.needed {
            return Guard::new(self, Entry::Other(history));
        }
        history.in_a_row = 0;
        let Some(own) = history.record_of(me).map(ptr::from_ref::<Record>) else {
            return Guard::new(self, Entry::Other(history));
        };
        // SAFETY: as in `favourite`.
        let own: &Record = unsafe { &*own };
        // Relaxed: the next one who is not this thread is told by the mutex.
        let turns = own.turns.load(Ordering::Relaxed);
        history.turns_before = turns;
        // Inside, and from here on the favourite. Relaxed: as above.
        own.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        // ordering: Release pairs with the Acquire in `favourite`.
        self.favourite.store(address(own), Ordering::Release);
        Guard::new(self, Entry::Favourite(own))
    }

    /// Nobody is the favourite any more, and nobody is inside.
    #[cold]
    fn revoke(&self, favourite: &Record, history: &mut History) {
        // Relaxed: the barrier orders it before the look.
        self.favourite.store(0, Ordering::Relaxed);
        // Pairs with the light barriers in `enter` and `leave`.
        barrier::heavy();
        let mut looks = 0;
        let turns = loop {
            // ordering: Acquire pairs with the Release in `leave`.
            let turns = favourite.turns.load(Ordering::Acquire);
            if turns.is_multiple_of(2) {
                break turns;
            }
            if looks < LOOKS {
                looks += 1;
                std::hint::spin_loop();
            } else {
                futex::wait(&favourite.turns, turns, None);
            }
        };
        let sections = turns.wrapping_sub(history.turns_before) / 2;
        history.needed = if sections < WORTH_IT {
            (2 * history.needed).min(IN_A_ROW_MAX)
        } else {
            (history.needed / 2).max(IN_A_ROW)
        };
    }
}

impl History {
    /// The calling thread's record; `None` if the thread is about to end.
    fn record_of(&mut self, me: u64) -> Option<&Record> {
        let lives = LIVES.try_with(|lives| Arc::downgrade(&lives.0)).ok()?;
        let is_own = |record: &Record| record.thread.load(Ordering::Relaxed) == me;
        // Relaxed: as in `lock`.
        let own = self.records.iter().position(|(record, _)| is_own(record));
        let at = own.unwrap_or_else(|| {
            let has_ended = |(_, lives): &(_, Weak<()>)| lives.strong_count() == 0;
            let at = self.records.iter().position(has_ended);
            let at = at.unwrap_or_else(|| {
                self.records.push((Arc::default(), Weak::new()));
                self.records.len() - 1
            });
            // Relaxed: nobody but the thread that had it compared it with its own number.
            self.records[at].0.thread.store(me, Ordering::Relaxed);
            self.records[at].1 = lives;
            at
        });
        Some(&self.records[at].0)
    }
}

#[inline]
fn address(record: &Record) -> u64 {
    ptr::from_ref(record).expose_provenance() as u64
}

#[cold]
fn wake(own: &Record) {
    futex::wake(&own.turns, 1);
}

impl<T> fmt::Debug for Biased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Biased").finish_non_exhaustive()
    }
}

/// Who has it is inside; to drop it is to leave.
pub struct Guard<'a, T> {
    lock: &'a Biased<T>,
    entry: ManuallyDrop<Entry<'a>>,
    /// The favourite is a thread.
    is_of_this_thread: PhantomData<*const ()>,
}

/// How it was entered.
enum Entry<'a> {
    Favourite(&'a Record),
    Other(#[allow(dead_code, reason = "unlocks")] MutexGuard<'a, History>),
    Elsewhere(#[allow(dead_code, reason = "unlocks")] MutexGuard<'a, ()>),
}

// SAFETY: a shared guard gives out shared references to the value, and nothing else.
unsafe impl<T: Sync> Sync for Guard<'_, T> {}

impl<'a, T> Guard<'a, T> {
    #[inline]
    fn new(lock: &'a Biased<T>, entry: Entry<'a>) -> Self {
        Guard {
            lock,
            entry: ManuallyDrop::new(entry),
            is_of_this_thread: PhantomData,
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: nobody else is inside while the guard lives, and the borrow is the guard's.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard itself is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Drop for Guard<'_, T> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn drop(&mut self) {
        match *self.entry {
            Entry::Favourite(own) => self.lock.leave(own),
            // SAFETY: the guard goes, and this is the one place where that is dropped.
            _ => unlock(unsafe { ManuallyDrop::take(&mut self.entry) }),
        }
    }
}

#[cold]
#[inline(never)]
fn unlock(entry: Entry<'_>) {
    drop(entry);
}
