//! What a process has made of a shared block is known while the block is, and no longer.

use std::sync::Mutex;

use super::*;

/// Who was told to look, by this process.
fn told_by(pool: &Pool) -> Arc<Mutex<Vec<ProcessId>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    pool.tell_keepers_by(move |keeper| list.lock().expect("sound").push(keeper));
    told
}

/// The block as the worker has it.
fn sent(shared: &Shared, from: &Pool, to: &Pool) -> Shared {
    let parcel = Transfer::of_shared(shared).argument(from);
    let parcel = parcel.expect("of this pool");
    let arrived = to.accept_argument(&parcel, HOST).expect("arrives");
    arrived.to_shared().expect("is shared")
}

#[test]
fn it_is_kept_until_the_block_is_gone() {
    let (host, worker) = pools(1 << 20);
    let told = told_by(&host);
    let shared = host.alloc(10).expect("room").publish();
    let in_host = shared.known_as(|| Arc::new(1u32));
    assert_eq!(*shared.known_as(|| Arc::new(2u32)), 1, "it is seen");
    drop(in_host);
    assert_eq!(*shared.known_as(|| Arc::new(3u32)), 3, "nobody had it");

    for value in [7u64, 8] {
        let there = sent(&shared, &host, &worker);
        assert_eq!(*there.known_as(|| Arc::new(value)), 7, "made once");
        assert_eq!(
            *there.known_as(|| Arc::new("of another type")),
            "of another type"
        );
    }
    assert_eq!((worker.kept(), worker.keeps_gone()), (1, false));
    worker.drop_gone();
    assert_eq!(worker.kept(), 1, "the host has the block");

    drop(shared);
    assert_eq!(*told.lock().expect("sound"), [WORKER]);
    assert!(worker.keeps_gone());
    worker.drop_gone();
    assert_eq!((worker.kept(), host.in_use()), (0, [0, 0, 0]));

    // The same memory again, of which nothing is known.
    let shared = host.alloc(10).expect("room").publish();
    let there = sent(&shared, &host, &worker);
    assert_eq!(*there.known_as(|| Arc::new(9u64)), 9);
    drop((shared, there));
    check_empty(&host);
}

/// Who frees the block tells the others that keep something, and none that has died.
#[test]
fn the_last_holder_tells_the_living() {
    let (host, worker) = pools(1 << 20);
    let (by_host, by_worker) = (told_by(&host), told_by(&worker));
    let shared = host.alloc(10).expect("room").publish();
    let there = sent(&shared, &host, &worker);
    there.known_as(|| Arc::new(1u64));
    drop(shared);
    assert!(
        by_host.lock().expect("sound").is_empty(),
        "it is held there"
    );
    drop(there);
    assert_eq!(*by_worker.lock().expect("sound"), [WORKER]);

    let shared = host.alloc(10).expect("room").publish();
    let there = sent(&shared, &host, &worker);
    shared.known_as(|| Arc::new(1u64));
    there.known_as(|| Arc::new(1u64));
    std::mem::forget(there);
    host.recover(WORKER, |_| false, |_| false);
    drop(shared);
    assert!(by_host.lock().expect("sound").is_empty(), "it is dead");
    check_empty(&host);
}
