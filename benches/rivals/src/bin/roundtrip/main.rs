//! There and back between two processes: how long, and with how many system calls?
//!
//! Serves the decision how two processes tell each other that there is something. Awake,
//! both sides spin on CPUs of their own; asleep, each sleeps until the other has answered.

mod asleep;
mod awake;
mod calls;
#[cfg(feature = "rivals")]
mod rivals;

use pinfold_rivals::{Against, Bench, Options, Question, Race};

fn main() {
    // What `strace` counts: this program once more.
    if calls::is_counted() {
        return;
    }
    let mut bench = Bench::new("roundtrip", Options::parse_alone());
    awake(&mut bench);
    asleep(&mut bench);
    calls::rows(&mut bench);
    bench.finish();
}

fn awake(bench: &mut Bench) {
    let trips = bench.pick(100_000, 30_000);
    let question = Question::lower("roundtrip.awake", "round trip of 8 B, both spin", "ns")
        .bar(Against::Floor, 1.5)
        .bar(Against::EveryRival, 1.0);
    let mut race = Race::new([question]);
    race.floor("cache-line ping-pong", move || {
        pinfold_rivals::duo::ping_pong(trips)
    });
    race.ours("ring::spsc, there and back", move || awake::ours(trips));
    race.rival("Unix socket", move || awake::socket(trips / 40));
    #[cfg(feature = "rivals")]
    rivals::awake(&mut race, trips);
    #[cfg(not(feature = "rivals"))]
    missing(&mut race, &["iceoryx2", "ringfire", "shmem-ipc"]);
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

fn asleep(bench: &mut Bench) {
    let trips = bench.pick(1_500, 500);
    let idle = bench.pick(100, 30);
    let questions =
        |id: &str, text: &str| Question::lower(id, text, "µs").bar(Against::Floor, 1.15);
    let mut race = Race::new([
        questions("roundtrip.asleep", "round trip, both sleep until answered"),
        questions(
            "roundtrip.wake",
            "from notify to awake, after 1 ms asleep, p50",
        ),
    ]);
    race.floor("bare futex", move || asleep::floor(trips, idle));
    race.ours("notify::Doorbell", move || asleep::ours(trips, idle));
    race.rival("eventfd", move || asleep::eventfd(trips, idle));
    race.rival("pipe", move || asleep::pipe(trips, idle));
    race.rival("Unix socket", move || asleep::socket(trips, idle));
    #[cfg(feature = "rivals")]
    rivals::asleep(&mut race, trips, idle);
    #[cfg(not(feature = "rivals"))]
    missing(&mut race, &["raw_sync Event", "iceoryx2 event"]);
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

#[cfg(not(feature = "rivals"))]
fn missing(race: &mut Race<'_>, names: &[&str]) {
    for name in names {
        race.missing(name, "built without the feature `rivals`");
    }
}
