//! `scope`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::habit::{Habit, README, RUNTIME, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        scope_waits_for_its_tasks,
        a_scope_borrows,
        a_panic_in_a_scope,
        the_others_of_a_panic_in_a_scope,
        a_scope_in_a_scope,
        the_body_of_a_scope_panics,
        in_place_scope,
        what_a_task_of_a_scope_spawns,
        a_task_that_hangs_in_a_scope,
    ]
}

fn scope_waits_for_its_tasks() -> Habit {
    same(
        "`scope(|s| …)` returns when every task of it has ended",
        "`rt.scope(|s| …)`",
        || {
            let (rt, door) = (two(), Door::new());
            let handles = rt.scope(|s| [0, 1, 2].map(|n| s.spawn(pass, door.at(n))));
            assert!(handles.unwrap().iter().all(|handle| handle.is_finished()));
            assert!((0..3).all(|n| door.has_come(n)));
        },
    )
}

fn a_scope_borrows() -> Habit {
    differs(
        "tasks of a scope write to variables of the caller",
        "they return values: `handle.join()` in the scope or behind it",
        (
            README,
            "A closure that captures something cannot be a task. Make the captured values part of the argument",
        ),
        || {
            let rt = two();
            let sum = rt.scope(|s| {
                let parts = [1, 2, 3].map(|n| s.spawn(double, n));
                parts
                    .into_iter()
                    .map(|part| part.join().unwrap())
                    .sum::<u64>()
            });
            assert_eq!(sum, Ok(12));
        },
    )
}

fn a_panic_in_a_scope() -> Habit {
    differs(
        "a panic of a task goes on out of `scope`",
        "`scope` returns it as an `Err`",
        (README, "the scope returns the error"),
        || {
            let rt = two();
            let outcome = rt.scope(|s| drop(s.spawn(inverse, 0)));
            assert_eq!(panic_of(&outcome), "attempt to divide by zero");
        },
    )
}

fn the_others_of_a_panic_in_a_scope() -> Habit {
    differs(
        "the other tasks of the scope run to their end all the same",
        "they are cancelled; with `scope_collect` they run",
        (
            RUNTIME,
            "The first task that ends with an error cancels the rest",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let ((), errors) = rt.scope_collect(|s| {
                drop(s.spawn(inverse, 0));
                drop(s.spawn(pass, door.at("other")));
            });
            assert_eq!((errors.len(), door.has_come("other")), (1, true));

            let mut other = None;
            let outcome = rt.scope(|s| {
                other = Some(s.spawn(listen_at, door.at("listens")));
                door.wait_for("listens");
                drop(s.spawn(inverse, 0));
            });
            assert_eq!(panic_of(&outcome), "attempt to divide by zero");
            assert!(is_cancelled(&other.unwrap().join()));
        },
    )
}

fn a_scope_in_a_scope() -> Habit {
    same("a scope in a scope", "so it is", || {
        let rt = two();
        let sum = rt.scope(|outer| {
            let one = outer.spawn(double, 1);
            let two = rt.scope(|inner| inner.spawn(double, 2).join());
            one.join().unwrap() + two.unwrap().unwrap()
        });
        assert_eq!(sum, Ok(6));
    })
}

fn the_body_of_a_scope_panics() -> Habit {
    same(
        "if the body panics, its tasks are waited for, and the panic goes on",
        "what was not begun is cancelled, too",
        || {
            let (rt, door) = (two(), Door::new());
            let body = || {
                rt.scope(|s| {
                    drop(s.spawn(listen_at, door.at("it")));
                    door.wait_for("it");
                    std::panic::resume_unwind(Box::new("the body"));
                })
            };
            let thrown = catch_unwind(AssertUnwindSafe(body)).unwrap_err();
            assert_eq!(thrown.downcast_ref(), Some(&"the body"));
            assert_eq!(rt.stats().queues[0].size, 0);
        },
    )
}

fn in_place_scope() -> Habit {
    same(
        "`in_place_scope` runs its body on the calling thread",
        "`scope` does",
        || {
            let here = std::thread::current().id();
            let there = two().scope(|_| std::thread::current().id());
            assert_eq!(there, Ok(here));
        },
    )
}

fn what_a_task_of_a_scope_spawns() -> Habit {
    differs(
        "what a task of the scope spawns into it the scope waits for, too",
        "it waits for what its tasks join; with `s.and_descendants()` for what they have detached, too",
        (
            RUNTIME,
            "What these have spawned themselves, and detached, it does not wait for, unless it is told to",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let detaches = |place: Place| drop(pinfold::spawn(wait_at, place));
            let outcome = rt.scope(|s| drop(s.spawn(detaches, door.at("below"))));
            assert_eq!(outcome, Ok(()), "it returns, though the door is closed");
            door.wait_for("below");
            door.open();

            fn tree((depth, place): (u32, Place)) {
                for n in 0..2 * depth.min(1) {
                    let below = place.0.with_extension(format!("{depth}{n}"));
                    drop(pinfold::spawn(tree, (depth - 1, (below, place.1.clone()))));
                }
                pass(place);
            }
            let outcome = rt.scope(|s| {
                s.and_descendants();
                drop(s.spawn(tree, (3, door.at("tree"))));
            });
            assert_eq!(outcome, Ok(()));
            let last = ["10", "11"].map(|name| door.has_come(format!("tree.{name}")));
            assert_eq!(last, [true; 2]);
        },
    )
}

fn a_task_that_hangs_in_a_scope() -> Habit {
    differs(
        "a task of the scope that hangs keeps the scope, for ever",
        "if it has a `run_limit`, or if the scope has a `grace` and is cancelled, its worker is killed",
        (
            "src/runtime/scope.rs",
            "Without this the scope waits for it, which may be for ever",
        ),
        || {
            let rt = two();
            let mut hangs = None;
            let outcome = rt.scope(|s| {
                s.grace(ms(5));
                hangs = Some(s.spawn(deaf, ()));
                drop(s.spawn(inverse, 0));
            });
            assert_eq!(panic_of(&outcome), "attempt to divide by zero");
            assert!(is_cancelled(&hangs.unwrap().join()));
        },
    )
}
