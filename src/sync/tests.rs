use crate::prim::{Generation, ProcessId};
use crate::shm::Segment;

use super::permits::Permits;
use super::rounds::{Missing, Rounds, Status};
use super::rw::RwWords;
use super::tally::Tally;
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

/// What is almost right, too: else a writer would wait for readers that there are not.
#[test]
fn a_count_of_readers_that_was_written_over_is_none() {
    let lock = RwWords::at(&segment(), 8192, 4);
    let me = ProcessId(1);
    let mut counts = vec![0];
    for _ in 0..300 {
        assert_eq!(lock.try_read(me), Ok(false));
        counts.extend(lock.reads().map(|(_, word)| word));
    }
    assert_eq!(counts.len(), 301);
    for word in counts {
        assert!(!lock.is_damaged(word), "{word:x}");
        let almost = [
            word.wrapping_add(1),
            word.wrapping_sub(1),
            u64::MAX,
            word ^ 1 << 63,
        ];
        for spoilt in almost.into_iter().chain((0..64).map(|bit| word ^ 1 << bit)) {
            assert!(lock.is_damaged(spoilt), "{word:x} became {spoilt:x}");
        }
    }
    (0..300).for_each(|_| lock.leave(me));
    assert_eq!(lock.reads(), None);
    lock.leave(me);
    assert!(
        lock.reads().is_some_and(|(_, word)| lock.is_damaged(word)),
        "one too many has left"
    );
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
    let who_reads = |lock: &RwWords| lock.reads().map(|(process, _)| process);
    assert_eq!(who_reads(&lock), Some(living), "the living one reads");
    // It was about to leave, or had just gone.
    lock.leave(living);
    assert_eq!(lock.reads(), None);

    // A writer that waited for readers has changed nothing.
    assert_eq!(lock.try_read(living), Ok(false));
    assert_eq!(lock.try_announce(who(1), 5), Ok(false));
    assert!(lock.try_read(living).is_err(), "nobody begins to read");
    assert_eq!(who_reads(&lock), Some(living), "who was refused has left");
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

/// Each row of the table of `permits`.
#[test]
fn the_dead_have_no_permits() {
    let permits = Permits::at(&segment(), 8192, 4);
    let taken: Vec<_> = [1, 2, 1]
        .map(|process| permits.try_take(who(process)))
        .into();
    assert_eq!(taken, [Some(0), Some(1), Some(2)]);
    permits.recover(ProcessId(1));
    permits.recover(ProcessId(1));
    assert_eq!((permits.free(), permits.holder()), (3, Some(who(2))));
    let all: Vec<_> = (0..4).map(|_| permits.try_take(who(3))).collect();
    assert_eq!(all.iter().flatten().count(), 3, "each is had once");
    permits.give_back(1);
    permits.recover(ProcessId(2));
    assert_eq!(permits.free(), 1, "it had given it back");
}

/// Each row of the table of `tally`.
#[test]
fn what_the_dead_has_counted_stays() {
    for count in [1, 63, 64, 65, 200] {
        let tally = Tally::at(&segment(), 8192, count, 4);
        tally.fill(count);
        let (dead, living) = (ProcessId(1), ProcessId(2));
        tally.join(dead);
        tally.join(dead);
        tally.join(living);
        assert!(tally.left() == count && tally.count());
        tally.recover(dead);
        tally.recover(dead);
        assert_eq!(tally.members(true), [(dead, 2)]);
        assert_eq!(tally.members(false), [(living, 1)]);
        // Its successor is another.
        tally.join(dead);
        tally.leave(dead);
        assert_eq!(tally.members(true), [(dead, 2)]);
        assert!((1..count).all(|_| tally.count()));
        assert!(tally.left() == 0 && !tally.count());
    }
}

/// Each row of the table of `rounds`.
#[test]
fn a_dead_member_is_missing_in_the_rounds_in_which_it_had_not_arrived() {
    let segment = segment();
    let rounds = Rounds::at(&segment, 8192, 2, Generation::new(5));
    rounds.fill();
    let dead = ProcessId(1);
    rounds.mark(1, Status::Present, Some(dead));
    assert_eq!(rounds.arrive(1), 1);
    assert_eq!(rounds.late(1), [None]);
    // One that comes after the block was used for something else.
    Rounds::at(&segment, 8192, 2, Generation::new(4)).mark(1, Status::Died, Some(dead));
    assert_eq!(rounds.missing(2), None);
    rounds.mark(1, Status::Died, Some(dead));
    rounds.mark(1, Status::Left, Some(ProcessId(3)));
    rounds.mark(1, Status::Present, Some(ProcessId(3)));
    assert_eq!(rounds.missing(1), None, "it had arrived");
    assert_eq!(rounds.arrive(0), 1);
    assert!(rounds.is_complete(1));
    rounds.pass(0, 1);
    assert_eq!(rounds.arrive(0), 2);
    assert_eq!(rounds.arrive(0), 2, "it has not passed");
    let missing = Missing {
        member: 1,
        process: Some(dead),
        has_died: true,
    };
    assert!(!rounds.is_complete(2) && rounds.missing(2) == Some(missing));
    rounds.mark(7, Status::Died, None);
}
