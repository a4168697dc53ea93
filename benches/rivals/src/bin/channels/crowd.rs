//! Two senders, two receivers, on CPUs as the system likes.

use pinfold::channel::{Receiver, Sender};
use pinfold_rivals::duo::now;

use crate::lone::runtime;
use crate::{Outcome, SLOTS};

fn take((ready, receiver): (Sender<()>, Receiver<u64>)) -> Outcome {
    ready.send(()).expect("the host");
    let sum = receiver.iter().fold(0_u64, u64::wrapping_add);
    (now(), sum)
}

/// Millions per second of the numbers below `numbers`; the parts of two senders, each of which runs `send`
/// from a thread of this process.
pub fn rate(
    numbers: u64,
    send: impl Fn(std::ops::Range<u64>) + Sync,
    outcomes: impl FnOnce() -> Vec<Outcome>,
) -> f64 {
    let start = now();
    std::thread::scope(|scope| {
        let send = &send;
        for part in [0..numbers / 2, numbers / 2..numbers] {
            scope.spawn(move || send(part));
        }
    });
    // The senders are gone: so the receivers end.
    drop(send);
    let outcomes = outcomes();
    let sum = outcomes.iter().map(|(_, sum)| sum).sum::<u64>();
    assert_eq!(sum, (0..numbers).sum::<u64>(), "every number, once");
    let end = outcomes.iter().map(|(end, _)| *end).max();
    numbers as f64 * 1e3 / (end.unwrap_or(start) - start) as f64
}

pub fn ours(numbers: u64) -> f64 {
    let rt = runtime(2);
    let (sender, receiver) = rt.channel::<u64>(SLOTS).expect("a channel");
    let (ready, is_ready) = rt.channel(2).expect("a channel");
    let tasks = [(); 2].map(|()| rt.spawn(take, (ready.clone(), receiver.clone())));
    drop(receiver);
    for _ in 0..2 {
        is_ready.recv().expect("a receiver");
    }
    let send = move |part: std::ops::Range<u64>| {
        for number in part {
            sender.send(number).expect("room");
        }
    };
    rate(numbers, send, || {
        let outcomes = tasks.map(|task| task.join().expect("all of them"));
        outcomes.to_vec()
    })
}
