//! The watcher's own source in every order of steps: futures that wait, come and go, while its thread
//! sleeps for them. Run by `scripts/models`. A wake that is lost, or kept, ends as a deadlock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake};

use loom::thread;

use super::{Waits, end_watchers};
use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};
use crate::prim::sync::{Condvar, Mutex};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

/// An object of which there is something to take.
#[derive(Clone)]
struct Object {
    gate: View<Gate>,
    there: Views<AtomicU64>,
}

impl Object {
    fn new() -> Self {
        let segment = Segment::empty();
        Object {
            gate: segment.view(0),
            there: segment.views(8, 1),
        }
    }

    fn publish(&self) {
        // Relaxed: the barriers order it.
        self.there[0].fetch_add(1, Relaxed);
        barrier::light();
        self.gate.open_one();
    }

    fn take(&self) -> Option<()> {
        let there = &self.there[0];
        // Relaxed: as above.
        let mut now = there.load(Relaxed);
        while now > 0 {
            match there.compare_exchange(now, now - 1, Relaxed, Relaxed) {
                Ok(_) => {
                    if now > 1 {
                        self.gate.open_one();
                    }
                    return Some(());
                }
                Err(other) => now = other,
            }
        }
        None
    }

    fn poll(&self, waits: &mut Waits, context: &Context<'_>) -> Poll<Result<(), ()>> {
        waits.poll(&self.gate, context, || Ok(self.take()), || ())
    }

    /// As `object::wait` does.
    fn wait(&self) {
        loop {
            let key = self.gate.prepare();
            if self.take().is_some() {
                return;
            }
            self.gate.wait(key, None);
        }
    }
}

/// The thread of an executor of futures sleeps here.
#[derive(Default)]
struct Signal {
    is_set: Mutex<Cell<bool>>,
    changes: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.is_set.lock().expect("no panic").set(true);
        self.changes.notify_all();
    }
}

impl Signal {
    fn wait(&self) {
        let mut is_set = self.is_set.lock().expect("no panic");
        while !is_set.replace(false) {
            is_set = self.changes.wait(is_set).expect("no panic");
        }
    }
}

/// Awaits one of the object.
fn block_on(object: &Object) {
    let signal = Arc::new(Signal::default());
    let waker = Arc::clone(&signal).into();
    let context = Context::from_waker(&waker);
    let mut waits = Waits::default();
    while object.poll(&mut waits, &context).is_pending() {
        signal.wait();
    }
}

/// A future waits, and something is published.
#[test]
fn a_future_is_woken() {
    newest(|| {
        explore("watcher: a future", Some(2), || {
            let object = Object::new();
            let publisher = object.clone();
            let publishes = thread::spawn(move || publisher.publish());
            block_on(&object);
            publishes.join().expect("ends");
            end_watchers();
        });
    });
}

/// Two of one thread wait for the same, and one is published for each.
#[test]
fn each_of_two_futures_takes_one() {
    newest(|| {
        explore("watcher: two futures", Some(1), || {
            let object = Object::new();
            let publisher = object.clone();
            let publishes = thread::spawn(move || {
                publisher.publish();
                publisher.publish();
            });
            let signal = Arc::new(Signal::default());
            let waker = Arc::clone(&signal).into();
            let context = Context::from_waker(&waker);
            let mut all = vec![Waits::default(), Waits::default()];
            loop {
                all.retain_mut(|waits| object.poll(waits, &context).is_pending());
                if all.is_empty() {
                    break;
                }
                signal.wait();
            }
            publishes.join().expect("ends");
            end_watchers();
        });
    });
}

/// A future that goes while it waits, beside a thread that waits for the same: what it was chosen
/// for the thread has.
#[test]
fn a_future_that_goes_keeps_no_wake() {
    newest(|| {
        explore("watcher: a future goes", Some(1), || {
            let object = Object::new();
            let (publisher, sleeper) = (object.clone(), object.clone());
            let mut waits = Waits::default();
            let context = Context::from_waker(std::task::Waker::noop());
            assert!(object.poll(&mut waits, &context).is_pending());
            let sleeps = thread::spawn(move || sleeper.wait());
            let publishes = thread::spawn(move || publisher.publish());
            drop(waits);
            sleeps.join().expect("ends");
            publishes.join().expect("ends");
            end_watchers();
        });
    });
}

/// Who publishes, in another process, dies before each of its steps: after the rescuer has forced the
/// gate the future has what there is.
#[test]
fn who_wakes_a_future_dies() {
    newest(|| {
        explore_deaths("watcher: who wakes dies", Some(1), |death, has_died| {
            let object = Object::new();
            let (mortal, rescuer) = (object.clone(), object.clone());
            let body = thread::spawn(move || run_mortal(death, || mortal.publish()).is_some());
            let rescues = thread::spawn(move || {
                let lives = body.join().expect("ends");
                rescuer.gate.force();
                // Relaxed: the dead was joined.
                if !lives && rescuer.there[0].load(Relaxed) == 0 {
                    rescuer.publish();
                }
                lives
            });
            block_on(&object);
            has_died.fetch_or(!rescues.join().expect("ends"), SeqCst);
            end_watchers();
        });
    });
}
