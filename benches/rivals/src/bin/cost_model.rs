//! A cost model of 16 to 192 CPUs: counts from real runs here, and what a simulation makes of them
//! (`pinfold_rivals::cost`). docs/SCALING.md shows what it prints.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use clap::Parser;
use pinfold::bench_internals::Peek;
use pinfold::{Handle, Runtime};
use pinfold_rivals::cost::{CPUS_MAX, Counts, Distances, Load, Model, fill, text};
use pinfold_rivals::floor::Partner;
use pinfold_rivals::machine::Machine;
use pinfold_rivals::{median, quantile};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

const SUBMITTERS: [usize; 3] = [1, 2, 4];
const WORKERS: [usize; 2] = [1, 2];
const WINDOWS: [usize; 2] = [64, 1024];
/// Of so many tasks one submitter looks at the executors once, in runs of their own.
const LOOK_EVERY: u64 = 61;

/// Counts what tasks cost here, and says what they would on 16 to 192 CPUs
#[derive(Parser)]
struct Arguments {
    /// Take the counts from this file instead of running anything
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
    /// Write the counts to this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Put the text into this file, between its marks
    #[arg(long, value_name = "FILE")]
    fill: Option<PathBuf>,
    /// Runs of each kind, of which the median counts; of times without transfers the least
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    rounds: usize,
    /// Of the random numbers
    #[arg(long, value_name = "NUMBER", default_value_t = Model::default().seed)]
    seed: u64,
    /// CPUs of the machines in the model
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_values_t = Model::default().cpus)]
    cpus: Vec<usize>,
    /// Tasks that each submitter of the model has in flight
    #[arg(long, value_name = "NUMBER", default_value_t = Model::default().window)]
    window: usize,
    /// ns that a line takes to another CPU of the same socket
    #[arg(long, value_name = "NS", default_value_t = Distances::default().near)]
    near: u64,
    /// ns that it takes to another socket
    #[arg(long, value_name = "NS", default_value_t = Distances::default().far)]
    far: u64,
    /// ns for which it is taken up by each of several that read it at once
    #[arg(long, value_name = "NS", default_value_t = Distances::default().shared)]
    shared: u64,
    /// CPUs of a socket
    #[arg(long, value_name = "NUMBER", default_value_t = Distances::default().socket)]
    socket: usize,
}

impl Arguments {
    fn model(&self) -> Model {
        Model {
            distances: Distances {
                near: self.near,
                far: self.far,
                shared: self.shared,
                socket: self.socket.max(1),
                ..Distances::default()
            },
            cpus: self.cpus.clone(),
            window: self.window.max(1),
            seed: self.seed,
            ..Model::default()
        }
    }
}

fn inc(n: u64) -> u64 {
    n + 1
}

/// What one thread saw.
#[derive(Default)]
struct Seen {
    /// Of each look at a batch that was under way: one over its length.
    shares: Vec<f64>,
    looked: u64,
    at_clients: u64,
    slept: u64,
}

/// Submits so many tasks and joins the oldest when there are `window`.
fn submit(rt: &Runtime, tasks: u64, window: usize, looks: bool) -> Seen {
    let value = |handle: Handle<u64>| handle.join().expect("a value");
    let mut handles = VecDeque::with_capacity(window);
    let (mut sum, mut seen) = (0, Seen::default());
    let before = own_sleeps();
    for n in 0..tasks {
        if handles.len() == window {
            sum += handles.pop_front().map_or(0, value);
        }
        let handle = rt.spawn(inc, n);
        if looks && n % LOOK_EVERY == 0 {
            seen.look(rt, &handle);
        }
        handles.push_back(handle);
    }
    sum += handles.into_iter().map(value).sum::<u64>();
    assert_eq!(sum, tasks * (tasks + 1) / 2, "every result, once");
    seen.slept = own_sleeps() - before;
    seen
}

impl Seen {
    fn look(&mut self, rt: &Runtime, handle: &Handle<u64>) {
        let peek = Peek::at(rt);
        let batches = peek.announced.iter().filter(|count| **count > 0);
        self.shares.extend(batches.map(|count| 1.0 / *count as f64));
        if let Some(id) = handle.id() {
            let slot = id.to_string();
            let slot = slot
                .split('.')
                .next()
                .and_then(|slot| slot.parse::<u32>().ok());
            self.looked += 1;
            self.at_clients += u64::from(slot.is_some_and(|slot| slot >= peek.first_client_slot));
        }
    }
}

/// Several threads submit to a runtime of their own.
struct Run {
    submitters: usize,
    workers: usize,
    window: usize,
    looks: bool,
}

/// What came of it.
struct Ran {
    /// M tasks per second.
    rate: f64,
    stolen: u64,
    sleeps: u64,
    seen: Vec<Seen>,
}

impl Run {
    /// Each thread submits so many, after some that do not count.
    fn run(&self, tasks: u64) -> Ran {
        let rt = runtime(self.workers);
        let begin = Barrier::new(self.submitters + 1);
        let (before, seen) = std::thread::scope(|scope| {
            let one = || {
                submit(&rt, tasks / 4, self.window, false);
                begin.wait();
                begin.wait();
                let start = Instant::now();
                let seen = submit(&rt, tasks, self.window, self.looks);
                (start, Instant::now(), seen)
            };
            let threads: Vec<_> = (0..self.submitters).map(|_| scope.spawn(one)).collect();
            begin.wait();
            let before = rt.stats().totals;
            begin.wait();
            let joined = threads.into_iter().map(|thread| thread.join());
            let seen: Vec<_> = joined.map(|seen| seen.expect("it counted")).collect();
            (before, seen)
        });
        let after = rt.stats().totals;
        let start = seen.iter().map(|(start, ..)| *start).min();
        let end = seen.iter().map(|(_, end, _)| *end).max();
        let seconds = start
            .zip(end)
            .map_or(f64::NAN, |(start, end)| (end - start).as_secs_f64());
        Ran {
            rate: (tasks * self.submitters as u64) as f64 / seconds / 1e6,
            stolen: after.stolen - before.stolen,
            sleeps: after.sleeps - before.sleeps,
            seen: seen.into_iter().map(|(.., seen)| seen).collect(),
        }
    }
}

fn runtime(workers: usize) -> Runtime {
    let rt = Runtime::builder().workers(workers).start();
    rt.expect("pinfold starts")
}

/// Times that the calling thread has slept.
fn own_sleeps() -> u64 {
    let usage = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = usage
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// ns of CPU that this thread has taken.
fn own_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// ns of CPU that all threads of a process have taken, as of when each was last interrupted.
fn ns_of(pid: i32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.into_iter().flatten().flatten().filter_map(of).sum()
}

/// ns of CPU per task of a submitter and of an executor that share one CPU, of the quickest run each.
fn alone(rounds: usize) -> [f64; 2] {
    let all = sched_getaffinity(None).expect("own mask");
    let first = (0..CpuSet::MAX_CPU)
        .find(|cpu| all.is_set(*cpu))
        .expect("a CPU");
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).expect("one of its own CPUs");
    let rt = runtime(1);
    let pid = rt.stats().workers[0].pid;
    let (window, tasks) = (1024, 300_000);
    submit(&rt, tasks, window, false);
    // Until the executor sleeps: only then its time is what it has taken.
    let rest = || std::thread::sleep(Duration::from_millis(20));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        rest();
        let before = [own_ns(), ns_of(pid)];
        submit(&rt, tasks, window, false);
        let own = own_ns();
        rest();
        let after = [own, ns_of(pid)];
        for side in 0..2 {
            times[side].push((after[side] - before[side]) / tasks as f64);
        }
    }
    drop(rt);
    sched_setaffinity(None, &all).expect("the CPUs that it had");
    // What disturbs them only adds to it.
    times.map(|times| times.into_iter().fold(f64::INFINITY, f64::min))
}

fn load([submitters, workers]: [usize; 2], window: usize, rounds: usize) -> Load {
    let tasks = 120_000 / submitters as u64;
    let run = |looks| {
        let run = Run {
            submitters,
            workers,
            window,
            looks,
        };
        run.run(tasks)
    };
    let ran: Vec<Ran> = (0..rounds).map(|_| run(false)).collect();
    let rates: Vec<f64> = ran.iter().map(|ran| ran.rate).collect();
    let sum = |count: fn(&Ran) -> u64| ran.iter().map(count).sum::<u64>() as f64;
    let all = (tasks * submitters as u64) as f64 * rounds as f64;
    let looked = run(true).seen;
    let shares: Vec<f64> = looked.iter().flat_map(|seen| seen.shares.clone()).collect();
    let [looks, at_clients] = [|seen: &Seen| seen.looked, |seen: &Seen| seen.at_clients]
        .map(|count| looked.iter().map(count).sum::<u64>());
    // A batch is seen as long as it takes, so long ones more often: the mean of all is the harmonic one.
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    let waits = sum(|ran| ran.seen.iter().map(|seen| seen.slept).sum());
    Load {
        submitters,
        workers,
        window,
        rate: round(median(&rates), 100.0),
        batch: round(if mean > 0.0 { 1.0 / mean } else { 0.0 }, 10.0),
        clients: round(at_clients as f64 / looks.max(1) as f64, 1000.0),
        stolen: round(sum(|ran| ran.stolen) / all, 1000.0),
        sleeps: round(sum(|ran| ran.sleeps) * 1e3 / all, 100.0),
        waits: round(waits * 1e3 / all, 100.0),
    }
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

fn count(partner: &Partner, rounds: usize) -> Counts {
    let mut trips = partner.spinning(20_000);
    trips.sort_by(f64::total_cmp);
    let [submit_ns, run_ns] = alone(rounds).map(|ns| round(ns, 10.0));
    let mut loads = Vec::new();
    for workers in WORKERS {
        for submitters in SUBMITTERS {
            for window in WINDOWS {
                loads.push(load([submitters, workers], window, rounds));
            }
        }
    }
    let machine = Machine::read(false);
    let kind = if machine.virtual_machine {
        " (virtual machine)"
    } else {
        ""
    };
    Counts {
        machine: format!("{}{kind}, Linux {}", machine.cpu_model, machine.kernel),
        cpus: machine.cores,
        submit_ns,
        run_ns,
        line_ns: round(quantile(&trips, 0.5) / 2.0, 1.0),
        loads,
    }
}

fn run(arguments: &Arguments, partner: impl FnOnce() -> Partner) -> Result<(), String> {
    let named =
        |path: &PathBuf, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if let Some(wrong) = arguments
        .cpus
        .iter()
        .find(|cpus| !(2..=CPUS_MAX).contains(*cpus))
    {
        return Err(format!("--cpus: {wrong} is not between 2 and {CPUS_MAX}"));
    }
    let counts = match &arguments.counts {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| named(path, &e))?;
            serde_json::from_str(&text).map_err(|e| named(path, &e))?
        }
        None => count(&partner(), arguments.rounds.max(1)),
    };
    if let Some(path) = &arguments.save {
        let text = serde_json::to_string_pretty(&counts).expect("numbers and strings");
        std::fs::write(path, text + "\n").map_err(|e| named(path, &e))?;
    }
    let text = text(&counts, &arguments.model());
    print!("{text}");
    if let Some(path) = &arguments.fill {
        let document = std::fs::read_to_string(path).map_err(|e| named(path, &e))?;
        let filled =
            fill(&document, &text).ok_or_else(|| named(path, &"it has no marks for the text"))?;
        std::fs::write(path, filled).map_err(|e| named(path, &e))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    pinfold::init();
    let arguments = Arguments::parse();
    match run(&arguments, Partner::fork) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cost-model: {error}");
            ExitCode::from(2)
        }
    }
}
