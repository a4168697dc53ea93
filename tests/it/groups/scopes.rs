//! Scopes: nothing of them runs on when they have returned.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pinfold::{Handle, Runtime, Shutdown, TaskError, gather, join_any, on_error};

use super::*;
use crate::api::runtime;

fn in_flight(rt: &Runtime) -> u64 {
    rt.stats().tasks.in_flight
}

#[test]
fn all_have_ended_when_it_returns() {
    let rt = runtime(2);
    let sum = rt.scope(|s| {
        for n in 0..1000 {
            drop(s.spawn(square, n));
        }
        let handles: Vec<_> = (0..10).map(|n| s.spawn(square, n)).collect();
        let joined: u64 = handles.into_iter().map(|h| h.join().unwrap()).sum();
        joined
    });
    assert_eq!(sum, Ok(285));
    assert_eq!(rt.stats().tasks.completed, 1010);
    assert_eq!(in_flight(&rt), 0);
    assert_eq!(rt.scope(|_| 7), Ok(7), "of nobody");
    // A handle may leave its scope: it has ended.
    let handle = rt.scope(|s| s.spawn(square, 5)).unwrap();
    assert!(handle.is_finished());
    assert_eq!(handle.join(), Ok(25));
    is_whole(&rt);
}

#[test]
fn the_first_error_cancels_what_was_not_begun() {
    let rt = runtime(1);
    let door = Door::new();
    let error = rt.scope(|s| {
        let blocker = s.spawn(at_door, door.arg("blocker"));
        door.wait_for("blocker");
        drop(s.spawn(fall, door.arg("error")));
        for n in 0..100 {
            drop(s.spawn(at_door, (door.path(&n.to_string()), door.path("never"))));
        }
        door.open();
        until("the error is noticed", || s.is_cancelled());
        let late = s.spawn(pass, door.arg("late"));
        assert_eq!(late.join(), Err(TaskError::Cancelled));
        // One may have been begun before the others were cancelled.
        std::fs::write(door.path("never"), "").unwrap();
        assert_eq!(blocker.join(), Ok(1));
    });
    assert!(
        matches!(error, Err(TaskError::Panicked { .. })),
        "{error:?}"
    );
    assert_eq!(in_flight(&rt), 0);
    assert!(!door.was_reached_by("late"));
    let tasks = rt.stats().tasks;
    assert!(tasks.cancelled >= 99, "{tasks:?}");
    is_whole(&rt);
}

#[test]
fn an_error_that_was_joined_counts_too() {
    let rt = runtime(1);
    let error = rt.scope(|s| s.spawn(fussy, 3).join());
    assert!(
        matches!(error, Err(TaskError::Panicked { .. })),
        "{error:?}"
    );
    let ((), errors) = rt.scope_collect(|s| drop(s.spawn(fussy, 3).join()));
    assert_eq!(errors.len(), 1);
    is_whole(&rt);
}

#[test]
fn all_errors_are_collected() {
    let rt = runtime(2);
    let (value, errors) = rt.scope_collect(|s| {
        for n in 1..=300 {
            drop(s.spawn(|n| fussy(deadly(n)), n));
        }
        "value"
    });
    assert_eq!(value, "value");
    let mut of: Vec<u64> = errors.iter().map(|(child, _)| *child as u64 + 1).collect();
    of.sort_unstable();
    let expected: Vec<u64> = (1..=300).filter(|n| n % 3 == 0 || n % 100 == 0).collect();
    assert_eq!(of, expected);
    for (child, error) in &errors {
        match error {
            TaskError::Panicked { .. } => assert_ne!((child + 1) % 100, 0),
            TaskError::WorkerDied { .. } => assert_eq!((child + 1) % 100, 0),
            other => panic!("{other:?}"),
        }
    }
    is_whole(&rt);
}

#[test]
fn a_panic_goes_on_when_all_have_ended() {
    let rt = runtime(1);
    let door = Door::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        rt.scope(|s| {
            drop(s.spawn(at_door, door.arg("running")));
            door.wait_for("running");
            for n in 0..50 {
                drop(s.spawn(pass, door.arg(&n.to_string())));
            }
            door.open();
            panic!("in the middle");
        })
    }));
    let said = panicked.unwrap_err();
    assert_eq!(said.downcast_ref(), Some(&"in the middle"));
    assert_eq!(in_flight(&rt), 0);
    is_whole(&rt);
}

#[test]
fn scopes_within_scopes() {
    let rt = runtime(2);
    let outer = rt.scope(|outer| {
        let mine = outer.spawn(square, 2);
        let inner = rt.scope(|inner| {
            drop(inner.spawn(fussy, 3));
            // Of the outer one: it is not cancelled with the inner one.
            outer.spawn(square, 3)
        });
        assert!(
            matches!(inner, Err(TaskError::Panicked { .. })),
            "{inner:?}"
        );
        assert!(!outer.is_cancelled());
        let inner = rt.scope(|inner| gather([inner.spawn(square, 4)], on_error::Raise));
        (mine.join(), inner)
    });
    assert_eq!(outer, Ok((Ok(4), Ok(Ok(vec![16])))));
    is_whole(&rt);
}

/// A race among tasks of a scope: the scope still waits for the losers.
#[test]
fn a_race_in_a_scope() {
    let rt = runtime(2);
    let door = Door::new();
    let won = rt.scope(|s| {
        let slow = s.spawn(at_door, door.arg("slow"));
        door.wait_for("slow");
        let won = join_any([slow, s.spawn(pass, door.arg("fast"))]);
        assert_eq!(in_flight(&rt), 1);
        door.open();
        won
    });
    assert_eq!(won, Ok(Ok((1, 2))));
    assert_eq!(in_flight(&rt), 0);
    is_whole(&rt);
}

#[test]
fn threads_spawn_into_one_scope() {
    let rt = runtime(2);
    let sum = rt.scope(|s| {
        std::thread::scope(|threads| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    threads.spawn(|| -> u64 {
                        (0..500).map(|n| s.spawn(square, n).join().unwrap()).sum()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
        })
    });
    let expected: u64 = (0..500).map(square).sum();
    assert_eq!(sum, Ok(4 * expected));
    assert_eq!(in_flight(&rt), 0);
    is_whole(&rt);
}

#[test]
fn more_tasks_than_the_queue_holds() {
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(50)
        .start()
        .unwrap();
    let count = rt.scope(|s| {
        (0..100_000).for_each(|n| drop(s.spawn(square, n)));
        rt.stats().tasks.submitted
    });
    assert_eq!(count, Ok(100_000));
    assert_eq!(rt.stats().tasks.completed, 100_000);
    is_whole(&rt);
}

#[test]
fn a_scope_of_a_runtime_that_is_shut_down() {
    let rt = runtime(1);
    rt.shutdown(Shutdown::Drain).unwrap();
    let spawned = rt.scope(|s| drop(s.spawn(square, 1)));
    assert_eq!(spawned, Err(TaskError::Shutdown));
    assert_eq!(rt.scope(|_| 1), Ok(1));

    // While it waits.
    let rt = runtime(1);
    let ended = std::thread::scope(|threads| {
        let scope = threads.spawn(|| rt.scope(|s| drop(s.spawn(crate::api::endless, ()))));
        until("it is submitted", || rt.stats().tasks.submitted == 1);
        rt.shutdown(Shutdown::Abort).unwrap();
        scope.join().unwrap()
    });
    assert_eq!(ended, Err(TaskError::Shutdown));
}

#[test]
fn the_first_error_asks_what_runs_to_end() {
    fn listens((me, _): (PathBuf, PathBuf)) -> Result<(), String> {
        std::fs::write(me, "").expect("a file");
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let asked = pinfold::context().check();
            asked.map_err(|cancelled| cancelled.to_string())?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
    let rt = runtime(2);
    let door = Door::new();
    let mut runs = None;
    let scope = rt.scope(|s| {
        runs = Some(s.spawn(listens, door.arg("runs")));
        door.wait_for("runs");
        drop(s.spawn(fussy, 3));
    });
    assert!(
        matches!(scope, Err(TaskError::Panicked { .. })),
        "{scope:?}"
    );
    // It did not run for a minute.
    assert_eq!(runs.map(Handle::join), Some(Err(TaskError::Cancelled)));
    is_whole(&rt);
}
