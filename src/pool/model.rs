//! The pool's own source in every order of steps. Run by `scripts/models`.
//!
//! Deaths are in `deaths`, messages in `passages`. Each process is a thread with a side of its own; the numbers in `classes` are
//! small here, so that a slab has two or three blocks.

mod deaths;
mod passages;

use std::sync::Arc;

use loom::cell::Cell;
use loom::thread;

use super::classes::{Class, SPAN};
use super::*;
use crate::prim::mortal::{explore, newest};
use crate::prim::{Generation, SlotIndex};

const HOST: ProcessId = ProcessId::HOST;
const A: ProcessId = ProcessId(1);
/// A third; the one that dies.
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
    assert!(living.iter().all(|process| process.pool.damage().is_none()));
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

/// The host polls for a result and lets go of an argument while the worker does.
#[test]
fn argument_and_result_pass_each_other() {
    const SLOT: SlotIndex = SlotIndex(5);
    explore("pool: argument and result", None, || {
        let world = World::new(1);
        let host = world.process(HOST);
        let loan = Transfer::of_loan(host.alloc(THREE).expect("room"));
        let block = loan.argument(&host.pool).expect("own pool");
        let worker = spawn(world.process(A), move |a| {
            let hold = a.pool.accept(block.index, block.generation, Some(HOST));
            let Some(hold) = hold else {
                return None; // not sent after all
            };
            assert_eq!(a.read(hold.block()) >> 16, 0);
            for cell in a.cells(hold.block()) {
                cell.set(a.mark(hold.block()));
            }
            let hold = Transfer::new(hold, 0);
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
            let carried = Transfer::new(shared.hold, 0);
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
