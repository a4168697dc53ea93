//! Ray.

use pinfold::{Constant, Shared, TaskError};

use crate::habit::{Habit, Library, README, SETTINGS, TASK_ERROR, differs, habits, same};
use crate::stage::*;

pub fn library() -> Library {
    Library {
        short: "ray",
        title: "Ray",
        first: "A remote function is any function; `f.remote(x)` is `rt.spawn(f, x)`, an `ObjectRef` is a `Handle`. All \
                on one machine.",
        habits: habits![
            get_of_a_list,
            get_with_a_timeout,
            wait_for_some,
            a_reference_as_argument,
            a_reference_that_has_failed,
            a_reference_that_is_read_twice,
            put,
            put_of_any_value,
            cancel,
            cancel_by_force,
            cancel_of_children,
            max_retries,
            retry_exceptions,
            retry_of_some_exceptions,
            remote_in_remote,
            an_error_that_is_passed_on,
            num_cpus,
            an_actor,
        ],
    }
}

fn get_of_a_list() -> Habit {
    same("`ray.get([a, b])`", "`pinfold::join_all([a, b])`", || {
        let rt = two();
        let handles = (0..20).map(|n| rt.spawn(double, n));
        let all: Result<Vec<u64>, _> = pinfold::join_all(handles).into_iter().collect();
        assert!((0..20).eq(all.unwrap().into_iter().map(|n| n / 2)));
    })
}

fn get_with_a_timeout() -> Habit {
    same(
        "`ray.get(ref, timeout=t)` raises `GetTimeoutError`; the task goes on",
        "`join_timeout(t)` is `None`",
        || {
            let (rt, door) = (two(), Door::new());
            let mut handle = rt.spawn(wait_at, door.at("it"));
            assert!(handle.join_timeout(ms(1)).is_none());
            door.open();
            assert!(handle.join().is_ok());
        },
    )
}

fn wait_for_some() -> Habit {
    same(
        "`ready, rest = ray.wait(refs, num_returns=n, timeout=t)`",
        "`as_completed(handles).timeout(t).take(n)`, or `wait(&handles, WaitFor::First, Some(t))` for one",
        || {
            let (rt, door) = (two(), Door::new());
            let slow = rt.spawn(wait_at, door.at("slow"));
            door.wait_for("slow");
            let mut handles = vec![slow];
            handles.extend((0..3).map(|n| rt.spawn(pass, door.at(n))));
            let mut ended = pinfold::as_completed(handles).timeout(LONG);
            let ready: Vec<_> = ended.by_ref().take(3).map(|it| it.unwrap().0).collect();
            assert!(ready.len() == 3 && !ready.contains(&0), "{ready:?}");
            door.open();
            assert_eq!(ended.into_inner().next().map(|(task, _)| task), Some(0));
        },
    )
}

fn a_reference_as_argument() -> Habit {
    differs(
        "a reference among the arguments makes the task wait for its value",
        "`spawn_after((&a, &b), f, args)` says what it waits for",
        (
            README,
            "their values become inputs, and shared buffers are not copied",
        ),
        || {
            let rt = two();
            let (a, b) = (rt.spawn(double, 1), rt.spawn(double, 2));
            let sum = |(more, (a, b)): (u64, (u64, u64))| more + a + b;
            assert_eq!(rt.spawn_after((&a, &b), sum, 100).join(), Ok(106));
            assert_eq!((a.join(), b.join()), (Ok(2), Ok(4)));
        },
    )
}

fn a_reference_that_has_failed() -> Habit {
    same(
        "a task whose argument has failed is not run, and fails with that cause",
        "`TaskError::DependencyFailed`",
        || {
            let rt = two();
            let bad = rt.spawn(inverse, 0);
            let next = rt.spawn_after(&bad, |((), n): ((), u64)| n, ());
            match next.join() {
                Err(TaskError::DependencyFailed { cause, .. }) => {
                    assert_eq!(panic_of(&Err::<(), _>(*cause)), "attempt to divide by zero");
                }
                other => panic!("{other:?}"),
            }
        },
    )
}

fn a_reference_that_is_read_twice() -> Habit {
    differs(
        "an object may be read as often as one likes",
        "a handle's value is read by whoever joins it, and by any number of tasks that depend on it",
        (TASK_ERROR, "The outcome was taken before, by"),
        || {
            let rt = two();
            let source = rt.spawn(double, 4);
            let reads = |((), n): ((), u64)| n;
            let readers: Vec<_> = (0..5).map(|_| rt.spawn_after(&source, reads, ())).collect();
            assert!(readers.into_iter().all(|reader| reader.join() == Ok(8)));
            assert_eq!(source.join(), Ok(8));
        },
    )
}

fn put() -> Habit {
    same(
        "`ray.put(bytes)`: any number of tasks read it in place",
        "`rt.alloc(len)`, `publish()`: a `Shared`, which is cloned for each task",
        || {
            let rt = two();
            let mut data = rt.alloc(4 << 20).unwrap();
            data.fill(9);
            let data = data.publish();
            let looks = |(data, at): (Shared, usize)| data[at];
            let handles = (0..10).map(|n| rt.spawn(looks, (data.clone(), n)));
            assert!(pinfold::join_all(handles).into_iter().all(|it| it == Ok(9)));
        },
    )
}

fn put_of_any_value() -> Habit {
    same(
        "`ray.put(value)` of a large value: it is sent once, and any number of tasks have it",
        "`rt.constant(value)?`",
        || {
            let rt = two();
            let words = rt
                .constant(vec!["one".to_owned(), "two".to_owned()])
                .unwrap();
            let counts = |words: Constant<Vec<String>>| words.len();
            let handles = (0..10).map(|_| rt.spawn(counts, words.clone()));
            assert!(pinfold::join_all(handles).into_iter().all(|it| it == Ok(2)));
            assert_eq!(words[1], "two", "here too");
        },
    )
}

fn cancel() -> Habit {
    same(
        "`ray.cancel(ref)` raises `KeyboardInterrupt` in the task",
        "`cancel()`: the task sees it when it looks, by `context().check()?`",
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.spawn(listen_at, door.at("it"));
            door.wait_for("it");
            handle.cancel();
            assert!(is_cancelled(&handle.join()));
        },
    )
}

fn cancel_by_force() -> Habit {
    same(
        "`ray.cancel(ref, force=True)` ends the worker",
        "`cancel_within(grace)`",
        || {
            let rt = two();
            let handle = rt.spawn(deaf, ());
            handle.cancel_within(ms(1));
            assert!(is_cancelled(&handle.join()));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn cancel_of_children() -> Habit {
    same(
        "`recursive=True`: what the task has submitted is cancelled too",
        "always",
        || {
            let (rt, door) = (one(), Door::new());
            let parent = |(child, own): (Place, Place)| {
                let child = pinfold::spawn(pass, child);
                let ended = listen_at(own);
                child.join().map_err(|it| it.to_string()).and(ended)
            };
            let handle = rt.spawn(parent, (door.at("child"), door.at("parent")));
            door.wait_for("parent");
            handle.cancel();
            assert!(is_cancelled(&handle.join()));
            assert!(!door.has_come("child"), "nobody had begun it");
        },
    )
}

fn max_retries() -> Habit {
    differs(
        "a task whose worker has died is run again, three times by default",
        "it is run at most once, unless `safe_to_repeat(n)` says that it may be run again",
        (SETTINGS, "Without this a task is run at most once."),
        || {
            let (rt, door) = (one(), Door::new());
            let first_dies = |(own, _): Place| {
                if !own.exists() {
                    std::fs::write(own, "").unwrap();
                    std::process::abort();
                }
            };
            assert!(has_died(&rt.spawn(first_dies, door.at("once")).join()));
            let again = rt.task(first_dies).safe_to_repeat(2);
            assert_eq!(again.spawn(door.at("twice")).join(), Ok(()));
        },
    )
}

fn retry_exceptions() -> Habit {
    same(
        "`retry_exceptions=True`: what raised is run again",
        "`rt.task(f).retry(Retry::fixed(n, delay))`: what returned an `Err` or panicked is",
        || {
            let (rt, door) = (one(), Door::new());
            let first_fails = |(own, _): Place| {
                if own.exists() {
                    return Ok(());
                }
                std::fs::write(own, "").map_err(|it| it.to_string())?;
                Err("not yet".to_owned())
            };
            let task = rt.task(first_fails);
            assert_eq!(
                task.clone().spawn(door.at("once")).join(),
                Ok(Err("not yet".into()))
            );
            let again = task.retry(pinfold::Retry::fixed(2, ms(1)));
            assert_eq!(again.spawn(door.at("twice")).join(), Ok(Ok(())));
        },
    )
}

fn retry_of_some_exceptions() -> Habit {
    same(
        "`retry_exceptions=[Busy]` tries only those again; `max_retries` is for deaths",
        "`retry_if` is asked of both",
        || {
            let (rt, door) = (one(), Door::new());
            let first_dies = |(own, _): Place| {
                let is_second = own.exists();
                std::fs::write(own, "").unwrap();
                if !is_second {
                    std::process::abort();
                }
                Err::<(), _>("wrong".to_owned())
            };
            let task = rt.task(first_dies).retry_if(has_died);
            assert_eq!(task.spawn(door.at("it")).join(), Ok(Err("wrong".into())));
        },
    )
}

fn remote_in_remote() -> Habit {
    same(
        "a task may call `g.remote()` and `ray.get` it",
        "`pinfold::spawn(g, x).join()`",
        || {
            let outer = |n: u64| {
                pinfold::spawn(double, n)
                    .join()
                    .map_err(|it| it.to_string())
            };
            assert_eq!(two().spawn(outer, 4).join(), Ok(Ok(8)));
        },
    )
}

fn an_error_that_is_passed_on() -> Habit {
    same(
        "a `RayTaskError` that a task gets may be raised on: the caller sees it",
        "a `TaskError` is a value that a task may return",
        || {
            let outer = |n: u64| pinfold::spawn(inverse, n).join();
            let rt = two();
            assert_eq!(rt.spawn(outer, 1).join(), Ok(Ok(1000)));
            let inner = rt.spawn(outer, 0).join().unwrap();
            assert_eq!(panic_of(&inner), "attempt to divide by zero");
        },
    )
}

fn num_cpus() -> Habit {
    differs(
        "`num_cpus=2`, `resources={\"gpu\": 1}`: a task waits until its share is free",
        "a worker runs one task at a time; for what else is scarce there is `Limit`",
        (
            README,
            "a `Limit` (of tasks or bytes, for one function or several)",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let gpu = pinfold::Limit::new(1);
            let task = rt.task(wait_at).limited(&gpu, 1);
            let first = task.spawn(door.at("first"));
            door.wait_for("first");
            assert!(task.try_spawn(door.at("second")).is_err());
            assert_eq!(rt.spawn(double, 4).join(), Ok(8), "others go on");
            door.open();
            assert!(first.join().is_ok());
        },
    )
}

fn an_actor() -> Habit {
    differs(
        "an actor keeps state, and its methods are called one after the other",
        "there are no actors: any worker takes any task, and each has its `worker_state`, and a state of its own to write to",
        (
            README,
            "mutable state for each executor thread: `executor_init(f)`",
        ),
        || {
            let rt = of(2)
                .worker_init(|| Ok::<_, String>(std::process::id()))
                .start()
                .unwrap();
            let state = |_: u64| pinfold::worker_state::<u32>() == Some(&std::process::id());
            assert!(rt.map(state, 0..20).all(|it| it == Ok(true)));
        },
    )
}
