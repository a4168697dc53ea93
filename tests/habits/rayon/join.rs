//! `join`, and `scope` on the threads of the pool.

use std::cell::Cell;

use pinfold::{Child, TaskError};

use crate::habit::{CHILD, Habit, differs, habits, same};
use crate::stage::*;

const JOIN: &str = "src/worker/join.rs";
const SCOPE: &str = "src/worker/scope.rs";

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        join_of_two,
        join_all_the_way_down,
        join_borrows,
        a_panic_in_join,
        join_outside_of_the_pool,
        join_of_many,
        spawn_within,
        a_scope_on_a_thread_of_the_pool,
        a_panic_in_such_a_scope,
        a_scope_that_is_passed_on,
    ]
}

fn join_of_two() -> Habit {
    same(
        "`join(a, b)` runs both, perhaps in parallel, and gives both values",
        "in a task: `pinfold::join(f, x, g, y)`, which gives two `Result`s",
        || {
            let both = |n: u64| {
                let (a, b) = pinfold::join(double, n, half, n);
                (a.unwrap(), b.unwrap().unwrap())
            };
            assert_eq!(two().spawn(both, 4).join(), Ok((8, 2)));
        },
    )
}

fn join_all_the_way_down() -> Habit {
    fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
        if numbers.len() < 16 {
            numbers.sort_unstable();
            return numbers;
        }
        let right = numbers.split_off(numbers.len() / 2);
        let (left, right) = pinfold::join(sorted, numbers, sorted, right);
        let mut all = left.unwrap();
        all.extend(right.unwrap());
        all.sort();
        all
    }
    same(
        "`join` in `join`: divide and conquer",
        "`pinfold::join` in `pinfold::join`, as deep as one likes",
        || {
            let numbers: Vec<u32> = (0..1000).map(|n| n * 7919 % 1000).collect();
            let sorted = two().spawn(sorted, numbers).join();
            assert!(sorted.unwrap().into_iter().eq(0..1000));
        },
    )
}

fn join_borrows() -> Habit {
    differs(
        "both closures of `join` borrow from the caller",
        "the first may, for it is a plain call; the second is a task",
        (
            JOIN,
            "it may be any closure, and borrow and change what is here",
        ),
        || {
            let changes = |n: u64| {
                let seen = Cell::new(0);
                let (a, b) = pinfold::join(|n: u64| seen.set(n), n, double, n);
                a.unwrap();
                (seen.get(), b.unwrap())
            };
            assert_eq!(two().spawn(changes, 4).join(), Ok((4, 8)));
        },
    )
}

fn a_panic_in_join() -> Habit {
    differs(
        "a panic of either goes on in the caller, when both have ended",
        "it is that one's `Err`; both have ended",
        (
            JOIN,
            "Of each why it has no value. When `f` panics that is [`TaskError::Panicked`]",
        ),
        || {
            let caught = |n: u64| {
                let panicked =
                    |it: &Result<u64, TaskError>| matches!(it, Err(TaskError::Panicked { .. }));
                let (a, b) = pinfold::join(inverse, n, double, n);
                let (c, d) = pinfold::join(double, n, inverse, n);
                (panicked(&a), b.ok(), c.ok(), panicked(&d))
            };
            let outcome = two().spawn(caught, 0).join();
            assert_eq!(outcome, Ok((true, Some(0), Some(0), true)));
        },
    )
}

fn join_outside_of_the_pool() -> Habit {
    differs(
        "`join` outside of a pool goes into the global one",
        "it is an error outside of a task; the program has `Runtime::spawn`",
        (CHILD, "In the host use [`Runtime::spawn`]"),
        || {
            let outcome = pinfold::spawn(double, 1).join();
            assert!(matches!(outcome, Err(TaskError::NotInTask)));
            let (a, b) = pinfold::join(double, 1, double, 2);
            assert!(a.is_err() && b.is_err());
        },
    )
}

fn join_of_many() -> Habit {
    same(
        "a parallel iterator on a thread of the pool helps to run it",
        "`Child::join_all(children)` runs what nobody has begun",
        || {
            let sum = |n: u64| {
                let children = (0..n).map(|n| pinfold::spawn(double, n));
                Child::join_all(children)
                    .into_iter()
                    .map(Result::unwrap)
                    .sum::<u64>()
            };
            assert_eq!(one().spawn(sum, 100).join(), Ok(9900));
        },
    )
}

fn spawn_within() -> Habit {
    same(
        "`rayon::spawn` on a thread of the pool: it runs some time",
        "`drop(pinfold::spawn(f, x))` in a task",
        || {
            let (rt, door) = (two(), Door::new());
            let leaves = |place: Place| drop(pinfold::spawn(pass, place));
            assert_eq!(rt.spawn(leaves, door.at("it")).join(), Ok(()));
            door.wait_for("it");
        },
    )
}

fn a_scope_on_a_thread_of_the_pool() -> Habit {
    same(
        "`scope` on a thread of the pool runs what it has spawned while it waits",
        "`pinfold::scope(|s| …)` in a task",
        || {
            let parent = |n: u64| {
                let children =
                    pinfold::scope(|s| (0..n).map(|n| s.spawn(double, n)).collect::<Vec<_>>());
                let children = children.unwrap();
                assert!(children.iter().all(Child::is_finished));
                children
                    .into_iter()
                    .map(|it| it.join().unwrap())
                    .sum::<u64>()
            };
            assert_eq!(one().spawn(parent, 50).join(), Ok(2450));
        },
    )
}

fn a_panic_in_such_a_scope() -> Habit {
    differs(
        "a panic in a scope goes on in whoever has opened it",
        "it is the `Err` of `pinfold::scope`, and cancels the others",
        (
            SCOPE,
            "The first task that ends with an error cancels the rest",
        ),
        || {
            let parent = |n: u64| {
                let outcome = pinfold::scope(|s| drop(s.spawn(inverse, n)));
                matches!(outcome, Err(TaskError::Panicked { .. }))
            };
            assert_eq!(two().spawn(parent, 0).join(), Ok(true));
        },
    )
}

fn a_scope_that_is_passed_on() -> Habit {
    differs(
        "what was spawned gets the scope: `s.spawn(|s| s.spawn(…))`, and the scope waits for all of it",
        "a task opens a scope of its own, `pinfold::scope` in `pinfold::scope`: each waits for its own, and with `s.and_descendants()` also for what its tasks detach",
        (SCOPE, "Scopes may be nested."),
        || {
            fn walk((depth, place): (u32, Place)) -> u32 {
                pass((place.0.with_extension(depth.to_string()), place.1.clone()));
                let below = pinfold::scope(|s| {
                    if depth > 0 {
                        drop(s.spawn(walk, (depth - 1, place.clone())));
                        drop(s.spawn(walk, (depth - 1, place)));
                    }
                });
                u32::from(below.is_ok())
            }
            let (rt, door) = (two(), Door::new());
            assert_eq!(rt.spawn(walk, (4, door.at("walk"))).join(), Ok(1));
            assert!((0..=4).all(|depth| door.has_come(format!("walk.{depth}"))));
        },
    )
}
