//! Channels whose long messages are compressed.
#![cfg(feature = "lz4")]

use pinfold::channel::{Delivery, Options, Receiver, RecvError, SendFault, Sender};
use pinfold::{Loan, Shared};

use crate::channels::{nothing_left, runtime};

type Parts = (String, Option<Loan>, Option<Shared>);

fn lines(count: usize) -> String {
    let line = |n: usize| format!("{n}: the worker has ended with {}\n", n % 7);
    (0..count).map(line).collect()
}

#[test]
fn what_is_compressed_arrives_as_it_was() {
    fn back((receiver, sender): (Receiver<Parts>, Sender<Parts>)) {
        for parts in &receiver {
            sender.send(parts).expect("received");
        }
    }
    let rt = runtime(1);
    for (capacity, from) in [(0, 1), (2, 100), (2, 5000), (2, usize::MAX)] {
        let options = Options::new(capacity).compress(from);
        let (there, from_here) = rt.channel_with::<Parts>(options).expect("room");
        let (to_here, here) = rt.channel_with::<Parts>(options).expect("room");
        drop(rt.spawn(back, (from_here, to_here)));
        let shared = rt.alloc(10_000).expect("room").publish();
        for count in [0, 1, 5, 100, 3000] {
            let mut loan = rt.alloc(5000).expect("room");
            loan.fill(3);
            let at = (loan.as_ptr(), shared.as_ptr());
            let parts = (lines(count), Some(loan), Some(shared.clone()));
            there.send(parts).expect("received");
            let (text, loan, shared) = here.recv().expect("sent");
            assert_eq!(text, lines(count));
            let (loan, shared) = (loan.expect("there"), shared.expect("there"));
            assert_eq!((loan.as_ptr(), shared.as_ptr()), at, "the same memory");
            assert!(loan.iter().all(|byte| *byte == 3));
        }
        drop(there);
        assert!(matches!(here.recv(), Err(RecvError::Disconnected)));
    }
    nothing_left(&rt);
}

#[test]
fn it_counts_as_what_it_is_compressed() {
    let rt = runtime(1);
    let options = Options::new(10).bytes(30_000).compress(1000);
    let (sender, receiver) = rt.channel_with::<Vec<u8>>(options).expect("room");
    for _ in 0..5 {
        sender
            .try_send(vec![7; 1_000_000])
            .expect("it is short then");
    }
    assert_eq!(sender.try_send(vec![7; 999]).map_err(|e| e.fault), Ok(()));
    for _ in 0..5 {
        assert_eq!(receiver.recv().expect("sent"), vec![7; 1_000_000]);
    }
    // What does not become smaller goes as it is.
    let mut random = 1_u64;
    let noise: Vec<u8> = (0..40_000)
        .map(|_| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
            (random >> 56) as u8
        })
        .collect();
    let error = sender.try_send(noise.clone()).expect_err("too much");
    assert!(matches!(
        error.fault,
        SendFault::TooLarge { most: 30_000, .. }
    ));
    assert_eq!(error.into_value(), Some(noise));
}

#[test]
fn what_comes_back_is_expanded() {
    let rt = runtime(1);
    let options = Options::new(0).compress(10);
    let (sender, receiver) = rt.channel_with::<String>(options).expect("room");
    let soon = std::time::Duration::from_millis(10);
    let error = sender.send_timeout(lines(50), soon).expect_err("nobody");
    assert_eq!(error.into_value(), Some(lines(50)));
    drop((sender, receiver));
    let (sender, jobs) = rt
        .acked_channel::<String>(Options::new(1).compress(10))
        .expect("room");
    sender.send(lines(500)).expect("room");
    for attempt in 1..4 {
        let job: Delivery<String> = jobs.recv().expect("there");
        assert_eq!((&job[..], job.attempt()), (&lines(500)[..], attempt));
    }
    drop((sender, jobs));
    nothing_left(&rt);
}
