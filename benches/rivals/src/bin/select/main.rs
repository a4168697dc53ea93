//! `Select`: does it matter how many channels are waited for?
//!
//! One message at a time goes to one of them, as chance will have it, and an answer comes back: so all
//! channels but one are empty whenever they are looked at. The same with a pause before each message, so that
//! who selects sleeps. pinfold's select runs in a worker; rivals that know threads only have threads.

#[cfg(feature = "rivals")]
mod rivals;

use std::time::Duration;

use pinfold::Runtime;
use pinfold::channel::{Receiver, Select, SelectError, Sender};
use pinfold_rivals::duo::{cpu, now, pin, pin_to, unpin};
use pinfold_rivals::{Against, Bench, Options, Question, Race};

/// Over how many channels.
pub const COUNTS: [usize; 2] = [2, 64];
const FEW: &str = "over 2 channels";
/// So long until who selects sleeps.
const SETTLE: Duration = Duration::from_millis(1);

/// How many messages, and whether who selects sleeps before each.
pub type Shape = (u64, bool);

/// ns of each trip: `trip` sends a number into one of `count` channels, and waits for its answer.
pub fn time(count: usize, (trips, sleeps): Shape, mut trip: impl FnMut(usize, u64)) -> f64 {
    pin(0);
    // The other side may have to begin yet; and all are used once.
    (0..count).for_each(|at| trip(at, 0));
    let mut at = 1_u64;
    let mut sum = 0;
    for number in 0..trips {
        at = at.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        if sleeps {
            std::thread::sleep(SETTLE);
        }
        let start = now();
        trip((at >> 33) as usize % count, number);
        sum += now() - start;
    }
    unpin();
    sum as f64 / trips as f64
}

type Order = (usize, Vec<Receiver<u64>>, Sender<u64>);

fn echo((cpu, receivers, back): Order) -> Result<(), SelectError> {
    pin_to(cpu);
    let mut select = Select::new();
    for receiver in &receivers {
        select.recv(receiver);
    }
    loop {
        let chosen = select.wait()?;
        let index = chosen.index();
        match chosen.recv(&receivers[index]) {
            Ok(number) => back.send(number).expect("the host"),
            Err(_) => return Ok(()), // no more come
        }
    }
}

fn ours(count: usize, shape: Shape) -> f64 {
    let rt = Runtime::builder().workers(1).start();
    let rt = rt.expect("pinfold starts");
    let channels = (0..count).map(|_| rt.channel::<u64>(4).expect("a channel"));
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    let (echoed, back) = rt.channel(4).expect("a channel");
    let task = rt.spawn(echo, (cpu(1), receivers, echoed));
    let time = time(count, shape, |at, number| {
        senders[at].send(number).expect("room");
        assert_eq!(back.recv(), Ok(number));
    });
    drop(senders);
    task.join().expect("it lives").expect("it ends in order");
    time
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("select", Options::parse_alone());
    let trips = bench.pick(20_000, 5_000);
    let few = bench.pick(150, 40);
    for (name, what, shape) in [
        ("awake", "", (trips, false)),
        ("asleep", ", who selects sleeps", (few, true)),
    ] {
        for count in COUNTS {
            race(&mut bench, (name, what), count, shape);
        }
    }
    bench.finish();
}

fn race(bench: &mut Bench, (name, what): (&str, &str), count: usize, shape: Shape) {
    let mut question = Question::lower(
        &format!("select.{name}{count}"),
        &format!("a message to one of {count} channels and an answer back{what}"),
        "ns",
    );
    if count == 64 {
        question = question.bar(Against::Rival(FEW), 1.5);
    }
    let mut race = Race::new([question]);
    race.ours("Select in a worker", move || ours(count, shape));
    if count == 64 {
        race.rival(FEW, move || ours(2, shape));
    }
    #[cfg(feature = "rivals")]
    rivals::enter(&mut race, count, shape);
    #[cfg(not(feature = "rivals"))]
    race.missing(CROSSBEAM, "built without the feature `rivals`");
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

/// The rival's name.
pub const CROSSBEAM: &str = "crossbeam-channel's Select, threads";
