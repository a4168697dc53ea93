//! Threads of Rust's standard library, and `errgroup` of Go, which is written with these here.

use std::panic::panic_any;

use crate::habit::{AROUND, BUILDER, HANDLE, Habit, Library, RUNTIME, differs, habits, same};
use crate::stage::*;

pub fn library() -> Library {
    Library {
        short: "threads",
        title: "std::thread, and goroutines",
        first: "`thread::spawn(move || f(x))` is `rt.spawn(f, x)`: a task for a worker that is there already, instead of \
                a new thread.",
        habits: habits![
            join_is_a_result,
            the_payload_of_a_panic,
            a_scope_that_panics,
            a_scope_that_joins,
            threads_at_the_end_of_main,
            a_thread_that_hangs,
            the_name_of_a_thread,
            as_many_threads_as_calls,
            an_error_group,
            the_context_of_a_group,
            the_limit_of_a_group,
        ],
    }
}

fn join_is_a_result() -> Habit {
    same(
        "`join()` is `Err` if the thread has panicked",
        "`join()` is a `TaskError` then",
        || {
            let rt = two();
            assert_eq!(rt.spawn(inverse, 1).join(), Ok(1000));
            assert!(rt.spawn(inverse, 0).join().is_err());
        },
    )
}

fn the_payload_of_a_panic() -> Habit {
    differs(
        "the `Err` is whatever the panic carried, of any type",
        "it has the panic's words, if it carried text or an error",
        (
            AROUND,
            "The error of a panicked task has the message of its own panic payload (text, or an error of the usual types",
        ),
        || {
            let rt = two();
            let outcome = rt.spawn(|n: u64| -> u64 { panic_any(n) }, 7).join();
            assert!(panic_of(&outcome).contains("not text"), "{outcome:?}");
            let outcome = rt
                .spawn(|n: u64| -> u64 { panic_any(format!("of {n}")) }, 7)
                .join();
            assert_eq!(panic_of(&outcome), "of 7");
        },
    )
}

fn a_scope_that_panics() -> Habit {
    differs(
        "`thread::scope` panics if a thread panicked that nobody has joined",
        "`scope` returns the first error, joined or not",
        (
            RUNTIME,
            "An error is noticed when the scope is used next, or when `body` has ended; also if its handle was joined or dropped",
        ),
        || {
            let rt = two();
            let outcome = rt.scope(|s| s.spawn(inverse, 0).join().is_err());
            assert!(outcome.is_err());
        },
    )
}

fn a_scope_that_joins() -> Habit {
    same(
        "`thread::scope` waits for all its threads",
        "`scope` for its tasks",
        || {
            let (rt, door) = (two(), Door::new());
            let all = rt.scope(|s| (0..20).for_each(|n| drop(s.spawn(pass, door.at(n)))));
            assert_eq!(all, Ok(()));
            assert!((0..20).all(|n| door.has_come(n)));
        },
    )
}

fn threads_at_the_end_of_main() -> Habit {
    differs(
        "at the end of `main` threads are ended in the middle of what they do",
        "a runtime that is dropped there waits 5 s for its tasks first",
        (BUILDER, "Default: [`Shutdown::DrainFor`] 5 seconds"),
        || {
            let builder = pinfold::Runtime::builder().workers(1).memory_cap(64 << 20);
            let rt = builder.start().unwrap();
            let handles: Vec<_> = (0..20).map(|n| rt.spawn(double, n)).collect();
            drop(rt);
            assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
        },
    )
}

fn a_thread_that_hangs() -> Habit {
    differs(
        "a thread that hangs cannot be ended",
        "a task can, with its worker",
        (
            HANDLE,
            "So a task can be ended that never checks, in a loop or in a C library; a thread cannot.",
        ),
        || {
            let rt = two();
            let hangs = rt.spawn(deaf, ());
            hangs.cancel_within(ms(1));
            assert!(is_cancelled(&hangs.join()));
        },
    )
}

fn the_name_of_a_thread() -> Habit {
    same(
        "`Builder::name(…)`, and `thread::current().name()`",
        "`rt.task(f).named(…)`, and `pinfold::task_name()`",
        || {
            let rt = two();
            let name = |(): ()| pinfold::task_name();
            let named = rt.task(name).named("nightly").spawn(()).join();
            assert_eq!(named, Ok(Some("nightly".into())));
            let plain = rt.spawn(name, ()).join().unwrap().unwrap();
            assert!(plain.contains("the_name_of_a_thread"), "{plain}");
        },
    )
}

fn as_many_threads_as_calls() -> Habit {
    differs(
        "a thousand threads run at a time, each with a stack of its own",
        "a thousand tasks wait in a queue; so many run as there are workers",
        (BUILDER, "Default: one per CPU"),
        || {
            let (rt, door) = (two(), Door::new());
            let tasks: Vec<_> = (0..1000).map(|n| rt.spawn(wait_at, door.at(n))).collect();
            until("two run", || {
                (0..1000).filter(|n| door.has_come(n)).count() == 2
            });
            door.open();
            assert!(tasks.into_iter().all(|task| task.join().is_ok()));
        },
    )
}

fn an_error_group() -> Habit {
    same(
        "`g.Go(f)` of an `errgroup`; `g.Wait()` waits for all, and returns the first error",
        "`rt.task(f).try_for_each(items)`, for tasks of one function; `scope` for what panics or dies",
        || {
            let rt = two();
            let check = |n: u64| half(n).map(drop);
            assert_eq!(rt.task(check).try_for_each([2, 4]), Ok(()));
            let error = rt.task(check).try_for_each([2, 3]).unwrap_err();
            assert!(error.to_string().contains("3 is odd"));
        },
    )
}

fn the_context_of_a_group() -> Habit {
    same(
        "`errgroup.WithContext`: the first error cancels the context of the others",
        "a scope's first error does: `context().check()?` in the others",
        || {
            let (rt, door) = (two(), Door::new());
            let mut other = None;
            let outcome = rt.scope(|s| {
                other = Some(s.spawn(listen_at, door.at("other")));
                door.wait_for("other");
                drop(s.spawn(dies, 1));
            });
            assert!(has_died(&outcome) && is_cancelled(&other.unwrap().join()));
        },
    )
}

fn the_limit_of_a_group() -> Habit {
    same(
        "`g.SetLimit(n)`: `Go` waits while n run",
        "`limited(&Limit::new(n), 1)`, or `in_flight(n)` of a `map`",
        || {
            let rt = two();
            let few = pinfold::Limit::new(1);
            let task = rt.task(double).limited(&few, 1);
            assert_eq!(task.map(0..50).sum::<Result<u64, _>>(), Ok(49 * 50));
            assert!(task.try_spawn(1).is_ok_and(|handle| handle.join().is_ok()));
        },
    )
}
