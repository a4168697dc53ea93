//! Several threads of one program submit at once: do they wait for each other?
//!
//! Each thread submits empty tasks to one pool of two workers, and joins its own, oldest first. Beside
//! the rivals run as many runtimes as there are threads, with one worker each: they share nothing, so
//! what they reach together is what the machine allows.

mod rivals;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Barrier;
use std::time::Instant;

use pinfold::{Handle, Runtime};
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race, Rival, quantile};

use rivals::Pools;

const THREADS: [usize; 4] = [1, 2, 4, 16];
const WINDOWS: [usize; 2] = [64, 1024];

/// pinfold itself, without anything that the threads share.
const APART: &str = "as many runtimes of one worker";
/// pinfold itself, with one thread.
const ALONE: &str = "one thread";
const RIVALS: &[&str] = &["rayon", "oneTBB", "tokio"];

fn inc(n: u64) -> u64 {
    n + 1
}

/// What each of several threads submits.
#[derive(Clone, Copy)]
struct Load {
    threads: usize,
    window: usize,
    /// Of each thread.
    tasks: u64,
}

impl Load {
    /// Millions of tasks per second of all threads together; `run` gives the sum of the results of
    /// one thread.
    fn rate(self, run: impl Fn(usize) -> u64 + Sync) -> f64 {
        let begin = Barrier::new(self.threads + 1);
        let start = std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let (begin, run) = (&begin, &run);
                scope.spawn(move || {
                    begin.wait();
                    let expected = self.tasks * (self.tasks + 1) / 2;
                    assert_eq!(run(thread), expected, "every result, once");
                });
            }
            begin.wait();
            Instant::now()
        });
        let tasks = self.tasks * self.threads as u64;
        tasks as f64 / start.elapsed().as_secs_f64() / 1e6
    }

    fn order(self, what: &str) -> String {
        format!("{what} {} {} {}", self.threads, self.tasks, self.window)
    }
}

/// The sum of the results of one thread.
fn submit(rt: &Runtime, load: Load) -> u64 {
    let value = |handle: Handle<u64>| handle.join().expect("a value");
    let mut handles = VecDeque::with_capacity(load.window);
    let mut sum = 0;
    for n in 0..load.tasks {
        if handles.len() == load.window {
            sum += handles.pop_front().map_or(0, value);
        }
        handles.push_back(rt.spawn(inc, n));
    }
    sum + handles.into_iter().map(value).sum::<u64>()
}

/// p99 in µs of what `once` takes, for several threads that call it one time after the other.
fn p99(threads: usize, calls: usize, once: impl Fn() + Sync) -> f64 {
    let begin = Barrier::new(threads);
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let one = || {
            begin.wait();
            let time = |_| {
                let start = Instant::now();
                once();
                start.elapsed().as_secs_f64() * 1e6
            };
            (0..calls).map(time).collect::<Vec<f64>>()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let times = threads.into_iter().map(|thread| thread.join());
        times.flat_map(|times| times.expect("times")).collect()
    });
    times.sort_by(f64::total_cmp);
    quantile(&times, 0.99)
}

fn runtime(workers: usize) -> Runtime {
    let rt = Runtime::builder().workers(workers).start();
    rt.expect("pinfold starts")
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("submitters", Options::parse_alone());
    let rounds = bench.rounds(7, 3);
    let tasks = bench.pick(160_000, 64_000);
    // It forks: first, while there is one thread only.
    let tbb = RefCell::new(Program::native("tbb", &[]));
    let rt = runtime(2);
    let pools = Pools::start();
    for threads in THREADS {
        let apart: Vec<Runtime> = (0..threads).map(|_| runtime(1)).collect();
        for window in WINDOWS {
            let load = Load {
                threads,
                window,
                tasks: tasks / threads as u64,
            };
            rates(&mut bench, rounds, load, &rt, &apart, &pools, &tbb);
        }
    }
    latencies(&mut bench, rounds, &rt, &pools, &tbb);
    bench.finish();
}

fn rates(
    bench: &mut Bench,
    rounds: usize,
    load: Load,
    rt: &Runtime,
    apart: &[Runtime],
    pools: &Pools,
    tbb: &RefCell<Rival>,
) {
    let Load {
        threads, window, ..
    } = load;
    let id = format!("submitters.{threads}.{window}");
    let many = if threads == 1 { "thread" } else { "threads" };
    let text = format!(
        "empty tasks with a handle and a result each, from {threads} {many}, {window} in flight each"
    );
    let question = Question::higher(&id, &text, "M tasks/s");
    let question = match threads {
        2 => question.bar(Against::Rival(APART), 0.9),
        16 => question
            .bar(Against::Rival(ALONE), 0.8)
            .bar(Against::BestOf(RIVALS), 2.0),
        _ => question,
    };
    let mut race = Race::new([question]);
    race.ours("spawn, join", || load.rate(|_| submit(rt, load)));
    race.rival(APART, || load.rate(|thread| submit(&apart[thread], load)));
    if threads > 1 {
        let alone = Load {
            threads: 1,
            tasks: load.tasks * threads as u64,
            ..load
        };
        race.rival(ALONE, move || alone.rate(|_| submit(rt, alone)));
    }
    race.rival("rayon", || load.rate(|_| pools.rayon(load)));
    #[cfg(feature = "rivals")]
    race.rival("tokio", || load.rate(|_| pools.tokio(load)));
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio", "built without the feature `rivals`");
    race.rival("oneTBB", || tbb.borrow_mut().ask(&load.order("submitters")));
    bench.run(race, rounds);
}

fn latencies(bench: &mut Bench, rounds: usize, rt: &Runtime, pools: &Pools, tbb: &RefCell<Rival>) {
    let threads = 16;
    let calls = bench.pick(1_000, 300);
    let text = "one empty task of each of 16 threads, submit to result, p99";
    let mut race = Race::new([
        Question::lower("submitters.16.p99", text, "µs").bar(Against::BestOf(RIVALS), 1.0)
    ]);
    race.ours("spawn, join", || {
        p99(threads, calls, || {
            assert_eq!(rt.spawn(inc, 1).join(), Ok(2));
        })
    });
    race.rival("rayon", || p99(threads, calls, || pools.rayon_once()));
    #[cfg(feature = "rivals")]
    race.rival("tokio", || p99(threads, calls, || pools.tokio_once()));
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio", "built without the feature `rivals`");
    let order = format!("submitters_p99 {threads} {calls}");
    race.rival("oneTBB", move || tbb.borrow_mut().ask(&order));
    bench.run(race, rounds);
}
