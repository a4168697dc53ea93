//! Too few descriptors, processes, threads, or too little memory, for a while; and what else keeps workers from
//! being started.

mod full;
mod lost;
mod outage;

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Runtime, TaskError};

use crate::Program;

pub fn tests() -> Vec<Trial> {
    [full::tests(), lost::tests(), outage::tests()]
        .into_iter()
        .flatten()
        .collect()
}

pub fn programs() -> Vec<Program> {
    [full::programs(), lost::programs(), outage::programs()]
        .into_iter()
        .flatten()
        .collect()
}

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(40);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn kill(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
}

fn pids(rt: &Runtime) -> Vec<i32> {
    rt.stats().workers.iter().map(|w| w.pid).collect()
}

/// Parent of process `pid`.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The zygote's process number, by a worker that lives.
fn zygote(rt: &Runtime) -> i32 {
    let mut zygote = 0;
    until("a worker", || {
        let worker = pids(rt).into_iter().max().unwrap_or(0);
        zygote = parent(worker).unwrap_or(0);
        // Not of one whose zygote is dead.
        zygote > 1 && parent(zygote) == Some(std::process::id() as i32)
    });
    zygote
}

fn same(n: u64) -> u64 {
    n
}

fn my_pid(_: ()) -> i32 {
    std::process::id() as i32
}

/// Ends when `path` is there.
fn until_there(path: std::path::PathBuf) -> bool {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A file that is not there yet, in a directory that goes with the program's mark.
fn signal_file(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(name);
    (dir, path)
}

/// Tasks run again.
fn works(rt: &Runtime) {
    let started = Instant::now();
    loop {
        match rt.task(same).at_least_once().spawn(7).join() {
            Ok(7) => break,
            Err(TaskError::NoWorkers { .. }) if started.elapsed() < PATIENCE => {
                std::thread::sleep(ms(5));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rt.stats().no_workers, None);
    assert_eq!(rt.map(same, 0..100).filter(Result::is_ok).count(), 100);
    let audit = rt.audit();
    assert!(audit.orphans.is_empty(), "{audit:?}");
}

/// The cause that a task ends with for which there is no worker.
#[track_caller]
fn cause<T: std::fmt::Debug>(ended: Result<T, TaskError>) -> String {
    match ended {
        Err(TaskError::NoWorkers { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}
