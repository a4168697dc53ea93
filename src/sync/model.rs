//! The locks' own source in every order of steps. Run by `scripts/models`.
//!
//! What is guarded is two words that a holder changes one after the other: they differ only
//! if it has died in between, of which whoever sees that is told.

mod many;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::rw::RwWords;
use super::who::Who;
use super::word::LockWord;
use crate::object::{Patience, wait};
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};
use crate::shm::Segment;

const MORTAL: ProcessId = ProcessId(1);

fn who(process: ProcessId) -> Who {
    Who { process, thread: 9 }
}

/// A lock, and what it guards.
struct Guarded {
    lock: LockWord,
    pair: [AtomicU64; 2],
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Guarded {
            lock: LockWord::at(&Segment::empty(), 0),
            pair: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    fn lock(&self, me: ProcessId) -> bool {
        let look = || Ok::<_, ()>(self.lock.look(who(me), 1).ok());
        wait(self.lock.gate(), Patience::Forever, look, |_| ()).expect("ends by the lock")
    }

    /// Adds one to both words, and mends them if it is told to.
    fn add(&self, me: ProcessId) {
        let mut is_half = self.lock(me);
        let [first, second] = &self.pair;
        // Relaxed: here and below, the lock is to bring all order that is needed.
        let (one, other) = (first.load(Relaxed), second.load(Relaxed));
        assert!(one == other || is_half, "nobody has told: {one}, {other}");
        if is_half {
            // Relaxed: as above.
            second.store(one, Relaxed);
            self.lock.hold(who(me), false);
            is_half = false;
        }
        // Relaxed: as above.
        first.store(one + 1, Relaxed);
        second.store(one + 1, Relaxed);
        self.lock.unlock(is_half);
    }

    fn sum(&self) -> u64 {
        // Relaxed: the others have been joined.
        self.pair[0].load(Relaxed)
    }
}

fn adds(guarded: &Arc<Guarded>, me: ProcessId) -> thread::JoinHandle<()> {
    let guarded = Arc::clone(guarded);
    thread::spawn(move || guarded.add(me))
}

/// A read-write lock, and what it guards.
struct Table {
    words: RwWords,
    pair: [AtomicU64; 2],
}

const PROCESSES: usize = 3;

impl Table {
    fn new() -> Arc<Self> {
        Arc::new(Table {
            words: RwWords::at(&Segment::empty(), 0, PROCESSES),
            pair: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    fn look(&self) -> [u64; 2] {
        // Relaxed: here and below, the lock is to bring all order that is needed.
        [self.pair[0].load(Relaxed), self.pair[1].load(Relaxed)]
    }

    /// Reads, and is told if the two words may differ.
    fn read(&self, me: ProcessId) -> u64 {
        let look = || Ok::<_, ()>(self.words.try_read(me).ok());
        let gate = self.words.writer().gate();
        let is_half = wait(gate, Patience::Forever, look, |_| ()).expect("ends by the lock");
        let [one, other] = self.look();
        assert!(one == other || is_half, "nobody has told: {one}, {other}");
        self.words.leave(me);
        one
    }

    fn write(&self, me: ProcessId) {
        let gate = self.words.writer().gate();
        let look = || Ok::<_, ()>(self.words.try_announce(who(me), 1).ok());
        let is_half = wait(gate, Patience::Forever, look, |_| ()).expect("ends by the lock");
        let look = || Ok::<_, ()>(self.words.reads().is_none().then_some(()));
        let gate = self.words.drained();
        wait(gate, Patience::Forever, look, |_| ()).expect("ends by the readers");
        self.words.writer().hold(who(me), is_half);
        let [one, other] = self.look();
        assert!(one == other || is_half, "nobody has told: {one}, {other}");
        // Relaxed: as above.
        self.pair[0].store(one + 1, Relaxed);
        self.pair[1].store(one + 1, Relaxed);
        self.words.unlock(false);
    }
}

fn in_a_thread<T: Send + Sync + 'static, R: 'static>(
    shared: &Arc<T>,
    body: impl FnOnce(&T) -> R + 'static,
) -> thread::JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || body(&shared))
}

/// Who reads sees what is whole, and a writer nobody inside; nobody sleeps for ever.
#[test]
fn a_reader_and_a_writer() {
    explore("rw lock: a reader and a writer", Some(3), || {
        let table = Table::new();
        let writer = in_a_thread(&table, |table| table.write(ProcessId(2)));
        let seen = table.read(ProcessId(0));
        writer.join().expect("ends");
        assert!(seen <= 1 && table.look() == [1, 1]);
    });
}

/// The same of two writers and a reader.
#[test]
fn two_writers_and_a_reader() {
    newest(|| {
        explore("rw lock: two writers and a reader", Some(2), || {
            let table = Table::new();
            let writers = [1, 2]
                .map(|process| in_a_thread(&table, move |table| table.write(ProcessId(process))));
            assert!(table.read(ProcessId(0)) <= 2);
            for writer in writers {
                writer.join().expect("ends");
            }
            assert_eq!(table.look(), [2, 2]);
        });
    });
}

/// A reader dies before each of its steps, while another process writes: it writes.
#[test]
fn a_reader_dies() {
    newest(|| {
        explore_deaths("rw lock: a reader dies", Some(2), |death, has_died| {
            let table = Table::new();
            let body = in_a_thread(&table, move |table| {
                run_mortal(death, || table.read(MORTAL)).is_some()
            });
            let writer = in_a_thread(&table, |table| table.write(ProcessId(2)));
            let lived = body.join().expect("ends");
            has_died.fetch_or(!lived, SeqCst);
            recovered(&table);
            writer.join().expect("ends");
            assert_eq!(table.read(ProcessId(0)), 1);
        });
    });
}

/// A writer dies before each of its steps, while another process reads: it is told if the data may
/// be half changed.
#[test]
fn a_writer_dies() {
    newest(|| {
        explore_deaths("rw lock: a writer dies", Some(2), |death, has_died| {
            let table = Table::new();
            let body = in_a_thread(&table, move |table| {
                run_mortal(death, || table.write(MORTAL)).is_some()
            });
            let reader = in_a_thread(&table, |table| table.read(ProcessId(2)));
            let lived = body.join().expect("ends");
            has_died.fetch_or(!lived, SeqCst);
            recovered(&table);
            assert!(reader.join().expect("ends") <= 1);
            table.write(ProcessId(0));
        });
    });
}

fn recovered(table: &Table) {
    table.words.recover(MORTAL);
    table.words.writer().gate().force();
    table.words.drained().force();
}

/// One is inside at a time, and sees what the former did; nobody sleeps for ever.
#[test]
fn one_is_inside() {
    explore("mutex: one is inside", Some(3), || {
        let guarded = Guarded::new();
        let other = adds(&guarded, ProcessId(2));
        guarded.add(ProcessId(0));
        other.join().expect("ends");
        assert_eq!(guarded.sum(), 2);
    });
}

/// The same of three, two of which may sleep when one is woken.
#[test]
fn of_three_one_is_inside() {
    newest(|| {
        explore("mutex: of three", Some(2), || {
            let guarded = Guarded::new();
            let others = [2, 3].map(|process| adds(&guarded, ProcessId(process)));
            guarded.add(ProcessId(0));
            for other in others {
                other.join().expect("ends");
            }
            assert_eq!(guarded.sum(), 3);
        });
    });
}

/// A holder dies before each of its steps, while another waits: the other gets the lock, and is
/// told if the data may be half changed.
#[test]
fn a_holder_dies() {
    newest(|| {
        explore_deaths("mutex: a holder dies", Some(2), |death, has_died| {
            let guarded = Guarded::new();
            let mortal = Arc::clone(&guarded);
            let body = thread::spawn(move || run_mortal(death, || mortal.add(MORTAL)).is_some());
            let other = adds(&guarded, ProcessId(2));
            let lived = body.join().expect("ends");
            has_died.fetch_or(!lived, SeqCst);
            guarded.lock.recover(MORTAL);
            guarded.lock.gate().force();
            other.join().expect("ends");
            assert!(guarded.sum() == 2 || !lived && guarded.sum() == 1);
            assert_eq!(guarded.lock.state().holder(), None);
        });
    });
}
