//! Half-finished states of blocks and spans: every row of the tables in
//! `docs/PROTOCOLS.md` and `pool::spans`, stopped after each step by hand.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::pool::spans::{CLAIMED, RUN};

/// The dead one's number, when a third process lives beside the host.
const LIVING: ProcessId = ProcessId(2);
const SLOT: SlotIndex = SlotIndex(3);

/// The host's side, the one that dies, and another that lives on.
fn three(spans: usize, processes: usize) -> [Pool; 3] {
    let plan = PoolPlan::new(4096, spans * SPAN, processes);
    let segment = Arc::new(Segment::create(plan.end).expect("segment"));
    [HOST, WORKER, LIVING].map(|me| Pool::attach(&segment, &plan, me))
}

fn word(state: BlockState, owner: u32, generation: u64) -> Word {
    Word::new(state as u8, owner, Generation::new(generation))
}

/// Recovers twice, as after two deaths in a row: the second pass changes nothing.
#[track_caller]
fn recover(host: &Pool, lives_on: bool) -> super::super::recover::Recovered {
    let found = host.recover(WORKER, |slot| lives_on && slot == SLOT, |_| false);
    let dump = |pool: &Pool| -> Vec<u64> {
        let tables = [&pool.0.spans, &pool.0.blocks];
        let words = tables.iter().flat_map(|table| table.iter());
        words.map(|word| word.load(Relaxed)).collect()
    };
    let before = dump(host);
    let again = host.recover(WORKER, |slot| lives_on && slot == SLOT, |_| false);
    assert_eq!((again.freed, again.released, again.extents), (0, 0, 0));
    assert_eq!(dump(host), before, "twice is once");
    assert_eq!(host.damage(), None);
    found
}

/// Each of `count` blocks for `len` bytes can be had once, by either of the living;
/// then everything is free.
#[track_caller]
fn check_each_once(living: [&Pool; 2], len: usize, count: usize) {
    let mut loans = Vec::new();
    for pool in living {
        while let Ok(loan) = pool.alloc(len) {
            loans.push(loan);
        }
    }
    let mut starts: Vec<_> = loans.iter().map(|loan| loan.as_ptr() as usize).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(
        (loans.len(), starts.len()),
        (count, count),
        "lost or double"
    );
    drop(loans);
    check_empty(living[0]);
}

/// `Free`→`Loaned`, and back: the hint may be lost in a private cache after each step
/// of taking it, and before each step of setting it.
#[test]
fn a_block_is_claimed_or_freed_up_to_each_step() {
    let class = Class::of(4096).expect("a class");
    let all = class.slab_blocks();
    type Step = fn(&Pool, BlockIndex, Class);
    let steps: [Step; 6] = [
        // Taking a hint: avail bit, free bits, claim.
        |dead, _, class| {
            let at = class.index() * dead.0.plan.avail_words();
            dead.0.avail_bits[at].store(0, Relaxed);
        },
        |dead, _, _| dead.0.free_bits[0].store(0, Relaxed),
        |dead, block, _| {
            let before = dead.0.load(block);
            let loaned = word(BlockState::Loaned, WORKER.0, before.generation.raw());
            assert!(dead.0.change(block, before, loaned));
        },
        // Freeing: word, free bit, avail bit.
        |dead, block, _| {
            let before = dead.0.load(block);
            let free = word(BlockState::Free, 0, before.generation.raw() + 1);
            assert!(dead.0.change(block, before, free));
        },
        |dead, block, _| {
            dead.0.free_bits[0].fetch_or(1 << block.0, Relaxed);
        },
        |dead, _, class| dead.0.set_avail(class, 0),
    ];
    for done in 0..=steps.len() {
        let [host, dead, living] = three(1, 3);
        // All of the only slab's blocks are announced as free bits.
        assert!(dead.0.new_slab(class, 0).expect("room").is_empty());
        let block = dead.0.block_at(0, 5);
        for step in &steps[..done] {
            step(&dead, block, class);
        }
        let found = recover(&host, false);
        assert_eq!(found.freed, usize::from(done == 3), "{done} steps");
        check_each_once([&living, &host], 4096, all);
    }
}

/// A process that dies with a block claimed by a hint that was wrong: its place serves
/// another class, or is being emptied by somebody who lives.
#[test]
fn a_block_claimed_by_a_stale_hint_comes_back() {
    let class = Class::of(4096).expect("a class");
    for retiring in [false, true] {
        let [host, dead, living] = three(1, 3);
        drop(living.alloc(4096).expect("room"));
        if retiring {
            living.0.set_span(0, RETIRING, class.index() as u64);
        }
        let block = dead.0.block_at(0, 2);
        let before = dead.0.load(block);
        let loaned = word(BlockState::Loaned, WORKER.0, before.generation.raw());
        assert!(dead.0.change(block, before, loaned));
        assert_eq!(recover(&host, false).freed, 1);
        if retiring {
            // It meets the block that was used, or does not: either way it goes on.
            assert_eq!(host.0.span(0), Span::Slab(class), "a slab still");
            living.0.revive_slab(0, class);
        }
        check_each_once([&living, &host], 4096, class.slab_blocks());
    }
}

/// `Loaned`→`Shared`, with holders in one word and in three: each holder word is
/// written, then the block's word.
#[test]
fn a_block_is_published_up_to_each_step() {
    for processes in [3_usize, 130] {
        let words = processes.div_ceil(64);
        for done in 0..=words + 1 {
            let [host, dead, living] = three(1, processes);
            // What an earlier use left must not count.
            let index = *dead.alloc(4096).expect("room").hold.block();
            dead.0
                .holders(index.index)
                .iter()
                .for_each(|holders| holders.store(u64::MAX, Relaxed));
            let loan = dead.alloc(4096).expect("room");
            let block = *loan.hold.block();
            assert_eq!(block.index, index.index, "the last freed comes first");
            let before = dead.0.load(block.index);
            for (at, holders) in dead.0.holders(block.index).iter().enumerate().take(done) {
                holders.store(if at == 0 { 1 << WORKER.0 } else { 0 }, Relaxed);
            }
            if done > words {
                let shared = word(BlockState::Shared, 0, before.generation.raw());
                assert!(dead.0.change(block.index, before, shared));
            }
            std::mem::forget(loan);
            let found = recover(&host, false);
            let expected = if done > words { (0, 1) } else { (1, 0) };
            assert_eq!((found.freed, found.released), expected, "{done} of {words}");
            assert_eq!(host.in_use(), [0, 0, 0]);
            // Its next user is its only holder.
            let again = host.alloc(4096).expect("room").publish();
            let held = living.accept(
                again.hold.block().index,
                again.hold.block().generation,
                None,
            );
            drop(held.expect("alive"));
            drop(again);
            check_each_once([&living, &host], 4096, 8);
        }
    }
}

/// `Loaned(p)`→`Loaned(q)`: an argument is the host's or the dead one's.
#[test]
fn a_loan_is_accepted_or_not() {
    for accepted in [false, true] {
        let [host, dead, living] = three(1, 3);
        let sent = Transfer::of_loan(host.alloc(4096).expect("room"));
        let parcel = sent.argument(&host).expect("own pool");
        let arrived = accepted.then(|| {
            dead.accept_argument(&parcel, ProcessId::HOST)
                .expect("arrives")
        });
        std::mem::forget(arrived);
        assert_eq!(recover(&host, false).freed, usize::from(accepted));
        assert_eq!(host.in_use(), [usize::from(!accepted), 0, 0]);
        // The task has ended: the host's former claim frees what is still its own.
        drop(sent);
        assert!(
            living.accept_argument(&parcel, ProcessId::HOST).is_none(),
            "another generation"
        );
        check_each_once([&living, &host], 4096, 8);
    }
}

/// `Loaned` or `Shared`→`Carried`→adopted: the result of a task that will be
/// collected is the host's, any other is freed.
#[test]
fn a_result_is_carried_up_to_each_step() {
    for (shared, lives_on) in [(false, false), (false, true), (true, false), (true, true)] {
        let [host, dead, living] = three(1, 3);
        let transfer = Transfer::of_loan(dead.alloc(4096).expect("room"));
        let transfer = if shared {
            let loan = Loan::of(transfer.hold, 4096);
            Transfer::new(loan.publish().hold, 4096)
        } else {
            transfer
        };
        let parcel = transfer.into_result(SLOT, &[]).expect("carried");
        assert_eq!(host.in_use(), [0, 0, 1]);
        let found = recover(&host, lives_on);
        assert_eq!(found.freed, usize::from(!lives_on));
        let result = host.accept_result(&parcel, SLOT, &[]);
        assert_eq!(result.is_some(), lives_on);
        assert!(host.accept_result(&parcel, SLOT, &[]).is_none(), "once");
        // A second death, while the host holds the result.
        recover(&host, false);
        let kinds = if shared { [0, 1, 0] } else { [1, 0, 0] };
        assert_eq!(host.in_use(), if lives_on { kinds } else { [0; 3] });
        drop(result);
        check_each_once([&living, &host], 4096, 8);
    }
}

/// A result of several blocks that fails half-way: its author takes back what it has
/// handed over, and dies when it has adopted it.
#[test]
fn a_result_is_taken_back_by_the_dead() {
    for shared in [false, true] {
        let [host, dead, living] = three(1, 3);
        let hold = dead.alloc(4096).expect("room").hold;
        let parcel = Transfer::new(hold, 1)
            .into_result(SLOT, &[])
            .expect("carried");
        let adopted = dead.adopt(parcel.index, parcel.generation, SLOT, !shared);
        std::mem::forget(adopted.expect("its own slot's"));
        let found = recover(&host, true);
        assert_eq!(found.freed + found.released, 1);
        assert!(host.accept_result(&parcel, SLOT, &[]).is_none());
        check_each_once([&living, &host], 4096, 8);
    }
}

/// A holder's bit: set before the block's word is looked at, cleared before the last
/// holder looks for others. The dead may be the last, or not.
#[test]
fn a_holder_comes_and_goes_up_to_each_step() {
    for others in [false, true] {
        for done in 0..=3 {
            let [host, dead, living] = three(1, 130);
            let shared = host.alloc(4096).expect("room").publish();
            let (index, generation) = (shared.hold.block().index, shared.hold.block().generation);
            match done {
                // acquire: the bit, the block's word not yet looked at; then it holds.
                1 => {
                    dead.0.holders(index)[0].fetch_or(1 << WORKER.0, Relaxed);
                }
                2 => std::mem::forget(dead.accept(index, generation, None).expect("alive")),
                // Before acquire; release: the bit is gone, the block not yet freed.
                _ => {}
            }
            let kept = others.then(|| living.accept(index, generation, None).expect("alive"));
            // The host lets go first, unless the dead one's step is the last.
            if done == 3 && !others {
                let holders = dead.0.holders(index);
                holders.iter().for_each(|word| word.store(0, Relaxed));
                std::mem::forget(shared);
                lock(host.0.shard(index)).remove(&index);
            } else {
                drop(shared);
            }
            let found = recover(&host, false);
            assert_eq!(found.released, usize::from(matches!(done, 1 | 2)), "{done}");
            assert_eq!(host.in_use(), [0, usize::from(others), 0], "{done}");
            drop(kept);
            check_each_once([&living, &host], 4096, 8);
        }
    }
}

/// A bit set by a hint that was too old: the block is free or somebody's by now. It
/// counts for nothing when the block is published.
#[test]
fn a_bit_in_a_block_that_is_not_shared_counts_for_nothing() {
    let [host, dead, living] = three(1, 3);
    let loan = living.alloc(4096).expect("room");
    let index = loan.hold.block().index;
    dead.0.holders(index)[0].fetch_or(1 << WORKER.0, Relaxed);
    assert_eq!(recover(&host, false), Default::default());
    let shared = loan.publish();
    assert_eq!(host.in_use(), [0, 1, 0]);
    drop(shared);
    assert_eq!(host.in_use(), [0, 0, 0]);
    check_each_once([&living, &host], 4096, 8);
}

/// A slab is made up to each step: the range is raised, spans are claimed upwards,
/// the head says slab, blocks are made one by one, hints are set.
#[test]
fn a_slab_is_made_up_to_each_step() {
    let class = Class::of(20_000).expect("a class of 4 spans");
    let (spans, blocks) = (class.slab_spans(), class.slab_blocks());
    assert_eq!(spans, 4);
    for done in 0..=1 + spans + 1 + blocks + 1 {
        let [host, dead, living] = three(spans, 3);
        let inner = &dead.0;
        let mut left = done;
        let mut step = || {
            let go_on = left > 0;
            left = left.saturating_sub(1);
            go_on
        };
        if step() {
            inner.header.span_end.fetch_max(spans as u64, Relaxed);
        }
        for span in 0..spans {
            if step() {
                inner.spans[span].store(inner.claimed(0), Relaxed);
            }
        }
        if step() {
            inner.set_span(0, SLAB, class.index() as u64);
        }
        for place in 0..blocks {
            if step() {
                inner.make_free(inner.block_at(0, place));
            }
        }
        if step() {
            inner.free_bits[0].store((1 << blocks) - 1, Relaxed); // no avail bit
        }
        recover(&host, false);
        let is_slab = host.0.span(0) == Span::Slab(class);
        assert_eq!(is_slab, done > 1 + spans, "{done} steps");
        check_each_once([&living, &host], 20_000, blocks);
    }
}

/// A slab is given back up to each step: it is retiring, its blocks vanish one by one,
/// its head is claimed, hints are cleared, spans are freed downwards. Somebody else
/// uses one of the blocks, or nobody does.
#[test]
fn a_slab_is_given_back_up_to_each_step() {
    let class = Class::of(20_000).expect("a class of 4 spans");
    let (spans, blocks) = (class.slab_spans(), class.slab_blocks());
    for used in [None, Some(0), Some(3)] {
        for done in 0..=1 + blocks + 2 + spans {
            let [host, dead, living] = three(spans, 3);
            let inner = &dead.0;
            assert!(inner.new_slab(class, 0).is_some());
            let mut user = None;
            if let Some(place) = used {
                // Those before it stay with the user: any one will do.
                let loans: Vec<_> = (0..=place).map(|_| living.alloc(20_000)).collect();
                user = loans.into_iter().flatten().last();
            }
            let mut left = done;
            let mut step = || {
                let go_on = left > 0;
                left = left.saturating_sub(1);
                go_on
            };
            if step() {
                inner.set_span(0, RETIRING, class.index() as u64);
            }
            let emptied =
                (0..blocks).all(|place| step() && inner.retire_block(inner.block_at(0, place)));
            assert!(!emptied || user.is_none());
            if emptied && step() {
                inner.spans[0].store(inner.claimed(0), Relaxed);
                if step() {
                    inner.clear_hints(0);
                }
                for span in (0..spans).rev() {
                    if step() {
                        inner.spans[span].store(0, Relaxed);
                    }
                }
            }
            // Meanwhile the block is its user's: it can be published, and freed.
            let shared = user.map(Loan::publish);
            if done % 2 == 0 {
                drop(shared);
                recover(&host, false);
            } else {
                recover(&host, false);
                drop(shared);
            }
            assert_eq!(living.damage(), None, "{used:?}, {done} steps");
            check_each_once([&living, &host], 20_000, blocks);
        }
    }
}

/// A run is taken and given back up to each step, by its owner or by the last holder.
#[test]
fn a_run_is_taken_and_given_back_up_to_each_step() {
    let spans = 5;
    let taking = spans + 2;
    for done in 0..=taking + 4 + spans {
        let [host, dead, living] = three(spans, 3);
        let inner = &dead.0;
        let block = inner.block_at(0, 0);
        let mut left = done;
        let mut step = || {
            let go_on = left > 0;
            left = left.saturating_sub(1);
            go_on
        };
        inner.header.span_end.store(spans as u64, Relaxed);
        for span in 0..spans {
            if step() {
                inner.spans[span].store(inner.claimed(0), Relaxed);
            }
        }
        let loaned = word(BlockState::Loaned, WORKER.0, 0);
        if step() {
            assert!(inner.change(block, word(BlockState::Absent, 0, 0), loaned));
        }
        if step() {
            inner.set_span(0, RUN, spans as u64);
        }
        // It was shared, and the dead was the last to hold it: frees it, as its own.
        let shared = word(BlockState::Shared, 0, 0);
        if step() {
            assert!(inner.change(block, loaned, shared));
        }
        if step() {
            assert!(inner.change(block, shared, loaned));
        }
        if step() {
            inner.spans[0].store(inner.claimed(0), Relaxed);
        }
        if step() {
            assert!(inner.change(block, loaned, word(BlockState::Absent, 0, 1)));
        }
        for span in (0..spans).rev() {
            if step() {
                inner.spans[span].store(0, Relaxed);
            }
        }
        recover(&host, false);
        check_each_once([&living, &host], spans * SPAN, 1);
    }
}

/// A row of spans is claimed until one is taken, and given back: what is behind it is
/// somebody else's, and stays.
#[test]
fn a_vain_claim_is_given_back_up_to_each_step() {
    for (claimed, freed) in (0..=4).flat_map(|claimed| (0..=claimed).map(move |f| (claimed, f))) {
        let [host, dead, living] = three(5, 3);
        let theirs = living.0.claimed(4);
        living.0.header.span_end.store(5, Relaxed);
        living.0.spans[4].store(theirs, Relaxed);
        for span in 0..claimed - freed {
            dead.0.spans[span].store(dead.0.claimed(0), Relaxed);
        }
        let found = recover(&host, false);
        assert_eq!(found.extents, usize::from(claimed > freed));
        assert_eq!(host.0.spans[4].load(Relaxed), theirs, "not the dead one's");
        living.0.free_spans(4, 1);
        check_each_once([&living, &host], 5 * SPAN, 1);
    }
}

/// The hint where free spans begin may be wrong in either direction.
#[test]
fn where_to_look_first_is_only_a_hint() {
    for low in [0, 3, 5, u64::MAX] {
        let [host, dead, living] = three(5, 3);
        dead.0.header.span_low.store(low, Relaxed);
        recover(&host, false);
        check_each_once([&living, &host], 5 * SPAN, 1);
    }
}

/// Memory is given back to the system span by span; the one that the dead had claimed
/// comes back.
#[test]
fn a_trim_is_stopped_at_each_span() {
    for at in 0..5 {
        let [host, dead, living] = three(5, 3);
        drop(living.alloc(5 * SPAN).expect("room"));
        dead.0.spans[at].store(dead.0.claimed(at), Relaxed);
        let own = Word::unpack(dead.0.spans[at].load(Relaxed));
        assert_eq!((own.state, own.owner), (CLAIMED, WORKER.0));
        assert_eq!(recover(&host, false).extents, 1);
        assert_eq!(host.trim(), 5 * SPAN);
        check_each_once([&living, &host], 5 * SPAN, 1);
    }
}

/// What a living process is in the middle of is none of the rescuer's business.
#[test]
fn recovery_leaves_the_living_alone() {
    let class = Class::of(4096).expect("a class");
    let [host, _dead, living] = three(4, 3);
    let loan = living.alloc(4096).expect("room");
    let shared = living.alloc(100).expect("room").publish();
    living.0.header.span_end.store(4, Relaxed);
    living.0.spans[2].store(living.0.claimed(2), Relaxed);
    living.0.spans[3].store(living.0.claimed(2), Relaxed);
    living.0.set_span(0, RETIRING, class.index() as u64);
    assert_eq!(recover(&host, false), Default::default());
    assert_eq!(host.in_use(), [1, 1, 0]);
    living.0.revive_slab(0, class);
    living.0.free_spans(2, 2);
    drop((loan, shared));
    check_each_once([&living, &host], 4096, 32);
}
