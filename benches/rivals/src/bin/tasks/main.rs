//! Empty tasks: how many per second, each with a handle and a result?
//!
//! Serves the decision whether a process pool can stand in for a thread pool.
//! Two workers (processes here, threads there), one submitter; every result is
//! checked.

mod batches;
mod capi;
mod dependent;
mod nested;
mod set;
#[cfg(feature = "rivals")]
mod tokio_pool;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc;

use pinfold::Runtime;
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race, Rival, seconds};
use rayon::ThreadPool;

/// As many tasks are in flight at most.
const WINDOW: usize = 4096;

/// The rivals that run in processes of their own.
const PYTHON: &str = include_str!("../../../python/pools.py");

/// Why a pool of Python cannot nest.
const NO_NESTING: &str = "a task cannot wait for a task: with all workers waiting, nothing moves";

fn inc(n: u64) -> u64 {
    n + 1
}

fn main() {
    capi::init();
    let mut bench = Bench::new("tasks", Options::parse_alone());
    let rounds = bench.rounds(9, 3);
    let tasks = bench.pick(300_000, 150_000);
    // Those that fork come first: they inherit no thread.
    let tbb = RefCell::new(Program::native("tbb", &[]));
    let python = RefCell::new(Program::python("pools.py", PYTHON, &[]));
    let rt = Runtime::builder().workers(2).start();
    let rt = rt.expect("pinfold starts");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.expect("rayon starts");

    single(&mut bench, rounds, tasks, &rt, &pool, &tbb, &python);
    batch(&mut bench, rounds, tasks, &rt, &pool, &tbb, &python);
    set::race(&mut bench, rounds, tasks, &rt);
    batches::plot(&mut bench, rounds.min(5), &rt, &pool, &tbb);
    nested::race(&mut bench, rounds, &rt, &pool, &tbb);
    dependent::races(&mut bench, rounds, tasks, &rt);
    capi::races(&mut bench, rounds, tasks, &rt);
    bench.finish();
}

/// Millions of tasks per second.
fn rate(tasks: u64, run: impl FnOnce() -> u64) -> f64 {
    let mut sum = 0;
    let time = seconds(|| sum = run());
    assert_eq!(sum, tasks * (tasks + 1) / 2, "every result, once");
    tasks as f64 / time / 1e6
}

fn single(
    bench: &mut Bench,
    rounds: usize,
    tasks: u64,
    rt: &Runtime,
    pool: &ThreadPool,
    tbb: &RefCell<Rival>,
    python: &RefCell<Rival>,
) {
    let mut race = Race::new([Question::higher(
        "tasks.single",
        "empty tasks with a handle and a result each, one at a time, 4096 in flight",
        "M tasks/s",
    )
    .bar(Against::Rival("rayon"), 4.0)
    .bar(Against::Rival("oneTBB"), 2.0)]);
    race.ours("spawn, join", || {
        rate(tasks, || ours_one_at_a_time(rt, tasks))
    });
    race.rival("rayon", || rate(tasks, || rayon_one_at_a_time(pool, tasks)));
    let order = format!("single {tasks} {WINDOW}");
    race.rival("oneTBB", move || tbb.borrow_mut().ask(&order));
    #[cfg(feature = "rivals")]
    {
        let tokio = tokio_pool::start();
        race.rival("tokio", move || {
            rate(tasks, || tokio_pool::single(&tokio, tasks))
        });
    }
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio", "built without the feature `rivals`");
    race.rival("Python ProcessPoolExecutor", || {
        python.borrow_mut().ask("single_executor 2000")
    });
    race.rival("Python multiprocessing.Pool", || {
        python.borrow_mut().ask("single_pool 3000")
    });
    race.missing("joblib", "it takes batches only");
    bench.run(race, rounds);
}

fn batch(
    bench: &mut Bench,
    rounds: usize,
    tasks: u64,
    rt: &Runtime,
    pool: &ThreadPool,
    tbb: &RefCell<Rival>,
    python: &RefCell<Rival>,
) {
    let mut race = Race::new([Question::higher(
        "tasks.batch",
        "empty tasks with a result each, submitted in batches",
        "M tasks/s",
    )
    .bar(Against::Rival("rayon"), 5.0)
    .bar(Against::Rival("oneTBB task_group"), 3.0)
    .note("the Python rivals send 256 items as one task; all others make each a task")]);
    race.ours("map", || {
        rate(tasks, || {
            let task = rt.task(inc).in_flight(WINDOW);
            task.map(0..tasks).map(|r| r.expect("a value")).sum()
        })
    });
    race.rival("rayon", || rate(tasks, || rayon_scope(pool, tasks)));
    let order = format!("batch {tasks}");
    race.rival("oneTBB task_group", move || tbb.borrow_mut().ask(&order));
    #[cfg(feature = "rivals")]
    {
        let tokio = tokio_pool::start();
        race.rival("tokio", move || {
            rate(tasks, || tokio_pool::batch(&tokio, tasks))
        });
    }
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio", "built without the feature `rivals`");
    for (name, order) in [
        ("Python ProcessPoolExecutor", "batch_executor 50000"),
        ("Python multiprocessing.Pool", "batch_pool 50000"),
        ("joblib", "batch_joblib 20000"),
    ] {
        race.rival(name, move || python.borrow_mut().ask(order));
    }
    bench.run(race, rounds);

    // The same call with other sizes of chunks is what a user can do about short tasks.
    let mut race = Race::new([Question::higher(
        "tasks.chunked",
        "items mapped by an empty function, each with a result, in chunks",
        "M items/s",
    )]);
    race.ours("task.chunked().map", || {
        rate(tasks, || {
            let task = rt.task(inc).chunked();
            task.map(0..tasks).map(|r| r.expect("a value")).sum()
        })
    });
    bench.run(race, rounds);
}

fn ours_one_at_a_time(rt: &Runtime, tasks: u64) -> u64 {
    let mut handles = VecDeque::with_capacity(WINDOW);
    let mut sum = 0;
    for n in 0..tasks {
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

fn rayon_one_at_a_time(pool: &ThreadPool, tasks: u64) -> u64 {
    let (tx, rx) = mpsc::channel();
    let (mut sum, mut out) = (0, 0);
    for n in 0..tasks {
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

fn rayon_scope(pool: &ThreadPool, tasks: u64) -> u64 {
    let mut results = vec![0; tasks as usize];
    pool.scope(|scope| {
        for (n, result) in results.iter_mut().enumerate() {
            scope.spawn(move |_| *result = inc(n as u64));
        }
    });
    results.iter().sum()
}
