//! Sections: a thread uses what others may take away, and says so by plain stores
//! (read-copy-update).
//!
//! ```text
//!   who uses it                        who takes it away
//!   1. its `turns` become odd          1. nobody finds it any more
//!   2. light barrier                   2. heavy barrier
//!   3. finds it, or not; uses it       3. waits for each thread whose `turns` are odd, until they change
//!   4. its `turns` become even         4. drops it
//! ```
//!
//! Either the user does not find it in step 3, or the other one sees in step 3 that `turns` is odd: the
//! barriers between forbid that both miss. A section that began later does not find it, so that
//! a change of `turns` is enough. Sections are short: nothing of the user's runs there, and nobody
//! waits there but for a lock. Whoever waits for sections holds no lock, and is in none.
//!
//! In a process that was forked off, other threads' sections never end, and there are none of these
//! threads: a record counts in the process that it was made in.

#[cfg(not(loom))]
use std::{cell::Cell, ptr::null};

use std::sync::{Arc, PoisonError};

#[cfg(loom)]
use loom::{sync::Mutex, thread::yield_now};
#[cfg(not(loom))]
use std::sync::Mutex;

use crate::prim::atomic::{AtomicU32, Ordering};
use crate::sys::{Home, barrier};

/// A thread's.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Record {
    /// Odd: it is in a section.
    turns: AtomicU32,
    home: Home,
}

impl Record {
    fn new() -> Self {
        Record {
            turns: AtomicU32::default(),
            home: Home::here(),
        }
    }

    /// Steps 1 and 2 of a user; false if it is in one, or in another process.
    #[inline(always)]
    pub(super) fn begin(&self) -> bool {
        // Relaxed: this thread alone writes it.
        let turns = self.turns.load(Ordering::Relaxed);
        if turns % 2 == 1 || !self.home.is_here() {
            return false;
        }
        // ordering: the barrier orders it before what is looked at inside. Release, as in `end`: who waits for
        // the section before may see this number alone.
        self.turns.store(turns.wrapping_add(1), Ordering::Release);
        // Pairs with the heavy barrier in `wait_for_all`.
        barrier::light();
        true
    }

    /// Step 4.
    #[inline(always)]
    pub(super) fn end(&self) {
        // Relaxed: this thread wrote it last.
        let turns = self.turns.load(Ordering::Relaxed);
        // ordering: Release pairs with the Acquire in `wait_for`: all that was used was before.
        self.turns.store(turns.wrapping_add(1), Ordering::Release);
    }

    /// Step 3 of who takes something away.
    fn wait_for(&self) {
        if !self.home.is_here() {
            return;
        }
        // ordering: Acquire pairs with the Release in `end`, here and below.
        let turns = self.turns.load(Ordering::Acquire);
        let mut looks = 0;
        // ordering: as above.
        while turns % 2 == 1 && self.turns.load(Ordering::Acquire) == turns {
            pause(looks);
            looks += 1;
        }
    }
}

#[cfg(loom)]
fn pause(_: u32) {
    yield_now();
}

/// Sections are short, but their threads may have to wait for a CPU.
#[cfg(not(loom))]
fn pause(looks: u32) {
    match looks {
        0..100 => std::hint::spin_loop(),
        _ => std::thread::sleep(std::time::Duration::from_micros(20)),
    }
}

/// The records of all threads that have been in a section, and live.
#[derive(Debug)]
pub(super) struct Readers(Mutex<Vec<Arc<Record>>>);

impl Readers {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Readers(Mutex::new(Vec::new()))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Readers(Mutex::new(Vec::new()))
    }

    /// One more thread.
    pub(super) fn add(&self) -> Arc<Record> {
        let own = Arc::new(Record::new());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&own));
        own
    }

    /// The thread ends. Whoever does not find its record any more is told by the mutex what it did before.
    pub(super) fn remove(&self, own: &Arc<Record>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|record| !Arc::ptr_eq(record, own));
    }

    /// Steps 2 and 3 of who takes something away.
    pub(super) fn wait_for_all(&self) {
        // Pairs with the light barrier in `begin`.
        barrier::heavy();
        // Whoever is added later is told by the mutex what was done in step 1.
        let all = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        all.iter().for_each(|record| record.wait_for());
    }
}

#[cfg(not(loom))]
pub(super) static READERS: Readers = Readers::new();

#[cfg(not(loom))]
thread_local! {
    /// This thread's, once it has one.
    static OWN: Cell<*const Record> = const { Cell::new(null()) };
    static LIFE: Life = Life(READERS.add());
}

/// Keeps the record of a thread that lives.
#[cfg(not(loom))]
struct Life(Arc<Record>);

#[cfg(not(loom))]
impl Drop for Life {
    fn drop(&mut self) {
        // What else this thread does it does outside: see `first`.
        OWN.set(null());
        READERS.remove(&self.0);
    }
}

/// A section of this thread's, until this is dropped.
#[cfg(not(loom))]
#[doc(hidden)]
#[derive(Debug)]
pub struct Section {
    /// A thread's, and so is this.
    own: *const Record,
}

#[cfg(not(loom))]
impl Section {
    /// Begins one; `None` if this thread is in one, or about to end: then what is used must be kept
    /// by other means.
    #[inline(always)]
    pub fn enter() -> Option<Self> {
        let own = OWN.get();
        // SAFETY: null, or the record that this thread's `Life` keeps, which clears it.
        if let Some(record) = unsafe { own.as_ref() }
            && record.begin()
        {
            return Some(Section { own });
        }
        Self::first()
    }

    /// The same for a thread without a record of this process.
    #[cold]
    #[inline(never)]
    fn first() -> Option<Self> {
        let own = LIFE.try_with(|life| Arc::as_ptr(&life.0)).ok()?;
        if OWN.get() == own {
            return None; // it is in one; or its record is of another process
        }
        OWN.set(own);
        Self::enter()
    }
}

#[cfg(not(loom))]
impl Drop for Section {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as in `enter`; this thread has not ended meanwhile.
        unsafe { &*self.own }.end();
    }
}

/// Waits until all sections have ended that are open now. What nobody finds any more nobody uses
/// then. Not to be called in one.
#[cfg(not(loom))]
#[doc(hidden)]
pub fn wait_for_sections() {
    READERS.wait_for_all();
}
