//! Empty tasks: how many per second, and how long from submit to result?
//!
//! Serves the decision whether a process pool can stand in for a thread pool.
//! Two workers (processes here, threads there), one submitter, each task with a
//! result that is checked.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pinfold_rivals::{interleave, median, print, quantile, seconds};

const TASKS: u64 = 300_000;
const WINDOW: usize = 4096;
const LATENCIES: usize = 20_000;

fn inc(n: u64) -> u64 {
    n + 1
}

fn main() {
    pinfold::init();
    let rounds = std::env::args()
        .nth(1)
        .and_then(|a| a.parse().ok())
        .unwrap_or(7);
    let rt = pinfold::Runtime::builder()
        .workers(2)
        .start()
        .expect("pinfold starts");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("rayon starts");
    let rate = |run: &dyn Fn() -> u64| {
        let mut sum = 0;
        let time = seconds(|| sum = run());
        assert_eq!(sum, TASKS * (TASKS + 1) / 2, "every result, once");
        TASKS as f64 / time / 1e6
    };

    let singles = interleave(
        rounds,
        vec![
            (
                "pinfold spawn + join",
                Box::new(|| rate(&|| ours_one_at_a_time(&rt))),
            ),
            (
                "rayon spawn + channel",
                Box::new(|| rate(&|| rayon_one_at_a_time(&pool))),
            ),
        ],
    );
    print(
        "empty tasks, one at a time, 4096 in flight",
        "M tasks/s",
        &singles,
    );

    let batches = interleave(
        rounds,
        vec![
            (
                "pinfold map",
                Box::new(|| {
                    rate(&|| {
                        let task = rt.task(inc).in_flight(WINDOW);
                        task.map(0..TASKS).map(|r| r.expect("a value")).sum()
                    })
                }),
            ),
            (
                "rayon scope.spawn",
                Box::new(|| rate(&|| rayon_scope(&pool))),
            ),
        ],
    );
    print("empty tasks, in batches", "M tasks/s", &batches);

    let mut tails: Vec<Vec<f64>> = vec![Vec::new(); 3];
    let (ours, install, channel) = {
        let [a, b, c] = &mut tails[..] else {
            unreachable!("three")
        };
        (a, b, c)
    };
    let hot = interleave(
        rounds,
        vec![
            (
                "pinfold spawn + join",
                Box::new(|| latency(ours, || assert_eq!(rt.spawn(inc, 1).join(), Ok(2)))),
            ),
            (
                "rayon install",
                Box::new(|| latency(install, || assert_eq!(pool.install(|| inc(1)), 2))),
            ),
            (
                "rayon spawn + channel",
                Box::new(|| {
                    let (tx, rx) = mpsc::sync_channel(1);
                    latency(channel, || {
                        let tx = tx.clone();
                        pool.spawn(move || tx.send(inc(1)).expect("receiver"));
                        assert_eq!(rx.recv(), Ok(2));
                    })
                }),
            ),
        ],
    );
    print("submit to result, hot, p50", "µs", &hot);
    println!(
        "  p99: pinfold {:.2}, rayon install {:.2}, rayon channel {:.2} µs",
        median(&tails[0]),
        median(&tails[1]),
        median(&tails[2])
    );

    let idle = interleave(
        3,
        vec![
            (
                "pinfold spawn + join",
                Box::new(|| after_idle(|| assert_eq!(rt.spawn(inc, 1).join(), Ok(2)))),
            ),
            (
                "rayon install",
                Box::new(|| after_idle(|| assert_eq!(pool.install(|| inc(1)), 2))),
            ),
        ],
    );
    print("submit to result, after 1 ms idle, p50", "µs", &idle);
}

fn ours_one_at_a_time(rt: &pinfold::Runtime) -> u64 {
    let mut handles = VecDeque::with_capacity(WINDOW);
    let mut sum = 0;
    for n in 0..TASKS {
        if handles.len() == WINDOW {
            let oldest: Option<pinfold::Handle<u64>> = handles.pop_front();
            sum += oldest.map_or(0, |h| h.join().expect("a value"));
        }
        handles.push_back(rt.spawn(inc, n));
    }
    sum + handles
        .into_iter()
        .map(|h| h.join().expect("a value"))
        .sum::<u64>()
}

fn rayon_one_at_a_time(pool: &rayon::ThreadPool) -> u64 {
    let (tx, rx) = mpsc::channel();
    let (mut sum, mut out) = (0, 0);
    for n in 0..TASKS {
        if out == WINDOW {
            sum += rx.recv().expect("a value");
            out -= 1;
            while let Ok(value) = rx.try_recv() {
                sum += value;
                out -= 1;
            }
        }
        let tx = tx.clone();
        pool.spawn(move || tx.send(inc(std::hint::black_box(n))).expect("receiver"));
        out += 1;
    }
    for _ in 0..out {
        sum += rx.recv().expect("a value");
    }
    sum
}

fn rayon_scope(pool: &rayon::ThreadPool) -> u64 {
    let mut results = vec![0; TASKS as usize];
    pool.scope(|scope| {
        for (n, result) in results.iter_mut().enumerate() {
            scope.spawn(move |_| *result = inc(n as u64));
        }
    });
    results.iter().sum()
}

/// The median of many round trips in µs; their 99th percentile goes to `tail`.
fn latency(tail: &mut Vec<f64>, mut once: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..LATENCIES).map(|_| seconds(&mut once) * 1e6).collect();
    times.sort_by(f64::total_cmp);
    tail.push(quantile(&times, 0.99));
    quantile(&times, 0.5)
}

fn after_idle(mut once: impl FnMut()) -> f64 {
    let times: Vec<f64> = (0..300)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            let start = Instant::now();
            once();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    median(&times)
}
