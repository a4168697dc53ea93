//! Channels: what travels in them, and what becomes of them when somebody dies. What holds for each
//! pair of places where the ends are, and each capacity, is in `channel_suite`.

use std::collections::BTreeMap;
use std::time::Duration;

use pinfold::channel::{Options, Overflow, Receiver, RecvError, SendFault, Sender};
use pinfold::{Loan, Runtime, Shared, Shutdown};

pub const CAPACITIES: [usize; 4] = [0, 1, 2, 1024];
pub const SOON: Duration = Duration::from_millis(20);
pub const LONG: Duration = Duration::from_secs(60);

pub fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(256 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

fn send_numbers((sender, from, count): (Sender<u64>, u64, u64)) -> u64 {
    (from..from + count)
        .take_while(|n| sender.send(*n).is_ok())
        .count() as u64
}

fn add_up(receiver: Receiver<u64>) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0);
    for number in &receiver {
        (count, sum) = (count + 1, sum + number);
    }
    (count, sum)
}

/// Waits until nothing is left of channels: their blocks are given back.
pub fn nothing_left(rt: &Runtime) {
    let give_up = std::time::Instant::now() + LONG;
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
fn many_senders_and_receivers_everywhere() {
    let rt = runtime(4);
    const EACH: u64 = 500;
    for capacity in CAPACITIES {
        let (sender, receiver) = rt.channel(capacity).expect("room");
        let tasks: Vec<_> = (0..2)
            .map(|n| rt.spawn(send_numbers, (sender.clone(), n * EACH, EACH)))
            .collect();
        let takers: Vec<_> = (0..2).map(|_| rt.spawn(add_up, receiver.clone())).collect();
        let (count, sum) = std::thread::scope(|scope| {
            let here = sender.clone();
            scope.spawn(move || send_numbers((here, 2 * EACH, EACH)));
            drop(sender);
            let own = add_up(receiver);
            let others = takers.into_iter().map(|taker| taker.join().expect("runs"));
            others.fold(own, |(count, sum), (c, s)| (count + c, sum + s))
        });
        assert_eq!(
            (count, sum),
            (3 * EACH, 3 * EACH * (3 * EACH - 1) / 2),
            "{capacity}"
        );
        tasks
            .into_iter()
            .for_each(|task| assert_eq!(task.join(), Ok(EACH)));
    }
    nothing_left(&rt);
}

#[test]
fn each_senders_order_is_kept() {
    let rt = runtime(3);
    let (sender, receiver) = rt.channel::<(u32, u64)>(3).expect("room");
    fn send((sender, me): (Sender<(u32, u64)>, u32)) {
        (0..400).for_each(|n| sender.send((me, n)).expect("received"));
    }
    for me in 0..3 {
        drop(rt.spawn(send, (sender.clone(), me)));
    }
    drop(sender);
    let mut next = BTreeMap::new();
    for (me, number) in &receiver {
        let expected = next.entry(me).or_insert(0);
        assert_eq!(number, *expected);
        *expected += 1;
    }
    assert_eq!(next, BTreeMap::from([(0, 400), (1, 400), (2, 400)]));
}

#[test]
fn buffers_and_long_values_travel() {
    let rt = runtime(2);
    type Parts = (Loan, Vec<u8>, Shared, String);
    fn back((receiver, sender): (Receiver<Parts>, Sender<Parts>)) {
        for (mut loan, vec, shared, text) in &receiver {
            loan[0] += 1;
            sender.send((loan, vec, shared, text)).expect("received");
        }
    }
    let (there, from_here) = rt.channel::<Parts>(2).expect("room");
    let (to_here, here) = rt.channel::<Parts>(2).expect("room");
    drop(rt.spawn(back, (from_here, to_here)));
    let mut kept = rt.alloc(100).expect("room");
    kept.fill(7);
    let kept = kept.publish();
    for len in [0, 1, 100, 5000, 1 << 20] {
        let mut loan = rt.alloc(len + 1).expect("room");
        loan.fill(1);
        let at = loan.as_ptr();
        // One is kept here as well; one is not.
        let shared = if len % 2 == 0 {
            kept.clone()
        } else {
            rt.alloc(9).expect("room").publish()
        };
        let shared_at = shared.as_ptr();
        there
            .send((loan, vec![3; len], shared, "x".repeat(len)))
            .expect("received");
        let (loan, vec, shared, text) = here.recv().expect("sent");
        assert_eq!(
            (loan[0], loan.len(), loan.as_ptr()),
            (2, len + 1, at),
            "the same memory"
        );
        assert_eq!((vec, text.len()), (vec![3; len], len));
        assert_eq!(shared.as_ptr(), shared_at, "the same memory");
    }
    drop((there, kept));
    assert!(matches!(here.recv(), Err(RecvError::Disconnected)));
    drop(here);
    nothing_left(&rt);
}

#[test]
fn ends_travel_in_messages_and_results() {
    let rt = runtime(2);
    type Request = (u64, Sender<u64>);
    fn serve(requests: Receiver<Request>) {
        for (number, reply) in &requests {
            let _ = reply.send(number * number);
        }
    }
    fn open((): ()) -> (Sender<u64>, Receiver<u64>) {
        pinfold::channel(4).expect("room")
    }
    let (ask, requests) = rt.channel::<Request>(2).expect("room");
    drop(rt.spawn(serve, requests));
    for number in 0..100 {
        let (reply, answer) = rt.channel(1).expect("room");
        ask.send((number, reply)).expect("received");
        assert_eq!(answer.recv(), Ok(number * number));
        assert_eq!(
            answer.recv(),
            Err(RecvError::Disconnected),
            "the reply's sender is gone"
        );
    }
    let (sender, receiver) = rt.spawn(open, ()).join().expect("runs");
    sender.send(5).expect("room");
    assert_eq!(receiver.recv(), Ok(5));
    drop((ask, sender, receiver));
    nothing_left(&rt);
}

#[test]
fn what_is_left_in_a_channel_is_given_back() {
    let rt = runtime(1);
    for capacity in [1, 8] {
        let (sender, receiver) = rt
            .channel::<(Loan, Shared, Vec<u8>)>(capacity)
            .expect("room");
        let shared = rt.alloc(50).expect("room").publish();
        for _ in 0..capacity {
            let loan = rt.alloc(3000).expect("room");
            sender
                .send((loan, shared.clone(), vec![0; 9000]))
                .expect("room");
        }
        drop(shared);
        drop(receiver);
        assert!(sender.is_disconnected());
        let audit = rt.audit();
        assert_eq!(
            (audit.blocks_carried, audit.blocks_passing),
            (0, 0),
            "at once"
        );
        drop(sender);
    }
    // The other way round.
    let (sender, receiver) = rt.channel::<Loan>(1).expect("room");
    sender.send(rt.alloc(3000).expect("room")).expect("room");
    drop(sender);
    drop(receiver);
    // A message whose handle nobody looks at.
    let (sender, receiver) = rt.channel::<u64>(1).expect("room");
    drop(rt.spawn(
        |ends: (Sender<u64>, Receiver<u64>)| ends,
        (sender, receiver),
    ));
    nothing_left(&rt);
}

#[test]
fn the_oldest_goes_if_that_is_wanted() {
    let rt = runtime(1);
    let (sender, receiver) = rt
        .channel_with::<(u32, Loan)>(Options::new(2).overflow(Overflow::DropOldest))
        .expect("room");
    for n in 0..5 {
        sender
            .send((n, rt.alloc(2000).expect("room")))
            .expect("never full");
    }
    let kept: Vec<u32> = receiver.try_iter().map(|(n, _)| n).collect();
    assert_eq!((kept, receiver.dropped()), (vec![3, 4], 3));
    drop((sender, receiver));
    let (sender, receiver) = rt
        .channel_with::<u32>(Options::new(1).overflow(Overflow::Reject))
        .expect("room");
    sender.send(1).expect("room");
    assert_eq!(sender.send(2).expect_err("full").fault, SendFault::Full);
    drop((sender, receiver));
    nothing_left(&rt);
}

#[test]
fn a_value_that_does_not_travel_comes_back() {
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        one: Option<u32>,
        #[serde(serialize_with = "refuse")]
        two: u32,
    }
    fn refuse<S: serde::Serializer>(_: &u32, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("two is secret"))
    }
    let rt = runtime(1);
    let (sender, _receiver) = rt.channel(1).expect("room");
    let error = sender
        .send(Skips { one: None, two: 2 })
        .expect_err("it refuses");
    assert!(
        matches!(&error.fault, SendFault::Encode { message } if message.contains("two is secret"))
    );
    assert_eq!(error.into_value(), Some(Skips { one: None, two: 2 }));
    let (sender, _receiver) = rt.channel::<Loan>(1).expect("room");
    let other = runtime(1);
    let error = sender
        .send(other.alloc(5).expect("room"))
        .expect_err("of another runtime");
    assert!(matches!(error.fault, SendFault::Encode { .. }));
    assert_eq!(error.into_value().map(|loan| loan.len()), Some(5));
    let (sender, _receiver) = rt.channel::<Vec<u8>>(1).expect("room");
    let error = sender
        .send(vec![0; 300 << 20])
        .expect_err("more than there is");
    assert!(matches!(error.fault, SendFault::Alloc(_)), "{error}");
    assert_eq!(error.into_value().map(|bytes| bytes.len()), Some(300 << 20));
    assert!(rt.channel::<u64>(usize::MAX).is_err());
    assert!(rt.channel::<u64>(1 << 25).is_err());
}

/// Ends are small, and messages of small values are in small cells: these are not.
#[test]
fn a_channel_of_ends() {
    let rt = runtime(1);
    let (carries, carried) = rt.channel::<Sender<u32>>(1).expect("room");
    for is_kept in [true, false] {
        let (sender, receiver) = rt.channel(1).expect("room");
        let kept = is_kept.then(|| sender.clone());
        carries.send(sender).expect("room");
        carried.recv().expect("an end").send(5).expect("room");
        assert_eq!(receiver.recv(), Ok(5));
        drop(kept);
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    }
}

#[test]
fn a_dead_sender_or_receiver_holds_up_nobody() {
    fn dies_after((sender, count): (Sender<(u64, Loan)>, u64)) {
        for n in 0..count {
            let loan = pinfold::alloc(500).expect("room");
            sender.send((n, loan)).expect("received");
        }
        std::process::abort();
    }
    fn takes_and_dies((receiver, count): (Receiver<(u64, Loan)>, u64)) {
        for _ in 0..count {
            receiver.recv().expect("sent");
        }
        std::process::abort();
    }
    let rt = runtime(2);
    for count in [0, 1, 5] {
        let (sender, receiver) = rt.channel(8).expect("room");
        let dies = rt.spawn(dies_after, (sender, count));
        let received: Vec<u64> = receiver.iter().map(|(n, _)| n).collect();
        assert_eq!(
            received,
            (0..count).collect::<Vec<_>>(),
            "what was sent stays"
        );
        assert!(dies.join().is_err());

        let (sender, receiver) = rt.channel(2).expect("room");
        let dies = rt.spawn(takes_and_dies, (receiver, count));
        let mut sent = 0;
        while sender.send((sent, rt.alloc(500).expect("room"))).is_ok() {
            sent += 1;
        }
        assert!((count..=count + 3).contains(&sent), "{sent} of {count}");
        assert!(dies.join().is_err());
    }
    nothing_left(&rt);
}

/// Ends that are on their way when a worker dies are those of the next attempt.
#[test]
fn a_task_that_is_tried_again_has_its_ends() {
    fn second_time_lucky((sender, marks): (Sender<u32>, Sender<u32>)) {
        if marks.try_send(1).is_ok() {
            std::process::abort();
        }
        sender.send(7).expect("received");
    }
    let rt = runtime(1);
    let (sender, receiver) = rt.channel(1).expect("room");
    let (marks, _marked) = rt.channel(1).expect("room");
    let task = rt.task(second_time_lucky).at_least_once();
    drop(task.spawn((sender, marks)));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [7]);
}

#[test]
fn waits_end_with_the_runtime() {
    let rt = runtime(1);
    let (sender, receiver) = rt.channel::<u64>(1).expect("room");
    std::thread::scope(|scope| {
        let receives = scope.spawn(|| receiver.recv());
        let (full, _keeps) = rt.channel::<u64>(1).expect("room");
        full.send(1).expect("room");
        let sends = scope.spawn(move || full.send(2).map_err(|error| error.fault));
        std::thread::sleep(SOON);
        rt.shutdown(Shutdown::Abort).expect("nothing runs");
        assert_eq!(receives.join().expect("ends"), Err(RecvError::Gone));
        assert_eq!(sends.join().expect("ends"), Err(SendFault::Gone));
    });
    assert_eq!(sender.send(1).expect_err("over").fault, SendFault::Gone);
    assert_eq!(receiver.try_recv(), Err(RecvError::Gone));
}
