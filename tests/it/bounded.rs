//! Channels that are bounded by bytes.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::channel::{
    CreateError, Options, Overflow, Receiver, RecvError, Select, SendFault, Sender,
};
use pinfold::{Loan, Shared};

use crate::asynchronous::block_on;
use crate::channels::{LONG, SOON, nothing_left, runtime};

/// Its encoded length, and that of its buffers.
type Bytes = (Vec<u8>, Option<Loan>, Option<Shared>);

fn bytes(len: usize) -> Vec<u8> {
    vec![len as u8; len]
}

#[test]
fn a_bound_that_cannot_be_is_refused() {
    let rt = runtime(1);
    for bytes in [0, usize::MAX, 1 << 60] {
        let error = rt
            .channel_with::<u8>(Options::new(1).bytes(bytes))
            .expect_err("no bound");
        assert!(matches!(error, CreateError::Bytes { bytes: b, .. } if b == bytes));
        assert!(error.to_string().contains(&bytes.to_string()), "{error}");
    }
    let error = rt
        .acked_channel::<u8>(Options::new(0).bytes(100))
        .expect_err("it holds none");
    assert!(matches!(error, CreateError::HandedOver { bytes: 100, .. }));
    assert!(error.to_string().contains("capacity 0"), "{error}");
    for refused in [Overflow::Reject, Overflow::DropOldest] {
        let error = rt
            .channel_with::<u8>(Options::new(0).overflow(refused))
            .expect_err("it never has room");
        let is_it = matches!(error, CreateError::NoRoom { overflow, .. } if overflow == refused);
        assert!(is_it, "{error:?}");
        assert!(
            error.to_string().contains(&format!("{refused:?}")),
            "{error}"
        );
    }
    assert_eq!(
        rt.router::<u8>(2, 0).expect_err("no queue"),
        CreateError::NoQueue
    );
    let error = rt
        .channel_with::<u8>(Options::new(usize::MAX).bytes(5))
        .expect_err("too many");
    assert!(matches!(error, CreateError::Alloc(_)));
    assert!(matches!(
        pinfold::channel_with::<u8>(Options::new(1)).expect_err("in no task"),
        CreateError::Alloc(_)
    ));
}

#[test]
fn a_message_beyond_the_bound_is_refused_with_both_numbers() {
    let rt = runtime(1);
    for overflow in [Overflow::Block, Overflow::Reject, Overflow::DropOldest] {
        let options = Options::new(4).bytes(1000).overflow(overflow);
        let (sender, receiver) = rt.channel_with::<Bytes>(options).expect("room");
        sender.send((bytes(1), None, None)).expect("room");
        let too_large = |error: pinfold::channel::SendError<Bytes>, least: u64| {
            let SendFault::TooLarge { bytes, most, .. } = error.fault else {
                panic!("{error}")
            };
            assert!(bytes >= least && most == 1000, "{error}");
            let said = error.to_string();
            assert!(
                said.contains(&bytes.to_string()) && said.contains("1000"),
                "{said}"
            );
            error.into_value().expect("it comes back")
        };
        let error = sender.send((bytes(1001), None, None)).expect_err("long");
        assert_eq!(too_large(error, 1001).0, bytes(1001));
        let loan = rt.alloc(1500).expect("room");
        let error = sender
            .try_send((bytes(0), Some(loan), None))
            .expect_err("long");
        assert_eq!(too_large(error, 1500).1.map(|loan| loan.len()), Some(1500));
        let shared = rt.alloc(600).expect("room").publish();
        let message = (bytes(600), None, Some(shared));
        let error = block_on(sender.send_async(message)).expect_err("long");
        too_large(error, 1200);
        assert_eq!((receiver.len(), receiver.dropped()), (1, 0));
    }
    nothing_left(&rt);
}

#[test]
fn there_is_room_for_so_many_bytes() {
    let rt = runtime(1);
    let options = Options::new(100).bytes(1010);
    let (sender, receiver) = rt.channel_with::<Bytes>(options).expect("room");
    for round in 0..300 {
        // A byte or two say how many there are, and two that there are no buffers.
        sender.try_send((bytes(400), None, None)).expect("room");
        let loan = rt.alloc(500).expect("room");
        let message = (bytes(0), Some(loan), None);
        match round % 2 {
            0 => sender.try_send(message).expect("room"),
            _ => block_on(sender.send_async(message)).expect("room"),
        }
        let error = sender.try_send((bytes(120), None, None)).expect_err("full");
        assert_eq!(error.fault, SendFault::Full, "round {round}");
        let error = error.into_value().map(|value| value.0.len());
        assert_eq!(error, Some(120));
        sender
            .try_send((bytes(round % 80), None, None))
            .expect("it is short");
        assert_eq!(receiver.recv().expect("sent").0, bytes(400));
        sender
            .try_send((bytes(120), None, None))
            .expect("room again");
        assert_eq!(receiver.try_iter().count(), 3);
    }
    drop((sender, receiver));
    nothing_left(&rt);
}

#[test]
fn who_finds_no_room_waits_is_refused_or_takes_it() {
    let rt = runtime(1);
    // It waits.
    let (sender, receiver) = rt
        .channel_with::<Vec<u8>>(Options::new(100).bytes(1000))
        .expect("room");
    sender
        .send_all([bytes(300), bytes(300), bytes(300)])
        .expect("room");
    let error = sender.send_timeout(bytes(500), SOON).expect_err("full");
    assert!(matches!(error.fault, SendFault::TimedOut { .. }));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| sender.send(bytes(500)));
        let also = scope.spawn(|| block_on(sender.send_async(bytes(500))));
        std::thread::sleep(SOON);
        assert_eq!(
            (sender.len(), waits.is_finished(), also.is_finished()),
            (3, false, false)
        );
        // What is short goes by; then there is room for one of them, and for the other.
        sender.send(bytes(20)).expect("room");
        let lens: Vec<usize> = (0..6)
            .map(|_| receiver.recv().expect("sent").len())
            .collect();
        assert_eq!(lens, [300, 300, 300, 20, 500, 500]);
        waits.join().expect("no panic").expect("sent");
        also.join().expect("no panic").expect("sent");
    });
    // It is refused.
    let options = Options::new(100).bytes(1000).overflow(Overflow::Reject);
    let (sender, receiver) = rt.channel_with::<Vec<u8>>(options).expect("room");
    sender.send(bytes(900)).expect("room");
    assert_eq!(
        sender.send(bytes(200)).expect_err("full").fault,
        SendFault::Full
    );
    assert_eq!(
        block_on(sender.send_async(bytes(200)))
            .expect_err("full")
            .fault,
        SendFault::Full
    );
    assert_eq!(receiver.recv().expect("sent").len(), 900);
    sender.send(bytes(200)).expect("room");
    // It takes the place of as many as are in its way.
    let options = Options::new(100).bytes(1000).overflow(Overflow::DropOldest);
    let (sender, receiver) = rt.channel_with::<Vec<u8>>(options).expect("room");
    for len in [300, 301, 302, 600, 10, 985] {
        sender.send(bytes(len)).expect("room");
    }
    let lens: Vec<usize> = receiver.try_iter().map(|bytes| bytes.len()).collect();
    assert_eq!((lens, receiver.dropped()), (vec![10, 985], 4));
    // The bound of messages holds as well.
    let (sender, receiver) = rt
        .channel_with::<Vec<u8>>(Options::new(2).bytes(1000))
        .expect("room");
    sender.send_all([bytes(1), bytes(2)]).expect("room");
    assert_eq!(
        sender.try_send(bytes(3)).expect_err("full").fault,
        SendFault::Full
    );
    assert_eq!((receiver.len(), receiver.capacity()), (2, 2));
}

#[test]
fn a_select_waits_for_room_and_for_enough() {
    let rt = runtime(1);
    let (sender, receiver) = rt
        .channel_with::<Vec<u8>>(Options::new(100).bytes(100))
        .expect("room");
    let mut select = Select::new();
    select.send(&sender);
    for len in [40, 58] {
        let chosen = select.wait().expect("room");
        chosen.send(&sender, bytes(len)).expect("room");
    }
    assert!(select.try_wait().is_err(), "not a byte is left");
    let error = {
        assert_eq!(receiver.recv().expect("sent").len(), 40);
        let chosen = select.wait().expect("some room");
        chosen.send(&sender, bytes(101)).expect_err("it never fits")
    };
    assert!(matches!(error.fault, SendFault::TooLarge { most: 100, .. }));
    // Who knows how much it needs waits for that, and then has it.
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut select = Select::new();
            select.send(&sender);
            let mut message = bytes(90);
            let mut refused = 0;
            loop {
                let chosen = select.wait().expect("some room");
                let Err(error) = chosen.send(&sender, message) else {
                    return refused;
                };
                assert_eq!(error.fault, SendFault::Full);
                message = error.into_value().expect("it is given back");
                refused += 1;
            }
        });
        while rt.stats().waits.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(receiver.recv().expect("sent").len(), 58);
        assert_eq!(receiver.recv().expect("sent").len(), 90);
        assert_eq!(waits.join().expect("no panic"), 1);
    });
}

/// A message that is too long for the room that there is holds up nothing else.
#[test]
fn a_select_goes_on_with_others_when_a_message_is_too_long() {
    let rt = runtime(1);
    let options = || Options::new(100).bytes(100);
    let (sender, receiver) = rt.channel_with::<Vec<u8>>(options()).expect("room");
    let (other, of_other) = rt.channel::<u8>(1).expect("room");
    sender.send(bytes(58)).expect("room");
    let mut select = Select::new();
    let room = select.send(&sender);
    let message = select.recv(&of_other);
    let chosen = select.wait().expect("some room");
    assert_eq!(chosen.index(), room);
    let error = chosen.send(&sender, bytes(90)).expect_err("too little");
    assert_eq!(error.fault, SendFault::Full);
    assert!(select.try_wait().is_err(), "it is known how much it needs");
    other.send(7).expect("room");
    let chosen = select.wait().expect("a message");
    assert_eq!(chosen.index(), message);
    assert_eq!(chosen.recv(&of_other), Ok(7));
    assert_eq!(receiver.recv().expect("sent").len(), 58);
    // It has room for that message now, and nobody else; a shorter one will do.
    let chosen = select.try_wait().expect("enough room");
    assert_eq!(chosen.index(), room);
    let error = sender.try_send(bytes(20)).expect_err("it is the select's");
    assert_eq!(error.fault, SendFault::Full);
    chosen.send(&sender, bytes(20)).expect("enough room");
    assert_eq!(receiver.recv().expect("sent").len(), 20);
    // A place that is not used is another's.
    let chosen = select.try_wait().expect("some room");
    let error = chosen.send(&sender, bytes(101)).expect_err("it never fits");
    assert!(matches!(error.fault, SendFault::TooLarge { .. }));
    sender.send(bytes(90)).expect("all room");

    let drops = options().overflow(Overflow::DropOldest);
    let (sender, receiver) = rt.channel_with::<Vec<u8>>(drops).expect("room");
    for len in [58, 40, 90] {
        let mut select = Select::new();
        select.send(&sender);
        let chosen = select.wait().expect("room, at the others' cost");
        chosen.send(&sender, bytes(len)).expect("room");
    }
    assert_eq!(receiver.recv().expect("sent").len(), 90);
    assert_eq!(receiver.dropped(), 2);
}

/// What the dead had sent counts until it is taken; what they were sending does not.
#[test]
fn all_room_is_there_again_after_deaths() {
    fn sends((sender, len): (Sender<Vec<u8>>, usize)) {
        for _ in 0..300 {
            sender.send(bytes(len)).expect("received");
        }
    }
    fn takes(receiver: Receiver<Vec<u8>>) {
        for bytes in &receiver {
            assert_eq!(bytes[0] as usize, bytes.len() % 256);
        }
    }
    let rt = runtime(3);
    for (capacity, bound) in [(1, 800), (4, 1000), (64, 5000)] {
        let options = Options::new(capacity).bytes(bound);
        let (sender, receiver) = rt.channel_with::<Vec<u8>>(options).expect("room");
        let send = |len| {
            rt.task(sends)
                .safe_to_repeat(50)
                .spawn((sender.clone(), len))
        };
        let senders = [send(90), send(700)];
        let taker = rt.task(takes).safe_to_repeat(50).spawn(receiver.clone());
        for n in 0..12 {
            std::thread::sleep(Duration::from_millis(5));
            let workers = rt.stats().workers;
            let victim = &workers[n % workers.len()];
            if victim.pid > 0 {
                let _ = kill(Pid::from_raw(victim.pid), Signal::SIGKILL);
            }
        }
        for _ in 0..capacity + 4 {
            sender.send_timeout(bytes(30), LONG).expect("room");
        }
        for task in senders {
            task.join().expect("ends");
        }
        // Nothing more comes: it waits, and is told.
        taker.cancel();
        drop(taker.join());
        // Those that come to be recovered yet have no end of it any more.
        let give_up = std::time::Instant::now() + LONG;
        loop {
            while receiver.try_recv().is_ok() {}
            if sender.try_send(bytes(bound - 2)).is_ok() {
                break;
            }
            assert!(
                std::time::Instant::now() < give_up,
                "{capacity}: {sender:?}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(
            sender.try_send(bytes(1)).expect_err("full").fault,
            SendFault::Full
        );
        assert_eq!(receiver.recv().expect("sent").len(), bound - 2);
        drop(sender);
        assert!(matches!(receiver.recv(), Err(RecvError::Disconnected)));
    }
    nothing_left(&rt);
}

#[test]
fn what_is_acknowledged_is_bounded_too() {
    let rt = runtime(1);
    let (sender, jobs) = rt
        .acked_channel::<Vec<u8>>(Options::new(4).bytes(1000))
        .expect("room");
    for round in 0..200 {
        sender.try_send(bytes(900)).expect("room");
        assert_eq!(
            sender.try_send(bytes(200)).expect_err("full").fault,
            SendFault::Full
        );
        let kept = jobs.recv().expect("sent");
        // What was received does not wait.
        sender.try_send(bytes(900)).expect("room");
        drop(kept);
        assert_eq!(
            sender.try_send(bytes(200)).expect_err("full").fault,
            SendFault::Full
        );
        let [first, second] = [0, 1].map(|_| jobs.try_recv().expect("sent"));
        assert_eq!((first.attempt(), second.attempt()), (2, 1), "round {round}");
        let _ = (first.ack(), second.ack());
    }
}
