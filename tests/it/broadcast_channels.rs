//! Broadcast channels: who gets what, wherever the ends are; who is slow, or late, or dies.

use std::time::{Duration, Instant};

use pinfold::broadcast::{CreateError, Options, Publisher, RecvError, SubscribeError, Subscriber};
use pinfold::channel::{Overflow, SendFault, Sender};
use pinfold::{AllocError, Loan, Runtime, Shared, Shutdown, TaskError};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(64 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

fn send_numbers((publisher, from, count): (Publisher<u64>, u64, u64)) {
    for number in from..from + count {
        publisher.send(number).expect("it is not closed");
    }
}

fn add_up(subscriber: Subscriber<u64>) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0);
    for number in &subscriber {
        (count, sum) = (count + 1, sum + number);
    }
    (count, sum)
}

/// Waits until nothing is left of channels: their blocks are given back.
fn nothing_left(rt: &Runtime) {
    let give_up = Instant::now() + LONG;
    loop {
        let audit = rt.audit();
        let left =
            audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried + audit.blocks_lanes;
        if left == 0 && audit.orphans.is_empty() {
            return;
        }
        assert!(Instant::now() < give_up, "{audit:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn each_gets_all_wherever_the_ends_are() {
    let rt = runtime(4);
    const COUNT: u64 = 2000;
    for capacity in [1, 2, 1024] {
        for sends in ["host", "worker", "both"] {
            let publisher = rt.broadcast_channel(capacity).expect("room");
            let [a, b, c] = [(); 3].map(|()| publisher.subscribe().expect("room"));
            let tasks = [a, b].map(|each| rt.spawn(add_up, each));
            let here = std::thread::scope(|scope| {
                let here = scope.spawn(|| add_up(c));
                if sends != "worker" {
                    send_numbers((publisher.clone(), 0, COUNT));
                }
                if sends != "host" {
                    drop(rt.spawn(send_numbers, (publisher.clone(), 0, COUNT)));
                }
                drop(publisher);
                here.join().expect("no panic")
            });
            let times = if sends == "both" { 2 } else { 1 };
            let all = (times * COUNT, times * (COUNT * (COUNT - 1) / 2));
            assert_eq!(here, all, "{capacity}, from {sends}");
            for task in tasks {
                assert_eq!(task.join(), Ok(all), "{capacity}, from {sends}");
            }
        }
    }
    nothing_left(&rt);
}

#[test]
fn only_what_comes_after_is_for_a_subscriber() {
    let rt = runtime(1);
    let publisher = rt.broadcast_channel::<u32>(2).expect("room");
    publisher.send_all(0..100).expect("it is for nobody");
    let first = publisher.subscribe().expect("room");
    publisher.send(100).expect("room");
    let second = first.subscribe().expect("room");
    publisher.send(101).expect("room");
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!((first.recv(), second.recv()), (Ok(100), Ok(101)));
    assert_eq!(second.try_recv(), Err(RecvError::Empty));
    assert_eq!(first.recv(), Ok(101));
    let result = first.recv_timeout(SOON);
    assert!(
        matches!(result, Err(RecvError::TimedOut { .. })),
        "{result:?}"
    );
    drop((first, second));
    publisher.send_all(0..100).expect("it is for nobody");
    assert_eq!(publisher.subscribers(), 0);
    drop(publisher);
    nothing_left(&rt);
}

#[test]
fn a_slow_subscriber_holds_back_or_loses_the_oldest() {
    let rt = runtime(1);
    let publisher = rt.broadcast_channel::<u32>(2).expect("room");
    let slow = publisher.subscribe().expect("room");
    publisher.send_all([1, 2]).expect("room");
    let error = publisher.try_send(3).expect_err("no room");
    assert_eq!(
        (&error.fault, error.clone().into_value()),
        (&SendFault::Full, Some(3))
    );
    let error = publisher.send_timeout(3, SOON).expect_err("no room");
    assert!(matches!(error.fault, SendFault::TimedOut { .. }), "{error}");
    std::thread::scope(|scope| {
        let sends = scope.spawn(|| publisher.send(3));
        assert_eq!(slow.recv(), Ok(1));
        sends.join().expect("no panic").expect("there was room");
    });
    assert_eq!((slow.recv(), slow.recv()), (Ok(2), Ok(3)));

    let refuses = Options::new(1).overflow(Overflow::Reject);
    let publisher = rt.broadcast_channel_with::<u32>(refuses).expect("room");
    let _slow = publisher.subscribe().expect("room");
    publisher.send(1).expect("room");
    assert_eq!(
        publisher.send(2).expect_err("no room").fault,
        SendFault::Full
    );

    let drops = Options::new(4).overflow(Overflow::DropOldest);
    let publisher = rt.broadcast_channel_with::<Vec<u8>>(drops).expect("room");
    let (slow, quick) = (
        publisher.subscribe().expect("room"),
        publisher.subscribe().expect("room"),
    );
    for n in 0..11_u8 {
        publisher.send(vec![n; 500]).expect("it waits for nobody");
        assert_eq!(quick.recv(), Ok(vec![n; 500]));
    }
    assert_eq!(slow.recv(), Err(RecvError::Lagged(7)));
    assert_eq!(slow.recv(), Ok(vec![7; 500]));
    publisher
        .send_all([11, 12].map(|n| vec![n; 500]))
        .expect("it waits for nobody");
    assert_eq!(
        slow.iter().take(4).map(|of| of[0]).collect::<Vec<_>>(),
        [9, 10, 11, 12]
    );
    assert_eq!((slow.lagged(), quick.lagged()), (8, 0));
    drop((publisher, slow, quick));
}

/// The block is the same for all, and is given back when all have read.
#[test]
fn the_payload_stands_once() {
    let rt = runtime(2);
    let publisher = rt.broadcast_channel::<(Vec<u8>, Shared)>(8).expect("room");
    let subscribers = [(); 20].map(|()| publisher.subscribe().expect("room"));
    let before = rt.audit();
    let mut loan = rt.alloc(1 << 20).expect("room");
    loan.fill(3);
    let shared = loan.publish();
    let address = shared.as_ptr();
    publisher.send((vec![1; 5000], shared)).expect("room");
    let audit = rt.audit();
    assert_eq!(
        audit.blocks_shared - before.blocks_shared,
        2,
        "one for the value, one in it"
    );
    assert!(audit.orphans.is_empty(), "{audit:#?}");
    for subscriber in &subscribers {
        let (value, shared) = subscriber.recv().expect("a message");
        assert_eq!(
            (value.len(), shared.as_ptr(), shared[1 << 19]),
            (5000, address, 3)
        );
    }
    assert_eq!(
        rt.audit().blocks_shared,
        before.blocks_shared,
        "all have read it"
    );
    // In a worker it is the same block, too, and comes back as that.
    let (sender, receiver) = rt.channel::<Shared>(1).expect("room");
    let task = rt.spawn(
        |(subscriber, back): (Subscriber<(Vec<u8>, Shared)>, Sender<Shared>)| {
            let (_, shared) = subscriber.recv().expect("a message");
            back.send(shared).expect("room");
        },
        (publisher.subscribe().expect("room"), sender),
    );
    let shared = rt.alloc(2000).expect("room").publish();
    publisher.send((vec![], shared.clone())).expect("room");
    let back = receiver.recv().expect("a message");
    assert_eq!(back.as_ptr(), shared.as_ptr());
    task.join().expect("runs");
    drop(receiver);
    drop((publisher, subscribers, shared, back));
    nothing_left(&rt);
}

/// What is small as a type, and long as a message.
#[test]
fn a_long_message_of_a_small_type_arrives() {
    let rt = runtime(1);
    let publisher = rt.broadcast_channel::<Box<Vec<u64>>>(2).expect("room");
    let subscribers = [(); 2].map(|()| publisher.subscribe().expect("room"));
    let numbers: Vec<u64> = (0..300).collect();
    publisher.send(Box::new(numbers.clone())).expect("room");
    for subscriber in &subscribers {
        assert_eq!(*subscriber.recv().expect("a message"), numbers);
    }
}

fn die_reading(subscriber: Subscriber<u64>) {
    let _ = subscriber.recv();
    std::process::abort();
}

fn die_sending(publisher: Publisher<u64>) {
    publisher.send(1).expect("room");
    std::process::abort();
}

#[test]
fn the_dead_hold_nobody_back() {
    let rt = runtime(2);
    let publisher = rt.broadcast_channel::<u64>(2).expect("room");
    let living = publisher.subscribe().expect("room");
    let dies = rt.spawn(die_reading, publisher.subscribe().expect("room"));
    assert_eq!(publisher.subscribers(), 2);
    std::thread::scope(|scope| {
        let sends = scope.spawn(|| publisher.send_all(0..100));
        let all: Vec<u64> = living.iter().take(100).collect();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(sends.join().expect("no panic").expect("sent"), 100);
    });
    assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
    assert_eq!(publisher.subscribers(), 1);
    // What it had sent stays, and it is no publisher any more.
    let dies = rt.spawn(die_sending, publisher);
    assert_eq!(living.recv(), Ok(1));
    assert_eq!(living.recv_timeout(LONG), Err(RecvError::Disconnected));
    assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
    drop(living);
    nothing_left(&rt);
}

/// The second attempt goes on with what the first one has not received.
#[test]
fn a_task_that_is_tried_again_has_the_same_subscription() {
    let rt = runtime(1);
    let publisher = rt.broadcast_channel::<u64>(8).expect("room");
    let die_once = |subscriber: Subscriber<u64>| {
        let first = subscriber.recv().expect("a message");
        if first == 0 {
            std::process::abort();
        }
        first + subscriber.iter().sum::<u64>()
    };
    let task = rt.task(die_once).at_least_once();
    let task = task.spawn(publisher.subscribe().expect("room"));
    publisher.send_all(0..4).expect("room");
    drop(publisher);
    assert_eq!(task.join(), Ok(6));
    nothing_left(&rt);
}

#[test]
fn ends_travel_in_messages_and_results() {
    let rt = runtime(2);
    let make = |count: u32| {
        let publisher = pinfold::broadcast_channel::<u32>(8).expect("room");
        let [one, other] = [(); 2].map(|()| publisher.subscribe().expect("room"));
        publisher.send_all(0..count).expect("room");
        (publisher, one, other)
    };
    let (publisher, one, other) = rt.spawn(make, 3).join().expect("runs");
    assert_eq!(one.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    let (sender, receiver) = rt
        .channel::<(Publisher<u32>, Subscriber<u32>)>(1)
        .expect("room");
    sender.send((publisher, other)).expect("room");
    let task = rt.spawn(
        |ends: pinfold::channel::Receiver<(Publisher<u32>, Subscriber<u32>)>| {
            let (publisher, subscriber) = ends.recv().expect("both");
            publisher.send(3).expect("room");
            drop(publisher);
            subscriber.iter().collect::<Vec<_>>()
        },
        receiver,
    );
    assert_eq!(task.join().expect("runs"), [0, 1, 2, 3]);
    assert_eq!(one.iter().collect::<Vec<_>>(), [3]);
    drop((one, sender));
    nothing_left(&rt);
}

#[test]
fn those_that_wait_see_it_end() {
    let rt = runtime(1);
    let publisher = rt.broadcast_channel::<u32>(1).expect("room");
    let subscriber = publisher.subscribe().expect("room");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| subscriber.recv());
        std::thread::sleep(SOON);
        publisher.close();
        assert_eq!(
            waits.join().expect("no panic"),
            Err(RecvError::Disconnected)
        );
    });
    let error = publisher.send(1).expect_err("closed");
    assert_eq!(error.fault, SendFault::Disconnected);
    // Who waits for room sees that a slow one leaves, and that the runtime ends.
    let publisher = rt.broadcast_channel::<u32>(1).expect("room");
    let slow = publisher.subscribe().expect("room");
    publisher.send(1).expect("room");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| publisher.send(2));
        std::thread::sleep(SOON);
        drop(slow);
        waits
            .join()
            .expect("no panic")
            .expect("nobody holds it back");
    });
    let slow = publisher.subscribe().expect("room");
    publisher.send(1).expect("room");
    std::thread::scope(|scope| {
        let sends = scope.spawn(|| publisher.send(2));
        let one = slow.subscribe().expect("room");
        let waits = scope.spawn(move || one.recv());
        std::thread::sleep(SOON);
        drop(rt);
        let error = sends.join().expect("no panic").expect_err("it is over");
        assert_eq!(error.fault, SendFault::Gone);
        assert_eq!(waits.join().expect("no panic"), Err(RecvError::Gone));
    });
    assert_eq!(
        publisher.subscribe().expect_err("over"),
        SubscribeError::Gone
    );
}

#[test]
fn bad_input_is_an_error_that_says_so() {
    let rt = runtime(1);
    let error = rt.broadcast_channel::<u32>(0).expect_err("holds nothing");
    assert!(
        matches!(error, CreateError::Capacity { capacity: 0, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("not 0"), "{error}");
    let error = rt
        .broadcast_channel::<u32>(usize::MAX)
        .expect_err("too many");
    assert!(matches!(error, CreateError::Capacity { .. }), "{error}");
    let error = rt
        .broadcast_channel::<u32>(1 << 24)
        .expect_err("more than there is");
    assert!(
        matches!(error, CreateError::Alloc(AllocError::TooLarge { .. })),
        "{error}"
    );
    for subscribers in [0, 513, usize::MAX] {
        let options = Options::new(1).subscribers(subscribers);
        let error = rt
            .broadcast_channel_with::<u32>(options)
            .expect_err("too many");
        assert!(
            error.to_string().contains(&format!("not {subscribers}")),
            "{error}"
        );
    }
    let publisher = rt.broadcast_channel::<Vec<u8>>(2).expect("room");
    let subscribers: Vec<_> = (0..64)
        .map(|_| publisher.subscribe().expect("room"))
        .collect();
    let error = publisher.subscribe().expect_err("too many");
    assert_eq!(error, SubscribeError::TooMany { most: 64 });
    let error = publisher
        .send(vec![0; 80 << 20])
        .expect_err("larger than all memory");
    assert!(
        matches!(error.fault, SendFault::Alloc(AllocError::TooLarge { .. })),
        "{error}"
    );
    assert_eq!(error.into_value().map(|value| value.len()), Some(80 << 20));
    drop(subscribers);

    let publisher = rt.broadcast_channel::<Loan>(2).expect("room");
    let _subscriber = publisher.subscribe().expect("room");
    let error = publisher
        .send(rt.alloc(8).expect("room"))
        .expect_err("one owner");
    assert!(error.to_string().contains("publish it"), "{error}");

    // Of another runtime.
    let other = runtime(1);
    let publisher = other.broadcast_channel::<u64>(2).expect("room");
    let subscriber = publisher.subscribe().expect("room");
    let error = rt
        .spawn(add_up, subscriber)
        .join()
        .expect_err("of another runtime");
    assert!(matches!(error, TaskError::Arguments { .. }), "{error}");
    let news = rt.broadcast_channel::<Publisher<u64>>(2).expect("room");
    let _hears = news.subscribe().expect("room");
    let error = news.send(publisher).expect_err("of another runtime");
    assert!(error.to_string().contains("another runtime"), "{error}");
}
