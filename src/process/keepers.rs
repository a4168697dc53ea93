//! Keepers of dead workers' memory, as the zygote, their parent, ends them.
//!
//! That a process is a keeper is said by a word that a wild worker can write to. So the
//! zygote believes only that a child of its own that is no worker and no spare is one;
//! if the word is wrong, the memory is kept until the zygote ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::layout::{ExecutorRecord, Fold};
use crate::prim::atomic::Ordering;
use crate::sys::{affinity, pidfd};

use super::reaping::{LAST_WAIT, reap};

/// Those that were told to end, and are still taking their memory apart.
#[derive(Debug, Default)]
pub struct Keepers {
    dying: Vec<(i32, OwnedFd)>,
    /// Whose workers say who keeps theirs.
    fold: Option<Fold>,
}

impl Keepers {
    /// They are those of this fold's workers.
    pub fn watch(&mut self, fold: &Fold) {
        self.fold = Some(fold.clone());
    }

    /// Ends process `pid`, if it is a child. The caller has seen that it is no worker.
    pub fn dismiss(&mut self, pid: i32) {
        if pid <= 0 || self.dying.iter().any(|(dying, _)| *dying == pid) {
            return;
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(Pid::from_raw(pid)), flags) {
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) => {
                reap(pid); // somebody has killed it
                return;
            }
            Err(error) => {
                if error != Errno::ECHILD {
                    tracing::warn!(pid, %error, "a keeper cannot be waited for");
                }
                return;
            }
        }
        // A child that is not reaped yet: the number is still its own.
        let ended = match pidfd::open(pid) {
            Ok(ended) => ended,
            Err(error) => {
                tracing::warn!(pid, %error, "a keeper has no descriptor");
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
                reap(pid);
                return;
            }
        };
        // Its memory is taken apart on any CPU that is free, not on the dead worker's.
        affinity::spread(pid);
        match pidfd::kill(ended.as_fd()) {
            Ok(()) => self.dying.push((pid, ended)),
            Err(error) => {
                tracing::warn!(pid, %error, "a keeper cannot be ended: its memory is kept");
            }
        }
    }

    /// Ends those of living workers, for there are no processes left, and waits until they have
    /// ended; false if there were none. `is_worker` says who is none.
    pub fn let_go(&mut self, is_worker: impl Fn(i32) -> bool) -> bool {
        let Some(fold) = self.fold.clone() else {
            return false;
        };
        let before = self.dying.len();
        for record in fold.executors.iter() {
            // Relaxed: a number that is not true does no harm. Its worker writes it once.
            let pid = record.status.keeper.load(Ordering::Relaxed) as i32;
            if pid > 0 && !is_worker(pid) {
                // Relaxed: as above. The number may be another's soon.
                record.status.keeper.store(0, Ordering::Relaxed);
                self.dismiss(pid);
            }
        }
        let had_any = self.dying.len() > before;
        let until = Instant::now() + LAST_WAIT;
        while had_any && !self.dying.is_empty() && Instant::now() < until {
            let fds: Vec<BorrowedFd<'_>> = self.dying().collect();
            let left = until.saturating_duration_since(Instant::now());
            if pidfd::wait_any(&fds, Some(left)).is_err() {
                break;
            }
            drop(fds);
            self.reap();
        }
        had_any
    }

    /// Readable when one has ended.
    pub fn dying(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.dying.iter().map(|(_, ended)| ended.as_fd())
    }

    /// Reaps those that have ended.
    pub fn reap(&mut self) {
        let fds: Vec<BorrowedFd<'_>> = self.dying().collect();
        let no_time = Some(std::time::Duration::ZERO);
        let Ok(ended) = pidfd::wait_any(&fds, no_time) else {
            return;
        };
        let mut ended = ended.into_iter();
        self.dying.retain(|(pid, _)| {
            let has_ended = ended.next() == Some(true);
            if has_ended {
                reap(*pid);
            }
            !has_ended
        });
    }

    /// No worker is left: ends all, and waits for a while until they have. Whoever inherits
    /// them may be slow to reap them.
    pub fn end(&mut self) {
        if let Some(fold) = self.fold.take() {
            // Relaxed: their workers are dead.
            let keeper = |e: &ExecutorRecord| e.status.keeper.load(Ordering::Relaxed);
            for pid in fold.executors.iter().map(keeper) {
                self.dismiss(pid as i32);
            }
        }
        for (pid, ended) in self.dying.drain(..) {
            if pidfd::wait_ended(ended.as_fd(), LAST_WAIT) {
                reap(pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn sleeper() -> i32 {
        let child = Command::new("sleep").arg("100").spawn();
        child.expect("sleep(1)").id() as i32
    }

    fn exists(pid: i32) -> bool {
        nix::sys::signal::kill(Pid::from_raw(pid), None).is_ok()
    }

    #[test]
    fn who_is_no_child_is_left_alone() {
        let mut keepers = Keepers::default();
        for stranger in [0, -1, 1, i32::MIN, i32::MAX] {
            keepers.dismiss(stranger);
        }
        keepers.dismiss(std::process::id() as i32);
        keepers.dismiss(nix::unistd::getppid().as_raw());
        assert_eq!(keepers.dying().count(), 0);
    }

    #[test]
    fn a_child_is_ended_and_reaped_once() {
        let mut keepers = Keepers::default();
        let (one, other) = (sleeper(), sleeper());
        keepers.dismiss(one);
        keepers.dismiss(one);
        keepers.dismiss(other);
        assert_eq!(keepers.dying().count(), 2);
        while keepers.dying().count() > 0 {
            let fds: Vec<BorrowedFd<'_>> = keepers.dying().collect();
            pidfd::wait_any(&fds, None).expect("poll");
            keepers.reap();
        }
        assert!(!exists(one) && !exists(other));
        keepers.dismiss(one);
        assert_eq!(keepers.dying().count(), 0);
    }

    #[test]
    fn one_that_was_killed_already_is_reaped_at_once() {
        let mut keepers = Keepers::default();
        let killed = sleeper();
        let pidfd = pidfd::open(killed).expect("alive");
        pidfd::kill(pidfd.as_fd()).expect("kill");
        pidfd::wait_any(&[pidfd.as_fd()], None).expect("poll");
        keepers.dismiss(killed);
        assert_eq!(keepers.dying().count(), 0);
        assert!(!exists(killed));
    }

    #[test]
    fn at_the_end_all_are_waited_for() {
        let mut keepers = Keepers::default();
        let pid = sleeper();
        keepers.dismiss(pid);
        keepers.end();
        assert!(!exists(pid));
    }
}
