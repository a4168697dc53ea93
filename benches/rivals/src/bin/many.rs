//! More workers on the same CPUs: what does each task cost whoever submits it, how soon are they there,
//! and what do they take while they have nothing to do?
//!
//! What a task costs its submitter is counted in instructions, by the CPU: a time would say how the
//! workers share the CPUs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use perf_event::Builder;
use perf_event::events::Hardware;
use pinfold::{Handle, Runtime};
use pinfold_rivals::{Against, Bench, Options, Question, Race, seconds};

const WORKERS: [usize; 4] = [2, 8, 32, 128];
const WINDOW: usize = 1024;
const FEWEST: &str = "2 workers";

fn inc(n: u64) -> u64 {
    n + 1
}

fn submit(rt: &Runtime, tasks: u64) {
    let value = |handle: Handle<u64>| handle.join().expect("a value");
    let mut handles = VecDeque::with_capacity(WINDOW);
    let mut sum = 0;
    for n in 0..tasks {
        if handles.len() == WINDOW {
            sum += handles.pop_front().map_or(0, value);
        }
        handles.push_back(rt.spawn(inc, n));
    }
    sum += handles.into_iter().map(value).sum::<u64>();
    assert_eq!(sum, tasks * (tasks + 1) / 2, "every result, once");
}

/// Instructions of this thread for each task, and millions of tasks per second.
fn cost(rt: &Runtime, tasks: u64) -> Result<[f64; 2], String> {
    let mut time = 0.0;
    let mut count = || {
        // Of this thread alone, and not in the kernel.
        let mut counter = Builder::new(Hardware::INSTRUCTIONS).build()?;
        counter.enable()?;
        time = seconds(|| submit(rt, tasks));
        counter.disable()?;
        counter.read()
    };
    let count = count().map_err(|e| format!("the kernel does not count instructions: {e}"))?;
    Ok([count as f64 / tasks as f64, tasks as f64 / time / 1e6])
}

fn runtime(workers: usize) -> Runtime {
    let rt = Runtime::builder().workers(workers).start();
    rt.expect("pinfold starts")
}

/// Seconds of CPU that a process has taken so far.
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which is in brackets: the state is the third field of all.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// ms of CPU per second that the host and its workers take while nobody submits anything.
fn idle(rt: &Runtime) -> f64 {
    submit(rt, 10_000);
    let workers = rt.stats().workers;
    let pids = workers.iter().map(|worker| worker.pid.to_string());
    let pids: Vec<String> = pids.chain(["self".to_owned()]).collect();
    let all = || pids.iter().map(|pid| cpu_seconds(pid)).sum::<f64>();
    // Until all have gone to sleep.
    std::thread::sleep(Duration::from_millis(300));
    let (before, start) = (all(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    (all() - before) * 1e3 / start.elapsed().as_secs_f64()
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("many", Options::parse_alone());
    let rounds = bench.rounds(7, 3);
    let tasks = bench.pick(200_000, 50_000);
    let fewest = runtime(WORKERS[0]);
    for workers in WORKERS {
        let id = format!("many.{workers}");
        let text = format!("empty tasks, 1024 in flight, {workers} workers");
        let instructions = Question::lower(
            &format!("{id}.instructions"),
            &format!("{text}: instructions of the submitter per task"),
            "instructions",
        );
        let mut race = Race::new([
            match workers {
                128 => instructions.bar(Against::Rival(FEWEST), 1.2),
                _ => instructions,
            },
            Question::higher(&format!("{id}.rate"), &text, "M tasks/s"),
        ]);
        let rt = runtime(workers);
        race.ours("spawn, join", move || cost(&rt, tasks));
        if workers != WORKERS[0] {
            race.rival(FEWEST, || cost(&fewest, tasks));
        }
        bench.run(race, rounds);
    }
    let mut race = Race::new([Question::lower(
        "many.start",
        "from the call to start 128 workers until all are there",
        "ms",
    )
    .bar(Against::Value("50 ms", 50.0), 1.0)]);
    race.ours("Builder::start", || {
        let start = Instant::now();
        let rt = runtime(128);
        let time = start.elapsed().as_secs_f64() * 1e3;
        drop(rt);
        time
    });
    bench.run(race, rounds);
    let mut race = Race::new([Question::lower(
        "many.idle",
        "CPU time of 128 workers and their host with nothing to do",
        "ms per second",
    )
    .bar(Against::Value("1 ms per second", 1.0), 1.0)]);
    let rt = runtime(128);
    race.ours("128 workers", move || idle(&rt));
    bench.run(race, bench.pick(3, 1));
    bench.finish();
}
