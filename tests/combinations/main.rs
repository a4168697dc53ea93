//! Every setting of a task with every shape of argument and value, every end, and every way
//! to submit it: each two choices meet at least once in a seed's cases. What comes of each is
//! compared with a sequential model; a task beside it must not notice anything, and nothing
//! may be left.
//!
//! `scripts/combinations` runs other seeds. Read from the environment:
//! `PINFOLD_COMBINATIONS_SEED` (the first; 1 otherwise), `_SEEDS` (how many), `_CASE` (this
//! one alone). A program of its own, so that its workers' panics can be told from its own.

#![allow(unsafe_code, reason = "a variable of the environment is set")]

mod case;
mod model;
mod objects;
mod pairs;
mod rng;
mod run;
mod task;

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use pinfold::Runtime;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::case::Case;
use crate::rng::Rng;

/// A case that takes longer hangs.
const HANGS: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    // What tasks panic with, as they are told, is no news.
    std::panic::set_hook(Box::new(|panic| {
        if pinfold::current_task().is_none() {
            eprintln!("{panic}");
        }
    }));
    // Nor is a worker that is made to crash.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).expect("a lower limit");
    // The zygote's is the host's.
    let mut place = None;
    if std::env::var_os(task::PLACE).is_none() {
        let own = tempfile::tempdir().expect("a place for marks");
        // SAFETY: there is one thread.
        unsafe { std::env::set_var(task::PLACE, own.path()) };
        place = Some(own);
    }
    pinfold::init();
    // As the usual harness: words choose by name.
    let (words, options): (Vec<String>, Vec<String>) =
        (std::env::args().skip(1)).partition(|arg| !arg.starts_with('-'));
    let is_chosen = words.is_empty() || words.iter().any(|word| "combinations".contains(word));
    if !is_chosen || options.iter().any(|option| option == "--list") {
        if is_chosen {
            println!("combinations: test");
        }
        return ExitCode::SUCCESS;
    }
    let first = setting("SEED").unwrap_or(1);
    let (mut count, mut failed) = (0, 0);
    let begin = Instant::now();
    for seed in first..first + setting("SEEDS").unwrap_or(3) {
        let (cases, wrong) = of_seed(seed);
        count += cases;
        failed += wrong;
    }
    drop(place);
    println!(
        "{count} cases, {failed} failed, {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Runs the cases of a seed: how many there were, and how many went wrong.
fn of_seed(seed: u64) -> (usize, usize) {
    let mut rng = Rng::new(seed);
    let rows = pairs::covering(&Case::SIZES, &mut rng);
    println!("seed {seed}: {} cases", rows.len());
    let only = setting("CASE");
    let start = || {
        let mut builder = Runtime::builder().workers(3);
        // Some wait for room in the queue, some for memory.
        if seed.is_multiple_of(2) {
            builder = builder.queue_capacity(4);
        }
        if seed.is_multiple_of(3) {
            builder = builder.memory_cap(2 << 20);
        }
        builder.start().expect("a runtime starts")
    };
    let mut rt = start();
    let mut failed = 0;
    for (number, row) in rows.iter().enumerate() {
        if only.is_some_and(|only| only != number as u64) {
            continue;
        }
        let case = Case::of(row);
        let watched = watch(seed, number, case);
        // Each has a number of its own, in all seeds.
        let own = (seed as u32 % 1000) * 10_000 + number as u32;
        let outcome = run::check(&rt, case, own);
        drop(watched);
        if let Err(wrong) = outcome {
            failed += 1;
            println!("seed {seed}, case {number}: {wrong}\n    {case:?}");
            // What it has left is not the next one's.
            rt = start();
        }
    }
    (rows.len(), failed)
}

/// Ends the program if what it returns is not dropped in time.
fn watch(seed: u64, number: usize, case: Case) -> impl Drop {
    struct Watched(#[expect(dead_code, reason = "its end tells")] std::sync::mpsc::Sender<()>);
    impl Drop for Watched {
        fn drop(&mut self) {}
    }
    let (watched, end) = channel::<()>();
    std::thread::spawn(move || {
        if end.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout) {
            println!("seed {seed}, case {number} hangs:\n    {case:?}");
            std::process::exit(101);
        }
    });
    Watched(watched)
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(format!("PINFOLD_COMBINATIONS_{name}")).ok()?;
    Some(value.parse().expect("a number"))
}
