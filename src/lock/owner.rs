//! Owners: what a thread makes is its own as long as no other thread uses it, and it enters that without
//! an exchange.
//!
//! Things are marked with their owner's number. The owner goes in by a [`Section`]; whoever else comes
//! ends the ownership of *all* that has the number, once, which takes a heavy barrier, and goes in as one
//! of several, from then on by an exchange of the thing's own.
//!
//! ```text
//!   a number:   FREE ──a thread takes it──▶ OWNS ──that ends──▶ FREE
//!                                            │ another uses what is marked with it
//!                                            ▼
//!                                          SHARING ──all sections of then have ended──▶ SHARED, for ever
//!
//!   the owner                            another
//!   1. begins a section                  1. SHARING
//!   2. its number OWNS, the thing is     2. waits for sections
//!      marked with it: it is its alone   3. SHARED: goes in as one of several
//!   3. ends the section
//! ```
//!
//! Either the owner sees in step 2 that its number is shared, or the other one waits in step 2 for its section: the
//! barriers of both are between. Whoever finds SHARING waits as well.
//!
//! A thread whose number is shared makes so many things without one, and then takes another; each time eight times as
//! many. So threads that hand on all that they make pay for few barriers. When all numbers were shared there are no
//! owners any more.
//!
//! A process that was forked off has no sections: there nobody goes in as an owner.

#[cfg(not(loom))]
use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
    sync::{Mutex, PoisonError},
};

#[cfg(loom)]
use crate::prim::atomic::{AtomicU32, Ordering};

#[cfg(not(loom))]
use super::section::READERS;
use super::section::Readers;

const FREE: u32 = 0;
const OWNS: u32 = 1;
const SHARING: u32 = 2;
const SHARED: u32 = 3;

/// What has become of a number.
#[derive(Debug)]
pub(super) struct Number(AtomicU32);

impl Number {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Number(AtomicU32::new(FREE))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Number(AtomicU32::new(FREE))
    }

    /// A thread takes it; false: it was shared.
    pub(super) fn take(&self) -> bool {
        self.moves(FREE, OWNS)
    }

    /// The thread ends; false: it was shared.
    fn give_back(&self) -> bool {
        self.moves(OWNS, FREE)
    }

    fn moves(&self, from: u32, to: u32) -> bool {
        // Relaxed: who shares it meanwhile is ordered by sections; the next owner by the list of numbers.
        let relaxed = Ordering::Relaxed;
        self.0.compare_exchange(from, to, relaxed, relaxed).is_ok()
    }

    /// For the owner: whether what is marked with it is its alone, until its section ends.
    #[inline(always)]
    pub(super) fn owns(&self) -> bool {
        // Relaxed: if it is shared, that is seen, or the section is waited for: its barrier pairs with that in
        // `share`.
        self.0.load(Ordering::Relaxed) == OWNS
    }

    /// From here on nobody goes in as its owner, and nobody is in.
    #[inline]
    pub(super) fn share(&self, readers: &Readers) {
        // ordering: Acquire pairs with the Release below: what the owner has done before is seen.
        if self.0.load(Ordering::Acquire) != SHARED {
            self.share_now(readers);
        }
    }

    #[cold]
    fn share_now(&self, readers: &Readers) {
        // Relaxed: the heavy barrier orders it.
        self.0.fetch_max(SHARING, Ordering::Relaxed);
        readers.wait_for_all();
        // ordering: Release pairs with the Acquire above.
        self.0.fetch_max(SHARED, Ordering::Release);
    }
}

/// So many numbers there are, and 0, which is nobody's.
#[cfg(not(loom))]
pub const OWNERS: usize = 1 << 11;
#[cfg(not(loom))]
static NUMBERS: [Number; OWNERS] = [const { Number::new() }; OWNERS];
/// The lowest that was never taken, and those that were given back.
#[cfg(not(loom))]
static LEFT: Mutex<(u32, Vec<u32>)> = Mutex::new((1, Vec::new()));
/// So many things a thread makes without a number after the first one was shared.
#[cfg(not(loom))]
const WITHOUT: u32 = 4096;

#[cfg(not(loom))]
thread_local! {
    /// This thread's last number, or 0.
    static MINE: Cell<u32> = const { Cell::new(0) };
    static LIFE: Life = const { Life { left: Cell::new(0), next: Cell::new(WITHOUT) } };
}

/// Of a thread that has made things.
#[cfg(not(loom))]
struct Life {
    /// So many more it makes without a number.
    left: Cell<u32>,
    /// And so many when the next one is shared.
    next: Cell<u32>,
}

#[cfg(not(loom))]
impl Drop for Life {
    fn drop(&mut self) {
        let mine = MINE.replace(0);
        if mine != 0 && number(mine).give_back() {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            left.1.push(mine);
        }
    }
}

#[cfg(not(loom))]
#[inline(always)]
fn number(number: u32) -> &'static Number {
    &NUMBERS[number as usize % OWNERS]
}

/// The number with which this thread marks what it makes now; 0: it is everybody's from the beginning.
#[cfg(not(loom))]
#[doc(hidden)]
#[inline(always)]
pub fn owner() -> u32 {
    let mine = MINE.get();
    // 0 never owns.
    match number(mine).owns() {
        true => mine,
        false => owner_anew(),
    }
}

#[cfg(not(loom))]
#[cold]
#[inline(never)]
fn owner_anew() -> u32 {
    let taken = LIFE.try_with(|life| {
        if let Some(left) = life.left.get().checked_sub(1) {
            life.left.set(left);
            return 0;
        }
        life.left.set(life.next.get());
        life.next.set(life.next.get().saturating_mul(8));
        let mine = take_number();
        MINE.set(mine);
        mine
    });
    taken.unwrap_or(0)
}

#[cfg(not(loom))]
fn take_number() -> u32 {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (next, given_back) = &mut *left;
        let mine = match given_back.pop() {
            Some(mine) => mine,
            None if *next as usize == OWNERS => return 0,
            None => {
                *next += 1;
                *next - 1
            }
        };
        if number(mine).take() {
            return mine;
        }
    }
}

/// The number that this thread has, if it has one, shared or not.
#[cfg(not(loom))]
#[doc(hidden)]
#[inline(always)]
pub fn own_number() -> u32 {
    MINE.get()
}

/// In a section of its own: whether this thread is the owner of what is marked with `mark`, until the
/// section ends.
#[cfg(not(loom))]
#[doc(hidden)]
#[inline(always)]
pub fn is_owner(mark: u32, _section: &super::Section) -> bool {
    mark == MINE.get() && number(mark).owns()
}

/// Whether a thread has the number `mark`, and it was not shared.
#[cfg(not(loom))]
#[doc(hidden)]
pub fn is_owned(mark: u32) -> bool {
    number(mark).owns()
}

/// Ends the ownership of all that is marked with `mark`: its owner, if that is another thread, is not in, and goes
/// in no more. Not to be called in a section.
#[cfg(not(loom))]
#[doc(hidden)]
#[inline]
pub fn share(mark: u32) {
    number(mark).share(&READERS);
}
