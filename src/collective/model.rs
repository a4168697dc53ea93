//! The circle's own source in every order of steps. Run by `scripts/models`.
//!
//! A wake that is lost, or a member that is waited for in vain, ends as a deadlock.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::circle::{Absent, Circle, Lines, Round, Taking, epoch, first_round};
use crate::notify::Gate;
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};
use crate::prim::{ProcessId, Word};
use crate::shm::Segment;

/// The mortal one's process, and which member it is.
const MORTAL: ProcessId = ProcessId(1);
const DIES: usize = 0;

fn circle(members: usize) -> Circle {
    let circle = Circle::of_zeros(&Segment::empty(), members);
    for line in 0..members {
        let process = ProcessId(1 + line as u32);
        assert!(matches!(circle.take(line, process, 1), Taking::Taken(_, 0)));
    }
    circle
}

/// As `object::wait` does.
fn wait<T>(gate: &Gate, look: impl Fn() -> Result<Option<T>, Absent>) -> Result<T, Absent> {
    loop {
        let key = gate.prepare();
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(absent) => {
                gate.pass_on(key);
                return Err(absent);
            }
        }
        gate.wait(key, None);
    }
}

fn has_all(circle: &Circle, round: Round) -> Result<Option<()>, Absent> {
    let all = circle.have_all_arrived(circle.members(), |rank| rank, round, &mut 0)?;
    Ok(all.then_some(()))
}

/// What the others have brought, when all have arrived.
fn meet(circle: &Circle, line: usize, round: Round) -> Result<(), Absent> {
    let value = |line: usize| round * 10 + line as u64;
    let mut word = circle.seat(line);
    let written = circle.write(line, &mut word, |lines| {
        lines.arrive(round, [0; 3], [value(line)]);
    });
    assert!(written.is_some());
    if has_all(circle, round)?.is_none() {
        wait(circle.gate(round), || has_all(circle, round))?;
    }
    circle.gate(round).open_all();
    for other in 0..circle.members() {
        assert_eq!(circle.value(other, round, 0), value(other));
    }
    Ok(())
}

/// Two members meet three times: then each place was written twice.
#[test]
fn two_meet() {
    explore("collective: two meet", Some(2), || {
        let circle = circle(2);
        let other = circle.clone();
        let rounds = |circle: Circle, line| {
            (1..=3).for_each(|round| meet(&circle, line, round).expect("lives"));
        };
        let other = thread::spawn(move || rounds(other, 1));
        rounds(circle, 0);
        other.join().expect("ends");
    });
}

/// Three meet: whoever is last wakes all others.
#[test]
fn three_meet() {
    newest(|| {
        explore("collective: three meet", Some(2), || {
            let circle = circle(3);
            let others = [1, 2].map(|line| {
                let circle = circle.clone();
                thread::spawn(move || meet(&circle, line, 1).expect("lives"))
            });
            meet(&circle, 0, 1).expect("lives");
            for other in others {
                other.join().expect("ends");
            }
        });
    });
}

/// A member dies before each of its steps; the host sees to it. The other goes on as far as the
/// dead one has come, and then is told.
#[test]
fn a_member_dies() {
    explore_deaths("collective: a member dies", Some(2), |death, has_died| {
        dies_within(1, death, has_died);
    });
}

/// The same in two rounds.
#[test]
fn a_member_dies_later() {
    newest(|| {
        let name = "collective: a member dies in one of two rounds";
        explore_deaths(name, Some(2), |death, has_died| {
            dies_within(2, death, has_died);
        });
    });
}

fn dies_within(rounds: Round, death: u32, has_died: &AtomicBool) {
    let circle = circle(2);
    let [mortal, living] = [circle.clone(), circle.clone()];
    let body = thread::spawn(move || {
        let meets = || (1..=rounds).try_for_each(|round| meet(&mortal, DIES, round));
        run_mortal(death, meets).is_some()
    });
    let other = thread::spawn(move || {
        for round in 1..=rounds {
            if let Err(absent) = meet(&living, 1, round) {
                return Err((absent, round));
            }
        }
        Ok(())
    });
    let lived = body.join().expect("ends");
    has_died.fetch_or(!lived, SeqCst);
    if !lived {
        circle.bury(MORTAL);
        circle.settle();
        // It may be tried again, if it had not begun; nobody does.
        circle.end(DIES);
    }
    let told = other.join().expect("ends");
    let last = circle.last(DIES);
    match told {
        Ok(()) => assert_eq!(last, rounds),
        Err((absent, round)) => {
            let process = MORTAL;
            assert_eq!(
                absent,
                Absent::Died {
                    line: DIES,
                    process
                }
            );
            assert_eq!(round, last + 1);
        }
    }
}

/// A member leaves, or is given up, while another waits for it; who does so may die over it.
#[test]
fn a_member_leaves() {
    explore_deaths("collective: a member leaves", Some(2), |death, has_died| {
        let circle = circle(2);
        let [mortal, living] = [circle.clone(), circle.clone()];
        let body = thread::spawn(move || {
            let word = mortal.seat(DIES);
            run_mortal(death, || mortal.leave(DIES, word, false)).is_some()
        });
        let other = thread::spawn(move || meet(&living, 1, 1));
        let lived = body.join().expect("ends");
        has_died.fetch_or(!lived, SeqCst);
        if !lived {
            circle.bury(MORTAL);
            circle.settle();
            circle.end(DIES);
        }
        let told = other.join().expect("ends");
        let process = MORTAL;
        assert!(
            told == Err(Absent::Left { line: DIES })
                || (!lived
                    && told
                        == Err(Absent::Died {
                            line: DIES,
                            process
                        })),
            "{told:?}"
        );
    });
}

fn shrink(circle: &Circle, line: usize) -> Vec<u16> {
    assert!(circle.shrink(line, &mut circle.seat(line), 1));
    let look = || Ok(circle.survivors(0..circle.members(), 1).ok());
    wait(circle.shrink_gate(), look).expect("no error")
}

/// One of three dies before each step of a round and of shrinking. The others meet, or are told,
/// shrink, and agree who is left.
#[test]
fn those_that_shrink_agree() {
    newest(|| {
        explore_deaths("collective: shrinking", Some(1), |death, has_died| {
            let circle = circle(3);
            let mortal = circle.clone();
            let body = thread::spawn(move || {
                let body = || {
                    let _ = meet(&mortal, DIES, 1);
                    shrink(&mortal, DIES);
                };
                run_mortal(death, body).is_some()
            });
            let others = [1, 2].map(|line| {
                let circle = circle.clone();
                thread::spawn(move || {
                    let told = meet(&circle, line, 1);
                    assert!(!matches!(
                        told,
                        Err(Absent::Damaged { .. } | Absent::Left { .. })
                    ));
                    shrink(&circle, line)
                })
            });
            let lived = body.join().expect("ends");
            has_died.fetch_or(!lived, SeqCst);
            if !lived {
                circle.bury(MORTAL);
                circle.settle();
                circle.end(DIES);
            }
            let [first, second] = others.map(|other| other.join().expect("ends"));
            assert_eq!(first, second);
            assert!(
                first == [0, 1, 2] || (!lived && first == [1, 2]),
                "{first:?}"
            );
            assert_eq!(epoch(first_round(1)), 1);
        });
    });
}

/// Who has the member by this word arrives in round 1, if it may: all that it writes is `mark`.
fn arrive_as(circle: &Circle, mut word: Word, mark: u64) -> bool {
    let write = |lines: &Lines<'_>| lines.arrive(1, [mark; 3], [mark]);
    circle.write(DIES, &mut word, write).is_some()
}

/// A task that is tried again has the member while the attempt before goes on in a thread, as a member of another
/// process, and dies before each of its steps: one of the two arrives, and what it has written stays.
#[test]
fn two_attempts_have_one_member() {
    let name = "collective: two attempts with one member";
    explore_deaths(name, Some(2), |death, has_died| {
        let circle = circle(2);
        let word = circle.seat(DIES);
        let [mortal, successor, other] = [circle.clone(), circle.clone(), circle.clone()];
        let before = thread::spawn(move || run_mortal(death, || arrive_as(&mortal, word, 1)));
        let successor = thread::spawn(move || {
            loop {
                match successor.take(DIES, ProcessId(3), 1) {
                    Taking::Taken(word, 0) => return arrive_as(&successor, word, 2),
                    // The one before has arrived; it may be dead, and the member with it.
                    Taking::Taken(..) | Taking::Never => return false,
                    Taking::Writing => thread::yield_now(),
                }
            }
        });
        let other = thread::spawn(move || {
            let arrived = || Ok(other.has_arrived(DIES, 1).then_some(()));
            wait(other.gate(1), arrived).expect("one of them arrives");
            (other.value(DIES, 1, 0), other.call(DIES, 1))
        });
        let lived = before.join().expect("ends");
        has_died.fetch_or(lived.is_none(), SeqCst);
        if lived.is_none() {
            circle.bury(MORTAL);
            circle.settle();
        }
        let follows = successor.join().expect("ends");
        circle.force();
        let (value, call) = other.join().expect("ends");
        assert_eq!(call, [value; 3]);
        assert_eq!(
            (circle.value(DIES, 1, 0), circle.call(DIES, 1)),
            (value, call)
        );
        assert_eq!(circle.last(DIES), 1);
        let writer = if follows { 2 } else { 1 };
        assert_eq!(value, writer);
        assert!(lived.is_none_or(|arrived| arrived != follows));
    });
}
