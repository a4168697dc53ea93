//! A process dies before each of its steps, and the host recovers beside one that
//! goes on. Run by `scripts/models`.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use loom::thread;

use super::*;
use crate::prim::mortal::{run_mortal, step};

/// Runs the process that dies; true if it did.
pub(super) fn spawn_mortal(
    process: Process,
    death: u32,
    body: impl FnOnce(&Process) + 'static,
) -> thread::JoinHandle<bool> {
    thread::spawn(move || run_mortal(death, || body(&process)).is_none())
}

/// Deaths have so many orders that loads see the newest value here.
pub(super) fn explore_deaths(
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
    host.pool.recover(D, |_| false, |_| false);
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
            host.pool.recover(D, |_| false, |_| false);
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
        let loaned = loan.argument(&host.pool).expect("own pool");
        let held = *shared.hold.block();
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
            let made = Transfer::new(made.publish().hold, 0);
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
            .recover(D, |slot| slot == SLOT && returned.is_some(), |_| false);
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
        let block = loan.argument(&host.pool).expect("own pool");
        let worker = spawn(world.process(A), move |a| {
            let hold = a.pool.accept(block.index, block.generation, Some(HOST));
            let hold = hold.expect("sent");
            let going = Transfer::new(hold, 0);
            going.into_result(SLOT, &[]).expect("carried")
        });
        host.pool.recover(D, |slot| slot == SLOT, |_| false);
        let (a, parcel) = worker.join().expect("ends");
        drop(loan);
        let result = host.pool.accept_result(&parcel, SLOT, &[]);
        assert_eq!(host.pool.in_use(), [1, 0, 0], "the host's now");
        drop(result.expect("carried"));
        audit(&[&host, &a], None, TWO, 4);
    });
}
