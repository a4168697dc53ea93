//! Half states by hand: what each step of a dead process leaves.

use super::circle::{Absent, Circle, MEMBERS_MAX, Seat, epoch, first_round};
use crate::prim::ProcessId;
use crate::shm::Segment;

const DEAD: ProcessId = ProcessId(3);
const LIVING: ProcessId = ProcessId(4);

/// Member 0 is the dead one's, member 1 a living one's.
fn circle() -> Circle {
    let words = Circle::words_for(2).expect("few");
    let segment = Segment::create((4096 + words * 8).next_multiple_of(4096)).expect("a segment");
    let circle = Circle::create(&segment, 4096, 2);
    circle.take(0, DEAD).expect("free");
    circle.take(1, LIVING).expect("free");
    Circle::attach(&segment, 4096, words).expect("a circle")
}

fn looks(circle: &Circle, round: u64) -> Result<bool, Absent> {
    circle.have_all_arrived(2, |rank| rank, round, &mut 0)
}

fn died() -> Result<bool, Absent> {
    Err(Absent::Died {
        line: 0,
        process: DEAD,
    })
}

#[test]
fn sizes() {
    assert_eq!(Circle::words_for(0), None);
    assert_eq!(Circle::words_for(1025), None);
    assert!(Circle::words_for(1024).is_some());
    for count in [0, 1, 77] {
        assert_eq!(epoch(first_round(count)), count);
        assert_eq!(epoch(first_round(count) - 1), count);
    }
}

#[test]
fn one_that_had_arrived_is_dead_for_the_next_round_only() {
    let circle = circle();
    circle.arrive(0, 1, [1, 2, 3], [4]);
    circle.arrive(1, 1, [1, 2, 3], []);
    circle.bury(DEAD);
    circle.settle();
    assert_eq!(looks(&circle, 1), Ok(true));
    assert_eq!((circle.call(0, 1), circle.value(0, 1, 0)), ([1, 2, 3], 4));
    circle.arrive(1, 2, [0; 3], []);
    assert_eq!(looks(&circle, 2), died());
}

#[test]
fn one_that_was_writing_its_place_has_not_arrived() {
    let circle = circle();
    for round in [1, 2] {
        circle.arrive(0, round, [0; 3], []);
        circle.arrive(1, round, [0; 3], []);
    }
    circle.empty(0, 3);
    circle.arrive(1, 3, [0; 3], []);
    assert_eq!(looks(&circle, 3), Ok(false), "nobody knows yet");
    circle.bury(DEAD);
    circle.settle();
    assert_eq!(looks(&circle, 3), died());
    assert_eq!(circle.last(0), 2);
}

#[test]
fn one_that_had_not_begun_may_be_tried_again_or_is_given_up() {
    let circle = circle();
    circle.bury(DEAD);
    assert_eq!(circle.state(0), Seat::Again);
    circle.settle();
    assert_eq!(looks(&circle, 1), Ok(false));
    let word = circle.take(0, LIVING).expect("may be tried again");
    assert_eq!(circle.seat(0), word);
    circle.leave(0, word, true);
    assert_eq!(circle.state(0), Seat::Vacant);
    circle.take(0, DEAD).expect("passed on");
    circle.leave(0, word, false);
    assert_eq!(circle.state(0), Seat::Taken, "it was another's");
    circle.bury(DEAD);
    circle.end(0);
    circle.end(0);
    assert_eq!(looks(&circle, 1), died());
    assert_eq!(circle.take(0, LIVING), None);
}

#[test]
fn a_number_of_members_that_cannot_be_is_told() {
    for members in [0, MEMBERS_MAX + 1, usize::MAX] {
        assert_eq!(Circle::words_for(members), None);
    }
    assert!(Circle::words_for(MEMBERS_MAX).is_some());
}

/// It died after it had left, and before it told anybody.
#[test]
fn a_half_told_leave_is_told_after_the_death() {
    let circle = circle();
    circle.set_state(0, Seat::Left);
    assert_eq!(looks(&circle, 1), Ok(false));
    circle.bury(DEAD);
    circle.settle();
    assert_eq!(looks(&circle, 1), Err(Absent::Left { line: 0 }));
}

#[test]
fn those_that_wait_are_told_that_others_shrink() {
    let circle = circle();
    circle.arrive(1, 1, [0; 3], []);
    circle.shrink(0, 1);
    assert_eq!(looks(&circle, 1), Err(Absent::Shrinks { line: 0 }));
    assert_eq!(circle.survivors(0..2, 1), Err(1));
    circle.shrink(1, 1);
    // Even if it dies now: all have seen it, or will.
    circle.bury(DEAD);
    circle.end(0);
    assert_eq!(circle.survivors(0..2, 1), Ok(vec![0, 1]));
    assert_eq!(circle.survivors(0..2, 2), Err(1));
    circle.shrink(1, 2);
    assert_eq!(circle.survivors(0..2, 2), Ok(vec![1]));
    // As a task that is tried again does, which does not know of the second time.
    circle.shrink(1, 1);
    assert_eq!(circle.survivors(0..2, 2), Ok(vec![1]));
}

#[test]
fn what_nobody_has_written_is_found() {
    let circle = circle();
    circle.arrive(0, 99, [0; 3], []);
    assert_eq!(looks(&circle, 1), Err(Absent::Damaged { line: 0 }));
    let circle = self::circle();
    circle.shrink(1, 0); // looks at the seats
    circle.set_state(0, Seat::Damaged);
    assert_eq!(looks(&circle, 1), Err(Absent::Damaged { line: 0 }));
}

/// It had arrived nowhere, so a task that is tried again may have its seat: those that wait hear of its wish to shrink all
/// the same, before that task does anything.
#[test]
fn one_that_had_said_that_it_shrinks_and_told_nobody() {
    let circle = circle();
    circle.arrive(1, 1, [0; 3], []);
    circle.set_shrunk(0, 1);
    assert_eq!(looks(&circle, 1), Ok(false), "nobody was told");
    circle.bury(DEAD);
    assert_eq!(circle.state(0), Seat::Again);
    circle.settle();
    assert_eq!(looks(&circle, 1), Err(Absent::Shrinks { line: 0 }));
}
