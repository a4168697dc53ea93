//! Descriptors of processes: a death notice that cannot speak of a stranger.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Opens a descriptor of process `pid` (close-on-exec).
///
/// Only its parent can be sure that `pid` still means the same process; so the
/// zygote opens these and sends them to the host.
pub fn open(pid: i32) -> Result<OwnedFd, Errno> {
    pidfd_open(Pid::from_raw(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// Sends SIGKILL; a process that is gone already is no error.
pub fn kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Err(Errno::SRCH) => Ok(()),
        other => other,
    }
}

/// Waits until one of `fds` is readable (a pidfd is, once its process has
/// ended) or closed, or until `timeout`. Returns one flag per descriptor.
pub fn wait_any(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<Vec<bool>, Errno> {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let timeout = timeout.map(|t| rustix::time::Timespec {
        tv_sec: t.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: t.subsec_nanos().into(),
    });
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) => {}
        // A signal: report nothing ready; the caller looks again.
        Err(Errno::INTR) => return Ok(vec![false; fds.len()]),
        Err(error) => return Err(error),
    }
    Ok(polled.iter().map(|p| !p.revents().is_empty()).collect())
}
