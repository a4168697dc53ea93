//! Routers: who gets a message, and what becomes of those of a receiver that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pinfold::channel::{Receiver, RecvError, Router, SendFault, Sender};
use pinfold::{Loan, Runtime, Shutdown};

pub fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(256 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// Waits until nothing is left of channels: their blocks are given back.
pub fn nothing_left(rt: &Runtime) {
    let give_up = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let audit = rt.audit();
        let left =
            audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried + audit.blocks_lanes;
        if left == 0 && audit.orphans.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < give_up, "{audit:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn each_message_goes_where_it_is_sent_to() {
    let rt = runtime(2);
    let (router, receivers) = rt.router::<(usize, u32)>(3, 100).expect("room");
    fn send(router: Router<(usize, u32)>) {
        for n in 0..60 {
            let to = n as usize % 3;
            router.route(to, (to, n)).expect("room");
        }
    }
    // From a task as from here.
    rt.spawn(send, router.clone()).join().expect("runs");
    send(router);
    for (number, receiver) in receivers.iter().enumerate() {
        let all: Vec<_> = receiver.iter().collect();
        assert_eq!(all.len(), 40);
        assert!(all.iter().all(|(to, _)| *to == number));
        assert!(all[..20].is_sorted_by(|a, b| a.1 < b.1));
    }
    drop(receivers);
    nothing_left(&rt);
}

#[test]
fn a_key_has_one_receiver_and_few_move() {
    let rt = runtime(1);
    let (router, mut receivers) = rt.router::<u32>(5, 4).expect("room");
    let owners = |router: &Router<u32>| -> Vec<usize> {
        let keys = 0..2000_u32;
        keys.map(|key| router.receiver_of(&key).expect("some"))
            .collect()
    };
    fn owners_there(router: Router<u32>) -> Vec<usize> {
        let keys = 0..2000_u32;
        keys.map(|key| router.receiver_of(&key).expect("some"))
            .collect()
    }
    let before = owners(&router);
    let there = rt.spawn(owners_there, router.clone()).join();
    assert_eq!(there.as_ref(), Ok(&before), "the same in all processes");
    for receiver in 0..5 {
        let share = before.iter().filter(|owner| **owner == receiver).count();
        assert!((250..=550).contains(&share), "{share} of 2000");
    }
    drop(receivers.remove(3));
    let without = owners(&router);
    for (before, after) in before.iter().zip(&without) {
        assert!(
            before == after || *before == 3,
            "only the keys of the third move"
        );
        assert_ne!(*after, 3);
    }
    let _another = router.join().expect("room");
    let moved = owners(&router);
    let moved = moved.iter().zip(&without).filter(|(now, before)| {
        assert!(now == before || **now == 5, "only to the new one");
        now != before
    });
    assert!((250..=550).contains(&moved.count()));
    assert_eq!(router.living(), [0, 1, 2, 4, 5]);
    assert!(router.leave(0) && !router.leave(0) && !router.leave(77));
    assert_eq!(router.living(), [1, 2, 4, 5]);
}

#[test]
fn the_shortest_queue_gets_the_next() {
    let rt = runtime(1);
    let (mut router, receivers) = rt.router::<u32>(3, 4).expect("room");
    for n in 0..3 {
        router.route(1, n).expect("room");
    }
    for n in 0..9 {
        router.balance(n).expect("room");
    }
    assert_eq!(
        receivers.iter().map(Receiver::len).collect::<Vec<_>>(),
        [4, 4, 4]
    );
    router.set_timeout(Some(Duration::from_millis(5)));
    let error = router.balance(77).expect_err("all are full");
    assert!(matches!(error.fault, SendFault::TimedOut { .. }));
    assert_eq!(error.into_value(), Some(77));
}

#[test]
fn who_is_gone_is_told_with_the_value() {
    let rt = runtime(1);
    let (router, receivers) = rt.router::<String>(2, 4).expect("room");
    let error = router
        .route(2, "a".to_owned())
        .expect_err("no such receiver");
    assert!(error.to_string().contains("no receiver 2"), "{error}");
    assert!(matches!(
        error.fault,
        SendFault::NoReceiver {
            receiver: 2,
            receivers: 2,
            ..
        }
    ));
    assert_eq!(error.into_value(), Some("a".to_owned()));
    drop(receivers);
    assert_eq!(router.receiver_of("a"), None);
    let all = [
        router.route(0, "a".to_owned()),
        router.balance("a".to_owned()),
        router.send_by_key("key", "a".to_owned()),
    ];
    for error in all {
        let error = error.expect_err("nobody is left");
        assert_eq!(error.fault, SendFault::Disconnected);
        assert_eq!(error.into_value(), Some("a".to_owned()));
    }
    drop(router);
    nothing_left(&rt);
}

/// A clone that was made before, in another process, sends no more to one that has left; what dies
/// after it has left leaves its queue to the others.
#[test]
fn what_leaves_is_known_to_all_clones() {
    type Ends = (Router<u32>, Receiver<()>, Sender<()>);
    fn send((router, go, ready): Ends) -> (Vec<usize>, SendFault) {
        ready.send(()).expect("the host waits");
        go.recv().expect("it says so");
        for number in 0..30 {
            router.send_by_key(&number, number).expect("others live");
        }
        let error = router.route(1, 0).expect_err("it has left");
        (router.living(), error.fault)
    }
    let rt = runtime(1);
    let (router, mut receivers) = rt.router::<u32>(3, 100).expect("room");
    let ((go, goes), (ready, is_ready)) =
        (rt.channel(1).expect("room"), rt.channel(1).expect("room"));
    let task = rt.spawn(send, (router.clone(), goes, ready));
    is_ready.recv().expect("it has its clone");
    router.route(1, 77).expect("room");
    assert!(router.leave(1));
    assert!(!router.leave(1), "it has left");
    assert!(!router.leave(3), "there is none");
    go.send(()).expect("it waits");
    assert_eq!(
        task.join().expect("runs"),
        (vec![0, 2], SendFault::Disconnected)
    );
    // It takes what was there, and hears that it is over, though routers are left.
    let left = receivers.remove(1);
    assert_eq!(left.try_recv(), Ok(77));
    assert_eq!(left.try_recv(), Err(RecvError::Disconnected));
    let all: usize = receivers.iter().map(Receiver::len).sum();
    assert_eq!(all, 30);
    // One that leaves, and goes before it has taken all.
    router.route(0, 5).expect("room");
    assert!(router.leave(0));
    let before = receivers[1].len() + receivers[0].len();
    drop(receivers.remove(0));
    assert!(router.hand_on().expect("one is left") > 0);
    assert_eq!(receivers[0].len(), before);
    drop((receivers, left, router, go, is_ready));
    nothing_left(&rt);
}

/// A clone in another process knows who joins after it was made; two that join at once have two numbers.
#[test]
fn what_joins_is_known_to_all_clones() {
    type Ends = (Router<usize>, Receiver<usize>, Sender<usize>);
    fn send((router, go, done): Ends) {
        for number in &go {
            router.route(number, number).expect("it has joined");
            done.send(router.living().len()).expect("the host waits");
        }
    }
    let rt = runtime(1);
    let (router, mut receivers) = rt.router::<usize>(1, 4).expect("room");
    let ((go, goes), (done, is_done)) =
        (rt.channel(1).expect("room"), rt.channel(1).expect("room"));
    drop(rt.spawn(send, (router.clone(), goes, done)));
    go.send(0).expect("it lives");
    assert_eq!((is_done.recv(), receivers[0].recv()), (Ok(1), Ok(0)));
    for number in 1..4 {
        receivers.push(router.join().expect("room"));
        go.send(number).expect("it lives");
        assert_eq!(is_done.recv(), Ok(number + 1));
        assert_eq!(receivers[number].recv(), Ok(number));
    }
    let join = || {
        (0..100)
            .map(|_| router.clone().join().expect("room"))
            .collect::<Vec<_>>()
    };
    let joined: Vec<_> = std::thread::scope(|scope| {
        let other = scope.spawn(join);
        let own = join();
        own.into_iter().chain(other.join().expect("well")).collect()
    });
    assert_eq!(router.living().len(), 204);
    for number in 4..204 {
        router.route(number, number).expect("it has joined");
    }
    let all: BTreeSet<_> = joined.iter().map(|one| one.recv().expect("sent")).collect();
    assert_eq!(all, (4..204).collect());
    // There is an end to it, which is an error.
    let more: Vec<_> = (0..60).map_while(|_| router.join().ok()).collect();
    assert_eq!(more.len(), 256 - 203);
    drop((go, router));
    assert_eq!(receivers[0].recv(), Err(RecvError::Disconnected));
    drop((receivers, joined, more, is_done));
    nothing_left(&rt);
}

#[test]
fn a_task_makes_a_router_and_passes_it_on() {
    fn make((): ()) -> (Router<u32>, Vec<Receiver<u32>>) {
        let (router, mut receivers) = pinfold::router(2, 8).expect("room");
        receivers.push(router.join().expect("room"));
        (router, receivers)
    }
    fn send(router: Router<u32>) -> usize {
        (0..3)
            .filter(|number| router.route(*number, *number as u32).is_ok())
            .count()
    }
    assert!(pinfold::router::<u32>(2, 8).is_err(), "this is no task");
    let rt = runtime(1);
    let (router, receivers) = rt.spawn(make, ()).join().expect("runs");
    assert_eq!(rt.spawn(send, router.clone()).join(), Ok(3));
    for (number, receiver) in receivers.iter().enumerate() {
        assert_eq!(receiver.recv(), Ok(number as u32));
    }
    drop((router, receivers));
    nothing_left(&rt);
}

#[test]
fn what_a_receiver_leaves_is_handed_on_by_key() {
    let rt = runtime(1);
    let (router, mut receivers) = rt.router::<(u32, Loan)>(3, 100).expect("room");
    for key in 0..90_u32 {
        let mut loan = rt.alloc(200).expect("room");
        loan.fill(key as u8);
        router.send_by_key(&key, (key, loan)).expect("room");
    }
    let of_last = receivers[2].len();
    assert!(of_last > 10);
    drop(receivers.pop());
    // By whoever sends next.
    let loan = rt.alloc(200).expect("room");
    router.send_by_key(&1000_u32, (1000, loan)).expect("room");
    let mut seen = BTreeSet::new();
    for (number, receiver) in receivers.iter().enumerate() {
        for (key, loan) in receiver.try_iter() {
            assert_eq!(router.receiver_of(&key), Some(number));
            assert!(key == 1000 || loan.iter().all(|byte| *byte == key as u8));
            assert!(seen.insert(key), "each once");
        }
    }
    assert!(seen.into_iter().eq((0..90).chain([1000])));
    assert_eq!((router.hand_on().expect("nothing"), router.lost()), (0, 0));
    // The last one: they stay, and are the next one's.
    let loan = rt.alloc(200).expect("room");
    router.balance((5, loan)).expect("room");
    drop(receivers);
    assert_eq!(router.hand_on().expect("nobody is left"), 0);
    let next = router.join().expect("room");
    assert_eq!(router.hand_on().expect("room"), 1);
    assert_eq!(next.recv().expect("there").0, 5);
    drop((router, next));
    nothing_left(&rt);
}

/// Sends each number back; dies at the one that it is told to die at.
fn echo((numbers, back, dies_at): (Receiver<u64>, Sender<u64>, u64)) {
    for number in &numbers {
        if number == dies_at {
            std::process::abort();
        }
        back.send(number).expect("the host listens");
    }
}

#[test]
fn a_worker_that_dies_loses_what_it_had_taken_and_no_more() {
    let rt = runtime(3);
    const COUNT: u64 = 600;
    let (router, receivers) = rt.router::<u64>(3, 50).expect("room");
    let (back, results) = rt.channel::<u64>(2 * COUNT as usize).expect("room");
    // Whoever has the key 300 dies over it.
    let tasks: Vec<_> = receivers
        .into_iter()
        .map(|receiver| rt.spawn(echo, (receiver, back.clone(), 300)))
        .collect();
    drop(back);
    for number in 0..COUNT {
        router.send_by_key(&number, number).expect("others live");
    }
    // Until the dead one's are with the others.
    while router.living().len() > 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    router.hand_on().expect("others live");
    drop(router);
    let mut seen = BTreeMap::new();
    for number in &results {
        *seen.entry(number).or_insert(0) += 1;
    }
    assert!(seen.values().all(|count| *count == 1), "none comes twice");
    let missing: Vec<_> = (0..COUNT).filter(|n| !seen.contains_key(n)).collect();
    assert_eq!(missing, [300]);
    let failed = tasks.into_iter().filter_map(|task| task.join().err());
    assert_eq!(failed.count(), 1);
    drop(results);
    nothing_left(&rt);
}

/// Who sends hands on what was left before, if there is room in time; if there is not, or it is told to end, all that was
/// left stays for the next one.
#[test]
fn what_could_not_be_handed_on_is_not_lost() {
    let rt = runtime(1);
    let (mut router, mut receivers) = rt.router::<u32>(2, 4).expect("room");
    for n in 0..4 {
        router.route(0, n).expect("room");
        router.route(1, 10 + n).expect("room");
    }
    drop(receivers.pop());
    router.set_timeout(Some(Duration::from_millis(1)));
    for _ in 0..3 {
        let full = router.balance(99).expect_err("it is full");
        assert!(matches!(full.fault, SendFault::TimedOut { .. }), "{full}");
        let full = router.route(0, 99).expect_err("it is full");
        assert!(matches!(full.fault, SendFault::TimedOut { .. }), "{full}");
    }
    // One that is handed on by hand is its caller's.
    let one = router.hand_on().expect_err("it is full").into_value();
    let mut all: Vec<u32> = one.into_iter().collect();
    while all.len() < 8 {
        all.extend(receivers[0].try_iter());
        router.hand_on().expect("room");
    }
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 10, 11, 12, 13]);
    assert_eq!(router.lost(), 0);
    drop((router, receivers));
    nothing_left(&rt);
}
