//! Messages that keep a block beside those who hold it, take it and let go of it; and deaths of both.
//! Run by `scripts/models`.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::deaths::{explore_deaths, spawn_mortal};
use super::*;
use crate::pool::parcel::{Parcel, ParcelKind};
use crate::prim::mortal::step;

/// A block that the process holds, with its mark.
fn published(process: &Process) -> Shared {
    process.alloc(THREE).expect("room").publish()
}

fn passed(process: &Process, shared: &Shared) -> Parcel {
    let parcel = Transfer::of_shared(shared).pass_held(&process.pool);
    parcel.expect("room in the table")
}

/// Takes the buffer of a message: it is whole, and its maker's.
fn take(process: &Process, parcel: &Parcel, maker: ProcessId) -> Transfer {
    let taken = process.pool.take_passing(parcel);
    let taken = taken.expect("the message keeps it");
    let mark = process.read(taken.hold.block());
    assert_eq!(mark >> 16, maker.0, "another's by now");
    taken
}

/// Nothing is left of the passages, nor of the block.
#[track_caller]
fn audit_passages(living: &[&Process], pinned: Option<Loan>) {
    let pool = &living[0].pool.0;
    assert_eq!(pool.passages_made().count(), 0, "an entry is left");
    for block in 0..3 {
        let (_, in_transit) = pool.holder_numbers(BlockIndex(block));
        assert!(!in_transit, "in no message");
    }
    audit(living, pinned, THREE, 2);
}

/// The last two messages with a block are taken at the same time: one frees it, once.
#[test]
fn the_last_taker_frees() {
    explore("pool: passages, last taker", Some(3), || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let (first, second) = (passed(&host, &shared), passed(&host, &shared));
        drop(shared);
        let other = spawn(world.process(A), move |a| {
            drop(take(a, &second, HOST));
            a.use_one(THREE)
        });
        drop(take(&host, &first, HOST));
        host.use_one(THREE);
        let (a, _) = other.join().expect("ends");
        audit_passages(&[&host, &a], pinned);
    });
}

/// One takes what seems to be the last message, while who holds the block makes another, and lets
/// go.
#[test]
fn a_passage_is_made_beside_the_last_taker() {
    explore("pool: a passage beside the last taker", Some(3), || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let first = passed(&host, &shared);
        let other = spawn(world.process(A), move |a| {
            drop(take(a, &first, HOST));
            a.use_one(THREE)
        });
        let second = passed(&host, &shared);
        drop(shared);
        host.use_one(THREE);
        let (a, _) = other.join().expect("ends");
        drop(take(&host, &second, HOST));
        audit_passages(&[&host, &a], pinned);
    });
}

/// The same with two that are ended without being taken.
#[test]
fn a_passage_is_made_beside_two_that_end() {
    let model = || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let (first, second) = (passed(&host, &shared), passed(&host, &shared));
        let ends = |parcel: Parcel| move |a: &Process| assert!(a.pool.end_passing(&parcel));
        let one = spawn(world.process(A), ends(first));
        let two = spawn(world.process(D), ends(second));
        let third = passed(&host, &shared);
        drop(shared);
        let (a, ()) = one.join().expect("ends");
        let (d, ()) = two.join().expect("ends");
        drop(take(&host, &third, HOST));
        audit_passages(&[&host, &a, &d], pinned);
    };
    newest(|| explore("pool: a passage beside two that end", Some(3), model));
}

/// The block's home is full, or just not: what lies in the next line is found, whoever lowers the
/// reach.
#[test]
fn a_passage_far_from_home_is_found() {
    explore("pool: a passage far from home", Some(3), || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let (first, second) = (passed(&host, &shared), passed(&host, &shared));
        let other = spawn(world.process(A), move |a| {
            assert!(a.pool.end_passing(&first));
            drop(take(a, &second, HOST));
        });
        let far = passed(&host, &shared);
        drop(shared);
        host.use_one(THREE);
        let (a, ()) = other.join().expect("ends");
        drop(take(&host, &far, HOST));
        audit_passages(&[&host, &a], pinned);
    });
}

/// A former holder lets go while a message brings the block from one process to another, whose bits
/// are in different words.
#[test]
fn a_passage_while_another_lets_go() {
    const FAR: ProcessId = ProcessId(64);
    for (name, sender, taker) in [
        ("pool: a passage to a far one", HOST, FAR),
        ("pool: a passage from a far one", FAR, HOST),
    ] {
        explore(name, Some(3), move || {
            let world = World::with_processes(1, 65);
            let (sending, a, taking) = (
                world.process(sender),
                world.process(A),
                world.process(taker),
            );
            let pinned = sending.alloc(THREE);
            let shared = published(&sending);
            let block = *shared.hold.block();
            let theirs = a.pool.accept(block.index, block.generation, None);
            let other = spawn(a, move |_| drop(theirs.expect("held")));
            let parcel = passed(&sending, &shared);
            drop(shared);
            let taken = take(&taking, &parcel, sender);
            let word = taking.pool.0.load(block.index);
            let (a, ()) = other.join().expect("ends");
            assert_eq!(word, taken.hold.word(), "freed, or about to be");
            assert_eq!(taking.read(&block) >> 16, sender.0);
            drop(taken);
            audit_passages(&[&sending, &a, &taking], pinned);
        });
    }
}

/// The one that takes a message dies, while another takes one with the same block.
#[test]
fn taker_dies() {
    explore_deaths("pool: taker dies", Some(2), |death, has_died| {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let (first, second) = (passed(&host, &shared), passed(&host, &shared));
        drop(shared);
        let mortal = spawn_mortal(world.process(D), death, move |d| {
            let taken = take(d, &first, HOST);
            let _ = step();
            drop(taken);
        });
        let living = spawn(world.process(A), move |a| drop(take(a, &second, HOST)));
        let died = mortal.join().expect("ends");
        has_died.fetch_or(died, SeqCst);
        // The message's cell is being read by the dead: what it had not taken is ended.
        assert!(!host.pool.end_passing(&first) || died);
        host.pool.recover(D, |_| false, |_| false);
        let (a, ()) = living.join().expect("ends");
        audit_passages(&[&host, &a], pinned);
    });
}

/// The one that sends a message dies, while another takes one with the same block; what it has sent
/// is whole or nothing, and is taken meanwhile, or later.
#[test]
fn maker_dies() {
    maker_dies_with("pool: maker dies", false);
    maker_dies_with("pool: maker dies, and its message is taken", true);
}

fn maker_dies_with(name: &str, at_once: bool) {
    explore_deaths(name, Some(2), move |death, has_died: &AtomicBool| {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let block = *shared.hold.block();
        let first = passed(&host, &shared);
        let d = world.process(D);
        let theirs = d.pool.accept(block.index, block.generation, None);
        drop(shared);
        let sent = Arc::new(Mutex::new(None));
        let message = Arc::clone(&sent);
        let mortal = spawn_mortal(d, death, move |d| {
            let theirs = Transfer::new(theirs.expect("held"), 0);
            let parcel = theirs.pass_held(&d.pool).expect("room");
            // The message is whole now.
            *lock(&message) = Some(parcel);
            let _ = step();
            drop(theirs);
        });
        let for_living = Arc::clone(&sent);
        let living = spawn(world.process(A), move |a| {
            drop(take(a, &first, HOST));
            let second = at_once.then(|| lock(&for_living).take()).flatten();
            if let Some(second) = second {
                drop(take(a, &second, HOST));
            }
        });
        has_died.fetch_or(mortal.join().expect("ends"), SeqCst);
        // As of a message that somebody living reads: it is not the host's to end.
        let parcel = *lock(&sent);
        let named = parcel.and_then(|parcel| parcel.passage());
        host.pool
            .recover(D, |_| false, |passage| at_once || named == Some(passage));
        let (a, ()) = living.join().expect("ends");
        if let Some(second) = lock(&sent).take() {
            drop(take(&host, &second, HOST));
        }
        if at_once {
            end_the_host_s(&host);
        }
        audit_passages(&[&host, &a], pinned);
    });
}

/// What was not sent to its end, and was believed to be.
fn end_the_host_s(host: &Process) {
    let left: Vec<_> = host.pool.0.passages_made().collect();
    for (entry, said) in left {
        assert!(host.pool.0.end_and_free(said.block, entry));
    }
}

/// A buffer that is one process's alone is carried: its sender dies, or who takes it.
#[test]
fn sender_or_taker_of_a_carried_one_dies() {
    explore_deaths("pool: carried by a message", Some(2), |death, has_died| {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let sent = Arc::new(Mutex::new(None));
        let message = Arc::clone(&sent);
        let from_living = world.process(A);
        let own = Transfer::new(published(&from_living).hold, 0);
        let own = own.pass(&from_living.pool, |_| Err(())).expect("alone");
        assert_eq!(own.kind, ParcelKind::SharedMessage);
        let mortal = spawn_mortal(world.process(D), death, move |d| {
            drop(take(d, &own, A));
            let loan = d.alloc(THREE).expect("room for three");
            let going = Transfer::new(loan.hold, 0);
            let parcel = going.pass(&d.pool, |_| Err(())).expect("alone");
            *lock(&message) = Some(parcel);
            let _ = step();
        });
        let for_living = Arc::clone(&sent);
        let living = spawn(from_living, move |a| {
            let parcel = lock(&for_living).take();
            parcel.is_some_and(|parcel| {
                drop(take(a, &parcel, D));
                true
            })
        });
        let died = mortal.join().expect("ends");
        has_died.fetch_or(died, SeqCst);
        assert!(!host.pool.end_passing(&own) || died);
        let (a, _) = living.join().expect("ends");
        let left = lock(&sent).take();
        let named = left.and_then(|parcel| parcel.passage());
        host.pool
            .recover(D, |_| false, |passage| named == Some(passage));
        if let Some(parcel) = left {
            drop(take(&host, &parcel, D));
        }
        audit_passages(&[&host, &a], pinned);
    });
}

/// Who asks whether its own passage alone keeps a block is right, though another takes a message with it
/// just then, and passes it on: the block is somebody's as long as it is not said.
#[test]
fn what_one_keeps_alone_is_nobody_elses() {
    explore("pool: kept by one's own passage alone", Some(3), || {
        let world = World::new(1);
        let host = world.process(HOST);
        let pinned = host.alloc(THREE);
        let shared = published(&host);
        let (own, message) = (passed(&host, &shared), passed(&host, &shared));
        let block = shared.hold.block().index;
        drop(shared);
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let other = spawn(world.process(A), move |a| {
            let taken = take(a, &message, HOST);
            let again = taken.pass_held(&a.pool).expect("room in the table");
            drop(taken);
            let taken = take(a, &again, HOST);
            done.store(true, SeqCst);
            drop(taken);
        });
        if host.pool.0.is_kept_by_entries(block, 1) {
            assert!(is_done.load(SeqCst), "another had it still");
        }
        let (a, _) = other.join().expect("ends");
        assert!(host.pool.0.is_kept_by_entries(block, 1));
        assert!(host.pool.end_passing(&own));
        audit_passages(&[&host, &a], pinned);
    });
}
