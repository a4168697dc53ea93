//! Channels whose messages are acknowledged: none is lost with whoever had it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::channel::{
    Delivery, Options, Overflow, Receiver, RecvError, Select, SendFault, Sender,
};
use pinfold::{Loan, Runtime, Shared};

use crate::asynchronous::block_on;
use crate::channels::{CAPACITIES, LONG, SOON, nothing_left, runtime};

type Job = (u64, Shared, Vec<u8>);

fn job(number: u64, held: &Shared, len: usize) -> Job {
    (number, held.clone(), vec![number as u8; len])
}

fn is_whole(job: &Job) -> bool {
    job.1.iter().all(|byte| *byte == 7) && job.2.iter().all(|byte| *byte == job.0 as u8)
}

fn held(rt: &Runtime) -> Shared {
    let mut loan = rt.alloc(300).expect("room");
    loan.fill(7);
    loan.publish()
}

/// Says when it has done with each.
fn work((jobs, done): (Receiver<Delivery<Job>>, Sender<u64>)) -> u64 {
    let mut count = 0;
    for job in &jobs {
        assert!(is_whole(&job));
        done.send(job.0).expect("received");
        job.ack();
        count += 1;
    }
    count
}

#[test]
fn each_is_received_once_if_it_is_acknowledged() {
    let rt = runtime(2);
    const COUNT: u64 = 300;
    for capacity in CAPACITIES {
        for len in [0, 500] {
            let (sender, jobs) = rt
                .acked_channel::<Job>(Options::new(capacity))
                .expect("room");
            let (done, dones) = rt.channel::<u64>(16).expect("room");
            let tasks = [0; 2].map(|_| rt.spawn(work, (jobs.clone(), done.clone())));
            drop((done, jobs));
            let shared = held(&rt);
            std::thread::scope(|scope| {
                let jobs = (0..COUNT).map(move |n| job(n, &shared, len));
                scope.spawn(move || sender.send_all(jobs).expect("received"));
                let mut all: Vec<u64> = dones.iter().collect();
                all.sort_unstable();
                assert_eq!(all, (0..COUNT).collect::<Vec<_>>(), "{capacity}");
            });
            let counts = tasks.map(|task| task.join().expect("runs"));
            assert_eq!(counts[0] + counts[1], COUNT);
        }
    }
    nothing_left(&rt);
}

#[test]
fn what_is_dropped_comes_again_before_all_others() {
    let rt = runtime(1);
    for capacity in [3, 1024] {
        let (sender, jobs) = rt
            .acked_channel::<Job>(Options::new(capacity))
            .expect("room");
        let shared = held(&rt);
        for number in 0..3 {
            sender.send(job(number, &shared, 400)).expect("room");
        }
        let [first, second] = [0, 1].map(|_| jobs.recv().expect("sent"));
        assert_eq!((first.0, second.0, first.attempt()), (0, 1, 1));
        assert_eq!((jobs.len(), jobs.unacknowledged()), (1, 2));
        drop(second);
        drop(first);
        assert_eq!((jobs.len(), jobs.unacknowledged()), (3, 0));
        for (number, attempt) in [(0, 2), (1, 2), (2, 1)] {
            let job = jobs.try_recv().expect("there");
            assert!(is_whole(&job));
            assert_eq!((job.0, job.attempt()), (number, attempt));
            assert_eq!(job.ack().0, number);
        }
        assert!(matches!(jobs.try_recv(), Err(RecvError::Empty)));
        assert!(matches!(
            jobs.recv_timeout(SOON),
            Err(RecvError::TimedOut { .. })
        ));
        assert!(jobs.is_empty());
    }
    nothing_left(&rt);
}

/// One by one, several, iterated, awaited, selected: each gives it back.
#[test]
fn every_way_to_receive_gives_a_delivery() {
    let rt = runtime(1);
    let (sender, jobs) = rt.acked_channel::<u32>(Options::new(8)).expect("room");
    sender.send_all([1, 2]).expect("room");
    let attempts = |expected: u32, delivery: Delivery<u32>| {
        assert_eq!((*delivery, delivery.attempt()), (1, expected));
    };
    attempts(1, jobs.recv().expect("there"));
    attempts(2, jobs.try_recv().expect("there"));
    attempts(3, jobs.recv_timeout(LONG).expect("there"));
    attempts(4, jobs.iter().next().expect("there"));
    attempts(5, jobs.try_iter().next().expect("there"));
    attempts(6, block_on(jobs.recv_async()).expect("there"));
    let many = jobs.recv_many(10).expect("there");
    assert_eq!(many.iter().map(|each| **each).collect::<Vec<_>>(), [1, 2]);
    drop(many);
    let mut select = Select::new();
    let index = select.recv(&jobs);
    let chosen = select.wait().expect("there");
    assert_eq!(chosen.index(), index);
    attempts(8, chosen.recv(&jobs).expect("there"));
    // Chosen, and not asked for: it goes with the select.
    drop(select.wait().expect("there"));
    assert_eq!(jobs.unacknowledged(), 1);
    drop(select);
    assert_eq!((jobs.unacknowledged(), jobs.len()), (0, 2));
    attempts(10, jobs.recv().expect("there"));
    let mut stream = std::pin::pin!(jobs.stream());
    let next = block_on(std::future::poll_fn(|context| {
        futures_core::Stream::poll_next(stream.as_mut(), context)
    }));
    attempts(11, next.expect("there"));
    drop(sender);
    let all: Vec<u32> = jobs.iter().map(Delivery::ack).collect();
    assert_eq!(all, [1, 2]);
    drop(jobs);
    nothing_left(&rt);
}

/// A task dies over its job, or fails: somebody else gets it, once it was not acknowledged.
#[test]
fn what_a_dead_receiver_had_is_handed_on() {
    type Ends = (Receiver<Delivery<Job>>, Sender<(u64, u32)>);
    fn dies((jobs, done): Ends) {
        for job in &jobs {
            let attempt = job.attempt();
            if attempt == 1 && job.0 % 5 == 3 {
                std::process::abort();
            }
            assert!(is_whole(&job));
            done.send((job.0, attempt)).expect("received");
            job.ack();
        }
    }
    let rt = runtime(2);
    for capacity in CAPACITIES {
        let (sender, jobs) = rt
            .acked_channel::<Job>(Options::new(capacity))
            .expect("room");
        let (done, dones) = rt.channel(64).expect("room");
        let tasks = [0; 2].map(|_| {
            let task = rt.task(dies).safe_to_repeat(20);
            task.spawn((jobs.clone(), done.clone()))
        });
        drop((jobs, done));
        let shared = held(&rt);
        let sends = sender.clone();
        drop(sender);
        std::thread::scope(|scope| {
            let jobs = (0..20).map(move |n| job(n, &shared, n as usize * 40));
            scope.spawn(move || sends.send_all(jobs).expect("received"));
        });
        let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
        for (number, attempt) in &dones {
            let before = seen.insert(number, attempt);
            assert!(before.is_none_or(|before| before < attempt), "{number}");
        }
        // A worker that dies takes nobody else's acknowledged job with it.
        assert_eq!(
            seen.keys().copied().collect::<Vec<_>>(),
            (0..20).collect::<Vec<_>>()
        );
        for number in [3, 8, 13, 18] {
            assert!(seen[&number] > 1, "{capacity}: {seen:?}");
        }
        tasks
            .into_iter()
            .for_each(|task| task.join().expect("ends"));
    }
    nothing_left(&rt);
}

/// The others wait for the last one: it may come to them.
#[test]
fn the_last_message_of_a_dead_receiver_is_handed_on() {
    fn dies_when_told((jobs, told, taken): (Receiver<Delivery<u32>>, Receiver<()>, Sender<u32>)) {
        let job = jobs.recv().expect("sent");
        taken.send(*job).expect("received");
        let _ = told.recv();
        std::process::abort();
    }
    let rt = runtime(2);
    for capacity in CAPACITIES {
        let (sender, jobs) = rt
            .acked_channel::<u32>(Options::new(capacity))
            .expect("room");
        let (tell, told) = rt.channel::<()>(1).expect("room");
        let (taken, is_taken) = rt.channel(1).expect("room");
        let dies = rt.spawn(dies_when_told, (jobs.clone(), told, taken));
        sender.send(5).expect("received");
        drop(sender);
        assert_eq!(is_taken.recv(), Ok(5));
        assert!(matches!(
            jobs.recv_timeout(SOON),
            Err(RecvError::TimedOut { .. })
        ));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| jobs.recv().map(|job| (job.attempt(), job.ack())));
            std::thread::sleep(SOON);
            drop(tell);
            assert_eq!(waits.join().expect("no panic"), Ok((2, 5)));
        });
        assert!(matches!(jobs.recv(), Err(RecvError::Disconnected)));
        assert!(dies.join().is_err());
    }
}

#[test]
fn who_has_some_itself_does_not_wait_for_those_of_others() {
    fn keeps((jobs, told, taken): (Receiver<Delivery<u32>>, Receiver<()>, Sender<bool>)) {
        let job = jobs.recv().expect("sent");
        let is_over = matches!(jobs.recv(), Err(RecvError::Disconnected));
        taken.send(is_over).expect("received");
        let _ = told.recv();
        job.ack();
    }
    let rt = runtime(1);
    let (sender, jobs) = rt.acked_channel::<u32>(Options::new(4)).expect("room");
    sender.send_all([1, 2]).expect("room");
    drop(sender);
    let ours = jobs.recv().expect("sent");
    let (tell, told) = rt.channel::<()>(1).expect("room");
    let (taken, is_taken) = rt.channel(1).expect("room");
    let keeps = rt.spawn(keeps, (jobs.clone(), told, taken));
    assert_eq!(is_taken.recv(), Ok(true), "both would wait");
    assert!(matches!(jobs.recv(), Err(RecvError::Disconnected)));
    ours.ack();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| jobs.recv().map(Delivery::ack));
        std::thread::sleep(SOON);
        drop(tell);
        assert_eq!(
            waits.join().expect("no panic"),
            Err(RecvError::Disconnected)
        );
    });
    keeps.join().expect("runs");
}

#[test]
fn many_work_at_once_whatever_the_capacity() {
    let rt = runtime(1);
    for capacity in [0, 1, 2] {
        let (sender, jobs) = rt
            .acked_channel::<usize>(Options::new(capacity))
            .expect("room");
        std::thread::scope(|scope| {
            scope.spawn(move || sender.send_all(0..50).expect("received"));
            let kept: Vec<_> = (0..50).map(|_| jobs.recv().expect("sent")).collect();
            assert_eq!(jobs.unacknowledged(), 50);
            for (number, delivery) in kept.into_iter().enumerate() {
                assert_eq!(delivery.ack(), number);
            }
        });
        assert!(matches!(jobs.recv(), Err(RecvError::Disconnected)));
    }
}

/// One that is never acknowledged lets so many by.
#[test]
fn a_message_that_is_kept_holds_up_those_far_behind() {
    let rt = runtime(1);
    for overflow in [Overflow::Block, Overflow::DropOldest] {
        for (capacity, further) in [(1, 64), (100, 199)] {
            let options = Options::new(capacity).overflow(overflow);
            let (sender, jobs) = rt.acked_channel::<u32>(options).expect("room");
            sender.send(0).expect("room");
            let kept = jobs.recv().expect("sent");
            for number in 1..=further {
                sender.try_send(number).expect("room");
                if number as usize > further as usize - capacity {
                    continue; // as many may wait
                }
                assert_eq!(jobs.recv().expect("sent").ack(), number);
            }
            let waiting = jobs.len();
            let error = sender.try_send(9).expect_err("its place is in the way");
            assert_eq!(error.fault, SendFault::Full);
            assert_eq!(
                (jobs.len(), jobs.dropped()),
                (waiting, 0),
                "none is dropped for it"
            );
            kept.ack();
            if overflow == Overflow::Block {
                assert!(jobs.recv().expect("sent").ack() > 0);
            }
            sender.try_send(9).expect("room");
            if overflow == Overflow::DropOldest {
                sender.try_send(10).expect("room");
                assert_eq!(jobs.dropped(), u64::from(waiting == capacity) * 2);
            }
        }
    }
    nothing_left(&rt);
}

#[test]
fn what_cannot_be_received_twice_is_refused() {
    let rt = runtime(1);
    let (sender, jobs) = rt.acked_channel::<Loan>(Options::new(2)).expect("room");
    let error = sender.send(rt.alloc(5).expect("room")).expect_err("a loan");
    assert!(error.to_string().contains("publish it"), "{error}");
    assert_eq!(error.into_value().map(|loan| loan.len()), Some(5));
    drop((sender, jobs));
    // Its type does not read it: it does not come for ever.
    static STRICT: AtomicBool = AtomicBool::new(false);
    #[derive(serde::Serialize)]
    struct Picky(u32);
    impl<'de> serde::Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            match u32::deserialize(from)? {
                // When it is sent it is looked whether it reads.
                other if !STRICT.load(SeqCst) => Ok(Picky(other)),
                0 => Err(serde::de::Error::custom("not 0")),
                1 => panic!("it is 1"),
                other => Ok(Picky(other)),
            }
        }
    }
    let (sender, jobs) = rt.acked_channel::<Picky>(Options::new(4)).expect("room");
    sender
        .send_all([Picky(0), Picky(1), Picky(2)])
        .expect("room");
    STRICT.store(true, SeqCst);
    assert!(matches!(jobs.recv(), Err(RecvError::Decode { .. })));
    for _ in 0..3 {
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| jobs.recv()));
        assert!(panics.is_err(), "it comes again");
    }
    assert_eq!((jobs.len(), jobs.unacknowledged()), (2, 0));
    drop((sender, jobs));
    nothing_left(&rt);
}

#[test]
fn what_nobody_acknowledges_goes_with_the_last_receiver() {
    let rt = runtime(1);
    for capacity in [0, 1, 4] {
        let (sender, jobs) = rt
            .acked_channel::<Job>(Options::new(capacity))
            .expect("room");
        let shared = held(&rt);
        std::thread::scope(|scope| {
            let sender = &sender;
            scope.spawn(move || sender.send(job(1, &shared, 900)).expect("received"));
            drop(jobs.recv().expect("sent"));
            let kept = jobs.recv().expect("sent");
            drop(jobs);
            assert!(!sender.is_disconnected(), "a delivery is an end, too");
            drop(kept);
            assert!(sender.is_disconnected());
        });
        let audit = rt.audit();
        assert_eq!(
            (audit.blocks_carried, audit.blocks_passing),
            (0, 0),
            "at once"
        );
    }
    nothing_left(&rt);
}

/// Workers are killed all the time while they work: each job is done.
#[test]
fn no_job_is_lost_whoever_is_killed() {
    let rt = runtime(3);
    const COUNT: u64 = 400;
    for capacity in [0, 1, 16] {
        let (sender, jobs) = rt
            .acked_channel::<Job>(Options::new(capacity))
            .expect("room");
        let (done, dones) = rt.channel::<u64>(16).expect("room");
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let task = rt.task(work).safe_to_repeat(1000);
                task.spawn((jobs.clone(), done.clone()))
            })
            .collect();
        drop((jobs, done));
        let shared = held(&rt);
        let all: BTreeSet<u64> = std::thread::scope(|scope| {
            let kills = &rt;
            scope.spawn(move || {
                let jobs = (0..COUNT).map(move |n| {
                    if n % 50 == 20 {
                        let workers = kills.stats().workers;
                        let victim = &workers[(n / 50) as usize % workers.len()];
                        if victim.pid > 0 {
                            let _ = kill(Pid::from_raw(victim.pid), Signal::SIGKILL);
                        }
                    }
                    job(n, &shared, (n as usize % 4) * 50)
                });
                sender.send_all(jobs).expect("received");
            });
            dones.iter().collect()
        });
        assert_eq!(all, (0..COUNT).collect(), "{capacity}");
        tasks.into_iter().for_each(|task| drop(task.join()));
    }
    nothing_left(&rt);
}

#[test]
fn a_task_makes_one_and_gives_it_away() {
    type Made = (Sender<u32>, Receiver<Delivery<u32>>);
    fn make((): ()) -> Made {
        let (sender, jobs) = pinfold::acked_channel(Options::new(2)).expect("room");
        sender.send(1).expect("room");
        (sender, jobs)
    }
    let rt = runtime(1);
    let (sender, jobs) = rt.spawn(make, ()).join().expect("runs");
    sender.send(2).expect("room");
    drop(jobs.recv().expect("sent"));
    assert_eq!([0, 1].map(|_| jobs.recv().expect("sent").ack()), [1, 2]);
    // In a message.
    let (carries, carried) = rt.channel::<Made>(1).expect("room");
    carries.send((sender, jobs)).expect("room");
    let (sender, jobs) = carried.recv().expect("sent");
    sender.send(3).expect("room");
    assert_eq!(jobs.recv().expect("sent").ack(), 3);
    drop(sender);
    assert!(matches!(jobs.recv(), Err(RecvError::Disconnected)));
}
