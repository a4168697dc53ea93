//! Threads that submit at the same time: each soon has slots, a ring and books of its own, and
//! everything means what it means with one thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use pinfold::{Handle, Refusal, Runtime, Shutdown, TaskError};
use rustix::process::Signal;

use crate::api::{endless, runtime};
use crate::processes::{send, until};
use crate::recovery::is_clean;
use crate::rng::Rng;

const THREADS: u64 = 6;
/// Of each thread.
const TASKS: u64 = 4_000;
const WINDOW: usize = 100;

fn double(n: u64) -> u64 {
    2 * n
}

/// Has several threads submit so many tasks each, each its own, and join them in their order.
fn by_many(rt: &Runtime, each: impl Fn(u64, Result<u64, TaskError>) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let each = &each;
            scope.spawn(move || {
                let mut handles = VecDeque::new();
                let end = |(n, handle): (u64, Handle<u64>)| each(n, handle.join());
                for n in 0..TASKS {
                    let n = thread * TASKS + n;
                    handles.push_back((n, rt.spawn(double, n)));
                    if handles.len() == WINDOW {
                        handles.pop_front().into_iter().for_each(end);
                    }
                }
                handles.into_iter().for_each(end);
            });
        }
    });
}

#[test]
fn each_of_many_threads_has_its_results() {
    let rt = runtime(2);
    by_many(&rt, |n, value| assert_eq!(value, Ok(2 * n)));
    let tasks = rt.stats().tasks;
    let all = THREADS * TASKS;
    assert_eq!((tasks.submitted, tasks.completed), (all, all), "{tasks:?}");
    is_clean(&rt);
}

/// A worker is killed now and then. Each task ends as it should, or as lost; none comes twice.
#[test]
fn none_is_lost_while_workers_are_killed() {
    let rt = runtime(2);
    let (ok, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let mut kills = 0;
    std::thread::scope(|scope| {
        let rounds = scope.spawn(|| {
            for _ in 0..3 {
                by_many(&rt, |n, value| match value {
                    Ok(value) => {
                        assert_eq!(value, 2 * n);
                        ok.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(TaskError::WorkerDied { .. }) => {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                });
            }
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) && !rounds.is_finished() {
            let there: Vec<_> = rt.stats().workers.iter().map(|worker| worker.pid).collect();
            let pid = there[kills % there.len()];
            if pid > 0 {
                send(pid as u32, Signal::KILL);
                kills += 1;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(kills > 0);
    let all = 3 * THREADS * TASKS;
    assert_eq!(ok.into_inner() + lost.into_inner(), all, "{kills} kills");
    is_clean(&rt);
}

/// Whatever is wanted of a task, by whichever thread.
#[test]
fn handles_do_what_they_do_wherever_they_come_from() {
    const SEED: u64 = 20_261_130;
    println!("seed {SEED}");
    let rt = runtime(2);
    std::thread::scope(|scope| {
        let (give, take) = mpsc::channel::<(u64, Handle<u64>)>();
        for thread in 0..4 {
            let (rt, give) = (&rt, give.clone());
            scope.spawn(move || {
                let mut rng = Rng::new(SEED, thread);
                for n in 0..3_000 {
                    let handle = rt.spawn(double, n);
                    match rng.below(16) {
                        0 => assert!(give.send((n, handle)).is_ok()),
                        1 => drop(handle),
                        2 => {
                            let after = rt.spawn_after(&handle, |(n, m): (u64, u64)| n + m, 1);
                            assert_eq!(after.join(), Ok(2 * n + 1));
                            assert_eq!(handle.join(), Ok(2 * n));
                        }
                        3 => {
                            handle.cancel();
                            let ended = handle.join();
                            let is_as_told = matches!(ended, Err(TaskError::Cancelled { .. }));
                            assert!(is_as_told || ended == Ok(2 * n), "{ended:?}");
                        }
                        4 => {
                            until("it has ended", || handle.is_finished());
                            assert_eq!(handle.join(), Ok(2 * n));
                        }
                        5 => {
                            let (tell, told) = mpsc::channel();
                            let set = handle.on_complete(move |value| drop(tell.send(value)));
                            assert!(set.is_ok());
                            assert_eq!(told.recv(), Ok(Ok(2 * n)));
                        }
                        6 => {
                            let mut handle = handle;
                            let value = handle.join_timeout(Duration::from_secs(60));
                            assert!(matches!(value, Some(Ok(value)) if value == 2 * n));
                        }
                        _ => assert_eq!(handle.join(), Ok(2 * n)),
                    }
                }
            });
        }
        drop(give);
        for (n, handle) in take {
            assert_eq!(handle.join(), Ok(2 * n));
        }
    });
    until("all have ended", || rt.stats().tasks.in_flight == 0);
    is_clean(&rt);
}

/// Threads that submit without end hear that there is no more.
#[test]
fn a_shutdown_ends_what_all_threads_wait_for() {
    for how in [Shutdown::Abort, Shutdown::Drain] {
        let rt = runtime(2);
        let (begun, begins) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let (rt, begun) = (&rt, begun.clone());
                scope.spawn(move || {
                    let mut handles = VecDeque::new();
                    for n in 0.. {
                        if n == 2_000 {
                            assert!(begun.send(()).is_ok());
                        }
                        handles.push_back((n, rt.spawn(double, n)));
                        if handles.len() < WINDOW {
                            continue;
                        }
                        let (n, handle) = handles.pop_front().expect("one");
                        match handle.join() {
                            Ok(value) => assert_eq!(value, 2 * n),
                            Err(_) => break,
                        }
                    }
                    for (n, handle) in handles {
                        let ended = handle.join();
                        assert!(ended.is_err() || ended == Ok(2 * n), "{ended:?}");
                    }
                });
            }
            (0..THREADS).for_each(|_| assert!(begins.recv().is_ok()));
            assert_eq!(rt.begin_shutdown(how).wait(), Ok(()), "{how:?}");
        });
    }
}

/// The bound that the program has set holds for all threads together.
#[test]
fn the_queue_is_no_longer_than_it_may_be() {
    const BOUND: u64 = 4_096;
    let builder = Runtime::builder().workers(2).on_drop(Shutdown::Abort);
    let rt = builder
        .queue_capacity(BOUND as usize)
        .start()
        .expect("starts");
    // Threads that have met often.
    by_many(&rt, |n, value| assert_eq!(value, Ok(2 * n)));
    let held = [(), ()].map(|()| rt.spawn(endless, ()));
    until("they run", || held.iter().all(Handle::is_running));
    let accepted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut handles = Vec::new();
                loop {
                    match rt.try_spawn(double, 1) {
                        Ok(handle) => handles.push(handle),
                        Err(refused) => {
                            assert!(matches!(refused.refusal, Refusal::Full { .. }), "{refused}");
                            break;
                        }
                    }
                }
                accepted.fetch_add(handles.len() as u64, Ordering::Relaxed);
            });
        }
    });
    let accepted = accepted.into_inner();
    assert!((BOUND / 4..BOUND).contains(&accepted), "{accepted}");
}
