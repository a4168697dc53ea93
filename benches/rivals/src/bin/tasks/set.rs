//! Empty tasks in a `JoinSet`, beside tokio's.

use pinfold::{JoinSet, Runtime};
use pinfold_rivals::{Against, Bench, Question, Race};

#[cfg(feature = "rivals")]
use super::tokio_pool;
use super::{WINDOW, inc, rate};

pub fn race(bench: &mut Bench, rounds: usize, tasks: u64, rt: &Runtime) {
    let mut race = Race::new([Question::higher(
        "tasks.joinset",
        "empty tasks with a result each, spawned into a `JoinSet` and joined as they end, 4096 in it",
        "M tasks/s",
    )
    .bar(Against::Rival("tokio JoinSet"), 1.0)]);
    race.ours("JoinSet", || rate(tasks, || ours(rt, tasks)));
    #[cfg(feature = "rivals")]
    {
        let tokio = tokio_pool::start();
        race.rival("tokio JoinSet", move || {
            rate(tasks, || tokio_pool::set(&tokio, tasks))
        });
    }
    #[cfg(not(feature = "rivals"))]
    race.missing("tokio JoinSet", "built without the feature `rivals`");
    bench.run(race, rounds);
}

fn ours(rt: &Runtime, tasks: u64) -> u64 {
    let mut set = JoinSet::new();
    let mut sum = 0;
    for n in 0..tasks {
        if set.len() == WINDOW
            && let Some((_, value)) = set.join_next()
        {
            sum += value.expect("a value");
        }
        set.spawn(rt, inc, n);
    }
    while let Some((_, value)) = set.join_next() {
        sum += value.expect("a value");
    }
    sum
}
