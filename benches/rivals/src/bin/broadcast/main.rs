//! Broadcast: what a message costs its sender, by how many it is for.
//!
//! Each subscriber is in a process of its own. A burst is sent while all of them do something else,
//! and the channel has room: so a call of `send` is timed and nothing else. Then all read what was sent.
//! Apart from that it is measured what it costs to wake them: when all of them sleep, one message
//! is sent at a time.
//!
//! The rival is tokio's broadcast channel between threads of one process.

mod calls;
#[cfg(feature = "rivals")]
mod rivals;

use std::time::Duration;

use pinfold::broadcast::{Publisher, Subscriber};
use pinfold::channel::{Receiver, Sender};
use pinfold::{Handle, Runtime};
use pinfold_rivals::duo::now;
use pinfold_rivals::{Against, Bench, Options, Question, Race, median};

/// 1 KiB.
pub type Message = [[u64; 32]; 4];

/// To how many.
pub const COUNTS: [usize; 4] = [1, 2, 8, 64];
/// Messages that are sent without a pause.
pub const BURST: usize = 128;
/// So long until all of them sleep.
pub const SETTLE: Duration = Duration::from_millis(4);

/// Of this number.
pub fn message(number: u64) -> Message {
    std::array::from_fn(|row| std::array::from_fn(|column| number + (row * 32 + column) as u64))
}

/// What is sent in a burst: so many messages, all of which every subscriber is to read.
pub trait Crowd {
    /// Sends it to all.
    fn send(&self, message: Message);
    /// Waits until all have read so many.
    fn read(&self, count: usize);
}

/// ns of a `send`, of the burst in the middle.
pub fn burst(crowd: &dyn Crowd, bursts: usize) -> f64 {
    let bursts: Vec<f64> = (0..bursts)
        .map(|_| {
            let start = now();
            for number in 0..BURST as u64 {
                crowd.send(message(number));
            }
            let time = now() - start;
            crowd.read(BURST);
            time as f64 / BURST as f64
        })
        .collect();
    median(&bursts)
}

/// ns of a `send` when all subscribers sleep in `recv`.
pub fn wakes(send: impl Fn(u64), times: usize) -> f64 {
    let times: Vec<f64> = (0..times as u64)
        .map(|number| {
            std::thread::sleep(SETTLE);
            let start = now();
            send(number);
            (now() - start) as f64
        })
        .collect();
    median(&times)
}

type Orders = (Subscriber<Message>, Subscriber<usize>, Sender<u64>);

/// Reads as many as it is told to, each time.
fn reads((messages, orders, done): Orders) {
    done.send(0).expect("the host");
    for count in &orders {
        let read = messages.iter().take(count);
        let sum = read.map(|message| message[3][31] - message[0][0]).sum();
        done.send(sum).expect("the host");
    }
}

/// Reads until no more come.
fn hears((messages, ready): (Subscriber<Message>, Sender<u64>)) -> usize {
    ready.send(0).expect("the host");
    messages.iter().count()
}

struct Ours {
    messages: Publisher<Message>,
    orders: Publisher<usize>,
    done: Receiver<u64>,
    tasks: Vec<Handle<()>>,
}

impl Ours {
    fn new(rt: &Runtime, count: usize) -> Self {
        let messages = rt.broadcast_channel(2 * BURST).expect("room");
        let orders = rt.broadcast_channel(4).expect("room");
        let (to_host, done) = rt.channel(64).expect("room");
        let tasks = (0..count).map(|_| {
            let ends = (messages.subscribe(), orders.subscribe());
            let ends = (ends.0.expect("a seat"), ends.1.expect("a seat"));
            rt.spawn(reads, (ends.0, ends.1, to_host.clone()))
        });
        let ours = Ours {
            tasks: tasks.collect(),
            messages,
            orders,
            done,
        };
        ours.all_say(0);
        ours
    }

    fn all_say(&self, what: u64) {
        for _ in &self.tasks {
            assert_eq!(self.done.recv(), Ok(what), "all of them");
        }
    }

    fn end(self) {
        let Ours { tasks, orders, .. } = self;
        drop(orders);
        for task in tasks {
            task.join().expect("it lives");
        }
    }
}

impl Crowd for Ours {
    fn send(&self, message: Message) {
        self.messages.send(message).expect("room");
    }

    fn read(&self, count: usize) {
        self.orders.send(count).expect("room");
        self.all_say(127 * count as u64);
    }
}

/// ns of a `send` to so many that sleep.
fn to_sleepers(rt: &Runtime, count: usize, times: usize) -> f64 {
    let messages = rt.broadcast_channel::<Message>(2 * BURST).expect("room");
    let (to_host, ready) = rt.channel(64).expect("room");
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let subscriber = messages.subscribe().expect("a seat");
            rt.spawn(hears, (subscriber, to_host.clone()))
        })
        .collect();
    for _ in 0..count {
        ready.recv().expect("all of them");
    }
    let time = wakes(
        |number| messages.send(message(number)).expect("room"),
        times,
    );
    drop(messages);
    for task in tasks {
        assert_eq!(task.join(), Ok(times), "every message");
    }
    time
}

fn main() {
    pinfold::init();
    if calls::is_counted() {
        return;
    }
    let mut bench = Bench::new("broadcast", Options::parse_alone());
    let rt = Runtime::builder().workers(64).start();
    let rt = rt.expect("pinfold starts");
    bursts(&mut bench, &rt);
    sleepers(&mut bench, &rt);
    drop(rt);
    calls::row(&mut bench);
    bench.finish();
}

const ONE: &str = "to one subscriber";

fn bursts(bench: &mut Bench, rt: &Runtime) {
    let bursts = bench.pick(40, 10);
    for count in COUNTS {
        let mut question = Question::lower(
            &format!("broadcast.to{count}"),
            &format!("a message of 1 KiB to {count}, what `send` costs"),
            "ns",
        );
        if count == 64 {
            question = question.bar(Against::Rival(ONE), 2.0);
        }
        let mut race = Race::new([question]);
        let ours = move |count: usize| {
            let ours = Ours::new(rt, count);
            let time = burst(&ours, bursts);
            ours.end();
            time
        };
        race.ours("broadcast_channel, each in a worker", move || ours(count));
        if count == 64 {
            race.rival(ONE, move || ours(1));
        }
        #[cfg(feature = "rivals")]
        rivals::bursts(&mut race, count, bursts);
        #[cfg(not(feature = "rivals"))]
        race.missing(TOKIO, "built without the feature `rivals`");
        let rounds = bench.rounds(9, 3);
        bench.run(race, rounds);
    }
}

/// The rival's name.
pub const TOKIO: &str = "tokio::sync::broadcast, threads";

fn sleepers(bench: &mut Bench, rt: &Runtime) {
    let times = bench.pick(30, 10);
    for count in [1, 64] {
        let mut question = Question::lower(
            &format!("broadcast.wakes{count}"),
            &format!("the same to {count} who all sleep"),
            "ns",
        );
        if count == 64 {
            question = question.bar(Against::Rival(ONE), 2.0);
        }
        let mut race = Race::new([question]);
        race.ours("broadcast_channel, each in a worker", move || {
            to_sleepers(rt, count, times)
        });
        if count == 64 {
            race.rival(ONE, move || to_sleepers(rt, 1, times));
        }
        #[cfg(feature = "rivals")]
        rivals::sleepers(&mut race, count, times);
        #[cfg(not(feature = "rivals"))]
        race.missing(TOKIO, "built without the feature `rivals`");
        let rounds = bench.rounds(9, 3);
        bench.run(race, rounds);
    }
}
