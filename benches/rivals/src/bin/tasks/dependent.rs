//! What a dependency costs: the same tasks with one and without.

use std::collections::VecDeque;

use pinfold::{Handle, Runtime};
use pinfold_rivals::{Against, Bench, Question, Race, seconds};

use super::{WINDOW, inc, ours_one_at_a_time, rate};

fn add((n, other): (u64, u64)) -> u64 {
    n + other
}

/// µs per task.
fn plain(rt: &Runtime, tasks: u64) -> f64 {
    1.0 / rate(tasks, || ours_one_at_a_time(rt, tasks))
}

/// µs per task that depends on one which has ended.
fn after_ended(rt: &Runtime, tasks: u64) -> f64 {
    let ended = rt.spawn(inc, 0);
    while !ended.is_finished() {
        std::hint::spin_loop();
    }
    1.0 / rate(tasks, || {
        let mut window: VecDeque<Handle<u64>> = VecDeque::with_capacity(WINDOW);
        let mut sum = 0;
        for n in 0..tasks {
            if window.len() == WINDOW {
                sum += window.pop_front().map_or(0, value);
            }
            window.push_back(rt.spawn_after(&ended, add, n));
        }
        sum + window.into_iter().map(value).sum::<u64>()
    })
}

fn value(handle: Handle<u64>) -> u64 {
    handle.join().expect("a value")
}

/// µs per task that depends on the one submitted just before it, which is hardly ever
/// done by then: what pairs take, less what the first of each takes.
fn after_pending(rt: &Runtime, tasks: u64) -> f64 {
    let pairs = tasks / 2;
    let time = seconds(|| {
        let mut window: VecDeque<(Handle<u64>, Handle<u64>)> = VecDeque::with_capacity(WINDOW / 2);
        let mut sum = 0;
        let take = |(first, second)| value(first) + value(second);
        for n in 0..pairs {
            if window.len() == WINDOW / 2 {
                sum += window.pop_front().map_or(0, take);
            }
            let first = rt.spawn(inc, n);
            let second = rt.spawn_after(&first, add, n);
            window.push_back((first, second));
        }
        sum += window.into_iter().map(take).sum::<u64>();
        assert_eq!(sum, (0..pairs).map(|n| (n + 1) + (n + 1 + n)).sum::<u64>());
    });
    time * 1e6 / pairs as f64 - plain(rt, pairs)
}

/// Both, each beside a plain task.
pub fn races(bench: &mut Bench, rounds: usize, tasks: u64, rt: &Runtime) {
    let ended: (_, _, fn(&Runtime, u64) -> f64) = (
        "tasks.after_ended",
        "an empty task that depends on one which has ended",
        after_ended,
    );
    let pending: (_, _, fn(&Runtime, u64) -> f64) = (
        "tasks.after_pending",
        "an empty task that depends on one which has not ended",
        after_pending,
    );
    for (id, question, dependent) in [ended, pending] {
        let mut race =
            Race::new([Question::lower(id, question, "µs")
                .bar(Against::Rival("a plain task of pinfold"), 2.0)]);
        race.ours("spawn_after", || dependent(rt, tasks));
        race.rival("a plain task of pinfold", || plain(rt, tasks));
        bench.run(race, rounds);
    }
}
