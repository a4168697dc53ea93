//! A task's context on other threads: of that one task, and of none when it has ended.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pinfold::{Cancelled, ContextHandle, TaskError};

use crate::api::runtime;
use crate::processes::until;

/// Who waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(40);

/// What several threads of a task do until they are to end.
fn work_together(count: u64) -> Result<u64, String> {
    let ctx = pinfold::context().handle();
    let work = |number: u64| {
        let give_up = Instant::now() + PATIENCE;
        for round in 0.. {
            ctx.check()?;
            let fraction = (number * 1_000_000 + round) as f64;
            ctx.report_progress(fraction, &fraction.to_string())
                .expect("a number");
            assert!(Instant::now() < give_up, "nobody is told");
        }
        Ok::<(), Cancelled>(())
    };
    std::thread::scope(|threads| {
        let others: Vec<_> = (1..count)
            .map(|number| threads.spawn(move || work(number)))
            .collect();
        let mine = work(0);
        let told = others.into_iter().map(|other| other.join().expect("ends"));
        let told = told.chain([mine]).filter(Result::is_err).count();
        Err(format!("{told} were told"))
    })
}

#[test]
fn other_threads_of_a_task_are_told_and_report() {
    let rt = runtime(1);
    let task = rt.spawn(work_together, 3);
    let seen = Mutex::new([false; 3]);
    until("all have reported", || {
        if let Some(progress) = task.progress() {
            // Never half of one and half of another.
            assert_eq!(progress.message, progress.fraction.to_string());
            let number = progress.fraction as usize / 1_000_000;
            seen.lock().expect("whole")[number] = true;
        }
        *seen.lock().expect("whole") == [true; 3]
    });
    task.cancel();
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
}

#[test]
fn other_threads_know_the_deadline_and_the_task() {
    fn look(_: ()) -> (bool, bool, bool) {
        let ctx = pinfold::context().handle();
        let copy = ctx.clone();
        let other = std::thread::spawn(move || {
            // On this thread there is no task.
            assert_eq!(pinfold::current_task(), None);
            (copy.task(), copy.time_left(), copy.deadline().is_some())
        });
        let (task, left, has_deadline) = other.join().expect("returns");
        let left = left.is_some_and(|left| left <= Duration::from_secs(3600));
        (task == pinfold::current_task(), left, has_deadline)
    }
    fn parent(_: ()) -> (bool, bool, bool) {
        pinfold::spawn(look, ()).join().expect("a value")
    }
    let rt = runtime(1);
    let hour = Duration::from_secs(3600);
    let all = [
        rt.task(look).soft_deadline(hour).spawn(()),
        rt.task(parent).soft_deadline(hour).spawn(()),
    ];
    for task in all {
        assert_eq!(task.join(), Ok((true, true, true)));
    }
    assert_eq!(rt.spawn(look, ()).join(), Ok((true, false, false)));
}

static KEPT: Mutex<Option<ContextHandle>> = Mutex::new(None);
static IS_ENOUGH: AtomicBool = AtomicBool::new(false);

/// Leaves a thread behind that reports for ever.
fn leaves_a_thread(_: ()) {
    let ctx = pinfold::context().handle();
    *KEPT.lock().expect("whole") = Some(ctx.clone());
    std::thread::spawn(move || {
        while !IS_ENOUGH.load(Ordering::Relaxed) {
            ctx.report_progress(1.0, "of another").expect("a number");
        }
    });
}

fn waits_for(gate: PathBuf) -> (bool, bool, bool) {
    let give_up = Instant::now() + PATIENCE;
    std::fs::write(gate.with_extension("begun"), b"").expect("writes");
    while !gate.exists() {
        assert!(Instant::now() < give_up, "the gate stays closed");
        std::thread::sleep(Duration::from_millis(1));
    }
    let kept = KEPT.lock().expect("whole").clone().expect("kept");
    (
        kept.has_ended() && kept.is_cancelled() && kept.check().is_err(),
        kept.time_left().is_none() && kept.deadline().is_none(),
        pinfold::context().is_cancelled(),
    )
}

/// The next task in the same slot hears nothing of the thread that was left behind, and that
/// one nothing of it.
#[test]
fn what_is_left_of_a_task_that_has_ended_is_of_no_other() {
    let rt = pinfold::Runtime::builder().workers(1).queue_capacity(1);
    let rt = rt.start().expect("starts");
    let dir = tempfile::tempdir().expect("a directory");
    rt.spawn(leaves_a_thread, ()).join().expect("ends");
    for round in 0..20 {
        let gate: PathBuf = Path::join(dir.path(), format!("{round}"));
        let task = rt.task(waits_for).soft_deadline(PATIENCE);
        let task = task.spawn(gate.clone());
        until("it has begun", || gate.with_extension("begun").exists());
        for _ in 0..100 {
            assert_eq!(task.progress(), None);
        }
        std::fs::write(gate, b"").expect("writes");
        assert_eq!(task.join(), Ok((true, true, false)));
    }
    rt.spawn(|()| IS_ENOUGH.store(true, Ordering::Relaxed), ())
        .join()
        .expect("ends");
}

/// Tasks on one stack have each their own: the child's ends with the child.
#[test]
fn a_child_s_context_is_not_its_parent_s() {
    fn child(_: ()) -> bool {
        let ctx = pinfold::context().handle();
        *KEPT.lock().expect("whole") = Some(ctx.clone());
        !ctx.has_ended()
    }
    fn parent(_: ()) -> Vec<bool> {
        let ctx = pinfold::context().handle();
        // Run on the spot, and run in a scope: by the two ways to run a child here.
        let mut found = vec![pinfold::spawn(child, ()).join().expect("a value")];
        found.push(
            KEPT.lock()
                .expect("whole")
                .take()
                .is_some_and(|kept| kept.has_ended()),
        );
        pinfold::scope(|s| drop(s.spawn(child, ()))).expect("no error");
        found.push(
            KEPT.lock()
                .expect("whole")
                .take()
                .is_some_and(|kept| kept.has_ended()),
        );
        found.push(!ctx.has_ended());
        found
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, ()).join(), Ok(vec![true; 4]));
}

#[test]
fn in_the_host_there_is_no_task_that_could_end() {
    let ctx = pinfold::context().handle();
    assert!(!ctx.has_ended() && !ctx.is_cancelled() && ctx.check().is_ok());
    assert_eq!((ctx.task(), ctx.time_left()), (None, None));
    assert_eq!(ctx.report_progress(0.5, "half"), Ok(()));
    let error = ctx.report_progress(f64::NAN, "").expect_err("no number");
    assert!(error.fraction.is_nan());
}

/// What a task is told by an error it may return as it is, by `?`.
#[test]
fn errors_that_a_task_is_told_are_values() {
    use pinfold::{AllocError, Cancelled, ConstantError, ProgressError, StateError, context};
    fn state(_: ()) -> Result<u64, StateError> {
        context().with_state_mut(|n: &mut u64| *n)
    }
    fn progress(_: ()) -> Result<(), ProgressError> {
        context().report_progress(f64::INFINITY, "")
    }
    fn room(len: usize) -> Result<usize, AllocError> {
        Ok(pinfold::alloc(len)?.len())
    }
    fn checks(_: ()) -> Result<(), Cancelled> {
        context().check()
    }
    let rt = pinfold::Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    let wanted = "u64".to_owned();
    assert_eq!(
        rt.spawn(state, ()).join(),
        Ok(Err(StateError::Missing { wanted }))
    );
    let told = rt.spawn(progress, ()).join().expect("a value");
    assert_eq!(told.expect_err("not finite").fraction, f64::INFINITY);
    let told = rt.spawn(room, 1 << 30).join().expect("a value");
    assert!(matches!(told, Err(AllocError::TooLarge { .. })), "{told:?}");
    assert_eq!(rt.spawn(checks, ()).join(), Ok(Ok(())));
    let cancelled = |told: Result<(), Cancelled>| told;
    assert_eq!(
        rt.spawn(cancelled, Err(Cancelled)).join(),
        Ok(Err(Cancelled))
    );
    let same = |told: ConstantError| told;
    let told = rt.spawn(same, ConstantError::Forked).join();
    assert_eq!(told, Ok(ConstantError::Forked));
}
