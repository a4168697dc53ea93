//! `multiprocessing.Pool` of Python.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::channel;

use pinfold::{Shared, Shutdown, TaskError};

use crate::habit::{AROUND, BUILDER, HANDLE, Habit, Library, README, TASK, differs, habits, same};
use crate::stage::*;

pub fn libraries() -> Vec<Library> {
    vec![Library {
        short: "pool",
        title: "Python: multiprocessing.Pool",
        first: "A `Pool` is a `Runtime`, an `AsyncResult` is a `Handle`; `imap` is `map` here.",
        habits: habits![
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
            starmap,
            imap_with_a_chunksize,
            a_worker_that_is_killed,
            close_and_join,
            apply_after_close,
            terminate,
            the_end_of_with,
            maxtasksperchild,
            calls_have_no_children,
            processes_have_names,
            random_numbers_of_forks,
            an_array_of_shared_memory,
            shared_memory_is_unlinked,
            locks_of_the_program,
            a_pool_of_threads,
            the_keyboard_interrupts,
            standard_input,
            what_a_call_changes,
            calls_begin_in_order,
            results_of_any_length,
        ],
    }]
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
            HANDLE,
            "Has `callback` called with the outcome when the task has ended",
        ),
        || {
            let (tell, told) = channel();
            let rt = two();
            for n in [1, 0] {
                let mut handle = rt.spawn(inverse, n);
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
            TASK,
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
        (TASK, "and keeps a bounded number"),
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
            "It does not fail: what goes wrong is told by [`Handle::join`]",
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

fn maxtasksperchild() -> Habit {
    differs(
        "`maxtasksperchild=1` gives each call a fresh process",
        "there is no such setting; a task that must leave nothing behind ends its worker itself, and is told as one that died",
        (BUILDER, "it is not replaced after a number of tasks"),
        || {
            let rt = one();
            let first = rt.spawn(pid, ()).join();
            assert_eq!(rt.spawn(pid, ()).join(), first);
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_ne!(rt.spawn(pid, ()).join(), first);
        },
    )
}

fn calls_have_no_children() -> Habit {
    differs(
        "a call may not start processes of `multiprocessing`: workers are daemons",
        "a task may start programs, and threads",
        (
            AROUND,
            "A program that a task starts inherits the worker's standard streams",
        ),
        || {
            let starts = |status: String| {
                let mut shell = std::process::Command::new("sh");
                shell.args(["-c", &status]).status().ok()?.code()
            };
            assert_eq!(two().spawn(starts, "exit 7".into()).join(), Ok(Some(7)));
        },
    )
}

fn processes_have_names() -> Habit {
    differs(
        "workers are called `ForkPoolWorker-3`, in Python only",
        "`ps` shows `NAME: pinfold worker 3`",
        (
            AROUND,
            "`ps` shows `NAME: pinfold zygote`, `NAME: pinfold worker 3`",
        ),
        || {
            let name = |(): ()| std::fs::read_to_string("/proc/self/cmdline").ok();
            let name = one().spawn(name, ()).join().unwrap().unwrap();
            assert!(name.contains("pinfold worker 0"), "{name}");
        },
    )
}

fn random_numbers_of_forks() -> Habit {
    differs(
        "forks share the state of `random` and of numpy: workers draw the same numbers",
        "each worker draws its own keys and seeds",
        (
            AROUND,
            "Each worker, and each successor, draws its own hash keys",
        ),
        || {
            let rt = two();
            let drawn = |place: Place| {
                wait_at(place);
                RandomState::new().hash_one(7)
            };
            let door = Door::new();
            let both = [rt.spawn(drawn, door.at(0)), rt.spawn(drawn, door.at(1))];
            door.wait_for(0);
            door.wait_for(1);
            door.open();
            let drawn: BTreeSet<u64> = both.into_iter().map(|it| it.join().unwrap()).collect();
            assert_eq!(drawn.len(), 2);
        },
    )
}

fn an_array_of_shared_memory() -> Habit {
    differs(
        "an `Array` in shared memory is changed by program and calls alike",
        "a buffer has one owner (`Loan`), who may write, or any number of readers (`Shared`)",
        (AROUND, "A `Loan` has one owner."),
        || {
            let rt = two();
            let mut mine = rt.alloc(1 << 20).unwrap();
            mine.fill(1);
            let fills = |mut it: pinfold::Loan| {
                it.iter_mut().for_each(|byte| *byte += 1);
                it
            };
            let back = rt.spawn(fills, mine).join().unwrap();
            assert!(back.iter().all(|byte| *byte == 2));
            let all = back.publish();
            let sum = |it: Shared| it.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            let sums = [rt.spawn(sum, all.clone()), rt.spawn(sum, all)];
            assert!(sums.into_iter().all(|it| it.join() == Ok(2 << 20)));
        },
    )
}

fn shared_memory_is_unlinked() -> Habit {
    differs(
        "`SharedMemory` has a name, and stays until somebody calls `unlink()`",
        "a buffer has no name, and is free when nobody refers to it",
        (
            "docs/ARCHITECTURE.md",
            "a sealed, sparse memory file, without a name",
        ),
        || {
            let rt = two();
            let in_use = || {
                rt.stats()
                    .pool
                    .iter()
                    .map(|class| class.in_use)
                    .sum::<u64>()
            };
            let before = in_use();
            let buffer = rt.alloc(1 << 20).unwrap().publish();
            assert_eq!(in_use(), before + 1);
            let len = rt.spawn(|it: Shared| it.len(), buffer.clone()).join();
            assert_eq!(len, Ok(1 << 20));
            drop(buffer);
            until("it is free", || in_use() == before);
        },
    )
}

fn locks_of_the_program() -> Habit {
    static NUMBERS: std::sync::Mutex<Vec<u64>> = std::sync::Mutex::new(Vec::new());
    differs(
        "a `Lock` of the program that workers inherit keeps calls apart",
        "a mutex in a static is each worker's own; to keep tasks apart there is `Limit`",
        (
            README,
            "it does not see what the host has changed in its own statics",
        ),
        || {
            let rt = two();
            let held = NUMBERS.lock().unwrap();
            let pushes = |n| NUMBERS.lock().map(|mut all| all.push(n)).is_ok();
            assert_eq!(
                rt.spawn(pushes, 7).join(),
                Ok(true),
                "nobody holds it there"
            );
            assert!(held.is_empty());
            drop(held);

            let (alone, door) = (pinfold::Limit::new(1), Door::new());
            let task = rt.task(wait_at).limited(&alone, 1);
            let first = task.spawn(door.at("first"));
            door.wait_for("first");
            assert!(task.try_spawn(door.at("second")).is_err());
            door.open();
            assert!(first.join().is_ok());
        },
    )
}

fn a_pool_of_threads() -> Habit {
    differs(
        "`ThreadPool` has the same methods, and its calls share the program's memory",
        "tasks are in other processes, always",
        (README, "A task runs in another process"),
        || {
            let task = two().spawn(pid, ()).join().unwrap();
            assert_ne!(task, std::process::id());
        },
    )
}

fn the_keyboard_interrupts() -> Habit {
    differs(
        "Ctrl-C reaches each worker too, and each prints a traceback",
        "it reaches the program alone, which says what is to become of the tasks",
        (AROUND, "Ctrl-C reaches the host alone."),
        || {
            let session = |(): ()| nix::unistd::getsid(None).map_or(0, |it| it.as_raw());
            let group = |(): ()| nix::unistd::getpgrp().as_raw();
            let rt = two();
            assert_ne!(rt.spawn(session, ()).join(), Ok(session(())));
            assert_ne!(rt.spawn(group, ()).join(), Ok(group(())));
        },
    )
}

fn standard_input() -> Habit {
    same(
        "a call that reads from standard input finds nothing there",
        "nor does a task",
        || {
            let reads = |(): ()| std::io::read_to_string(std::io::stdin()).ok();
            assert_eq!(two().spawn(reads, ()).join(), Ok(Some(String::new())));
        },
    )
}

fn what_a_call_changes() -> Habit {
    same(
        "a call that changes its process (directory, umask) changes it for the next calls there",
        "so does a task, until its worker ends",
        || {
            let rt = of(1).start().unwrap();
            let moves = |(): ()| std::env::set_current_dir("/").is_ok();
            assert_eq!(rt.spawn(moves, ()).join(), Ok(true));
            let there = |(): ()| std::env::current_dir().unwrap();
            assert_eq!(rt.spawn(there, ()).join(), Ok("/".into()));
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_eq!(rt.spawn(there, ()).join(), Ok(there(())));
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
            "The segment has a fixed upper size, which you choose. Reaching it is an error or a wait",
        ),
        || {
            let rt = of(1).memory_cap(1 << 20).start().unwrap();
            let long = |n: usize| vec![7_u8; n];
            let error = rt.spawn(long, 8 << 20).join().unwrap_err();
            assert!(matches!(error, TaskError::OutOfMemory { .. }), "{error:?}");
            let error = rt
                .spawn(|it: Vec<u8>| it.len(), long(8 << 20))
                .join()
                .unwrap_err();
            assert!(error.to_string().contains("memory_cap"), "{error}");
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}
