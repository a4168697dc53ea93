//! What threads keep at hand: it is bounded, it is no truth, and it keeps nothing alive.

use std::sync::Weak;

use super::*;

const LEN: usize = 64;
/// Blocks of the one slab that a pool of one span has room for.
const ALL: usize = SPAN / LEN;

fn small() -> Class {
    Class::of(LEN).expect("a class")
}

/// Hints in each shard.
fn kept(pool: &Pool) -> Vec<usize> {
    let shards = pool.0.shards.each();
    shards
        .map(|shard| shard.hints[small().index()].len())
        .collect()
}

/// All that can be had.
fn alloc_all(pool: &Pool) -> Vec<Loan> {
    std::iter::from_fn(|| pool.alloc(LEN).ok()).collect()
}

/// Runs `body` in a thread of its own, with a shard of its own.
fn in_thread<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(body).join()).expect("ends")
}

/// A block that one thread takes and gives back again and again is another one each
/// time: what speaks of a former use is refused.
#[test]
fn each_use_is_a_generation() {
    let (host, worker) = pools(SPAN);
    let mut seen = Vec::new();
    for told in [false, true, false] {
        let loan = Transfer::of_loan(host.alloc(LEN).expect("room"));
        let block = *loan.hold.block();
        let parcel = loan.parcel_as_argument(&host, told);
        drop(loan);
        seen.push(block.generation.raw());
        assert!(worker.accept_argument(&parcel, HOST).is_none(), "over");
        let again = host.alloc(LEN).expect("room");
        assert_eq!(again.hold.block().index, block.index, "the same memory");
        assert!(worker.accept_argument(&parcel, HOST).is_none(), "another");
        seen.push(again.hold.block().generation.raw());
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    check_empty(&host);
}

impl Transfer {
    /// What an argument's parcel would be, of a block that nobody was told of.
    fn parcel_as_argument(&self, pool: &Pool, told: bool) -> Parcel {
        if told {
            return self.argument(pool).expect("own pool");
        }
        Parcel {
            kind: ParcelKind::LoanArgument,
            index: self.hold.block().index,
            generation: self.hold.block().generation,
            start: 0,
            len: 0,
        }
    }
}

/// What is beyond the bound is announced to all processes.
#[test]
fn a_full_shard_issues_hints() {
    let (host, worker) = pools(SPAN);
    let loans = alloc_all(&worker);
    assert_eq!(loans.len(), ALL);
    assert!(host.alloc(LEN).is_err());
    // Every third, and the rest: words of free bits are met more than once.
    let mut rest = Vec::new();
    for (number, loan) in loans.into_iter().enumerate() {
        if number % 3 == 0 {
            drop(loan);
        } else {
            rest.push(loan);
        }
    }
    drop(rest);
    let left: usize = kept(&worker).iter().sum();
    assert!((1..=small().cache_max()).contains(&left), "{left}");
    let announced = (0..ALL - left).map(|_| host.alloc(LEN));
    let loans: Result<Vec<_>, _> = announced.collect();
    let more = alloc_all(&worker);
    assert_eq!(more.len(), left, "and each that is kept");
    drop((loans, more));
    check_empty(&host);
}

/// A thread that finds no room has what the others of its process keep.
#[test]
fn hints_of_other_threads_are_taken_back() {
    let (host, _) = pools(SPAN);
    let loans = in_thread(|| alloc_all(&host));
    assert_eq!(loans.len(), ALL);
    // Each record goes home, and the hint with it, whoever drops it.
    drop(loans);
    let (own, _) = host.0.shards.enter_own();
    // By hand, so that it does not matter which shard the threads had.
    let hints: Vec<_> = (host.0.shards.each())
        .flat_map(|mut shard| std::mem::take(&mut shard.hints[small().index()]))
        .collect();
    assert!(!hints.is_empty());
    host.0.shards.enter(own + 1).hints[small().index()] = hints;
    let loans = alloc_all(&host);
    assert_eq!(loans.len(), ALL);
    assert_eq!(kept(&host).iter().sum::<usize>(), 0);
    drop(loans);
    check_empty(&host);
}

/// What threads keep does not hinder giving memory back, nor does it count as used.
#[test]
fn what_is_kept_is_free() {
    let (host, worker) = pools(2 * SPAN);
    let loans = (alloc_all(&host), in_thread(|| alloc_all(&worker)));
    drop(loans);
    assert!(kept(&host).iter().sum::<usize>() > 0);
    assert_eq!(host.in_use(), [0, 0, 0]);
    assert_eq!(host.0.shards.loans(), 0);
    assert!(host.trim() >= 2 * SPAN);
    check_empty(&worker);
}

/// A process dies with full shards and with buffers: all of it can be had again.
#[test]
fn a_death_loses_only_hints() {
    let (host, worker) = pools(SPAN);
    let mut loans = alloc_all(&worker);
    let used = loans.split_off(ALL - 100);
    drop(loans);
    assert!(kept(&worker).iter().sum::<usize>() > 0);
    std::mem::forget(used);
    assert_eq!(host.recover(WORKER, |_| true, |_| false).freed, 100);
    assert_eq!(alloc_all(&host).len(), ALL);
    check_empty(&host);
}

/// Neither hints nor records keep the memory; a buffer does.
#[test]
fn the_last_buffer_lets_go_of_the_segment() {
    for other_threads in [false, true] {
        let (host, worker) = pools(1 << 20);
        drop(worker);
        let segment: Weak<Segment> = Arc::downgrade(&host.0.segment);
        let use_one = || drop((host.alloc(LEN), host.alloc(SPAN * 5)));
        use_one();
        in_thread(use_one);
        let mut kept: Vec<_> = (0..3).map(|_| host.alloc(LEN).expect("room")).collect();
        kept.push(in_thread(|| host.clone().alloc(5000).expect("room")));
        let shared = kept.remove(0).publish();
        drop(host);
        for (number, mut loan) in kept.into_iter().enumerate() {
            loan.fill(number as u8);
            assert!(loan.iter().all(|byte| *byte == number as u8));
            match other_threads {
                true => in_thread(|| drop(loan)),
                false => drop(loan),
            }
        }
        assert_eq!(shared.len(), LEN);
        assert!(segment.upgrade().is_some(), "held by a buffer");
        in_thread(|| drop(shared));
        assert!(segment.upgrade().is_none(), "held by nobody");
    }
}

/// Threads pass buffers round, and drop each other's, while the pool goes: every record
/// goes home, and the memory with the last.
#[test]
fn records_go_home_from_any_thread() {
    for seed in 1..20_u64 {
        let (host, worker) = pools(1 << 20);
        drop(worker);
        let segment = Arc::downgrade(&host.0.segment);
        let threads = 4_usize;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads)
            .map(|_| std::sync::mpsc::channel::<Loan>())
            .unzip();
        let threads: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(number, receiver)| {
                let (pool, next) = (host.clone(), senders[(number + 1) % threads].clone());
                std::thread::spawn(move || {
                    let mut x = seed * 8 + number as u64 + 1;
                    for _ in 0..500 {
                        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let mut loan = pool.alloc((x >> 40) as usize % 300).expect("room");
                        loan.fill(x as u8);
                        if x >> 60 < 8 {
                            let _ = next.send(loan);
                        }
                        if x >> 63 == 0 {
                            drop(receiver.try_recv());
                        }
                    }
                    drop((pool, next));
                    drop(receiver);
                })
            })
            .collect();
        drop((senders, host));
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("ends"));
        assert!(segment.upgrade().is_none(), "seed {seed}");
    }
}

/// Under one lock at a time, whoever has it.
#[test]
fn a_shard_has_one_user_at_a_time() {
    let (host, _) = pools(1 << 20);
    const TURNS: usize = 20_000;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..TURNS {
                    let mut shard = host.0.shards.enter(3);
                    let hints = &mut shard.hints[0];
                    let last = hints.pop().map_or(0, |hint| hint.0);
                    hints.push(BlockIndex(last + 1));
                }
            });
        }
    });
    let mut shard = host.0.shards.enter(3);
    assert_eq!(
        std::mem::take(&mut shard.hints[0]),
        [BlockIndex(3 * TURNS as u32)]
    );
}

/// What a program may do with a buffer does not depend on how its record is kept.
#[test]
fn buffers_go_anywhere() {
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    let (host, _) = pools(SPAN);
    let loan = host.alloc(LEN).expect("room");
    check(&host);
    check(&loan);
    check(&loan.publish());
    check_empty(&host);
}
