//! There and back, one message at a time, each side on a CPU of its own.

use pinfold::channel::{Receiver, Sender};
use pinfold_rivals::duo::{cpu, now, pin, pin_to, unpin};

use crate::lone::runtime;

fn echo((cpu, there, back): (usize, Receiver<u64>, Sender<u64>)) {
    pin_to(cpu);
    for number in &there {
        if back.send(number).is_err() {
            return;
        }
    }
}

/// Nanoseconds of a round trip: this thread calls `trip` with each number.
pub fn time(count: u64, mut trip: impl FnMut(u64)) -> f64 {
    pin(0);
    // The other side may have to begin yet.
    trip(0);
    let start = now();
    (0..count).for_each(trip);
    let time = now() - start;
    unpin();
    time as f64 / count as f64
}

pub fn ours(count: u64) -> f64 {
    let rt = runtime(1);
    let (there, to_echo) = rt.channel(4).expect("a channel");
    let (echoed, back) = rt.channel(4).expect("a channel");
    let task = rt.spawn(echo, (cpu(1), to_echo, echoed));
    let time = time(count, |number| {
        there.send(number).expect("room");
        assert_eq!(back.recv(), Ok(number));
    });
    drop(there);
    task.join().expect("all of them");
    time
}
