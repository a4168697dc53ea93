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

/// While a thread is in its sections, another makes things and takes them away.
#[test]
fn what_a_section_finds_is_there() {
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

    use super::{Section, wait_for_sections};

    static THING: AtomicPtr<[u64; 64]> = AtomicPtr::new(null_mut());
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    static FOUND: AtomicU64 = AtomicU64::new(0);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn(|| {
                // Relaxed: only that it comes some time matters.
                while !IS_OVER.load(Ordering::Relaxed) {
                    let section = Section::enter().expect("this thread is in none");
                    assert!(Section::enter().is_none(), "it is in one");
                    // ordering: Acquire pairs with the Release of the swap below.
                    let thing = THING.load(Ordering::Acquire);
                    // SAFETY: it was found in the section.
                    if let Some(thing) = unsafe { thing.as_ref() } {
                        assert!(thing.iter().all(|word| *word == thing[0]));
                        // Relaxed: a counter.
                        FOUND.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(section);
                }
            })
        })
        .collect();
    for turn in 1.. {
        // Relaxed: a counter.
        if turn > 2000 && FOUND.load(Ordering::Relaxed) > 1000 {
            break;
        }
        let fresh = Box::into_raw(Box::new([turn; 64]));
        // ordering: Release pairs with the Acquire of those that find it.
        let former = THING.swap(fresh, Ordering::AcqRel);
        wait_for_sections();
        if !former.is_null() {
            // SAFETY: nobody finds it any more, and all sections that had found it have ended.
            let mut former = unsafe { Box::from_raw(former) };
            former
                .iter_mut()
                .enumerate()
                .for_each(|(at, word)| *word = at as u64);
        }
    }
    // Relaxed: as above.
    IS_OVER.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().expect("ends");
    }
    // SAFETY: all threads have ended.
    drop(unsafe { Box::from_raw(THING.load(Ordering::Relaxed)) });
}

/// An object with its lock, as the scheduler has it.
struct Own {
    spare: Biased<super::Spare>,
    dropped: Arc<std::sync::atomic::AtomicUsize>,
}

impl Drop for Own {
    fn drop(&mut self) {
        // Relaxed: looked at when all is over.
        self.dropped
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn own() -> (Arc<Own>, Arc<std::sync::atomic::AtomicUsize>) {
    let dropped = Arc::default();
    let own = Own {
        spare: Biased::with_favourites(super::Spare::default(), true),
        dropped: Arc::clone(&dropped),
    };
    (Arc::new(own), dropped)
}

/// Leaves `reference` to others, if it may be left.
fn leave(reference: Arc<Own>) -> bool {
    let section = super::Section::enter();
    let mut reference = Some(reference);
    super::leave_in(&mut reference, section.as_ref(), |own, leaving| {
        if let Some(leaving) = leaving {
            own.spare.lock().keep(leaving);
        }
    });
    reference.is_none()
}

#[test]
fn what_is_left_is_taken_and_is_counted_by_nobody() {
    let (own, dropped) = own();
    let taken: Vec<_> = (0..3).map(|_| own.spare.lock().take(&own)).collect();
    // One of each, the first one, and the anchor.
    assert_eq!(Arc::strong_count(&own), 5);
    assert!(taken.into_iter().all(leave));
    assert_eq!(Arc::strong_count(&own), 5);
    let again = own.spare.lock().take(&own);
    assert_eq!(Arc::strong_count(&own), 5);
    let closing = own.spare.lock().close(&own);
    drop(closing);
    assert_eq!(Arc::strong_count(&own), 2);
    assert!(!leave(again), "nothing is kept any more");
    assert_eq!(Arc::strong_count(&own), 1);
    let (another, _) = self::own();
    let reference = Arc::clone(&another);
    assert_eq!(own.spare.lock().close(&own).map(drop), None);
    assert!(!leave(reference), "nobody has opened it");
    drop(own);
    assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn without_a_section_nothing_is_left_for_it_would_not_be_waited_for() {
    let (own, _) = own();
    let taken = own.spare.lock().take(&own);
    let section = super::Section::enter();
    // Of which there is one at a time.
    assert!(!leave(Arc::clone(&taken)));
    drop(section);
    assert!(leave(taken));
    let closing = own.spare.lock().close(&own);
    drop(closing);
}

/// Who has the last reference closes, while others still leave theirs: whoever is inside the lock
/// of what is about to go is waited for.
#[test]
fn it_is_there_until_the_last_has_left() {
    for _ in 0..300 {
        let (own, dropped) = own();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let mine: Vec<_> = (0..8).map(|_| own.spare.lock().take(&own)).collect();
                thread::spawn(move || {
                    for mine in mine {
                        leave(mine);
                    }
                })
            })
            .collect();
        let closing = own.spare.lock().close(&own);
        drop(closing);
        drop(own);
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("ends"));
        assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
