//! What does a worker take that has nothing to do, and what a task that waits?
//!
//! A worker's part is its proportional set size: of what several processes share,
//! each counts its part. A waiting task's is the growth of everything there is, the
//! host's own memory and the shared one, while many are submitted and none can start;
//! the caller's handles are included.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pinfold::{Activity, Runtime};
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race};

const PYTHON: &str = include_str!("../../python/pools.py");
const NODE: &str = include_str!("../../node/workers.js");
const NO_RAY: &str = "not installed: it is far larger than all the rest together";

fn main() {
    pinfold::init();
    let mut bench = Bench::new("memory", Options::parse_alone());
    let python = RefCell::new(Program::python("pools.py", PYTHON, &[]));
    let mut node = Command::new("node");
    node.args(["-e", NODE]);
    let node = Program::start("node", node);
    let node = RefCell::new(pinfold_rivals::Rival::from(node));
    let ask =
        |program: &RefCell<pinfold_rivals::Rival>, order: &str| program.borrow_mut().ask(order);
    let rounds = bench.rounds(5, 3);

    let mut race = Race::new([Question::lower(
        "memory.worker",
        "memory of an idle worker (proportional set size)",
        "KiB",
    )
    .bar(Against::Value("1 MiB", 1024.0), 1.0)]);
    race.ours("2 workers, each has run tasks", idle_worker);
    race.rival("Python ProcessPoolExecutor", || ask(&python, "pss"));
    race.rival("Node child_process", || ask(&node, "pss"));
    race.missing("Ray", NO_RAY);
    bench.run(race, rounds);

    let tasks = bench.pick(200_000, 100_000);
    let mut race =
        Race::new([
            Question::lower("memory.task", "memory of a task that waits", "bytes")
                .bar(Against::Value("192 bytes", 192.0), 1.0),
        ]);
    race.ours("spawn, the handle included", || pending(tasks));
    race.rival("Python ProcessPoolExecutor", || {
        ask(&python, "pending 10000")
    });
    race.missing("Node child_process", "its processes have no queue of tasks");
    race.missing("Ray", NO_RAY);
    bench.run(race, rounds.min(3));
    bench.finish();
}

fn inc(n: u64) -> u64 {
    n + 1
}

/// KiB of `NAME: … kB` in a file of /proc.
fn kib(pid: &str, file: &str, name: &str) -> f64 {
    let path = format!("/proc/{pid}/{file}");
    let text = std::fs::read_to_string(path).expect("a live process");
    let mut values = text.lines().filter_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        value.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
    });
    values.next().expect("the kernel tells it")
}

fn workers(rt: &Runtime) -> Vec<String> {
    let workers = rt.stats().workers;
    workers
        .iter()
        .map(|worker| worker.pid.to_string())
        .collect()
}

/// KiB of each worker, after each has run something.
fn idle_worker() -> f64 {
    let rt = Runtime::builder()
        .workers(2)
        .start()
        .expect("pinfold starts");
    let sum: u64 = rt.map(inc, 0..10_000).map(|r| r.expect("a value")).sum();
    assert_eq!(sum, 50_005_000);
    let is_asleep = |state| state == Activity::Sleeping;
    while !rt
        .stats()
        .workers
        .iter()
        .all(|worker| is_asleep(worker.state))
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let pids = workers(&rt);
    let all: f64 = pids.iter().map(|pid| kib(pid, "smaps_rollup", "Pss")).sum();
    all / pids.len() as f64
}

/// Keeps its worker busy until the file is there.
fn wait_for_file(path: PathBuf) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of each of so many tasks that cannot start.
fn pending(tasks: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(tasks + 16)
        .start()
        .expect("pinfold starts");
    let busy: Vec<_> = (0..2)
        .map(|_| rt.spawn(wait_for_file, go.clone()))
        .collect();
    while rt
        .stats()
        .workers
        .iter()
        .any(|w| w.state != Activity::Running)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let pids = workers(&rt);
    // Shared memory once, and what each process has of its own.
    let now = || {
        let own = pids.iter().map(String::as_str).chain(["self"]);
        let own: f64 = own.map(|pid| kib(pid, "status", "RssAnon")).sum();
        rt.stats().memory_resident as f64 + own * 1024.0
    };
    let mut handles = Vec::with_capacity(tasks);
    let before = now();
    handles.extend((0..tasks as u64).map(|n| rt.spawn(inc, n)));
    let grown = now() - before;
    assert!(
        busy.iter().all(|task| !task.is_finished()),
        "none has started"
    );
    std::fs::write(&go, "").expect("a file");
    let sum: u64 = handles
        .into_iter()
        .map(|h| h.join().expect("a value"))
        .sum();
    let tasks = tasks as u64;
    assert_eq!(sum, tasks * (tasks + 1) / 2, "every result, once");
    grown / tasks as f64
}
