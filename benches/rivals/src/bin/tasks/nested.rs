//! Tasks that spawn tasks and wait for them: Fibonacci numbers, without a cutoff.

use std::cell::RefCell;

use pinfold::Runtime;
use pinfold_rivals::{Against, Bench, Question, Race, Rival, seconds};
use rayon::ThreadPool;

use super::NO_NESTING;

/// fib(n) spawns fib(n + 1) - 1 tasks.
const N: u32 = 25;
const FIB_N: u64 = 75_025;
const SPAWNED: f64 = 121_392.0;

fn ours(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let other = pinfold::spawn(ours, n - 1);
    ours(n - 2) + other.join().expect("a value")
}

fn by_rayon(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let (a, b) = rayon::join(|| by_rayon(n - 1), || by_rayon(n - 2));
    a + b
}

fn rate(run: impl FnOnce() -> u64) -> f64 {
    let mut value = 0;
    let time = seconds(|| value = run());
    assert_eq!(value, FIB_N);
    SPAWNED / time / 1e6
}

/// Millions of tasks per second.
pub fn race(
    bench: &mut Bench,
    rounds: usize,
    rt: &Runtime,
    pool: &ThreadPool,
    tbb: &RefCell<Rival>,
) {
    let mut race = Race::new([Question::higher(
        "tasks.nested",
        "fork and join: fib(25), every call a task",
        "M tasks/s",
    )
    .bar(Against::Rival("rayon join"), 0.5)
    .bar(Against::Rival("oneTBB task_group"), 2.0)]);
    race.ours("spawn and join in a task", || {
        rate(|| rt.spawn(ours, N).join().expect("a value"))
    });
    race.rival("rayon join", || rate(|| pool.install(|| by_rayon(N))));
    for (name, order) in [
        ("oneTBB task_group", "group"),
        ("oneTBB parallel_invoke", "invoke"),
    ] {
        race.rival(name, move || {
            let times = tbb.borrow_mut().ask(&format!("{order} {N} {FIB_N}"))?;
            Ok(times.iter().map(|time| SPAWNED / time / 1e6).collect()) as Result<Vec<f64>, String>
        });
    }
    #[cfg(feature = "rivals")]
    {
        let tokio = super::tokio_pool::start();
        race.rival("tokio", move || {
            rate(|| tokio.block_on(super::tokio_pool::fib(N)))
        });
    }
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio", "built without the feature `rivals`");
    race.missing("Python ProcessPoolExecutor", NO_NESTING);
    race.missing("Python multiprocessing.Pool", NO_NESTING);
    race.missing("joblib", NO_NESTING);
    bench.run(race, rounds);
}
