use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Crowd, Doorbell};
use crate::shm::Segment;
use crate::sys::barrier;

#[test]
fn ringing_an_unattended_bell_does_nothing() {
    let bell = Doorbell::default();
    assert!(!bell.ring());
    let key = bell.prepare();
    assert!(bell.ring(), "announced");
    bell.wait(key, None); // returns at once: the epoch has moved
    assert!(bell.ring(), "it may sleep again");
    let key = bell.prepare();
    assert!(!bell.has_rung(key));
    assert!(bell.ring());
    assert!(bell.has_rung(key));
    bell.wait(key, None); // again at once
    bell.cancel();
    assert!(!bell.ring(), "and nobody waits any more");
}

#[test]
fn wait_ends_at_its_deadline() {
    let bell = Doorbell::default();
    let key = bell.prepare();
    bell.wait(key, Some(Instant::now() + Duration::from_millis(1)));
    bell.cancel();
    assert!(!bell.is_awaited());
}

/// Trap 6: a waker died between the new epoch and the system call, or its `force` after
/// clearing the mark: the bell looks unattended, the sleeper sleeps. `force` wakes it.
#[test]
fn trap_6_force_wakes_a_sleeper_whose_mark_is_gone() {
    let bell = Arc::new(Doorbell::default());
    let asleep = Arc::clone(&bell);
    let sleeper = std::thread::spawn(move || {
        let key = asleep.prepare();
        asleep.cancel(); // as the dead waker did, but without a new epoch
        let key = super::Key(key.0 & !1);
        asleep.wait(key, None);
    });
    while !sleeper.is_finished() {
        bell.force();
        std::thread::yield_now();
    }
    sleeper.join().expect("woken");
}

/// Hunts the lost wake-up: two threads hand a number to and fro, each sleeping as
/// soon as it has nothing to do. If a wake were lost, both would sleep for ever.
#[test]
fn no_wake_is_lost() {
    const ROUNDS: u64 = 20_000;
    let turn = Arc::new(AtomicU64::new(0));
    let bells = Arc::new([Doorbell::default(), Doorbell::default()]);
    let play = |me: u64, turn: Arc<AtomicU64>, bells: Arc<[Doorbell; 2]>| {
        let own = &bells[me as usize];
        while turn.load(Ordering::Acquire) < ROUNDS {
            if turn.load(Ordering::Acquire) % 2 != me {
                let key = own.prepare();
                let now = turn.load(Ordering::Acquire);
                if now % 2 != me && now < ROUNDS {
                    own.wait(key, None);
                } else {
                    own.cancel();
                }
                continue;
            }
            turn.fetch_add(1, Ordering::Release);
            barrier::light();
            bells[1 - me as usize].ring();
        }
    };
    let (t, b) = (Arc::clone(&turn), Arc::clone(&bells));
    let other = std::thread::spawn(move || play(1, t, b));
    play(0, turn, bells);
    other.join().expect("the other side ends too");
}

/// A sleeper died after it had set its mark: wakers make vain calls until a rescuer
/// clears it.
#[test]
fn a_mark_that_nobody_sleeps_behind_is_cleared_by_the_rescuer() {
    let bell = Doorbell::default();
    let _dead = bell.prepare();
    assert!(bell.is_awaited());
    assert!(bell.ring(), "in vain");
    bell.force();
    assert!(!bell.is_awaited());
    assert!(!bell.ring());
    // Whoever uses the bell next is rung as ever.
    let key = bell.prepare();
    assert!(bell.ring());
    bell.wait(key, None);
    let _dead = bell.prepare();
    bell.force();
    bell.force();
    assert!(!bell.is_awaited());
    let key = bell.prepare();
    bell.force();
    bell.wait(key, None);
}

fn crowd(count: u32) -> (Segment, Crowd, Vec<Doorbell>) {
    let segment = Segment::create(1 << 16).expect("segment");
    let words = (count as usize).div_ceil(64);
    let crowd = Crowd::new(
        segment.views(4096, words),
        segment.views(8192, 2 * words),
        count,
    );
    let bells = (0..count).map(|_| Doorbell::default()).collect();
    (segment, crowd, bells)
}

/// Trap 7: "somebody is searching" is a bit for each executor. With a count, whoever
/// came twice, or died, would leave one too many for ever, and nobody would be woken.
#[test]
fn trap_7_searching_is_a_bit_for_each_and_not_a_count() {
    let (_segment, crowd, bells) = crowd(70);
    let wakes = |crowd: &Crowd| crowd.wake_one(0, |executor| &bells[executor as usize]);
    for me in [3, 69] {
        crowd.seek(me);
        crowd.searching.insert(me);
        assert!(!crowd.searching.insert(me), "in already");
        crowd.sleeping.insert(64);
        assert!(!wakes(&crowd), "{me} searches");
        crowd.found(me);
        crowd.found(me);
        assert!(!crowd.searching.any(), "twice in, once out");
        assert!(wakes(&crowd), "64 sleeps");
        assert!(crowd.searching.contains(64), "marked on its behalf");
        // It dies before it is awake.
        crowd.forget([64]);
        crowd.forget([64]);
        assert!(!crowd.searching.any() && !crowd.sleeping.any());
    }
}

/// A waker stops after each step of waking a sleeper. After the recovery somebody can
/// be woken, and the chosen one is: by the forced bell, or because it still is in the
/// set.
#[test]
fn a_waker_stops_after_each_step() {
    for steps in 0..=3 {
        let (_segment, crowd, bells) = crowd(4);
        let key = crowd.lie_down(2, &bells[2]);
        if steps > 0 {
            crowd.searching.insert(2);
        }
        if steps > 1 {
            crowd.sleeping.remove(2);
        }
        if steps > 2 {
            bells[2].force();
        }
        // The dead is executor 0.
        crowd.forget([0]);
        bells.iter().for_each(Doorbell::force);
        bells[2].wait(key, None); // returns at once
        crowd.get_up(2);
        assert!(crowd.searching.contains(2));
        let _key = crowd.lie_down(2, &bells[2]);
        assert!(
            crowd.wake_one(1, |executor| &bells[executor as usize]),
            "{steps}"
        );
    }
}
