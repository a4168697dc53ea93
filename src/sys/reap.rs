//! Children that become this process's own when their parent dies.
//!
//! That is so if this process is the first of its pid namespace, as in many a container, or has
//! said that it takes orphans (`PR_SET_CHILD_SUBREAPER`). Then nobody else reaps them. Only those
//! are touched that are known to be ours; who is waited for is named, never *any child*.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

use crate::prim::Death;

use super::calls::again;
use super::pidfd;

/// Whether processes whose parent has died become children of this one.
pub fn takes_orphans() -> bool {
    getpid().as_raw_nonzero().get() == 1 || nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

/// Reaps a process that has ended, if it is this process's child; says how it has ended.
pub fn reap(ended: BorrowedFd<'_>) -> Option<Death> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = again(|| waitid(WaitId::PidFd(ended), options)).ok()??;
    if let Some(status) = status.exit_status() {
        return Some(Death::Exited { status });
    }
    Some(Death::Signaled {
        signal: status.terminating_signal()?,
        core_dumped: status.dumped(),
    })
}

/// Whether this process can be reaped by us: it has ended, and nobody has reaped it.
pub fn is_to_be_reaped(ended: BorrowedFd<'_>) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = again(|| waitid(WaitId::PidFd(ended), options));
    matches!(status, Ok(Some(_)))
}

/// Children of this process that are of session `session`, whose first process was a child too
/// and is not reaped yet: so the number is still its.
pub fn children_of_session(session: i32) -> Vec<OwnedFd> {
    let Ok(all) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let me = getpid().as_raw_nonzero().get();
    let is_meant = |pid: i32| parent_and_session(pid) == Some((me, session));
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != session && is_meant(*pid))
        .filter_map(|pid| {
            let pidfd = pidfd::open(pid).ok()?;
            // It may have been reaped by somebody else just before, and be another now.
            is_meant(pid).then_some(pidfd)
        })
        .collect()
}

/// Ends these processes, and reaps them as far as they end within `patience`.
pub fn end_and_reap(children: &[OwnedFd], patience: Duration) {
    let until = Instant::now() + patience;
    for child in children {
        let _ = pidfd::kill(child.as_fd());
    }
    for child in children {
        let left = until.saturating_duration_since(Instant::now());
        if pidfd::wait_ended(child.as_fd(), left) {
            let _ = reap(child.as_fd());
        }
    }
}

fn parent_and_session(pid: i32) -> Option<(i32, i32)> {
    Pid::from_raw(pid)?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before them is in parentheses, and may hold anything.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some((parent, session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is reaped by what is tested")]
    fn a_child_is_reaped_once_and_a_stranger_never() {
        let child = Command::new("true").spawn().expect("true(1)");
        let pidfd = pidfd::open(child.id() as i32).expect("a child of ours");
        assert!(pidfd::wait_ended(pidfd.as_fd(), Duration::from_secs(60)));
        assert_eq!(reap(pidfd.as_fd()), Some(Death::Exited { status: 0 }));
        assert_eq!(reap(pidfd.as_fd()), None);
        let parent = pidfd::open(nix::unistd::getppid().as_raw()).expect("it lives");
        assert_eq!(reap(parent.as_fd()), None);
    }

    #[test]
    fn parent_and_session_are_read() {
        let me = std::process::id() as i32;
        let (parent, session) = parent_and_session(me).expect("it is there");
        assert_eq!(parent, nix::unistd::getppid().as_raw());
        let told = nix::unistd::getsid(None).expect("it has one");
        assert_eq!(session, told.as_raw());
        assert!(children_of_session(i32::MAX).is_empty());
    }
}
