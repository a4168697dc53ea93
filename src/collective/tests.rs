//! Half states by hand: what each step of a dead process leaves.

use super::circle::{Absent, CALL_WORDS, Circle, MEMBERS_MAX, Seat, Taking, epoch, first_round};
use crate::prim::{ProcessId, Word};
use crate::shm::Segment;

const DEAD: ProcessId = ProcessId(3);
const LIVING: ProcessId = ProcessId(4);

/// Member 0 is the dead one's, member 1 a living one's.
fn circle() -> Circle {
    let words = Circle::words_for(2).expect("few");
    let segment = Segment::create((4096 + words * 8).next_multiple_of(4096)).expect("a segment");
    let circle = Circle::create(&segment, 4096, 2);
    take(&circle, 0, DEAD).expect("free");
    take(&circle, 1, LIVING).expect("free");
    Circle::attach(&segment, 4096, words).expect("a circle")
}

/// A process takes a seat, with a member that has arrived nowhere.
fn take(circle: &Circle, line: usize, process: ProcessId) -> Option<Word> {
    match circle.take(line, process, 1) {
        Taking::Taken(word, _) => Some(word),
        Taking::Writing | Taking::Never => None,
    }
}

/// Whoever has the member arrives.
fn arrive(circle: &Circle, line: usize, round: u64, call: [u64; CALL_WORDS], value: &[u64]) {
    let mut word = circle.seat(line);
    let written = circle.write(line, &mut word, |lines| {
        lines.arrive(round, call, value.iter().copied());
    });
    assert_eq!((written, word), (Some(()), circle.seat(line)));
}

fn shrink(circle: &Circle, line: usize, epoch: u32) {
    assert!(circle.shrink(line, &mut circle.seat(line), epoch));
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
    arrive(&circle, 0, 1, [1, 2, 3], &[4]);
    arrive(&circle, 1, 1, [1, 2, 3], &[]);
    circle.bury(DEAD);
    circle.settle();
    assert_eq!(looks(&circle, 1), Ok(true));
    assert_eq!((circle.call(0, 1), circle.value(0, 1, 0)), ([1, 2, 3], 4));
    arrive(&circle, 1, 2, [0; 3], &[]);
    assert_eq!(looks(&circle, 2), died());
}

#[test]
fn one_that_was_writing_its_place_has_not_arrived() {
    let circle = circle();
    for round in [1, 2] {
        arrive(&circle, 0, round, [0; 3], &[]);
        arrive(&circle, 1, round, [0; 3], &[]);
    }
    circle.write(0, &mut circle.seat(0), |lines| lines.empty(3));
    arrive(&circle, 1, 3, [0; 3], &[]);
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
    let word = take(&circle, 0, LIVING).expect("may be tried again");
    assert_eq!(circle.seat(0), word);
    circle.leave(0, word, true);
    assert_eq!(circle.state(0), Seat::Vacant);
    take(&circle, 0, DEAD).expect("passed on");
    circle.leave(0, word, false);
    assert_eq!(circle.state(0), Seat::Taken, "it was another's");
    circle.bury(DEAD);
    circle.end(0);
    circle.end(0);
    assert_eq!(looks(&circle, 1), died());
    assert_eq!(take(&circle, 0, LIVING), None);
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
    arrive(&circle, 1, 1, [0; 3], &[]);
    shrink(&circle, 0, 1);
    assert_eq!(looks(&circle, 1), Err(Absent::Shrinks { line: 0 }));
    assert_eq!(circle.survivors(0..2, 1), Err(1));
    shrink(&circle, 1, 1);
    // Even if it dies now: all have seen it, or will.
    circle.bury(DEAD);
    circle.end(0);
    assert_eq!(circle.survivors(0..2, 1), Ok(vec![0, 1]));
    assert_eq!(circle.survivors(0..2, 2), Err(1));
    shrink(&circle, 1, 2);
    assert_eq!(circle.survivors(0..2, 2), Ok(vec![1]));
    // As a task that is tried again does, which does not know of the second time.
    shrink(&circle, 1, 1);
    assert_eq!(circle.survivors(0..2, 2), Ok(vec![1]));
}

#[test]
fn what_nobody_has_written_is_found() {
    let circle = circle();
    arrive(&circle, 0, 99, [0; 3], &[]);
    assert_eq!(looks(&circle, 1), Err(Absent::Damaged { line: 0 }));
    let circle = self::circle();
    shrink(&circle, 1, 0); // looks at the seats
    circle.set_state(0, Seat::Damaged);
    assert_eq!(looks(&circle, 1), Err(Absent::Damaged { line: 0 }));
}

/// It had arrived nowhere, so a task that is tried again may have its seat: those that wait hear of its wish to shrink all
/// the same, before that task does anything.
#[test]
fn one_that_had_said_that_it_shrinks_and_told_nobody() {
    let circle = circle();
    arrive(&circle, 1, 1, [0; 3], &[]);
    circle.set_shrunk(0, 1);
    assert_eq!(looks(&circle, 1), Ok(false), "nobody was told");
    circle.bury(DEAD);
    assert_eq!(circle.state(0), Seat::Again);
    circle.settle();
    assert_eq!(looks(&circle, 1), Err(Absent::Shrinks { line: 0 }));
}

#[test]
fn one_that_is_writing_is_followed_by_nobody_until_it_has_written() {
    let circle = circle();
    let (mut word, late) = (circle.seat(0), circle.seat(0));
    let seen = circle.write(0, &mut word, |lines| {
        let seen = (circle.state(0), circle.take(0, LIVING, 1));
        lines.arrive(1, [1, 2, 3], [4]);
        seen
    });
    assert_eq!(seen, Some((Seat::Writing, Taking::Writing)));
    // Now there is a successor, which has its own word, and knows that it has arrived.
    let Taking::Taken(mut successor, 1) = circle.take(0, LIVING, 1) else {
        panic!("{:?}", circle.seat(0));
    };
    for mut word in [word, late] {
        assert_eq!(circle.write(0, &mut word, |lines| lines.empty(1)), None);
        assert!(!circle.shrink(0, &mut word, 1));
        circle.leave(0, word, false);
    }
    assert_eq!((circle.call(0, 1), circle.value(0, 1, 0)), ([1, 2, 3], 4));
    assert_eq!((circle.last(0), circle.shrunk(0)), (1, 0));
    assert_eq!(circle.seat(0), successor);
    let arrived = circle.write(0, &mut successor, |lines| lines.arrive(2, [0; 3], []));
    assert_eq!(arrived, Some(()));
    assert_eq!(
        circle.take(0, DEAD, 1),
        Taking::Never,
        "it has come too far"
    );
}

/// It died in each step of its first round, or its third, before *arrived*: what is in the place is half of both.
#[test]
fn one_that_died_while_it_wrote() {
    for begun in [0, 2] {
        let circle = circle();
        for round in 1..=begun {
            arrive(&circle, 0, round, [0; 3], &[]);
            arrive(&circle, 1, round, [0; 3], &[]);
        }
        circle.set_state(0, Seat::Writing);
        assert_eq!(circle.take(0, LIVING, begun + 1), Taking::Writing);
        arrive(&circle, 1, begun + 1, [0; 3], &[]);
        assert_eq!(looks(&circle, begun + 1), Ok(false));
        circle.bury(LIVING);
        assert_eq!(circle.state(0), Seat::Writing);
        circle.bury(DEAD);
        circle.settle();
        match begun {
            0 => assert!(take(&circle, 0, LIVING).is_some()),
            _ => assert_eq!(looks(&circle, begun + 1), died()),
        }
    }
}

#[test]
fn one_that_is_given_up_while_it_seems_to_write_is_gone() {
    let circle = circle();
    circle.set_state(0, Seat::Writing);
    circle.end(0);
    assert_eq!(circle.state(0), Seat::Left);
}
