use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::*;
use crate::error::Failure;

/// The tests of this file run one after the other: made-up handles, which one of them tries, may
/// name live objects of another.
fn one_at_a_time() -> parking_lot::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock()
}

/// Needs no runtime.
fn task() -> u64 {
    0
}

#[test]
fn what_was_freed_or_never_was_is_told_from_what_lives() {
    let _turn = one_at_a_time();
    let first = insert(task()).expect("there is room");
    assert!(enter::<u64>(first).is_ok());
    remove::<u64>(first).expect("it lives");
    let is_bad = |got: Result<(), Failure>| {
        assert_eq!(
            got.expect_err("it does not").status,
            PinfoldStatus::BadHandle
        );
    };
    is_bad(remove::<u64>(first));
    let second = insert(task()).expect("there is room");
    assert_ne!(first, second, "its number does not come again");
    is_bad(remove::<u64>(first));
    is_bad(remove::<crate::handle::TaskHandle>(second));
    for bit in 0..64 {
        is_bad(remove::<u64>(second ^ 1 << bit));
    }
    for number in [
        1,
        31,
        32,
        usize::MAX,
        usize::MAX - 1,
        &raw const first as usize,
    ] {
        is_bad(remove::<u64>(number));
    }
    assert_eq!(
        remove::<u64>(0).expect_err("null").status,
        PinfoldStatus::NullArgument
    );
    remove::<u64>(second).expect("it lives");
}

#[test]
fn what_is_used_stays_until_it_is_left() {
    let _turn = one_at_a_time();
    let handle = insert(7_u64).expect("there is room");
    let user = enter::<u64>(handle).expect("it lives");
    remove::<u64>(handle).expect("it lives");
    assert!(enter::<u64>(handle).is_err());
    assert_eq!(*user, 7);
    drop(user);
}

#[test]
fn threads_that_free_the_same_agree_on_one() {
    let _turn = one_at_a_time();
    for _ in 0..200 {
        let handles: Vec<usize> = (0..64).map(|_| insert(task()).expect("room")).collect();
        let freed: usize = std::thread::scope(|threads| {
            let free = || {
                handles
                    .iter()
                    .filter(|h| remove::<u64>(**h).is_ok())
                    .count()
            };
            let look = || handles.iter().filter(|h| enter::<u64>(**h).is_ok()).count();
            let all = [
                threads.spawn(free),
                threads.spawn(free),
                threads.spawn(free),
            ];
            let looks = threads.spawn(look);
            let freed = all.map(|thread| thread.join().expect("no panic"));
            assert!(looks.join().expect("no panic") <= 64);
            freed.iter().sum()
        });
        assert_eq!(freed, 64);
    }
}

#[test]
fn who_is_alone_keeps_others_out_until_it_leaves() {
    let _turn = one_at_a_time();
    let handle = insert(0_u64).expect("room");
    let user = enter::<u64>(handle).expect("it lives");
    assert!(enter_alone::<u64>(handle).is_none(), "somebody uses it");
    drop(user);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                for _ in 0..2000 {
                    if let Some(mut alone) = enter_alone::<u64>(handle) {
                        *alone += 1; // odd: in the middle of it
                        *alone += 1;
                    }
                    assert_eq!(*enter::<u64>(handle).expect("it lives") % 2, 0);
                }
            });
        }
    });
    assert!(enter_alone::<crate::handle::TaskHandle>(handle).is_none());
    enter_alone::<u64>(handle).expect("nobody else").free();
    assert!(enter::<u64>(handle).is_err() && enter_alone::<u64>(handle).is_none());
}

#[test]
fn what_was_held_alone_when_the_process_was_forked_is_an_error_in_the_child() {
    let _turn = one_at_a_time();
    let handle = insert(task()).expect("there is room");
    let alone = enter_alone::<u64>(handle).expect("nobody uses it");
    // SAFETY: the child does nothing but look at the table, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = enter::<u64>(handle).err().map(|failure| failure.status);
        // SAFETY: the child ends as it is.
        unsafe { libc::_exit((status != Some(PinfoldStatus::Forked)).into()) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the place for its status is there.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child was told so");
    drop(alone);
    remove::<u64>(handle).expect("it lives");
}

/// What a thread is alone with by looking is a handle of another one's, in the child.
#[test]
fn what_its_owner_was_in_when_the_process_was_forked_is_an_error_in_the_child() {
    let _turn = one_at_a_time();
    let (made, is_made) = std::sync::mpsc::channel();
    let (end, is_over) = std::sync::mpsc::channel();
    let owner = std::thread::spawn(move || {
        let handle = insert(Mine::default()).expect("room");
        let own = enter_own::<Mine>(handle).expect("its own");
        made.send(handle).expect("the other waits");
        is_over.recv().expect("the other tells");
        drop(own);
        handle
    });
    let handle = is_made.recv().expect("it was made");
    // SAFETY: the child does nothing but look at the table, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = enter::<Mine>(handle).err().map(|failure| failure.status);
        let is_told =
            status == Some(PinfoldStatus::Forked) && enter_alone::<Mine>(handle).is_none();
        // SAFETY: the child ends as it is.
        unsafe { libc::_exit((!is_told).into()) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the place for its status is there.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child was told so");
    end.send(()).expect("it waits");
    let handle = owner.join().expect("no panic");
    // Its owner has ended.
    remove::<Mine>(handle).expect("it lives");
}

/// Is used by one that is alone in two steps.
#[derive(Default)]
pub(crate) struct Mine {
    steps: std::cell::Cell<u64>,
}

// SAFETY: that nobody is in the middle of both steps when others look is what the tests look for.
unsafe impl Sync for Mine {}

impl Mine {
    fn use_alone(&mut self) {
        self.steps.set(self.steps.get() + 1);
        std::hint::spin_loop();
        self.steps.set(self.steps.get() + 1);
    }
}

#[test]
fn its_owner_is_alone_with_it_until_another_comes() {
    let _turn = one_at_a_time();
    // Each in a thread that nobody has met before.
    let owner = |f: fn()| std::thread::spawn(f).join().expect("no panic");
    owner(|| {
        let handles = [(); 3].map(|()| insert(Mine::default()).expect("room"));
        let mut own = enter_own::<Mine>(handles[0]).expect("its own");
        own.parts().0.use_alone();
        assert!(
            enter_own::<Mine>(handles[1]).is_none(),
            "one section at a time"
        );
        drop(own);
        assert!(
            enter_own::<Mine>(handles[0] ^ 1 << 40).is_none(),
            "another generation"
        );
        assert!(enter_own::<crate::handle::TaskHandle>(handles[0]).is_none());
        // Freed by the owner: told as any other.
        enter_own::<Mine>(handles[0]).expect("its own").free_empty();
        assert!(enter_own::<Mine>(handles[0]).is_none());
        assert!(enter::<Mine>(handles[0]).is_err() && remove::<Mine>(handles[0]).is_err());
        // The owner as one of its users: it is nobody's from then on.
        drop(enter::<Mine>(handles[1]).expect("it lives"));
        assert!(enter_own::<Mine>(handles[1]).is_none());
        drop(enter_alone::<Mine>(handles[1]).expect("nobody else"));
        // Another: so is all that this one owns.
        let at = |at: usize| handles[at];
        std::thread::scope(|threads| {
            let other = threads.spawn(|| drop(enter::<Mine>(at(1)).expect("it lives")));
            other.join().expect("no panic");
            assert!(enter_own::<Mine>(at(2)).is_some(), "that one was nobody's");
            let other = threads.spawn(|| enter_alone::<Mine>(at(2)).expect("nobody else").free());
            other.join().expect("no panic");
        });
        let later = insert(Mine::default()).expect("room");
        assert!(enter_own::<Mine>(later).is_none());
        // In the end it has a number again.
        let has_own = |()| {
            let handle = insert(Mine::default()).expect("room");
            let is_own = enter_own::<Mine>(handle).is_some();
            remove::<Mine>(handle).expect("it lives");
            is_own
        };
        assert_eq!(
            [(); 10_000].map(has_own).iter().filter(|own| **own).count(),
            10_000 - 4095
        );
        remove::<Mine>(handles[1]).expect("it lives");
        remove::<Mine>(later).expect("it lives");
    });
}

#[test]
fn an_owner_and_others_that_use_and_free_the_same_agree() {
    let _turn = one_at_a_time();
    for round in 0..300_u64 {
        let (send, all) = std::sync::mpsc::channel::<Vec<usize>>();
        let freed: usize = std::thread::scope(|threads| {
            let owner = threads.spawn(move || {
                let handles: Vec<usize> = (0..64)
                    .map(|_| insert(Mine::default()).expect("room"))
                    .collect();
                send.send(handles.clone()).expect("it waits");
                // The others come later, or earlier.
                (0..round % 64 * 20).for_each(|_| std::hint::spin_loop());
                let free = |handle: &&usize| match enter_own::<Mine>(**handle) {
                    Some(mut own) => {
                        own.parts().0.use_alone();
                        own.free_empty();
                        true
                    }
                    None => remove::<Mine>(**handle).is_ok(),
                };
                handles.iter().filter(free).count()
            });
            let handles: &[usize] = all.recv().expect("it was sent").leak();
            let (use_all, free_all) = (
                |handle: &&usize| match enter::<Mine>(**handle) {
                    Ok(mine) => mine.steps.get() % 2 == 1,
                    Err(_) => false,
                },
                |handle: &&usize| remove::<Mine>(**handle).is_ok(),
            );
            let user = threads.spawn(move || handles.iter().rev().filter(use_all).count());
            let other = threads.spawn(move || handles.iter().rev().filter(free_all).count());
            assert_eq!(
                user.join().expect("no panic"),
                0,
                "nobody sees it half used"
            );
            owner.join().expect("no panic") + other.join().expect("no panic")
        });
        assert_eq!(freed, 64);
    }
}

#[test]
fn a_place_that_is_not_filled_is_given_back() {
    let _turn = one_at_a_time();
    let place = |vacant: &Vacant| vacant.0.index;
    let first = reserve().expect("there is room");
    let index = place(&first);
    drop(first);
    let second = reserve().expect("there is room");
    assert_eq!(place(&second), index);
    let handle = second.fill(task());
    remove::<u64>(handle).expect("it lives");
}

/// How many were dropped while somebody used them.
static SPOILT: AtomicU64 = AtomicU64::new(0);

/// Knows whether somebody uses it.
#[derive(Default)]
pub(crate) struct Watched {
    users: AtomicU64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if *self.users.get_mut() != 0 {
            // Relaxed: looked at when all is over.
            SPOILT.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn what_is_entered_briefly_stays_until_it_is_left() {
    let _turn = one_at_a_time();
    let handles: Vec<usize> = (0..500)
        .map(|_| insert(Watched::default()).expect("room"))
        .collect();
    let begun = std::sync::Barrier::new(3);
    std::thread::scope(|threads| {
        let use_all = || {
            let first = enter_briefly::<Watched>(handles[0]);
            assert!(first.is_some(), "nobody has removed it yet");
            drop(first);
            begun.wait();
            for handle in &handles {
                // Until it was removed.
                while let Some(object) = enter_briefly::<Watched>(*handle) {
                    // Relaxed, here and below: that all is seen before it is dropped is what is looked for.
                    object.users.fetch_add(1, Ordering::Relaxed);
                    (0..20).for_each(|_| std::hint::spin_loop());
                    object.users.fetch_sub(1, Ordering::Relaxed);
                }
                assert!(enter::<Watched>(*handle).is_err());
            }
        };
        let users = [threads.spawn(use_all), threads.spawn(use_all)];
        begun.wait();
        for handle in &handles {
            remove::<Watched>(*handle).expect("it lives");
        }
        for user in users {
            user.join().expect("no panic");
        }
    });
    // Relaxed: all threads have ended.
    assert_eq!(SPOILT.load(Ordering::Relaxed), 0);
    let handle = insert(Watched::default()).expect("room");
    assert!(
        enter_briefly::<Watched>(handle ^ 1 << 40).is_none(),
        "another generation"
    );
    let counted = enter::<Watched>(handle).expect("it lives");
    drop(enter_briefly::<Watched>(handle).expect("others may use it, too"));
    drop(counted);
    remove::<Watched>(handle).expect("it lives");
    assert!(enter_briefly::<Watched>(handle).is_none());
}
