//! Cancelling, deadlines, progress, callbacks, futures: what passes between a task and
//! whoever has its handle.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use pinfold::{CallbackError, Runtime, TaskError};

use crate::api::{endless, runtime};
use crate::processes::{catches, send, until};

const LONG: Duration = Duration::from_secs(60);

/// A file of this test's own; a task makes it to say that it has begun.
fn mark(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    (folder, path)
}

fn begun(path: &Path) {
    until("the task", || path.exists());
}

fn says_that_it_begins(path: &Path) {
    std::fs::write(path, "").expect("a file");
}

fn listens(path: PathBuf) -> Result<u32, String> {
    says_that_it_begins(&path);
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        pinfold::context().check().map_err(|c| c.to_string())?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(0)
}

/// Waits until it is cancelled, and finishes what it was at.
fn finishes(path: PathBuf) -> u32 {
    says_that_it_begins(&path);
    let end = Instant::now() + LONG;
    while !pinfold::context().is_cancelled() && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    7
}

fn nothing_is_left(rt: &Runtime) {
    let audit = rt.audit();
    assert_eq!(audit.orphans, Vec::<String>::new());
    assert_eq!(
        audit.slots_queued + audit.slots_running + audit.slots_done + audit.slots_waiting,
        0,
        "{audit:?}"
    );
}

#[test]
fn a_queued_task_that_is_cancelled_never_starts() {
    let rt = runtime(1);
    let (_folder, path) = mark("gate");
    let gate = rt.spawn(finishes, path.clone());
    begun(&path);
    let (_other, never) = mark("never");
    let queued = rt.spawn(finishes, never.clone());
    assert!(queued.cancel(), "it had not ended");
    assert!(queued.is_finished());
    assert!(!queued.cancel(), "now it has");
    assert!(matches!(queued.join(), Err(TaskError::Cancelled { .. })));
    assert!(gate.cancel());
    assert_eq!(gate.join(), Ok(7), "a value stays a value");
    rt.spawn(|n: u32| n, 1).join().expect("the runtime goes on");
    assert!(!never.exists(), "it never ran");
    assert_eq!(rt.stats().tasks.cancelled, 1);
    nothing_is_left(&rt);
}

#[test]
fn a_running_task_is_asked_to_end() {
    let rt = runtime(1);
    let (_folder, path) = mark("runs");
    let task = rt.spawn(listens, path.clone());
    begun(&path);
    assert!(task.cancel());
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(rt.stats().restarts, 0, "no worker paid for it");
    nothing_is_left(&rt);
}

#[test]
fn a_task_that_does_not_listen_is_killed_after_the_grace() {
    let rt = runtime(1);
    let task = rt.task(endless).safe_to_repeat(5).spawn(());
    until("a running task", || rt.audit().slots_running == 1);
    assert!(task.cancel_within(Duration::from_millis(10)));
    assert!(
        matches!(task.join(), Err(TaskError::Cancelled { .. })),
        "and not run again"
    );
    assert_eq!(rt.spawn(|n: u32| n, 1).join(), Ok(1));
    let stats = rt.stats();
    assert_eq!((stats.restarts, stats.tasks.repeated), (1, 0));
    nothing_is_left(&rt);
}

#[test]
fn cancelling_reaches_the_tasks_that_a_task_has_spawned() {
    fn parent((own, childs): (PathBuf, PathBuf)) -> Vec<Result<u32, String>> {
        let running = pinfold::spawn(listens, childs.clone());
        // Taken by the other worker before this one goes on.
        let end = Instant::now() + LONG;
        while !childs.exists() && Instant::now() < end {
            thread::yield_now();
        }
        let queued = pinfold::spawn(|n: u32| n, 1);
        finishes(own);
        vec![
            running
                .join()
                .unwrap_or_else(|error| Err(error.to_string())),
            queued.join().map_err(|error| error.to_string()),
        ]
    }
    let rt = runtime(2);
    let (_folder, own) = mark("own");
    let (_other, childs) = mark("child's");
    let task = rt.spawn(parent, (own.clone(), childs));
    begun(&own);
    assert!(task.cancel());
    let told = task.join().expect("a value");
    let is_cancelled = |told: &Result<u32, String>| {
        let told = told.as_ref();
        told.is_err_and(|told| told.ends_with(": it was cancelled"))
    };
    assert!(told.len() == 2 && told.iter().all(is_cancelled), "{told:?}");
    nothing_is_left(&rt);
}

#[test]
fn dropping_a_handle_may_cancel() {
    let rt = runtime(1);
    let (_folder, path) = mark("gate");
    let task = rt.spawn(listens, path.clone()).abort_on_drop();
    begun(&path);
    drop(task);
    // It would run for a minute.
    assert_eq!(rt.spawn(|n: u32| n, 1).join(), Ok(1));
    until("the count", || rt.stats().tasks.cancelled == 1);
    nothing_is_left(&rt);
}

#[test]
fn cancelling_is_safe_whenever_it_comes() {
    let seed: u64 = std::env::var("PINFOLD_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0x5eed);
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let rt = runtime(2);
    let mut ended = [0; 2];
    for round in 0..2000u32 {
        let handles: Vec<_> = (0..next(8)).map(|_| rt.spawn(|n: u32| n, round)).collect();
        for handle in &handles {
            if next(2) == 0 {
                handle.cancel();
            }
        }
        for handle in handles {
            match handle.join() {
                Ok(n) if n == round => ended[0] += 1,
                Err(TaskError::Cancelled { .. }) => ended[1] += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    println!("{ended:?} ended with a value, or cancelled");
    let tasks = rt.stats().tasks;
    assert_eq!([tasks.completed, tasks.cancelled], ended);
    nothing_is_left(&rt);
}

#[test]
fn a_start_deadline_takes_back_what_has_not_begun() {
    let rt = runtime(1);
    let (_folder, path) = mark("gate");
    let limit = Duration::from_millis(20);
    let gate = rt.task(finishes).start_deadline(LONG).spawn(path.clone());
    begun(&path);
    let late = rt.task(|n: u32| n).start_deadline(limit).spawn(1);
    let late = late.join();
    assert!(
        matches!(
            late,
            Err(TaskError::DeadlineExceeded { limit: of, begun: false, .. })
                if of == limit
        ),
        "{late:?}"
    );
    gate.cancel();
    assert_eq!(gate.join(), Ok(7), "what has begun in time is left alone");
    assert_eq!(rt.stats().tasks.late, 1);
    nothing_is_left(&rt);
}

#[test]
fn a_task_sees_its_deadline() {
    let rt = runtime(1);
    let left = |()| pinfold::context().time_left();
    assert_eq!(rt.spawn(left, ()).join(), Ok(None));
    let left = rt.task(left).soft_deadline(LONG);
    let seen = left.spawn(()).join().expect("a value").expect("a deadline");
    assert!(seen <= LONG && seen > LONG / 2, "{seen:?}");
    // The earlier one counts.
    let seen = left.clone().hard_deadline(LONG * 10).spawn(()).join();
    assert!(seen.expect("a value").is_some_and(|left| left <= LONG));
    let seen = left.soft_deadline(Duration::ZERO).spawn(()).join();
    assert_eq!(
        seen,
        Ok(Some(Duration::ZERO)),
        "it has passed; nobody minds"
    );
    nothing_is_left(&rt);
}

#[test]
fn progress_is_seen_from_outside() {
    fn works(path: PathBuf) -> bool {
        let ctx = pinfold::context();
        ctx.report_progress(0.25, "a quarter").expect("a number");
        says_that_it_begins(&path);
        while !ctx.is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
            .into_iter()
            .all(|fraction| ctx.report_progress(fraction, "").is_err())
    }
    let rt = runtime(1);
    let (_folder, path) = mark("works");
    let task = rt.spawn(works, path.clone());
    begun(&path);
    let progress = task.progress().expect("it has said something");
    assert_eq!((progress.fraction, &*progress.message), (0.25, "a quarter"));
    task.cancel();
    assert_eq!(task.join(), Ok(true), "what is no number is refused");
}

#[test]
fn callbacks_hear_of_progress_and_end() {
    fn works(steps: u32) -> u32 {
        for step in 1..=steps {
            pinfold::context()
                .report_progress(f64::from(step), "step")
                .expect("a number");
            thread::sleep(Duration::from_millis(1));
        }
        steps
    }
    let rt = runtime(2);
    let (heard, hears) = mpsc::channel();
    let (ended, ends) = mpsc::channel();
    let (_folder, path) = mark("gate");
    // Set before it begins, so that none is missed.
    let gates: Vec<_> = (0..2).map(|_| rt.spawn(finishes, path.clone())).collect();
    let task = rt.spawn(works, 30);
    task.on_progress(move |progress| heard.send(progress.fraction).expect("a receiver"))
        .expect("the first");
    task.on_complete(move |outcome| ended.send(outcome).expect("a receiver"))
        .expect("the first");
    // Several of each: all are called.
    let (tell, told) = mpsc::channel();
    let (progress, complete) = (tell.clone(), tell.clone());
    task.on_progress(move |_| assert!(progress.send("progress").is_ok()))
        .expect("the second");
    task.on_complete(move |_| assert!(complete.send("complete").is_ok()))
        .expect("the second");
    for _ in 0..2 {
        let error = tell.clone();
        task.on_error(move |_| assert!(error.send("error").is_ok()))
            .expect("each");
    }
    drop(tell);
    for gate in gates {
        gate.cancel();
    }
    assert_eq!(ends.recv_timeout(LONG), Ok(Ok(30)));
    assert_eq!(task.join(), Ok(30), "and the handle too");
    let steps: Vec<f64> = hears.iter().collect();
    assert!(!steps.is_empty() && steps.is_sorted(), "{steps:?}");
    let others: Vec<_> = told.iter().collect();
    assert!(others.contains(&"progress") && !others.contains(&"error"));
    let is_complete = |what: &&&str| **what == "complete";
    assert_eq!(others.iter().filter(is_complete).count(), 1);
}

#[test]
fn callbacks_harm_nobody() {
    let rt = runtime(1);
    let (block, blocked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let panics = rt.spawn(|n: u32| n, 1);
    panics.on_complete(|_| panic!("on purpose")).expect("set");
    let blocks = rt.spawn(|n: u32| n, 2);
    blocks
        .on_complete(move |_| {
            let _ = blocked.recv();
        })
        .expect("set");
    let fails = rt.spawn(|n: u32| 1 / n, 0);
    fails
        .on_error(move |error| tell.send(error).expect("a receiver"))
        .expect("set");
    let error = told.recv_timeout(LONG).expect("the third is told");
    assert!(matches!(error, TaskError::Panicked { .. }), "{error}");
    assert_eq!((panics.join(), blocks.join()), (Ok(1), Ok(2)));
    drop(block);
    // Set when all is over.
    let (tell, told) = mpsc::channel();
    let mut done = rt.spawn(|n: u32| n, 3);
    until("its end", || done.is_finished());
    done.on_complete(move |outcome| tell.send(outcome).expect("a receiver"))
        .expect("set");
    assert_eq!(told.recv_timeout(LONG), Ok(Ok(3)));
    assert_eq!(done.join_timeout(LONG), Some(Ok(3)));
    let too_late = CallbackError::TooLate { which: "on_error" };
    assert_eq!(done.on_error(|_| ()), Err(too_late));
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn handles_are_futures() {
    let rt = runtime(2);
    let slow = |n: u64| {
        thread::sleep(Duration::from_millis(n % 3));
        n
    };
    let sum = block_on(async {
        let handles: Vec<_> = (0..100).map(|n| rt.spawn(slow, n)).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await?;
        }
        Ok::<_, TaskError>(sum)
    });
    assert_eq!(sum, Ok(4950));
    // Several threads at once; nobody else waits.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50 {
                    assert_eq!(block_on(rt.spawn(slow, n)), Ok(n));
                }
            });
        }
    });
    let aborts = block_on(rt.spawn(|()| -> u64 { std::process::abort() }, ()));
    assert!(
        matches!(aborts, Err(TaskError::WorkerDied { .. })),
        "{aborts:?}"
    );
    nothing_is_left(&rt);
}

#[test]
fn a_future_ends_with_its_runtime() {
    let rt = runtime(1);
    let task = rt.spawn(endless, ());
    let waits = thread::spawn(move || block_on(task));
    until("a running task", || rt.audit().slots_running == 1);
    rt.shutdown(pinfold::Shutdown::Abort).expect("shut down");
    assert!(matches!(
        waits.join().expect("no panic"),
        Err(TaskError::Shutdown { .. })
    ));
}

#[test]
fn a_task_knows_which_one_it_is_and_what_its_worker_has() {
    let rt = Runtime::builder()
        .workers(1)
        .worker_init(|| Ok::<_, String>(vec![7u8]))
        .start()
        .expect("starts");
    fn knows((): ()) -> (Option<String>, Option<u8>, bool) {
        let context = pinfold::context();
        let task = pinfold::current_task().map(|task| task.to_string());
        let state = context.state::<Vec<u8>>().map(|bytes| bytes[0]);
        (task, state, context.state::<String>().is_none())
    }
    let task = rt.spawn(knows, ());
    let id = task.id().map(|id| id.to_string());
    assert!(id.is_some());
    assert_eq!(task.join(), Ok((id, Some(7), true)));
}

/// As a server waits, in a process of its own.
#[test]
fn who_is_to_end_is_told_by_which_signal() {
    use rustix::process::Signal;
    fn waits(mark: PathBuf) -> Result<i32, String> {
        says_that_it_begins(&mark);
        pinfold::wait_for_termination().map_err(|error| error.to_string())
    }
    for signal in [Signal::TERM, Signal::INT] {
        let rt = runtime(1);
        let (_folder, path) = mark("waits");
        let task = rt.spawn(waits, path.clone());
        begun(&path);
        let pid = rt.stats().workers[0].pid as u32;
        until("a handler", || catches(pid, signal));
        send(pid, signal);
        assert_eq!(task.join(), Ok(Ok(signal.as_raw())));
    }
}

/// How often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whoever polled last is woken, once, and nobody else.
#[test]
fn the_last_waker_takes_the_place_of_those_before() {
    let rt = runtime(1);
    let (_folder, go) = mark("go");
    let waits = |go: PathBuf| begun(&go);
    let mut task = rt.spawn(waits, go.clone());
    let wakers: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
    for waker in &wakers {
        for _ in 0..2 {
            let waker = Arc::clone(waker).into();
            let polled = pin!(&mut task).poll(&mut Context::from_waker(&waker));
            assert_eq!(polled, Poll::Pending);
        }
    }
    let count = |at: usize| wakers[at].0.load(Ordering::Relaxed);
    assert_eq!([count(0), count(1), count(2)], [0; 3], "nothing has ended");
    says_that_it_begins(&go);
    until("the waker", || count(2) > 0);
    assert_eq!(task.join(), Ok(()));
    drop(rt); // nobody is told of anything any more
    assert_eq!([count(0), count(1), count(2)], [0, 0, 1]);
    assert_eq!(Arc::strong_count(&wakers[0]), 1, "it is not kept");
}

/// What a handle has of its task when the outcome was taken, by whatever way.
#[test]
fn a_handle_whose_outcome_was_taken_has_nothing_more() {
    let rt = runtime(1);
    let long = |n: usize| vec![7_u8; n];
    for len in [1, 1000] {
        let mut task = rt.spawn(long, len).abort_on_drop();
        let taken = task.join_timeout(LONG);
        assert_eq!(taken.and_then(Result::ok).map(|v| v.len()), Some(len));
        assert_eq!(task.id(), None);
        assert_eq!(task.progress(), None);
        assert!(task.is_finished() && !task.cancel());
        assert!(matches!(
            task.try_join(),
            Some(Err(TaskError::AlreadyJoined { .. }))
        ));
        let late = task
            .on_complete(|_| ())
            .expect_err("there is nothing to tell");
        assert!(matches!(late, CallbackError::TooLate { .. }), "{late}");
        let after = rt.spawn_after(&task, |((), bytes): ((), Vec<u8>)| bytes.len(), ());
        let error = after.join().expect_err("there is no input");
        assert!(error.to_string().contains("long") || error.to_string().contains("closure"));
        drop(task);
        // By `join`, too, a handle that aborts what it is dropped with aborts nothing.
        assert_eq!(
            rt.spawn(long, len).abort_on_drop().join().map(|v| v.len()),
            Ok(len)
        );
    }
    assert_eq!(rt.stats().tasks.cancelled, 2, "the dependents");
    nothing_is_left(&rt);
}
