//! The runtime: its threads, its limits, its end.

use std::time::Instant;

use pinfold::{Limit, Shutdown};

use crate::habit::{AROUND, BUILDER, Habit, README, RUNTIME, SETTINGS, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        max_blocking_threads,
        spawn_on_a_full_queue,
        a_semaphore,
        try_acquire,
        acquire_many,
        shutdown_timeout,
        shutdown_background,
        the_end_of_a_runtime,
        a_main_of_tokio,
        a_graceful_end,
        two_runtimes,
        metrics,
        closures_capture,
        a_blocking_task_that_crashes,
    ]
}

fn max_blocking_threads() -> Habit {
    differs(
        "there are up to 512 blocking threads: tasks that wait for something hold up nobody",
        "there is a worker for each CPU: a task that waits holds up others, so have more `workers` for such",
        (BUILDER, "Default: one per CPU"),
        || {
            let (rt, door) = (of(6).start().unwrap(), Door::new());
            let six: Vec<_> = (0..6).map(|n| rt.spawn(wait_at, door.at(n))).collect();
            (0..6).for_each(|n| door.wait_for(n));
            let mut seventh = rt.spawn(double, 1);
            assert!(seventh.join_timeout(ms(10)).is_none());
            door.open();
            assert!(six.into_iter().all(|handle| handle.join().is_ok()));
            assert_eq!(seventh.join(), Ok(2));
        },
    )
}

fn spawn_on_a_full_queue() -> Habit {
    differs(
        "`spawn_blocking` never blocks: its queue has no bound",
        "`spawn` blocks while the queue is full; in asynchronous code it is `spawn_async(…).await`, or `try_spawn`",
        (
            RUNTIME,
            "Waits while [`queue_capacity`](Builder::queue_capacity) tasks are in flight",
        ),
        || {
            let (rt, door) = (of(1).queue_capacity(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            assert!(rt.try_spawn(double, 1).is_err());
            assert!(rt.task(double).spawn_timeout(1, ms(5)).is_err());
            door.open();
            assert_eq!(
                rt.task(double).spawn_timeout(1, LONG).unwrap().join(),
                Ok(2)
            );
            assert!(busy.join().is_ok());
        },
    )
}

fn a_semaphore() -> Habit {
    same(
        "a `Semaphore` of n keeps more than n tasks from running at a time",
        "`rt.task(f).limited(&Limit::new(n), 1)`",
        || {
            let (rt, door) = (two(), Door::new());
            let alone = Limit::new(1);
            let task = rt.task(wait_at).limited(&alone, 1);
            let first = task.spawn(door.at("first"));
            door.wait_for("first");
            std::thread::scope(|threads| {
                let second = threads.spawn(|| task.spawn(door.at("second")).join());
                assert!(task.spawn_timeout(door.at("third"), ms(10)).is_err());
                assert!(!door.has_come("second"));
                door.open();
                assert!(first.join().is_ok() && second.join().unwrap().is_ok());
            });
        },
    )
}

fn try_acquire() -> Habit {
    same(
        "`try_acquire()` fails if there is no permit",
        "`try_spawn` of a limited task does",
        || {
            let (rt, door) = (two(), Door::new());
            let alone = Limit::new(1);
            let task = rt.task(wait_at).limited(&alone, 1);
            let first = task.spawn(door.at("first"));
            assert!(task.try_spawn(door.at("second")).is_err());
            door.open();
            assert!(first.join().is_ok());
            assert!(task.try_spawn(door.at("third")).unwrap().join().is_ok());
        },
    )
}

fn acquire_many() -> Habit {
    differs(
        "`acquire_many(n)` of more permits than there are waits for ever",
        "a task that wants more than there is ends with `TaskError::BeyondLimit`",
        (
            SETTINGS,
            "One that wants more than there is in all ends with",
        ),
        || {
            let rt = two();
            let three = Limit::new(3);
            let task = |units| rt.task(double).limited(&three, units);
            assert_eq!(task(3).spawn(1).join(), Ok(2));
            let error = task(4).spawn(1).join().unwrap_err();
            assert!(error.to_string().contains("limit of 3"), "{error}");
        },
    )
}

fn shutdown_timeout() -> Habit {
    differs(
        "`shutdown_timeout(d)` waits for blocking tasks, and leaves those that do not end to themselves",
        "`Shutdown::DrainFor(d)` waits, and ends them: `ShutdownError` says how many",
        (
            RUNTIME,
            "when draining took too long and tasks were aborted",
        ),
        || {
            let rt = of(1).start().unwrap();
            let stays = rt.spawn(deaf, ());
            let error = rt.shutdown(Shutdown::DrainFor(ms(10))).unwrap_err();
            assert_eq!(error.aborted, 1);
            assert!(is_shut_down(&stays.join()));
        },
    )
}

fn shutdown_background() -> Habit {
    differs(
        "`shutdown_background()` does not wait, and what runs is left to itself",
        "`begin_shutdown(how)` does not wait; what runs ends as `how` says, and it may be awaited",
        (RUNTIME, "those in flight end as `how` says"),
        || {
            let rt = of(1).start().unwrap();
            let stays = rt.spawn(deaf, ());
            let ending = rt.begin_shutdown(Shutdown::Abort);
            assert_eq!(block_on(ending), Ok(()));
            assert!(is_shut_down(&stays.join()));
        },
    )
}

fn a_main_of_tokio() -> Habit {
    differs(
        "`#[tokio::main] async fn main()`",
        "a `main` that calls `init`, starts the runtime, and then builds tokio's: its threads come after",
        (AROUND, "`#[tokio::main]` starts threads before `main` runs"),
        || {
            // Threads that come after `init`, as those of any executor, are no harm.
            let started =
                std::thread::spawn(|| of(1).start().map(|rt| block_on(rt.spawn(double, 4))));
            assert_eq!(started.join().unwrap().unwrap(), Ok(8));
        },
    )
}

fn the_end_of_a_runtime() -> Habit {
    differs(
        "dropping the runtime waits for blocking tasks, however long they take",
        "dropping it waits 5 s, or as `on_drop` says",
        (BUILDER, "Default: [`Shutdown::DrainFor`] 5 seconds"),
        || {
            let start = Instant::now();
            let rt = of(1).on_drop(Shutdown::DrainFor(ms(10))).start().unwrap();
            let stays = rt.spawn(deaf, ());
            drop(rt);
            assert!(stays.is_finished() && start.elapsed() < LONG);
        },
    )
}

fn a_graceful_end() -> Habit {
    same(
        "at a signal: a token is cancelled, a `TaskTracker` waited for, with a timeout",
        "`Shutdown::Graceful { drain, grace }`",
        || {
            let (rt, door) = (of(2).start().unwrap(), Door::new());
            let listens = rt.spawn(listen_at, door.at("listens"));
            door.wait_for("listens");
            let (drain, grace) = (ms(1), LONG);
            let _ = rt.shutdown(Shutdown::Graceful { drain, grace });
            assert!(is_cancelled(&listens.join()));
        },
    )
}

fn two_runtimes() -> Habit {
    same("a program may have several runtimes", "so it may", || {
        let (a, b) = (one(), two());
        let (here, there) = (a.spawn(pid, ()), b.spawn(pid, ()));
        assert_ne!(here.join().unwrap(), there.join().unwrap());
    })
}

fn metrics() -> Habit {
    same(
        "`Handle::metrics()`",
        "`Runtime::stats()`, one snapshot, for serde",
        || {
            let rt = of(1).start().unwrap();
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!(rt.spawn(inverse, 0).join().is_err());
            let stats = rt.stats();
            let text = serde_json::to_value(&stats).unwrap();
            assert_eq!(text["tasks"]["submitted"], 2);
            assert_eq!(text["tasks"]["completed"], 1);
        },
    )
}

fn closures_capture() -> Habit {
    differs(
        "`spawn_blocking(move || …)` moves what it captures",
        "a task captures nothing: what it needs is its argument",
        (
            README,
            "A closure that captures something cannot be a task. Make the captured values part of the argument",
        ),
        || {
            let (greeting, times) = ("hey".to_owned(), 2);
            let greets = |(greeting, times): (String, usize)| greeting.repeat(times);
            let greeted = two().spawn(greets, (greeting, times)).join();
            assert_eq!(greeted.as_deref(), Ok("heyhey"));
        },
    )
}

fn a_blocking_task_that_crashes() -> Habit {
    differs(
        "a C library that crashes in a blocking task ends the server",
        "it ends its worker: that task is told so, all others go on",
        (
            README,
            "`TaskError::WorkerDied` says which; the worker is replaced; the others go on",
        ),
        || {
            let rt = two();
            assert!(has_died(&block_on(rt.spawn(dies, 1))));
            assert_eq!(block_on(rt.spawn(double, 4)), Ok(8));
        },
    )
}
