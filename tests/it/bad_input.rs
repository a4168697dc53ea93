//! Bad input: each kind has an error of its own, which names the value and says what to
//! do; and nothing is left of it.

use std::thread;
use std::time::Duration;

use pinfold::channel::{Options, Receiver, SendFault, Sender};
use pinfold::{
    AllocError, CallbackError, Handle, Limit, Memo, Priority, Refusal, Retry, Runtime, Shutdown,
    StartError, TaskError,
};

use crate::api::{endless, runtime};
use crate::processes::until;

const LONG: Duration = Duration::from_secs(60);

fn same(n: u64) -> u64 {
    n
}

fn len(s: String) -> usize {
    s.len()
}

/// The cause that a task which depends on `handle` ends with, and whom it names.
fn cause(rt: &Runtime, handle: &Handle<u64>) -> (String, TaskError) {
    match rt.spawn_after(handle, |((), n): ((), u64)| n, ()).join() {
        Err(TaskError::DependencyFailed { cause, .. }) => (function(&cause), *cause),
        other => panic!("{other:?}"),
    }
}

/// The function of the task that has failed.
fn function(error: &TaskError) -> String {
    let task = error.task().expect("a task's error");
    task.function.clone().into_owned()
}

/// It can still do what it could before, and counts `refused` tasks as not accepted.
fn is_well(rt: &Runtime, refused: u64) {
    assert_eq!(rt.spawn(same, 5).join(), Ok(5));
    let tasks = rt.stats().tasks;
    assert_eq!((tasks.refused, tasks.in_flight), (refused, 0), "{tasks:?}");
    let ended = tasks.completed + tasks.panicked + tasks.died + tasks.late + tasks.cancelled;
    assert_eq!(tasks.submitted, ended + tasks.failed, "{tasks:?}");
    assert_eq!(rt.audit().orphans, Vec::<String>::new());
}

#[test]
fn an_unknown_handle() {
    let rt = runtime(1);
    let mut taken = rt.spawn(same, 1);
    assert_eq!(taken.join_timeout(LONG), Some(Ok(1)));
    let (task, error) = cause(&rt, &taken);
    assert!(task.ends_with("same"), "{task}");
    assert!(matches!(error, TaskError::AlreadyJoined { .. }), "{error}");
    let told = format!(
        "{task}: its result was taken before: a handle gives it once, so keep what `try_join` \
         or `join_timeout` returns"
    );
    assert_eq!(error.to_string(), told);
    assert!(!taken.cancel() && taken.is_finished() && taken.id().is_none());
    assert!(matches!(taken.join(), Err(TaskError::AlreadyJoined { .. })));
    is_well(&rt, 0);
}

#[test]
fn a_handle_of_another_runtime() {
    let (rt, other) = (runtime(1), runtime(1));
    let foreign = other.spawn(same, 1);
    let (task, error) = cause(&rt, &foreign);
    assert!(task.ends_with("same"), "{task}");
    assert!(matches!(error, TaskError::ForeignHandle { .. }), "{error}");
    let told = format!(
        "{task}: its handle is of another runtime, or of this one before it was built anew: \
         submit both to the same"
    );
    assert_eq!(error.to_string(), told);
    assert_eq!(foreign.join(), Ok(1), "it is as good as before");
    is_well(&rt, 0);
    is_well(&other, 0);
}

#[test]
fn arguments_larger_than_all_memory() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    let long = "x".repeat(2 << 20);
    let len = rt.task(len);
    // Nobody waits for what can never be.
    let outcomes = [
        len.spawn(long.clone()).join(),
        len.try_spawn(long.clone()).expect("a handle").join(),
        len.spawn_timeout(long.clone(), LONG)
            .expect("a handle")
            .join(),
        len.map([long.clone()]).next().expect("an outcome"),
    ];
    for outcome in outcomes {
        let error = outcome.expect_err("too large");
        let TaskError::ArgumentsTooLarge {
            bytes, capacity, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert!(bytes > 2 << 20 && capacity == 1 << 20, "{error}");
        let told = format!(
            ": its arguments are {bytes} bytes long, but the memory cap leaves {capacity}: \
             pass less at a time, or raise `memory_cap`"
        );
        let task = error.task().expect("a task's error").to_string();
        assert_eq!(error.to_string(), task + &told);
    }
    is_well(&rt, 4);
    // So with inputs, and in a task.
    let half = |n: usize| "y".repeat(n);
    // One after the other: results that are not collected take room.
    let halves: Vec<_> = (0..3)
        .map(|_| {
            let handle = rt.spawn(half, 400_000);
            until("it to end", || handle.is_finished());
            handle
        })
        .collect();
    let all = rt.spawn_after(
        halves.iter().collect::<Vec<_>>(),
        |((), halves): ((), Vec<String>)| halves.len(),
        (),
    );
    let error = all.join().expect_err("too large together");
    assert!(
        matches!(error, TaskError::ArgumentsTooLarge { .. }),
        "{error:?}"
    );
    drop(halves);
    fn spawns(len: usize) -> String {
        let child = pinfold::spawn(|s: String| s.len(), "z".repeat(len));
        child.join().expect_err("too large").to_string()
    }
    let told = rt.spawn(spawns, 2 << 20).join().expect("runs");
    assert!(told.contains("raise `memory_cap`"), "{told}");
    is_well(&rt, 5);
}

#[test]
fn a_channel_of_another_runtime() {
    let (rt, other) = (runtime(1), runtime(1));
    let (sender, receiver) = other.channel::<u64>(1).expect("room");
    let close = |ends: (Sender<u64>, Receiver<u64>)| ends.0.close();
    let error = rt
        .spawn(close, (sender.clone(), receiver.clone()))
        .join()
        .expect_err("foreign");
    let told = error.to_string();
    assert!(
        told.contains("an end of a channel of another runtime"),
        "{told}"
    );
    let (carries, carried) = rt.channel(1).expect("room");
    for error in [
        carries.send(sender.clone()).expect_err("foreign"),
        carries.try_send(sender.clone()).expect_err("foreign"),
    ] {
        let SendFault::Encode { message, .. } = &error.fault else {
            panic!("{error:?}");
        };
        assert!(
            message.contains("an end of a channel in it is of another runtime"),
            "{message}"
        );
        let back = error.into_value().expect("it comes back");
        back.send(5).expect("it is as good as before");
        assert_eq!(receiver.recv(), Ok(5));
    }
    assert!(carried.is_empty());
    is_well(&rt, 1);
    is_well(&other, 0);
}

#[test]
fn a_message_larger_than_all_memory() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    let acked = rt.acked_channel(Options::new(1)).expect("room").0;
    let plain = rt.channel(1).expect("room").0;
    let bounded = rt
        .channel_with(Options::new(1).bytes(1 << 30))
        .expect("room")
        .0;
    let long = "x".repeat(2 << 20);
    for sender in [plain, bounded, acked] {
        // Nobody waits for what can never be. The receiver is gone, which is told first.
        let fault = sender.send(long.clone()).expect_err("gone").fault;
        assert_eq!(fault, SendFault::Disconnected);
    }
    let (plain, _receiver) = rt.channel(0).expect("room");
    let (bounded, _bounded) = rt
        .channel_with(Options::new(1).bytes(1 << 30))
        .expect("room");
    let (acked, _acked) = rt.acked_channel(Options::new(1)).expect("room");
    for sender in [plain, bounded, acked] {
        let error = sender.send(long.clone()).expect_err("too large");
        let SendFault::Alloc(AllocError::TooLarge {
            requested,
            capacity,
            ..
        }) = error.fault
        else {
            panic!("{error:?}");
        };
        assert!(requested > 2 << 20 && capacity <= 1 << 20);
        let told = error.to_string();
        for number in [requested, capacity] {
            assert!(told.contains(&number.to_string()), "{told}");
        }
        assert_eq!(error.into_value().as_ref(), Some(&long));
    }
    is_well(&rt, 0);
}

#[test]
fn more_of_a_limit_than_there_is() {
    let rt = runtime(1);
    for total in [0, 2] {
        let limit = Limit::new(total);
        let task = rt.task(same).limited(&limit, 3);
        let error = task.spawn(1).join().expect_err("never");
        assert!(
            matches!(&error, TaskError::BeyondLimit { units: 3, total: of, .. } if *of == total),
            "{error}"
        );
        let told = format!(
            "wants 3 units of a limit of {total}, which it can never have: let it want less, or \
             make the limit larger"
        );
        let function = function(&error);
        assert_eq!(error.to_string(), format!("{function}: it {told}"));
        let told = format!("the task {told}");
        let refused = task
            .spawn_timeout(1, LONG)
            .map(drop)
            .expect_err("not in a minute");
        assert_eq!(refused.refusal, Refusal::Limited { units: 3, total });
        assert_eq!(refused.to_string(), told);
        let item = task.map([1]).next().expect("an item").expect_err("never");
        assert!(matches!(item, TaskError::BeyondLimit { .. }), "{item}");
        assert_eq!(limit.free(), total);
    }
    is_well(&rt, 6);
    // One that is only reached says something else.
    let limit = Limit::new(2);
    let task = rt.task(endless).limited(&limit, 2);
    let stuck = task.spawn(());
    let told = task.try_spawn(()).expect_err("reached").to_string();
    assert!(told.contains("wait for tasks to end"), "{told}");
    stuck.cancel_within(Duration::ZERO);
    assert!(matches!(stuck.join(), Err(TaskError::Cancelled { .. })));
    // Nothing of nothing is always there.
    let none = rt.task(same).limited(&Limit::new(0), 0);
    assert_eq!(none.spawn(1).join(), Ok(1));
}

#[test]
fn zero_workers() {
    let error = Runtime::builder().workers(0).start().expect_err("refused");
    assert!(matches!(
        error,
        StartError::OutOfBounds {
            name: "workers",
            value: 0,
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "workers is 0, but must be from 1 to 1024"
    );
}

#[test]
fn a_priority_out_of_range() {
    for level in [4, 9, u8::MAX] {
        let error = Priority::from_level(level).expect_err("no such level");
        assert_eq!(error.level, level);
        let told = format!(
            "there is no priority of level {level}: it must be from 0 (background) to 3 (urgent)"
        );
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn a_deadline_that_has_passed() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().expect("a folder");
    let (zero, mark) = (Duration::ZERO, folder.path().join("ran"));
    let runs = rt.task(|path: std::path::PathBuf| std::fs::write(path, "").is_ok());
    let told = "of 0ns had passed when it was submitted: give it some time";
    let is_late = |outcome: Result<bool, TaskError>| {
        let error = outcome.expect_err("too late");
        let TaskError::DeadlineExceeded { limit, begun, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((limit, begun), (zero, false));
        let words = error.to_string();
        let which = ["hard deadline", "start deadline", "run limit"];
        let mut which = which.iter().map(|which| format!(": its {which} {told}"));
        assert!(which.any(|told| words.ends_with(&told)), "{words}");
    };
    for task in [
        runs.clone().start_deadline(zero),
        runs.clone().hard_deadline(zero),
        runs.clone().run_limit(zero),
        runs.clone().start_deadline(LONG).hard_deadline(zero),
    ] {
        is_late(task.spawn(mark.clone()).join());
        let tried = task.try_spawn(mark.clone()).expect("a handle");
        is_late(tried.join());
        is_late(task.map([mark.clone()]).next().expect("an item"));
    }
    // One that depends on others does not wait for them.
    let gate = rt.spawn(endless, ());
    let after = rt
        .task(|((), ()): ((), ())| ())
        .hard_deadline(zero)
        .spawn_after(&gate, ());
    is_late(after.join().map(|()| true));
    gate.cancel_within(zero);
    assert!(matches!(gate.join(), Err(TaskError::Cancelled { .. })));
    assert!(!mark.exists(), "none has run");
    is_well(&rt, 13);
    // The shortest that has not passed: it may be met, or not.
    let limit = Duration::from_nanos(1);
    let outcome = rt.task(same).start_deadline(limit).spawn(1).join();
    let told = ": its start deadline, 1ns after it was submitted, came before it had begun";
    let is_missed = |error: &TaskError| error.to_string().ends_with(told);
    assert!(
        outcome == Ok(1) || outcome.as_ref().is_err_and(is_missed),
        "{outcome:?}"
    );
}

#[test]
fn a_callback_set_too_late_or_too_early() {
    let rt = runtime(1);
    let mut task = rt.spawn(same, 1);
    assert_eq!(task.join_timeout(Duration::MAX), Some(Ok(1)));
    let which = "on_complete";
    let error = task.on_complete(|_| ()).expect_err("it was taken");
    assert_eq!(error, CallbackError::TooLate { which });
    assert_eq!(
        error.to_string(),
        "on_complete was set after the outcome had been taken: set it before"
    );
    // One that came too early may be set again.
    let gate = rt.spawn(endless, ());
    // With a name of its own, it is in no slot yet.
    let named = rt.task(|(n, ()): (u64, ())| n).named("waits");
    let pending = named.spawn_after(&gate, 1);
    let which = "on_progress";
    for _ in 0..2 {
        let error = pending.on_progress(|_| ()).expect_err("it waits");
        assert_eq!(error, CallbackError::NotQueued { which });
        assert_eq!(
            error.to_string(),
            "on_progress can be set when the task is queued: now it waits for others"
        );
    }
    gate.cancel_within(Duration::ZERO);
    assert!(pending.join().is_err());
    is_well(&rt, 0);
}

#[test]
fn nothing_of_something() {
    let rt = runtime(1);
    // None in flight is one, no room to remember is room for one, no attempt is one.
    let doubled = rt.task(|n: u64| 2 * n).in_flight(0).map(0..100);
    assert!(doubled.zip(0..).all(|(got, n)| got == Ok(2 * n)));
    let memo = Memo::new(0);
    let task = rt.task(same).memoized(&memo);
    for n in [1, 1, 2, 2, 1] {
        assert_eq!(task.spawn(n).join(), Ok(n));
    }
    assert_eq!(memo.hits() + memo.misses(), 5);
    assert!(memo.misses() >= 3, "only one was remembered: {memo:?}");
    let fails = |()| -> Result<(), u8> { Err(1) };
    for retry in [
        Retry::fixed(0, Duration::ZERO),
        Retry::linear(0, LONG),
        Retry::exponential(0, LONG, Duration::ZERO),
    ] {
        let task = rt.task(fails).retry(retry).safe_to_repeat(0);
        assert_eq!(task.spawn(()).join(), Ok(Err(1)), "{retry:?}");
    }
    assert_eq!(rt.stats().tasks.repeated, 0);
    is_well(&rt, 0);
}

#[test]
fn what_is_no_number_is_no_progress() {
    fn reports((): ()) -> Vec<String> {
        let context = pinfold::context();
        let report = |fraction: f64| {
            let error = context.report_progress(fraction, "half").err();
            error.map_or(String::new(), |error| error.to_string())
        };
        [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
            .map(report)
            .to_vec()
    }
    let rt = runtime(1);
    let told = rt.spawn(reports, ()).join().expect("runs");
    let refused = |what: &str| format!("progress must be a finite number, not {what}");
    assert_eq!(
        told,
        ["", &refused("NaN"), &refused("inf"), &refused("-inf")]
    );
}

#[test]
fn everything_after_a_shutdown() {
    let rt = runtime(1);
    let before = rt.spawn(same, 1);
    rt.shutdown(Shutdown::Drain).expect("drains");
    for how in [
        Shutdown::Drain,
        Shutdown::Abort,
        Shutdown::DrainFor(Duration::ZERO),
    ] {
        rt.shutdown(how).expect("twice is once");
    }
    let task = rt.task(same);
    let told = ": the runtime was shut down before it ended";
    let outcomes = [
        task.spawn(1).join(),
        task.clone().limited(&Limit::new(1), 1).spawn(1).join(),
        task.clone().memoized(&Memo::new(1)).spawn(1).join(),
        rt.spawn_after(&before, |((), n): ((), u64)| n, ()).join(),
        task.map([1]).next().expect("an outcome"),
    ];
    for outcome in outcomes {
        let error = outcome.expect_err("shut down");
        assert!(matches!(error, TaskError::Shutdown { .. }), "{error}");
        let task = error.task().expect("a task's error").to_string();
        assert_eq!(error.to_string(), task + told);
    }
    for refused in [task.try_spawn(1), task.spawn_timeout(1, LONG)] {
        let refused = refused.map(drop).expect_err("shut down");
        assert_eq!(refused.refusal, Refusal::Shutdown);
        assert_eq!(refused.to_string(), "the runtime is shut down");
    }
    assert_eq!(rt.stats().tasks.refused, 7);
    assert_eq!(before.join(), Ok(1));
}

/// Whoever waits to submit, for whatever, is told that the runtime is shut down.
#[test]
fn every_wait_to_submit_ends_with_the_runtime() {
    fn hold(bytes: usize) -> usize {
        let loan = pinfold::alloc(bytes).expect("room");
        endless(());
        loan.len()
    }
    for graceful in [false, true] {
        let rt = Runtime::builder()
            .workers(1)
            .memory_cap(1 << 20)
            .queue_capacity(2)
            .start()
            .expect("starts");
        let limit = Limit::new(1);
        let stuck = rt.task(hold).limited(&limit, 1).spawn(1 << 20);
        until("no memory", || rt.alloc(4096).is_err());
        let text = "t".repeat(100_000);
        thread::scope(|scope| {
            let memory = scope.spawn(|| rt.spawn(len, text.clone()).join().map(drop));
            let patient = scope.spawn(|| rt.task(len).spawn_timeout(text.clone(), LONG).map(drop));
            let share = scope.spawn(|| {
                let task = rt.task(same).limited(&limit, 1);
                task.spawn(1).join().map(drop)
            });
            let room = scope.spawn(|| {
                let handles: Vec<_> = (0..3).map(|n| rt.spawn(same, n)).collect();
                let last = handles.into_iter().next_back().expect("three");
                last.join().map(drop)
            });
            until("a full queue", || {
                rt.stats().tasks.in_flight == 2 && !room.is_finished()
            });
            let how = if graceful {
                Shutdown::Graceful {
                    drain: Duration::from_millis(50),
                    grace: Duration::from_millis(50),
                }
            } else {
                Shutdown::Abort
            };
            let _ = rt.shutdown(how);
            for waits in [memory, share, room] {
                let outcome = waits.join().expect("no panic");
                assert!(matches!(outcome, Err(TaskError::Shutdown { .. })));
            }
            let patient = patient.join().expect("no panic").expect_err("shut down");
            assert_eq!(patient.refusal, Refusal::Shutdown);
        });
        assert!(matches!(stuck.join(), Err(TaskError::Shutdown { .. })));
    }
}
