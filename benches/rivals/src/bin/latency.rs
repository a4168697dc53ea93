//! How long from the submission of one empty task to its result?
//!
//! Hot: one after the other without a pause. Idle: after a millisecond in which
//! nobody had anything to do. The floors do the least that two processes can do: hot,
//! a cache line goes there and back; idle, a futex wakes the other, and that one wakes
//! the first.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pinfold_rivals::floor::Partner;
use pinfold_rivals::{Against, Bench, Options, Plot, Program, Question, Race, Series, quantile};

const PYTHON: &str = include_str!("../../python/pools.py");

fn inc(n: u64) -> u64 {
    n + 1
}

/// All rounds' times of each contestant, for the plot.
type Times = RefCell<BTreeMap<&'static str, Vec<f64>>>;

/// One round's times in µs, as p50 and p99; kept for the plot.
fn percentiles(times: Vec<f64>, name: &'static str, all: &Times) -> [f64; 2] {
    let mut sorted = times;
    sorted.sort_by(f64::total_cmp);
    let result = [quantile(&sorted, 0.5), quantile(&sorted, 0.99)];
    all.borrow_mut().entry(name).or_default().extend(sorted);
    result
}

/// µs of each of many calls, each after a pause.
fn each(count: usize, idle: Duration, mut once: impl FnMut()) -> Vec<f64> {
    let time = |_| {
        if !idle.is_zero() {
            std::thread::sleep(idle);
        }
        let start = Instant::now();
        once();
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..count).map(time).collect()
}

/// The rivals and pinfold.
struct Field {
    partner: Partner,
    rt: pinfold::Runtime,
    pool: rayon::ThreadPool,
    #[cfg(feature = "rivals")]
    tokio: tokio::runtime::Runtime,
    tbb: RefCell<pinfold_rivals::Rival>,
    python: RefCell<pinfold_rivals::Rival>,
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("latency", Options::parse_alone());
    // First, while there is one thread only.
    let partner = Partner::fork();
    let tbb = Program::native("tbb", &[]);
    let python = Program::python("pools.py", PYTHON, &[]);
    let field = Field {
        partner,
        rt: pinfold::Runtime::builder()
            .workers(2)
            .start()
            .expect("pinfold starts"),
        pool: rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .expect("rayon starts"),
        #[cfg(feature = "rivals")]
        tokio: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("tokio starts"),
        tbb: RefCell::new(tbb),
        python: RefCell::new(python),
    };
    let rounds = bench.rounds(9, 3);
    let hot = bench.pick(20_000, 5_000);
    let idle = bench.pick(400, 150);
    race(&mut bench, &field, Heat::Hot, rounds, hot);
    race(&mut bench, &field, Heat::Idle, rounds, idle);
    bench.finish();
}

#[derive(Clone, Copy, PartialEq)]
enum Heat {
    Hot,
    Idle,
}

fn questions(heat: Heat) -> [Question; 2] {
    let (name, state, floor_at_most) = match heat {
        Heat::Hot => ("hot", "hot", 3.0),
        Heat::Idle => ("idle", "after 1 ms idle", 1.3),
    };
    ["p50", "p99"].map(|share| {
        let id = format!("latency.{name}.{share}");
        let text = format!("one empty task, submit to result, {state}, {share}");
        let question = Question::lower(&id, &text, "µs").bar(Against::Floor, floor_at_most);
        match heat {
            Heat::Hot => question.bar(Against::Rival("oneTBB"), 0.6),
            Heat::Idle => question,
        }
    })
}

fn race(bench: &mut Bench, field: &Field, heat: Heat, rounds: usize, count: usize) {
    let all = Times::default();
    let idle = match heat {
        Heat::Hot => Duration::ZERO,
        Heat::Idle => Duration::from_millis(1),
    };
    let mut race = Race::new(questions(heat));
    let floor = match heat {
        Heat::Hot => "a cache line there and back",
        Heat::Idle => "a futex there and back",
    };
    race.floor(floor, || {
        let times = match heat {
            Heat::Hot => field.partner.spinning(count as u32),
            Heat::Idle => field.partner.sleeping(count as u32, idle),
        };
        percentiles(times.iter().map(|ns| ns / 1e3).collect(), floor, &all)
    });
    race.ours("spawn, join", || {
        let once = || assert_eq!(field.rt.spawn(inc, 1).join(), Ok(2));
        percentiles(each(count, idle, once), "pinfold", &all)
    });
    // Sleeping and waking takes rayon's submitter some 20 µs each time.
    let fewer = if heat == Heat::Hot { count / 4 } else { count };
    race.rival("rayon install", || {
        let once = || assert_eq!(field.pool.install(|| inc(1)), 2);
        percentiles(each(fewer, idle, once), "rayon install", &all)
    });
    race.rival("rayon spawn", || {
        let (tx, rx) = mpsc::sync_channel(1);
        let once = || {
            let tx = tx.clone();
            field.pool.spawn(move || tx.send(inc(1)).expect("receiver"));
            assert_eq!(rx.recv(), Ok(2));
        };
        percentiles(each(fewer, idle, once), "rayon spawn", &all)
    });
    #[cfg(feature = "rivals")]
    race.rival("tokio", || {
        let once = || {
            let handle = field.tokio.spawn(async { inc(1) });
            assert_eq!(field.tokio.block_on(handle).ok(), Some(2));
        };
        percentiles(each(fewer, idle, once), "tokio", &all)
    });
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio", "built without the feature `rivals`");
    race.rival("oneTBB", || {
        let order = format!("latency {count} {}", idle.as_micros());
        let times = field.tbb.borrow_mut().ask(&order)?;
        Ok(percentiles(times, "oneTBB", &all)) as Result<[f64; 2], String>
    });
    race.rival("Python ProcessPoolExecutor", || {
        let order = format!("latency {} {}", count.min(500), idle.as_micros());
        let times = field.python.borrow_mut().ask(&order)?;
        Ok(percentiles(times, "Python ProcessPoolExecutor", &all)) as Result<[f64; 2], String>
    });
    bench.run(race, rounds);
    if !all.borrow().is_empty() {
        bench.plot(distribution(heat, &all.borrow()));
    }
}

/// Latency over the share of tasks that took longer: 0.01 is the 99th percentile.
fn distribution(heat: Heat, all: &BTreeMap<&'static str, Vec<f64>>) -> Plot {
    let (id, title) = match heat {
        Heat::Hot => ("latency-hot", "Submit to result of one empty task, hot"),
        Heat::Idle => (
            "latency-idle",
            "Submit to result of one empty task, after 1 ms idle",
        ),
    };
    let series = all.iter().map(|(name, times)| {
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        // A share of which there is less than one in all says nothing.
        let shares = (0..60).map(|step| 0.99 * 0.87_f64.powi(step));
        let shares = shares.filter(|share| share * sorted.len() as f64 >= 1.0);
        Series {
            name: (*name).to_owned(),
            points: shares
                .map(|share| (1.0 / share, quantile(&sorted, 1.0 - share)))
                .collect(),
        }
    });
    Plot {
        id: id.into(),
        title: title.into(),
        x: "one task of so many takes longer".into(),
        y: "µs".into(),
        log_x: true,
        log_y: true,
        series: series.collect(),
    }
}
