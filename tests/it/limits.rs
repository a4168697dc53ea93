//! Limits and retries.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pinfold::{Limit, Memo, Refusal, Retry, Shutdown, TaskError, TimeLimit};

use crate::api::{endless, runtime};
use crate::processes::until;

const LONG: Duration = Duration::from_secs(60);

fn nap(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

#[test]
fn never_more_than_the_limit_are_in_flight() {
    // Each task counts those that run beside it in a file's length.
    fn beside(path: PathBuf) -> u64 {
        let mine = path.join(std::process::id().to_string());
        std::fs::write(&mine, "").expect("a file");
        thread::sleep(Duration::from_millis(1));
        let beside = std::fs::read_dir(&path).expect("a folder").count() as u64;
        std::fs::remove_file(&mine).expect("it is there");
        beside
    }
    let rt = runtime(4);
    let folder = tempfile::tempdir().expect("a folder");
    let limit = Limit::new(2);
    let task = rt.task(beside).limited(&limit, 1);
    let handles: Vec<_> = (0..40)
        .map(|_| task.spawn(folder.path().to_owned()))
        .collect();
    for handle in handles {
        assert!(handle.join().expect("a value") <= 2);
    }
    let beside: Vec<_> = task
        .map((0..40).map(|_| folder.path().to_owned()))
        .collect();
    assert!(beside.iter().all(|n| matches!(n, Ok(1..=2))), "{beside:?}");
    until("all to be given back", || limit.free() == 2);
}

#[test]
fn each_way_to_wait_for_a_limit_ends() {
    let rt = runtime(1);
    let limit = Limit::new(10);
    let task = rt.task(nap).limited(&limit, 6);
    let first = task.spawn(300);
    let refused = Refusal::Limited {
        units: 6,
        total: 10,
    };
    let tried = task.try_spawn(0).expect_err("only 4 are free");
    assert_eq!((tried.refusal, tried.args), (refused, 0));
    let waited = task
        .spawn_timeout(1, Duration::from_millis(5))
        .expect_err("as before");
    assert_eq!((waited.refusal, waited.args), (refused, 1));
    assert_eq!(rt.stats().tasks.refused, 2);
    task.spawn_timeout(0, LONG)
        .expect("soon")
        .join()
        .expect("a value");
    assert!(first.is_finished());
    // More than there are in all is never there.
    let never = rt.task(nap).limited(&limit, 11);
    assert!(never.try_spawn(0).is_err());
    assert!(matches!(
        never.spawn(0).join(),
        Err(TaskError::BeyondLimit {
            units: 11,
            total: 10,
            ..
        })
    ));
    // Shutting down ends the wait too.
    let stuck = rt.task(endless).limited(&limit, 10).spawn(());
    thread::scope(|scope| {
        let waits = scope.spawn(|| task.spawn(0).join());
        until("a running task", || rt.audit().slots_running == 1);
        rt.shutdown(Shutdown::Abort).expect("shut down");
        assert!(matches!(
            waits.join().expect("no panic"),
            Err(TaskError::Shutdown { .. })
        ));
    });
    assert!(matches!(stuck.join(), Err(TaskError::Shutdown { .. })));
    assert_eq!(limit.free(), 10, "whatever ended it, it is given back");
}

#[test]
fn what_dies_or_is_cancelled_gives_its_share_back() {
    let rt = runtime(2);
    let limit = Limit::new(3);
    let aborts = rt
        .task(|()| -> () { std::process::abort() })
        .limited(&limit, 1);
    let stuck = rt.task(endless).limited(&limit, 1).spawn(());
    for _ in 0..5 {
        assert!(aborts.spawn(()).join().is_err());
    }
    assert!(limit.free() >= 2);
    stuck.cancel_within(Duration::ZERO);
    assert!(matches!(stuck.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(limit.free(), 3);
}

fn flaky(fails: u32) -> Result<u32, String> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    if calls < fails {
        return Err(format!("call {calls}"));
    }
    CALLS.store(0, Ordering::Relaxed);
    Ok(calls)
}

#[test]
fn errors_are_retried_as_often_as_was_said() {
    let rt = runtime(1);
    let ms = Duration::from_millis;
    for retry in [
        Retry::fixed(4, Duration::ZERO),
        Retry::fixed(4, ms(1)),
        Retry::linear(4, ms(1)).with_jitter(),
        Retry::exponential(4, ms(1), ms(2)).with_jitter(),
    ] {
        let before = rt.stats().tasks.repeated;
        let task = rt.task(flaky).retry(retry);
        assert_eq!(task.spawn(3).join(), Ok(Ok(3)), "{retry:?}");
        assert_eq!(rt.stats().tasks.repeated - before, 3);
        let last = task.spawn(100).join();
        assert_eq!(last, Ok(Err("call 3".into())), "the last outcome counts");
        rt.spawn(flaky, 0)
            .join()
            .expect("begins anew")
            .expect("a value");
    }
    let panics = rt.task(|n: u32| 1 / n).retry(Retry::fixed(3, ms(1)));
    let before = rt.stats().tasks.repeated;
    assert!(matches!(
        panics.spawn(0).join(),
        Err(TaskError::Panicked { .. })
    ));
    assert_eq!(rt.stats().tasks.repeated - before, 2);
    // A worker's death is another matter.
    let dies = rt
        .task(|()| -> u32 { std::process::abort() })
        .retry(Retry::fixed(3, ms(1)));
    assert!(matches!(
        dies.spawn(()).join(),
        Err(TaskError::WorkerDied { .. })
    ));
    let tasks = rt.stats().tasks;
    let ended = tasks.completed + tasks.panicked + tasks.died;
    assert_eq!(tasks.submitted, ended, "{tasks:?}");
}

#[test]
fn the_user_judges_what_is_a_failure() {
    fn number(n: u32) -> u32 {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        n + CALLS.fetch_add(1, Ordering::Relaxed)
    }
    let rt = runtime(1);
    let retry = Retry::fixed(100, Duration::ZERO);
    let task = rt
        .task(number)
        .retry(retry)
        .retry_if(|outcome| matches!(outcome, Ok(..7)));
    assert_eq!(task.spawn(0).join(), Ok(7), "seven are too small");
    assert_eq!(
        task.map(0..3).collect::<Result<Vec<_>, _>>(),
        Ok(vec![8, 10, 12])
    );
    assert_eq!(rt.stats().tasks.repeated, 7);
    // One that panics has no say.
    let task = rt
        .task(number)
        .retry(retry)
        .retry_if(|_| panic!("on purpose"));
    assert!(task.spawn(0).join().is_ok());
}

#[test]
fn a_task_between_two_attempts_can_be_cancelled() {
    let rt = runtime(1);
    let fails = |()| -> Result<(), String> { Err("always".into()) };
    let task = rt.task(fails).retry(Retry::fixed(2, LONG)).spawn(());
    until("the first failure", || rt.audit().slots_waiting == 1);
    assert!(task.cancel());
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    let limit = Duration::from_secs(1);
    let task = rt
        .task(fails)
        .retry(Retry::fixed(2, LONG))
        .hard_deadline(limit);
    let late = task.spawn(()).join();
    let Err(TaskError::DeadlineExceeded {
        task,
        which: TimeLimit::Hard,
        limit: of,
        begun: true,
        ..
    }) = &late
    else {
        panic!("{late:?}");
    };
    let [first] = &task.attempts[..] else {
        panic!("{task:?}");
    };
    let told = r#"it returned the error "always""#;
    assert_eq!((*of, &*first.ended), (limit, told));
    assert!(first.ran.is_some() && task.ran.is_none(), "{task:?}");
    let words = late.expect_err("late").to_string();
    let begins =
        "its hard deadline, 1s after it was submitted, came between two attempts; attempt 1: ";
    assert!(words.contains(begins) && words.contains(told), "{words}");
    assert_eq!(rt.audit().orphans, Vec::<String>::new());
}

#[test]
fn what_is_known_is_not_run_again() {
    let rt = runtime(2);
    let memo = Memo::new(2);
    let square = rt.task(|n: u64| n * n).memoized(&memo);
    for _ in 0..3 {
        assert_eq!(
            (square.spawn(3).join(), square.spawn(4).join()),
            (Ok(9), Ok(16))
        );
    }
    assert_eq!((memo.misses(), memo.hits()), (2, 4));
    assert_eq!(rt.stats().tasks.submitted, 2);
    // Bounded: the one that was used longest ago goes.
    // (The second time it is known: the first may be joined a little before that.)
    assert_eq!(square.spawn(5).join(), Ok(25));
    assert_eq!(square.spawn(5).join(), Ok(25));
    assert_eq!(square.spawn(3).join(), Ok(9));
    assert_eq!((memo.misses(), memo.hits()), (4, 5));
    // By function too, and by value: other types encode alike.
    let same = rt.task(|n: u64| n).memoized(&memo);
    assert_eq!(same.spawn(3).join(), Ok(3));
    memo.clear();
    assert_eq!(same.spawn(3).join(), Ok(3));
    assert_eq!(memo.misses(), 6);
    // It can be depended on, awaited and called back like any other.
    let known = same.spawn(3);
    let next = rt.spawn_after(&known, |(n, m): (u64, u64)| n + m, 1);
    assert_eq!((next.join(), known.join()), (Ok(4), Ok(3)));
}

#[test]
fn what_is_in_flight_is_joined_by_the_same() {
    let rt = runtime(1);
    let memo = Memo::new(10);
    let slow = rt.task(|ms: u64| {
        thread::sleep(Duration::from_millis(ms));
        ms
    });
    let slow = slow.memoized(&memo);
    let handles: Vec<_> = (0..50).map(|_| slow.spawn(100)).collect();
    assert_eq!((memo.misses(), memo.hits()), (1, 49));
    for handle in handles {
        assert_eq!(handle.join(), Ok(100));
    }
    assert_eq!(rt.stats().tasks.submitted, 1);
    // Errors are not remembered, but shared by those who have joined.
    let dies = rt
        .task(|()| -> u64 { std::process::abort() })
        .memoized(&memo);
    let (first, second) = (dies.spawn(()), dies.spawn(()));
    for handle in [first, second, dies.spawn(())] {
        assert!(matches!(handle.join(), Err(TaskError::WorkerDied { .. })));
    }
    let err = rt.task(|()| -> Result<(), u8> { Err(1) }).memoized(&memo);
    for _ in 0..2 {
        assert_eq!(err.spawn(()).join(), Ok(Err(1)));
    }
    let audit = rt.audit();
    assert_eq!(audit.orphans, Vec::<String>::new());
}

fn waits_for_the_end(path: PathBuf) -> Result<(), String> {
    std::fs::write(&path, "").expect("a file");
    while !pinfold::context().is_cancelled() {
        thread::sleep(Duration::from_millis(1));
    }
    Err("was asked to end".into())
}

#[test]
fn a_graceful_shutdown_drains_then_cancels_then_kills() {
    let (drain, grace) = (Duration::from_millis(50), LONG);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("begun");
    let rt = runtime(1);
    let quick = rt.spawn(|n: u32| n, 1);
    let listens = rt.spawn(waits_for_the_end, path.clone());
    let queued = rt.spawn(|n: u32| n, 2);
    let pending = rt.spawn_after(&queued, |(n, _): (u32, u32)| n, 2);
    until("the task", || path.exists());
    rt.shutdown(Shutdown::Graceful { drain, grace })
        .expect("all have ended");
    assert_eq!(quick.join(), Ok(1));
    assert!(matches!(listens.join(), Err(TaskError::Cancelled { .. })));
    assert!(matches!(queued.join(), Err(TaskError::Cancelled { .. })));
    assert!(matches!(pending.join(), Err(TaskError::Cancelled { .. })));
    // One that does not listen is killed.
    let rt = runtime(1);
    let deaf = rt.spawn(endless, ());
    until("a running task", || rt.audit().slots_running == 1);
    let (drain, grace) = (Duration::ZERO, Duration::from_millis(10));
    let error = rt
        .shutdown(Shutdown::Graceful { drain, grace })
        .expect_err("killed");
    assert_eq!(error.aborted, 1);
    assert!(matches!(deaf.join(), Err(TaskError::Shutdown { .. })));
}

#[test]
fn dependents_are_under_limits_too() {
    let rt = runtime(1);
    let limit = Limit::new(3);
    let gate = rt.spawn(endless, ());
    let after = rt.task(|((), ()): ((), ())| ()).limited(&limit, 1);
    let pending: Vec<_> = (0..3).map(|_| after.spawn_after(&gate, ())).collect();
    assert_eq!(limit.free(), 0, "they have their shares while they wait");
    thread::scope(|scope| {
        let waits = scope.spawn(|| rt.task(nap).limited(&limit, 1).spawn(0).cancel());
        assert!(pending[0].cancel());
        waits.join().expect("there is room for one");
    });
    gate.cancel_within(Duration::ZERO);
    for handle in pending {
        assert!(handle.join().is_err());
    }
    until("all to be given back", || limit.free() == 3);
}

/// The first of several same calls waits for room, the second joins it: both are told.
#[test]
fn who_joins_a_call_that_is_not_accepted_is_told_why() {
    let rt = pinfold::Runtime::builder()
        .workers(1)
        .queue_capacity(1)
        .start()
        .expect("starts");
    let memo = Memo::new(10);
    let stuck = rt.spawn(endless, ());
    thread::scope(|scope| {
        let call = || rt.task(|n: u32| n).memoized(&memo).spawn(1).join();
        let calls = [scope.spawn(call), scope.spawn(call)];
        until("the second", || memo.hits() == 1);
        rt.shutdown(Shutdown::Abort).expect("shut down");
        for call in calls {
            assert!(matches!(
                call.join().expect("no panic"),
                Err(TaskError::Shutdown { .. })
            ));
        }
    });
    assert!(matches!(stuck.join(), Err(TaskError::Shutdown { .. })));
}
