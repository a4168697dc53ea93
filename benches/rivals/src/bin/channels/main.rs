//! Channels between processes: messages per second, and there and back.
//!
//! pinfold's ends are in different processes: this one, and workers. Rivals that know
//! threads only have threads. All are used as they are by default: who finds nothing waits as the
//! library likes. The receivers read and add up every word.

mod crowd;
mod echo;
mod lone;
#[cfg(feature = "rivals")]
mod rivals;

use pinfold_rivals::{Against, Bench, Options, Question, Race};

/// Messages that a channel has room for.
pub const SLOTS: usize = 1024;

/// A round's time in which all messages arrive, and their sum.
pub type Outcome = (u64, u64);

fn main() {
    pinfold::init();
    let mut bench = Bench::new("channels", Options::parse_alone());
    one_way::<1>(&mut bench);
    one_way::<8>(&mut bench);
    many(&mut bench);
    trips(&mut bench);
    bench.finish();
}

/// Lets race who needs the feature `rivals`.
#[cfg(not(feature = "rivals"))]
fn missing(race: &mut Race<'_>, names: &[&str]) {
    for name in names {
        race.missing(name, "built without the feature `rivals`");
    }
}

fn one_way<const W: usize>(bench: &mut Bench)
where
    [u64; W]: lone::Message,
{
    let bytes = W * 8;
    let mut question = Question::higher(
        &format!("channels.{bytes}b"),
        &format!("channel, 1:1, {bytes} B messages, one at a time"),
        "M messages/s",
    )
    .bar(Against::Rival("iceoryx2 publish-subscribe"), 10.0);
    question = match W {
        1 => question.bar(Against::Rival("crossbeam-channel"), 1.0),
        _ => question.bar(Against::Floor, 0.85),
    };
    let mut race = Race::new([question]);
    let shorter = bench.pick(1, 4);
    let messages = move |millions: f64| (millions * 40_000.0) as u64 / shorter;
    race.floor("bare ring in shared memory", move || {
        pinfold_rivals::duo::ring::<W>(messages(40.0), SLOTS, 1)
    });
    race.ours("channel, host to worker", move || {
        lone::ours::<W>(messages(10.0))
    });
    #[cfg(feature = "rivals")]
    rivals::one_way::<W>(&mut race, messages(10.0));
    #[cfg(not(feature = "rivals"))]
    missing(
        &mut race,
        &["iceoryx2 publish-subscribe", "crossbeam-channel", "flume"],
    );
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

fn many(bench: &mut Bench) {
    let question = Question::higher(
        "channels.2to2",
        "channel, 2:2, 8 B messages, one at a time",
        "M messages/s",
    )
    .bar(Against::Rival("crossbeam-channel"), 1.0);
    let mut race = Race::new([question]);
    let numbers = bench.pick(400_000, 100_000);
    race.ours("channel, threads of the host to two workers", move || {
        crowd::ours(numbers)
    });
    #[cfg(feature = "rivals")]
    rivals::many(&mut race, numbers);
    #[cfg(not(feature = "rivals"))]
    missing(&mut race, &["crossbeam-channel", "flume"]);
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

fn trips(bench: &mut Bench) {
    let question = Question::lower(
        "channels.roundtrip",
        "two channels, 8 B there and back",
        "ns",
    )
    .bar(Against::Rival("crossbeam-channel"), 1.0);
    let mut race = Race::new([question]);
    let count = bench.pick(50_000, 15_000);
    race.floor("cache-line ping-pong", move || {
        pinfold_rivals::duo::ping_pong(count)
    });
    race.ours("channels, host and worker", move || echo::ours(count));
    #[cfg(feature = "rivals")]
    rivals::trips(&mut race, count);
    #[cfg(not(feature = "rivals"))]
    missing(&mut race, &["crossbeam-channel", "flume"]);
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}
