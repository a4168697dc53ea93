//! The executor itself: its workers, its start and its end.

use std::collections::BTreeSet;
use std::fs;

use pinfold::{Refusal, Shutdown, StartError, TaskError};

use crate::habit::{BUILDER, ERROR, Habit, INITS, RUNTIME, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        a_worker_for_each_cpu,
        no_workers_are_refused,
        workers_start_when_needed,
        workers_are_forks_of_a_server,
        an_initializer,
        initargs,
        an_initializer_that_fails,
        when_an_initializer_fails,
        max_tasks_per_child,
        shutdown_waits,
        submit_after_the_shutdown,
        shutdown_that_does_not_wait,
        shutdown_twice,
        a_keyboard_interrupt,
        results_after_the_shutdown,
        shutdown_cancels_what_is_queued,
        the_end_of_with,
        terminate_workers,
        an_executor_in_a_call,
        submit_in_a_call,
    ]
}

fn a_worker_for_each_cpu() -> Habit {
    same(
        "without `max_workers` there is a worker for each CPU that the process may use",
        "without `workers` too",
        || {
            let builder = pinfold::Runtime::builder().memory_cap(64 << 20);
            let rt = builder.on_drop(Shutdown::Abort).start().unwrap();
            let cpus = std::thread::available_parallelism().unwrap().get();
            // Of a quota that is no whole number Rust takes the smaller, the runtime the larger.
            assert!((cpus..=cpus + 1).contains(&rt.stats().workers.len()));
        },
    )
}

fn no_workers_are_refused() -> Habit {
    same(
        "`max_workers=0` raises `ValueError`",
        "`workers(0)` is a `StartError`, which says what may be",
        || {
            let refused = of(0).start().unwrap_err();
            assert!(matches!(refused, StartError::OutOfBounds { value: 0, .. }));
        },
    )
}

fn workers_start_when_needed() -> Habit {
    differs(
        "workers are started as calls come",
        "all are started by `start`",
        (BUILDER, "returns when all workers have been started"),
        || {
            let rt = of(2).start().unwrap();
            assert!(rt.stats().workers.iter().all(|worker| worker.pid != 0));
        },
    )
}

fn workers_are_forks_of_a_server() -> Habit {
    same(
        "`forkserver`, the default since Python 3.14: workers are forks of a small process without threads",
        "of the zygote",
        || {
            let parents = |(): ()| {
                let status = fs::read_to_string("/proc/self/status").unwrap();
                let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
                line.unwrap().trim().parse::<u32>().unwrap()
            };
            let parent = two().spawn(parents, ()).join().unwrap();
            assert_ne!(parent, std::process::id());
            let name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap();
            assert_eq!(name.trim(), "pinfold-zygote");
        },
    )
}

fn an_initializer() -> Habit {
    same(
        "`initializer` is called once in each worker, before its first call",
        "`worker_init`; what it makes is each task's by `worker_state`",
        || {
            let made = || Ok::<_, String>(std::process::id());
            let rt = of(2).worker_init(made).start().unwrap();
            let seen = |n: u64| {
                (
                    n,
                    std::process::id(),
                    pinfold::worker_state::<u32>().copied(),
                )
            };
            for (n, seen) in (0..50).zip(rt.map(seen, 0..50)) {
                let (item, worker, made) = seen.unwrap();
                assert_eq!((item, Some(worker)), (n, made));
            }
        },
    )
}

fn an_initializer_that_fails() -> Habit {
    differs(
        "an initializer that raises breaks the pool",
        "every task ends with `NoWorkers`, which says why; the runtime goes on trying, and works when the cause is gone",
        (
            INITS,
            "The runtime goes on trying, with one worker at a time",
        ),
        || {
            let fails = || Err::<(), _>("no model here");
            let rt = of(1).worker_init(fails).start_attempts(1).start().unwrap();
            let error = rt.spawn(double, 1).join().unwrap_err();
            assert!(matches!(error, TaskError::NoWorkers { .. }), "{error:?}");
            assert!(error.to_string().contains("no model here"), "{error}");
        },
    )
}

fn initargs() -> Habit {
    same(
        "`initializer=f, initargs=(x,)`",
        "`worker_init_with(f, x)`; a worker that takes another's place has the same argument",
        || {
            let made = |name: String| Ok::<_, String>(name + "!");
            let rt = of(1)
                .worker_init_with(made, "model".to_owned())
                .start()
                .unwrap();
            let state = |(): ()| pinfold::worker_state::<String>().cloned();
            assert_eq!(rt.spawn(state, ()).join(), Ok(Some("model!".into())));
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_eq!(rt.spawn(state, ()).join(), Ok(Some("model!".into())));
        },
    )
}

fn when_an_initializer_fails() -> Habit {
    differs(
        "that an initializer fails is seen at the first `result()`",
        "or at the start already, by `start_checked()`",
        (
            INITS,
            "waits until all workers have begun to work, or have failed to at their first attempt",
        ),
        || {
            let fails = |name: String| Err::<(), _>(format!("no {name} here"));
            let builder = of(2).worker_init_with(fails, "model".to_owned());
            let error = builder.start_checked().unwrap_err();
            assert!(matches!(error, StartError::Worker { .. }));
            assert!(error.to_string().contains("no model here"), "{error}");
        },
    )
}

fn max_tasks_per_child() -> Habit {
    differs(
        "`max_tasks_per_child=n` replaces a worker after n calls",
        "there is no such setting: a worker stays until it dies",
        (BUILDER, "it is not replaced after a number of tasks"),
        || {
            let rt = of(1).start().unwrap();
            let pids: Result<BTreeSet<u32>, _> = rt.map(pid, (0..500).map(|_| ())).collect();
            assert_eq!(pids.map(|pids| pids.len()), Ok(1));
            assert_eq!(rt.stats().workers[0].restarts, 0);
        },
    )
}

fn shutdown_waits() -> Habit {
    same(
        "`shutdown()` waits for all calls, begun or not",
        "`shutdown(Shutdown::Drain)`",
        || {
            let (rt, door) = (of(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            let queued = rt.spawn(double, 4);
            door.wait_for("busy");
            std::thread::scope(|threads| {
                let waits = threads.spawn(|| rt.shutdown(Shutdown::Drain));
                until("nothing is accepted", || rt.try_spawn(double, 1).is_err());
                assert!(!waits.is_finished());
                door.open();
                assert_eq!(waits.join().unwrap(), Ok(()));
            });
            assert!(busy.is_finished());
            assert_eq!(queued.join(), Ok(8));
        },
    )
}

fn submit_after_the_shutdown() -> Habit {
    differs(
        "`submit` raises after the shutdown",
        "`spawn` does not fail, its handle does; `try_spawn` says `Refusal::Shutdown`",
        (
            RUNTIME,
            "It does not fail: what goes wrong is returned by [`Handle::join`]",
        ),
        || {
            let rt = of(1).start().unwrap();
            assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
            assert!(is_shut_down(&rt.spawn(double, 1).join()));
            let refused = rt.try_spawn(double, 7).unwrap_err();
            assert_eq!((refused.refusal, refused.args), (Refusal::Shutdown, 7));
        },
    )
}

fn shutdown_that_does_not_wait() -> Habit {
    same(
        "`shutdown(wait=False)` takes no more calls, and returns; what there is ends",
        "`begin_shutdown(Shutdown::Drain)`; its value says when it is over",
        || {
            let (rt, door) = (of(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let ending = rt.begin_shutdown(Shutdown::Drain);
            assert!(rt.try_spawn(double, 1).is_err() && !ending.is_over());
            door.open();
            assert_eq!(ending.wait(), Ok(()));
            assert!(busy.join().is_ok());
        },
    )
}

fn a_keyboard_interrupt() -> Habit {
    differs(
        "Ctrl-C raises `KeyboardInterrupt` in whoever waits for a result",
        "it ends the program, unless there is a `Termination`: whoever waits for that says what comes of the tasks",
        (
            "src/runtime/signals.rs",
            "From when it is made to when it is dropped they do not end the process",
        ),
        || {
            use nix::sys::signal::{Signal, raise};
            let (rt, door) = (one(), Door::new());
            let termination = pinfold::Termination::new().unwrap();
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(double, 4);
            raise(Signal::SIGINT).unwrap();
            assert_eq!(termination.wait(), Some(Signal::SIGINT as i32));
            assert_eq!(rt.cancel_pending(), 1);
            assert!(is_cancelled(&queued.join()));
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}

fn shutdown_twice() -> Habit {
    same("`shutdown` twice does no harm", "nor here", || {
        let rt = of(1).start().unwrap();
        assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
        assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
    })
}

fn results_after_the_shutdown() -> Habit {
    same(
        "a future may be asked when its executor is gone",
        "a handle may outlive its runtime",
        || {
            let rt = of(1).start().unwrap();
            let handle = rt.spawn(double, 4);
            assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
            drop(rt);
            assert_eq!(handle.join(), Ok(8));
        },
    )
}

fn shutdown_cancels_what_is_queued() -> Habit {
    same(
        "`shutdown(cancel_futures=True)` cancels what is queued, and waits for what runs",
        "`cancel_pending()`, and then `shutdown(Shutdown::Drain)`",
        || {
            let (rt, door) = (of(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(double, 4);
            assert_eq!(rt.cancel_pending(), 1);
            assert!(is_cancelled(&queued.join()));
            door.open();
            assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
            assert!(busy.join().is_ok());
        },
    )
}

fn the_end_of_with() -> Habit {
    differs(
        "the end of `with` waits for all calls, however long they take",
        "a dropped runtime waits 5 s, or as `on_drop` says, and then ends what runs",
        (BUILDER, "Default: [`Shutdown::DrainFor`] 5 seconds"),
        || {
            let builder = || pinfold::Runtime::builder().workers(1).memory_cap(64 << 20);
            let rt = builder().start().unwrap();
            let ends = rt.spawn(double, 4);
            drop(rt);
            assert_eq!(ends.join(), Ok(8));
            let rt = builder()
                .on_drop(Shutdown::DrainFor(ms(10)))
                .start()
                .unwrap();
            let stays = rt.spawn(deaf, ());
            drop(rt);
            assert!(is_shut_down(&stays.join()));
        },
    )
}

fn terminate_workers() -> Habit {
    same(
        "`kill_workers()` (Python 3.14) ends what runs; its futures fail",
        "`shutdown(Shutdown::Abort)`",
        || {
            let rt = of(1).start().unwrap();
            let (runs, queued) = (rt.spawn(deaf, ()), rt.spawn(double, 1));
            assert_eq!(rt.shutdown(Shutdown::Abort), Ok(()));
            assert!(is_shut_down(&runs.join()) && is_shut_down(&queued.join()));
        },
    )
}

fn an_executor_in_a_call() -> Habit {
    differs(
        "a call may have an executor of its own",
        "a task has none, it spawns tasks of the same runtime: `pinfold::spawn`",
        (ERROR, "a runtime cannot be started inside a worker"),
        || {
            let inside = |(): ()| matches!(of(1).start(), Err(StartError::InsideWorker));
            assert_eq!(two().spawn(inside, ()).join(), Ok(true));
        },
    )
}

fn submit_in_a_call() -> Habit {
    fn depth(n: u64) -> u64 {
        match n {
            0 => 0,
            _ => 1 + pinfold::spawn(depth, n - 1).join().unwrap(),
        }
    }
    differs(
        "a call that submits to its own executor and waits may wait for ever",
        "a task runs what it waits for itself, if nobody has begun it",
        ("src/worker/child.rs", "never deadlocks, however deep"),
        || assert_eq!(one().spawn(depth, 300).join(), Ok(300)),
    )
}
