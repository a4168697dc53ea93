//! Who waits for memory hears of it; who has none asks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::*;

/// How often the bell was rung.
fn rung(pool: &Pool) -> Arc<AtomicU32> {
    let rung = Arc::new(AtomicU32::new(0));
    let ring = Arc::clone(&rung);
    pool.ring_by(move || {
        ring.fetch_add(1, Ordering::SeqCst);
    });
    rung
}

#[test]
fn what_is_freed_is_told_while_somebody_waits() {
    let (host, worker) = pools(1 << 20);
    let rung = rung(&worker);
    for len in [100, MAX + 1] {
        let before = (host.freed(), rung.load(Ordering::SeqCst));
        drop(worker.alloc(len).expect("room"));
        assert_eq!((host.freed(), rung.load(Ordering::SeqCst)), before, "{len}");
        let held = worker.alloc(len).expect("room");
        let shared = worker.alloc(len).expect("room").publish();
        let waiting = host.wait_for_memory();
        drop((held, shared));
        let after = (host.freed(), rung.load(Ordering::SeqCst));
        assert_eq!(after, (before.0 + 2, before.1 + 2), "{len}");
        drop(waiting);
        drop(worker.alloc(len).expect("room"));
        assert_eq!(host.freed(), after.0, "{len}");
    }
}

/// Blocks whose hints one process keeps are found by another that has no other room.
#[test]
fn what_others_keep_is_found() {
    let (host, worker) = pools(SPAN);
    let mut all = Vec::new();
    while let Ok(loan) = worker.alloc(1000) {
        all.push(loan);
    }
    // One stays, so that the slab is not given back.
    all.truncate(1);
    assert!(host.alloc(1000).is_ok());
}

#[test]
fn a_task_that_asks_is_answered() {
    let (host, worker) = pools(1 << 20);
    let rung = rung(&worker);
    let all = host.alloc(1 << 20).expect("room");
    let calls = host.calls();
    let asks = host.asks();
    let collector = thread::spawn(move || {
        host.wait_for_call(calls);
        while host.asks() == asks {
            thread::yield_now();
        }
        drop(all);
        host.answer(host.asks());
        host
    });
    assert!(worker.alloc(1 << 20).is_ok(), "collected meanwhile");
    assert_eq!(rung.load(Ordering::SeqCst), 1);
    collector.join().expect("no panic");
}

/// Nobody is there: there is no room, a while later.
#[test]
fn a_host_that_does_not_answer_costs_patience() {
    let (host, worker) = pools(1 << 20);
    rung(&worker);
    let all = host.alloc(1 << 20).expect("room");
    assert!(matches!(
        worker.alloc(1 << 20),
        Err(AllocError::Exhausted { .. })
    ));
    // The host asks nobody, and without a bell nor does a worker.
    assert!(matches!(
        host.alloc(1 << 20),
        Err(AllocError::Exhausted { .. })
    ));
    assert_eq!(host.asks(), 1);
    drop(all);
}
