//! Routing: what it costs to send a message through a router of 4 receivers, beside sending it into a
//! channel.
//!
//! A burst is sent for which there is room, and received afterwards: so calls that send are timed and
//! nothing else.

use pinfold::Runtime;
use pinfold::channel::{Receiver, Router, Sender};
use pinfold_rivals::duo::now;
use pinfold_rivals::{Against, Bench, Options, Question, Race, median};

const RECEIVERS: usize = 4;
const BURST: u64 = 256;
const SUM: u64 = BURST * (BURST - 1) / 2;
const CHANNEL: &str = "a plain channel";

/// ns of each call of `send`, of the burst in the middle.
fn burst(bursts: usize, receivers: &[Receiver<u64>], mut send: impl FnMut(u64)) -> f64 {
    let bursts: Vec<f64> = (0..bursts)
        .map(|_| {
            let start = now();
            (0..BURST).for_each(&mut send);
            let time = now() - start;
            let all = receivers.iter().flat_map(Receiver::try_iter);
            assert_eq!(all.sum::<u64>(), SUM, "every message, once");
            time as f64 / BURST as f64
        })
        .collect();
    median(&bursts)
}

type Ends = (Router<u64>, Vec<Receiver<u64>>);

fn send_by(router: &Router<u64>, way: &str, number: u64) {
    let sent = match way {
        "number" => router.route(number as usize % RECEIVERS, number),
        "key" => router.send_by_key(&number, number),
        _ => router.balance(number),
    };
    sent.expect("room");
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("routing", Options::parse_alone());
    let rt = Runtime::builder().workers(1).start();
    let rt = rt.expect("pinfold starts");
    let room = BURST as usize;
    let (router, receivers): Ends = rt.router(RECEIVERS, room).expect("room");
    let plain: (Sender<u64>, Receiver<u64>) = rt.channel(room).expect("room");
    let of_plain = [plain.1];
    let bursts = bench.pick(400, 100);
    for (way, what) in [
        ("number", "to a receiver by its number"),
        ("key", "to the receiver that has its key"),
        ("balance", "to the shortest queue"),
    ] {
        let question = Question::lower(
            &format!("routing.{way}"),
            &format!("send 8 B {what}, of {RECEIVERS}"),
            "ns",
        )
        .bar(Against::Rival(CHANNEL), 2.0);
        let mut race = Race::new([question]);
        race.ours("Router", || {
            burst(bursts, &receivers, |number| send_by(&router, way, number))
        });
        race.rival(CHANNEL, || {
            burst(bursts, &of_plain, |number| {
                plain.0.send(number).expect("room");
            })
        });
        let rounds = bench.rounds(9, 3);
        bench.run(race, rounds);
    }
    bench.finish();
}
