//! Celery.

use std::collections::HashMap;
use std::time::Duration;

use pinfold::{Priority, Retry, TaskError, TimeLimit};

use crate::habit::{Habit, Library, README, SETTINGS, differs, habits, same};
use crate::stage::*;

pub fn library() -> Library {
    Library {
        short: "celery",
        title: "Celery",
        first: "There is no broker: tasks are in this program's memory, and end with it. `f.delay(x)` is \
                `rt.spawn(f, x)`.",
        habits: habits![
            a_hard_time_limit,
            a_time_limit_and_a_long_queue,
            a_soft_time_limit,
            expires,
            autoretry_with_backoff,
            autoretry_for,
            retry_of_what_took_too_long,
            retries_that_fail,
            what_the_attempts_ended_in,
            which_limit_it_was,
            acks_late,
            revoke,
            revoke_terminate,
            tasks_by_name,
            a_chain,
            a_chord,
            a_group_with_settings_of_each,
            ignore_result,
            update_state,
            a_broker,
            countdown,
        ],
    }
}

fn a_hard_time_limit() -> Habit {
    same(
        "`time_limit`: the worker of a task that runs longer is killed, and replaced",
        "`run_limit`; for a time that counts from the submission there is `hard_deadline`",
        || {
            let rt = one();
            assert!(is_late(&rt.task(deaf).run_limit(ms(50)).spawn(()).join()));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            let late = rt.task(deaf).hard_deadline(ms(50)).spawn(());
            assert!(is_late(&late.join()));
        },
    )
}

fn a_time_limit_and_a_long_queue() -> Habit {
    same(
        "what waits in the queue uses up no `time_limit`",
        "nor `run_limit`",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let mut queued = rt.task(double).run_limit(ms(1000)).spawn(4);
            assert!(
                queued.join_timeout(ms(1100)).is_none(),
                "its time has not begun"
            );
            door.open();
            assert!(busy.join().is_ok());
            assert!(queued.join().is_ok());
        },
    )
}

fn autoretry_for() -> Habit {
    same(
        "`autoretry_for=(ConnectionError,)`: only what is named is tried again",
        "`retry_if(|outcome| …)`, of any outcome: a value, an `Err`, a panic, a passed limit, a death",
        || {
            let rt = one();
            let before = rt.stats().tasks.repeated;
            let curable = "7 is odd".to_owned();
            let task = rt.task(half).retry(Retry::fixed(3, ms(0)));
            let task = task.retry_if(move |outcome| *outcome == Ok(Err(curable.clone())));
            assert!(task.spawn(7).join().unwrap().is_err());
            assert!(task.spawn(9).join().unwrap().is_err());
            assert_eq!(rt.stats().tasks.repeated, before + 2);
        },
    )
}

fn retry_of_what_took_too_long() -> Habit {
    same(
        "a task that has hit its time limit may be tried again",
        "`retry_if` sees `TaskError::DeadlineExceeded`",
        || {
            let (rt, door) = (one(), Door::new());
            let hangs_once = |(own, _): Place| {
                if !own.exists() {
                    std::fs::write(own, "").unwrap();
                    deaf(());
                }
            };
            let task = rt
                .task(hangs_once)
                .run_limit(ms(200))
                .retry(Retry::fixed(9, ms(0)));
            let task = task.retry_if(is_late);
            assert_eq!(task.spawn(door.at("it")).join(), Ok(()));
        },
    )
}

fn a_soft_time_limit() -> Habit {
    differs(
        "`soft_time_limit` raises an exception in the task, which can tidy up",
        "`soft_deadline`: the task looks, by `context().deadline()` or `time_left()`",
        (SETTINGS, "it sees so itself, with [`Context::deadline`]"),
        || {
            let tidies = |(): ()| {
                while pinfold::context().time_left() != Some(Duration::ZERO) {
                    std::thread::sleep(ms(1));
                }
                "tidy".to_owned()
            };
            let task = two().task(tidies).soft_deadline(ms(20)).spawn(());
            assert_eq!(task.join().as_deref(), Ok("tidy"));
        },
    )
}

fn expires() -> Habit {
    same(
        "`expires=t`: a task that has not begun by then never does",
        "`start_deadline(t)`",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let late = rt.task(pass).start_deadline(ms(10)).spawn(door.at("late"));
            assert!(is_late(&late.join()));
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!(!door.has_come("late"));
        },
    )
}

fn autoretry_with_backoff() -> Habit {
    same(
        "`autoretry_for`, `retry_backoff`, `retry_jitter`",
        "`retry(Retry::exponential(n, first, longest))`, `with_jitter()`",
        || {
            let retry = Retry::exponential(4, ms(1), ms(4));
            let delays: Vec<_> = (1..4).map(|failures| retry.delay(failures)).collect();
            assert_eq!(delays, [ms(1), ms(2), ms(4)]);
            let (rt, door) = (one(), Door::new());
            let third_time = |(own, _): Place| {
                let tries = std::fs::read(&own).map_or(0, |marks| marks.len());
                std::fs::write(own, vec![b'+'; tries + 1]).unwrap();
                assert!(tries == 2, "not yet");
                tries
            };
            let task = rt.task(third_time).retry(retry);
            assert_eq!(task.spawn(door.at("tries")).join(), Ok(2));
        },
    )
}

fn retries_that_fail() -> Habit {
    same(
        "after `max_retries` the task has the last exception",
        "the last attempt's outcome is the task's",
        || {
            let task = two().task(inverse).retry(Retry::fixed(3, ms(1))).spawn(0);
            assert_eq!(panic_of(&task.join()), "attempt to divide by zero");
        },
    )
}

fn what_the_attempts_ended_in() -> Habit {
    differs(
        "of a task that was tried again only the last exception is in the result",
        "the error has all attempts: `error.task()`'s `attempts`, and its text",
        (
            "src/error/failed.rs",
            "The attempts before, the first one first.",
        ),
        || {
            let task = two().task(inverse).retry(Retry::fixed(3, ms(1))).spawn(0);
            let error = task.join().unwrap_err();
            let attempts = &error.task().unwrap().attempts;
            assert_eq!(attempts.len(), 2);
            assert!(
                attempts
                    .iter()
                    .all(|it| it.ended.contains("divide by zero"))
            );
        },
    )
}

fn which_limit_it_was() -> Habit {
    same(
        "`TimeLimitExceeded` says which limit it was",
        "`TaskError::DeadlineExceeded { which, limit, .. }`, and how long it has waited and run",
        || match one().task(deaf).run_limit(ms(50)).spawn(()).join() {
            Err(TaskError::DeadlineExceeded {
                which, limit, task, ..
            }) => {
                assert_eq!((which, limit), (TimeLimit::Run, ms(50)));
                assert!(task.ran.is_some_and(|ran| ran >= ms(50)));
            }
            other => panic!("{other:?}"),
        },
    )
}

fn acks_late() -> Habit {
    same(
        "`acks_late` and `reject_on_worker_lost`: a task whose worker was lost is run again; otherwise it is not",
        "`at_least_once()`, or at most once without it",
        || {
            let (rt, door) = (one(), Door::new());
            let first_dies = |(own, _): Place| {
                let is_second = own.exists();
                std::fs::write(own, "").unwrap();
                if !is_second {
                    std::process::abort();
                }
            };
            assert!(has_died(&rt.spawn(first_dies, door.at("once")).join()));
            let task = rt.task(first_dies).at_least_once();
            assert_eq!(task.spawn(door.at("again")).join(), Ok(()));
        },
    )
}

fn revoke() -> Habit {
    same(
        "`revoke()`: a task that has not begun never does",
        "`cancel()`",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(pass, door.at("queued"));
            assert!(queued.cancel());
            door.open();
            assert!(busy.join().is_ok() && is_cancelled(&queued.join()));
            assert!(!door.has_come("queued"));
        },
    )
}

fn revoke_terminate() -> Habit {
    same(
        "`revoke(terminate=True)` kills the worker that runs it",
        "`cancel_within(grace)`; no other task is hit",
        || {
            let (rt, door) = (two(), Door::new());
            let beside = rt.spawn(wait_at, door.at("beside"));
            door.wait_for("beside");
            let stuck = rt.spawn(deaf, ());
            assert!(stuck.cancel_within(ms(1)));
            assert!(is_cancelled(&stuck.join()));
            door.open();
            assert!(beside.join().is_ok());
        },
    )
}

fn tasks_by_name() -> Habit {
    same(
        "a task is an object with its settings; it is found by its name, and called by `delay`",
        "`rt.task(f)…stored()`, a `StoredTask<A, R>` in a map or a struct",
        || {
            let rt = two();
            let mut tasks = HashMap::new();
            tasks.insert("double", rt.task(double).run_limit(LONG).stored());
            tasks.insert("inverse", rt.task(inverse).at_least_once().stored());
            assert_eq!(tasks["double"].spawn(4).join(), Ok(8));
            assert_eq!(tasks["inverse"].spawn(4).join(), Ok(250));
        },
    )
}

fn a_chain() -> Habit {
    same(
        "`chain(a.s(x), b.s())` passes the value on",
        "`let b = rt.spawn_after(&a, b, ())`",
        || {
            let rt = two();
            let a = rt.spawn(double, 4);
            let b = rt.spawn_after(&a, |((), n): ((), u64)| n + 1, ());
            assert_eq!(b.join(), Ok(9));
        },
    )
}

fn a_chord() -> Habit {
    same(
        "`chord(group, callback)` gets the list of all values",
        "`rt.spawn_after(&handles, f, ())` with a `Vec` of handles: `f` gets a `Vec` of values",
        || {
            let rt = two();
            let group: Vec<_> = (0..10).map(|n| rt.spawn(double, n)).collect();
            let sum = |((), all): ((), Vec<u64>)| all.into_iter().sum::<u64>();
            assert_eq!(rt.spawn_after(&group, sum, ()).join(), Ok(90));
        },
    )
}

fn a_group_with_settings_of_each() -> Habit {
    same(
        "`group(f.s(x).set(priority=9, time_limit=t) for x in xs)`: each has settings of its own",
        "`rt.task(f).per_item(|task, number, item| task.priority(…).run_limit(…)).map(xs)`",
        || {
            let rt = two();
            let named = rt.task(|_: u64| pinfold::task_name());
            let named = named.per_item(|task, number, item| {
                let task = task.priority(Priority::Low).run_limit(LONG);
                task.named(format!("{number} of {item}"))
            });
            let names: Vec<_> = named.map([7, 8]).collect();
            let expected = ["0 of 7", "1 of 8"].map(|name| Ok(Some(name.to_owned())));
            assert_eq!(names, expected);
        },
    )
}

fn ignore_result() -> Habit {
    differs(
        "a result that nobody takes stays in the back end until it expires",
        "it is let go of when the handle is dropped",
        (README, "the results of detached tasks take all memory"),
        || {
            let rt = of(1).memory_cap(2 << 20).start().unwrap();
            let long = |n: usize| vec![7_u8; n];
            for _ in 0..20 {
                drop(rt.spawn(long, 256 << 10));
            }
            assert_eq!(
                rt.spawn(long, 256 << 10).join().map(|it| it.len()),
                Ok(256 << 10)
            );
        },
    )
}

fn update_state() -> Habit {
    same(
        "`self.update_state(meta={…})`, and `result.info`",
        "`context().report_progress(0.5, \"half\")`, and `handle.progress()`",
        || {
            let (tell, told) = std::sync::mpsc::channel();
            let (rt, door) = (two(), Door::new());
            let reports = |(own, open): Place| {
                std::fs::write(own, "").unwrap();
                while open.parent().is_some_and(|door| door.exists()) && !open.exists() {
                    pinfold::context().report_progress(0.5, "half").unwrap();
                    std::thread::sleep(ms(1));
                }
            };
            let handle = rt.spawn(reports, door.at("it"));
            let tell = move |it: pinfold::Progress| drop(tell.send(it.message));
            handle.on_progress(tell).unwrap();
            assert_eq!(told.recv_timeout(LONG).as_deref(), Ok("half"));
            until("it is seen", || handle.progress().is_some());
            door.open();
            assert_eq!(handle.join(), Ok(()));
        },
    )
}

fn a_broker() -> Habit {
    differs(
        "tasks are in a broker, and outlive the program",
        "they end with it: every handle is told",
        (
            README,
            "Tasks are in memory: those that have not ended when the program ends are lost",
        ),
        || {
            let rt = of(1).start().unwrap();
            let handles = [0, 1, 2].map(|_| rt.spawn(deaf, ()));
            drop(rt); // by `on_drop(Shutdown::Abort)`
            assert!(
                handles
                    .into_iter()
                    .all(|handle| is_shut_down(&handle.join()))
            );
        },
    )
}

fn countdown() -> Habit {
    differs(
        "`apply_async(countdown=10)`, `crontab(…)`: a task is begun later, or regularly",
        "a task is begun when a worker is free; whoever wants it later submits it later",
        (README, "There is no scheduling by time"),
        || {
            let rt = two();
            let timer = std::thread::scope(|threads| {
                let later = threads.spawn(|| {
                    std::thread::sleep(ms(1));
                    rt.spawn(double, 4).join()
                });
                later.join().unwrap()
            });
            assert_eq!(timer, Ok(8));
        },
    )
}
