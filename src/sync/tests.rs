use crate::prim::ProcessId;
use crate::shm::Segment;

use super::rw::RwWords;
use super::who::Who;
use super::word::LockWord;

fn segment() -> Segment {
    Segment::create(1 << 16).expect("a segment")
}

fn who(process: u32) -> Who {
    Who {
        process: ProcessId(process),
        thread: 7,
    }
}

/// Each row of the table of `word`: what a death just after it leaves.
#[test]
fn the_dead_leave_no_lock() {
    let dead = ProcessId(1);
    let half = Ok(true);
    for was_half in [false, true] {
        let lock = || {
            let lock = LockWord::at(&segment(), 8192);
            lock.release(was_half);
            lock
        };
        let fresh = lock();
        assert_eq!(fresh.try_lock(who(1), 5), Ok(was_half));
        let taken = fresh.try_lock(who(2), 6).expect_err("it is had");
        assert_eq!((taken.holder(), fresh.task_of(taken)), (Some(who(1)), 5));
        fresh.recover(ProcessId(2));
        assert_eq!(fresh.state(), taken, "another is alive");
        fresh.recover(dead);
        fresh.recover(dead);
        assert_eq!(fresh.try_lock(who(2), 6), half, "after it was locked");

        let mended = lock();
        assert_eq!(mended.try_lock(who(1), 5), Ok(was_half));
        mended.hold(who(1), false);
        mended.recover(dead);
        assert_eq!(mended.try_lock(who(2), 6), half, "after it was mended");

        let free = lock();
        assert_eq!(free.try_lock(who(1), 5), Ok(was_half));
        free.release(was_half);
        free.recover(dead);
        assert_eq!(
            free.try_lock(who(2), 6),
            Ok(was_half),
            "after it was given back"
        );

        // One that only waits for readers has changed nothing.
        let waits = lock();
        assert_eq!(waits.try_announce(who(1), 5), Ok(was_half));
        waits.recover(dead);
        assert_eq!(waits.try_lock(who(2), 6), Ok(was_half));
    }
}

#[test]
fn a_task_is_named_with_its_holder_only() {
    let lock = LockWord::at(&segment(), 8192);
    assert_eq!(lock.try_lock(who(1), 5), Ok(false));
    let first = lock.state();
    lock.unlock(false);
    assert_eq!(lock.task_of(first), 0);
    assert_eq!(lock.try_lock(who(2), 0), Ok(false));
    assert_eq!(lock.task_of(lock.state()), 0);
}

/// Each row of the table of `rw`.
#[test]
fn the_dead_neither_read_nor_write() {
    let fresh = || RwWords::at(&segment(), 8192, 4);
    let (dead, living) = (ProcessId(1), ProcessId(2));
    let lock = fresh();
    assert_eq!(
        (lock.try_read(dead), lock.try_read(living)),
        (Ok(false), Ok(false))
    );
    assert!(!lock.read_again(dead));
    lock.recover(dead);
    assert_eq!(lock.reads(), Some((living, 1)), "the living one reads");
    // It was about to leave, or had just gone.
    lock.leave(living);
    assert_eq!(lock.reads(), None);

    // A writer that waited for readers has changed nothing.
    assert_eq!(lock.try_read(living), Ok(false));
    assert_eq!(lock.try_announce(who(1), 5), Ok(false));
    assert!(lock.try_read(living).is_err(), "nobody begins to read");
    assert_eq!(lock.reads(), Some((living, 1)), "who was refused has left");
    lock.recover(dead);
    assert_eq!(lock.try_read(living), Ok(false));

    // One that was inside may have.
    let lock = fresh();
    assert_eq!(lock.try_announce(who(1), 5), Ok(false));
    lock.writer().hold(who(1), false);
    lock.recover(living);
    assert!(lock.try_read(living).is_err(), "it writes");
    lock.recover(dead);
    lock.recover(dead);
    assert_eq!(lock.try_read(living), Ok(true));
    lock.leave(living);
    assert_eq!(lock.try_announce(who(2), 5), Ok(true));
    lock.unlock(false);
    assert_eq!(lock.try_read(living), Ok(false));
}
