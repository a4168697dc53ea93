//! The pool's own source in every order of steps. Run by `scripts/models`.
//!
//! Each process is a thread with a side of its own; the numbers in `classes` are
//! small here, so that a slab has two or three blocks.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::cell::Cell;
use loom::thread;

use super::classes::{Class, SPAN};
use super::*;
use crate::prim::mortal::{explore, explore_deaths, run_mortal, step};
use crate::prim::{Generation, SlotIndex};

const HOST: ProcessId = ProcessId::HOST;
const A: ProcessId = ProcessId(1);
/// The one that dies.
const D: ProcessId = ProcessId(2);
/// A class with two blocks in a slab of one span, one of them in a process's cache.
const TWO: usize = 96;
/// A class with three blocks to a span.
const THREE: usize = 64;

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
        World {
            segment: Arc::new(Segment::empty()),
            plan: PoolPlan::new(0, spans * SPAN, 3),
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
    assert_eq!((loans.len(), indices.len()), (count, count), "lost or double");
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

/// The last two holders of a block let go; a third process takes blocks meanwhile.
#[test]
fn the_last_holder_frees() {
    explore("pool: last holder", Some(2), || {
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
        });
        let third = spawn(world.process(ProcessId(2)), |b| b.use_one(TWO));
        host.read(&block);
        drop(shared);
        let (a, ()) = holder.join().expect("ends");
        let (b, _) = third.join().expect("ends");
        let word = host.pool.0.load(block.index);
        assert!(word.generation.raw() <= block.generation.raw() + 2, "freed twice");
        audit(&[&host, &a, &b], pinned, TWO, 1);
    });
}

/// One process empties slabs for room while another allocates and frees in them.
#[test]
fn a_slab_is_emptied_or_used() {
    explore("pool: reclaim and allocate", Some(2), || {
        let world = World::new(1);
        let host = world.process(HOST);
        host.use_one(TWO);
        let other = spawn(world.process(A), |a| a.pool.0.reclaim());
        let pinned = host.alloc(TWO);
        host.use_one(TWO);
        let (a, _) = other.join().expect("ends");
        audit(&[&host, &a], pinned, TWO, 1);
    });
}
