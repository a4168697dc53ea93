//! The lock's own source in every order of steps. Run by `scripts/models`.
//!
//! What it guards is one of loom's cells: two that look into it at the same time, or one that
//! does not see what the former did, end the model; and a wake-up that is lost is a deadlock,
//! which loom reports too. Here whoever comes becomes the favourite.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::Biased;
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
