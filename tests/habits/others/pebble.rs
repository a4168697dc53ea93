//! pebble, a pool of processes whose calls can be ended.

use std::io::{Read, Seek};
use std::sync::Mutex;

use pinfold::TaskError;

use crate::habit::{AROUND, HANDLE, Habit, Library, SETTINGS, differs, habits, same};
use crate::stage::*;

pub fn library() -> Library {
    Library {
        short: "pebble",
        title: "Python: pebble",
        first: "`pool.schedule(f, args=[x], timeout=t)` is `rt.task(f).run_limit(t).spawn(x)`.",
        habits: habits![
            a_timeout_ends_the_call,
            cancel_ends_what_runs,
            process_expired,
            map_with_a_timeout_each,
            a_timeout_by_item,
            stop_and_join,
            logs_of_workers,
        ],
    }
}

fn a_timeout_ends_the_call() -> Habit {
    same(
        "`schedule(f, timeout=t)`: after t the worker is killed, and the future raises `TimeoutError`",
        "`run_limit(t)`, `TaskError::DeadlineExceeded`",
        || {
            let rt = one();
            assert!(is_late(&rt.task(deaf).run_limit(ms(50)).spawn(()).join()));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn cancel_ends_what_runs() -> Habit {
    differs(
        "`future.cancel()` of a call that runs kills its worker",
        "`cancel()` asks first; `cancel_within(grace)` kills",
        (HANDLE, "One that runs is asked to end"),
        || {
            let rt = one();
            let runs = rt.spawn(deaf, ());
            assert!(runs.cancel_within(ms(1)));
            assert!(is_cancelled(&runs.join()));
        },
    )
}

fn process_expired() -> Habit {
    same(
        "`ProcessExpired` has the exit code of a worker that died, for its call alone",
        "`TaskError::WorkerDied` has how it ended",
        || {
            let exits = |status: i32| -> () { std::process::exit(status) };
            match one().spawn(exits, 7).join() {
                Err(TaskError::WorkerDied { death, .. }) => {
                    assert!(death.to_string().contains('7'), "{death}");
                }
                other => panic!("{other:?}"),
            }
        },
    )
}

fn map_with_a_timeout_each() -> Habit {
    differs(
        "`pool.map(f, xs, timeout=t)`: the timeout is each chunk's; the iterator goes on after what raised",
        "`run_limit(t)` is each item's, with `chunked()` each chunk's; the iterator goes on",
        (SETTINGS, "the limit is for a chunk of items"),
        || {
            let rt = two();
            let works = |n: u64| {
                if n == 3 {
                    deaf(())
                }
            };
            let outcomes: Vec<_> = rt.task(works).run_limit(ms(200)).map(0..10).collect();
            assert!(is_late(&outcomes[3]));
            assert_eq!(outcomes.len(), 10);
        },
    )
}

fn a_timeout_by_item() -> Habit {
    same(
        "`schedule` in a loop gives each call a timeout of its own",
        "`per_item(|task, _, item| task.run_limit(…))` does in a `map`",
        || {
            let rt = two();
            let works = |n: u64| {
                if n == 1 {
                    deaf(())
                }
            };
            let task = rt.task(works).per_item(|task, _, n| match n {
                1 => task.run_limit(ms(50)),
                _ => task.run_limit(LONG),
            });
            let outcomes: Vec<_> = task.map([0, 1, 2]).collect();
            assert!(outcomes[0].is_ok() && is_late(&outcomes[1]) && outcomes[2].is_ok());
        },
    )
}

fn stop_and_join() -> Habit {
    same(
        "`pool.stop()` ends what runs; `pool.close()` lets it end",
        "`Shutdown::Abort` and `Shutdown::Drain`",
        || {
            let rt = of(1).start().unwrap();
            let stuck = rt.spawn(deaf, ());
            assert_eq!(rt.shutdown(pinfold::Shutdown::Abort), Ok(()));
            assert!(is_shut_down(&stuck.join()));
            let rt = of(1).start().unwrap();
            let ends = rt.spawn(double, 4);
            assert_eq!(rt.shutdown(pinfold::Shutdown::Drain), Ok(()));
            assert_eq!(ends.join(), Ok(8));
        },
    )
}

fn logs_of_workers() -> Habit {
    differs(
        "a worker's log goes nowhere, unless a queue of records is set up",
        "what a task logs by `tracing` or `log` goes to the program's `tracing` subscriber, or its logger",
        (
            AROUND,
            "Records of the crate `log` reach the host as `tracing` events do",
        ),
        || {
            let mut file = tempfile::tempfile().unwrap();
            let writer = Mutex::new(file.try_clone().unwrap());
            let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
            let rt = tracing::subscriber::with_default(subscriber, || of(1).start()).unwrap();
            let says = rt.spawn(|name: String| log::warn!("{name} says it"), "log".into());
            assert_eq!(says.join(), Ok(()));
            let says = rt.spawn(|name: String| tracing::warn!("{name} says it"), "it".into());
            assert_eq!(says.join(), Ok(()));
            drop(rt);
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert!(text.contains("log says it") && text.contains("it says it"));
        },
    )
}
