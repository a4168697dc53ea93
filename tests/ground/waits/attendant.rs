//! Runtimes that are dropped, and calls that wait, where the library calls the user's code; and
//! memoized calls of several runtimes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use pinfold::{Handle, Memo, Retry, Runtime, Shutdown, TaskError};

use super::{endless, nap, runtime};
use crate::Program;

pub fn programs() -> Vec<Program> {
    vec![
        ("the_last_runtime_in_on_complete", |_| {
            dropped_in(on_complete)
        }),
        ("the_last_runtime_in_on_error", |_| dropped_in(on_error)),
        ("the_last_runtime_in_on_progress", |_| {
            dropped_in(on_progress)
        }),
        ("the_last_runtime_in_what_a_callback_holds", |_| {
            dropped_in(held_by_a_callback)
        }),
        ("the_last_runtime_in_a_waker", |_| dropped_in(waker)),
        ("the_last_runtime_in_a_judge", |_| dropped_in(judge)),
        ("the_last_runtime_in_arguments", |_| dropped_in(arguments)),
        ("a_waker_that_joins", waker_joins),
        ("wakers_of_one_lock", wakers_of_one_lock),
        ("a_memory_of_two_runtimes", memo_of_two),
        ("a_memory_at_shutdown", memo_at_shutdown),
        ("a_memory_that_is_drained", memo_drained),
    ]
}

static LAST: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

fn last() -> MutexGuard<'static, Option<Arc<Runtime>>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops the last runtime, which waits for a task that only the attendant can bring on its way.
fn drop_last() {
    let last = last().take();
    drop(last);
}

fn dropped_in(place: fn(&Runtime)) {
    let rt = runtime(2);
    let large = rt.spawn(|ms: u64| vec![nap(ms) as u8; 100_000], 300);
    let after = rt.spawn_after(&large, |((), v): ((), Vec<u8>)| v.len(), ());
    drop(large);
    let rt = Arc::new(rt);
    *last() = Some(Arc::clone(&rt));
    place(&rt);
    drop(rt);
    assert_eq!(after.join(), Ok(100_000));
}

fn on_complete(rt: &Runtime) {
    let task = rt.spawn(nap, 50);
    task.on_complete(|_| drop_last()).expect("set");
}

fn on_error(rt: &Runtime) {
    let task = rt.spawn(|_: ()| -> u64 { panic!("for on_error") }, ());
    task.on_error(|_| drop_last()).expect("set");
}

fn on_progress(rt: &Runtime) {
    let says = |_: ()| {
        let _ = pinfold::context().report_progress(0.5, "half");
        nap(100);
    };
    let task = rt.spawn(says, ());
    task.on_progress(|_| drop_last()).expect("set");
    // It may have ended before anybody listened.
    let again = rt.spawn(nap, 200);
    again.on_complete(|_| drop_last()).expect("set");
}

struct DropsLast;

impl Drop for DropsLast {
    fn drop(&mut self) {
        drop_last();
    }
}

fn held_by_a_callback(rt: &Runtime) {
    let task = rt.spawn(nap, 50);
    let held = DropsLast;
    task.on_progress(move |_| {
        let _ = &held;
    })
    .expect("set");
}

struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls a handle once, with a waker that calls `f`.
fn poll<R: serde::de::DeserializeOwned>(
    handle: &mut Handle<R>,
    f: impl Fn() + Send + Sync + 'static,
) -> bool {
    let waker = Waker::from(Arc::new(Calls(f)));
    let polled = Future::poll(Pin::new(handle), &mut Context::from_waker(&waker));
    matches!(polled, Poll::Pending)
}

fn waker(rt: &Runtime) {
    let mut task = rt.spawn(nap, 100);
    assert!(poll(&mut task, drop_last));
}

fn judge(rt: &Runtime) {
    let retry = Retry::fixed(2, Duration::ZERO);
    let task = rt.task(nap).retry(retry).retry_if(|_| {
        drop_last();
        false
    });
    drop(task.spawn(50));
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Nasty(u64);

impl Drop for Nasty {
    fn drop(&mut self) {
        if self.0 == u64::from(std::process::id()) {
            drop_last();
        }
    }
}

fn arguments(rt: &Runtime) {
    let first = rt.spawn(nap, 50);
    let buffer = rt.alloc(10).expect("memory").publish();
    let take = |((_, b), _): ((Nasty, pinfold::Shared), u64)| b.len();
    let task = rt.spawn_after(&first, take, (Nasty(u64::from(std::process::id())), buffer));
    drop(task);
}

/// A waker that waits for what only the attendant can do.
fn waker_joins(_: &[String]) {
    let rt = runtime(2);
    let large = rt.spawn(|ms: u64| vec![nap(ms) as u8; 100_000], 200);
    let memo = Memo::new(10);
    let other = runtime(1);
    let first = rt.task(nap).memoized(&memo).spawn(300);
    let joined = other.task(nap).memoized(&memo).spawn(300);
    let after = rt.spawn_after(&large, |((), v): ((), Vec<u8>)| v.len(), ());
    let all = Mutex::new(Some((after, joined)));
    let (tell, told) = mpsc::channel();
    let mut task = rt.spawn(nap, 50);
    assert!(poll(&mut task, move || {
        let Some((after, joined)) = all.lock().expect("no panic").take() else {
            return;
        };
        let _ = tell.send((after.join(), joined.join()));
    }));
    assert_eq!(told.recv().expect("told"), (Ok(100_000), Ok(300)));
    assert_eq!((task.join(), first.join()), (Ok(50), Ok(300)));
    // The attendant goes on, and is one again.
    for n in 0..100 {
        let (tell, told) = mpsc::channel();
        let mut task = rt.spawn(nap, n % 2);
        let tells = move || {
            let _ = tell.send(());
        };
        if poll(&mut task, tells) {
            told.recv().expect("woken");
            assert_eq!(task.join(), Ok(n % 2));
        }
    }
}

/// An executor that drops a runtime while it holds the lock that all its wakers take.
fn wakers_of_one_lock(_: &[String]) {
    let rt = Arc::new(runtime(2));
    let lock = Arc::new(Mutex::new(Some(Arc::clone(&rt))));
    let mut first = rt.spawn(nap, 50);
    let others: Vec<_> = (0..8).map(|n| rt.spawn(nap, 60 + n)).collect();
    let large = rt.spawn(|ms: u64| vec![nap(ms) as u8; 100_000], 200);
    let after = rt.spawn_after(&large, |((), v): ((), Vec<u8>)| v.len(), ());
    let drops = Arc::clone(&lock);
    let mut polled = Vec::new();
    for mut task in others {
        let lock = Arc::clone(&lock);
        if poll(&mut task, move || drop(lock.lock().map(|rt| rt.is_some()))) {
            polled.push(task);
        }
    }
    drop(rt);
    poll(&mut first, move || {
        let mut rt = drops.lock().expect("no panic");
        drop(rt.take());
    });
    drop(large);
    assert_eq!(after.join(), Ok(100_000));
    // If its task had ended before it was polled, nobody has dropped it.
    drop(lock.lock().expect("no panic").take());
    for task in polled {
        assert!(task.join().is_ok());
    }
}

/// One runtime has submitted the call, another one has joined it.
fn memo_of_two(_: &[String]) {
    let (a, b) = (runtime(1), runtime(1));
    let memo = Memo::new(10);
    let first = a.task(endless).memoized(&memo).spawn(());
    let joined = b.task(endless).memoized(&memo).spawn(());
    assert_eq!(memo.hits(), 1);
    b.shutdown(Shutdown::Abort).expect("as asked");
    assert!(joined.is_finished(), "when it has returned");
    assert!(matches!(joined.join(), Err(TaskError::Shutdown { .. })));
    // And so is whoever comes later.
    let late = b.task(endless).memoized(&memo).spawn(());
    assert!(matches!(late.join(), Err(TaskError::Shutdown { .. })));
    a.shutdown(Shutdown::Abort).expect("as asked");
    assert!(first.is_finished());
}

fn memo_at_shutdown(_: &[String]) {
    let rt = runtime(1);
    let memo = Memo::new(10);
    let task = rt.task(endless).memoized(&memo);
    let all: Vec<_> = (0..10).map(|_| task.spawn(())).collect();
    rt.shutdown(Shutdown::Abort).expect("as asked");
    assert!(all.iter().all(Handle::is_finished));
    for handle in all {
        assert!(matches!(handle.join(), Err(TaskError::Shutdown { .. })));
    }
}

fn memo_drained(_: &[String]) {
    let (a, b) = (runtime(1), runtime(1));
    let memo = Memo::new(10);
    let first = a.task(nap).memoized(&memo).spawn(300);
    let joined = b.task(nap).memoized(&memo).spawn(300);
    thread::scope(|scope| {
        scope.spawn(|| b.shutdown(Shutdown::Drain).expect("drained"));
    });
    assert!(joined.is_finished(), "drained is ended");
    assert_eq!((joined.join(), first.join()), (Ok(300), Ok(300)));
}
