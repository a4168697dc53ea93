//! `Router::balance` when all queues are full: it goes on as soon as any has room.

use std::time::Duration;

use pinfold::Runtime;
use pinfold::channel::{Receiver, Router, Select, SendFault, Sender};

use crate::routing::{nothing_left, runtime};

const LONG: Duration = Duration::from_secs(60);

/// Waits until so many threads sleep at shared objects.
fn until_asleep(rt: &Runtime, threads: usize) {
    while rt.stats().waits.len() < threads {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A router of so many receivers, all of whose queues are full.
fn full(rt: &Runtime, receivers: usize, capacity: usize) -> (Router<u32>, Vec<Receiver<u32>>) {
    let (mut router, all) = rt.router::<u32>(receivers, capacity).expect("room");
    for receiver in 0..receivers {
        for _ in 0..capacity {
            router.route(receiver, 0).expect("room");
        }
    }
    router.set_timeout(Some(LONG));
    (router, all)
}

#[test]
fn it_goes_on_whichever_queue_has_room_first() {
    let rt = runtime(1);
    let (router, receivers) = full(&rt, 5, 1);
    for (n, receiver) in (1..).zip(&receivers) {
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| router.balance(n));
            until_asleep(&rt, 1);
            assert_eq!(receiver.recv(), Ok(0));
            assert_eq!(sent.join().expect("no panic"), Ok(()));
        });
        assert_eq!(receiver.len(), 1);
    }
    let got: Vec<_> = receivers.iter().flat_map(Receiver::try_iter).collect();
    assert_eq!(got, [1, 2, 3, 4, 5]);
    drop((router, receivers));
    nothing_left(&rt);
}

/// As many as there is room for in a queue of one that joins, or that receives, or leaves with all others.
#[test]
fn all_that_wait_go_on() {
    let rt = runtime(1);
    let (router, mut receivers) = full(&rt, 3, 4);
    let wait = |change: &mut dyn FnMut()| -> Vec<Result<(), SendFault>> {
        std::thread::scope(|scope| {
            let send = |n| {
                let router = router.clone();
                scope.spawn(move || router.balance(n).map_err(|error| error.fault))
            };
            let all: Vec<_> = (1..=4).map(send).collect();
            until_asleep(&rt, 4);
            change();
            let ends = all.into_iter().map(|sent| sent.join().expect("no panic"));
            ends.collect()
        })
    };
    let mut joined = Vec::new();
    assert_eq!(
        wait(&mut || joined.push(router.join().expect("room"))),
        vec![Ok(()); 4]
    );
    let mut got: Vec<_> = joined[0].try_iter().collect();
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4]);
    (0..4).for_each(|n| router.route(3, n).expect("room"));
    assert_eq!(
        wait(&mut || assert!((0..4).all(|_| receivers[2].recv() == Ok(0)))),
        vec![Ok(()); 4]
    );
    let mut gone = || {
        joined.clear();
        receivers.clear();
    };
    assert_eq!(wait(&mut gone), vec![Err(SendFault::Disconnected); 4]);
    drop(router);
    nothing_left(&rt);
}

/// What a receiver has left for one whose queue is full holds nobody back who has something for any; it comes first
/// when there is room, and in its order.
#[test]
fn what_is_left_for_another_does_not_hold_it_back() {
    let rt = runtime(1);
    let (mut router, mut receivers) = rt.router::<u32>(3, 4).expect("room");
    router.set_timeout(Some(LONG));
    let of_last = |key: &u32| router.receiver_of(key) == Some(2);
    let keys: Vec<u32> = (0..1000).filter(of_last).collect();
    drop(receivers.pop());
    let to_first = |key: &&u32| router.receiver_of(*key) == Some(0);
    let key = *keys.iter().find(to_first).expect("one of them");
    drop((receivers, router));

    // The same keys belong to the same numbers.
    let (mut router, mut receivers) = rt.router::<u32>(3, 4).expect("room");
    router.set_timeout(Some(LONG));
    for n in [101, 102] {
        router.send_by_key(&key, n).expect("room");
    }
    assert_eq!(receivers[2].len(), 2);
    for _ in 0..4 {
        router.route(0, 0).expect("room");
    }
    drop(receivers.pop());
    for n in 1..=4 {
        router.balance(n).expect("the second has room");
    }
    assert!(receivers[1].try_iter().eq(1..=4));
    for n in 1..=4 {
        router.balance(n).expect("the second has room");
    }
    // Now both are full, and the first is the first to have room.
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| router.balance(5));
        until_asleep(&rt, 1);
        assert!((0..4).all(|_| receivers[0].recv() == Ok(0)));
        assert_eq!(sent.join().expect("no panic"), Ok(()));
    });
    assert!(receivers[0].try_iter().eq([101, 102, 5]));
    assert!(receivers[1].try_iter().eq(1..=4));
    drop((router, receivers));
    nothing_left(&rt);
}

/// A task that may be run again has all receivers among its own arguments: nobody will take anything.
#[test]
fn who_keeps_all_receivers_itself_is_told() {
    let rt = runtime(1);
    type Ends = (Router<u32>, Vec<Receiver<u32>>);
    fn sends((router, receivers): Ends) -> [Option<SendFault>; 3] {
        drop(receivers);
        let fault = |send: &dyn Fn() -> Option<SendFault>| (0..9).find_map(|_| send());
        [
            fault(&|| router.balance(1).err().map(|error| error.fault)),
            fault(&|| router.send_by_key("key", 1).err().map(|error| error.fault)),
            fault(&|| router.route(0, 1).err().map(|error| error.fault)),
        ]
    }
    let (mut router, receivers) = rt.router::<u32>(2, 4).expect("room");
    router.set_timeout(Some(LONG));
    let task = rt.task(sends).at_least_once().spawn((router, receivers));
    let told = std::array::from_fn(|_| Some(SendFault::Disconnected));
    assert_eq!(task.join(), Ok(told));

    fn selects((sender, receiver): (Sender<u32>, Receiver<u32>)) -> Option<SendFault> {
        drop(receiver);
        (0..9).find_map(|n| {
            let mut select = Select::new();
            select.send(&sender);
            let chosen = select.wait_timeout(LONG).expect("room, or none for ever");
            chosen.send(&sender, n).err().map(|error| error.fault)
        })
    }
    let task = rt.task(selects).at_least_once();
    let task = task.spawn(rt.channel(4).expect("room"));
    assert_eq!(task.join(), Ok(Some(SendFault::Disconnected)));
    nothing_left(&rt);
}
