//! The gate's own source in every order of steps. Run by `scripts/models`.
//!
//! The stand-in futex never wakes for no reason, and wakes no more than it is told to: a wake
//! that is lost, or kept by one who does not take anything, ends as a deadlock.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Gate, Key, take_at_any, wait_any};
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};
use crate::sys::barrier;

/// A gate, how much there is to take, and whether nothing more comes.
#[derive(Default)]
struct Place {
    gate: Gate,
    there: AtomicU64,
    is_over: AtomicU64,
}

impl Place {
    fn publish(&self, count: u64) {
        // Relaxed: all order that is needed is to come from the barriers.
        self.there.fetch_add(count, Relaxed);
        barrier::light();
        self.gate.open_one();
    }

    fn close(&self) {
        // Relaxed: as in `publish`.
        self.is_over.fetch_add(1, Relaxed);
        barrier::light();
        self.gate.open_all();
    }

    /// Takes one; says how many are left.
    fn try_take(&self) -> Option<u64> {
        // Relaxed: as in `publish`.
        let mut there = self.there.load(Relaxed);
        while there > 0 {
            match (self.there).compare_exchange(there, there - 1, Relaxed, Relaxed) {
                Ok(_) => return Some(there - 1),
                Err(now) => there = now,
            }
        }
        None
    }

    /// Returns when it has taken one; wakes the next if there are more.
    fn take(&self) {
        loop {
            let key = self.gate.prepare();
            match self.try_take() {
                Some(0) => return,
                Some(_) => return self.gate.open_one(),
                None => self.gate.wait(key, None),
            };
        }
    }

    /// Sleeps once, if there is nothing, takes nothing, and ends by `leave`.
    fn look_on(&self, leave: impl Fn(&Gate, Key)) {
        let key = self.gate.prepare();
        // Relaxed: as in `publish`.
        if self.there.load(Relaxed) == 0 && self.is_over.load(Relaxed) == 0 {
            self.gate.wait(key, None);
        }
        leave(&self.gate, key);
    }

    fn sleep_until_over(&self) {
        // Relaxed: as in `publish`.
        while self.is_over.load(Relaxed) == 0 {
            let key = self.gate.prepare();
            if self.is_over.load(Relaxed) == 0 {
                self.gate.wait(key, None);
            }
        }
    }
}

fn spawn<T: Send + Sync + 'static>(
    place: &Arc<T>,
    body: impl FnOnce(&T) + 'static,
) -> thread::JoinHandle<()> {
    let place = Arc::clone(place);
    thread::spawn(move || body(&place))
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("ends");
    }
}

/// A mark whose sleeper has gone: the first wake is in vain, and clears it, while another
/// one comes to sleep.
#[test]
fn a_vain_wake_clears_no_other_mark() {
    explore("gate: vain wakes, one sleeper", Some(3), || {
        let place = Arc::new(Place::default());
        let _gone = place.gate.prepare();
        let waker = spawn(&place, |place| {
            place.publish(1);
            place.publish(1);
        });
        place.take();
        place.take();
        join([waker]);
    });
}

/// The same with two wakers, of which each may clear what the other has made.
#[test]
fn vain_wakes_of_two_clear_no_other_mark() {
    newest(|| {
        explore("gate: two wakers, one sleeper", Some(3), || {
            let place = Arc::new(Place::default());
            let _gone = place.gate.prepare();
            let wakers = [0, 1].map(|_| spawn(&place, |place| place.publish(1)));
            place.take();
            place.take();
            join(wakers);
        })
    });
}

/// Who finds the mark of another relies on that one's barrier only if it was passed.
#[test]
fn the_barrier_of_another_will_do() {
    explore("gate: one barrier for two", Some(2), || {
        let place = Arc::new(Place::default());
        let waker = spawn(&place, |place| place.publish(1));
        let other = spawn(&place, |place| {
            let key = place.gate.prepare();
            place.gate.pass_on(key);
        });
        place.take();
        join([waker, other]);
    });
}

#[test]
fn each_of_two_takes_one() {
    newest(|| {
        explore("gate: two sleepers, one waker", Some(3), || {
            let place = Arc::new(Place::default());
            let waker = spawn(&place, |place| {
                place.publish(1);
                place.publish(1);
            });
            let sleeper = spawn(&place, Place::take);
            place.take();
            join([waker, sleeper]);
        })
    });
}

#[test]
fn each_of_two_takes_one_of_two_wakers() {
    newest(|| {
        explore("gate: two sleepers, two wakers", Some(2), || {
            let place = Arc::new(Place::default());
            let wakers = [0, 1].map(|_| spawn(&place, |place| place.publish(1)));
            let sleeper = spawn(&place, Place::take);
            place.take();
            join(wakers);
            join([sleeper]);
        })
    });
}

/// Two are published at once, with one wake: who takes one wakes the next.
#[test]
fn who_takes_one_of_several_wakes_the_next() {
    newest(|| {
        explore("gate: two at once", Some(3), || {
            let place = Arc::new(Place::default());
            let waker = spawn(&place, |place| place.publish(2));
            let sleeper = spawn(&place, Place::take);
            place.take();
            join([waker, sleeper]);
        })
    });
}

#[test]
fn who_leaves_passes_the_wake_on() {
    newest(|| explore("gate: one leaves", Some(3), || one_leaves(Gate::pass_on)));
}

/// Also shows that the stand-in wakes one only.
#[test]
#[should_panic(expected = "deadlock")]
fn who_leaves_and_passes_nothing_on_keeps_the_wake() {
    newest(|| {
        explore("gate: one leaves in silence", Some(2), || {
            one_leaves(|_, _| ())
        })
    });
}

fn one_leaves(leave: impl Fn(&Gate, Key) + 'static) {
    let place = Arc::new(Place::default());
    let waker = spawn(&place, |place| place.publish(1));
    let other = spawn(&place, |place| place.look_on(leave));
    place.take();
    place.close();
    join([waker, other]);
}

#[test]
fn all_are_woken() {
    newest(|| {
        explore("gate: open all", Some(3), || {
            let place = Arc::new(Place::default());
            let waker = spawn(&place, Place::close);
            let sleeper = spawn(&place, Place::sleep_until_over);
            place.sleep_until_over();
            join([waker, sleeper]);
        })
    });
}

type Both = [Place; 2];

impl Place {
    /// Takes one from the first of these that has any, and wakes the next if there are more.
    fn take_any(places: &Both) {
        let look = |opened: Option<usize>| {
            let mut all = opened.into_iter().chain(0..places.len());
            let found = all.find_map(|at| {
                let left = places[at].try_take()?;
                Some((at, left))
            });
            if let Some((at, 1..)) = found {
                places[at].gate.open_one();
            }
            found
        };
        let gates = [&places[0].gate, &places[1].gate];
        let taken = take_at_any(&gates, look, |keys| wait_any(keys, None));
        assert!(taken.is_some(), "deadlines never come");
    }
}

/// Both wait at both gates, as a select does; one of them may be chosen at both, and takes from
/// one.
#[test]
fn who_waits_at_two_gates_passes_on() {
    newest(|| {
        explore("gate: two gates", Some(2), || {
            let places: Arc<Both> = Arc::default();
            let waker = spawn(&places, |places| {
                places[0].publish(1);
                places[1].publish(1);
            });
            let other = spawn(&places, Place::take_any);
            Place::take_any(&places);
            join([waker, other]);
        })
    });
}

/// One waits at both, the other at one; who publishes does so for each of them.
#[test]
fn who_waits_at_two_gates_leaves_one_to_others() {
    newest(|| {
        explore("gate: two gates, and one", Some(2), || {
            let places: Arc<Both> = Arc::default();
            let waker = spawn(&places, |places| {
                places[0].publish(1);
                places[0].publish(1);
            });
            let other = spawn(&places, |places| places[0].take());
            Place::take_any(&places);
            join([waker, other]);
        })
    });
}

/// One that waits at both dies at each point. After `force` the other one takes what there is.
#[test]
fn sleeper_at_two_gates_dies() {
    newest(|| {
        explore_deaths("gate: sleeper at two dies", Some(2), |death, has_died| {
            let places: Arc<Both> = Arc::default();
            let dying = Arc::clone(&places);
            let mortal = thread::spawn(move || run_mortal(death, || Place::take_any(&dying)));
            let other = spawn(&places, Place::take_any);
            places[0].publish(1);
            places[1].publish(1);
            if mortal.join().expect("ends").is_none() {
                has_died.store(true, SeqCst);
                places.iter().for_each(|place| place.gate.force());
            }
            join([other]);
        })
    });
}

/// A waker dies at each point. Its rescuer publishes what there is to be, and forces
/// the gate: both sleepers end.
#[test]
fn waker_dies() {
    newest(|| {
        explore_deaths("gate: waker dies", Some(2), |death, has_died| {
            let place = Arc::new(Place::default());
            let dying = Arc::clone(&place);
            let mortal = thread::spawn(move || run_mortal(death, || dying.publish(2)));
            let sleepers = [0, 1].map(|_| spawn(&place, Place::take));
            if mortal.join().expect("ends").is_none() {
                has_died.store(true, SeqCst);
                // Whatever it has published: enough for both, without a wake of its own.
                place.there.fetch_add(2, Relaxed);
                place.gate.force();
            }
            join(sleepers);
        })
    });
}

/// A sleeper dies at each point: before it sleeps, and when it was chosen. After `force`
/// the other one takes what there is.
#[test]
fn sleeper_dies() {
    newest(|| {
        explore_deaths("gate: sleeper dies", Some(2), |death, has_died| {
            let place = Arc::new(Place::default());
            let dying = Arc::clone(&place);
            let mortal = thread::spawn(move || run_mortal(death, || dying.take()));
            let other = spawn(&place, Place::take);
            place.publish(1);
            place.publish(1);
            if mortal.join().expect("ends").is_none() {
                has_died.store(true, SeqCst);
                place.gate.force();
            }
            join([other]);
        })
    });
}
