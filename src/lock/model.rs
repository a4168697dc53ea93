//! The lock's own source, and that of sections, in every order of steps. Run by `scripts/models`.
//!
//! What it guards is one of loom's cells: two that look into it at the same time, or one that
//! does not see what the former did, end the model; and a wake-up that is lost is a deadlock,
//! which loom reports too. Here whoever comes becomes the favourite.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

use super::Biased;
use super::owner::Number;
use super::section::{Readers, Record};
use crate::prim::mortal::explore;

type Guarded = Biased<UnsafeCell<u64>>;

fn add(lock: &Guarded) {
    let guard = lock.lock();
    guard.with_mut(|value| {
        // SAFETY: that nobody else has the value now is what is looked for; loom tells.
        unsafe { *value += 1 }
    });
}

fn value(lock: &Guarded) -> u64 {
    let guard = lock.lock();
    guard.with(|value| {
        // SAFETY: as in `add`.
        unsafe { *value }
    })
}

fn spawn(lock: &Arc<Guarded>, times: u64) -> thread::JoinHandle<()> {
    let lock = Arc::clone(lock);
    thread::spawn(move || (0..times).for_each(|_| add(&lock)))
}

fn all_have_added(threads: usize, times: u64) {
    let lock = Arc::new(Biased::new(UnsafeCell::new(0)));
    // The favourite, whom another revokes.
    add(&lock);
    let others: Vec<_> = (0..threads).map(|_| spawn(&lock, times)).collect();
    (0..times).for_each(|_| add(&lock));
    others
        .into_iter()
        .for_each(|other| other.join().expect("ends"));
    assert_eq!(value(&lock), 1 + (threads as u64 + 1) * times);
}

#[test]
fn a_favourite_and_one_who_revokes() {
    explore("lock: a favourite, and another", None, || {
        all_have_added(1, 1)
    });
}

#[test]
fn each_revokes_the_other() {
    explore("lock: two, two times each", Some(3), || {
        all_have_added(1, 2)
    });
}

#[test]
fn of_three_one_is_inside() {
    explore("lock: three", Some(2), || all_have_added(2, 1));
}

/// What sections use, and one takes away.
struct Thing {
    readers: Readers,
    is_gone: AtomicBool,
    value: UnsafeCell<u64>,
}

impl Thing {
    fn new() -> Arc<Self> {
        Arc::new(Thing {
            readers: Readers::new(),
            is_gone: AtomicBool::new(false),
            value: UnsafeCell::new(7),
        })
    }

    /// Uses it in a section, if it is there.
    fn look(&self, own: &Record) {
        assert!(own.begin());
        assert!(!own.begin(), "it is in one");
        // Relaxed: what is looked for.
        if !self.is_gone.load(Ordering::Relaxed) {
            self.value.with(|value| {
                // SAFETY: that nobody changes it now is what is looked for; loom tells.
                assert_eq!(unsafe { *value }, 7);
            });
        }
        own.end();
    }

    fn take_away(&self) {
        // Relaxed: as in `look`.
        self.is_gone.store(true, Ordering::Relaxed);
        self.readers.wait_for_all();
        self.value.with_mut(|value| {
            // SAFETY: as in `look`.
            unsafe { *value = 0 };
        });
    }
}

fn reader(thing: &Arc<Thing>, times: u32) -> thread::JoinHandle<()> {
    let thing = Arc::clone(thing);
    thread::spawn(move || {
        let own = thing.readers.add();
        (0..times).for_each(|_| thing.look(&own));
        thing.readers.remove(&own);
    })
}

fn nobody_uses_what_is_gone(readers: usize, times: u32) {
    let thing = Thing::new();
    let readers: Vec<_> = (0..readers).map(|_| reader(&thing, times)).collect();
    thing.take_away();
    for reader in readers {
        reader.join().expect("ends");
    }
}

#[test]
fn what_one_section_uses_is_there() {
    explore("sections: two of one thread", None, || {
        nobody_uses_what_is_gone(1, 2)
    });
}

#[test]
fn what_two_sections_use_is_there() {
    explore("sections: of two threads", Some(3), || {
        nobody_uses_what_is_gone(2, 1)
    });
}

/// What is one thread's own until another uses it, as the table of the C face has handles: a word says whether it is
/// there, marked, and how many use it.
struct Owned {
    readers: Readers,
    number: Number,
    word: AtomicU64,
    value: UnsafeCell<u64>,
}

const MARKED: u64 = 1 << 16;
const GONE: u64 = 1 << 32;

impl Owned {
    fn new() -> Arc<Self> {
        let owned = Owned {
            readers: Readers::new(),
            number: Number::new(),
            word: AtomicU64::new(MARKED),
            value: UnsafeCell::new(7),
        };
        assert!(owned.number.take());
        Arc::new(owned)
    }

    fn change(&self) {
        self.value.with_mut(|value| {
            // SAFETY: that nobody else uses it now is what is looked for; loom tells.
            unsafe { *value += 1 };
        });
    }

    /// Uses it as its owner, if it is; and frees it then, if that is wanted.
    fn use_own(&self, own: &Record, frees: bool) {
        assert!(own.begin());
        // Relaxed: what is looked for.
        if self.number.owns() && self.word.load(Ordering::Relaxed) == MARKED {
            self.change();
            if frees {
                // Relaxed: as in the table.
                self.word.store(GONE, Ordering::Relaxed);
            }
        }
        own.end();
    }

    /// Frees it as any other; whether it was there.
    fn free(&self) -> bool {
        // Relaxed: the exchange says whether it was right.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word == GONE {
                return false;
            }
            if word & MARKED != 0 {
                self.number.share(&self.readers);
            }
            // ordering: Acquire as in `enter`; Relaxed: it is looked at again.
            let gone = self
                .word
                .compare_exchange(word, GONE, Ordering::Acquire, Ordering::Relaxed);
            match gone {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        self.change();
        true
    }
}

fn an_owner_and_another(times: u32, frees: bool) {
    let owned = Owned::new();
    let other = Arc::clone(&owned);
    let other = thread::spawn(move || other.free());
    let own = owned.readers.add();
    (0..times).for_each(|_| owned.use_own(&own, frees));
    owned.readers.remove(&own);
    let freed = other.join().expect("ends");
    assert!(freed || frees, "it was there");
}

#[test]
fn an_owner_is_alone() {
    explore("owners: one, and another", None, || {
        an_owner_and_another(2, false)
    });
}

#[test]
fn an_owner_that_frees_is_alone() {
    explore("owners: one that frees, and another", None, || {
        an_owner_and_another(1, true)
    });
}
