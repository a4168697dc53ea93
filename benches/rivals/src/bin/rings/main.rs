//! A ring with one writer and one reader, between two processes: messages per second.
//!
//! Serves the decision what hands hints and messages from one process to another. Each
//! contestant moves the same words, all of which the receiver reads and adds up; each has
//! room for 1024 messages. Both sides spin, on CPUs of their own, where they can.

mod bare;
mod inside;
#[cfg(feature = "rivals")]
mod rivals;

use pinfold_rivals::{Against, Bench, Options, Plot, Question, Race, Series};

/// Messages that a ring has room for.
pub const SLOTS: usize = 1024;

/// How a contestant is to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many messages become visible at once.
    pub batch: usize,
    /// How much shorter a round is.
    pub shorter: u64,
}

impl Load {
    /// Messages of a round for who moves about `rate` millions a second: a multiple of
    /// all batches.
    pub fn messages(&self, rate: f64) -> u64 {
        let wanted = rate * 40_000.0 / self.shorter as f64;
        (wanted as u64 / 256).max(1) * 256
    }
}

fn main() {
    let mut bench = Bench::new("rings", Options::parse_alone());
    for batch in [1, 32] {
        question::<1>(&mut bench, batch);
        question::<8>(&mut bench, batch);
    }
    if bench.wants("rings.by_size") {
        let plot = by_size(&bench);
        bench.plot(plot);
    }
    if bench.wants("rings.by_batch") {
        let plot = by_batch(&bench);
        bench.plot(plot);
    }
    bench.finish();
}

fn question<const W: usize>(bench: &mut Bench, batch: usize) {
    let bytes = W * 8;
    let how = match batch {
        1 => "one at a time".to_owned(),
        _ => format!("in batches of {batch}"),
    };
    let id = match batch {
        1 => format!("rings.{bytes}b.single"),
        _ => format!("rings.{bytes}b.batch{batch}"),
    };
    let question = Question::higher(
        &id,
        &format!("ring, 1:1, two processes, {bytes} B messages, {how}"),
        "M messages/s",
    )
    .bar(Against::Floor, 0.85)
    .bar(Against::EveryRival, 1.0)
    .bar(Against::Rival("iceoryx2 publish-subscribe"), 10.0);
    let mut race = Race::new([question]);
    let load = Load {
        batch,
        shorter: bench.pick(1, 4),
    };
    race.floor("bare ring in shared memory", move || bare::floor::<W>(load));
    race.ours("ring::spsc", move || bare::ours::<W>(load));
    race.rival("pipe", move || bare::pipe::<W>(load));
    race.rival("Unix socket", move || bare::socket::<W>(load));
    #[cfg(feature = "rivals")]
    rivals::enter::<W>(&mut race, load);
    #[cfg(not(feature = "rivals"))]
    for name in NEED_FEATURE {
        race.missing(name, "built without the feature `rivals`");
    }
    race.missing(
        "Aeron IPC",
        "its crates build the C driver with cmake and libclang, or fetch a binary of it",
    );
    let rounds = bench.rounds(7, 3);
    bench.run(race, rounds);
}

#[cfg(not(feature = "rivals"))]
const NEED_FEATURE: [&str; 6] = [
    "iceoryx2 publish-subscribe",
    "ringfire",
    "shmem-ipc",
    "ipc-channel",
    "rtrb (one process)",
    "crossbeam ArrayQueue (one process)",
];

type Line = (&'static str, Vec<Box<dyn Fn(usize) -> f64>>);

/// The median of a few rounds of each contestant at each point, in turn.
fn series(bench: &Bench, xs: &[usize], lines: Vec<Line>) -> Vec<Series> {
    let rounds = bench.pick(3, 1);
    let mut values = vec![vec![Vec::new(); xs.len()]; lines.len()];
    for _ in 0..rounds {
        for (at, x) in xs.iter().enumerate() {
            for ((_, runs), values) in lines.iter().zip(&mut values) {
                values[at].push(runs[at](*x));
            }
        }
    }
    let series = lines.iter().zip(values).map(|((name, _), values)| Series {
        name: (*name).to_owned(),
        points: xs
            .iter()
            .zip(values)
            .map(|(x, values)| (*x as f64, pinfold_rivals::median(&values)))
            .collect(),
    });
    series.collect()
}

fn by_size(bench: &Bench) -> Plot {
    let load = Load {
        batch: 32,
        shorter: bench.pick(2, 8),
    };
    macro_rules! line {
        ($name:literal, $module:ident::$run:ident) => {{
            let runs: Vec<Box<dyn Fn(usize) -> f64>> = vec![
                Box::new(move |_| $module::$run::<1>(load)),
                Box::new(move |_| $module::$run::<4>(load)),
                Box::new(move |_| $module::$run::<8>(load)),
                Box::new(move |_| $module::$run::<32>(load)),
                Box::new(move |_| $module::$run::<128>(load)),
            ];
            ($name, runs)
        }};
    }
    let mut lines: Vec<Line> = vec![
        line!("bare ring", bare::floor),
        line!("pinfold", bare::ours),
        line!("pipe", bare::pipe),
        line!("Unix socket", bare::socket),
    ];
    #[cfg(feature = "rivals")]
    lines.extend([
        line!("iceoryx2", rivals::iceoryx2),
        line!("ringfire", rivals::ringfire),
        line!("shmem-ipc", rivals::shmem_ipc),
        line!("rtrb (one process)", inside::rtrb),
    ]);
    lines.shrink_to_fit();
    Plot {
        id: "rings.by_size".to_owned(),
        title: "Ring, two processes, batches of 32: throughput by message size".to_owned(),
        x: "bytes of a message".to_owned(),
        y: "M messages/s".to_owned(),
        log_x: true,
        log_y: true,
        series: series(bench, &[8, 32, 64, 256, 1024], lines),
    }
}

fn by_batch(bench: &Bench) -> Plot {
    let shorter = bench.pick(2, 8);
    let xs = [1, 4, 16, 64, 256];
    macro_rules! line {
        ($name:literal, $module:ident::$run:ident) => {{
            let run = move |batch| $module::$run::<1>(Load { batch, shorter });
            let runs = xs.map(|_| Box::new(run) as Box<dyn Fn(usize) -> f64>);
            ($name, Vec::from(runs))
        }};
    }
    let mut lines: Vec<Line> = vec![
        line!("bare ring", bare::floor),
        line!("pinfold", bare::ours),
        line!("pipe", bare::pipe),
        line!("Unix socket", bare::socket),
    ];
    #[cfg(feature = "rivals")]
    lines.extend([
        line!("iceoryx2", rivals::iceoryx2),
        line!("ringfire", rivals::ringfire),
        line!("shmem-ipc", rivals::shmem_ipc),
        line!("rtrb (one process)", inside::rtrb),
    ]);
    lines.shrink_to_fit();
    Plot {
        id: "rings.by_batch".to_owned(),
        title: "Ring, two processes, 8 B messages: throughput by batch size".to_owned(),
        x: "messages that become visible at once".to_owned(),
        y: "M messages/s".to_owned(),
        log_x: true,
        log_y: true,
        series: series(bench, &xs, lines),
    }
}
