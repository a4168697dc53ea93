//! Scopes: nothing of them runs on when they have returned.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
        assert!(matches!(late.join(), Err(TaskError::Cancelled { .. })));
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
    assert!(matches!(spawned, Err(TaskError::Shutdown { .. })));
    assert_eq!(rt.scope(|_| 1), Ok(1));

    // While it waits.
    let rt = runtime(1);
    let ended = std::thread::scope(|threads| {
        let scope = threads.spawn(|| rt.scope(|s| drop(s.spawn(crate::api::endless, ()))));
        until("it is submitted", || rt.stats().tasks.submitted == 1);
        rt.shutdown(Shutdown::Abort).unwrap();
        scope.join().unwrap()
    });
    assert!(matches!(ended, Err(TaskError::Shutdown { .. })));
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
    assert!(matches!(
        runs.map(Handle::join),
        Some(Err(TaskError::Cancelled { .. }))
    ));
    is_whole(&rt);
}

#[test]
fn dependents_belong_to_the_scope() {
    let rt = runtime(2);
    let outside = rt.spawn(square, 7);
    let last = rt
        .scope(|s| {
            let mut sums = vec![s.spawn(square, 1)];
            for n in 0..200 {
                let before = &sums[sums.len() - 1];
                let add = |(n, (a, b)): (u64, (u64, u64))| n + a + b;
                sums.push(s.spawn_after((before, &outside), add, n));
            }
            // Nobody waits for most of them but the scope.
            sums.pop().unwrap()
        })
        .unwrap();
    assert!(last.is_finished());
    assert_eq!(last.join(), Ok(1 + 200 * 49 + 199 * 200 / 2));
    assert_eq!(rt.stats().tasks.completed, 202);
    assert_eq!(in_flight(&rt), 0);
    is_whole(&rt);
}

#[test]
fn a_cancelled_scope_takes_back_what_still_waits() {
    let rt = runtime(1);
    let door = Door::new();
    let outside = rt.spawn(at_door, door.arg("outside"));
    door.wait_for("outside");
    let after = |(arg, _): ((PathBuf, PathBuf), u64)| pass(arg);
    let (first, second, late) = rt
        .scope(|s| {
            let first = s.spawn_after(&outside, after, door.arg("first"));
            let second = s.spawn_after(&first, after, door.arg("second"));
            s.cancel();
            let late = s.spawn_after(&outside, after, door.arg("late"));
            (first, second, late)
        })
        .unwrap();
    // It has returned, though what they depend on still runs.
    assert!(!outside.is_finished());
    for handle in [first, second, late] {
        assert!(matches!(
            handle.join(),
            Err(TaskError::Cancelled { .. } | TaskError::DependencyFailed { .. })
        ));
    }
    door.open();
    assert_eq!(outside.join(), Ok(1));
    rt.spawn(square, 1).join().unwrap();
    for name in ["first", "second", "late"] {
        assert!(!door.was_reached_by(name), "{name}");
    }
    is_whole(&rt);
}

#[test]
fn an_error_ends_what_depends_on_it_and_the_scope() {
    let rt = runtime(1);
    let after = |((), n): ((), u64)| n;
    let error = rt.scope(|s| {
        let fails = s.spawn(fussy, 3);
        drop(s.spawn_after(&fails, after, ()));
    });
    // The first one, and not what came of it.
    assert!(
        matches!(error, Err(TaskError::Panicked { .. })),
        "{error:?}"
    );
    let ((), errors) = rt.scope_collect(|s| {
        let fails = s.spawn(fussy, 3);
        drop(s.spawn_after(&fails, after, ()));
        drop(s.spawn(square, 1));
    });
    let [
        (0, TaskError::Panicked { .. }),
        (1, TaskError::DependencyFailed { .. }),
    ] = &errors[..]
    else {
        panic!("{errors:?}");
    };
    // What was cancelled was to end, and what depends on it with it.
    let door = Door::new();
    let blocker = rt.spawn(at_door, door.arg("blocker"));
    door.wait_for("blocker");
    let value = rt.scope(|s| {
        let unwanted = s.spawn(square, 2);
        let dependent = s.spawn_after(&unwanted, after, ());
        assert!(unwanted.cancel());
        assert!(!s.is_cancelled());
        dependent.join()
    });
    assert!(
        matches!(&value, Ok(Err(TaskError::DependencyFailed { cause, .. })) if matches!(**cause, TaskError::Cancelled { .. })),
        "{value:?}"
    );
    door.open();
    assert_eq!(blocker.join(), Ok(1));
    is_whole(&rt);
}

/// Its second encoding, by the attendant, waits until it may go on.
#[derive(serde::Deserialize)]
struct Stops;

static IN_TRANSIT: AtomicU32 = AtomicU32::new(0);
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

impl serde::Serialize for Stops {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whoever submits encodes it, perhaps more than once; then a thread of the library does.
        if std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("pinfold-"))
        {
            IN_TRANSIT.store(1, Ordering::SeqCst);
            until("it may go on", || MAY_GO_ON.load(Ordering::SeqCst));
        }
        serializer.serialize_unit_struct("Stops")
    }
}

/// On its way from those that wait to the queue it is in neither.
#[test]
fn what_is_in_transit_is_cancelled_too() {
    type Args = (Stops, pinfold::Shared, (PathBuf, PathBuf));
    let rt = runtime(1);
    let door = Door::new();
    let shared = rt.alloc(10).unwrap().publish();
    let handle = rt
        .scope(|s| {
            let before = s.spawn(at_door, door.arg("before"));
            door.wait_for("before");
            // With a buffer among its arguments it is the attendant's to queue.
            let after = |((_, _, arg), _): (Args, u64)| pass(arg);
            let handle = s.spawn_after(&before, after, (Stops, shared, door.arg("after")));
            door.open();
            until("in transit", || IN_TRANSIT.load(Ordering::SeqCst) == 1);
            s.cancel();
            MAY_GO_ON.store(true, Ordering::SeqCst);
            handle
        })
        .unwrap();
    assert!(matches!(handle.join(), Err(TaskError::Cancelled { .. })));
    assert!(!door.was_reached_by("after"));
    // Whoever had its arguments in hand drops them when it comes back.
    until("its buffer is free", || rt.audit().blocks_shared == 0);
    is_whole(&rt);
}
