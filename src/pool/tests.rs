use std::sync::Arc;

use super::classes::{Class, MAX, SPAN};
use super::parcel::ParcelKind;
use super::spans::{RETIRING, SLAB, Span};
use super::*;
use crate::prim::{Generation, SlotIndex, Word};

mod half;
mod handing;
mod known;
mod passage;
mod ranges;
mod sending;
mod shards;
mod short;

const HOST: ProcessId = ProcessId::HOST;
const WORKER: ProcessId = ProcessId(1);

/// Two processes' sides of one pool, in one process.
fn pools(bytes: usize) -> (Pool, Pool) {
    let plan = PoolPlan::new(4096, bytes, 2);
    let segment = Arc::new(Segment::create(plan.end).expect("segment"));
    (
        Pool::attach(&segment, &plan, HOST),
        Pool::attach(&segment, &plan, WORKER),
    )
}

/// Everything is free and every span can be had again.
#[track_caller]
fn check_empty(pool: &Pool) {
    assert_eq!(pool.in_use(), [0, 0, 0]);
    pool.0.reclaim();
    let all = pool.0.claim_extent(pool.0.plan.spans);
    assert_eq!(all, Some(0), "all spans are free");
    pool.0.free_spans(0, pool.0.plan.spans);
}

#[test]
fn every_size_is_writable_and_comes_back() {
    let (host, _) = pools(64 << 20);
    let mut loans = Vec::new();
    for len in [
        0,
        1,
        64,
        65,
        1000,
        4096,
        5000,
        40_000,
        MAX,
        MAX + 1,
        1 << 20,
    ] {
        let mut loan = host.alloc(len).expect("room");
        assert!(loan.capacity() >= len);
        loan.fill(len as u8);
        assert_eq!(loan.as_ptr() as usize % 16, 0);
        loans.push((len, loan));
    }
    for (len, loan) in &loans {
        assert!(
            loan.iter().all(|b| *b == *len as u8),
            "{len} was overwritten"
        );
        assert_eq!(loan.len(), *len);
    }
    drop(loans);
    check_empty(&host);
}

#[test]
fn blocks_do_not_overlap() {
    let (host, worker) = pools(4 << 20);
    let mut loans = Vec::new();
    let mut lens = [64, 100, 300, 5000, 20_000, 200_000].iter().cycle();
    while let Ok(loan) = [&host, &worker][loans.len() % 2].alloc(*lens.next().expect("cycle")) {
        loans.push(loan);
    }
    let mut ranges: Vec<_> = loans
        .iter()
        .map(|l| (l.as_ptr() as usize, l.as_ptr() as usize + l.capacity()))
        .collect();
    ranges.sort_unstable();
    assert!(loans.len() > 50);
    assert!(ranges.windows(2).all(|p| p[0].1 <= p[1].0));
    drop(loans);
    check_empty(&worker);
}

#[test]
fn full_is_an_error_with_the_numbers() {
    let (host, _) = pools(1 << 20);
    assert_eq!(
        host.alloc(2 << 20).expect_err("too large"),
        AllocError::TooLarge {
            requested: 2 << 20,
            capacity: 1 << 20
        }
    );
    let all = host.alloc(1 << 20).expect("exactly all");
    let refused = host.alloc(1).expect_err("nothing left");
    assert!(matches!(
        refused,
        AllocError::Exhausted { requested: 1, .. }
    ));
    drop(all);
    host.alloc(1).expect("room again");
}

/// Memory stuck in one size class must come back for another.
#[test]
fn classes_give_spans_back_under_pressure() {
    let (host, worker) = pools(2 << 20);
    for len in [64, 1000, 10_000, 100_000, 1 << 20] {
        let mut loans = Vec::new();
        while let Ok(loan) = worker.alloc(len) {
            loans.push(loan);
        }
        assert!(!loans.is_empty(), "{len}: nothing could be had");
    }
    check_empty(&host);
}

#[test]
fn shared_is_freed_by_the_last_holder_in_either_process() {
    let (host, worker) = pools(1 << 20);
    let shared = host.alloc(100).expect("room").publish();
    let block = *shared.hold.block();
    let there = worker
        .accept(block.index, block.generation, None)
        .expect("alive");
    let again = worker
        .accept(block.index, block.generation, None)
        .expect("alive");
    drop(shared);
    assert_eq!(host.in_use(), [0, 1, 0]);
    drop(there);
    assert_eq!(host.in_use(), [0, 1, 0], "counted once more in the worker");
    drop(again);
    assert_eq!(host.in_use(), [0, 0, 0]);
    assert!(
        worker.accept(block.index, block.generation, None).is_none(),
        "a stale reference is refused"
    );
    check_empty(&host);
}

#[test]
fn a_loan_changes_hands_and_comes_back() {
    let (host, worker) = pools(1 << 20);
    let mut loan = host.alloc(8).expect("room");
    loan.copy_from_slice(b"argument");
    let transfer = Transfer::of_loan(loan);
    let parcel = transfer.argument(&host).expect("own pool");
    assert_eq!(Parcel::unpack(parcel.pack()), Some(parcel));
    let arrived = worker
        .accept_argument(&parcel, ProcessId::HOST)
        .expect("arrives");
    assert_eq!(arrived.bytes(), b"argument");
    drop(transfer);
    assert_eq!(host.in_use(), [1, 0, 0], "the worker's now");
    let slot = SlotIndex(3);
    let back = arrived.into_result(slot, &[]).expect("carried");
    assert_eq!(back.kind, ParcelKind::LoanResult);
    assert_eq!(host.in_use(), [0, 0, 1]);
    assert!(
        host.accept_result(&back, SlotIndex(4), &[]).is_none(),
        "another slot's"
    );
    let result = host.accept_result(&back, slot, &[]).expect("adopted");
    assert_eq!(result.bytes(), b"argument");
    drop(result);
    check_empty(&host);
}

#[test]
fn a_result_that_is_held_elsewhere_is_copied() {
    let (host, worker) = pools(1 << 20);
    let kept = worker.alloc(5).map(|mut l| {
        l.fill(9);
        l.publish()
    });
    let kept = kept.expect("room");
    let going = Transfer::new(kept.hold.clone(), 5);
    let parcel = going.into_result(SlotIndex(0), &[]).expect("copied");
    assert_ne!(parcel.index, kept.hold.block().index);
    let result = host
        .accept_result(&parcel, SlotIndex(0), &[])
        .expect("adopted");
    assert_eq!(result.bytes(), [9; 5]);
    assert_eq!(kept[..], [9; 5]);
}

#[test]
fn an_argument_returned_goes_by_reference() {
    let (host, worker) = pools(1 << 20);
    let shared = host.alloc(5).expect("room").publish();
    let (_, sent) = encoding(|| postcard::to_stdvec(&shared).expect("encodes"));
    let parcel = sent[0].argument(&host).expect("own pool");
    let there = worker
        .accept_argument(&parcel, ProcessId::HOST)
        .expect("arrives");
    let back = there
        .into_result(SlotIndex(0), &[parcel])
        .expect("by reference");
    assert_eq!(back.kind, ParcelKind::Borrowed);
    let result = host
        .accept_result(&back, SlotIndex(0), &sent)
        .expect("held");
    assert!(result.is_of(&parcel));
}

/// A submitter drops its arguments after they were queued; another thread may have
/// collected the result by then, with the same buffer in it.
#[test]
fn a_claim_from_before_a_loan_was_sent_frees_nothing() {
    let (host, worker) = pools(1 << 20);
    let before = Transfer::of_loan(host.alloc(5).expect("room"));
    let parcel = before.argument(&host).expect("own pool");
    let there = worker.accept_argument(&parcel, HOST).expect("arrives");
    let slot = SlotIndex(3);
    let back = there.into_result(slot, &[parcel]).expect("carried");
    let result = host.accept_result(&back, slot, &[]).expect("adopted");
    drop(before);
    assert_eq!(host.in_use(), [1, 0, 0], "the result is there");
    drop(result);
    check_empty(&host);
}

/// The host's claim to a loan ends when the worker takes it: published there, it comes
/// back as a block of its own.
#[test]
fn a_loan_may_come_back_published() {
    let (host, worker) = pools(1 << 20);
    let loan = Transfer::of_loan(host.alloc(5).expect("room"));
    let parcel = loan.argument(&host).expect("own pool");
    let there = worker.accept_argument(&parcel, HOST).expect("arrives");
    drop(loan);
    let Transfer { hold, len, .. } = there;
    let shared = Loan::of(hold, len).publish();
    let going = Transfer::new(shared.hold.clone(), len);
    drop(shared);
    let slot = SlotIndex(3);
    let back = going.into_result(slot, &[parcel]).expect("carried");
    assert_eq!(back.kind, ParcelKind::SharedResult);
    let result = host.accept_result(&back, slot, &[]).expect("adopted");
    assert_eq!(result.hold.block().index, parcel.index, "the same block");
    assert_eq!(host.in_use(), [0, 1, 0]);
    drop(result);
    check_empty(&host);
}

#[test]
fn buffers_travel_only_inside_tasks() {
    let (host, _) = pools(1 << 20);
    let shared = host.alloc(5).expect("room").publish();
    assert!(postcard::to_stdvec(&shared).is_err());
    assert!(postcard::from_bytes::<Shared>(&[0]).is_err());
    let (bytes, sent) = encoding(|| postcard::to_stdvec(&(1u8, &shared)).expect("encodes"));
    let (one, copy): (u8, Shared) = decoding(&mut { sent }, || {
        postcard::from_bytes(&bytes).expect("decodes")
    });
    assert_eq!((one, copy), (1, shared));
}

/// Death with blocks in every state: each is moved on by its own rule.
#[test]
fn recover_frees_what_only_the_dead_owned() {
    let (host, worker) = pools(8 << 20);
    let small = worker.alloc(100).expect("room");
    let run = worker.alloc(1 << 20).expect("room");
    let own = worker.alloc(200).expect("room").publish();
    let common = host.alloc(300).expect("room").publish();
    let block = *common.hold.block();
    let theirs = worker.accept(block.index, block.generation, None);
    let dead_result = Transfer::of_loan(worker.alloc(50).expect("room"))
        .into_result(SlotIndex(1), &[])
        .expect("carried");
    let done_result = Transfer::of_loan(worker.alloc(50).expect("room"))
        .into_result(SlotIndex(2), &[])
        .expect("carried");
    std::mem::forget((small, run, own, theirs));
    let found = host.recover(WORKER, |slot| slot == SlotIndex(2), |_| false);
    assert_eq!(found.freed, 3, "{found:?}: small, run, dead result");
    assert_eq!(found.released, 2, "{found:?}: own, common");
    assert!(
        host.accept_result(&dead_result, SlotIndex(1), &[])
            .is_none()
    );
    assert!(
        host.accept_result(&done_result, SlotIndex(2), &[])
            .is_some()
    );
    let nothing = host.recover(WORKER, |_| true, |_| false);
    assert_eq!((nothing.freed, nothing.released), (0, 0), "twice is once");
    drop(common);
    check_empty(&host);
}

/// Hints that died in a cache are issued again: all blocks can still be had.
#[test]
fn recover_reissues_hints() {
    let (host, worker) = pools(SPAN);
    drop(worker.alloc(64).expect("room")); // the only slab; hints in worker's cache
    worker
        .0
        .free_bits
        .iter()
        .for_each(|w| w.store(0, std::sync::atomic::Ordering::Relaxed));
    assert!(host.0.spans[0].load(std::sync::atomic::Ordering::Relaxed) != 0);
    host.recover(WORKER, |_| true, |_| false);
    let loans: Vec<_> = (0..SPAN / 64)
        .map(|_| host.alloc(64).expect("each block"))
        .collect();
    assert_eq!(loans.len(), 512);
}

/// Half-finished extents, written by hand: every point of building and of taking
/// down at which their author may die.
#[test]
fn recover_finishes_broken_extents() {
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let spans = 16;
    let class = Class::of(100_000).expect("a class of 16 spans");
    assert_eq!(class.slab_spans(), spans);
    for (building, row) in (0..=spans).flat_map(|n| [(true, n), (false, n)]) {
        let (host, worker) = pools(spans * SPAN);
        let inner = &worker.0;
        inner.header.span_end.store(spans as u64, relaxed);
        // Building claims upwards from 0, taking down frees downwards to 0: both
        // leave a row of `row` claimed spans behind the head.
        for span in 0..row {
            inner.spans[span].store(inner.claimed(0), relaxed);
        }
        if !building {
            for place in 0..class.slab_blocks() {
                let loaned = Word::new(BlockState::Loaned as u8, WORKER.0, Generation::new(5));
                inner
                    .word(inner.block_at(0, place))
                    .store(loaned.pack(), relaxed);
            }
            if row == 0 {
                continue; // complete; block words are already absent by then
            }
        }
        let found = host.recover(WORKER, |_| true, |_| false);
        assert_eq!(found.extents, usize::from(row > 0), "row {row}");
        check_empty(&host);
    }
}

/// Death while emptying a slab: blocks already retired come back.
#[test]
fn recover_revives_a_slab_half_retired() {
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let class = Class::of(4096).expect("a class");
    for retired in 0..=class.slab_blocks() {
        let (host, worker) = pools(SPAN);
        drop(worker.alloc(4096).expect("room"));
        let word = Word::unpack(worker.0.spans[0].load(relaxed));
        assert_eq!(word.state, SLAB);
        worker.0.set_span(0, RETIRING, word.generation.raw());
        for place in 0..retired {
            assert!(worker.0.retire_block(worker.0.block_at(0, place)));
        }
        host.recover(WORKER, |_| true, |_| false);
        assert_eq!(host.0.span(0), Span::Slab(class));
        let loans: Vec<_> = std::iter::from_fn(|| host.alloc(4096).ok()).collect();
        assert_eq!(loans.len(), class.slab_blocks());
    }
}

/// Random words in every table: nothing may panic, hang, or leave the arena.
#[test]
fn a_scribbled_pool_is_survived() {
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    for seed in 1..40u64 {
        let (host, worker) = pools(4 << 20);
        let kept: Vec<_> = (0..50)
            .map(|i| worker.alloc(i * 100).expect("room"))
            .collect();
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        host.0.header.span_end.store(next(), relaxed);
        for table in [
            &host.0.spans,
            &host.0.free_bits,
            &host.0.avail_bits,
            &host.0.blocks,
        ] {
            for word in table.iter() {
                if next() % 4 == 0 {
                    word.store(next(), relaxed);
                }
            }
        }
        let mut got = Vec::new();
        for i in 0..300 {
            if let Ok(mut loan) = host.alloc((i * 777) % 300_000) {
                loan.fill(1);
                got.push(loan);
            }
        }
        got.truncate(got.len() / 2);
        host.recover(WORKER, |slot| slot.0 % 2 == 0, |_| false);
        drop(got);
        std::mem::forget(kept);
    }
}

/// Threads of two processes allocate here and free there; every block carries
/// its owner's mark, and no mark is ever overwritten.
#[test]
fn allocate_here_free_there() {
    let (host, worker) = pools(8 << 20);
    std::thread::scope(|scope| {
        for (pool, seed) in [(&host, 1u64), (&worker, 2), (&worker, 3)] {
            let (send, receive) = std::sync::mpsc::sync_channel::<(u8, Loan)>(64);
            scope.spawn(move || {
                let mut x = seed;
                for _ in 0..20_000 {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let len = (x >> 40) as usize % 3000;
                    if let Ok(mut loan) = pool.alloc(len) {
                        loan.fill(x as u8);
                        send.send((x as u8, loan)).expect("receiver lives");
                    }
                }
            });
            scope.spawn(move || {
                for (mark, loan) in receive {
                    assert!(loan.iter().all(|b| *b == mark));
                }
            });
        }
    });
    check_empty(&host);
}
