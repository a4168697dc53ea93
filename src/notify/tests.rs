use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Doorbell;
use crate::sys::barrier;

#[test]
fn ringing_an_unattended_bell_does_nothing() {
    let bell = Doorbell::default();
    assert!(!bell.ring());
    let key = bell.prepare();
    assert!(bell.ring(), "announced");
    bell.wait(key, None); // returns at once: the epoch has moved
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

/// The state a waker leaves that died between clearing the mark and the system
/// call: the bell looks unattended, the sleeper sleeps. `force` wakes it.
#[test]
fn force_wakes_a_sleeper_whose_mark_is_gone() {
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
