//! `multiprocessing.Pool` of Python.

mod processes;

use std::cell::Cell;
use std::sync::mpsc::channel;

use pinfold::{Shutdown, TaskError};

use crate::habit::{BUILDER, CALLBACKS, Habit, Library, MAP, README, differs, habits, same};
use crate::stage::*;

pub fn libraries() -> Vec<Library> {
    vec![Library {
        short: "pool",
        title: "Python: multiprocessing.Pool",
        first: "A `Pool` is a `Runtime`, an `AsyncResult` is a `Handle`; `imap` is `map` here.",
        habits: [calls(), processes::habits()]
            .into_iter()
            .flatten()
            .collect(),
    }]
}

fn calls() -> Vec<(&'static str, Habit)> {
    habits![
        apply_waits,
        apply_async_and_get,
        get_with_a_timeout,
        ready_and_successful,
        callback_and_error_callback,
        map_gives_a_list,
        map_of_what_raises,
        map_of_nothing,
        imap_takes_the_whole_input,
        imap_unordered_yields_what_ends,
        imap_goes_on_after_what_raises,
        imap_next_with_a_timeout,
        imap_that_is_left,
        starmap,
        imap_with_a_chunksize,
        a_worker_that_is_killed,
        close_and_join,
        apply_after_close,
        terminate,
        the_end_of_with,
        calls_begin_in_order,
        results_of_any_length,
    ]
}

fn apply_waits() -> Habit {
    same("`apply(f, (x,))`", "`rt.spawn(f, x).join()`", || {
        assert_eq!(two().spawn(double, 4).join(), Ok(8));
    })
}

fn apply_async_and_get() -> Habit {
    same(
        "`apply_async` returns at once, `get()` waits",
        "`spawn` and `join`",
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.spawn(wait_at, door.at("it"));
            assert!(!handle.is_finished());
            door.open();
            assert_ne!(handle.join().unwrap(), std::process::id());
        },
    )
}

fn get_with_a_timeout() -> Habit {
    same(
        "`get(timeout)` raises `TimeoutError`, and may be called again",
        "`join_timeout` is `None` then",
        || {
            let (rt, door) = (two(), Door::new());
            let mut handle = rt.spawn(wait_at, door.at("it"));
            assert!(handle.join_timeout(ms(2)).is_none());
            assert!(handle.join_timeout(ms(2)).is_none());
            door.open();
            assert!(matches!(handle.join_timeout(LONG), Some(Ok(_))));
        },
    )
}

fn ready_and_successful() -> Habit {
    same(
        "`ready()`, and then `successful()`",
        "`is_finished()`, and then `try_join()`",
        || {
            let rt = two();
            let (mut good, mut bad) = (rt.spawn(inverse, 1), rt.spawn(inverse, 0));
            until("both have ended", || {
                good.is_finished() && bad.is_finished()
            });
            assert!(matches!(good.try_join(), Some(Ok(1000))));
            assert!(matches!(bad.try_join(), Some(Err(_))));
        },
    )
}

fn callback_and_error_callback() -> Habit {
    differs(
        "`callback` is called with a value, `error_callback` with an exception",
        "`on_complete` is called in either case, with a `Result`; `on_error` is called with an error",
        (
            CALLBACKS,
            "Calls `callback` with the outcome when the task has ended",
        ),
        || {
            let (tell, told) = channel();
            let rt = two();
            for n in [1, 0] {
                let handle = rt.spawn(inverse, n);
                let (always, error) = (tell.clone(), tell.clone());
                handle
                    .on_complete(move |it| always.send(it.is_ok()).unwrap())
                    .unwrap();
                handle
                    .on_error(move |_| error.send(false).unwrap())
                    .unwrap();
            }
            drop(tell);
            let mut calls: Vec<bool> = told.iter().collect();
            calls.sort();
            assert_eq!(calls, [false, false, true]);
        },
    )
}

fn map_gives_a_list() -> Habit {
    same(
        "`map(f, items)` gives a list in the order of the items",
        "`rt.map(f, items).collect::<Result<Vec<_>, _>>()`",
        || {
            let list: Result<Vec<u64>, _> = two().map(double, 0..100).collect();
            assert!((0..100).eq(list.unwrap().into_iter().map(|n| n / 2)));
        },
    )
}

fn map_of_what_raises() -> Habit {
    differs(
        "`map` runs all items, and then raises the first exception",
        "`collect` stops at the first error, and takes no more items",
        (
            MAP,
            "An item without a value is an `Err` among the others, which go on",
        ),
        || {
            let taken = Cell::new(0);
            let items = (0..100_000).inspect(|_| taken.set(taken.get() + 1));
            let rt = two();
            let all: Result<Vec<u64>, _> = rt.map(inverse, items).collect();
            assert_eq!(panic_of(&all), "attempt to divide by zero");
            assert!(taken.get() < 1000, "{}", taken.get());
        },
    )
}

fn map_of_nothing() -> Habit {
    same("`map` of nothing is `[]`", "so it is", || {
        assert_eq!(two().map(double, []).collect::<Vec<_>>(), []);
    })
}

fn imap_takes_the_whole_input() -> Habit {
    differs(
        "`imap` takes its input as fast as the workers can, however slowly its results are taken",
        "`map` takes a bounded number ahead (`in_flight`)",
        (MAP, "and keeps a bounded number"),
        || {
            let taken = Cell::new(0);
            let items = (0..).inspect(|_| taken.set(taken.get() + 1));
            let rt = two();
            let mut map = rt.task(double).in_flight(10).map(items);
            for n in 0..50 {
                assert_eq!(map.next(), Some(Ok(2 * n)));
                assert!(taken.get() <= n + 11, "{} of {n}", taken.get());
            }
        },
    )
}

fn imap_unordered_yields_what_ends() -> Habit {
    same(
        "`imap_unordered` yields whatever ends first",
        "`map_unordered`, each with the number of its item",
        || {
            let (rt, door) = (two(), Door::new());
            let task = rt.task(|(n, place): (u32, Option<Place>)| {
                let _ = place.map(wait_at);
                n
            });
            let items = [(0, Some(door.at(0))), (1, None), (2, None)];
            let mut all = task.map_unordered(items);
            let mut first = [all.next().unwrap(), all.next().unwrap()];
            first.sort_by_key(|(n, _)| *n);
            assert_eq!(first, [(1, Ok(1)), (2, Ok(2))]);
            door.open();
            assert_eq!(all.next(), Some((0, Ok(0))));
            assert_eq!(all.next(), None);
        },
    )
}

fn imap_goes_on_after_what_raises() -> Habit {
    same(
        "`next()` of `imap` raises for an item, and may be called for the others",
        "`next` yields an `Err` for an item, and then the others",
        || {
            let rt = two();
            let mut map = rt.map(inverse, [0, 1]);
            assert!(matches!(map.next(), Some(Err(_))));
            assert_eq!(map.next(), Some(Ok(1000)));
            assert_eq!(map.next(), None);
        },
    )
}

fn imap_next_with_a_timeout() -> Habit {
    same(
        "`next(timeout)` of `imap` raises `TimeoutError`, and may be called again",
        "`next_timeout(t)` is `TimedOut` then",
        || {
            let (rt, door) = (two(), Door::new());
            let mut map = rt.map(wait_at, [door.at(0)]);
            assert!(map.next_timeout(ms(2)).is_err() && map.next_timeout(ms(2)).is_err());
            door.open();
            assert!(matches!(map.next_timeout(LONG), Ok(Some(Ok(_)))));
        },
    )
}

fn imap_that_is_left() -> Habit {
    differs(
        "what `imap` has in flight runs on when nobody asks for it any more",
        "what was not begun is cancelled when the iterator is dropped",
        (MAP, "Dropping the iterator cancels what nobody has begun."),
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let mut map = rt.map(pass, [door.at("never")]);
            assert!(map.next_timeout(ms(2)).is_err());
            drop(map);
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!(!door.has_come("never"));
        },
    )
}

fn starmap() -> Habit {
    same(
        "`starmap(f, pairs)` takes each pair apart",
        "the pattern of the function's argument does: `|(a, b)| …`",
        || {
            let power = |(base, exponent): (u64, u32)| base.pow(exponent);
            let powers = two()
                .map(power, [(2, 10), (3, 2)])
                .collect::<Result<Vec<_>, _>>();
            assert_eq!(powers, Ok(vec![1024, 9]));
        },
    )
}

fn imap_with_a_chunksize() -> Habit {
    same(
        "`imap_unordered(f, items, chunksize=n)`",
        "`chunked().chunk_size(n).map_unordered(items)`",
        || {
            let rt = two();
            let before = rt.stats().tasks.submitted;
            let mut seen = vec![false; 100];
            let task = rt.task(double).chunked().chunk_size(7);
            for (n, outcome) in task.map_unordered(0..100) {
                assert_eq!(outcome, Ok(2 * n as u64));
                seen[n] = true;
            }
            assert!(seen.into_iter().all(|it| it));
            assert_eq!(rt.stats().tasks.submitted, before + 15);
        },
    )
}

fn a_worker_that_is_killed() -> Habit {
    differs(
        "if a worker is killed another takes its place, but `get()` of its call never returns",
        "the task ends with the cause",
        (
            README,
            "the task ends with the cause; it is never run twice",
        ),
        || {
            let rt = one();
            let death = |(): ()| {
                let me = nix::unistd::getpid();
                nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL).is_ok()
            };
            let error = rt.spawn(death, ()).join().unwrap_err();
            assert!(error.to_string().contains("SIGKILL"), "{error}");
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn close_and_join() -> Habit {
    same(
        "`close()` and `join()` let all calls end",
        "`shutdown(Shutdown::Drain)`",
        || {
            let rt = of(1).start().unwrap();
            let handles: Vec<_> = (0..50).map(|n| rt.spawn(double, n)).collect();
            assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
            assert!(handles.iter().all(|handle| handle.is_finished()));
            assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
        },
    )
}

fn apply_after_close() -> Habit {
    differs(
        "`apply_async` after `close()` raises `ValueError`",
        "`spawn` gives a handle that ends with `Shutdown`",
        (
            "src/runtime/mod.rs",
            "It does not fail: what goes wrong is returned by [`Handle::join`]",
        ),
        || {
            let rt = of(1).start().unwrap();
            assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
            assert!(is_shut_down(&rt.spawn(double, 1).join()));
        },
    )
}

fn terminate() -> Habit {
    differs(
        "after `terminate()`, `get()` of what ran or waited never returns",
        "after `Shutdown::Abort` every handle ends with `TaskError::Shutdown`",
        (README, "Waiting for a task always ends."),
        || {
            let rt = of(1).start().unwrap();
            let handles = [rt.spawn(deaf, ()), rt.spawn(deaf, ())];
            assert_eq!(rt.shutdown(Shutdown::Abort), Ok(()));
            for handle in handles {
                assert!(is_shut_down(&handle.join()));
            }
        },
    )
}

fn the_end_of_with() -> Habit {
    differs(
        "the end of `with Pool()` terminates what runs",
        "a dropped runtime lets it run for 5 s; `on_drop(Shutdown::Abort)` is the habit",
        (BUILDER, "Default: [`Shutdown::DrainFor`] 5 seconds"),
        || {
            let builder = pinfold::Runtime::builder().workers(1).memory_cap(64 << 20);
            let (rt, door) = (builder.start().unwrap(), Door::new());
            let handle = rt.spawn(wait_at, door.at("it"));
            door.wait_for("it");
            std::thread::scope(|threads| {
                let drops = threads.spawn(move || drop(rt));
                door.open();
                drops.join().unwrap();
            });
            assert!(handle.join().is_ok());
            let rt = of(1).on_drop(Shutdown::Abort).start().unwrap();
            let handle = rt.spawn(deaf, ());
            drop(rt);
            assert!(is_shut_down(&handle.join()));
        },
    )
}

fn calls_begin_in_order() -> Habit {
    same(
        "calls begin in the order in which they were submitted",
        "of one priority, with one worker, so do tasks",
        || {
            let (rt, door) = (of(1).start().unwrap(), Door::new());
            static SEEN: std::sync::Mutex<Vec<u32>> = std::sync::Mutex::new(Vec::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let notes = |n: u32| SEEN.lock().unwrap().push(n);
            let all: Vec<_> = (0..5000).map(|n| rt.spawn(notes, n)).collect();
            let last = rt.spawn_after(&all, |_: ((), Vec<()>)| SEEN.lock().unwrap().clone(), ());
            door.open();
            assert!(busy.join().is_ok());
            assert!(last.join().unwrap().into_iter().eq(0..5000));
        },
    )
}

fn results_of_any_length() -> Habit {
    differs(
        "results of any length are sent, as long as there is memory",
        "arguments, results and buffers have `memory_cap` bytes together: beyond that there is a wait or an error",
        (
            README,
            "The shared-memory segment has a fixed maximum size, which you choose. Reaching it is an error or a wait",
        ),
        || {
            let rt = of(1).memory_cap(1 << 20).start().unwrap();
            let long = |n: usize| vec![7_u8; n];
            let error = rt.spawn(long, 2 << 20).join().unwrap_err();
            assert!(matches!(error, TaskError::OutOfMemory { .. }), "{error:?}");
            let error = rt
                .spawn(|it: Vec<u8>| it.len(), long(2 << 20))
                .join()
                .unwrap_err();
            assert!(error.to_string().contains("memory_cap"), "{error}");
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}
