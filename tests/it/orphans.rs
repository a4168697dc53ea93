//! What becomes of spawned tasks when the worker of the task that spawned them dies.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pinfold::{Loan, Orphans, Runtime, Shared, TaskError};

use crate::nested::becomes_clean;

const CHILDREN: u64 = 60;

fn runtime(workers: usize, policy: Orphans) -> Runtime {
    Runtime::builder()
        .workers(workers)
        .memory_cap(64 << 20)
        .orphans(policy)
        .start()
        .expect("starts")
}

/// A file each; a second run is seen by its second line.
fn leave_record(path: &Path) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(b"ran\n"))
        .expect("writes");
}

fn records(dir: &Path) -> Vec<(String, usize)> {
    let read = std::fs::read_dir(dir).expect("there");
    let mut all: Vec<_> = read
        .map(|entry| {
            let entry = entry.expect("readable");
            let text = std::fs::read_to_string(entry.path()).expect("readable");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, text.lines().count())
        })
        .collect();
    all.sort();
    all
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !is_there() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn plain(path: PathBuf) {
    leave_record(&path);
}

fn with_buffers((path, text, shared, loan): (PathBuf, String, Shared, Loan)) -> (Shared, Shared) {
    assert!(text.bytes().all(|b| b == b't') && text.len() == 3000);
    assert!(shared.iter().all(|b| *b == 1) && loan.iter().all(|b| *b == 2));
    leave_record(&path);
    // One that it was given, and one of its own: neither is wanted.
    (shared, loan.publish())
}

/// Spawns its children, says which process it is, and waits for its end.
fn parent(dir: PathBuf) {
    let child = |n: u64| dir.join(format!("child-{n:03}"));
    for n in 0..CHILDREN {
        if n % 2 == 0 {
            drop(pinfold::spawn(plain, child(n)));
        } else {
            let mut loans = [100, 5000].map(|len| pinfold::alloc(len).expect("room"));
            loans[0].fill(1);
            loans[1].fill(2);
            let [shared, loan] = loans;
            let args = (child(n), "t".repeat(3000), shared.publish(), loan);
            drop(pinfold::spawn(with_buffers, args));
        }
    }
    let ready = dir.join("parent.new");
    std::fs::write(&ready, std::process::id().to_string()).expect("writes");
    std::fs::rename(ready, dir.join("parent")).expect("renames");
    loop {
        std::thread::park();
    }
}

/// Waits until the parent has spawned all it will; kills it, and takes the file away.
fn kill_parent(dir: &Path) {
    let path = dir.join("parent");
    wait_for("the parent", || path.exists());
    let pid = std::fs::read_to_string(&path).expect("readable");
    std::fs::remove_file(path).expect("removes");
    let pid = nix::unistd::Pid::from_raw(pid.parse().expect("a number"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("kills");
}

fn goes_on(rt: &Runtime) {
    let values: Result<Vec<u64>, _> = rt.task(|n: u64| n + 1).map(0..1000).collect();
    assert_eq!(values, Ok((1..=1000).collect()));
    becomes_clean(rt);
}

fn every_child_once() -> Vec<(String, usize)> {
    (0..CHILDREN)
        .map(|n| (format!("child-{n:03}"), 1))
        .collect()
}

fn all_are_finished(workers: usize, rounds: usize) {
    let rt = runtime(workers, Orphans::Finish);
    for _ in 0..rounds {
        let dir = tempfile::tempdir().expect("a directory");
        let lost = rt.spawn(parent, dir.path().into());
        kill_parent(dir.path());
        assert!(matches!(lost.join(), Err(TaskError::WorkerDied { .. })));
        wait_for("every child", || {
            records(dir.path()).len() == CHILDREN as usize
        });
        goes_on(&rt);
        assert_eq!(records(dir.path()), every_child_once());
    }
}

/// The only worker is killed while all its children are queued: its successor runs them.
#[test]
fn orphans_are_finished_by_the_successor() {
    all_are_finished(1, 5);
}

/// Others are taking them meanwhile.
#[test]
fn orphans_are_finished_by_others() {
    all_are_finished(3, 10);
}

/// As many as an executor has slots for, twice over: its successor can use them all.
#[test]
fn the_slots_of_orphans_are_used_again() {
    fn many((dir, attempt): (PathBuf, u32)) {
        for n in 0..256 {
            drop(pinfold::spawn(plain, dir.join(format!("{attempt}-{n:03}"))));
        }
        std::process::abort();
    }
    let rt = runtime(1, Orphans::Finish);
    let dir = tempfile::tempdir().expect("a directory");
    for attempt in 0..2 {
        let lost = rt.spawn(many, (dir.path().into(), attempt)).join();
        assert!(matches!(lost, Err(TaskError::WorkerDied { .. })));
        let expected = 256 * (attempt as usize + 1);
        wait_for("every child", || records(dir.path()).len() == expected);
        becomes_clean(&rt);
    }
    assert!(records(dir.path()).iter().all(|(_, runs)| *runs == 1));
    goes_on(&rt);
}

/// Each attempt has children of its own; those of the first are not taken back.
#[test]
fn each_attempt_has_its_orphans() {
    fn dies_once(dir: PathBuf) {
        let attempt = records(&dir).len();
        leave_record(&dir.join(format!("attempt-{attempt}")));
        let child = pinfold::spawn(plain, dir.join(format!("child-of-{attempt}")));
        if attempt == 0 {
            std::process::abort();
        }
        child.join().expect("runs");
    }
    for (policy, runs) in [(Orphans::Finish, 1), (Orphans::Cancel, 0)] {
        let rt = runtime(1, policy);
        let dir = tempfile::tempdir().expect("a directory");
        let task = rt.task(dies_once).safe_to_repeat(2);
        task.spawn(dir.path().into()).join().expect("runs");
        goes_on(&rt);
        let of_first = |(name, _): &(String, usize)| name.starts_with("child-of-0");
        let all = records(dir.path());
        assert_eq!(all.iter().filter(|r| of_first(r)).count(), runs, "{all:?}");
        assert!(all.iter().all(|(_, runs)| *runs == 1), "{all:?}");
    }
}

/// A parent that was cancelled, and is killed for it: its children are cancelled too.
#[test]
fn children_of_the_cancelled_do_not_run() {
    let rt = runtime(1, Orphans::Finish);
    let dir = tempfile::tempdir().expect("a directory");
    let cancelled = rt.spawn(parent, dir.path().into());
    let is_ready = dir.path().join("parent");
    wait_for("the parent", || is_ready.exists());
    assert!(cancelled.cancel_within(Duration::from_millis(1)));
    assert!(matches!(cancelled.join(), Err(TaskError::Cancelled { .. })));
    goes_on(&rt);
    std::fs::remove_file(is_ready).expect("removes");
    assert_eq!(records(dir.path()), []);
}

/// Without the policy none of those that were queued runs.
#[test]
fn orphans_are_cancelled_unless_asked_for() {
    let rt = runtime(1, Orphans::default());
    for _ in 0..5 {
        let dir = tempfile::tempdir().expect("a directory");
        let lost = rt.spawn(parent, dir.path().into());
        kill_parent(dir.path());
        assert!(matches!(lost.join(), Err(TaskError::WorkerDied { .. })));
        goes_on(&rt);
        assert_eq!(records(dir.path()), []);
    }
}
