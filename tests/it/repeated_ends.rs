//! Ends among the arguments of a task that may be run again: each attempt has the same, and waits for none of its own.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::broadcast::{Publisher, Subscriber};
use pinfold::channel::{Options, Receiver, RecvError, Select, SelectError, SendFault, Sender};
use pinfold::sync::{Member, WaitGroup};
use pinfold::{Retry, Runtime, TaskError};

use crate::channels::nothing_left;
use crate::handed_ends::{Both, LONG, padded, runtime, to_itself};
use crate::rng::Rng;

fn both(rt: &Runtime) -> Both {
    rt.channel(4).expect("room")
}

#[test]
fn a_task_that_may_be_repeated_sees_its_own_sender_go() {
    let rt = runtime(2);
    let again = || rt.task(to_itself).at_least_once();
    assert_eq!(again().spawn(both(&rt)).join(), Ok(Ok(3)));
    let judged = rt
        .task(to_itself)
        .retry(Retry::fixed(3, Duration::ZERO))
        .retry_if(|_| false);
    assert_eq!(judged.spawn(both(&rt)).join(), Ok(Ok(3)), "judged");
    let long = rt.task(padded).at_least_once();
    let long = long.spawn((both(&rt), "p".repeat(5000)));
    assert_eq!(long.join(), Ok(Ok(3)), "long arguments");
    let first = rt.spawn(|n: u64| n, 1);
    let after = rt.task(|(both, one): (Both, u64)| to_itself(both).map(|n| n + one));
    let after = after.at_least_once().spawn_after(&first, both(&rt));
    assert_eq!(after.join(), Ok(Ok(4)), "after");
    drop(first);
    nothing_left(&rt);
}

/// The same by other ways to wait, and of other objects.
#[test]
fn whatever_it_waits_for_it_does_not_wait_for_itself() {
    let rt = runtime(2);
    let selects = |(sender, receiver): Both| {
        drop(sender);
        let mut select = Select::new();
        select.recv(&receiver);
        let chosen = select.wait_timeout(LONG);
        chosen.map(|chosen| chosen.recv(&receiver))
    };
    let task = rt.task(selects).at_least_once().spawn(both(&rt));
    let chosen: Result<_, SelectError> = task.join().expect("runs");
    assert_eq!(chosen, Ok(Err(RecvError::Disconnected)));

    let sends = |(sender, receiver): Both| {
        drop(receiver);
        (0..9)
            .find_map(|n| sender.send_timeout(n, LONG).err())
            .map(|error| error.fault)
    };
    let task = rt.task(sends).at_least_once().spawn(both(&rt));
    assert_eq!(task.join(), Ok(Some(SendFault::Disconnected)), "full");
    let none = rt.channel::<u64>(0).expect("room");
    let task = rt.task(sends).at_least_once().spawn(none);
    assert_eq!(
        task.join(),
        Ok(Some(SendFault::Disconnected)),
        "nobody takes it"
    );

    let hears = |(publisher, subscriber): (Publisher<u64>, Subscriber<u64>)| {
        publisher.send(1).expect("room");
        drop(publisher);
        let first = subscriber.recv_timeout(LONG);
        (first, subscriber.recv_timeout(LONG))
    };
    let publisher = rt.broadcast_channel::<u64>(4).expect("room");
    let subscriber = publisher.subscribe().expect("room");
    let task = rt.task(hears).at_least_once();
    let heard = task.spawn((publisher, subscriber)).join();
    assert_eq!(
        heard,
        Ok((Ok(1), Err(pinfold::broadcast::RecvError::Disconnected)))
    );

    let listens = |(publisher, subscriber): (Publisher<u64>, Subscriber<u64>)| {
        drop(publisher);
        let mut select = Select::new();
        select.subscriber(&subscriber);
        select.wait_timeout(LONG)?.remove();
        Ok(subscriber.try_recv())
    };
    let publisher = rt.broadcast_channel::<u64>(4).expect("room");
    let subscriber = publisher.subscribe().expect("room");
    let task = rt.task(listens).at_least_once();
    let heard: Result<_, SelectError> = task.spawn((publisher, subscriber)).join().expect("runs");
    assert_eq!(heard, Ok(Err(pinfold::broadcast::RecvError::Disconnected)));

    let done = |(group, member): (WaitGroup, Member)| {
        drop(member);
        group.wait_timeout(LONG)
    };
    let (group, member) = WaitGroup::new(&rt).expect("room");
    let task = rt.task(done).at_least_once().spawn((group, member));
    assert_eq!(task.join(), Ok(Ok(())));

    let acked = |(sender, receiver): (Sender<u64>, Receiver<pinfold::channel::Delivery<u64>>)| {
        sender.send(5).expect("room");
        drop(sender);
        let taken = receiver.recv_timeout(LONG).map(|delivery| delivery.ack());
        (
            taken,
            receiver.recv_timeout(LONG).map(|delivery| delivery.ack()),
        )
    };
    let ends = rt.acked_channel::<u64>(Options::new(4)).expect("room");
    let task = rt.task(acked).at_least_once().spawn(ends);
    assert_eq!(task.join(), Ok((Ok(5), Err(RecvError::Disconnected))));
    nothing_left(&rt);
}

/// What its own arguments keep is not all: others that could send are waited for, whether they have the end or
/// it is in a message; and what they have sent before they let go of it is received.
#[test]
fn others_are_waited_for() {
    let rt = runtime(2);
    let waits = |(sender, receiver): Both| {
        drop(sender);
        receiver.recv_timeout(LONG)
    };
    let (sender, receiver) = both(&rt);
    let task = rt.task(waits).at_least_once();
    let task = task.spawn((sender.clone(), receiver));
    let (post, letters) = rt.channel::<Sender<u64>>(1).expect("room");
    post.send(sender).expect("room");
    std::thread::sleep(Duration::from_millis(20));
    assert!(!task.is_finished());
    let sender = letters.recv().expect("sent");
    std::thread::sleep(Duration::from_millis(20));
    assert!(!task.is_finished());
    sender.send(8).expect("room");
    drop(sender);
    assert_eq!(task.join(), Ok(Ok(8)));
    // The last one goes while the task sleeps.
    let (sender, receiver) = both(&rt);
    let task = rt.task(waits).at_least_once();
    let task = task.spawn((sender.clone(), receiver));
    std::thread::sleep(Duration::from_millis(20));
    drop(sender);
    assert_eq!(task.join(), Ok(Err(RecvError::Disconnected)));
    drop((post, letters));
    nothing_left(&rt);
}

/// An attempt that has dropped its ends and seen them go leaves them to the next one; and nobody else is told that
/// they are gone, while there may be another attempt.
#[test]
fn the_next_attempt_has_the_same_ends() {
    let rt = runtime(1);
    let work = |((sender, receiver), report): (Both, Sender<u64>)| {
        let before = receiver.len() as u64;
        sender.send(before).expect("room");
        report.send(before).expect("room");
        drop((sender, report));
        if before < 2 {
            std::process::abort();
        }
        let sent: Vec<_> = (0..3).map(|_| receiver.recv_timeout(LONG)).collect();
        (sent, receiver.recv_timeout(LONG))
    };
    let (report, reports) = rt.channel::<u64>(8).expect("room");
    let task = rt.task(work).at_least_once();
    let task = task.spawn((both(&rt), report));
    // It goes on until the task has ended: none of its attempts' drops is told.
    let told: Vec<_> = reports.iter().collect();
    let sent = (0..3).map(Ok).collect();
    assert_eq!(task.join(), Ok((sent, Err(RecvError::Disconnected))));
    assert_eq!(told, [0, 1, 2]);
    // One that fails for good lets go of all.
    let (sender, receiver) = both(&rt);
    let dies = |sender: Sender<u64>| -> () {
        drop(sender);
        std::process::abort()
    };
    let task = rt
        .task(dies)
        .retry(Retry::fixed(2, Duration::ZERO))
        .spawn(sender);
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
    assert!(matches!(task.join(), Err(TaskError::WorkerDied { .. })));
    drop((receiver, reports));
    nothing_left(&rt);
}

/// Drops one end of those that it was given, and waits for the other.
fn waits((sender, receiver, way): (Sender<u64>, Receiver<u64>, u64)) -> bool {
    match way {
        0 => {
            drop(sender);
            receiver.recv_timeout(LONG) == Err(RecvError::Disconnected)
        }
        1 => {
            drop(receiver);
            let mut sent = (0..9).map(|n| sender.send_timeout(n, LONG));
            let refused = sent.find_map(Result::err);
            refused.is_some_and(|error| error.fault == SendFault::Disconnected)
        }
        _ => {
            drop(sender);
            let mut select = Select::new();
            select.recv(&receiver);
            let chosen = select.wait_timeout(LONG).map(|it| it.recv(&receiver));
            chosen == Ok(Err(RecvError::Disconnected))
        }
    }
}

/// Others have the same ends, in tasks that may be run again or not, in messages and in the host, and let go of
/// them at any time; workers are killed. Whoever waits is told in the end.
#[test]
fn whoever_else_has_them_and_goes() {
    let rt = runtime(3);
    for seed in 0..60 {
        let mut rng = Rng::new(seed, 1);
        let room = *rng.choose(&[0, 1, 3]);
        let (sender, receiver) = rt.channel::<u64>(room).expect("room");
        let both = || (sender.clone(), receiver.clone());
        let way = rng.below(3);
        let (tx, rx) = both();
        let task = rt.task(waits).safe_to_repeat(1000).spawn((tx, rx, way));
        let holds = |both: Both| drop(both);
        let others: Vec<_> = (0..rng.below(4))
            .map(|_| {
                let attempts = *rng.choose(&[1, 1000]);
                rt.task(holds).safe_to_repeat(attempts).spawn(both())
            })
            .collect();
        let (post, letters) = rt.channel::<Both>(2).expect("room");
        if rng.once_in(2) {
            post.send(both()).expect("room");
        }
        drop((sender, receiver));
        if rng.once_in(3) {
            let workers = rt.stats().workers;
            let victim = rng.choose(&workers).pid;
            if victim > 0 {
                let _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
            }
        }
        if rng.once_in(2) {
            drop(letters.try_recv());
        }
        drop((post, letters));
        assert_eq!(task.join(), Ok(true), "seed {seed}, way {way}, room {room}");
        // One that may not be run again may have been killed.
        others.into_iter().for_each(|other| drop(other.join()));
        nothing_left(&rt);
    }
}
