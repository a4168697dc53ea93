//! What a task can do with the tasks that it has spawned: join two, cancel, look, give up
//! waiting, hold them in a scope; and what becomes of a scope when somebody dies.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pinfold::{Child, TaskError};

use crate::api::runtime;
use crate::nested::becomes_clean;

/// Who waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn mark(dir: &Path, name: &str) {
    std::fs::write(dir.join(name), b"").expect("writes");
}

pub(crate) fn wait_for(dir: &Path, name: &str) {
    let give_up = Instant::now() + PATIENCE;
    while !dir.join(name).exists() {
        assert!(Instant::now() < give_up, "no sign: {name}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Says that it has begun, and ends when it is told to.
pub(crate) fn listens(dir: PathBuf) -> Result<(), String> {
    mark(&dir, "begun");
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        if let Err(cancelled) = pinfold::context().check() {
            mark(&dir, "told");
            return Err(cancelled.to_string());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not told");
}

/// Ends when it may.
fn waits(dir: PathBuf) -> u32 {
    mark(&dir, "begun");
    wait_for(&dir, "go");
    7
}

pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = pinfold::join(fib, n - 2, fib, n - 1);
    a.expect("a number") + b.expect("a number")
}

#[test]
fn join_gives_both() {
    fn parent(text: String) -> (usize, String, Vec<u8>) {
        let mut bytes = vec![3, 1, 2];
        // The one on the spot may borrow, and change.
        let (first, second) = pinfold::join(
            |by: usize| {
                bytes.sort_unstable();
                text.len() * by
            },
            2,
            |text: String| text + "!",
            "b".repeat(300),
        );
        (first.expect("a length"), second.expect("a text"), bytes)
    }
    for workers in [1, 2] {
        let rt = runtime(workers);
        assert_eq!(rt.spawn(fib, 15).join(), Ok(610));
        let (len, text, bytes) = rt.spawn(parent, "abc".into()).join().expect("runs");
        assert_eq!((len, text.len(), bytes), (6, 301, vec![1, 2, 3]));
        becomes_clean(&rt);
    }
}

#[test]
fn join_tells_of_each_why_it_has_no_value() {
    fn message(error: TaskError) -> String {
        match error {
            TaskError::Panicked { message, .. } => message,
            other => format!("{other:?}"),
        }
    }
    fn fails(n: u32) -> u32 {
        assert!(n > 5, "{n} is too small");
        n
    }
    fn parent((a, b): (u32, u32)) -> (Result<u32, String>, Result<u32, String>) {
        let (first, second) = pinfold::join(fails, a, fails, b);
        (first.map_err(message), second.map_err(message))
    }
    let rt = runtime(2);
    let (well, bad) = (|n| Ok(n), |n| Err(format!("{n} is too small")));
    assert_eq!(rt.spawn(parent, (6, 7)).join(), Ok((well(6), well(7))));
    assert_eq!(rt.spawn(parent, (1, 7)).join(), Ok((bad(1), well(7))));
    assert_eq!(rt.spawn(parent, (6, 2)).join(), Ok((well(6), bad(2))));
    assert_eq!(rt.spawn(parent, (1, 2)).join(), Ok((bad(1), bad(2))));
    becomes_clean(&rt);
}

#[test]
fn outside_of_a_task_nothing_is_run() {
    fn never(_: ()) -> u32 {
        panic!("it ran")
    }
    let (first, second) = pinfold::join(never, (), never, ());
    assert_eq!(
        (first, second),
        (Err(TaskError::NotInTask), Err(TaskError::NotInTask))
    );
    let mut child = pinfold::spawn(never, ());
    assert!(child.is_finished());
    child.cancel();
    assert_eq!(child.try_join(), Some(Err(TaskError::NotInTask)));
    assert_eq!(
        child.join_timeout(PATIENCE),
        Some(Err(TaskError::NotInTask))
    );
    let scoped = pinfold::scope(|s| drop(s.spawn(never, ())));
    assert_eq!(scoped, Err(TaskError::NotInTask));
    let (value, errors) = pinfold::scope_collect(|s| s.spawn(never, ()).join());
    assert_eq!(value, Err(TaskError::NotInTask));
    assert_eq!(errors, [(0, TaskError::NotInTask)]);
    assert_eq!(pinfold::scope(|_| 5), Ok(5));
}

#[test]
fn a_thread_of_a_task_is_told_that_it_is_none() {
    fn parent(_: ()) -> bool {
        let child = std::thread::spawn(|| pinfold::spawn(|n: u32| n, 1).join());
        child.join().expect("returns") == Err(TaskError::NotInTask)
    }
    assert_eq!(runtime(1).spawn(parent, ()).join(), Ok(true));
}

static RAN: AtomicU32 = AtomicU32::new(0);

fn count(_: u32) {
    RAN.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_child_that_is_cancelled_before_it_has_begun_never_runs() {
    fn parent(_: ()) -> (Vec<bool>, u32) {
        let mut children: Vec<Child<()>> = (0..5).map(|n| pinfold::spawn(count, n)).collect();
        children[1].cancel();
        children[3].cancel();
        children[3].cancel();
        let early = children[3].try_join();
        assert!(matches!(early, Some(Err(TaskError::Cancelled { .. }))));
        assert!(matches!(
            children[3].try_join(),
            Some(Err(TaskError::AlreadyJoined { .. }))
        ));
        let outcomes = Child::join_all(children);
        let is_expected = matches!(
            outcomes[..],
            [
                Ok(()),
                Err(TaskError::Cancelled { .. }),
                Ok(()),
                Err(TaskError::AlreadyJoined { .. }),
                Ok(()),
            ]
        );
        assert!(is_expected, "{outcomes:?}");
        // One with long arguments.
        let long = pinfold::spawn(|text: String| text.len(), "x".repeat(100_000));
        long.cancel();
        let is_cancelled = matches!(long.join(), Err(TaskError::Cancelled { .. }));
        (vec![is_cancelled], RAN.load(Ordering::SeqCst))
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, ()).join(), Ok((vec![true], 3)));
    becomes_clean(&rt);
}

#[test]
fn a_child_that_runs_elsewhere_hears_that_it_is_cancelled_and_so_do_its_own() {
    fn middle(dir: PathBuf) -> Result<(), String> {
        mark(&dir, "middle");
        let below = pinfold::spawn(listens, dir.join("below"));
        let above = listens(dir);
        let below = below.join().map_err(|error| error.to_string());
        // Its own handle was not cancelled, so it is the value that is told; or it never began.
        assert!(below.is_err() || below == Ok(Err("the task was cancelled".into())));
        above
    }
    fn parent(dir: PathBuf) -> bool {
        let child = pinfold::spawn(middle, dir.clone());
        wait_for(&dir, "begun");
        wait_for(&dir, "below/begun");
        assert!(!child.is_finished());
        child.cancel();
        wait_for(&dir, "below/told");
        matches!(child.join(), Err(TaskError::Cancelled { .. }))
    }
    let dir = directory();
    std::fs::create_dir(dir.path().join("below")).expect("makes it");
    let rt = runtime(3);
    assert_eq!(rt.spawn(parent, dir.path().into()).join(), Ok(true));
    becomes_clean(&rt);
}

#[test]
fn waiting_for_a_child_can_be_given_up() {
    fn parent(dir: PathBuf) -> u32 {
        let mut child = pinfold::spawn(waits, dir.clone());
        wait_for(&dir, "begun");
        assert_eq!(child.join_timeout(Duration::ZERO), None);
        assert_eq!(child.join_timeout(Duration::from_millis(5)), None);
        assert!(child.try_join().is_none() && !child.is_finished());
        mark(&dir, "go");
        let value = child.join_timeout(PATIENCE);
        assert!(matches!(
            child.join_timeout(PATIENCE),
            Some(Err(TaskError::AlreadyJoined { .. }))
        ));
        assert!(matches!(child.join(), Err(TaskError::AlreadyJoined { .. })));
        value.expect("in time").expect("a value")
    }
    let (rt, dir) = (runtime(2), directory());
    assert_eq!(rt.spawn(parent, dir.path().into()).join(), Ok(7));
    becomes_clean(&rt);
}

#[test]
fn a_scope_ends_when_its_tasks_have() {
    /// More than there are slots; joined, dropped, and kept.
    fn parent(n: u64) -> u64 {
        let mut sum = 0;
        let kept = pinfold::scope(|s| {
            let mut kept = Vec::new();
            for i in 0..n {
                let child = s.spawn(|i: u64| i * 2, i);
                match i % 3 {
                    0 => sum += child.join().expect("a value"),
                    1 => drop(child),
                    _ => kept.push(child),
                }
            }
            kept
        });
        for child in kept.expect("no error") {
            assert!(child.is_finished());
            sum += child.join().expect("a value");
        }
        sum
    }
    for workers in [1, 2] {
        let rt = runtime(workers);
        for n in [0, 1, 100, 3000] {
            let expected: u64 = (0..n).filter(|i| i % 3 != 1).map(|i| i * 2).sum();
            assert_eq!(rt.spawn(parent, n).join(), Ok(expected));
        }
        becomes_clean(&rt);
    }
}

fn fails_at_zero(n: u32) -> u32 {
    100 / n
}

#[test]
fn a_scope_s_first_error_cancels_the_rest() {
    fn parent(dir: PathBuf) -> String {
        let scoped = pinfold::scope(|s| {
            drop(s.spawn(listens, dir.clone()));
            wait_for(&dir, "begun");
            drop(s.spawn(fails_at_zero, 0));
        });
        assert!(dir.join("told").exists());
        scoped.map_err(|error| error.to_string()).unwrap_err()
    }
    fn joined(_: ()) -> bool {
        let scoped = pinfold::scope(|s| {
            let failed = s.spawn(fails_at_zero, 0).join().is_err();
            let late = s.spawn(fails_at_zero, 1).join();
            failed && s.is_cancelled() && matches!(late, Err(TaskError::Cancelled { .. }))
        });
        scoped.is_err()
    }
    let (rt, dir) = (runtime(2), directory());
    let told = rt.spawn(parent, dir.path().into()).join().expect("runs");
    assert!(told.contains("divide by zero"), "{told}");
    assert_eq!(rt.spawn(joined, ()).join(), Ok(true));
    becomes_clean(&rt);
}

#[test]
fn a_scope_collects_all_errors() {
    fn parent(_: ()) -> Vec<usize> {
        let (kept, errors) = pinfold::scope_collect(|s| {
            drop(s.spawn(fails_at_zero, 0));
            let joined = s.spawn(fails_at_zero, 0).join();
            assert!(joined.is_err());
            let cancelled = s.spawn(fails_at_zero, 0);
            cancelled.cancel();
            // Run elsewhere or here: a value in each case.
            drop(s.spawn(fails_at_zero, 5));
            [s.spawn(fails_at_zero, 0), s.spawn(fails_at_zero, 2)]
        });
        let [failed, well] = kept;
        assert!(matches!(failed.join(), Err(TaskError::Panicked { .. })));
        assert_eq!(well.join(), Ok(50));
        let mut failed: Vec<usize> = errors.into_iter().map(|(child, _)| child).collect();
        failed.sort_unstable();
        // Unless somebody was quicker than who has cancelled it.
        failed.retain(|child| *child != 2);
        failed
    }
    for workers in [1, 2] {
        let rt = runtime(workers);
        assert_eq!(rt.spawn(parent, ()).join(), Ok(vec![0, 1, 4]));
        becomes_clean(&rt);
    }
}

#[test]
fn a_scope_whose_body_panics_waits_and_the_panic_goes_on() {
    fn parent(dir: PathBuf) {
        let _ = pinfold::scope(|s| {
            drop(s.spawn(listens, dir.clone()));
            wait_for(&dir, "begun");
            panic!("the body");
        });
    }
    let (rt, dir) = (runtime(2), directory());
    match rt.spawn(parent, dir.path().into()).join() {
        Err(TaskError::Panicked { message, .. }) => assert_eq!(message, "the body"),
        other => panic!("{other:?}"),
    }
    assert!(dir.path().join("told").exists());
    becomes_clean(&rt);
}

#[test]
fn scopes_may_be_nested_as_deep_as_calls() {
    fn depth(left: u32) -> u32 {
        if left == 0 {
            return 0;
        }
        let below = pinfold::scope(|s| {
            drop(s.spawn(fails_at_zero, left));
            s.spawn(depth, left - 1)
        });
        below.expect("no error").join().expect("a value") + 1
    }
    for workers in [1, 2] {
        let rt = runtime(workers);
        assert_eq!(rt.spawn(depth, 600).join(), Ok(600));
        becomes_clean(&rt);
    }
}

fn dies_elsewhere((parent, dir): (u32, PathBuf)) {
    mark(&dir, "begun");
    if std::process::id() != parent {
        std::process::abort();
    }
}

#[test]
fn a_worker_that_dies_in_the_middle_of_a_scope_is_an_error_of_it() {
    fn parent(dir: PathBuf) -> String {
        let scoped = pinfold::scope(|s| {
            let (below, other) = (dir.join("below"), dir.join("other"));
            drop(s.spawn(listens, below.clone()));
            wait_for(&below, "begun");
            drop(s.spawn(dies_elsewhere, (std::process::id(), other.clone())));
            wait_for(&other, "begun");
        });
        assert!(dir.join("below/told").exists());
        scoped.map_err(|error| error.to_string()).unwrap_err()
    }
    let (rt, dir) = (runtime(3), directory());
    for name in ["below", "other"] {
        std::fs::create_dir(dir.path().join(name)).expect("makes it");
    }
    let told = rt.spawn(parent, dir.path().into()).join().expect("runs");
    assert!(told.contains("dies_elsewhere"), "{told}");
    becomes_clean(&rt);
}

/// In a scope that does not end by itself.
fn holds(dir: PathBuf) -> Result<(), String> {
    let scoped = pinfold::scope(|s| {
        drop(s.spawn(listens, dir.clone()));
        wait_for(&dir, "begun");
        mark(&dir, "waits");
    });
    scoped.map_err(|error| error.to_string())?;
    mark(&dir, "over");
    pinfold::context()
        .check()
        .map_err(|error| error.to_string())
}

#[test]
fn a_scope_of_a_cancelled_root_ends_and_waits_for_who_runs() {
    let (rt, dir) = (runtime(2), directory());
    let root = rt.spawn(holds, dir.path().into());
    wait_for(dir.path(), "waits");
    root.cancel();
    assert!(matches!(root.join(), Err(TaskError::Cancelled { .. })));
    assert!(dir.path().join("told").exists() && dir.path().join("over").exists());
    becomes_clean(&rt);
}

#[test]
fn a_scope_of_a_root_that_is_killed_has_its_tasks_told() {
    for by_deadline in [true, false] {
        let (rt, dir) = (runtime(2), directory());
        let task = rt.task(|dir: PathBuf| {
            let _ = pinfold::scope(|s| {
                drop(s.spawn(listens, dir.clone()));
                wait_for(&dir, "begun");
                mark(&dir, "waits");
                std::thread::sleep(PATIENCE);
            });
        });
        let task = match by_deadline {
            true => task.hard_deadline(Duration::from_millis(300)),
            false => task,
        };
        let root = task.spawn(dir.path().into());
        if !by_deadline {
            wait_for(dir.path(), "waits");
            root.cancel_within(Duration::from_millis(1));
        }
        let error = root.join().expect_err("it is killed");
        match by_deadline {
            true => assert!(matches!(error, TaskError::DeadlineExceeded { .. })),
            false => assert!(matches!(error, TaskError::Cancelled { .. })),
        }
        // Unless the deadline came before anything had begun.
        if dir.path().join("begun").exists() {
            wait_for(dir.path(), "told");
        }
        becomes_clean(&rt);
    }
}
