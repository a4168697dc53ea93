//! Dask's `Client`.

use pinfold::{Constant, Memo, Priority, TaskError, gather, on_error};

use crate::habit::{HANDLE, Habit, Library, RUNTIME, SETTINGS, differs, habits, same};
use crate::stage::*;

pub fn library() -> Library {
    Library {
        short: "dask",
        title: "Dask: distributed.Client",
        first: "`client.submit(f, x)` is `rt.spawn(f, x)`; a graph is written with `spawn_after`.",
        habits: habits![
            futures_as_arguments,
            scatter,
            gather_of_futures,
            gather_that_skips,
            as_completed_that_grows,
            client_run,
            the_same_call_twice,
            a_future_nobody_keeps,
            fire_and_forget,
            priority,
            retries,
            a_task_that_kills_workers,
            a_graph_with_a_bad_node,
        ],
    }
}

fn futures_as_arguments() -> Habit {
    differs(
        "`client.submit(add, a, b)` with futures waits for them on the workers",
        "`rt.spawn_after((&a, &b), add, ())`, which gets the values beside its argument",
        (
            RUNTIME,
            "when the tasks of `after` have ended, with their values as inputs",
        ),
        || {
            let rt = two();
            let leaves: Vec<_> = (0..8).map(|n| rt.spawn(double, n)).collect();
            let add = |((), (a, b)): ((), (u64, u64))| a + b;
            let pairs: Vec<_> = leaves
                .chunks(2)
                .map(|it| rt.spawn_after((&it[0], &it[1]), add, ()))
                .collect();
            let sums = pairs.into_iter().map(|it| it.join().unwrap());
            assert_eq!(sums.sum::<u64>(), 56);
        },
    )
}

fn scatter() -> Habit {
    same(
        "`client.scatter(value, broadcast=True)`, and then a future of it as argument",
        "`rt.constant(value)?`, a clone of it as argument; it is dropped when nobody has it any more",
        || {
            let rt = two();
            let blocks = rt.audit().blocks_shared;
            let table = rt.constant((0..100).collect::<Vec<u64>>()).unwrap();
            let at = |(table, n): (Constant<Vec<u64>>, usize)| table[n];
            let all = rt.map(at, (0..100).map(|n| (table.clone(), n)));
            assert_eq!(all.sum::<Result<u64, _>>(), Ok(4950));
            drop(table);
            until("nobody has it", || rt.audit().blocks_shared == blocks);
        },
    )
}

fn gather_of_futures() -> Habit {
    same(
        "`client.gather(futures)` raises the first exception",
        "`gather(handles, on_error::Raise)`",
        || {
            let rt = two();
            let handles = |from| (from..10).map(|n| rt.spawn(inverse, n));
            assert_eq!(gather(handles(1), on_error::Raise).unwrap().len(), 9);
            assert_eq!(
                panic_of(&gather(handles(0), on_error::Raise)),
                "attempt to divide by zero"
            );
        },
    )
}

fn gather_that_skips() -> Habit {
    same(
        "`client.gather(futures, errors=\"skip\")`",
        "`gather(handles, on_error::Skip)`",
        || {
            let rt = two();
            let handles = [1, 0, 2].map(|n| rt.spawn(inverse, n));
            assert_eq!(gather(handles, on_error::Skip), [1000, 500]);
        },
    )
}

fn as_completed_that_grows() -> Habit {
    same(
        "`seq = as_completed(futures)`, and then `seq.add(future)` in the loop",
        "`set.insert(handle)` of a `JoinSet`",
        || {
            let rt = two();
            let mut set: pinfold::JoinSet<u64> = [rt.spawn(double, 1)].into_iter().collect();
            let mut last = 0;
            while let Some((_, outcome)) = set.join_next() {
                last = outcome.unwrap();
                if last < 30 {
                    set.insert(rt.spawn(double, last));
                }
            }
            assert_eq!(last, 32);
        },
    )
}

fn client_run() -> Habit {
    differs(
        "`client.run(f)` runs on every worker, beside the tasks that run there",
        "`rt.broadcast(f, ())` runs once in each worker, when it has nothing under way",
        (
            "src/runtime/broadcast.rs",
            "It is nobody else's: behind a long task it waits.",
        ),
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let mut all = rt.broadcast(double, 4);
            assert!(all[0].join_timeout(ms(5)).is_none());
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(all.pop().map(|it| it.join()), Some(Ok(8)));
        },
    )
}

fn the_same_call_twice() -> Habit {
    differs(
        "the same call is not run twice: `pure=True`",
        "it is, unless it is `memoized`",
        (
            SETTINGS,
            "a call with the same arguments, as they are encoded, is not run again",
        ),
        || {
            let (rt, memo) = (two(), Memo::new(10));
            let before = rt.stats().tasks.submitted;
            assert_eq!(
                [rt.spawn(double, 4).join(), rt.spawn(double, 4).join()],
                [Ok(8), Ok(8)]
            );
            assert_eq!(rt.stats().tasks.submitted, before + 2);
            let task = rt.task(double).memoized(&memo);
            assert_eq!([task.spawn(4).join(), task.spawn(4).join()], [Ok(8), Ok(8)]);
            assert_eq!(rt.stats().tasks.submitted, before + 3);
        },
    )
}

fn a_future_nobody_keeps() -> Habit {
    differs(
        "a future that nobody refers to is cancelled",
        "it runs on; with `abort_on_drop` it is cancelled",
        (HANDLE, "Dropping a handle detaches it"),
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            drop(rt.spawn(pass, door.at("runs")));
            drop(rt.spawn(pass, door.at("never")).abort_on_drop());
            door.open();
            assert!(busy.join().is_ok());
            door.wait_for("runs");
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!(!door.has_come("never"));
        },
    )
}

fn fire_and_forget() -> Habit {
    same("`fire_and_forget(future)`", "`drop(handle)`", || {
        let (rt, door) = (two(), Door::new());
        drop(rt.spawn(pass, door.at("it")));
        door.wait_for("it");
    })
}

fn priority() -> Habit {
    same(
        "`priority=10` is begun before others that wait",
        "`rt.task(f).priority(Priority::Urgent)`, one of four levels",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let later = rt
                .task(pass)
                .priority(Priority::Background)
                .spawn(door.at("later"));
            let looks = |(other, _): Place| other.exists();
            let first = rt.spawn(looks, door.at("later"));
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(first.join(), Ok(false));
            assert!(later.join().is_ok());
        },
    )
}

fn retries() -> Habit {
    same(
        "`retries=2`: what raised is run again, so often",
        "`retry(Retry::fixed(3, Duration::ZERO))`: three attempts",
        || {
            let rt = one();
            let before = rt.stats().tasks.repeated;
            let task = rt.task(half).retry(pinfold::Retry::fixed(3, ms(0)));
            assert_eq!(task.spawn(7).join(), Ok(Err("7 is odd".into())));
            assert_eq!(rt.stats().tasks.repeated, before + 2);
        },
    )
}

fn a_task_that_kills_workers() -> Habit {
    same(
        "a task in which several workers have died ends: `KilledWorker` (`allowed-failures`)",
        "`TaskError::Poison` after `at_least_once()`'s three attempts",
        || {
            let rt = one();
            match rt.task(dies).at_least_once().spawn(1).join() {
                Err(TaskError::Poison { attempts, .. }) => assert_eq!(attempts.len(), 3),
                other => panic!("{other:?}"),
            }
        },
    )
}

fn a_graph_with_a_bad_node() -> Habit {
    same(
        "what depends on a failed task fails with that one's exception, however far away",
        "`DependencyFailed` names the first cause",
        || {
            let rt = two();
            let mut last = rt.spawn(inverse, 0);
            for _ in 0..5 {
                last = rt.spawn_after(&last, |((), n): ((), u64)| n + 1, ());
            }
            let error = last.join().unwrap_err().to_string();
            assert!(
                error.contains("divide by zero") && error.contains("inverse"),
                "{error}"
            );
        },
    )
}
