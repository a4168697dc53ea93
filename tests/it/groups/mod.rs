//! Several tasks as one: scopes, races, gathering, unordered maps, chunks, reductions.

mod handles;
mod maps;
mod reduce;
mod scopes;

use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::Runtime;

use crate::processes::until;

fn square(n: u64) -> u64 {
    n * n
}

/// Panics for numbers that three divides.
fn fussy(n: u64) -> u64 {
    assert!(!n.is_multiple_of(3), "{n} is a multiple of three");
    n
}

/// Kills its worker for numbers that a hundred divides.
fn deadly(n: u64) -> u64 {
    if n.is_multiple_of(100) {
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
    n
}

/// A door that a task waits at until the test opens it.
struct Door(tempfile::TempDir);

impl Door {
    fn new() -> Self {
        Door(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What a task that waits here is given; the name says who it is.
    fn arg(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(name), self.path("open"))
    }

    fn open(&self) {
        std::fs::write(self.path("open"), "").unwrap();
    }

    /// Whether the task of that name has begun.
    fn was_reached_by(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn wait_for(&self, name: &str) {
        until("the task has begun", || self.was_reached_by(name));
    }
}

/// Waits at a door.
fn at_door((me, open): (PathBuf, PathBuf)) -> u64 {
    std::fs::write(&me, "").unwrap();
    // Once the test is over there is no door any more.
    while me.exists() && !open.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    1
}

/// Leaves a mark, and returns at once.
fn pass((me, _): (PathBuf, PathBuf)) -> u64 {
    std::fs::write(me, "").unwrap();
    2
}

/// Leaves a mark, and panics.
fn fall((me, _): (PathBuf, PathBuf)) -> u64 {
    std::fs::write(me, "").unwrap();
    panic!("fell")
}

/// Nothing is in flight (soon: what was detached may still run), nothing is left.
#[track_caller]
fn is_whole(rt: &Runtime) {
    until("nothing is in flight", || {
        let audit = rt.audit();
        let slots = audit.slots_queued + audit.slots_running;
        slots + audit.slots_done + audit.slots_waiting == 0
    });
    let audit = rt.audit();
    assert_eq!(audit.orphans, [""; 0]);
    let blocks = (
        audit.blocks_loaned,
        audit.blocks_shared,
        audit.blocks_carried,
    );
    assert_eq!(blocks, (0, 0, 0));
    let tasks = rt.stats().tasks;
    let failed = tasks.panicked + tasks.died + tasks.late + tasks.cancelled + tasks.failed;
    assert_eq!(tasks.submitted, tasks.completed + failed, "{tasks:?}");
    assert_eq!(tasks.damage, 0);
}
