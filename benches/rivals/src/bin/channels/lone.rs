//! One sender, one receiver, each on a CPU of its own.

use pinfold::Runtime;
use pinfold::channel::{Receiver, Sender};
use pinfold_rivals::duo::{cpu, message, now, pin, pin_to, sum_of, sum_of_all, unpin};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Outcome, SLOTS};

/// What is sent.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {}

/// A runtime for one round: nothing of it is left when another contestant takes its turn.
pub fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers);
    builder.start().expect("pinfold starts")
}

/// What the receiver is told: its CPU, how many messages come, and whom to tell that it is ready.
type Order<const W: usize> = (usize, u64, Sender<()>, Receiver<[u64; W]>);

fn take<const W: usize>((cpu, messages, ready, receiver): Order<W>) -> Outcome
where
    [u64; W]: Message,
{
    pin_to(cpu);
    ready.send(()).expect("the host");
    let mut sum = 0_u64;
    for message in receiver.iter().take(messages as usize) {
        sum = sum.wrapping_add(sum_of(&message));
    }
    (now(), sum)
}

/// Millions of messages of `W` words per second, from this process to a worker.
pub fn ours<const W: usize>(messages: u64) -> f64
where
    [u64; W]: Message,
{
    let rt = runtime(1);
    let (sender, receiver) = rt.channel::<[u64; W]>(SLOTS).expect("a channel");
    let (ready, is_ready) = rt.channel(1).expect("a channel");
    let task = rt.spawn(take::<W>, (cpu(1), messages, ready, receiver));
    is_ready.recv().expect("a receiver");
    pin(0);
    let start = now();
    for number in 0..messages {
        sender.send(message(number)).expect("room");
    }
    let (end, sum) = task.join().expect("all of them");
    unpin();
    assert_eq!(sum, sum_of_all::<W>(messages), "every message, once");
    messages as f64 * 1e3 / (end - start) as f64
}
