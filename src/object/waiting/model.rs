//! How a task that waits hears that it is told to end, on the own source in every order of steps. Run by
//! `scripts/models`.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Around, GaveUp, Patience, WaitAtAny, set_around, wait};
use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};
use crate::sys::barrier;

/// What an executor's record has: whether its task is told, and the gate.
#[derive(Default)]
struct Record {
    is_told: AtomicU64,
    gate: Gate,
}

loom::lazy_static! {
    static ref RECORD: Record = Record::default();
}

loom::thread_local! {
    /// Whether the thread runs a task.
    static RUNS_TASK: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

struct Tasks;

impl Around for Tasks {
    fn told(&self) -> Option<&'static Gate> {
        let runs_task = RUNS_TASK.with(std::cell::Cell::get);
        runs_task.then(|| &RECORD.gate)
    }

    fn is_told(&self) -> bool {
        // Relaxed: the barriers order it.
        self.told().is_some() && RECORD.is_told.load(Relaxed) == 1
    }
}

fn tell() {
    // Relaxed: as above.
    RECORD.is_told.store(1, Relaxed);
    barrier::light();
    RECORD.gate.open_all();
}

/// An object: how many there are to take.
#[derive(Default)]
struct Object {
    gate: Gate,
    there: AtomicU64,
}

impl Object {
    fn publish(&self) {
        // Relaxed: as above.
        self.there.fetch_add(1, Relaxed);
        barrier::light();
        self.gate.open_one();
    }

    fn take(&self) -> Option<()> {
        // Relaxed: as above.
        let there = self.there.load(Relaxed);
        let taken = there > 0
            && (self.there)
                .compare_exchange(there, there - 1, Relaxed, Relaxed)
                .is_ok();
        taken.then_some(())
    }

    /// Waits for one; or why it has none.
    fn wait(&self) -> Result<(), GaveUp> {
        wait(&self.gate, Patience::Forever, || Ok(self.take()), |why| why)
    }
}

/// In a thread that runs a task.
fn task<T: 'static>(body: impl FnOnce() -> T + 'static) -> thread::JoinHandle<T> {
    set_around(&Tasks);
    thread::spawn(move || {
        RUNS_TASK.with(|runs| runs.set(true));
        body()
    })
}

/// Nothing comes: it waits no more.
#[test]
fn who_is_told_waits_no_more() {
    explore("told: nothing comes", Some(3), || {
        let object = Arc::new(Object::default());
        let waits = task(move || object.wait());
        tell();
        assert_eq!(waits.join().expect("ends"), Err(GaveUp::Told));
    });
}

/// The same of one who waits at two objects.
#[test]
fn who_selects_and_is_told_waits_no_more() {
    newest(|| {
        explore("told: at two objects", Some(2), || {
            let objects = [Object::default(), Object::default()];
            let waits = task(move || {
                let gates = [&objects[0].gate, &objects[1].gate];
                let look = |_: Option<usize>| {
                    let mut all = objects.iter().enumerate();
                    all.find_map(|(at, object)| Some((at, object.take()?)))
                };
                WaitAtAny::begin(Patience::Forever).sleep(&gates, look, None)
            });
            tell();
            assert_eq!(waits.join().expect("ends"), Err(GaveUp::Told));
        });
    });
}

/// Something comes just then, and another waits for it, too: who goes empty-handed passes the wake on.
#[test]
fn who_is_told_keeps_no_wake() {
    newest(|| {
        explore("told: another waits, too", Some(2), || {
            let object = Arc::new(Object::default());
            let (own, others) = (Arc::clone(&object), Arc::clone(&object));
            let waits = task(move || own.wait());
            let other = thread::spawn(move || others.wait());
            let tells = thread::spawn(tell);
            object.publish();
            tells.join().expect("ends");
            // If the task has it, one more for the other.
            if waits.join().expect("ends").is_ok() {
                object.publish();
            }
            assert_eq!(other.join().expect("ends"), Ok(()));
        });
    });
}

/// Who tells dies before each of its steps: the rescuer forces the gate, and says that it is told if
/// the dead has said so.
#[test]
fn who_tells_dies() {
    explore_deaths("told: who tells dies", Some(3), |death, has_died| {
        let object = Arc::new(Object::default());
        let own = Arc::clone(&object);
        let waits = task(move || own.wait());
        let teller = thread::spawn(move || run_mortal(death, tell).is_some());
        let has_told = teller.join().expect("ends");
        has_died.fetch_or(!has_told, SeqCst);
        RECORD.gate.force();
        // Relaxed: the teller was joined.
        if RECORD.is_told.load(Relaxed) == 0 {
            object.publish();
        }
        let ended = waits.join().expect("ends");
        assert!(!has_told || ended == Err(GaveUp::Told), "{ended:?}");
    });
}
