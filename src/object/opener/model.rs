//! The opener's own source in every order of steps: who asks it, and its thread. Run by `scripts/models`. A
//! sleeper that nobody wakes ends as a deadlock.

use std::sync::Arc;

use loom::thread;

use super::{Condvar, Keeps, Mutex, Opener, State};
use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, newest};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

/// What is published, and who waits for it.
#[derive(Clone)]
struct Place {
    opener: Arc<Opener>,
    gate: View<Gate>,
    count: Views<AtomicU64>,
}

impl Place {
    fn new() -> Self {
        let segment = Segment::empty();
        Place {
            opener: Arc::new(Opener {
                state: Mutex::new(State::new()),
                is_called: Condvar::new(),
                has_ended: Condvar::new(),
            }),
            gate: segment.view(0),
            count: segment.views(8, 1),
        }
    }

    /// As `open_all_soon` does.
    fn publish(&self) {
        // Relaxed: the barriers order it.
        self.count[0].fetch_add(1, Relaxed);
        barrier::light();
        let opener = Arc::clone(&self.opener);
        let start = move || {
            thread::spawn(move || opener.run());
            Ok(())
        };
        let keeps: Keeps = Arc::new(());
        if self.gate.is_awaited() && !self.opener.ask(&self.gate, &keeps, start) {
            self.gate.open_all();
        }
    }

    fn wait_for(&self, count: u64) {
        loop {
            let key = self.gate.prepare();
            // Relaxed: as above.
            if self.count[0].load(Relaxed) >= count {
                return;
            }
            self.gate.wait(key, None);
        }
    }
}

/// Two publish, one after the other and at once: who waits for both is woken, by the thread.
#[test]
fn two_ask() {
    newest(|| {
        explore("opener: two ask", Some(2), || {
            let place = Place::new();
            let (waits, other) = (place.clone(), place.clone());
            let waits = thread::spawn(move || waits.wait_for(2));
            let other = thread::spawn(move || other.publish());
            place.publish();
            waits.join().expect("ends");
            other.join().expect("ends");
            place.opener.end();
        });
    });
}

/// The thread ends while somebody publishes: either it opens the gate before, or who publishes does.
#[test]
fn it_ends_while_one_asks() {
    newest(|| {
        explore("opener: it ends meanwhile", Some(2), || {
            let place = Place::new();
            let (waits, other) = (place.clone(), place.clone());
            let waits = thread::spawn(move || waits.wait_for(2));
            let other = thread::spawn(move || {
                other.publish();
                other.publish();
            });
            place.opener.end();
            waits.join().expect("ends");
            other.join().expect("ends");
        });
    });
}
