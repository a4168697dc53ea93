//! Parallel iterators.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::habit::{Habit, README, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        map_and_collect,
        collect_a_result,
        filter_map,
        sum,
        reduce_keeps_the_order,
        reduce_of_floats,
        reduce_of_nothing,
        for_each_runs_all,
        a_panic_in_for_each,
        try_for_each,
        par_bridge,
        find_any,
        with_min_len,
        par_chunks,
        enumerate,
        map_init,
        map_init_that_is_changed,
        borrowed_items,
    ]
}

fn map_and_collect() -> Habit {
    same(
        "`par_iter().map(f).collect()` is in the order of the items",
        "`rt.map(f, items).collect()`",
        || {
            let all: Result<Vec<u64>, _> = two().map(double, 0..1000).collect();
            assert!((0..1000).eq(all.unwrap().into_iter().map(|n| n / 2)));
        },
    )
}

fn collect_a_result() -> Habit {
    same(
        "`collect::<Result<Vec<_>, E>>()` of what returns `Result` stops at an error",
        "`rt.map(f, items).map(|it| it.map_err(…)?)`: `TaskError` becomes an `E`",
        || {
            let taken = Cell::new(0);
            let items = (0..100_000).inspect(|_| taken.set(taken.get() + 1));
            let rt = two();
            let halves = rt.map(half, items);
            let all: Result<Vec<u64>, String> = halves
                .map(|it| it.map_err(|error| error.to_string())?)
                .collect();
            assert_eq!(all, Err("1 is odd".into()));
            assert!(taken.get() < 1000, "{}", taken.get());
        },
    )
}

fn filter_map() -> Habit {
    same(
        "`filter_map(f)`",
        "`rt.map(f, items)` of an `Option`, and then `Iterator`'s `flatten` or `filter_map`",
        || {
            let even = |n: u64| n.is_multiple_of(2).then_some(n);
            let rt = two();
            let found: Vec<u64> = rt.map(even, 0..10).flatten().flatten().collect();
            assert_eq!(found, [0, 2, 4, 6, 8]);
        },
    )
}

fn sum() -> Habit {
    same(
        "`map(f).sum()`",
        "`rt.map(f, items).sum::<Result<u64, _>>()`; for short functions `chunked()`",
        || {
            let rt = two();
            let task = rt.task(double);
            assert_eq!(task.map(0..100).sum::<Result<u64, _>>(), Ok(9900));
            let chunks = task.chunked().map(0..100);
            assert_eq!(chunks.sum::<Result<u64, _>>(), Ok(9900));
        },
    )
}

fn reduce_keeps_the_order() -> Habit {
    same(
        "`reduce` takes neighbours in their order: it need not commute",
        "`rt.task(f).reduce(items, combine)`",
        || {
            let rt = two();
            let word = rt.task(|n: u32| n.to_string());
            let joined = word.reduce(0..100, |(a, b): (String, String)| a + &b);
            let expected: String = (0..100).map(|n| n.to_string()).collect();
            assert_eq!(joined, Ok(Some(expected)));
        },
    )
}

fn reduce_of_floats() -> Habit {
    differs(
        "a sum of floats differs from run to run, as the pieces do",
        "the tree is the same in each run, and so is the sum",
        (README, "in the same order on every run"),
        || {
            let rt = two();
            let term = |n: u32| 1.0 / (1.0 + f64::from(n));
            let sum = || rt.task(term).reduce(0..3000, |(a, b): (f64, f64)| a + b);
            let first = sum().unwrap().unwrap();
            assert!((0..3).all(|_| sum().unwrap().unwrap().to_bits() == first.to_bits()));
        },
    )
}

fn reduce_of_nothing() -> Habit {
    same(
        "`reduce_with` of nothing is `None`",
        "`reduce` is; there is no identity to give",
        || {
            let sum = |(a, b): (u64, u64)| a + b;
            assert_eq!(two().task(double).reduce([], sum), Ok(None));
        },
    )
}

fn for_each_runs_all() -> Habit {
    same(
        "`for_each(f)` returns when all have been run",
        "`rt.task(f).for_each(items)?`",
        || {
            let (rt, door) = (two(), Door::new());
            let mark = |place: Place| {
                pass(place);
            };
            let places = (0..50).map(|n| door.at(n));
            assert_eq!(rt.task(mark).for_each(places), Ok(()));
            assert!((0..50).all(|n| door.has_come(n)));
        },
    )
}

fn a_panic_in_for_each() -> Habit {
    differs(
        "a panic in `for_each` goes on in the caller",
        "it is the `Err` of `for_each`, and cancels what was not begun",
        (
            "src/runtime/for_each.rs",
            "The first item that ends with an error cancels the rest",
        ),
        || {
            let rt = two();
            let outcome = rt.task(|n: u64| assert!(n != 7, "seven")).for_each(0..100);
            assert_eq!(panic_of(&outcome), "seven");
        },
    )
}

fn try_for_each() -> Habit {
    same(
        "`try_for_each(f)` stops at an `Err`, and returns it",
        "as `TaskError::Returned`",
        || {
            let taken = Cell::new(0);
            let items = (0..100_000).inspect(|_| taken.set(taken.get() + 1));
            let check = |n: u64| half(n).map(drop);
            let rt = two();
            let error = rt.task(check).try_for_each(items).unwrap_err();
            assert!(error.to_string().contains("is odd"), "{error}");
            assert!(taken.get() < 1000, "{}", taken.get());
        },
    )
}

fn par_bridge() -> Habit {
    same(
        "`par_bridge()` takes from any iterator, and yields in any order",
        "`map_unordered`: every iterator will do, a channel's too",
        || {
            let (send, receive) = std::sync::mpsc::channel();
            let feeder = std::thread::spawn(move || (0..100).for_each(|n| send.send(n).unwrap()));
            let rt = two();
            let mut all: Vec<u64> = rt
                .task(double)
                .map_unordered(receive)
                .map(|(_, value)| value.unwrap())
                .collect();
            feeder.join().unwrap();
            all.sort();
            assert!((0..100).eq(all.into_iter().map(|n| n / 2)));
        },
    )
}

fn find_any() -> Habit {
    same(
        "`find_any` stops all when one has found something",
        "`join_any(handles)` cancels the others; a loop over `map_unordered` can be left",
        || {
            let (rt, door) = (one(), Door::new());
            let first = rt.spawn(pass, door.at("first"));
            let behind = (0..20).map(|_| rt.spawn(pass, door.at("behind")));
            let mut handles = vec![first];
            handles.extend(behind);
            let (_, found) = pinfold::join_any(handles).unwrap();
            assert_ne!(found, std::process::id());
            let rt = two();
            let mut squares = rt.task(|n: u64| n * n).map_unordered(0..);
            let found = squares.find(|(_, square)| *square == Ok(49));
            assert_eq!(found, Some((7, Ok(49))));
        },
    )
}

fn with_min_len() -> Habit {
    differs(
        "`with_min_len(n)`: not less than n items at a time",
        "`chunked()` takes so many that they last some 100 µs",
        (
            "src/runtime/chunks.rs",
            "puts several items into one task, as many as take about 100 µs together",
        ),
        || {
            let rt = of(1).start().unwrap();
            assert_eq!(rt.task(double).chunked().map(0..4000).count(), 4000);
            assert!(rt.stats().tasks.submitted < 4000);
        },
    )
}

fn par_chunks() -> Habit {
    same(
        "`with_max_len(n)`, `par_chunks(n)`: n items at a time",
        "`chunked().chunk_size(n)`",
        || {
            let rt = two();
            let before = rt.stats().tasks.submitted;
            let task = rt.task(|_: u64| ()).chunked().chunk_size(25);
            assert_eq!(task.for_each(0..100), Ok(()));
            assert_eq!(rt.stats().tasks.submitted, before + 4);
        },
    )
}

fn enumerate() -> Habit {
    same(
        "`enumerate()` knows each item's number, in any order",
        "`map_unordered` yields it with the outcome",
        || {
            let rt = two();
            let mut count = 0;
            for (n, outcome) in rt.task(double).map_unordered(100..200) {
                assert_eq!(outcome, Ok(2 * (100 + n as u64)));
                count += 1;
            }
            assert_eq!(count, 100);
        },
    )
}

fn map_init() -> Habit {
    same(
        "`map_init(init, f)` makes something once for many items",
        "`worker_init`, once for each worker; `worker_state` in the task",
        || {
            let rt = of(2)
                .worker_init(|| Ok::<_, String>(AtomicU64::new(0)))
                .start()
                .unwrap();
            let counts = |n: u64| {
                let calls = pinfold::worker_state::<AtomicU64>().unwrap();
                // Relaxed: only the number matters.
                (
                    std::process::id(),
                    1 + calls.fetch_add(1, Ordering::Relaxed),
                    n,
                )
            };
            let mut last = std::collections::BTreeMap::new();
            for it in rt.map(counts, 0..100) {
                let (worker, count, _) = it.unwrap();
                last.entry(worker)
                    .and_modify(|most: &mut u64| *most = count.max(*most))
                    .or_insert(count);
            }
            assert_eq!(last.values().sum::<u64>(), 100);
        },
    )
}

fn map_init_that_is_changed() -> Habit {
    same(
        "`for_each_init(init, |state, item| …)` gets its state to change it: a buffer, a generator",
        "`executor_init(init)`, and `context().with_state_mut(|state| …)` in the task",
        || {
            let rt = of(2)
                .executor_init(|| Ok::<_, String>(Vec::<u64>::new()))
                .start()
                .unwrap();
            let pushes = |n: u64| {
                let len = pinfold::context().with_state_mut(|all: &mut Vec<u64>| {
                    all.push(n);
                    all.len()
                });
                (std::process::id(), len.unwrap())
            };
            let mut most = std::collections::BTreeMap::new();
            for it in rt.map(pushes, 0..100) {
                let (worker, len) = it.unwrap();
                let known = most.entry(worker).or_insert(0);
                *known = len.max(*known);
            }
            assert_eq!(most.values().sum::<usize>(), 100);
        },
    )
}

fn borrowed_items() -> Habit {
    differs(
        "items and closures borrow from the stack",
        "items are sent to another process: owned (`iter().cloned()`), or written to shared memory (`Shared`)",
        (
            README,
            "A closure that captures something cannot be a task.",
        ),
        || {
            let rt = two();
            let words = ["one", "two", "three"];
            let lengths = rt.map(|word: String| word.len(), words.map(String::from));
            assert!(lengths.eq(words.iter().map(|word| Ok(word.len()))));
        },
    )
}
