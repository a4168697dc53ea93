//! A ring from which many may take: numbers per second.
//!
//! Serves the decision how executors come by their tasks. pinfold's takers are processes,
//! the rivals' are threads of one process, because theirs cannot be anything else. All
//! have room for 1024 numbers; the sum of what was taken is checked.

use std::ops::Range;
use std::sync::Mutex;

use pinfold::bench_internals::{RingView, Segment, steal};
use pinfold_rivals::duo::{Meeting, Receivers, many};
use pinfold_rivals::{Against, Bench, Options, Question, Race};

const SLOTS: usize = 1024;
/// As many as a taker takes at once.
const SHARE: usize = 32;

type Shape = (u64, usize);

fn main() {
    let mut bench = Bench::new("steal", Options::parse_alone());
    for shape in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let (senders, takers) = shape;
        let numbers = bench.pick(600_000, 150_000);
        let mut question = Question::higher(
            &format!("steal.{senders}to{takers}"),
            &format!("steal ring, {senders}:{takers}, 8 B messages"),
            "M messages/s",
        )
        .bar(Against::EveryRival, 1.0);
        let name = if senders == 1 {
            "ring::steal, takers are processes"
        } else {
            question = question.note(
                "pinfold has no many-producer ring: the threads of one process share the writing \
                 side under a lock, as the host's do; other processes cannot write",
            );
            "ring::steal, writers under a lock"
        };
        let mut race = Race::new([question]);
        race.ours(name, move || ours(shape, numbers));
        #[cfg(feature = "rivals")]
        rivals::enter(&mut race, shape, numbers);
        #[cfg(not(feature = "rivals"))]
        for name in ["crossbeam ArrayQueue", "crossbeam-channel", "flume"] {
            race.missing(name, "built without the feature `rivals`");
        }
        let rounds = bench.rounds(9, 3);
        bench.run(race, rounds);
    }
    bench.finish();
}

/// Spins for a while, then gives way, as all contestants do that do not sleep.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    fn wait(&mut self) {
        self.0 += 1;
        if self.0 < 64 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

fn ours(shape: Shape, numbers: u64) -> f64 {
    let len = RingView::len(SLOTS).next_multiple_of(4096);
    let segment = Segment::create(4096 + len).expect("a segment");
    segment.populate(4096, len).expect("memory for the ring");
    let ring = || RingView::attach(&segment, 4096, SLOTS);
    let take = |meeting: &Meeting| {
        let taker = steal::Taker::attach(ring());
        let mut some = [0; SHARE];
        let mut sum = 0_u64;
        let mut pause = Pause::default();
        loop {
            let is_last = meeting.is_finished();
            let (count, _) = taker.take(&mut some, false, |_| ()).expect("a whole ring");
            if count > 0 {
                sum = some[..count].iter().fold(sum, |s, n| s.wrapping_add(*n));
                pause = Pause::default();
            } else if is_last {
                return sum;
            } else {
                pause.wait();
            }
        }
    };
    let push = |producer: &mut steal::Producer, number| {
        let is_staged = producer.stage(number).expect("a whole ring");
        if is_staged {
            producer.publish();
        }
        is_staged
    };
    let producer = Mutex::new(steal::Producer::attach(ring()));
    let send = |part: Range<u64>| {
        let mut alone = match shape.0 {
            1 => producer.lock().ok(),
            _ => None,
        };
        for number in part {
            let mut pause = Pause::default();
            loop {
                let is_pushed = match &mut alone {
                    Some(producer) => push(producer, number),
                    None => push(&mut producer.lock().expect("no panic"), number),
                };
                if is_pushed {
                    break;
                }
                pause.wait();
            }
        }
    };
    many(shape, Receivers::Processes, numbers, &send, &take)
}

#[cfg(feature = "rivals")]
mod rivals {
    use super::*;
    use crossbeam_queue::ArrayQueue;
    use pinfold_rivals::duo::guarded;

    pub fn enter(race: &mut Race<'_>, shape: Shape, numbers: u64) {
        let mut rival = |name, run: fn(Shape, u64) -> f64| {
            race.rival(name, move || guarded(|| run(shape, numbers)));
        };
        rival("crossbeam ArrayQueue", array_queue);
        rival("crossbeam-channel", channel);
        rival("flume", flume);
    }

    fn array_queue(shape: Shape, numbers: u64) -> f64 {
        let queue = ArrayQueue::new(SLOTS);
        let send = |part: Range<u64>| {
            for number in part {
                let mut pause = Pause::default();
                while queue.push(number).is_err() {
                    pause.wait();
                }
            }
        };
        let take = |meeting: &Meeting| {
            let (mut sum, mut pause) = (0_u64, Pause::default());
            loop {
                let is_last = meeting.is_finished();
                match queue.pop() {
                    Some(number) => {
                        sum = sum.wrapping_add(number);
                        pause = Pause::default();
                    }
                    None if is_last => return sum,
                    None => pause.wait(),
                }
            }
        };
        many(shape, Receivers::Threads, numbers, &send, &take)
    }

    /// Takers look without sleeping, as the others do: the quicker way.
    fn channel(shape: Shape, numbers: u64) -> f64 {
        let (sender, receiver) = crossbeam_channel::bounded(SLOTS);
        let send = |part: Range<u64>| {
            for number in part {
                sender.send(number).expect("takers");
            }
        };
        let take = |meeting: &Meeting| {
            let (mut sum, mut pause) = (0_u64, Pause::default());
            loop {
                let is_last = meeting.is_finished();
                match receiver.try_recv() {
                    Ok(number) => {
                        sum = sum.wrapping_add(number);
                        pause = Pause::default();
                    }
                    Err(_) if is_last => return sum,
                    Err(_) => pause.wait(),
                }
            }
        };
        many(shape, Receivers::Threads, numbers, &send, &take)
    }

    fn flume(shape: Shape, numbers: u64) -> f64 {
        let (sender, receiver) = ::flume::bounded(SLOTS);
        let send = |part: Range<u64>| {
            for number in part {
                sender.send(number).expect("takers");
            }
        };
        let take = |meeting: &Meeting| {
            let (mut sum, mut pause) = (0_u64, Pause::default());
            loop {
                let is_last = meeting.is_finished();
                // All that is there under one lock.
                let mut count = 0;
                for number in receiver.drain() {
                    sum = sum.wrapping_add(number);
                    count += 1;
                }
                match count {
                    0 if is_last => return sum,
                    0 => pause.wait(),
                    _ => pause = Pause::default(),
                }
            }
        };
        many(shape, Receivers::Threads, numbers, &send, &take)
    }
}
