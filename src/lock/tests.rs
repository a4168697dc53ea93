use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use super::{Biased, IN_A_ROW};
use crate::prim::atomic::Ordering;

fn lock_of<T>(value: T) -> Arc<Biased<T>> {
    // With whichever barrier: a dear one is as good.
    Arc::new(Biased::with_favourites(value, true))
}

fn become_favourite<T>(lock: &Biased<T>) {
    // Relaxed: of this thread.
    for _ in 0..(1 << 20) {
        drop(lock.lock());
        let favourite = lock.favourite();
        if favourite.is_some_and(|record| record.thread.load(Ordering::Relaxed) == super::me()) {
            return;
        }
    }
    panic!("never the favourite");
}

fn records<T>(lock: &Biased<T>) -> usize {
    lock.others.lock().expect("not poisoned").records.len()
}

#[test]
fn who_comes_often_in_a_row_is_the_favourite_until_another_comes() {
    let lock = lock_of(0);
    for _ in 1..IN_A_ROW {
        *lock.lock() += 1;
        assert!(lock.favourite().is_none());
    }
    *lock.lock() += 1;
    assert!(lock.favourite().is_some());
    *lock.lock() += 1;
    let other = Arc::clone(&lock);
    let seen = thread::spawn(move || *other.lock()).join().expect("ends");
    assert_eq!(seen, IN_A_ROW + 1);
    assert!(lock.favourite().is_none());
    become_favourite(&lock);
}

/// Two numbers that are equal whenever nobody is inside; each thread comes in runs of every
/// length, so that favourites come and go.
#[test]
fn one_at_a_time_is_inside() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 400;
    let lock = lock_of((0u64, 0u64));
    let run = |thread: u64, lock: &Biased<(u64, u64)>| {
        let mut sum = 0;
        for round in 0..ROUNDS {
            let length = (round * 7 + thread * 31) % (4 * u64::from(IN_A_ROW));
            for _ in 0..length {
                let mut both = lock.lock();
                both.0 += 1;
                assert_eq!(both.0, both.1 + 1, "somebody else was inside");
                both.1 += 1;
                sum += 1;
            }
            thread::yield_now();
        }
        sum
    };
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || run(thread, &lock))
        })
        .collect();
    let sum: u64 = threads
        .into_iter()
        .map(|thread| thread.join().expect("ends"))
        .sum();
    assert_eq!(*lock.lock(), (sum, sum));
}

#[test]
fn threads_that_have_ended_leave_their_record_to_others() {
    let lock = lock_of(());
    for _ in 0..20 {
        let lock = Arc::clone(&lock);
        thread::spawn(move || become_favourite(&lock))
            .join()
            .expect("ends");
    }
    // A thread that was joined has nothing left.
    assert_eq!(records(&lock), 1);
    become_favourite(&lock);
    become_favourite(&lock);
    assert_eq!(records(&lock), 1);
}

/// A value that is dropped when its thread ends may come after the thread's own number.
#[test]
fn a_thread_that_ends_comes_as_nobody() {
    struct Late(Arc<Biased<u32>>);
    impl Drop for Late {
        fn drop(&mut self) {
            (0..2 * IN_A_ROW).for_each(|_| *self.0.lock() += 1);
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) });
    let lock = lock_of(0);
    let other = Arc::clone(&lock);
    thread::spawn(move || {
        // Made first, so dropped last.
        LATE.set(Some(Late(Arc::clone(&other))));
        become_favourite(&other);
    })
    .join()
    .expect("ends");
    assert_eq!(*lock.lock(), 2 * IN_A_ROW);
    become_favourite(&lock);
}

#[test]
fn a_panic_inside_leaves_it_free() {
    let lock = lock_of(0);
    for _ in 0..2 {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("inside");
        }));
        assert!(panicked.is_err());
        let other = Arc::clone(&lock);
        thread::spawn(move || *other.lock() += 1)
            .join()
            .expect("ends");
        become_favourite(&lock);
    }
    assert_eq!(*lock.lock(), 2);
}

#[test]
fn a_favourite_that_was_not_worth_it_makes_the_next_one_wait_longer() {
    let lock = lock_of(());
    let needed = || lock.others.lock().expect("not poisoned").needed;
    become_favourite(&lock);
    let other = Arc::clone(&lock);
    thread::spawn(move || drop(other.lock()))
        .join()
        .expect("ends");
    assert_eq!(needed(), 2 * IN_A_ROW);
    become_favourite(&lock);
    (0..10_000).for_each(|_| drop(lock.lock()));
    let other = Arc::clone(&lock);
    thread::spawn(move || drop(other.lock()))
        .join()
        .expect("ends");
    assert_eq!(needed(), IN_A_ROW);
}
