//! Tasks that work for a while: is the rate as steady as with threads, and is nobody late?
//!
//! Tasks of 20 and of 200 µs that need a CPU and nothing else, with 256 in flight and one at a time; on a
//! quiet machine, and while a process that is no part of it all spins on the first CPU. A task's time is
//! from its submission to the moment at which the submitter has the result. With many in flight pinfold's
//! and oneTBB's submitters take the results in order, rayon's as they come.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Instant;

use pinfold::Runtime;
use pinfold_rivals::duo::pin;
use pinfold_rivals::floor::{burn, ns_per_step};
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race, Rival, quantile};
use rayon::ThreadPool;

const WINDOW: usize = 256;
const RIVALS: &[&str] = &["rayon", "oneTBB"];

/// The argument that makes of this program the process that spins.
const SPIN: &str = "spin-on-the-first-cpu";

/// A process that spins on the first CPU as long as this lives.
struct Spinner(Child);

impl Spinner {
    fn start() -> Self {
        let program = std::env::current_exe().expect("a path");
        let child = Command::new(program).arg(SPIN).spawn();
        Spinner(child.expect("it starts"))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is submitted.
#[derive(Clone, Copy)]
struct Load {
    window: usize,
    tasks: usize,
    steps: u64,
}

/// Thousands of tasks per second, and p99 of their times in µs. `submit` begins the task of a number;
/// `next` waits for one that is in flight, and says which.
fn measure(load: Load, mut submit: impl FnMut(usize), mut next: impl FnMut() -> usize) -> [f64; 2] {
    let start = Instant::now();
    let mut begun = Vec::with_capacity(load.tasks);
    let mut times = Vec::with_capacity(load.tasks);
    let mut take = |begun: &[Instant]| {
        let at = next();
        times.push(begun[at].elapsed().as_secs_f64() * 1e6);
    };
    for at in 0..load.tasks {
        if at >= load.window {
            take(&begun);
        }
        begun.push(Instant::now());
        submit(at);
    }
    for _ in 0..load.window.min(load.tasks) {
        take(&begun);
    }
    let rate = load.tasks as f64 / start.elapsed().as_secs_f64() / 1e3;
    times.sort_by(f64::total_cmp);
    [rate, quantile(&times, 0.99)]
}

fn ours(rt: &Runtime, load: Load) -> [f64; 2] {
    let handles = RefCell::new(VecDeque::with_capacity(load.window));
    let submit = |at| {
        let handle = rt.spawn(burn, load.steps);
        handles.borrow_mut().push_back((at, handle));
    };
    let next = || {
        let (at, handle) = handles.borrow_mut().pop_front().expect("one in flight");
        handle.join().expect("a value");
        at
    };
    measure(load, submit, next)
}

fn by_rayon(pool: &ThreadPool, load: Load) -> [f64; 2] {
    let (tx, rx) = mpsc::channel();
    let submit = |at| {
        let tx = tx.clone();
        pool.spawn(move || {
            burn(load.steps);
            tx.send(at).expect("a receiver");
        });
    };
    measure(load, submit, || rx.recv().expect("a result"))
}

fn main() {
    // Before pinfold, which it has nothing to do with.
    if std::env::args().nth(1).is_some_and(|arg| arg == SPIN) {
        pin(0);
        loop {
            std::hint::spin_loop();
        }
    }
    pinfold::init();
    let mut bench = Bench::new("steady", Options::parse_alone());
    let tbb = RefCell::new(Program::native("tbb", &[]));
    let rt = Runtime::builder().workers(2).start();
    let rt = rt.expect("pinfold starts");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.expect("rayon starts");
    let step = ns_per_step();
    for is_busy in [false, true] {
        for us in [20, 200] {
            for window in [WINDOW, 1] {
                let share = if window == 1 { 2 } else { 1 };
                let load = Load {
                    window,
                    tasks: bench.pick(60_000, 30_000) / us / share,
                    steps: (us as f64 * 1e3 / step) as u64,
                };
                race(&mut bench, &rt, &pool, &tbb, load, us, is_busy);
            }
        }
    }
    bench.finish();
}

fn race(
    bench: &mut Bench,
    rt: &Runtime,
    pool: &ThreadPool,
    tbb: &RefCell<Rival>,
    load: Load,
    us: usize,
    is_busy: bool,
) {
    let (many, how) = match load.window {
        1 => ("one", "one at a time"),
        _ => ("flight", "256 in flight"),
    };
    let (state, beside) = match is_busy {
        true => ("busy", "beside a process that spins on one of the CPUs"),
        false => ("quiet", "nothing else runs"),
    };
    let id = format!("steady.{us}us.{many}.{state}");
    let text = format!("tasks of {us} µs, {how}, {beside}");
    let mut race = Race::new([
        Question::higher(&format!("{id}.rate"), &text, "k tasks/s")
            .bar(Against::Rival("rayon"), 1.0),
        Question::lower(
            &format!("{id}.p99"),
            &format!("{text}: submit to result, p99"),
            "µs",
        )
        .bar(Against::BestOf(RIVALS), 1.2),
    ]);
    race.ours("spawn, join", || ours(rt, load));
    race.rival("rayon", || by_rayon(pool, load));
    race.rival("oneTBB", || {
        let Load {
            window,
            tasks,
            steps,
        } = load;
        tbb.borrow_mut()
            .ask(&format!("steady {tasks} {window} {steps}"))
    });
    let rounds = bench.rounds(9, 3);
    let is_wanted = race.ids().any(|id| bench.wants(id));
    let _spinner = (is_busy && is_wanted).then(Spinner::start);
    bench.run(race, rounds);
}
