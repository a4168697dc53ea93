//! Ending: what has not begun, the whole runtime without waiting, and cancellers of single
//! tasks.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use pinfold::{Canceller, Shutdown, TaskError, Termination};

use crate::api::{endless, runtime};
use crate::processes::until;
use crate::sets::{deaf, waits_for};

fn same(n: u64) -> u64 {
    n
}

/// One that runs, and others that wait: in the queue, for it, and for both.
#[test]
fn what_is_pending_is_cancelled_and_what_runs_is_not_told() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().unwrap();
    let busy = rt.spawn(waits_for, folder.path().join("open"));
    until("it runs", || busy.is_running());
    let queued: Vec<_> = (0..20).map(|n| rt.spawn(same, n)).collect();
    let sum = |(n, m): (u64, u64)| n + m;
    let after = rt.spawn_after(&busy, sum, 1);
    let named = rt.task(sum).named("after").spawn_after(&queued[0], 1);
    let urgent = rt.task(same).priority(pinfold::Priority::Urgent).spawn(1);
    assert!(rt.cancel_pending() >= 22);
    for handle in queued.into_iter().chain([after, urgent]) {
        let ended = handle.join();
        assert!(
            matches!(ended, Err(TaskError::Cancelled { .. })),
            "{ended:?}"
        );
    }
    assert!(named.join().is_err());
    assert!(busy.is_running());
    // What comes later is accepted.
    let later = rt.spawn(same, 5);
    std::fs::write(folder.path().join("open"), "").unwrap();
    assert_eq!((busy.join(), later.join()), (Ok(1), Ok(5)));
    assert_eq!(rt.cancel_pending(), 0);
    assert!(rt.audit().orphans.is_empty());
}

#[test]
fn a_shutdown_that_was_begun_ends_by_itself_and_can_be_hurried() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().unwrap();
    let busy = rt.spawn(waits_for, folder.path().join("open"));
    let ending = rt.begin_shutdown(Shutdown::Drain);
    assert!(matches!(
        rt.spawn(same, 1).join(),
        Err(TaskError::Shutdown { .. })
    ));
    assert!(!ending.is_over());
    std::fs::write(folder.path().join("open"), "").unwrap();
    assert_eq!(ending.wait(), Ok(()));
    assert_eq!(busy.join(), Ok(1));
    assert_eq!(rt.begin_shutdown(Shutdown::Drain).wait(), Ok(()));

    let rt = runtime(1);
    let stuck = rt.spawn(endless, ());
    let ending = rt.begin_shutdown(Shutdown::Drain);
    let hurried = rt.begin_shutdown(Shutdown::Abort);
    assert_eq!(hurried.wait(), Ok(()));
    let cut_short = ending.wait().unwrap_err();
    assert!(cut_short.cut_short && cut_short.aborted == 1);
    assert!(stuck.join().is_err());
    // The runtime may go before it is over: that waits.
    let rt = runtime(1);
    let last = rt.spawn(same, 3);
    let ending = rt.begin_shutdown(Shutdown::Drain);
    drop(rt);
    assert!(ending.is_over());
    assert_eq!(last.join(), Ok(3));
}

#[test]
fn a_canceller_is_anybody_s_and_outlives_the_handle() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("never");
    let task = rt.task(waits_for).named("waits").spawn(path.clone());
    let id = task.id();
    let (one, two) = (task.canceller(), task.canceller());
    until("it runs", || one.is_running() && task.is_running());
    assert_eq!((one.name(), one.id()), (Some("waits"), id));
    assert!(one.function().ends_with("waits_for"));
    drop(task);
    assert!(one.is_running() && !two.is_finished());
    let other = thread::spawn(move || two.cancel());
    assert!(other.join().unwrap());
    until("it has listened", || one.is_finished());
    assert!(!one.is_running() && !one.cancel() && !one.cancel_within(Duration::ZERO));
    assert_eq!((one.id(), one.progress()), (id, None));
    // Its number is another task's by now: that is not touched.
    let next: Vec<_> = (0..50).map(|n| rt.spawn(same, n)).collect();
    assert!(!one.cancel() && one.is_finished());
    assert!(
        next.into_iter()
            .zip(0..)
            .all(|(task, n)| task.join() == Ok(n))
    );
    // Of one that waits for others, in a slot or not.
    let gate = rt.spawn(waits_for, path);
    let sum = |(n, m): (u64, u64)| n + m;
    let plain = rt.spawn_after(&gate, sum, 1);
    let named = rt.task(sum).named("sum").spawn_after(&gate, 1);
    for (task, name) in [(plain, None), (named, Some("sum"))] {
        let canceller = task.canceller();
        assert_eq!(canceller.name(), name);
        assert!(!canceller.is_running() && !canceller.is_finished());
        assert!(canceller.cancel() && canceller.is_finished());
        assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    }
    let canceller = gate.canceller();
    drop((gate, rt));
    assert!(canceller.is_finished() && !canceller.cancel());
}

#[test]
fn a_canceller_kills_what_is_deaf_and_hears_how_far_it_is() {
    fn half((): ()) -> u64 {
        pinfold::context().report_progress(0.5, "half").unwrap();
        deaf(())
    }
    let rt = runtime(1);
    let task = rt.spawn(half, ());
    let canceller: Canceller = task.canceller();
    until("it says so", || {
        canceller
            .progress()
            .is_some_and(|told| told.message == "half")
    });
    assert!(canceller.cancel_within(Duration::from_millis(10)));
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    // So does a handle that is dropped.
    let task = rt
        .spawn(deaf, ())
        .abort_on_drop_within(Duration::from_millis(10));
    until("it runs", || task.is_running());
    let canceller = task.canceller();
    drop(task);
    until("it was killed", || canceller.is_finished());
    assert_eq!(rt.stats().tasks.cancelled, 2);
}

#[test]
fn a_scope_has_a_grace() {
    let rt = runtime(2);
    let failed = rt.scope(|s| {
        s.grace(Duration::from_millis(10));
        let busy = s.spawn(deaf, ());
        until("it runs", || busy.is_running());
        let _ = s.spawn(|n: u64| 1 / n, 0).join();
    });
    assert!(
        matches!(failed, Err(TaskError::Panicked { .. })),
        "{failed:?}"
    );
    // Said when it is cancelled already.
    rt.scope(|s| {
        let busy = s.spawn(deaf, ());
        until("it runs", || busy.is_running());
        s.cancel();
        s.grace(Duration::from_millis(10));
    })
    .unwrap();
}

#[test]
fn dropped_maps_begin_nothing_more() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().unwrap();
    let path = || folder.path().join("open");
    let paths = || std::iter::repeat_with(path).take(10);
    let mut in_order = rt.map(waits_for, paths());
    let mut in_any = rt.task(waits_for).map_unordered(paths());
    let mut chunks = rt.task(waits_for).chunked().map(paths());
    assert!(in_order.next_timeout(Duration::ZERO).is_err());
    assert!(in_any.next_timeout(Duration::ZERO).is_err());
    assert!(chunks.next_timeout(Duration::ZERO).is_err());
    drop((in_order, in_any, chunks));
    std::fs::write(path(), "").unwrap();
    rt.shutdown(Shutdown::Drain).unwrap();
    let tasks = rt.stats().tasks;
    assert!(tasks.completed <= 1, "{tasks:?}");
    assert_eq!(tasks.submitted, tasks.cancelled + tasks.completed);
}

#[test]
fn cancelled_maps_yield_an_outcome_for_each_item() {
    let rt = Arc::new(runtime(1));
    let mut squares = rt.task(same).in_flight(10).map(0..);
    assert_eq!(squares.next(), Some(Ok(0)));
    squares.cancel();
    let rest: Vec<_> = squares.collect();
    assert!(rest.len() <= 10, "{rest:?}");
    let mut squares = rt.task(same).in_flight(10).map_unordered(0..);
    assert_eq!(squares.next(), Some((0, Ok(0))));
    squares.cancel_within(Duration::from_secs(1));
    assert!(squares.count() <= 10);
}

#[test]
fn who_waits_for_signals_can_be_let_go() {
    let termination = Termination::new().unwrap();
    let (tell, told) = mpsc::channel();
    thread::scope(|threads| {
        for _ in 0..2 {
            let (tell, termination) = (tell.clone(), &termination);
            threads.spawn(move || tell.send(termination.wait()).unwrap());
        }
        thread::sleep(Duration::from_millis(5));
        termination.give_up();
    });
    assert_eq!((told.recv(), told.recv()), (Ok(None), Ok(None)));
    assert_eq!(termination.wait(), None);
}
