//! Semaphores, tallies and barriers.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::super::permits::Permits;
use super::super::rounds::{Rounds, Status};
use super::super::tally::Tally;
use super::{MORTAL, PROCESSES, in_a_thread, who};
use crate::object::{Patience, wait};
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};
use crate::prim::{Generation, ProcessId};
use crate::shm::Segment;

/// One permit, and who has it.
struct Limited {
    permits: Permits,
    inside: AtomicU64,
}

impl Limited {
    fn new() -> Arc<Self> {
        Arc::new(Limited {
            permits: Permits::at(&Segment::empty(), 0, 1),
            inside: AtomicU64::new(0),
        })
    }

    fn enter(&self, me: ProcessId) -> usize {
        let look = || Ok::<_, ()>(self.permits.try_take(who(me)));
        let gate = self.permits.gate();
        wait(gate, Patience::Forever, look, |_| ()).expect("ends by a permit")
    }

    fn visit(&self, me: ProcessId) {
        let permit = self.enter(me);
        // Relaxed: the permit is to bring all order that is needed.
        let before = self.inside.load(Relaxed);
        self.inside.store(before + 1, Relaxed);
        self.permits.give_back(permit);
    }
}

/// Two want one permit, with all older values that a load may see: who has it sees what the one
/// before did.
#[test]
fn a_permit_passes_on_what_was_done() {
    explore("semaphore: two want one permit", Some(3), || {
        let limited = Limited::new();
        let other = in_a_thread(&limited, |limited| limited.visit(ProcessId(1)));
        limited.visit(ProcessId(0));
        other.join().expect("ends");
        // Relaxed: the other has been joined.
        assert_eq!(limited.inside.load(Relaxed), 2);
    });
}

/// Three want one permit: each has it once, and nobody sleeps for ever.
#[test]
fn a_permit_is_for_one() {
    newest(|| {
        explore("semaphore: a permit is for one", Some(2), || {
            let limited = Limited::new();
            let others = [1, 2].map(|process| {
                in_a_thread(&limited, move |limited| limited.visit(ProcessId(process)))
            });
            limited.visit(ProcessId(0));
            for other in others {
                other.join().expect("ends");
            }
            // Relaxed: all have been joined.
            assert_eq!(
                (limited.inside.load(Relaxed), limited.permits.free()),
                (3, 1)
            );
        });
    });
}

/// Who has the permit dies before each of its steps, while another waits: that one has it.
#[test]
fn a_permit_of_the_dead_is_free() {
    newest(|| {
        explore_deaths("semaphore: a holder dies", Some(2), |death, has_died| {
            let limited = Limited::new();
            let body = in_a_thread(&limited, move |limited| {
                run_mortal(death, || limited.visit(MORTAL)).is_some()
            });
            let other = in_a_thread(&limited, |limited| limited.visit(ProcessId(2)));
            has_died.fetch_or(!body.join().expect("ends"), SeqCst);
            limited.permits.recover(MORTAL);
            limited.permits.gate().force();
            other.join().expect("ends");
            assert_eq!(limited.permits.free(), 1);
        });
    });
}

fn tally(count: usize) -> Arc<Tally> {
    let tally = Tally::at(&Segment::empty(), 0, count, PROCESSES);
    tally.fill(count);
    Arc::new(tally)
}

fn counted(tally: &Tally) {
    let look = || Ok::<_, ()>((tally.left() == 0).then_some(()));
    wait(tally.gate(), Patience::Forever, look, |_| ()).expect("ends by the counts");
}

/// Two count, a third waits for both: it ends.
#[test]
fn all_counts_wake_the_waiter() {
    explore("latch: two count", Some(2), || {
        // In words of their own: bits of one word are in one order anyway.
        let tally = tally(65);
        (0..63).for_each(|_| assert!(tally.count()));
        let others = [1, 2].map(|_| in_a_thread(&tally, |tally| tally.count()));
        counted(&tally);
        for other in others {
            assert!(other.join().expect("ends"));
        }
        assert!(!tally.count(), "all are counted");
    });
}

/// Who counts dies before each of its steps: it has counted or it has not, and its membership is
/// known to have died.
#[test]
fn who_counts_dies() {
    newest(|| {
        explore_deaths("latch: who counts dies", Some(2), |death, has_died| {
            let tally = tally(1);
            let body = in_a_thread(&tally, move |tally| {
                let counts = || {
                    tally.join(MORTAL);
                    tally.count();
                    tally.leave(MORTAL);
                };
                run_mortal(death, counts).is_some()
            });
            let waits = in_a_thread(&tally, counted);
            has_died.fetch_or(!body.join().expect("ends"), SeqCst);
            tally.recover(MORTAL);
            tally.gate().force();
            if tally.left() > 0 {
                assert!(tally.count());
            }
            waits.join().expect("ends");
            assert!(tally.members(false).is_empty());
        });
    });
}

fn rounds(count: usize) -> Arc<Rounds> {
    let rounds = Rounds::at(&Segment::empty(), 0, count, Generation::new(7));
    rounds.fill();
    Arc::new(rounds)
}

/// False if a member will not come.
fn meet(rounds: &Rounds, at: usize) -> bool {
    let round = rounds.arrive(at);
    let look = || {
        let missing = rounds.missing(round);
        match (rounds.is_complete(round), missing) {
            (true, _) => Ok(Some(())),
            (false, None) => Ok(None),
            (false, Some(missing)) => Err(missing),
        }
    };
    let met = wait(rounds.gate(), Patience::Forever, look, |_| unreachable!());
    if met.is_ok() {
        rounds.pass(at, round);
    }
    met.is_ok()
}

/// Two meet twice; three meet once: nobody sleeps for ever.
#[test]
fn all_meet() {
    newest(|| {
        explore("barrier: two meet twice", Some(2), || {
            let rounds = rounds(2);
            let other = in_a_thread(&rounds, |rounds| meet(rounds, 1) && meet(rounds, 1));
            assert!(meet(&rounds, 0) && meet(&rounds, 0));
            assert!(other.join().expect("ends"));
        });
        explore("barrier: three meet", Some(2), || {
            let rounds = rounds(3);
            let others = [1, 2].map(|at| in_a_thread(&rounds, move |rounds| meet(rounds, at)));
            assert!(meet(&rounds, 0));
            assert!(others.into_iter().all(|other| other.join().expect("ends")));
        });
    });
}

/// With all older values that a load may see: two meet once.
#[test]
fn two_meet() {
    explore("barrier: two meet", Some(2), || {
        let rounds = rounds(2);
        let other = in_a_thread(&rounds, |rounds| meet(rounds, 1));
        assert!(meet(&rounds, 0) && other.join().expect("ends"));
    });
}

/// A member dies before each of its steps: the other ends, and passes if the dead had arrived.
#[test]
fn a_member_dies() {
    newest(|| {
        explore_deaths("barrier: a member dies", Some(2), |death, has_died| {
            let rounds = rounds(2);
            let body = in_a_thread(&rounds, move |rounds| {
                run_mortal(death, || meet(rounds, 1)).is_some()
            });
            let other = in_a_thread(&rounds, |rounds| meet(rounds, 0));
            let lived = body.join().expect("ends");
            has_died.fetch_or(!lived, SeqCst);
            rounds.mark(1, Status::Died, Some(MORTAL));
            rounds.gate().force();
            let met = other.join().expect("ends");
            assert!(met || !lived);
            assert!(!meet(&rounds, 0), "nobody comes any more");
        });
    });
}
