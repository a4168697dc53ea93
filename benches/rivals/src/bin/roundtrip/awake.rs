//! Both sides spin.

use pinfold::bench_internals::{RingView, Segment, spsc};
use pinfold_rivals::duo::{
    Gate, Patience, Peer, now, pin, read_exact, socket_pair, unpin, write_all,
};

/// Nanoseconds of a round trip: this process calls `trip` with each number, a peer
/// prepares `echo` and then calls it as often.
pub fn trips<E: FnMut()>(
    trips: u64,
    echo: impl FnOnce() -> E,
    prepare: impl FnOnce() -> Box<dyn FnMut(u64)>,
) -> f64 {
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        let mut echo = echo();
        gate.ready();
        for _ in 0..trips {
            echo();
        }
    });
    pin(0);
    gate.wait_ready();
    let mut trip = prepare();
    let start = now();
    for number in 0..trips {
        trip(number);
    }
    let time = now() - start;
    peer.join();
    unpin();
    time as f64 / trips as f64
}

const WORDS: usize = 64;

fn receive(consumer: &mut spsc::Consumer) -> u64 {
    let mut patience = Patience::default();
    let mut got = 0;
    while consumer
        .read(u64::MAX, |word| got = word)
        .expect("a whole ring")
        == 0
    {
        patience.spin();
    }
    got
}

fn send(producer: &mut spsc::Producer, word: u64) {
    assert!(producer.stage(word), "room");
    producer.publish();
}

pub fn ours(count: u64) -> f64 {
    let len = RingView::len(WORDS).next_multiple_of(4096);
    let segment = Segment::create(4096 + 2 * len).expect("a segment");
    segment.populate(4096, 2 * len).expect("memory");
    let there = RingView::attach(&segment, 4096, WORDS);
    let back = RingView::attach(&segment, 4096 + len, WORDS);
    let (there_too, back_too) = (there.clone(), back.clone());
    trips(
        count,
        move || {
            let mut consumer = spsc::Consumer::attach(there_too);
            let mut producer = spsc::Producer::attach(back_too);
            move || {
                let word = receive(&mut consumer);
                send(&mut producer, word);
            }
        },
        move || {
            let mut producer = spsc::Producer::attach(there);
            let mut consumer = spsc::Consumer::attach(back);
            Box::new(move |number| {
                send(&mut producer, number);
                assert_eq!(receive(&mut consumer), number);
            })
        },
    )
}

/// By its nature it sleeps when it has to wait.
pub fn socket(count: u64) -> f64 {
    let (here, there) = socket_pair();
    trips(
        count,
        || {
            let mut bytes = [0; 8];
            move || {
                assert!(read_exact(&there, &mut bytes), "a message");
                write_all(&there, &bytes);
            }
        },
        move || {
            let mut bytes = [0; 8];
            Box::new(move |number: u64| {
                write_all(&here, &number.to_ne_bytes());
                assert!(read_exact(&here, &mut bytes), "an answer");
                assert_eq!(u64::from_ne_bytes(bytes), number);
            })
        },
    )
}
