//! The floor, pinfold's ring, and what every system has.

use pinfold::bench_internals::{RingView, Segment, spsc};
use pinfold_rivals::duo::{Patience, Pipe, message, one_way, read_exact, socket_pair, write_all};

use crate::{Load, SLOTS};

/// Sends `messages` in batches: `stage` each, `publish` after each batch.
pub fn in_batches<const W: usize, S>(
    state: &mut S,
    messages: u64,
    batch: usize,
    mut stage: impl FnMut(&mut S, [u64; W]),
    mut publish: impl FnMut(&mut S),
) {
    let mut number = 0;
    while number < messages {
        let end = (number + batch as u64).min(messages);
        while number < end {
            stage(state, message(number));
            number += 1;
        }
        publish(state);
    }
}

pub fn floor<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if W > 16 { 2.0 } else { 40.0 });
    pinfold_rivals::duo::ring::<W>(messages, SLOTS, load.batch)
}

/// A message of `W` words is `W` words of the ring.
pub fn ours<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if W > 16 { 2.0 } else { 40.0 });
    let words = SLOTS * W;
    let segment = Segment::create(4096 + RingView::len(words).next_multiple_of(4096));
    let segment = segment.expect("a segment");
    segment
        .populate(4096, RingView::len(words).next_multiple_of(4096))
        .expect("memory for the ring");
    one_way::<W>(
        messages,
        |gate| {
            let ring = RingView::attach(&segment, 4096, words);
            let mut consumer = spsc::Consumer::attach(ring);
            let (mut got, mut sum) = (0, 0_u64);
            gate.ready();
            let mut patience = Patience::default();
            while got < messages * W as u64 {
                match consumer.read(u64::MAX, |word| sum = sum.wrapping_add(word)) {
                    Ok(0) => patience.spin(),
                    Ok(count) => {
                        got += count;
                        patience = Patience::default();
                    }
                    Err(damaged) => panic!("{damaged}"),
                }
            }
            sum
        },
        || {
            let ring = RingView::attach(&segment, 4096, words);
            let mut producer = spsc::Producer::attach(ring);
            for first in (0..messages).step_by(load.batch) {
                let word = |at: usize| {
                    let number = first + (at / W) as u64;
                    number.wrapping_add((at % W) as u64)
                };
                let mut patience = Patience::default();
                while !producer.stage_many(load.batch * W, word) {
                    patience.spin();
                }
                producer.publish();
            }
        },
    )
}

pub fn pipe<const W: usize>(load: Load) -> f64 {
    stream::<W>(load, pinfold_rivals::duo::pipe)
}

pub fn socket<const W: usize>(load: Load) -> f64 {
    stream::<W>(load, socket_pair)
}

/// One system call for each batch; the receiver reads as much as there is.
fn stream<const W: usize>(load: Load, make: fn() -> Pipe) -> f64 {
    let rate = if load.batch > 4 && W < 16 { 5.0 } else { 0.6 };
    let messages = load.messages(rate);
    let (read, write) = make();
    one_way::<W>(
        messages,
        |gate| {
            let mut bytes = vec![0; 32 * W * 8];
            let mut sum = 0_u64;
            gate.ready();
            // What is left over is shorter than the buffer: a multiple of a batch.
            let mut left = messages as usize * W * 8;
            while left > 0 {
                let some = left.min(bytes.len());
                assert!(read_exact(&read, &mut bytes[..some]), "all of it");
                for word in bytes[..some].as_chunks::<8>().0 {
                    sum = sum.wrapping_add(u64::from_ne_bytes(*word));
                }
                left -= some;
            }
            sum
        },
        || {
            let mut bytes = Vec::with_capacity(load.batch * W * 8);
            in_batches::<W, _>(
                &mut bytes,
                messages,
                load.batch,
                |bytes: &mut Vec<u8>, message| {
                    for word in message {
                        bytes.extend_from_slice(&word.to_ne_bytes());
                    }
                },
                |bytes| {
                    write_all(&write, bytes);
                    bytes.clear();
                },
            );
        },
    )
}
