//! Empty tasks: how many per second, and how long from submit to result?
//!
//! Serves the decision whether a process pool can stand in for a thread pool.
//! Two workers (processes here, threads there), one submitter, each task with a
//! result that is checked.

use std::collections::VecDeque;
use std::sync::mpsc;

use pinfold_rivals::{Against, Bench, Options, Question, Race, seconds};

const TASKS: u64 = 300_000;
const WINDOW: usize = 4096;

fn inc(n: u64) -> u64 {
    n + 1
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("tasks", Options::parse_alone());
    let rounds = bench.rounds(7, 3);
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

    let mut race = Race::new([Question::higher(
        "tasks.single",
        "empty tasks with a result each, one at a time, 4096 in flight",
        "M tasks/s",
    )
    .bar(Against::Rival("rayon"), 4.0)
    .bar(Against::Rival("oneTBB"), 2.0)]);
    race.ours("spawn + join", || rate(&|| ours_one_at_a_time(&rt)));
    race.rival("rayon", || rate(&|| rayon_one_at_a_time(&pool)));
    bench.run(race, rounds);

    let mut race = Race::new([Question::higher(
        "tasks.batch",
        "empty tasks with a result each, in batches",
        "M tasks/s",
    )
    .bar(Against::Rival("rayon"), 5.0)
    .bar(Against::Rival("oneTBB"), 3.0)]);
    race.ours("map", || {
        rate(&|| {
            let task = rt.task(inc).in_flight(WINDOW);
            task.map(0..TASKS).map(|r| r.expect("a value")).sum()
        })
    });
    race.rival("rayon", || rate(&|| rayon_scope(&pool)));
    bench.run(race, rounds);
    bench.finish();
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
