//! Items that come slowly, fail or panic half-way: what was submitted before is seen to as if
//! nothing came after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::Duration;

use crate::api::runtime;
use crate::processes::until;

fn double(n: u64) -> u64 {
    2 * n
}

/// Longer than any wait of the runtime's own between two looks.
const SLOWLY: Duration = Duration::from_millis(25);

fn slow_items(count: u64) -> impl Iterator<Item = u64> {
    (0..count).inspect(|_| sleep(SLOWLY))
}

/// While one thread waits, and looks at everything now and then, another one is in the
/// middle of submitting.
#[test]
fn a_slow_source_is_no_damage() {
    let rt = runtime(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let nap = rt.spawn(|ms| sleep(Duration::from_millis(ms)), 300);
            nap.join().expect("sleeps");
        });
        let doubled: Vec<_> = rt.map(double, slow_items(8)).collect();
        let expected: Vec<_> = (0..8).map(|n| Ok(2 * n)).collect();
        assert_eq!(doubled, expected);
    });
    let stats = rt.stats();
    assert_eq!((stats.tasks.damage, stats.rebuilds), (0, 0));
}

/// The same with tasks spawned by the very source.
#[test]
fn a_source_may_submit_tasks_itself() {
    let rt = runtime(2);
    let items = slow_items(6).map(|n| rt.spawn(double, n).join().expect("doubles"));
    let doubled: Result<Vec<_>, _> = rt.map(double, items).collect();
    assert_eq!(doubled, Ok((0..6).map(|n| 4 * n).collect()));
    assert_eq!(rt.stats().tasks.damage, 0);
}

/// Each task can run before the next item is there: the source may wait for it.
#[test]
fn a_source_may_wait_for_what_it_gave_before() {
    let rt = runtime(2);
    for task in [rt.task(double), rt.task(double).named("with settings")] {
        let before = rt.stats().tasks.completed;
        let has_ended = |n: u64| rt.stats().tasks.completed >= before + n;
        let items = (0..100u64).inspect(|n| until("the former one", || has_ended(*n)));
        let doubled: Result<Vec<_>, _> = task.map(items).collect();
        assert_eq!(doubled, Ok((0..100).map(|n| 2 * n).collect()));
    }
}

/// What was begun before the panic ends, and nothing is left.
#[test]
fn a_source_that_panics_leaves_nothing_behind() {
    let rt = runtime(2);
    let items = (0..100u64).inspect(|n| assert!(*n < 5, "the source has had enough"));
    let panicked = catch_unwind(AssertUnwindSafe(|| rt.map(double, items).count()));
    assert!(panicked.is_err());
    assert_eq!(rt.spawn(double, 4).join(), Ok(8));
    until("all have ended", || rt.stats().tasks.in_flight == 0);
    let tasks = rt.stats().tasks;
    // The map is gone by then, and with it what nobody had begun.
    let ended = tasks.completed + tasks.cancelled;
    assert_eq!((tasks.submitted, ended, tasks.damage), (6, 6, 0));
    let audit = rt.audit();
    assert_eq!((audit.slots_queued, audit.slots_running), (0, 0));
}

/// Dependents begin although nobody joins, and whoever submits goes on doing so with tasks
/// that take the long way.
#[test]
fn dependents_begin_while_others_are_submitted() {
    let rt = runtime(2);
    let long = "x".repeat(100);
    let parts: Vec<_> = (0..3)
        .map(|_| rt.spawn(|s: String| s.len(), long.clone()))
        .collect();
    let sum = rt.task(|((), lens): ((), Vec<usize>)| lens.iter().sum::<usize>());
    let sum = sum.spawn_after(parts.iter().collect::<Vec<_>>(), ());
    until("the sum", || {
        drop(rt.spawn(|s: String| s.len(), long.clone()));
        sum.is_finished()
    });
    assert_eq!(sum.join(), Ok(300));
}
