//! `join`.

use pinfold::TaskError;

use crate::habit::{CHILD, Habit, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        join_of_two,
        join_all_the_way_down,
        a_panic_in_join,
        join_outside_of_the_pool,
    ]
}

fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
    if numbers.len() < 16 {
        numbers.sort_unstable();
        return numbers;
    }
    let right = numbers.split_off(numbers.len() / 2);
    let left = pinfold::spawn(sorted, numbers);
    let right = sorted(right);
    let mut left = left.join().unwrap();
    left.extend(right);
    left.sort();
    left
}

fn join_of_two() -> Habit {
    same(
        "`join(a, b)` runs both, perhaps in parallel, and gives both values",
        "in a task: `let b = pinfold::spawn(b, args); let a = a(); b.join()`",
        || {
            let both = |n: u64| {
                let other = pinfold::spawn(double, n);
                (inverse(n), other.join().unwrap())
            };
            assert_eq!(two().spawn(both, 4).join(), Ok((250, 8)));
        },
    )
}

fn join_all_the_way_down() -> Habit {
    same(
        "`join` in `join`: divide and conquer",
        "`spawn` in what was spawned",
        || {
            let numbers: Vec<u32> = (0..1000).map(|n| n * 7919 % 1000).collect();
            let sorted = two().spawn(sorted, numbers).join();
            assert!(sorted.unwrap().into_iter().eq(0..1000));
        },
    )
}

fn a_panic_in_join() -> Habit {
    differs(
        "a panic of either goes on in the caller, when both have ended",
        "a spawned task's is an `Err` of its `join`; the caller's own is a panic",
        (CHILD, "Why there is no value: [`TaskError`]."),
        || {
            let caught = |n: u64| {
                let outcome = pinfold::spawn(inverse, n).join();
                matches!(outcome, Err(TaskError::Panicked { .. }))
            };
            assert_eq!(two().spawn(caught, 0).join(), Ok(true));
        },
    )
}

fn join_outside_of_the_pool() -> Habit {
    differs(
        "`join` outside of a pool goes into the global one",
        "`pinfold::spawn` outside of a task is an error; the program has `Runtime::spawn`",
        (CHILD, "In the host use [`Runtime::spawn`]"),
        || {
            let outcome = pinfold::spawn(double, 1).join();
            assert!(matches!(outcome, Err(TaskError::NotInTask)));
        },
    )
}
