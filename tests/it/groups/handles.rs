//! Cancelling, and several handles at once.

use std::time::{Duration, Instant};

use pinfold::on_error::{Keep, Raise, Skip};
use pinfold::{Handle, Shutdown, TaskError, gather, join_all, join_any};

use super::*;
use crate::api::runtime;

#[test]
fn what_is_cancelled_never_runs() {
    let rt = runtime(1);
    let door = Door::new();
    let blocker = rt.spawn(at_door, door.arg("blocker"));
    door.wait_for("blocker");
    let queued: Vec<_> = (0..10)
        .map(|n| rt.spawn(pass, door.arg(&n.to_string())))
        .collect();
    for handle in &queued {
        assert!(handle.cancel(), "nobody had begun it");
        assert!(!handle.cancel(), "it has ended");
        assert!(handle.is_finished());
    }
    for handle in queued {
        assert!(matches!(handle.join(), Err(TaskError::Cancelled { .. })));
    }
    door.open();
    assert_eq!(blocker.join(), Ok(1));
    assert_eq!(rt.spawn(square, 3).join(), Ok(9));
    assert!((0..10).all(|n| !door.was_reached_by(&n.to_string())));
    assert_eq!(rt.stats().tasks.cancelled, 10);
    is_whole(&rt);
}

/// Cancelling competes with claiming: each task ends in one way, and says the truth.
#[test]
fn cancelled_or_run() {
    let rt = runtime(2);
    let (mut ran, mut cancelled) = (0, 0);
    for n in 0..20_000 {
        let handle = rt.spawn(square, n);
        let says = handle.cancel();
        match handle.join() {
            Ok(value) => {
                // One that is asked while it runs may run to its end.
                assert_eq!(value, n * n);
                ran += 1;
            }
            Err(TaskError::Cancelled { .. }) => {
                assert!(says);
                cancelled += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let tasks = rt.stats().tasks;
    assert_eq!((tasks.completed, tasks.cancelled), (ran, cancelled));
    is_whole(&rt);
}

/// A thread that waits is told when another cancels what it waits for.
#[test]
fn who_waits_is_told_of_a_cancellation() {
    let rt = runtime(1);
    let door = Door::new();
    let blocker = rt.spawn(at_door, door.arg("blocker"));
    door.wait_for("blocker");
    let scope = rt.scope(|s| {
        let queued = s.spawn(square, 1);
        std::thread::scope(|threads| {
            let waiter = threads.spawn(move || queued.join());
            s.cancel();
            assert!(matches!(
                waiter.join().unwrap(),
                Err(TaskError::Cancelled { .. })
            ));
        });
    });
    assert_eq!(scope, Ok(()));
    door.open();
    assert_eq!(blocker.join(), Ok(1));
    is_whole(&rt);
}

#[test]
fn join_all_is_in_order() {
    let rt = runtime(2);
    let outcomes = join_all((0..1000).map(|n| rt.spawn(fussy, n)));
    for (n, outcome) in (0..).zip(&outcomes) {
        assert_eq!(outcome.is_ok(), n % 3 != 0, "{n}: {outcome:?}");
    }
    assert_eq!(outcomes.len(), 1000);
    assert_eq!(join_all::<u64>([]), []);
    is_whole(&rt);
}

#[test]
fn the_first_value_wins_and_the_losers_are_cancelled() {
    let rt = runtime(2);
    let door = Door::new();
    let mut handles = vec![rt.spawn(at_door, door.arg("loser"))];
    door.wait_for("loser");
    handles.push(rt.spawn(fall, door.arg("error")));
    handles.push(rt.spawn(pass, door.arg("winner")));
    assert_eq!(join_any(handles), Ok((2, 2)));
    door.open();

    // One worker, and it is busy: what lies behind the winner never runs.
    let rt = runtime(1);
    let door = Door::new();
    let mut handles = vec![rt.spawn(at_door, door.arg("first"))];
    door.wait_for("first");
    handles.extend((0..100).map(|_| rt.spawn(at_door, (door.path("late"), door.path("never")))));
    let winner = std::thread::scope(|threads| {
        let race = threads.spawn(move || join_any(handles));
        door.open();
        race.join().unwrap()
    });
    assert_eq!(winner, Ok((0, 1)));
    until("those who were not begun are cancelled", || {
        rt.stats().tasks.cancelled >= 99
    });
    // At most one was begun before the others were cancelled.
    std::fs::write(door.path("never"), "").unwrap();
    is_whole(&rt);
}

#[test]
fn when_nobody_wins_all_say_why() {
    let rt = runtime(2);
    let tasks = [0, 100, 3].map(|n| rt.spawn(|n| fussy(deadly(n) + 3 * n), n));
    let errors = join_any(tasks).unwrap_err();
    assert!(
        matches!(errors[0], TaskError::WorkerDied { .. }),
        "{errors:?}"
    );
    assert!(
        matches!(errors[1], TaskError::WorkerDied { .. }),
        "{errors:?}"
    );
    assert!(
        matches!(errors[2], TaskError::Panicked { .. }),
        "{errors:?}"
    );
    assert_eq!(join_any::<u64>([]), Err(Vec::new()));
    let errors = join_any((0..5000).map(|n| rt.spawn(fussy, 3 * n))).unwrap_err();
    for (n, error) in (0..).zip(&errors) {
        let TaskError::Panicked { message, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(*message, format!("{} is a multiple of three", 3 * n));
    }
    assert_eq!(errors.len(), 5000);
    is_whole(&rt);
}

#[test]
fn gathering_raises_skips_or_keeps() {
    let rt = runtime(2);
    let tasks = || (1..=200).map(|n| rt.spawn(deadly, n)).collect::<Vec<_>>();
    let skipped = gather(tasks(), Skip);
    let kept = gather(tasks(), Keep);
    assert_eq!(kept.len(), 200);
    // Those a worker had taken along with the deadly one were not begun: they live.
    let expected: Vec<u64> = (1..=200).filter(|n| n % 100 != 0).collect();
    assert_eq!(skipped, expected);
    for (n, outcome) in (1..).zip(&kept) {
        match outcome {
            Ok(value) => assert_eq!(*value, n),
            Err(error) => assert!(
                n % 100 == 0 && matches!(error, TaskError::WorkerDied { .. }),
                "{n}: {error:?}"
            ),
        }
    }
    let raised = gather(tasks(), Raise);
    assert!(
        matches!(raised, Err(TaskError::WorkerDied { .. })),
        "{raised:?}"
    );
    let all = gather((0..10).map(|n| rt.spawn(square, n)), Raise);
    assert_eq!(all, Ok((0..10).map(|n| n * n).collect()));
    assert_eq!(gather::<u64, _>([], Raise), Ok(vec![]));
    assert!(gather::<u64, _>([], Skip).is_empty());
    assert!(gather::<u64, _>([], Keep).is_empty());
    is_whole(&rt);
}

#[test]
fn the_first_error_is_raised_at_once() {
    let rt = runtime(2);
    let door = Door::new();
    let mut handles = vec![rt.spawn(at_door, door.arg("slow"))];
    door.wait_for("slow");
    handles.push(rt.spawn(fall, door.arg("error")));
    // The first one is still at its door.
    let raised = gather(handles, Raise);
    assert!(
        matches!(raised, Err(TaskError::Panicked { .. })),
        "{raised:?}"
    );
    door.open();
    is_whole(&rt);
}

/// Whichever runtime a task is of: who ends first is told first.
#[test]
fn handles_of_two_runtimes_race() {
    let (one, other) = (runtime(1), runtime(1));
    for round in 0..20 {
        let door = Door::new();
        let fast = if round % 2 == 0 { &one } else { &other };
        let slow = if round % 2 == 0 { &other } else { &one };
        let handles = [
            slow.spawn(at_door, door.arg("slow")),
            fast.spawn(pass, door.arg("fast")),
        ];
        assert_eq!(join_any(handles), Ok((1, 2)));
        door.open();
    }
    let both = |n| if n % 2 == 0 { &one } else { &other }.spawn(square, n);
    let values = gather((0..2000).map(both), Raise);
    assert_eq!(values, Ok((0..2000).map(|n| n * n).collect()));
    let errors = join_any([one.spawn(fussy, 3), other.spawn(fussy, 3)]).unwrap_err();
    assert_eq!(errors.len(), 2);
    is_whole(&one);
    is_whole(&other);
}

#[test]
fn handles_that_have_ended_and_a_runtime_that_is_shut_down() {
    let rt = runtime(1);
    let mut taken = rt.spawn(square, 1);
    assert_eq!(taken.join_timeout(Duration::from_secs(60)), Some(Ok(1)));
    let done = rt.spawn(square, 2);
    until("it is done", || done.is_finished());
    let stuck = rt.spawn(crate::api::endless, ());
    rt.shutdown(Shutdown::Abort).unwrap();
    let late = rt.spawn(square, 3);
    let outcomes = gather([taken, done, late], Keep);
    let is_shut_down = |error: &TaskError| matches!(error, TaskError::Shutdown { .. });
    assert!(
        matches!(
            &outcomes[..],
            [Err(TaskError::AlreadyJoined { .. }), Ok(4), Err(late)] if is_shut_down(late)
        ),
        "{outcomes:?}"
    );
    let errors = join_any([stuck]).expect_err("no value");
    assert!(matches!(&errors[..], [error] if is_shut_down(error)));
    let after: Handle<u64> = rt.spawn(square, 4);
    assert!(!after.cancel());
    assert!(gather([after], Raise).is_err_and(|error| is_shut_down(&error)));
}

/// A loser that runs is asked to end: the race does not leave it behind for a minute.
#[test]
fn losers_that_run_are_asked_to_end() {
    fn loses((me, _): (PathBuf, PathBuf)) -> u64 {
        std::fs::write(me, "").expect("a file");
        let end = Instant::now() + Duration::from_secs(60);
        while !pinfold::context().is_cancelled() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        u64::from(!pinfold::context().is_cancelled())
    }
    let rt = runtime(2);
    let door = Door::new();
    let loser = rt.spawn(loses, door.arg("loser"));
    door.wait_for("loser");
    let winner = rt.spawn(square, 3);
    assert_eq!(join_any([loser, winner]), Ok((1, 9)));
    until("the loser has ended", || rt.stats().tasks.in_flight == 0);
    is_whole(&rt);
}
