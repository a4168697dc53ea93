//! joblib, and loky beneath it.

use std::cell::Cell;
use std::collections::BTreeSet;

use pinfold::{Constant, Memo, Shared, on_error};

use crate::habit::{
    BUILDER, Habit, Library, MAP, README, RUNTIME, SETTINGS, differs, habits, same,
};
use crate::stage::*;

pub fn libraries() -> Vec<Library> {
    vec![Library {
        short: "joblib",
        title: "Python: joblib",
        first: "`Parallel(n_jobs=n)(delayed(f)(x) for x in xs)` is `rt.map(f, xs)`; the workers stay, as loky's do.",
        habits: habits![
            parallel_is_in_order,
            all_cpus,
            one_job,
            batch_size,
            pre_dispatch,
            a_generator,
            a_generator_unordered,
            an_exception_ends_all,
            an_exception_as_a_value,
            a_timeout,
            a_worker_that_dies,
            arrays,
            large_arrays,
            a_closure_with_a_model,
            arrays_are_read_only,
            a_cache_of_results,
            a_cache_and_errors,
            a_cache_is_cleared,
            workers_are_reused,
            workers_that_grow,
            verbose,
            threads_of_a_job,
            parallel_in_parallel,
            files_of_the_pool,
        ],
    }]
}

fn parallel_is_in_order() -> Habit {
    same(
        "`Parallel(n_jobs=2)(delayed(f)(x) for x in xs)` is a list in the order of `xs`",
        "`rt.map(f, xs).collect::<Result<Vec<_>, _>>()?`",
        || {
            let list: Result<Vec<u64>, _> = two().map(double, 0..50).collect();
            assert!((0..50).eq(list.unwrap().into_iter().map(|n| n / 2)));
        },
    )
}

fn all_cpus() -> Habit {
    same(
        "`n_jobs=-1` takes all CPUs that the process may use",
        "so it is without `workers`",
        || {
            let rt = pinfold::Runtime::builder()
                .memory_cap(64 << 20)
                .start()
                .unwrap();
            let cpus = std::thread::available_parallelism().unwrap().get();
            assert!((cpus..=cpus + 1).contains(&rt.stats().workers.len()));
        },
    )
}

fn one_job() -> Habit {
    differs(
        "`n_jobs=1` runs all in the program itself: for a debugger",
        "a task is always in another process; to debug it, call the function",
        (README, "A task runs in another process"),
        || {
            assert_ne!(one().spawn(pid, ()).join(), Ok(pid(())));
            assert!(of(0).start().is_err());
        },
    )
}

fn batch_size() -> Habit {
    same(
        "`batch_size=\"auto\"` puts short calls together, `batch_size=n` so many",
        "`rt.task(f).chunked()`, and `chunk_size(n)`",
        || {
            let rt = of(1).start().unwrap();
            let task = rt.task(double).chunked();
            assert_eq!(task.map(0..4000).count(), 4000);
            let tasks = rt.stats().tasks.submitted;
            assert!(tasks < 4000);
            assert_eq!(task.chunk_size(50).map(0..100).count(), 100);
            assert_eq!(rt.stats().tasks.submitted, tasks + 2);
        },
    )
}

fn pre_dispatch() -> Habit {
    same(
        "`pre_dispatch=\"2*n_jobs\"` takes so many items ahead",
        "`in_flight(4)`; 64 for each executor otherwise",
        || {
            let taken = Cell::new(0);
            let items = (0..100).inspect(|_| taken.set(taken.get() + 1));
            let rt = two();
            let mut map = rt.task(double).in_flight(4).map(items);
            assert!(map.next().is_some());
            assert!(taken.get() <= 5);
            assert_eq!(map.count(), 99);
        },
    )
}

fn a_generator() -> Habit {
    same(
        "`return_as=\"generator\"` yields results in order, as they come",
        "`map` is an iterator",
        || {
            let (rt, door) = (two(), Door::new());
            let task = rt.task(|place: Option<Place>| place.map(wait_at).is_some());
            let mut map = task.map([None, Some(door.at("second"))]);
            assert_eq!(map.next(), Some(Ok(false)), "the second is not waited for");
            door.open();
            assert_eq!(map.next(), Some(Ok(true)));
        },
    )
}

fn a_generator_unordered() -> Habit {
    same(
        "`return_as=\"generator_unordered\"` yields what ends first",
        "`map_unordered`",
        || {
            let (rt, door) = (two(), Door::new());
            let task = rt.task(|place: Option<Place>| place.map(wait_at).is_some());
            let mut map = task.map_unordered([Some(door.at("first")), None]);
            assert_eq!(map.next(), Some((1, Ok(false))));
            door.open();
            assert_eq!(map.next(), Some((0, Ok(true))));
        },
    )
}

fn an_exception_ends_all() -> Habit {
    same(
        "an exception of one call ends the whole `Parallel`",
        "`collect` into a `Result` stops; `gather(…, on_error::Raise)`, `for_each` cancel the rest",
        || {
            let rt = two();
            let all: Result<Vec<u64>, _> = rt.map(inverse, [1, 0, 2]).collect();
            assert_eq!(panic_of(&all), "attempt to divide by zero");
            let handles = [1, 0, 2].map(|n| rt.spawn(inverse, n));
            assert!(pinfold::gather(handles, on_error::Raise).is_err());
        },
    )
}

fn an_exception_as_a_value() -> Habit {
    differs(
        "to keep the results of the others, the function has to catch its exceptions",
        "each item has its own outcome",
        (
            MAP,
            "An item without a value is an `Err` among the others, which go on",
        ),
        || {
            let rt = two();
            let values: Vec<u64> = rt.map(inverse, [1, 0, 2]).flatten().collect();
            assert_eq!(values, [1000, 500]);
        },
    )
}

fn a_timeout() -> Habit {
    differs(
        "`timeout=t`: a call that takes longer ends the whole `Parallel`",
        "`run_limit(t)`: it ends with its worker; the others go on",
        (
            SETTINGS,
            "The task may run for `limit`, from when it begins; how long it waits does not count",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let beside = rt.spawn(wait_at, door.at("beside"));
            door.wait_for("beside");
            let works = |n: u64| {
                if n == 3 {
                    deaf(())
                }
            };
            let outcomes = rt.task(works).run_limit(ms(200)).map(0..20);
            let late: Vec<usize> = (0..)
                .zip(outcomes)
                .filter(|(_, it)| is_late(it))
                .map(|(n, _)| n)
                .collect();
            assert!(late.contains(&3), "{late:?}");
            door.open();
            assert!(beside.join().is_ok());
        },
    )
}

fn a_worker_that_dies() -> Habit {
    differs(
        "a worker that dies ends the whole `Parallel`: `TerminatedWorkerError`",
        "it costs one item",
        (README, "the worker is replaced; the others go on"),
        || {
            let rt = two();
            let dies = |n: u64| if n == 3 { dies(n) } else { n };
            let outcomes: Vec<_> = rt.map(dies, 0..20).collect();
            assert!(has_died(&outcomes[3]));
            assert_eq!(outcomes.iter().filter(|it| it.is_ok()).count(), 19);
        },
    )
}

fn arrays() -> Habit {
    same(
        "arrays of numbers are sent as they lie in memory (pickle's protocol 5)",
        "so are `Vec<f64>`, `Vec<u8>`, `String` and their like, also within structs",
        || {
            let numbers: Vec<f64> = (0..100_000).map(f64::from).collect();
            let halves = |(name, all): (String, Vec<f64>)| {
                let half: Vec<f64> = all.iter().map(|n| n / 2.0).collect();
                (name, half)
            };
            let (name, half) = two()
                .spawn(halves, ("x".into(), numbers.clone()))
                .join()
                .unwrap();
            assert_eq!(name, "x");
            assert!(numbers.into_iter().eq(half.into_iter().map(|n| 2.0 * n)));
        },
    )
}

fn large_arrays() -> Habit {
    differs(
        "an array larger than `max_nbytes` is written to a file, which workers map",
        "what is to be passed without a copy is written to shared memory in the first place: `rt.alloc`, `publish`",
        (
            RUNTIME,
            "large data travel as [`Shared`](crate::Shared) or [`Loan`](crate::Loan), without a copy",
        ),
        || {
            let rt = two();
            let mut data = rt.alloc(8 << 20).unwrap();
            data.fill(3);
            let data = data.publish();
            let part = |(data, part): (Shared, usize)| {
                let len = data.len() / 4;
                data[part * len..][..len]
                    .iter()
                    .map(|byte| u64::from(*byte))
                    .sum::<u64>()
            };
            let parts = (0..4).map(|n| (data.clone(), n));
            assert_eq!(
                rt.map(part, parts).sum::<Result<u64, _>>(),
                Ok(3 * (8 << 20))
            );
        },
    )
}

fn a_closure_with_a_model() -> Habit {
    differs(
        "`delayed(lambda x: model.predict(x))`: cloudpickle sends the model with each batch",
        "a closure does not capture; the model is a `Constant` in the argument, or made by `worker_init`",
        (
            README,
            "A closure that captures something cannot be a task.",
        ),
        || {
            let rt = two();
            let model = rt.constant(vec![2.0, 0.5]).unwrap();
            let predicts = |(model, x): (Constant<Vec<f64>>, f64)| model[0] * x + model[1];
            let items = [1.0, 2.0].map(|x| (model.clone(), x));
            let predicted: Result<Vec<f64>, _> = rt.map(predicts, items).collect();
            assert_eq!(predicted, Ok(vec![2.5, 4.5]));
        },
    )
}

fn arrays_are_read_only() -> Habit {
    same(
        "a mapped array is read-only for calls (`mmap_mode=\"r\"`): to write to it is an error",
        "a `Shared` cannot be written to; a `Loan` can, by its one owner",
        || {
            let rt = two();
            let mut data = rt.alloc(100).unwrap();
            data.fill(1);
            let changed = |mut it: pinfold::Loan| {
                it[0] = 7;
                it.publish()
            };
            let data = rt.spawn(changed, data).join().unwrap();
            let first = |it: Shared| it[0];
            assert_eq!(rt.spawn(first, data.clone()).join(), Ok(7));
            assert_eq!(data[0], 7);
        },
    )
}

fn a_cache_of_results() -> Habit {
    differs(
        "`Memory(dir).cache(f)` keeps results on disk, from run to run",
        "`Memo` keeps them in the program's memory, and of a bounded number",
        ("src/runtime/memo.rs", "in the host's memory"),
        || {
            let (rt, memo) = (two(), Memo::new(10));
            let task = rt.task(double).memoized(&memo);
            assert_eq!([task.spawn(4).join(), task.spawn(4).join()], [Ok(8), Ok(8)]);
            assert_eq!((memo.hits(), memo.misses()), (1, 1));
        },
    )
}

fn a_cache_and_errors() -> Habit {
    same(
        "what raised is not cached",
        "neither is a `TaskError`, nor an `Err`",
        || {
            let (rt, memo) = (two(), Memo::new(10));
            let task = rt.task(half).memoized(&memo);
            // For a moment after its end a call counts as in flight, and is joined.
            until("it is run again", || {
                assert_eq!(task.spawn(1).join(), Ok(Err("1 is odd".into())));
                memo.misses() == 2
            });
        },
    )
}

fn a_cache_is_cleared() -> Habit {
    same("`memory.clear()`", "`memo.clear()`", || {
        let (rt, memo) = (two(), Memo::new(10));
        let task = rt.task(double).memoized(&memo);
        assert_eq!(task.spawn(4).join(), Ok(8));
        memo.clear();
        assert_eq!(task.spawn(4).join(), Ok(8));
        assert_eq!(memo.misses(), 2);
    })
}

fn workers_are_reused() -> Habit {
    same(
        "loky's workers are there for the next `Parallel`",
        "a runtime's are there until it ends",
        || {
            let rt = two();
            let pids = || -> BTreeSet<u32> { rt.map(pid, (0..50).map(|_| ())).flatten().collect() };
            let all: BTreeSet<u32> = pids().union(&pids()).copied().collect();
            assert!(all.len() <= 2, "{all:?}");
        },
    )
}

fn workers_that_grow() -> Habit {
    differs(
        "loky replaces a worker that has leaked memory",
        "a worker is not replaced for its memory",
        (BUILDER, "nor for the memory that it has"),
        || {
            let rt = of(1).start().unwrap();
            let leaks = |n: usize| (Vec::<u8>::leak(vec![7; n]).len(), std::process::id()).1;
            let pids: BTreeSet<u32> = rt.map(leaks, [1 << 20; 20]).flatten().collect();
            assert_eq!(pids.len(), 1);
            assert_eq!(rt.stats().workers[0].restarts, 0);
        },
    )
}

fn verbose() -> Habit {
    same(
        "`verbose=10` prints how many are done",
        "`rt.task(f).execute_all(items, |done, total| …)` calls you",
        || {
            let mut seen = Vec::new();
            let outcomes = two()
                .task(double)
                .execute_all(0..5, |done, total| seen.push((done, total)));
            assert_eq!(outcomes.len(), 5);
            assert!(seen.into_iter().eq((1..=5).map(|done| (done, 5))));
        },
    )
}

fn threads_of_a_job() -> Habit {
    same(
        "a job's own thread pools (BLAS, OpenMP) have `cpu_count / n_jobs` threads",
        "they find one CPU: that of the worker",
        || {
            let cpus = |(): ()| std::thread::available_parallelism().map_or(0, |n| n.get());
            assert_eq!(two().spawn(cpus, ()).join(), Ok(1));
        },
    )
}

fn parallel_in_parallel() -> Habit {
    differs(
        "a `Parallel` in a job runs one after the other, or on threads",
        "`pinfold::spawn` in a task: any worker that has nothing to do helps",
        (README, "nobody has begun runs it on the spot"),
        || {
            let sum = |n: u64| {
                let parts: Vec<_> = (0..n).map(|n| pinfold::spawn(double, n)).collect();
                parts
                    .into_iter()
                    .map(|part| part.join().unwrap())
                    .sum::<u64>()
            };
            let sums = two().map(sum, [10, 100]).collect::<Result<Vec<_>, _>>();
            assert_eq!(sums, Ok(vec![90, 9900]));
        },
    )
}

fn files_of_the_pool() -> Habit {
    differs(
        "loky has semaphores and maps in `/dev/shm`, which may stay there when it is killed",
        "nothing of ours has a name there, at any time",
        (README, "nothing stays in `/dev/shm` or `/tmp`"),
        || {
            let rt = two();
            let _data = rt.alloc(1 << 20).unwrap();
            let names = std::fs::read_dir("/dev/shm")
                .into_iter()
                .flatten()
                .flatten();
            let ours = names.filter(|it| it.file_name().to_string_lossy().contains("pinfold"));
            assert_eq!(ours.count(), 0);
        },
    )
}
