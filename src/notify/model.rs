//! The doorbell's own source in every order of steps. Run by `scripts/models`.
//!
//! The stand-in futex never wakes for no reason, so a wake-up that is lost ends as
//! a deadlock, which loom reports.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Doorbell, Patience};
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, run_mortal};
use crate::sys::barrier;

/// A bell and how much work was published; one more for each `publish`.
#[derive(Default)]
struct Place {
    bell: Doorbell,
    work: AtomicU64,
}

impl Place {
    fn publish(&self) {
        // Relaxed: all order that is needed is to come from the barriers.
        self.work.fetch_add(1, Relaxed);
        barrier::light();
        self.bell.ring();
    }

    /// Returns when `count` were published.
    fn sleep_until(&self, count: u64) {
        while self.work.load(Relaxed) < count {
            let key = self.bell.prepare();
            if self.work.load(Relaxed) >= count {
                self.bell.cancel();
                return;
            }
            self.bell.wait(key, None);
        }
    }
}

fn spawn(place: &Arc<Place>, body: impl FnOnce(&Place) + 'static) -> thread::JoinHandle<()> {
    let place = Arc::clone(place);
    thread::spawn(move || body(&place))
}

#[test]
fn no_wake_is_lost() {
    explore("bell: one waker", None, || {
        let place = Arc::new(Place::default());
        let waker = spawn(&place, Place::publish);
        place.sleep_until(1);
        waker.join().expect("ends");
    });
}

#[test]
fn no_wake_is_lost_of_two() {
    explore("bell: two wakers", Some(3), || {
        let place = Arc::new(Place::default());
        let wakers = [0, 1].map(|_| spawn(&place, Place::publish));
        place.sleep_until(2);
        for waker in wakers {
            waker.join().expect("ends");
        }
    });
}

/// The same sleeper again: what an earlier round leaves in the word does no harm.
#[test]
fn no_wake_is_lost_twice() {
    explore("bell: one waker, two rounds", Some(3), || {
        let place = Arc::new(Place::default());
        let waker = spawn(&place, |place| {
            place.publish();
            place.publish();
        });
        place.sleep_until(1);
        place.sleep_until(2);
        waker.join().expect("ends");
    });
}

/// A bell has one sleeper at a time: with two, one that finds its work clears the
/// mark of the other. Also shows that a lost wake-up is seen.
#[test]
#[should_panic(expected = "deadlock")]
fn two_sleepers_are_one_too_many() {
    explore("bell: two sleepers", Some(2), || {
        let place = Arc::new(Place::default());
        let sleepers = [0, 1].map(|_| spawn(&place, |place| place.sleep_until(1)));
        place.publish();
        for sleeper in sleepers {
            sleeper.join().expect("ends");
        }
    });
}

/// A waker dies at each point. Its rescuer sees to the work and forces the bell:
/// the sleeper ends in any case.
#[test]
fn waker_dies() {
    explore_deaths("bell: waker dies", Some(3), |death, has_died| {
        let place = Arc::new(Place::default());
        let dying = Arc::clone(&place);
        let mortal = thread::spawn(move || run_mortal(death, || dying.publish()));
        let sleeper = spawn(&place, |place| place.sleep_until(1));
        if mortal.join().expect("ends").is_none() {
            has_died.store(true, SeqCst);
            // Issued again, without a ring of its own; then all bells are forced.
            place.work.fetch_add(1, Relaxed);
            place.bell.force();
        }
        sleeper.join().expect("ends");
    });
}

/// A sleeper dies at each point: what it leaves in the word harms neither the next
/// ring nor its successor's sleep.
#[test]
fn sleeper_dies() {
    explore_deaths("bell: sleeper dies", Some(3), |death, has_died| {
        let place = Arc::new(Place::default());
        let dying = Arc::clone(&place);
        let mortal = thread::spawn(move || run_mortal(death, || dying.sleep_until(1)));
        let waker = spawn(&place, |place| {
            place.publish();
            place.publish();
        });
        has_died.fetch_or(mortal.join().expect("ends").is_none(), SeqCst);
        place.sleep_until(2);
        waker.join().expect("ends");
    });
}

/// A sleeper that was patient, marked, and woken is so no longer: a waker that still
/// believed it, and does not ring at last because it is busy for ever, has published
/// before the sleeper's last look.
#[test]
fn who_is_no_longer_patient_misses_nothing() {
    explore("bell: no longer patient", None, || {
        let place = Arc::new(Place::default());
        place.bell.set_patience(Patience::UntilIdle);
        // Asleep once, and woken: marked.
        let key = place.bell.prepare();
        place.bell.ring();
        place.bell.wait(key, None);
        let waker = spawn(&place, |place| {
            // Relaxed: as in `publish`.
            place.work.fetch_add(1, Relaxed);
            barrier::light();
            if place.bell.patience() == Patience::None {
                place.bell.ring();
            }
        });
        place.bell.set_patience(Patience::None);
        place.sleep_until(1);
        waker.join().expect("ends");
    });
}

/// A waker that leaves the ring to later, and dies, or is busy, has not lost anything:
/// the rescuer forces the bell; so with a patient sleeper.
#[test]
fn a_patient_sleeper_is_rung_at_last() {
    explore_deaths("bell: patient, waker dies", Some(3), |death, has_died| {
        let place = Arc::new(Place::default());
        place.bell.set_patience(Patience::UntilIdle);
        let dying = Arc::clone(&place);
        let mortal = thread::spawn(move || {
            run_mortal(death, || {
                // Relaxed: as in `publish`.
                dying.work.fetch_add(1, Relaxed);
                barrier::light();
                let owes_ring = dying.bell.patience() > Patience::None;
                if !owes_ring {
                    dying.bell.ring();
                }
                if owes_ring {
                    barrier::light();
                    dying.bell.ring();
                }
            })
        });
        let sleeper = spawn(&place, |place| place.sleep_until(1));
        if mortal.join().expect("ends").is_none() {
            has_died.store(true, SeqCst);
            // Relaxed: as in `publish`.
            place.work.fetch_add(1, Relaxed);
            place.bell.force();
        }
        sleeper.join().expect("ends");
    });
}
