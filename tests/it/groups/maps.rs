//! Many items of one function.

use pinfold::{Runtime, Shared, Shutdown, TaskError};

use super::*;
use crate::api::runtime;

const MANY: u64 = 100_000;

/// Waits at the door if there is one.
fn maybe_at_door(door: Option<(PathBuf, PathBuf)>) -> u64 {
    door.map_or(2, at_door)
}

#[test]
fn a_slow_item_holds_up_no_other() {
    let rt = runtime(2);
    let door = Door::new();
    let items = std::iter::once(Some(door.arg("slow"))).chain(std::iter::repeat_n(None, 1000));
    let mut map = rt.task(maybe_at_door).in_flight(8).map_unordered(items);
    let mut others: Vec<usize> = map.by_ref().take(1000).map(|(n, _)| n).collect();
    others.sort_unstable();
    assert!(others.into_iter().eq(1..=1000));
    door.open();
    assert_eq!(map.next(), Some((0, Ok(1))));
    assert_eq!(map.next(), None);
    is_whole(&rt);
}

#[test]
fn each_of_many_items_has_its_own_outcome() {
    let rt = runtime(2);
    let mut seen = vec![false; MANY as usize];
    for (n, outcome) in rt.task(square).map_unordered(0..MANY) {
        assert_eq!(outcome, Ok((n * n) as u64));
        assert!(!std::mem::replace(&mut seen[n], true), "{n} twice");
    }
    assert!(seen.into_iter().all(|seen| seen));
    assert_eq!(rt.task(square).map_unordered([]).next(), None);
    is_whole(&rt);
}

#[test]
fn workers_die_while_items_come_in_any_order() {
    let rt = runtime(2);
    let mut lost = 0;
    for (n, outcome) in rt.task(deadly).map_unordered(1..=1000) {
        let n = n as u64 + 1;
        match outcome {
            Ok(value) => assert_eq!(value, n),
            Err(TaskError::WorkerDied { .. }) if n.is_multiple_of(100) => lost += 1,
            Err(error) => panic!("{n}: {error:?}"),
        }
    }
    assert_eq!(lost, 10);
    is_whole(&rt);
}

#[test]
fn maps_that_are_dropped_early_leave_nothing() {
    let rt = runtime(2);
    let texts = || (0..).map(|n: u64| format!("{n:>10000}"));
    for taken in [0, 1, 10, 100] {
        let task = rt.task(|text: String| text + "!");
        assert_eq!(task.map_unordered(texts()).take(taken).count(), taken);
        assert_eq!(
            task.clone().chunked().map(texts()).take(taken).count(),
            taken
        );
        let unordered = task.clone().chunked().map_unordered(texts());
        assert_eq!(unordered.take(taken).count(), taken);
    }
    is_whole(&rt);
}

#[test]
fn an_error_ends_for_each() {
    let rt = runtime(2);
    assert_eq!(rt.task(|_: u64| ()).for_each(0..MANY), Ok(()));
    assert_eq!(rt.task(|_: u64| ()).for_each([]), Ok(()));
    // Endless, but for the error.
    let task = rt.task(|n: u64| assert_ne!(n, 1000, "a thousand"));
    for error in [task.for_each(0..), task.clone().chunked().for_each(0..)] {
        let Err(TaskError::Panicked { message, .. }) = error else {
            panic!("{error:?}");
        };
        assert!(message.contains("a thousand"), "{message}");
    }
    let error = rt.task(|n: u64| assert_ne!(deadly(n), 0)).for_each(1..);
    assert!(
        matches!(error, Err(TaskError::WorkerDied { .. })),
        "{error:?}"
    );
    fn odd(n: u64) -> Result<(), String> {
        (n != 501).then_some(()).ok_or_else(|| format!("odd: {n}"))
    }
    let task = rt.task(odd);
    let is_returned = |outcome: Result<(), TaskError>| {
        let error = outcome.expect_err("one is odd");
        assert!(
            matches!(&error, TaskError::Returned { message, .. } if message == "odd: 501"),
            "{error}"
        );
        assert_eq!(error.task().and_then(|task| task.item), Some(501));
    };
    is_returned(task.try_for_each(0..));
    is_returned(task.clone().chunked().try_for_each(0..));
    assert_eq!(task.try_for_each(0..500), Ok(()));
    is_whole(&rt);
}

/// What runs when the first error comes has ended when `for_each` returns.
#[test]
fn for_each_waits_for_what_is_running() {
    let rt = runtime(2);
    let door = Door::new();
    fn either((is_slow, door): (bool, (PathBuf, PathBuf))) {
        if is_slow {
            at_door(door)
        } else {
            // Else the slow one may be cancelled before it has begun.
            until("it runs", || door.0.with_file_name("slow").exists());
            fall(door)
        };
    }
    let items = [(true, door.arg("slow")), (false, door.arg("error"))];
    let error = std::thread::scope(|threads| {
        let all = threads.spawn(|| rt.task(either).for_each(items));
        door.wait_for("slow");
        door.wait_for("error");
        assert!(!all.is_finished());
        door.open();
        all.join().unwrap()
    });
    assert!(
        matches!(error, Err(TaskError::Panicked { .. })),
        "{error:?}"
    );
    assert_eq!(rt.stats().tasks.in_flight, 0);
    is_whole(&rt);
}

#[test]
fn progress_is_told_for_each_item() {
    let rt = runtime(2);
    let mut told = Vec::new();
    let outcomes = rt
        .task(deadly)
        .execute_all(1..=500, |done, total| told.push((done, total)));
    assert!(told.into_iter().eq((1..=500).map(|done| (done, 500))));
    for (n, outcome) in (1..).zip(outcomes) {
        assert_eq!(outcome.is_ok(), n % 100 != 0, "{n}: {outcome:?}");
        assert!(outcome.is_err() || outcome == Ok(n));
    }
    let none = rt.task(square).execute_all([], |_, _| panic!("nothing"));
    assert_eq!(none, []);
    let outcomes = rt.task(square).execute_all(0..MANY, |_, _| {});
    assert!(outcomes.into_iter().eq((0..MANY).map(|n| Ok(n * n))));
    is_whole(&rt);
}

#[test]
fn a_progress_that_panics_leaves_nothing() {
    let rt = runtime(2);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rt.task(square)
            .execute_all(0..1000, |done, _| assert!(done < 10))
    }));
    assert!(panicked.is_err());
    is_whole(&rt);
}

#[test]
fn maps_of_a_runtime_that_is_shut_down() {
    let rt = runtime(1);
    rt.shutdown(Shutdown::Drain).unwrap();
    let is_shut_down =
        |outcome: &Result<u64, TaskError>| matches!(outcome, Err(TaskError::Shutdown { .. }));
    let mut map = rt.task(square).map_unordered(0..);
    assert!(
        map.next()
            .is_some_and(|(n, outcome)| n == 0 && is_shut_down(&outcome))
    );
    assert_eq!(map.next(), None, "it says so once");
    let mut map = rt.task(square).chunked().map(0..);
    assert!(map.next().is_some_and(|outcome| is_shut_down(&outcome)));
    assert_eq!(map.next(), None);
    assert!(matches!(
        rt.task(|_: u64| ()).for_each(0..),
        Err(TaskError::Shutdown { .. })
    ));
    let all = rt.task(square).execute_all(0..3, |_, _| {});
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(is_shut_down), "{all:?}");
    assert!(matches!(
        rt.task(square).reduce(0.., |(a, b)| a + b),
        Err(TaskError::Shutdown { .. })
    ));
}

#[test]
fn chunks_keep_the_order_and_are_few() {
    let rt = runtime(2);
    let task = rt.task(square).chunked();
    assert!(task.map(0..MANY).eq((0..MANY).map(|n| Ok(n * n))));
    let chunks = rt.stats().tasks.submitted;
    assert!(chunks < MANY / 8, "{chunks} tasks");
    let mut unordered: Vec<_> = task.map_unordered(0..MANY).collect();
    unordered.sort_unstable_by_key(|(n, _)| *n);
    let expected = (0..MANY).map(|n| (n as usize, Ok(n * n)));
    assert!(unordered.into_iter().eq(expected));
    assert_eq!(task.map([]).next(), None);
    is_whole(&rt);
}

/// An `Err` is its item's; a panic or a death is that of its chunk.
#[test]
fn what_an_item_ends_in_within_a_chunk() {
    let rt = runtime(2);
    fn third(n: u64) -> Result<u64, u64> {
        if n.is_multiple_of(3) { Err(n) } else { Ok(n) }
    }
    let outcomes = rt.task(third).chunked().map(0..10_000);
    assert!(outcomes.eq((0..10_000).map(|n| Ok(third(n)))));

    fn falls_late(n: u64) -> u64 {
        assert_ne!(n, 50_000, "in the middle");
        n
    }
    fn dies_late(n: u64) -> u64 {
        if n == 50_000 {
            deadly(0);
        }
        n
    }
    let panicked: Vec<_> = rt.task(falls_late).chunked().map(0..MANY).collect();
    let died: Vec<_> = rt.task(dies_late).chunked().map(0..MANY).collect();
    for (outcomes, is_meant) in [
        (
            panicked,
            (|e| matches!(e, TaskError::Panicked { .. })) as fn(&TaskError) -> bool,
        ),
        (died, |e| matches!(e, TaskError::WorkerDied { .. })),
    ] {
        assert_eq!(outcomes.len(), MANY as usize);
        let mut failed = Vec::new();
        for (n, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(value) => assert_eq!(*value, n as u64),
                Err(error) => {
                    assert!(is_meant(error), "{error:?}");
                    failed.push(n);
                }
            }
        }
        let (first, last) = (failed[0], failed[failed.len() - 1]);
        assert!(failed.contains(&50_000));
        assert_eq!(last - first + 1, failed.len(), "one chunk");
        assert!(failed.len() <= 1024);
    }
    is_whole(&rt);
}

/// A chunk whose worker dies is repeated as a whole, if its items may be.
#[test]
fn chunks_survive_constant_killing() {
    let rt = runtime(2);
    let door = Door::new();
    fn dies_once((n, mark): (u64, PathBuf)) -> u64 {
        if n.is_multiple_of(1000) && std::fs::File::create_new(mark.join(n.to_string())).is_ok() {
            deadly(0);
        }
        n
    }
    let items = (0..5_000).map(|n| (n, door.0.path().to_owned()));
    let outcomes = rt.task(dies_once).safe_to_repeat(10).chunked().map(items);
    assert!(outcomes.eq((0..5_000).map(Ok)));
    assert!(rt.stats().restarts >= 1);
    is_whole(&rt);
}

/// At most 255 buffers fit into a task: items that hold one travel alone.
#[test]
fn buffers_in_chunks() {
    let rt = Runtime::builder()
        .workers(2)
        .memory_cap(64 << 20)
        .start()
        .unwrap();
    let shared = |n: usize| {
        let mut loan = rt.alloc(8).unwrap();
        loan.copy_from_slice(&(n as u64).to_ne_bytes());
        loan.publish()
    };
    let items: Vec<Shared> = (0..2000).map(shared).collect();
    let task = rt.task(|s: Shared| u64::from_ne_bytes(s[..].try_into().unwrap()));
    assert!(
        task.clone()
            .chunked()
            .map(items.clone())
            .eq((0..2000).map(Ok))
    );
    let sum = task.reduce(items.clone(), |(a, b)| a + b);
    assert_eq!(sum, Ok(Some(1999 * 1000)));
    fn make(n: u64) -> Shared {
        let mut loan = pinfold::alloc(8).unwrap();
        loan.copy_from_slice(&n.to_ne_bytes());
        loan.publish()
    }
    let made = rt.task(make).chunked().map(0..2000);
    for (made, item) in made.zip(&items) {
        assert_eq!(made.unwrap()[..], item[..]);
    }
    drop(items);
    is_whole(&rt);
}
