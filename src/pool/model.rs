//! The pool's own source in every order of steps. Run by `scripts/models`.
//!
//! Each process is a thread with a side of its own; the numbers in `classes` are
//! small here, so that a slab has two or three blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use loom::cell::Cell;
use loom::thread;

use super::classes::{Class, SPAN};
use super::*;
use crate::prim::mortal::{explore, newest, run_mortal, step};
use crate::prim::{Generation, SlotIndex};

const HOST: ProcessId = ProcessId::HOST;
const A: ProcessId = ProcessId(1);
/// The one that dies.
const D: ProcessId = ProcessId(2);
/// A class with two blocks in a slab of one span, one of them in a process's cache.
const TWO: usize = 96;
/// A class with three blocks to a span.
const THREE: usize = 64;
/// What takes two spans.
const RUN: usize = 2 * SPAN;

/// A segment with a pool, and what its memory holds, as plain memory: loom fails
/// an access that is not ordered behind the former owner's.
#[derive(Clone)]
struct World {
    segment: Arc<Segment>,
    plan: PoolPlan,
    memory: Arc<Vec<Cell<u32>>>,
}

/// One process's side.
struct Process {
    pool: Pool,
    memory: Arc<Vec<Cell<u32>>>,
}

impl World {
    fn new(spans: usize) -> Self {
        Self::with_processes(spans, 3)
    }

    fn with_processes(spans: usize, processes: usize) -> Self {
        World {
            segment: Arc::new(Segment::empty()),
            plan: PoolPlan::new(0, spans * SPAN, processes),
            memory: Arc::new((0..spans * SPAN / 32).map(|_| Cell::new(0)).collect()),
        }
    }

    fn process(&self, me: ProcessId) -> Process {
        Process {
            pool: Pool::attach(&self.segment, &self.plan, me),
            memory: Arc::clone(&self.memory),
        }
    }
}

impl Process {
    fn cells(&self, block: &Block) -> &[Cell<u32>] {
        &self.memory[block.offset / 32..(block.offset + block.capacity) / 32]
    }

    fn mark(&self, block: &Block) -> u32 {
        self.pool.0.me.0 << 16 | block.index.0 << 8 | block.generation.raw() as u32
    }

    /// A block that bears this process's mark.
    fn alloc(&self, len: usize) -> Option<Loan> {
        let loan = self.pool.alloc(len).ok()?;
        let mark = self.mark(loan.hold.block());
        for cell in self.cells(loan.hold.block()) {
            cell.set(mark);
        }
        Some(loan)
    }

    /// Whose mark a block bears.
    fn read(&self, block: &Block) -> u32 {
        let cells = self.cells(block);
        let mark = cells[0].get();
        assert!(cells.iter().all(|cell| cell.get() == mark), "two owners");
        mark
    }

    fn use_one(&self, len: usize) -> bool {
        let Some(loan) = self.alloc(len) else {
            return false;
        };
        assert_eq!(self.read(loan.hold.block()), self.mark(loan.hold.block()));
        true
    }

    fn alloc_all(&self, len: usize) -> Vec<Loan> {
        std::iter::from_fn(|| self.alloc(len)).collect()
    }
}

/// Nothing but `pinned` is in use, the living can allocate `count` blocks, and when
/// all is dropped the whole arena can be had.
#[track_caller]
fn audit(living: &[&Process], pinned: Option<Loan>, len: usize, count: usize) {
    let host = &living[0].pool;
    assert_eq!(host.in_use(), [usize::from(pinned.is_some()), 0, 0]);
    let loans: Vec<_> = living.iter().flat_map(|p| p.alloc_all(len)).collect();
    let mut indices: Vec<_> = loans.iter().map(|loan| loan.hold.block().index).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(
        (loans.len(), indices.len()),
        (count, count),
        "lost or double"
    );
    drop((loans, pinned));
    assert_eq!(host.in_use(), [0, 0, 0]);
    host.0.reclaim();
    assert_eq!(host.0.claim_extent(host.0.plan.spans), Some(0));
    assert!(living.iter().all(|process| process.pool.damage() == 0));
}

fn spawn<R: 'static>(
    process: Process,
    body: impl FnOnce(&Process) -> R + 'static,
) -> thread::JoinHandle<(Process, R)> {
    thread::spawn(move || {
        let result = body(&process);
        (process, result)
    })
}

/// Runs the process that dies; true if it did.
fn spawn_mortal(
    process: Process,
    death: u32,
    body: impl FnOnce(&Process) + 'static,
) -> thread::JoinHandle<bool> {
    thread::spawn(move || run_mortal(death, || body(&process)).is_none())
}

/// Two processes take and free blocks of one slab, which hints of both speak of.
#[test]
fn blocks_have_one_owner() {
    explore("pool: two allocate", Some(2), || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let other = spawn(world.process(A), |a| {
            a.use_one(THREE);
            a.use_one(THREE)
        });
        host.use_one(THREE);
        host.use_one(THREE);
        let (a, _) = other.join().expect("ends");
        audit(&[&host, &a], pinned, THREE, 2);
    });
}

/// The last two holders of a block let go; the one that frees it has its memory next.
#[test]
fn the_last_holder_frees() {
    explore("pool: last holder", Some(3), || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(TWO);
        let shared = host.alloc(TWO).expect("room").publish();
        let block = *shared.hold.block();
        let a = world.process(A);
        let theirs = a.pool.accept(block.index, block.generation, None);
        let holder = spawn(a, move |a| {
            let theirs = theirs.expect("the host holds it");
            assert_eq!(a.read(theirs.block()) >> 16, 0);
            drop(theirs);
            a.use_one(TWO)
        });
        host.read(&block);
        drop(shared);
        let used = host.use_one(TWO);
        let (a, used_there) = holder.join().expect("ends");
        let word = host.pool.0.load(block.index);
        let most = 1 + u64::from(used) + u64::from(used_there);
        assert!(word.generation.raw() <= most, "freed twice");
        audit(&[&host, &a], pinned, TWO, 1);
    });
}

/// One process empties a slab while another allocates and frees in it.
#[test]
fn a_slab_is_emptied_or_used() {
    explore("pool: reclaim and allocate", Some(2), || {
        a_slab_is_wanted(|a| a.pool.0.reclaim() > 0);
    });
}

/// The same, and its memory serves both, one after the other.
#[test]
fn a_slab_becomes_a_run() {
    newest(|| {
        explore("pool: slab or run", Some(3), || {
            a_slab_is_wanted(|a| a.use_one(SPAN));
        });
    });
}

fn a_slab_is_wanted(by: fn(&Process) -> bool) {
    let world = World::new(1);
    let host = world.process(HOST);
    host.use_one(TWO);
    let other = spawn(world.process(A), by);
    let pinned = host.alloc(TWO);
    host.use_one(TWO);
    let (a, _) = other.join().expect("ends");
    let count = 2 - usize::from(pinned.is_some());
    audit(&[&host, &a], pinned, TWO, count);
}

/// One follows an old hint into a slab that serves another class by now, while its
/// owner looks for the same block.
#[test]
fn an_old_hint_costs_no_other() {
    explore("pool: old hint", Some(2), || {
        let world = World::new(1);
        let (host, a) = (world.process(HOST), world.process(A));
        a.use_one(THREE);
        assert_eq!(host.pool.0.reclaim(), 1);
        let first = host.alloc(TWO);
        let pinned = host.alloc(TWO);
        drop(first);
        let other = spawn(a, |a| a.use_one(THREE));
        host.use_one(TWO);
        let (a, got_one) = other.join().expect("ends");
        assert!(!got_one, "all room is in the other class");
        audit(&[&host, &a], pinned, TWO, 1);
    });
}

/// A run of two spans that two processes want; its memory passes from one to the
/// other.
#[test]
fn a_run_changes_hands() {
    explore("pool: one run", Some(1), || {
        let world = World::new(2);
        let host = world.process(HOST);
        let other = spawn(world.process(A), |a| a.use_one(RUN));
        host.use_one(RUN);
        let (a, _) = other.join().expect("ends");
        audit(&[&host, &a], None, RUN, 1);
    });
}

/// Extents of several spans, claimed and given back by two processes that leave
/// room for one at a time.
#[test]
fn extents_do_not_overlap() {
    let model = || {
        let world = World::new(3);
        let host = world.process(HOST);
        let other = spawn(world.process(A), |a| {
            a.use_one(RUN);
            a.use_one(TWO);
        });
        host.use_one(RUN);
        host.use_one(TWO);
        let (a, ()) = other.join().expect("ends");
        audit(&[&host, &a], None, TWO, 6);
    };
    newest(|| explore("pool: two runs", Some(3), model));
}

/// Deaths have so many orders that loads see the newest value here.
fn explore_deaths(
    name: &str,
    preemptions: Option<usize>,
    model: impl Fn(u32, &AtomicBool) + Sync + Send + Clone + 'static,
) {
    newest(|| crate::prim::mortal::explore_deaths(name, preemptions, model));
}

/// What every model of a death ends with: the host recovers while `living` still
/// runs. Afterwards nothing of the dead is left.
fn recover_beside<R: 'static>(
    host: &Process,
    mortal: thread::JoinHandle<bool>,
    has_died: &AtomicBool,
    living: thread::JoinHandle<(Process, R)>,
) -> (Process, R) {
    has_died.fetch_or(mortal.join().expect("ends"), SeqCst);
    host.pool.recover(D, |_| false);
    living.join().expect("ends")
}

/// A process dies while it takes, publishes and frees blocks of a slab that others
/// use.
#[test]
fn block_user_dies() {
    explore_deaths("pool: block user dies", Some(2), |death, has_died| {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let mortal = spawn_mortal(world.process(D), death, |d| {
            let first = d.alloc(THREE).map(Loan::publish);
            let second = d.alloc(THREE);
            let _ = step();
            drop((first, second));
        });
        let living = spawn(world.process(A), |a| {
            if let Some(shared) = a.alloc(THREE).map(Loan::publish) {
                let word = a.pool.0.load(shared.hold.block().index);
                assert_eq!(word, shared.hold.word(), "freed while it is held");
            }
        });
        let (a, _) = recover_beside(&host, mortal, has_died, living);
        audit(&[&host, &a], pinned, THREE, 2);
    });
}

/// A process dies while it makes a slab, uses it and gives it back; another does
/// the same.
#[test]
fn slab_maker_dies() {
    explore_deaths("pool: slab maker dies", Some(2), |death, has_died| {
        let world = World::new(2);
        let host = world.process(HOST);
        let mortal = spawn_mortal(world.process(D), death, |d| {
            d.use_one(TWO);
            d.pool.0.reclaim();
        });
        let living = spawn(world.process(A), |a| a.use_one(TWO));
        let (a, _) = recover_beside(&host, mortal, has_died, living);
        audit(&[&host, &a], None, TWO, 4);
    });
}

/// As above; the other has an old hint, so that it may take a block at any time.
#[test]
fn slab_maker_dies_and_a_hint_is_old() {
    explore_deaths(
        "pool: slab maker dies, old hint",
        Some(2),
        |death, has_died| {
            let world = World::new(1);
            let (host, a) = (world.process(HOST), world.process(A));
            a.use_one(TWO);
            assert_eq!(host.pool.0.reclaim(), 1);
            let mortal = spawn_mortal(world.process(D), death, |d| {
                d.use_one(TWO);
            });
            let living = spawn(a, |a| a.alloc(TWO));
            has_died.fetch_or(mortal.join().expect("ends"), SeqCst);
            host.pool.recover(D, |_| false);
            let ours = host.alloc_all(TWO);
            let (a, theirs) = living.join().expect("ends");
            for (process, loan) in ours
                .iter()
                .map(|l| (&host, l))
                .chain(theirs.iter().map(|l| (&a, l)))
            {
                let block = loan.hold.block();
                assert_eq!(process.read(block), process.mark(block), "two owners");
            }
            drop(ours);
            let count = if theirs.is_some() { 1 } else { 2 };
            audit(&[&host, &a], theirs, TWO, count);
        },
    );
}

/// A process dies while it gives slabs back for room, of which another uses one.
#[test]
fn reclaimer_dies() {
    explore_deaths("pool: reclaimer dies", Some(2), |death, has_died| {
        let world = World::new(1);
        let (host, a) = (world.process(HOST), world.process(A));
        a.use_one(TWO);
        let mortal = spawn_mortal(world.process(D), death, |d| {
            d.use_one(THREE);
        });
        let living = spawn(a, |a| a.use_one(TWO));
        let (a, _) = recover_beside(&host, mortal, has_died, living);
        audit(&[&host, &a], None, TWO, 2);
    });
}

/// A process dies while it uses a slab that another gives back for room.
#[test]
fn user_of_a_reclaimed_slab_dies() {
    explore_deaths(
        "pool: dies beside a reclaimer",
        Some(2),
        |death, has_died| {
            let world = World::new(1);
            let (host, d) = (world.process(HOST), world.process(D));
            d.use_one(TWO);
            let mortal = spawn_mortal(d, death, |d| {
                let _loan = d.alloc(TWO);
                let _ = step();
            });
            let living = spawn(world.process(A), |a| a.use_one(SPAN));
            let (a, _) = recover_beside(&host, mortal, has_died, living);
            audit(&[&host, &a], None, TWO, 2);
        },
    );
}

/// A process dies while it claims and frees extents of several spans, another does
/// the same.
#[test]
fn run_user_dies() {
    explore_deaths("pool: run user dies", Some(2), |death, has_died| {
        let world = World::new(3);
        let host = world.process(HOST);
        let mortal = spawn_mortal(world.process(D), death, |d| {
            d.use_one(RUN);
        });
        let living = spawn(world.process(A), |a| a.use_one(RUN));
        let (a, _) = recover_beside(&host, mortal, has_died, living);
        audit(&[&host, &a], None, TWO, 6);
    });
}

/// A process dies while it gives memory back to the system.
#[test]
fn trimmer_dies() {
    explore_deaths("pool: trimmer dies", Some(2), |death, has_died| {
        let world = World::new(2);
        let (host, a) = (world.process(HOST), world.process(A));
        a.use_one(TWO);
        let mortal = spawn_mortal(world.process(D), death, |d| {
            d.pool.trim();
        });
        let living = spawn(a, |a| a.use_one(RUN));
        let (a, _) = recover_beside(&host, mortal, has_died, living);
        audit(&[&host, &a], None, TWO, 4);
    });
}

/// A worker takes a loan and a shared block as arguments, and returns a block of its
/// own: every death leaves each of them whole with the host, or free.
#[test]
fn worker_dies_with_arguments_and_result() {
    const SLOT: SlotIndex = SlotIndex(5);
    explore_deaths("pool: worker dies", Some(2), |death, has_died| {
        let world = World::new(3);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let loan = Transfer::of_loan(host.alloc(THREE).expect("room"));
        let shared = host.alloc(THREE).expect("room").publish();
        let (loaned, held) = (*loan.hold.block(), *shared.hold.block());
        let returned = Arc::new(Mutex::new(None));
        let result = Arc::clone(&returned);
        let mortal = spawn_mortal(world.process(D), death, move |d| {
            let pool = &d.pool;
            let ours = pool.accept(loaned.index, loaned.generation, Some(HOST));
            let theirs = pool.accept(held.index, held.generation, None);
            let (ours, theirs) = (ours.expect("sent"), theirs.expect("held"));
            assert_eq!(d.read(ours.block()) >> 16, 0);
            assert_eq!(d.read(theirs.block()) >> 16, 0);
            drop(ours);
            let made = d.alloc(TWO).expect("room");
            let made = Transfer {
                len: 0,
                hold: made.publish().hold,
            };
            let parcel = made.into_result(SLOT, &[]).expect("nobody else holds it");
            drop(theirs);
            // The slot's word says `Done` now.
            *lock(&result) = Some(parcel);
            let _ = step();
        });
        // The user lets go of what the task was given; a task that ends does.
        let living = spawn(world.process(A), |a| a.use_one(TWO));
        has_died.fetch_or(mortal.join().expect("ends"), SeqCst);
        let returned = lock(&returned).take();
        host.pool
            .recover(D, |slot| slot == SLOT && returned.is_some());
        if let Some(parcel) = returned {
            let result = host
                .pool
                .accept_result(&parcel, SLOT, &[])
                .expect("carried");
            assert_eq!(host.read(result.hold.block()) >> 16, D.0);
        }
        drop((loan, shared));
        let (a, _) = living.join().expect("ends");
        audit(&[&host, &a], pinned, THREE, 8);
    });
}

/// The host recovers what a dead worker left, and comes by a run that a living one is
/// about to return: what it saw of it first, and how it looked then, do not fit together.
#[test]
fn recovery_passes_a_run_on_its_way() {
    const SLOT: SlotIndex = SlotIndex(5);
    explore("pool: recovery passes a run", None, || {
        let world = World::new(2);
        let host = world.process(HOST);
        let loan = Transfer::of_loan(host.alloc(RUN).expect("room"));
        let block = *loan.hold.block();
        let worker = spawn(world.process(A), move |a| {
            let hold = a.pool.accept(block.index, block.generation, Some(HOST));
            let hold = hold.expect("sent");
            let going = Transfer { hold, len: 0 };
            going.into_result(SLOT, &[]).expect("carried")
        });
        host.pool.recover(D, |slot| slot == SLOT);
        let (a, parcel) = worker.join().expect("ends");
        drop(loan);
        let result = host.pool.accept_result(&parcel, SLOT, &[]);
        assert_eq!(host.pool.in_use(), [1, 0, 0], "the host's now");
        drop(result.expect("carried"));
        audit(&[&host, &a], None, TWO, 4);
    });
}

/// The host polls for a result and lets go of an argument while the worker does.
#[test]
fn argument_and_result_pass_each_other() {
    const SLOT: SlotIndex = SlotIndex(5);
    explore("pool: argument and result", None, || {
        let world = World::new(1);
        let host = world.process(HOST);
        let loan = Transfer::of_loan(host.alloc(THREE).expect("room"));
        let block = *loan.hold.block();
        let worker = spawn(world.process(A), move |a| {
            let hold = a.pool.accept(block.index, block.generation, Some(HOST));
            let Some(hold) = hold else {
                return None; // not sent after all
            };
            assert_eq!(a.read(hold.block()) >> 16, 0);
            for cell in a.cells(&block) {
                cell.set(a.mark(&block));
            }
            let hold = Transfer { hold, len: 0 };
            Some(hold.into_result(SLOT, &[]).expect("carried"))
        });
        drop(loan);
        let adopted = host.pool.adopt(block.index, block.generation, SLOT, true);
        if let Some(hold) = &adopted {
            assert_eq!(host.read(hold.block()) >> 16, A.0);
        }
        let (a, parcel) = worker.join().expect("ends");
        match (parcel, adopted) {
            (Some(parcel), None) => {
                host.pool
                    .accept_result(&parcel, SLOT, &[])
                    .expect("carried");
            }
            (parcel, adopted) => assert!(parcel.is_some() || adopted.is_none()),
        }
        audit(&[&host, &a], None, THREE, 3);
    });
}

/// One lets go of a block while another hands it to the host.
#[test]
fn carried_while_another_lets_go() {
    carried_from("pool: carried while another lets go", D);
}

/// The same, with more processes than a word has bits: the holders are not seen all
/// at once.
#[test]
fn carried_in_another_word() {
    carried_from("pool: carried in another word", ProcessId(64));
}

fn carried_from(name: &str, far: ProcessId) {
    const SLOT: SlotIndex = SlotIndex(5);
    explore(name, Some(3), move || {
        let world = World::with_processes(1, far.0 as usize + 1);
        let (host, a) = (world.process(HOST), world.process(A));
        let (number, far) = (far.0, world.process(far));
        let pinned = host.alloc(THREE);
        let shared = far.alloc(THREE).expect("room").publish();
        let block = *shared.hold.block();
        let theirs = a.pool.accept(block.index, block.generation, None);
        let other = spawn(a, move |a| {
            let theirs = theirs.expect("held");
            assert_eq!(a.read(theirs.block()) >> 16, number);
        });
        let carrier = spawn(far, move |_| {
            let carried = Transfer {
                hold: shared.hold,
                len: 0,
            };
            carried.into_result(SLOT, &[]).expect("carried, or copied")
        });
        let (far, parcel) = carrier.join().expect("ends");
        let result = host
            .pool
            .accept_result(&parcel, SLOT, &[])
            .expect("carried");
        let word = host.pool.0.load(result.hold.block().index);
        assert_eq!(word, result.hold.word(), "freed while the host holds it");
        drop(result);
        host.use_one(THREE);
        let (a, ()) = other.join().expect("ends");
        audit(&[&host, &a, &far], pinned, THREE, 2);
    });
}
