//! Submitting one call, and its result.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pinfold::{Constant, TaskError};
use serde::{Deserialize, Serialize};

use crate::habit::{AROUND, Habit, README, RUNTIME, TASK_ERROR, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        result_gives_the_value,
        several_arguments,
        a_record_as_argument,
        submit_returns_at_once,
        submit_never_waits,
        a_lambda,
        result_may_be_asked_again,
        result_with_a_timeout,
        result_with_no_time_looks,
        done_looks,
        any_thread_submits,
        another_thread_waits,
        a_future_that_is_forgotten,
        globals_are_copies,
        globals_of_before_the_start,
        globals_stay_between_calls,
        the_environment_is_the_programs,
        the_directory_is_the_programs,
        a_large_argument,
        partial_of_something_large,
    ]
}

fn result_gives_the_value() -> Habit {
    same(
        "`submit(f, x).result()` waits, and gives the value",
        "`rt.spawn(f, x).join()?`",
        || assert_eq!(two().spawn(double, 4).join(), Ok(8)),
    )
}

fn several_arguments() -> Habit {
    differs(
        "`submit(f, a, b)`",
        "one argument, a tuple: `rt.spawn(|(a, b)| …, (a, b))`",
        (RUNTIME, "several arguments as a tuple"),
        || {
            let text = |(word, times): (String, usize)| word.repeat(times);
            let handle = two().spawn(text, ("ab".into(), 3));
            assert_eq!(handle.join().as_deref(), Ok("ababab"));
        },
    )
}

fn a_record_as_argument() -> Habit {
    #[derive(Serialize, Deserialize)]
    struct Order {
        item: String,
        count: u32,
        note: Option<String>,
    }
    same(
        "keyword arguments, or a dataclass, are pickled",
        "a struct with serde's derives",
        || {
            let order = Order {
                item: "nail".into(),
                count: 3,
                note: None,
            };
            let told = |o: Order| format!("{} {} {}", o.count, o.item, o.note.is_none());
            assert_eq!(
                two().spawn(told, order).join().as_deref(),
                Ok("3 nail true")
            );
        },
    )
}

fn submit_returns_at_once() -> Habit {
    same(
        "`submit` does not wait for a free worker",
        "nor does `spawn`, as long as there is room in the queue",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued: Vec<_> = (0..100).map(|n| rt.spawn(double, n)).collect();
            assert!(queued.iter().all(|handle| !handle.is_finished()));
            door.open();
            assert!(busy.join().is_ok());
            assert!((0..100).eq(queued.into_iter().map(|it| it.join().unwrap() / 2)));
        },
    )
}

fn submit_never_waits() -> Habit {
    differs(
        "the queue has no bound: a producer that is too quick fills the memory",
        "the queue is bounded; a full one makes `spawn` wait, and `try_spawn` gives the arguments back",
        (
            RUNTIME,
            "Waits while [`queue_capacity`](Builder::queue_capacity) tasks are in flight",
        ),
        || {
            let (rt, door) = (of(1).queue_capacity(2).start().unwrap(), Door::new());
            let first = rt.spawn(wait_at, door.at("first"));
            let second = rt.spawn(double, 1);
            let refused = rt.try_spawn(double, 7).unwrap_err();
            assert_eq!(refused.args, 7);
            door.open();
            // Waits for room.
            assert_eq!(rt.spawn(double, 2).join(), Ok(4));
            assert!(first.join().is_ok() && second.join().is_ok());
        },
    )
}

fn a_lambda() -> Habit {
    differs(
        "a lambda cannot be pickled, so it cannot be submitted",
        "a closure can, if it captures nothing",
        (
            RUNTIME,
            "`f` is a function item or a closure that captures nothing",
        ),
        || assert_eq!(two().spawn(|n: u64| n + 1, 1).join(), Ok(2)),
    )
}

fn result_may_be_asked_again() -> Habit {
    differs(
        "`result()` gives the same value each time",
        "the value is moved to whoever takes it first; who asks again is told `AlreadyJoined`",
        (TASK_ERROR, "The outcome was taken before, by"),
        || {
            let mut handle = two().spawn(double, 4);
            assert_eq!(handle.join_timeout(LONG), Some(Ok(8)));
            let again = handle.join_timeout(LONG);
            assert!(matches!(again, Some(Err(TaskError::AlreadyJoined { .. }))));
        },
    )
}

fn result_with_a_timeout() -> Habit {
    same(
        "`result(timeout=t)` raises `TimeoutError`; the call goes on, and may be asked for again",
        "`join_timeout(t)` is `None` then",
        || {
            let (rt, door) = (two(), Door::new());
            let mut handle = rt.spawn(wait_at, door.at("it"));
            assert!(handle.join_timeout(ms(1)).is_none());
            door.open();
            assert!(matches!(handle.join_timeout(LONG), Some(Ok(_))));
        },
    )
}

fn result_with_no_time_looks() -> Habit {
    same(
        "`result(timeout=0)` looks without waiting",
        "`try_join()`",
        || {
            let (rt, door) = (two(), Door::new());
            let mut handle = rt.spawn(wait_at, door.at("it"));
            assert!(handle.try_join().is_none());
            assert!(handle.join_timeout(Duration::ZERO).is_none());
            door.open();
            until("it has ended", || handle.is_finished());
            assert!(matches!(handle.try_join(), Some(Ok(_))));
        },
    )
}

fn done_looks() -> Habit {
    same(
        "`done()` is true when it has ended, however it did",
        "`is_finished()`",
        || {
            let (rt, door) = (two(), Door::new());
            let waits = rt.spawn(wait_at, door.at("it"));
            let fails = rt.spawn(inverse, 0);
            assert!(!waits.is_finished());
            until("it has failed", || fails.is_finished());
            door.open();
            until("it has a value", || waits.is_finished());
        },
    )
}

fn any_thread_submits() -> Habit {
    same(
        "an executor is shared by threads",
        "a `&Runtime` is: all its methods take `&self`",
        || {
            let rt = two();
            let rt: &pinfold::Runtime = &rt;
            let sums: Vec<u64> = std::thread::scope(|threads| {
                let each = |from: u64| {
                    threads.spawn(move || {
                        let handles = (from..from + 100).map(|n| rt.spawn(double, n));
                        handles.map(|handle| handle.join().unwrap()).sum()
                    })
                };
                let all: Vec<_> = [0, 100, 200].into_iter().map(each).collect();
                all.into_iter().map(|it| it.join().unwrap()).collect()
            });
            assert_eq!(sums.iter().sum::<u64>(), (0..300).sum::<u64>() * 2);
        },
    )
}

fn another_thread_waits() -> Habit {
    same(
        "one thread submits, another asks for the result",
        "a `Handle` may be sent to another thread",
        || {
            let handle = two().spawn(double, 4);
            let value = std::thread::spawn(move || handle.join());
            assert_eq!(value.join().unwrap(), Ok(8));
        },
    )
}

fn a_future_that_is_forgotten() -> Habit {
    same(
        "a future that nobody keeps runs all the same",
        "so does a task whose handle is dropped",
        || {
            let (rt, door) = (two(), Door::new());
            drop(rt.spawn(pass, door.at("it")));
            door.wait_for("it");
        },
    )
}

static CALLS: AtomicU32 = AtomicU32::new(0);

fn count(_: ()) -> (u32, u32) {
    // Relaxed: only the number matters.
    (std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

fn globals_are_copies() -> Habit {
    differs(
        "what a call does to a module's globals the program does not see",
        "the same of statics; and no task sees what the program does to them",
        (
            README,
            "It does not see the host's statics as the host has changed them",
        ),
        || {
            assert!(two().spawn(count, ()).join().is_ok());
            assert_eq!(CALLS.load(Ordering::Relaxed), 0, "here nobody has counted");
        },
    )
}

static GIVEN: AtomicU32 = AtomicU32::new(0);

fn globals_of_before_the_start() -> Habit {
    differs(
        "with `fork`, workers have the globals that the program has set before",
        "they have not: each worker's statics are as `main` found them, and what it needs is an argument or made by `worker_init`",
        (
            README,
            "nor what `main` has set before it started the runtime",
        ),
        || {
            GIVEN.store(7, Ordering::Relaxed);
            let rt = of(1).start().unwrap();
            let seen = rt.spawn(|(): ()| GIVEN.load(Ordering::Relaxed), ());
            assert_eq!(seen.join(), Ok(0));
        },
    )
}

fn globals_stay_between_calls() -> Habit {
    same(
        "a worker keeps its globals from call to call: caches, connections",
        "so it does its statics",
        || {
            let rt = of(1).start().unwrap();
            let (first, second) = (rt.spawn(count, ()).join(), rt.spawn(count, ()).join());
            let (worker, calls) = first.unwrap();
            assert_eq!(second, Ok((worker, calls + 1)));
        },
    )
}

fn the_environment_is_the_programs() -> Habit {
    same(
        "workers have the environment of the program",
        "that of `start`",
        || {
            let path = two().spawn(|name: String| std::env::var(name).ok(), "PATH".into());
            assert_eq!(path.join(), Ok(std::env::var("PATH").ok()));
        },
    )
}

fn the_directory_is_the_programs() -> Habit {
    same(
        "workers are in the program's directory",
        "in that of `start`",
        || {
            let there = two().spawn(|(): ()| std::env::current_dir().ok(), ());
            assert_eq!(there.join(), Ok(std::env::current_dir().ok()));
        },
    )
}

fn a_large_argument() -> Habit {
    same(
        "bytes of any length are an argument, and a result",
        "`Vec<u8>`; in place and without a copy as `Shared`",
        || {
            let bytes: Vec<u8> = (0..1 << 20).map(|n| (n % 251) as u8).collect();
            let start = Instant::now();
            let back = two().spawn(|bytes: Vec<u8>| bytes, bytes.clone()).join();
            assert!(back.as_ref() == Ok(&bytes));
            assert!(start.elapsed() < LONG);
        },
    )
}

fn partial_of_something_large() -> Habit {
    differs(
        "`partial(f, table)` pickles the table once for each call",
        "a `Constant` of the runtime is encoded once, and decoded once in each worker that looks at it",
        (AROUND, "and decoded once in each worker that looks at it"),
        || {
            let rt = two();
            let table: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
            let table = rt.constant(table).unwrap();
            let finds = |(table, at): (Constant<Vec<String>>, usize)| table[at].clone();
            let found = rt.map(finds, (0..100).map(|n| (table.clone(), n)));
            assert!(found.eq((0..100).map(|n| Ok(n.to_string()))));
        },
    )
}
