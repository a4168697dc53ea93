//! Rivals inside one process: two threads, pinned as the processes are.
#![cfg(feature = "rivals")]

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use pinfold_rivals::duo::{Patience, now, pin, sum_of, sum_of_all, unpin};

use crate::bare::in_batches;
use crate::{Load, SLOTS};

/// Millions of messages per second from this thread to another.
fn two_threads<const W: usize>(
    messages: u64,
    receive: impl FnOnce() -> u64 + Send,
    send: impl FnOnce(),
) -> f64 {
    let ready = AtomicBool::new(false);
    let (start, (end, sum)) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            pin(1);
            // ordering: Release and Acquire, so that the start lies after it.
            ready.store(true, Ordering::Release);
            let sum = receive();
            (now(), sum)
        });
        pin(0);
        while !ready.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let start = now();
        send();
        (start, receiver.join().expect("the receiver"))
    });
    unpin();
    assert_eq!(sum, sum_of_all::<W>(messages), "every message, once");
    messages as f64 * 1e3 / (end - start) as f64
}

pub fn rtrb<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if W > 16 { 2.0 } else { 40.0 });
    let (mut producer, mut consumer) = rtrb::RingBuffer::<[u64; W]>::new(SLOTS);
    two_threads::<W>(
        messages,
        move || {
            let (mut got, mut sum) = (0, 0_u64);
            let mut patience = Patience::default();
            while got < messages {
                let there = consumer.slots();
                if there == 0 {
                    patience.spin();
                    continue;
                }
                patience = Patience::default();
                let chunk = consumer.read_chunk(there).expect("as many as there are");
                for message in chunk {
                    sum = sum.wrapping_add(sum_of(&message));
                }
                got += there as u64;
            }
            sum
        },
        || {
            if load.batch == 1 {
                return in_batches::<W, _>(
                    &mut producer,
                    messages,
                    1,
                    |producer, message| {
                        let mut patience = Patience::default();
                        while producer.push(message).is_err() {
                            patience.spin();
                        }
                    },
                    |_| (),
                );
            }
            let mut number = 0;
            while number < messages {
                let mut patience = Patience::default();
                let chunk = loop {
                    // Twice, because the first borrow would last as long as the loop.
                    if producer.write_chunk_uninit(load.batch).is_ok() {
                        break producer.write_chunk_uninit(load.batch).expect("room");
                    }
                    patience.spin();
                };
                let from = number;
                number +=
                    chunk.fill_from_iter((from..).map(pinfold_rivals::duo::message::<W>)) as u64;
            }
        },
    )
}

pub fn array_queue<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if W > 16 { 2.0 } else { 15.0 });
    let queue = ArrayQueue::<[u64; W]>::new(SLOTS);
    two_threads::<W>(
        messages,
        || {
            let mut sum = 0_u64;
            for _ in 0..messages {
                let mut patience = Patience::default();
                let message = loop {
                    match queue.pop() {
                        Some(message) => break message,
                        None => patience.spin(),
                    }
                };
                sum = sum.wrapping_add(sum_of(&message));
            }
            sum
        },
        || {
            in_batches::<W, _>(
                &mut (),
                messages,
                load.batch,
                |(), message| {
                    let mut patience = Patience::default();
                    while queue.push(message).is_err() {
                        patience.spin();
                    }
                },
                |()| (),
            );
        },
    )
}
