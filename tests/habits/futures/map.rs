//! `Executor.map`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pinfold::{gather, on_error};

use crate::habit::{Habit, MAP, RUNTIME, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        map_is_in_order,
        map_of_several,
        map_of_nothing,
        map_takes_all_items_at_once,
        map_begins_at_once,
        map_without_end,
        map_with_a_buffersize,
        an_item_that_raises_ends_the_map,
        a_chunk_with_a_bad_item,
        chunksize,
        chunksize_by_trying,
        a_source_that_raises,
        two_maps_at_a_time,
        run_in_executor,
        gather_with_exceptions,
    ]
}

fn map_is_in_order() -> Habit {
    same(
        "`map(f, items)` yields in the order of the items, whichever ends first",
        "`rt.map(f, items)`",
        || {
            let (rt, door) = (two(), Door::new());
            // The first ends when the second has begun, which ends at once.
            let ((first, _), (second, _)) = (door.at(0), door.at(1));
            let places = [(first, second.clone()), (second.clone(), second)];
            let numbered = |(n, place): (u32, Place)| (wait_at(place) > 0).then_some(n);
            let order: Vec<_> = rt.map(numbered, (0..).zip(places)).collect();
            assert_eq!(order, [Ok(Some(0)), Ok(Some(1))]);
            assert!(rt.map(double, 0..500).eq((0..500).map(|n| Ok(2 * n))));
        },
    )
}

fn map_of_several() -> Habit {
    same(
        "`map(f, xs, ys)` goes through several, to the end of the shortest",
        "`rt.map(f, xs.zip(ys))`",
        || {
            let sums = two()
                .map(|(a, b): (u64, u64)| a + b, (1..).zip([10, 20]))
                .collect::<Result<Vec<_>, _>>();
            assert_eq!(sums, Ok(vec![11, 22]));
        },
    )
}

fn map_of_nothing() -> Habit {
    same("`map` of nothing yields nothing", "so it does", || {
        assert_eq!(two().map(double, []).count(), 0);
    })
}

fn map_takes_all_items_at_once() -> Habit {
    differs(
        "`map` takes all items and submits them before it returns, if no `buffersize` is given",
        "it takes some ahead of what was asked for",
        (
            MAP,
            "Pulls from `items` lazily, on the calling thread, and keeps a bounded number",
        ),
        || {
            let taken = Cell::new(0);
            let items = (0..10_000).inspect(|_| taken.set(taken.get() + 1));
            let rt = two();
            let mut map = rt.map(double, items);
            assert_eq!(map.next(), Some(Ok(0)));
            assert!((1..1000).contains(&taken.get()), "{}", taken.get());
            assert_eq!(map.count(), 9999);
        },
    )
}

fn map_begins_at_once() -> Habit {
    differs(
        "the calls run, whether somebody asks for their results or not",
        "nothing is submitted before the first `next`",
        (MAP, "Nothing is submitted before the first `next`"),
        || {
            let taken = Cell::new(0);
            let rt = two();
            let before = rt.stats().tasks.submitted;
            drop(rt.map(double, (0..9).inspect(|_| taken.set(1))));
            assert_eq!((taken.get(), rt.stats().tasks.submitted), (0, before));
        },
    )
}

fn map_without_end() -> Habit {
    differs(
        "`map` of items without end never returns",
        "it yields as long as somebody asks",
        (RUNTIME, "so the input may be endless"),
        || {
            let rt = two();
            let first: Result<Vec<u64>, _> = rt.map(double, 0..).take(3).collect();
            assert_eq!(first, Ok(vec![0, 2, 4]));
        },
    )
}

fn map_with_a_buffersize() -> Habit {
    same(
        "`map(f, items, buffersize=n)` (Python 3.14) keeps n in flight",
        "`rt.task(f).in_flight(n).map(items)`",
        || {
            let taken = Cell::new(0);
            let items = (0..100).inspect(|_| taken.set(taken.get() + 1));
            let rt = two();
            let mut map = rt.task(double).in_flight(4).map(items);
            assert_eq!(map.next(), Some(Ok(0)));
            assert!(taken.get() <= 5, "{}", taken.get());
            assert_eq!(map.count(), 99);
        },
    )
}

fn an_item_that_raises_ends_the_map() -> Habit {
    differs(
        "at an item that raises `map` raises, and is over",
        "it yields an `Err` there, and goes on; `collect::<Result<Vec<_>, _>>()` stops there",
        (
            MAP,
            "An item without a value is an `Err` among the others, which go on",
        ),
        || {
            let rt = two();
            let all: Vec<_> = rt.map(inverse, [1, 0, 2]).collect();
            assert_eq!((&all[0], &all[2]), (&Ok(1000), &Ok(500)));
            assert_eq!(panic_of(&all[1]), "attempt to divide by zero");
            let all: Result<Vec<_>, _> = rt.map(inverse, [1, 0, 2]).collect();
            assert!(all.is_err());
        },
    )
}

fn a_chunk_with_a_bad_item() -> Habit {
    same(
        "with `chunksize` an item that raises takes the results of its chunk along",
        "so does a panic in a chunk of `chunked()`; an `Err` is its item's alone",
        || {
            let rt = two();
            let outcomes: Vec<_> = rt.task(half).chunked().map(0..2000).collect();
            assert_eq!(outcomes.len(), 2000);
            for (n, outcome) in (0..).zip(outcomes) {
                assert_eq!(outcome, Ok(half(n)));
            }
            let small = |n: u64| {
                assert!(n != 1500, "a bad one");
                n
            };
            let lost = rt
                .task(small)
                .chunked()
                .map(0..2000)
                .filter(|it| it.is_err());
            assert!((1..1024).contains(&lost.count()));
        },
    )
}

fn chunksize() -> Habit {
    same(
        "`map(f, items, chunksize=n)` puts n items into one call",
        "`rt.task(f).chunked().chunk_size(n).map(items)`",
        || {
            let rt = two();
            let before = rt.stats().tasks.submitted;
            let all = rt.task(double).chunked().chunk_size(100).map(0..1000);
            assert!(all.eq((0..1000).map(|n| Ok(2 * n))));
            assert_eq!(rt.stats().tasks.submitted, before + 10);
        },
    )
}

fn chunksize_by_trying() -> Habit {
    differs(
        "a good `chunksize` has to be found for each function by trying",
        "`chunked()` finds it, by how long the items before took",
        (
            "src/runtime/chunks.rs",
            "by what was measured for those before; at most 1024",
        ),
        || {
            let rt = of(2).start().unwrap();
            let sum: Result<u64, _> = rt.task(double).chunked().map(0..5000).sum();
            assert_eq!(sum, Ok(4999 * 5000));
            let tasks = rt.stats().tasks.submitted;
            assert!(tasks < 5000, "{tasks} tasks");
        },
    )
}

fn a_source_that_raises() -> Habit {
    same(
        "an exception of the iterable is the caller's; the executor goes on",
        "items are pulled on the calling thread, so a panic of theirs is the caller's",
        || {
            let rt = two();
            let items = (0..10).inspect(|n| {
                if *n == 5 {
                    std::panic::resume_unwind(Box::new("no more"));
                }
            });
            let count = || rt.map(double, items).count();
            let thrown = catch_unwind(AssertUnwindSafe(count)).unwrap_err();
            assert_eq!(thrown.downcast_ref(), Some(&"no more"));
            assert_eq!(rt.map(double, 0..3).count(), 3);
        },
    )
}

fn two_maps_at_a_time() -> Habit {
    same(
        "two maps of one executor go side by side",
        "so they do",
        || {
            let rt = two();
            let (small, large) = (rt.map(double, 0..300), rt.map(inverse, 1..301));
            assert!(small.zip(large).all(|(a, b)| a.is_ok() && b.is_ok()));
        },
    )
}

fn run_in_executor() -> Habit {
    same(
        "`await loop.run_in_executor(pool, f, x)` of asyncio",
        "`rt.spawn(f, x).await`, under any executor",
        || {
            let rt = two();
            let both = async { (rt.spawn(double, 1).await, rt.spawn(double, 2).await) };
            assert_eq!(block_on(both), (Ok(2), Ok(4)));
        },
    )
}

fn gather_with_exceptions() -> Habit {
    same(
        "`asyncio.gather(*fs, return_exceptions=True)`",
        "`gather(handles, on_error::Keep)`, or `join_all(handles)`",
        || {
            let rt = two();
            let handles = [1, 0].map(|n| rt.spawn(inverse, n));
            let all = gather(handles, on_error::Keep);
            assert_eq!(all[0], Ok(1000));
            assert_eq!(panic_of(&all[1]), "attempt to divide by zero");
        },
    )
}
