//! Sets of handles: each outcome once, with its number, whoever waits and however.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use pinfold::{
    JoinSet, Runtime, Shutdown, TaskError, TimedOut, WaitFor, as_completed, gather_timeout,
    join_all_timeout, join_any_within, on_error, wait,
};

use crate::api::{endless, runtime};
use crate::processes::until;
use crate::rng::Rng;

const LONG: Duration = Duration::from_secs(60);

fn same(n: u64) -> u64 {
    n
}

fn fails(n: u64) -> u64 {
    100 / (n % 2)
}

/// Returns when the file is there, or it is asked to end.
pub fn waits_for(path: PathBuf) -> u64 {
    let begin = Instant::now();
    while !path.exists() && !pinfold::context().is_cancelled() && begin.elapsed() < LONG {
        thread::sleep(Duration::from_millis(1));
    }
    u64::from(path.exists())
}

/// Ends only when it is killed.
pub fn deaf((): ()) -> u64 {
    loop {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn tasks_of_different_functions_and_runtimes_end_in_one_set() {
    let (rt, other) = (runtime(2), runtime(1));
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("open");
    let mut set = JoinSet::new();
    let late = set.spawn(&rt, waits_for, door.clone());
    let first = set.spawn(&other, same, 7);
    let named = rt.task(|n: u64| n * 2).named("twice").safe_to_repeat(2);
    assert_eq!(set.spawn_task(&named, 4), 2);
    let one = rt.spawn(same, 1);
    let sum = |(n, m): (u64, u64)| n + m;
    assert_eq!(set.insert(rt.spawn_after(&one, sum, 10)), 3);
    assert_eq!(set.len(), 4);
    let mut ended = BTreeMap::new();
    for _ in 0..3 {
        let (number, outcome) = set.join_next().expect("three end");
        ended.insert(number, outcome.unwrap());
    }
    assert_eq!(ended, BTreeMap::from([(first, 7), (2, 8), (3, 11)]));
    let short = Duration::from_millis(5);
    assert_eq!(set.join_next_timeout(short), Err(TimedOut));
    assert_eq!(set.try_join_next(), None);
    std::fs::write(&door, "").unwrap();
    assert_eq!(set.join_next_timeout(LONG), Ok(Some((late, Ok(1)))));
    assert_eq!(set.join_next_timeout(LONG), Ok(None));
    assert_eq!((set.join_next(), set.len()), (None, 0));
    // It goes on, with new numbers.
    assert_eq!(set.spawn(&rt, same, 5), 4);
    assert_eq!(set.join_next(), Some((4, Ok(5))));
}

#[test]
fn a_set_that_is_dropped_cancels_what_is_in_it() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().unwrap();
    let mut set = JoinSet::new();
    let runs = rt.spawn(waits_for, folder.path().join("never"));
    until("it runs", || runs.is_running());
    let canceller = runs.canceller();
    set.insert(runs);
    set.extend((0..10).map(|n| rt.spawn(same, n)));
    drop(set);
    until("the one that ran was asked to", || canceller.is_finished());
    assert_eq!(rt.stats().tasks.cancelled, 10);
    assert_eq!(rt.stats().tasks.completed, 1, "it listened, with a value");
    // What is let go of runs.
    let mut set: JoinSet<u64> = (0..10).map(|n| rt.spawn(same, n)).collect();
    set.detach_all();
    assert_eq!((set.len(), set.join_next()), (0, None));
    rt.shutdown(Shutdown::Drain).unwrap();
    assert_eq!(rt.stats().tasks.completed, 11);
}

#[test]
fn cancelled_members_tell_so_and_deaf_ones_are_killed() {
    let rt = runtime(1);
    let mut set = JoinSet::new();
    let busy = rt.spawn(deaf, ());
    until("it runs", || busy.is_running());
    set.insert(busy);
    set.extend((0..5).map(|n| rt.spawn(same, n)));
    set.cancel_all_within(Duration::from_millis(20));
    let mut numbers = HashSet::new();
    while let Some((number, outcome)) = set.join_next() {
        assert!(matches!(outcome, Err(TaskError::Cancelled { .. })));
        assert!(numbers.insert(number));
    }
    assert_eq!(numbers.len(), 6);
    assert_eq!(rt.spawn(same, 3).join(), Ok(3));
}

#[test]
fn a_hundred_thousand_tasks_in_a_set() {
    let rt = runtime(2);
    let mut set = JoinSet::new();
    let many = 100_000u64;
    // Added and taken at the same time, and then all.
    let mut seen = vec![false; many as usize];
    let mut note = |number: usize, outcome: Result<u64, TaskError>| {
        assert_eq!(outcome, Ok(number as u64));
        assert!(!std::mem::replace(&mut seen[number], true), "seen twice");
    };
    for n in 0..many {
        set.spawn(&rt, same, n);
        if n % 10 == 0
            && let Some((number, outcome)) = set.try_join_next()
        {
            note(number, outcome);
        }
    }
    while let Some((number, outcome)) = set.join_next() {
        note(number, outcome);
    }
    assert!(seen.iter().all(|seen| *seen));
}

#[test]
fn completed_ones_come_as_they_end() {
    let rt = runtime(2);
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("open");
    let tasks = [rt.spawn(waits_for, door.clone()), rt.spawn(same, 2)];
    let mut ended = as_completed(tasks);
    assert_eq!(ended.len(), 2);
    assert_eq!(ended.next(), Some((1, Ok(2))));
    assert_eq!(ended.next_timeout(Duration::from_millis(2)), Err(TimedOut));
    std::fs::write(&door, "").unwrap();
    assert_eq!(ended.next(), Some((0, Ok(1))));
    assert_eq!((ended.next(), ended.len()), (None, 0));

    // A time for all.
    let mut ended = as_completed([rt.spawn(endless_value, ()), rt.spawn(same, 2)])
        .timeout(Duration::from_millis(300));
    let first = ended.next();
    assert!(
        first == Some(Ok((1, Ok(2)))) || first == Some(Err(TimedOut)),
        "{first:?}"
    );
    if first.is_some_and(|first| first.is_ok()) {
        assert_eq!(ended.next(), Some(Err(TimedOut)));
    }
    assert_eq!(ended.next(), None);
    let mut rest = ended.into_inner();
    rest.cancel_within(Duration::from_millis(10));
    assert!(rest.any(|(task, outcome)| task == 0 && matches!(outcome, Err(TaskError::Cancelled { .. }))));
}

fn endless_value((): ()) -> u64 {
    endless(());
    0
}

#[test]
fn waiting_says_who_is_done() {
    let rt = runtime(2);
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("open");
    let mut tasks = [
        rt.spawn(waits_for, door.clone()),
        rt.spawn(same, 1),
        rt.spawn(fails, 0),
    ];
    let first = wait(&tasks, WaitFor::First, None);
    assert!(!first.done.is_empty() && first.not_done.contains(&0));
    let failed = wait(&tasks, WaitFor::FirstError, None);
    assert!(failed.done.contains(&2) && failed.not_done.contains(&0));
    assert_eq!(wait(&tasks[1..], WaitFor::All, None).done.len(), 2);
    let all = wait(&tasks, WaitFor::All, Some(Duration::from_millis(5)));
    assert_eq!(all.not_done, [0]);
    assert_eq!(all.done.len(), 2);
    assert_eq!(join_all_timeout(&mut tasks, Duration::from_millis(5)), None);
    std::fs::write(&door, "").unwrap();
    let all = wait(&tasks, WaitFor::All, None);
    assert_eq!((all.done.len(), all.not_done.len()), (3, 0));
    let outcomes = join_all_timeout(&mut tasks, LONG).expect("all have ended");
    assert_eq!(outcomes[..2], [Ok(1), Ok(1)]);
    assert!(outcomes[2].is_err());
    // Taken: they have ended all the same.
    let again = wait(&tasks, WaitFor::First, None);
    assert_eq!(again.done.len(), 3);
    assert!(wait::<u64>(&[], WaitFor::All, None).done.is_empty());
}

#[test]
fn gathering_has_a_time() {
    let rt = runtime(2);
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("open");
    let mut tasks = [rt.spawn(waits_for, door.clone()), rt.spawn(same, 5)];
    let short = Duration::from_millis(5);
    assert_eq!(gather_timeout(&mut tasks, on_error::Raise, short), None);
    assert_eq!(gather_timeout(&mut tasks, on_error::Keep, short), None);
    std::fs::write(&door, "").unwrap();
    let all = gather_timeout(&mut tasks, on_error::Raise, LONG);
    assert_eq!(all, Some(Ok(vec![1, 5])));

    // The first error decides, and cancels the rest.
    let never = folder.path().join("never");
    let mut tasks = [rt.spawn(waits_for, never), rt.spawn(fails, 0)];
    let error = gather_timeout(&mut tasks, on_error::Raise, LONG).expect("decided");
    assert!(
        matches!(error, Err(TaskError::Panicked { .. })),
        "{error:?}"
    );
    until("the other one was asked to end", || tasks[0].is_finished());

    let mut tasks = [rt.spawn(same, 1), rt.spawn(fails, 0)];
    assert_eq!(
        gather_timeout(&mut tasks, on_error::Skip, LONG),
        Some(vec![1])
    );
}

#[test]
fn the_losers_of_a_race_have_a_grace() {
    let rt = runtime(2);
    let deaf = rt.spawn(deaf, ());
    until("it runs", || deaf.is_running());
    let loser = deaf.canceller();
    let won = join_any_within([deaf, rt.spawn(same, 4)], Duration::from_millis(20));
    assert_eq!(won, Ok((1, 4)));
    until("it was killed", || loser.is_finished());
    assert_eq!(rt.stats().tasks.cancelled, 1);
}

/// What becomes of each task is seen once, whatever threads do in whatever order: spawn,
/// take with and without waiting, cancel, and drop sets with tasks in them.
#[test]
fn every_outcome_is_seen_once() {
    let seed = std::env::var("PINFOLD_SEED");
    let seed = seed.ok().and_then(|seed| seed.parse().ok()).unwrap_or(19);
    println!("seed {seed}");
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(64)
        .start()
        .expect("starts");
    const THREADS: u64 = 4;
    let totals = Mutex::new((0u64, 0u64));
    thread::scope(|threads| {
        for stream in 0..THREADS {
            let (rt, totals) = (&rt, &totals);
            threads.spawn(move || {
                let mut rng = Rng::new(seed, stream);
                // By number: what the task is given. Gone when it was seen.
                let mut open: BTreeMap<usize, u64> = BTreeMap::new();
                let mut set = JoinSet::new();
                let (mut spawned, mut dropped) = (0, 0);
                let seen = |open: &mut BTreeMap<usize, u64>, number: usize, outcome| {
                    let given = open.remove(&number).expect("was not seen before");
                    match outcome {
                        Ok(value) => assert_eq!(value, given),
                        Err(TaskError::Cancelled { .. }) => {}
                        Err(TaskError::Panicked { .. }) => assert_eq!(given % 7, 3),
                        Err(other) => panic!("{other}"),
                    }
                };
                for step in 0..1500u64 {
                    match rng.below(20) {
                        0..=8 => {
                            let task = rt.task(|n: u64| {
                                assert_ne!(n % 7, 3);
                                n
                            });
                            let task = if step % 5 == 0 {
                                task.named("one")
                            } else {
                                task
                            };
                            open.insert(set.spawn_task(&task, step), step);
                            spawned += 1;
                        }
                        9..=12 => {
                            let is_empty = set.is_empty();
                            match set.join_next() {
                                Some((number, outcome)) => seen(&mut open, number, outcome),
                                None => assert!(is_empty),
                            }
                        }
                        13..=14 => {
                            if let Some((number, outcome)) = set.try_join_next() {
                                seen(&mut open, number, outcome);
                            }
                        }
                        15 => {
                            let timeout = Duration::from_micros(rng.below(200));
                            if let Ok(Some((number, outcome))) = set.join_next_timeout(timeout) {
                                seen(&mut open, number, outcome);
                            }
                        }
                        16 => {
                            let handle = rt.spawn(same, step);
                            let canceller = handle.canceller();
                            open.insert(set.insert(handle), step);
                            spawned += 1;
                            canceller.cancel();
                        }
                        17 => drop(rt.cancel_pending()),
                        18 => set.cancel_all(),
                        _ => {
                            dropped += open.len() as u64;
                            open.clear();
                            if rng.once_in(2) {
                                set.detach_all();
                            }
                            set = JoinSet::new();
                        }
                    }
                    assert_eq!(set.len(), open.len());
                }
                while let Some((number, outcome)) = set.join_next() {
                    seen(&mut open, number, outcome);
                }
                assert!(open.is_empty());
                let mut totals = totals.lock().unwrap();
                totals.0 += spawned;
                totals.1 += dropped;
            });
        }
    });
    let (spawned, dropped) = totals.into_inner().unwrap();
    assert!(spawned > 1000 && dropped > 100, "{spawned} {dropped}");
    rt.shutdown(Shutdown::Drain).unwrap();
    let tasks = rt.stats().tasks;
    assert_eq!(tasks.submitted, spawned);
    assert_eq!(
        tasks.completed + tasks.panicked + tasks.cancelled,
        spawned,
        "each has ended in one way"
    );
    assert_eq!(tasks.in_flight, 0);
}

/// Each of many threads that look at the same handles at the same time hears of their ends.
#[test]
fn any_number_of_threads_wait_for_the_same() {
    let rt = runtime(2);
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("open");
    let tasks = [rt.spawn(waits_for, door.clone()), rt.spawn(fails, 0)];
    thread::scope(|threads| {
        let all: Vec<_> = (0..8)
            .map(|at| {
                let until = [WaitFor::All, WaitFor::First, WaitFor::FirstError][at % 3];
                let tasks = &tasks;
                threads.spawn(move || (until, wait(tasks, until, Some(LONG))))
            })
            .collect();
        // Whoever does not wait for all needs the door not to open.
        let (firsts, alls): (Vec<_>, Vec<_>) = (0..).zip(all).partition(|(at, _)| at % 3 != 0);
        for (_, thread) in firsts {
            let (until, waited) = thread.join().unwrap();
            assert_eq!(
                (&waited.done[..], &waited.not_done[..]),
                (&[1][..], &[0][..]),
                "{until:?}"
            );
        }
        std::fs::write(&door, "").unwrap();
        for (_, thread) in alls {
            assert_eq!(thread.join().unwrap().1.done.len(), 2);
        }
    });
}

#[test]
fn an_outcome_that_is_not_accepted_stays_with_its_handle() {
    let rt = runtime(1);
    let ended = |handle: pinfold::Handle<Result<u64, String>>| {
        assert!(handle.wait_timeout(LONG));
        // Small values are taken out to be looked at, and put back.
        handle.join_if(|_| false).expect_err("it was not accepted")
    };
    let value = ended(rt.spawn(|n: u64| Ok::<_, String>(n), 7));
    let failure = ended(rt.spawn(|n: u64| Err::<u64, _>(n.to_string()), 8));
    let after = rt.task(|((), of): ((), Result<u64, String>)| of);
    assert_eq!(after.spawn_after(&value, ()).join(), Ok(Ok(7)));
    // That it is an `Err` is known still.
    assert!(matches!(
        after.spawn_after(&failure, ()).join(),
        Err(TaskError::DependencyFailed { .. })
    ));
    assert_eq!(value.outcome(Duration::ZERO), Some(Ok(Ok(7))));
    assert_eq!(value.join_if(|_| true).expect("accepted"), Ok(Ok(7)));
    assert_eq!(failure.join(), Ok(Err("8".into())));
}
