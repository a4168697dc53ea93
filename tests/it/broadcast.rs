//! The same task once in each worker, whatever the others do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pinfold::{Handle, Runtime, Shutdown, TaskError};

fn place(_: ()) -> Option<usize> {
    pinfold::context().worker()
}

fn values(handles: Vec<Handle<Option<usize>>>) -> Vec<Option<usize>> {
    handles
        .into_iter()
        .map(|handle| handle.join().unwrap())
        .collect()
}

fn runtime(workers: usize, threads: usize) -> Runtime {
    let builder = Runtime::builder()
        .workers(workers)
        .threads_per_worker(threads);
    builder.start().unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// Says which worker it is in, and stays until the file is there.
fn stay(path: PathBuf) -> Option<usize> {
    let here = pinfold::context().worker();
    std::fs::write(path.with_extension("here"), format!("{here:?}")).unwrap();
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    here
}

fn is_whole(rt: &Runtime) {
    assert_eq!(rt.audit().orphans, Vec::<String>::new());
    assert_eq!(
        (rt.stats().tasks.in_flight, rt.stats().tasks.damage),
        (0, 0)
    );
}

#[test]
fn each_worker_runs_it_once() {
    for threads in [1, 2] {
        let rt = runtime(3, threads);
        for _ in 0..50 {
            let workers = values(rt.broadcast(place, ()));
            assert_eq!(workers, [Some(0), Some(1), Some(2)]);
        }
        is_whole(&rt);
    }
}

/// Among other tasks, from several threads at once, of which one worker has more than one left.
#[test]
fn many_broadcasts_among_many_tasks() {
    let rt = runtime(2, 1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let all: Vec<_> = (0..4).flat_map(|_| rt.broadcast(place, ())).collect();
                    assert_eq!(values(all), [Some(0), Some(1)].repeat(4));
                }
            });
        }
        scope.spawn(|| assert!(rt.map(|n: u64| n + 1, 0..50_000).eq((1..=50_000).map(Ok))));
    });
    is_whole(&rt);
}

/// One that is busy comes to it later; the others do not wait for it, nor take it over.
#[test]
fn who_is_busy_runs_it_later() {
    let directory = tempfile::tempdir().unwrap();
    let door = directory.path().join("door");
    let rt = runtime(2, 1);
    let busy = rt.spawn(stay, door.clone());
    until("busy", || door.with_extension("here").exists());
    let mut both = [rt.broadcast(place, ()), rt.broadcast(place, ())];
    until("the other's", || {
        both.iter()
            .all(|handles| handles.iter().any(|h| h.is_finished()))
    });
    let open: Vec<usize> = both
        .iter()
        .map(|handles| handles.iter().filter(|h| !h.is_finished()).count())
        .collect();
    assert_eq!(open, [1, 1]);
    // Others do all else meanwhile.
    assert_eq!(rt.map(|n: u32| n, 0..1000).count(), 1000);
    // One that is cancelled is not in the way of the next.
    let first = std::mem::take(&mut both[0]);
    let cancelled = first.into_iter().map(|handle| {
        handle.cancel();
        handle.join()
    });
    let cancelled: Vec<_> = cancelled.collect();
    assert_eq!(
        cancelled
            .iter()
            .filter(|o| matches!(o, Err(TaskError::Cancelled { .. })))
            .count(),
        1
    );
    std::fs::write(&door, "").unwrap();
    let was_busy = busy.join().unwrap();
    let second = std::mem::take(&mut both[1]);
    assert_eq!(values(second), [Some(0), Some(1)]);
    assert!(was_busy.is_some());
    is_whole(&rt);
}

fn dies_in((worker, path): (usize, PathBuf)) -> Option<usize> {
    let here = pinfold::context().worker();
    if here == Some(worker) && std::fs::File::create_new(path).is_ok() {
        std::process::abort();
    }
    here
}

fn file(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}

#[test]
fn who_dies_in_a_broadcast_costs_its_own_entry() {
    let directory = tempfile::tempdir().unwrap();
    let rt = runtime(2, 1);
    let handles = rt.broadcast(dies_in, (1, file(directory.path(), "once")));
    let outcomes: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
    assert_eq!(outcomes[0], Ok(Some(0)));
    assert!(
        matches!(outcomes[1], Err(TaskError::WorkerDied { .. })),
        "{outcomes:?}"
    );

    // One that may be repeated is its successor's.
    let task = rt.task(dies_in).safe_to_repeat(2);
    let handles = task.broadcast((0, file(directory.path(), "again")));
    assert_eq!(values(handles), [Some(0), Some(1)]);

    // And so is what was not begun.
    let door = file(directory.path(), "door");
    let busy = rt.task(stay).spawn(door.clone());
    until("busy", || door.with_extension("here").exists());
    let handles = rt.broadcast(place, ());
    busy.cancel_within(Duration::ZERO);
    assert!(matches!(busy.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(values(handles), [Some(0), Some(1)]);
    is_whole(&rt);
}

/// Those that are left when it is shut down are drained, or end.
#[test]
fn a_shutdown_ends_what_is_broadcast() {
    let directory = tempfile::tempdir().unwrap();
    for how in [Shutdown::Drain, Shutdown::Abort] {
        let door = file(directory.path(), &format!("{how:?}"));
        let rt = runtime(2, 1);
        let busy = rt.spawn(stay, door.clone());
        until("busy", || door.with_extension("here").exists());
        let handles = rt.broadcast(place, ());
        if how == Shutdown::Drain {
            std::fs::write(&door, "").unwrap();
        } else {
            until("the other's", || handles.iter().any(|h| h.is_finished()));
        }
        rt.shutdown(how).unwrap();
        let outcomes: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        let ended = outcomes
            .iter()
            .filter(|o| matches!(o, Err(TaskError::Shutdown { .. })))
            .count();
        assert_eq!(ended, usize::from(how == Shutdown::Abort), "{outcomes:?}");
        drop(busy);
    }
}
