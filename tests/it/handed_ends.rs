//! Ends of shared objects among the arguments of a task: when it has begun they are its own.

use std::time::Duration;

use pinfold::channel::{Receiver, RecvError, Sender};
use pinfold::collective::{CollectiveError, Member};
use pinfold::{Orphans, Runtime, Shutdown, TaskError, TrySpawnError};

use crate::channels::nothing_left;

pub const LONG: Duration = Duration::from_secs(60);

pub fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(64 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

pub type Both = (Sender<u64>, Receiver<u64>);

/// Sends into its own channel, and takes all until nobody is left that could send.
pub fn to_itself((sender, receiver): Both) -> Result<u64, RecvError> {
    for n in 0..3 {
        sender.send(n).expect("room");
    }
    drop(sender);
    let mut count = 0;
    loop {
        match receiver.recv_timeout(LONG) {
            Ok(_) => count += 1,
            Err(RecvError::Disconnected) => return Ok(count),
            Err(error) => return Err(error),
        }
    }
}

pub fn padded((both, padding): (Both, String)) -> Result<u64, RecvError> {
    assert_eq!(padding.len(), 5000);
    to_itself(both)
}

#[test]
fn a_task_with_both_ends_sees_its_own_sender_go() {
    let rt = runtime(2);
    let both = || rt.channel::<u64>(4).expect("room");
    assert_eq!(rt.spawn(to_itself, both()).join(), Ok(Ok(3)));
    let tried = rt.try_spawn(to_itself, both()).expect("room");
    assert_eq!(tried.join(), Ok(Ok(3)));
    let long = rt.spawn(padded, (both(), "p".repeat(5000)));
    assert_eq!(long.join(), Ok(Ok(3)), "long arguments");
    let many = rt.map(to_itself, (0..5).map(|_| both()));
    many.for_each(|each| assert_eq!(each, Ok(Ok(3)), "map"));
    let first = rt.spawn(|n: u64| n, 1);
    let task = rt.task(|(both, one): (Both, u64)| to_itself(both).map(|n| n + one));
    assert_eq!(task.spawn_after(&first, both()).join(), Ok(Ok(4)), "after");
    drop(first);
    let late = rt.task(to_itself).hard_deadline(LONG).spawn(both());
    assert_eq!(late.join(), Ok(Ok(3)), "timed");
    nothing_left(&rt);
}

#[test]
fn a_child_with_both_ends_sees_its_own_sender_go() {
    let rt = runtime(2);
    // Run by whoever comes first; the parent joins, or only waits for its end of the channel.
    fn parent(joins: bool) -> u64 {
        let (sender, receiver) = pinfold::channel::<u64>(4).expect("room");
        let (told, tell) = pinfold::channel::<u64>(1).expect("room");
        let child = |(both, told): (Both, Sender<u64>)| {
            let count = to_itself(both).expect("ends");
            told.send(count).expect("there");
            drop(told);
            count
        };
        let child = pinfold::spawn(child, ((sender, receiver), told));
        if joins {
            assert_eq!(child.join(), Ok(3));
        }
        let count = tell.recv_timeout(LONG).expect("told");
        assert_eq!(tell.recv_timeout(LONG), Err(RecvError::Disconnected));
        count
    }
    for joins in [true, false] {
        assert_eq!(rt.spawn(parent, joins).join(), Ok(3), "{joins}");
    }
    nothing_left(&rt);
}

#[test]
fn an_end_that_a_task_has_dropped_is_gone_while_the_task_runs() {
    let rt = runtime(1);
    let (sender, receiver) = rt.channel::<u64>(1).expect("room");
    let (go, gone) = rt.channel::<u64>(1).expect("room");
    let task = rt.spawn(
        |(sender, gone): (Sender<u64>, Receiver<u64>)| {
            drop(sender);
            gone.recv_timeout(LONG)
        },
        (sender, gone),
    );
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
    assert!(!task.is_finished());
    go.send(7).expect("it waits");
    assert_eq!(task.join(), Ok(Ok(7)));
    drop((go, receiver));
    nothing_left(&rt);
}

#[test]
fn one_that_never_begins_lets_go_of_its_ends() {
    let rt = Runtime::builder().workers(1).queue_capacity(2);
    let rt = rt.on_drop(Shutdown::Abort).start().expect("starts");
    let (go, wait) = rt.channel::<u64>(1).expect("room");
    let blocker = rt.spawn(|wait: Receiver<u64>| wait.recv_timeout(LONG), wait);
    let (sender, receiver) = rt.channel::<u64>(1).expect("room");
    let task = rt.spawn(|sender: Sender<u64>| sender.send(1).is_ok(), sender);
    // One for which there is no place has its ends back.
    let (other, others) = rt.channel::<u64>(1).expect("room");
    let refused = rt.try_spawn(|other: Sender<u64>| other.send(1).is_ok(), other);
    let Err(TrySpawnError { args, .. }) = refused else {
        panic!("it is full");
    };
    args.send(5).expect("there");
    drop(args);
    assert_eq!(others.recv_timeout(LONG), Ok(5));
    assert_eq!(others.recv_timeout(LONG), Err(RecvError::Disconnected));
    task.cancel();
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
    go.send(1).expect("it waits");
    assert_eq!(blocker.join(), Ok(Ok(1)));
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    drop((go, receiver, others));
    nothing_left(&rt);
}

#[test]
fn a_dead_workers_task_leaves_no_end() {
    let rt = runtime(1);
    for dies_with_it in [true, false] {
        let (sender, receiver) = rt.channel::<u64>(1).expect("room");
        let task = rt.spawn(
            |(sender, keeps): (Sender<u64>, bool)| {
                let kept = keeps.then_some(sender);
                if let Some(sender) = &kept {
                    sender.send(3).expect("room");
                }
                std::process::abort()
            },
            (sender, dies_with_it),
        );
        if dies_with_it {
            assert_eq!(receiver.recv_timeout(LONG), Ok(3));
        }
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
        let task: Result<(), _> = task.join();
        assert!(matches!(task, Err(TaskError::WorkerDied { .. })));
    }
    nothing_left(&rt);
}

#[test]
fn what_a_task_was_given_it_can_give_back() {
    let rt = runtime(2);
    let (sender, receiver) = rt.channel::<u64>(2).expect("room");
    let back = |(sender, also): (Sender<u64>, Sender<u64>)| {
        sender.send(1).expect("room");
        (sender, also)
    };
    let (one, other) = rt
        .spawn(back, (sender.clone(), sender))
        .join()
        .expect("runs");
    one.send(2).expect("room");
    assert_eq!(receiver.recv_timeout(LONG), Ok(1));
    assert_eq!(receiver.recv_timeout(LONG), Ok(2));
    drop((one, other));
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
}

#[test]
fn an_orphan_that_is_finished_has_its_ends() {
    let rt = Runtime::builder().workers(2).orphans(Orphans::Finish);
    let rt = rt.on_drop(Shutdown::Abort).start().expect("starts");
    let (go, wait) = rt.channel::<u64>(1).expect("room");
    // The other worker is busy, so nobody begins the child before its parent is dead.
    let (begun, begins) = rt.channel::<u64>(1).expect("room");
    let busy = rt.spawn(
        |(wait, begun): (Receiver<u64>, Sender<u64>)| {
            begun.send(1).expect("there");
            wait.recv_timeout(LONG)
        },
        (wait, begun),
    );
    assert_eq!(begins.recv_timeout(LONG), Ok(1));
    let (sender, receiver) = rt.channel::<u64>(8).expect("room");
    let parent = rt.spawn(
        |sender: Sender<u64>| -> () {
            for n in 0..3 {
                let send = |(sender, n, padding): (Sender<u64>, u64, String)| {
                    sender.send(n + padding.len() as u64).expect("room");
                };
                let padding = "p".repeat(n as usize * 4000);
                drop(pinfold::spawn(send, (sender.clone(), n, padding)));
            }
            std::process::abort()
        },
        sender,
    );
    assert!(matches!(parent.join(), Err(TaskError::WorkerDied { .. })));
    go.send(2).expect("it waits");
    assert_eq!(busy.join(), Ok(Ok(2)));
    let mut sums: Vec<u64> = receiver.iter().collect();
    sums.sort_unstable();
    assert_eq!(sums, [0, 4001, 8002]);
    drop((receiver, go, begins));
    nothing_left(&rt);
}

#[test]
fn a_member_that_its_task_has_dropped_is_missed_at_once() {
    let rt = runtime(2);
    let [first, mut second]: [Member; 2] = rt.collective(2).expect("room").try_into().expect("2");
    let (go, wait) = rt.channel::<u64>(1).expect("room");
    let task = rt.spawn(
        |(member, wait): (Member, Receiver<u64>)| {
            drop(member);
            wait.recv_timeout(LONG)
        },
        (first, wait),
    );
    second.set_timeout(Some(LONG));
    let missed = second.barrier();
    assert!(
        matches!(missed, Err(CollectiveError::MemberLeft { rank: 0 })),
        "{missed:?}"
    );
    go.send(1).expect("it waits");
    assert_eq!(task.join(), Ok(Ok(1)));
}

/// What a channel carries that carries its own ends.
#[derive(serde::Serialize, serde::Deserialize)]
enum Own {
    Sender(Sender<Own>),
    Receiver(Receiver<Own>),
}

/// Ends that travel through their own channel keep it: it is over when they are taken and dropped, also by a worker that
/// dies. What nobody can take any more stays until the runtime ends, and hurts nobody.
#[test]
fn a_channel_carries_its_own_ends() {
    let rt = runtime(2);
    let full = || {
        let (sender, receiver) = rt.channel::<Own>(4).expect("room");
        let all = [Own::Sender(sender.clone()), Own::Receiver(receiver.clone())];
        for own in all {
            assert!(sender.send(own).is_ok());
        }
        (sender, receiver)
    };
    for dies in [false, true] {
        let (sender, receiver) = full();
        drop(sender);
        let take = |(receiver, dies): (Receiver<Own>, bool)| {
            // With the first message it has a sender, with the second one more receiver.
            let all = [receiver.recv(), receiver.recv()];
            if dies {
                std::process::abort();
            }
            drop(all);
            matches!(receiver.recv(), Err(RecvError::Disconnected))
        };
        let told = rt.spawn(take, (receiver, dies)).join();
        assert_eq!(told.ok(), (!dies).then_some(true));
    }
    nothing_left(&rt);
    let lanes = |rt: &Runtime| rt.audit().blocks_lanes;
    drop(full());
    let one = lanes(&rt);
    assert!(one > 0, "nobody has an end, and each end is in a message");
    drop(full());
    assert_eq!(lanes(&rt), 2 * one);
    assert_eq!(rt.spawn(|n: u64| n, 5).join(), Ok(5));
    rt.shutdown(Shutdown::Drain).expect("nothing runs");
}
