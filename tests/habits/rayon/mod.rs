//! rayon.

mod iterators;
mod join;
mod scope;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::Priority;

use crate::habit::{AROUND, BUILDER, ERROR, Habit, Library, README, differs, habits, same};
use crate::stage::*;

pub fn libraries() -> Vec<Library> {
    let habits = [
        join::habits(),
        iterators::habits(),
        scope::habits(),
        habits![
            spawn_and_forget,
            a_panic_in_spawn,
            the_number_of_threads,
            current_thread_index,
            broadcast,
            spawn_broadcast,
            the_global_pool,
            the_size_of_stacks,
            start_handler,
            install,
            stealing,
            what_blocks_a_thread,
            thread_locals_stay,
            statics_are_shared,
            an_abort_in_a_closure,
            nothing_is_urgent,
            threads_within,
            a_pool_within_a_pool,
        ],
    ];
    vec![Library {
        short: "rayon",
        title: "rayon",
        first: "A `ThreadPool` is a `Runtime`, which is always made, never global. Parallel iterators are `map`, \
                `for_each`, `reduce` of a task; closures borrow nothing.",
        habits: habits.into_iter().flatten().collect(),
    }]
}

fn spawn_and_forget() -> Habit {
    same(
        "`spawn(f)` runs it some time, and nobody waits",
        "`drop(rt.spawn(f, args))`",
        || {
            let (rt, door) = (two(), Door::new());
            drop(rt.spawn(pass, door.at("it")));
            door.wait_for("it");
        },
    )
}

fn a_panic_in_spawn() -> Habit {
    differs(
        "a panic in `spawn` aborts the program, if there is no `panic_handler`",
        "it is a `tracing` event and is counted",
        (AROUND, "Both are counted: `Totals::task_panics`"),
        || {
            let rt = of(1).start().unwrap();
            drop(rt.spawn(inverse, 0));
            until("it is counted", || rt.stats().totals.task_panics == 1);
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn the_number_of_threads() -> Habit {
    same(
        "`ThreadPoolBuilder::num_threads(n)`, `current_num_threads()`",
        "`workers(n)`, or `threads_per_worker(n)` where one crash may take several tasks; `stats().workers`",
        || {
            let rt = of(2).threads_per_worker(2).start().unwrap();
            let workers = rt.stats().workers;
            assert_eq!(workers.len(), 2);
            assert!(workers.iter().all(|worker| worker.cpus.len() == 2));
        },
    )
}

fn current_thread_index() -> Habit {
    same(
        "`current_thread_index()` is below `current_num_threads()`, and `None` outside",
        "`context().worker()` and `worker_count()`",
        || {
            let (rt, door) = (two(), Door::new());
            let place = |place: Place| {
                wait_at(place);
                let here = pinfold::context();
                (here.worker(), here.worker_count())
            };
            let both = [0, 1].map(|n| rt.spawn(place, door.at(n)));
            door.wait_for(0);
            door.wait_for(1);
            door.open();
            let mut places = both.map(|it| it.join().unwrap());
            places.sort();
            assert_eq!(places, [(Some(0), Some(2)), (Some(1), Some(2))]);
            assert_eq!(pinfold::context().worker(), None);
        },
    )
}

fn broadcast() -> Habit {
    same(
        "`broadcast(f)` runs once on each thread, and gives the values in their order",
        "`rt.broadcast(f, args)` runs once in each worker; `gather(handles, on_error::Raise)?`",
        || {
            let handles = two().broadcast(|()| pinfold::context().worker(), ());
            let workers = pinfold::gather(handles, pinfold::on_error::Raise);
            assert_eq!(workers, Ok(vec![Some(0), Some(1)]));
        },
    )
}

fn spawn_broadcast() -> Habit {
    same(
        "`spawn_broadcast(f)` does not wait; a thread runs it when it has nothing else",
        "`broadcast` gives handles; behind a long task it waits",
        || {
            let (rt, door) = (two(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let all = rt.broadcast(pid, ());
            let waited = pinfold::wait(&all, pinfold::WaitFor::First, None);
            assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
            door.open();
            let first = busy.join().unwrap();
            let pids: Vec<u32> = all.into_iter().map(|it| it.join().unwrap()).collect();
            assert!(pids.contains(&first) && pids[0] != pids[1]);
        },
    )
}

fn the_global_pool() -> Habit {
    differs(
        "nothing need be set up: there is a global pool",
        "`pinfold::init()` comes first in `main`, and a `Runtime` is made and passed on",
        (
            README,
            "first thing in `main`: in a worker process it does not return",
        ),
        || {
            let rt = two();
            assert_eq!(
                rt.spawn(pid, ())
                    .join()
                    .map(|pid| pid == std::process::id()),
                Ok(false)
            );
        },
    )
}

fn the_size_of_stacks() -> Habit {
    same(
        "`stack_size(bytes)` for the pool's threads",
        "`Builder::stack_size`",
        || {
            fn deep(frames: u64) -> u64 {
                let frame = std::hint::black_box([frames; 512]);
                frame[7].min(1) + if frames == 0 { 0 } else { deep(frames - 1) }
            }
            let rt = of(1).stack_size(64 << 20).start().unwrap();
            assert_eq!(rt.spawn(deep, 4000).join(), Ok(4000));
            let rt = of(1).stack_size(1 << 20).start().unwrap();
            assert!(has_died(&rt.spawn(deep, 4000).join()));
        },
    )
}

fn start_handler() -> Habit {
    same(
        "`start_handler` is called on each thread at its start",
        "`worker_init` in each worker",
        || {
            let named = || Ok::<_, String>("made at the start".to_owned());
            let rt = of(2).worker_init(named).start().unwrap();
            let seen = |_: u32| pinfold::worker_state::<String>().cloned();
            assert!(rt.map(seen, 0..20).all(|it| it.unwrap().is_some()));
        },
    )
}

fn install() -> Habit {
    same(
        "`pool.install(f)` runs `f` in the pool, and waits for its value",
        "`rt.spawn(f, args).join()?`",
        || {
            let inside = |n: u64| pinfold::current_task().is_some().then_some(n);
            assert_eq!(two().spawn(inside, 7).join(), Ok(Some(7)));
        },
    )
}

fn stealing() -> Habit {
    same(
        "what waits behind something long is taken by another thread",
        "by another worker",
        || {
            let (rt, door) = (two(), Door::new());
            let long = rt.spawn(wait_at, door.at("long"));
            let short: Vec<_> = (0..200).map(|n| rt.spawn(double, n)).collect();
            assert!(short.into_iter().all(|it| it.join().is_ok()));
            door.open();
            assert!(long.join().is_ok());
        },
    )
}

fn what_blocks_a_thread() -> Habit {
    same(
        "a closure that blocks keeps its thread from others",
        "a task that blocks keeps its worker",
        || {
            let (rt, door) = (one(), Door::new());
            let blocks = rt.spawn(wait_at, door.at("it"));
            door.wait_for("it");
            let mut next = rt.spawn(double, 1);
            assert!(next.join_timeout(ms(20)).is_none());
            door.open();
            assert!(blocks.join().is_ok());
            assert_eq!(next.join(), Ok(2));
        },
    )
}

fn thread_locals_stay() -> Habit {
    thread_local! {
        static CALLS: Cell<u64> = const { Cell::new(0) };
    }
    same(
        "thread-locals stay from task to task",
        "in each executor",
        || {
            let rt = of(1).start().unwrap();
            let calls = |_: ()| CALLS.replace(CALLS.get() + 1);
            assert_eq!(
                [rt.spawn(calls, ()).join(), rt.spawn(calls, ()).join()],
                [Ok(0), Ok(1)]
            );
        },
    )
}

fn statics_are_shared() -> Habit {
    static TOTAL: AtomicU64 = AtomicU64::new(0);
    differs(
        "an atomic in a static is everybody's",
        "it is each process's own; return parts, and add them up here",
        (
            README,
            "It does not see the host's statics as the host has changed them",
        ),
        || {
            // Relaxed: only the number matters.
            let adds = |n: u64| TOTAL.fetch_add(n, Ordering::Relaxed) + n;
            assert_eq!(two().spawn(adds, 5).join(), Ok(5));
            assert_eq!(TOTAL.load(Ordering::Relaxed), 0);
        },
    )
}

fn an_abort_in_a_closure() -> Habit {
    differs(
        "a segfault, an abort, an `exit` in a closure end the program",
        "they end the task, and its worker is replaced",
        (
            README,
            "| a segfault in a task | ends that attempt | ends the program |",
        ),
        || {
            let rt = two();
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn nothing_is_urgent() -> Habit {
    differs(
        "there are no priorities",
        "there are four: what is urgent is begun before what has waited longer",
        (
            README,
            "A worker takes from the highest level at which tasks wait",
        ),
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let late = rt.spawn(pass, door.at("late"));
            let looks = |(other, _): Place| other.exists();
            let task = rt.task(looks).priority(Priority::Urgent);
            let urgent = task.spawn(door.at("late"));
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(urgent.join(), Ok(false), "the other has not begun");
            assert!(late.join().is_ok());
        },
    )
}

fn threads_within() -> Habit {
    differs(
        "threads that a closure starts have all CPUs",
        "a worker is pinned to one CPU, and so is what its tasks start; with `pin(false)` it has all",
        (
            BUILDER,
            "Threads and programs that a task starts inherit that one CPU",
        ),
        || {
            let cpus = |(): ()| std::thread::available_parallelism().map_or(0, |n| n.get());
            assert_eq!(two().spawn(cpus, ()).join(), Ok(1));
            let rt = of(1).pin(false).start().unwrap();
            assert_eq!(rt.spawn(cpus, ()).join(), Ok(cpus(())));
        },
    )
}

fn a_pool_within_a_pool() -> Habit {
    differs(
        "a pool may be made within another's thread",
        "not a `Runtime` in a task; a pool of threads may",
        (ERROR, "a runtime cannot be started inside a worker"),
        || {
            let inside = |(): ()| {
                let threads = std::thread::scope(|s| s.spawn(|| 7).join().unwrap());
                (threads, of(1).start().is_err())
            };
            assert_eq!(two().spawn(inside, ()).join(), Ok((7, true)));
        },
    )
}
