//! Buffers in messages: passing and taking them. Deaths are in `deaths`.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::pool::entries::Said;
use crate::pool::entry::Entry;
use crate::pool::holders::{IN_TRANSIT, ONE_VERSION};

mod deaths;
mod random;

const LIVING: ProcessId = ProcessId(2);
const SPANS: usize = 24;
/// What takes five of them.
const RUN: usize = 5 * SPAN;

fn sides<const N: usize>(spans: usize, processes: usize, of: [ProcessId; N]) -> [Pool; N] {
    let plan = PoolPlan::new(4096, spans * SPAN, processes);
    let segment = Arc::new(Segment::create(plan.end).expect("segment"));
    of.map(|me| Pool::attach(&segment, &plan, me))
}

/// The host's side, the one that dies, and another that lives on.
fn three() -> [Pool; 3] {
    sides(SPANS, 3, [HOST, WORKER, LIVING])
}

fn no_copy(_: usize) -> Result<Loan, ()> {
    Err(())
}

fn published(pool: &Pool, bytes: &[u8]) -> Shared {
    let mut loan = pool.alloc(bytes.len()).expect("room");
    loan.copy_from_slice(bytes);
    loan.publish()
}

fn transfer(shared: &Shared) -> Transfer {
    Transfer::of_shared(shared)
}

/// A passage of a block that `pool` holds.
fn passed(pool: &Pool, shared: &Shared) -> Parcel {
    let parcel = transfer(shared).pass(pool, no_copy).expect("room");
    assert_eq!(parcel.kind, ParcelKind::Passing);
    // It comes by way of words.
    Parcel::unpack(parcel.pack()).expect("a kind")
}

fn entry(parcel: &Parcel) -> Entry {
    match parcel.passage() {
        Some(Passage::Entry(entry)) => entry,
        other => panic!("{other:?}"),
    }
}

fn is_in_transit(pool: &Pool, parcel: &Parcel) -> bool {
    pool.0.last_holders(parcel.index).load(Relaxed) & IN_TRANSIT != 0
}

/// Nothing is left of any passage.
#[track_caller]
fn check_done(pool: &Pool) {
    assert_eq!(pool.0.passages_made().count(), 0);
    assert_eq!(pool.damage(), None);
    check_empty(pool);
}

#[test]
fn what_is_one_process_s_alone_is_carried() {
    for shared in [false, true] {
        let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
        let mut loan = host.alloc(7).expect("room");
        loan.copy_from_slice(b"message");
        let going = match shared {
            true => transfer(&loan.publish()),
            false => Transfer::of_loan(loan),
        };
        let parcel = going.pass(&host, no_copy).expect("alone");
        let parcel = Parcel::unpack(parcel.pack()).expect("a kind");
        assert_eq!(parcel.is_loan(), !shared);
        assert_eq!(host.in_use(), [0, 0, 1]);
        assert!(worker.is_passing(&parcel));
        let taken = worker.take_passing(&parcel).expect("there");
        assert_eq!((taken.bytes(), taken.is_loan()), (&b"message"[..], !shared));
        assert!(!host.is_passing(&parcel));
        assert!(host.take_passing(&parcel).is_none(), "once");
        assert!(!host.end_passing(&parcel), "once");
        assert_eq!(
            host.in_use(),
            [usize::from(!shared), usize::from(shared), 0]
        );
        drop(taken);
        check_done(&host);
    }
}

#[test]
fn what_was_not_sent_after_all_is_taken_back_or_ended() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    for end in [false, true] {
        let loan = Transfer::of_loan(worker.alloc(100_000).expect("room"));
        let run = Transfer::of_loan(worker.alloc(RUN).expect("room"));
        let parcels = [loan, run].map(|one| one.pass(&worker, no_copy).expect("alone"));
        for parcel in parcels {
            match end {
                true => assert!(worker.end_passing(&parcel)),
                false => drop(worker.take_passing(&parcel).expect("there")),
            }
        }
    }
    check_done(&host);
}

#[test]
fn what_others_have_too_is_kept_by_a_passage_each() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    let shared = published(&host, b"model");
    let parcels: Vec<_> = (0..20).map(|_| passed(&host, &shared)).collect();
    drop(shared);
    assert_eq!(host.in_use(), [0, 1, 0], "the messages keep it");
    assert_eq!(host.0.holder_numbers(parcels[0].index), (vec![], true));
    for (at, parcel) in parcels.iter().enumerate() {
        assert!(is_in_transit(&host, parcel));
        if at % 3 == 0 {
            assert!(worker.end_passing(parcel));
            assert!(!worker.end_passing(parcel), "once");
            continue;
        }
        let seen = host.hold_passing(parcel).expect("there");
        assert_eq!(seen.bytes(), b"model");
        let taken = worker.take_passing(parcel).expect("there");
        assert_eq!(taken.bytes(), b"model");
        assert!(host.take_passing(parcel).is_none(), "once");
        assert!(host.hold_passing(parcel).is_none());
    }
    check_done(&host);
}

/// A range of a block travels as the range that it is.
#[test]
fn a_range_is_passed() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    let shared = published(&host, b"0123456789");
    let parcel = passed(&host, &shared.slice(3..5).expect("in it"));
    let alone = transfer(&shared.slice(5..8).expect("in it"));
    drop(shared);
    // The first passage keeps the block too.
    let second = alone.pass(&host, no_copy).expect("room");
    assert_eq!(second.kind, ParcelKind::Passing);
    let taken = [parcel, second].map(|p| worker.take_passing(&p).expect("there"));
    assert_eq!([taken[0].bytes(), taken[1].bytes()], [&b"34"[..], b"567"]);
    drop(taken);
    check_done(&host);
}

#[test]
fn a_loan_that_others_refer_to_goes_as_a_copy() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    let loan = host.alloc(5).map(|mut loan| {
        loan.fill(7);
        Arc::new(loan)
    });
    let loan = loan.expect("room");
    let (_, mut sent) = encoding(|| postcard::to_stdvec(&*loan).expect("encodes"));
    let parcel = sent.remove(0).pass(&host, |len| host.alloc(len));
    let parcel = parcel.expect("room");
    assert_eq!((parcel.kind, parcel.len), (ParcelKind::LoanMessage, 5));
    assert!(loan.is_empty(), "sent");
    let taken = worker.take_passing(&parcel).expect("there");
    assert_eq!(taken.bytes(), [7; 5]);
    drop((taken, loan));
    check_done(&host);
}

/// All places that a block's entries may have are taken: the bytes go as a copy. Afterwards the
/// table is as it was.
#[test]
fn without_room_in_the_table_the_bytes_are_copied() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    let shared = published(&host, b"often");
    let places = host.0.plan.passage_lines * (plan::LINE - 1);
    let parcels: Vec<_> = (0..places).map(|_| passed(&host, &shared)).collect();
    assert!(transfer(&shared).pass_held(&host).is_none());
    assert!(transfer(&shared).pass(&host, no_copy).is_err());
    let copy = transfer(&shared).pass(&host, |len| host.alloc(len));
    let copy = copy.expect("room");
    assert_eq!(copy.kind, ParcelKind::SharedMessage);
    let taken = worker.take_passing(&copy).expect("there");
    assert_eq!((taken.bytes(), taken.is_loan()), (&b"often"[..], false));
    let home = host.0.passages[host.0.home(parcels[0].index) * plan::LINE].load(Relaxed);
    assert_eq!(home as u32 as usize, host.0.plan.passage_lines - 1);
    drop((taken, shared));
    for parcel in parcels.iter().rev() {
        assert!(worker.end_passing(parcel));
    }
    let home = host.0.passages[host.0.home(parcels[0].index) * plan::LINE].load(Relaxed);
    assert_eq!(home as u32, 0, "one line is to be looked at again");
    check_done(&host);
}

/// Entries of one home do not hide behind another's: the reach goes down as far as they are.
#[test]
fn a_reach_is_lowered_to_what_is_left() {
    let [host] = sides(4, 3, [HOST]);
    let (a, b) = (published(&host, &[1; 4096]), published(&host, &[2; 4096]));
    let of_b = passed(&host, &b);
    let home = host.0.home(of_b.index);
    let reach = || host.0.passages[home * plan::LINE].load(Relaxed) as u32;
    let parcels: Vec<_> = (0..30).map(|_| passed(&host, &b)).collect();
    assert_eq!(reach(), 4);
    // One far away is left of b; a's look does not touch b's home.
    assert!(parcels[..29].iter().all(|p| host.end_passing(p)));
    assert!(host.end_passing(&of_b));
    let of_a = passed(&host, &a);
    host.end_passing(&of_a);
    assert_eq!(reach(), 4);
    drop(b);
    let last = parcels[29];
    assert!(is_in_transit(&host, &last));
    let taken = host.take_passing(&last).expect("there");
    assert_eq!((taken.bytes().len(), reach()), (4096, 0));
    drop((taken, a));
    check_done(&host);
}

/// An entry that was ended is another passage's now, of the same block: who comes late ends
/// nothing.
#[test]
fn an_end_that_comes_late_is_not_another_s() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    let shared = published(&host, b"again");
    let first = passed(&host, &shared);
    assert!(worker.end_passing(&first));
    let second = passed(&host, &shared);
    assert_eq!(entry(&first).at, entry(&second).at, "the same place");
    assert_ne!(first, second);
    assert!(!worker.end_passing(&first));
    assert!(worker.take_passing(&first).is_none());
    drop(shared);
    drop(worker.take_passing(&second).expect("there"));
    check_done(&host);
}

#[test]
fn a_parcel_that_was_spoilt_names_nothing() {
    let [host, worker] = sides(SPANS, 3, [HOST, WORKER]);
    let shared = published(&host, b"words");
    let good = passed(&host, &shared);
    let loan = Transfer::of_loan(host.alloc(5).expect("room"));
    let carried = loan.pass(&host, no_copy).expect("alone");
    for real in [good, carried] {
        let words = real.pack();
        for bit in 0..128 {
            let mut spoilt = words;
            spoilt[bit / 64] ^= 1 << (bit % 64);
            let Some(parcel) = Parcel::unpack(spoilt) else {
                continue;
            };
            // A bit of the start: it is the same buffer still.
            if parcel.passage() == real.passage() && parcel.index == real.index {
                continue;
            }
            assert!(worker.hold_passing(&parcel).is_none(), "bit {bit}");
            assert!(!worker.end_passing(&parcel), "bit {bit}");
            assert!(worker.take_passing(&parcel).is_none(), "bit {bit}");
        }
        let long = Parcel {
            len: 1 << 40,
            ..real
        };
        assert!(
            worker.take_passing(&long).is_none(),
            "longer than the block"
        );
        assert!(!worker.is_passing(&real), "ended: nobody can take it");
    }
    drop(shared);
    check_done(&host);
}

/// A former life's version stays, so that who was about to clear *in transit* then does not now.
#[test]
fn the_version_outlives_the_block() {
    let [host] = sides(1, 130, [HOST]);
    let versions: Vec<_> = (0..3)
        .map(|_| {
            let shared = published(&host, b"block");
            let parcel = passed(&host, &shared);
            drop(shared);
            drop(host.take_passing(&parcel));
            let bits = host.0.last_holders(parcel.index).load(Relaxed);
            assert_eq!(bits % ONE_VERSION, 0, "nobody holds it");
            (parcel.index, bits / ONE_VERSION)
        })
        .collect();
    assert!(
        versions
            .windows(2)
            .all(|two| two[0].0 == two[1].0 && two[0].1 < two[1].1)
    );
    check_done(&host);
}

struct All;

impl Living for All {
    fn is_alive(&self, process: ProcessId) -> bool {
        process != WORKER
    }
    fn is_busy(&self, _: ProcessId) -> bool {
        true
    }
    fn will_be_collected(&self, _: SlotIndex) -> bool {
        false
    }
}

#[test]
fn the_audit_counts_what_messages_keep() {
    let [host, dead, living] = three();
    let shared = published(&living, b"block");
    let made = passed(&living, &shared);
    let loan = Transfer::of_loan(living.alloc(9).expect("room"));
    let carried = loan.pass(&living, no_copy).expect("alone");
    let census = host.census(&All, 3);
    assert_eq!((census.passing, census.carried, census.shared), (1, 1, 1));
    drop(shared);
    let census = host.census(&All, 3);
    assert_eq!((census.passing, census.orphans.len()), (2, 0), "{census:?}");
    // Of one that has died, and of a block that is another's by now.
    let theirs = published(&dead, b"block");
    let lost = passed(&dead, &theirs);
    let block = host.0.load(made.index);
    let freed = Word::new(BlockState::Free as u8, 0, block.generation);
    host.0.word(made.index).store(freed.pack(), Relaxed);
    let orphans = host.census(&All, 3).orphans;
    let has = |what: &str| orphans.iter().any(|orphan| orphan.contains(what));
    assert!(has("made by process 1, which ended"), "{orphans:?}");
    assert!(has("the block is not read-only"), "{orphans:?}");
    host.0.word(made.index).store(block.pack(), Relaxed);
    std::mem::forget(theirs);
    host.end_passing(&lost);
    host.recover(WORKER, |_| false, |_| false);
    assert!([made, carried].iter().all(|one| host.end_passing(one)));
    check_done(&host);
}

/// Entries that no correct process writes.
#[test]
fn spoilt_entries_are_survived() {
    for seed in 1..30u64 {
        let [host, dead, _] = three();
        let shared = published(&dead, b"block");
        let parcels: Vec<_> = (0..20).map(|_| passed(&dead, &shared)).collect();
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        for word in host.0.passages.iter().step_by(3) {
            if next() % 2 == 0 {
                word.store(next(), Relaxed);
            }
        }
        for parcel in &parcels {
            host.hold_passing(parcel);
            host.end_passing(parcel);
            let _ = transfer(&shared).pass_held(&dead);
        }
        host.census(&All, 3);
        std::mem::forget(shared);
        host.recover(
            WORKER,
            |_| false,
            |passage| passage > Passage::Entry(entry(&parcels[0])),
        );
    }
}
