//! Descriptors of processes: a death notice that cannot speak of a stranger.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::fds::above_standard;
use rustix::event::{
    FdSetElement, FdSetIter, PollFd, PollFlags, fd_set_insert, fd_set_num_elements, poll, select,
};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// Opens a descriptor of process `pid` (close-on-exec).
///
/// Only its parent can be sure that `pid` still means the same process; so the
/// zygote opens these and sends them to the host.
pub fn open(pid: i32) -> Result<OwnedFd, Errno> {
    let pidfd = pidfd_open(Pid::from_raw(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
    above_standard(pidfd).map_err(|error| Errno::from_raw_os_error(error as i32))
}

/// Sends SIGKILL; a process that is gone already is no error.
pub fn kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    send(pidfd, Signal::KILL)
}

/// Sends SIGTERM; a process that is gone already is no error.
pub fn terminate(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    send(pidfd, Signal::TERM)
}

/// Kills all processes of the group that a process leads, or has led: it may have ended. Linux
/// before 6.9 does not do this.
pub fn kill_group(pidfd: BorrowedFd<'_>) {
    const TO_ITS_GROUP: u32 = 1 << 2;
    // SAFETY: plain integers, and no information to go with the signal.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            std::os::fd::AsRawFd::as_raw_fd(&pidfd),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            TO_ITS_GROUP,
        )
    };
}

fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    match pidfd_send_signal(pidfd, signal) {
        Err(Errno::SRCH) => Ok(()),
        Err(Errno::NOSYS) => send_by_number(pidfd, signal),
        other => other,
    }
}

/// The same where that system call is not known, as under valgrind: to the number of the process, as long as it is
/// its own. Between the look and the signal it could have become another's.
#[cold]
fn send_by_number(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
    let told = told.map_err(|_| Errno::NOSYS)?;
    let number = told.lines().find_map(|line| line.strip_prefix("Pid:"));
    let number = number.and_then(|number| number.trim().parse::<i32>().ok());
    // -1 when it is gone.
    let own = number.ok_or(Errno::NOSYS)?.max(0);
    match Pid::from_raw(own).map_or(Ok(()), |pid| kill_process(pid, signal)) {
        Err(Errno::SRCH) => Ok(()),
        other => other,
    }
}

/// A process that stands still while this lives, and goes on afterwards (unless it
/// stood still before).
#[derive(Debug)]
pub struct Stopped<'fd> {
    pidfd: BorrowedFd<'fd>,
    was_stopped: bool,
}

/// How long a process may take to stand still. In the kernel (a full disk, say) it
/// may take for ever.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

impl<'fd> Stopped<'fd> {
    /// Stops process `pid`, of which `pidfd` is a descriptor; returns when all its
    /// threads stand still, or are in the kernel for so long that they may as well.
    pub fn stop(pidfd: BorrowedFd<'fd>, pid: i32) -> Result<Self, Errno> {
        let was_stopped = stands_still(pid);
        if !was_stopped {
            send(pidfd, Signal::STOP)?;
        }
        let stopped = Stopped { pidfd, was_stopped };
        let give_up = Instant::now() + STOP_TIMEOUT;
        while !stands_still(pid) && Instant::now() < give_up {
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(stopped)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if !self.was_stopped {
            let _ = send(self.pidfd, Signal::CONT);
        }
    }
}

/// Whether no thread of process `pid` can take another step.
fn stands_still(pid: i32) -> bool {
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        // Gone; or there is no descriptor to look with.
        Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
    };
    threads.flatten().all(|thread| {
        match std::fs::read_to_string(thread.path().join("stat")) {
            // The name before it is in parentheses, and may hold anything.
            Ok(stat) => {
                let mut after = stat.rsplit(')');
                let state = after.next().and_then(|s| s.trim_start().chars().next());
                matches!(state, Some('T' | 't' | 'Z' | 'X'))
            }
            Err(error) => {
                let is_gone = error.raw_os_error() == Some(libc::ESRCH);
                is_gone || error.kind() == std::io::ErrorKind::NotFound
            }
        }
    })
}

/// Waits until a process has ended (or a lifeline is closed), whatever signals come meanwhile; false: not within
/// `timeout`.
pub fn wait_ended(pidfd: BorrowedFd<'_>, timeout: Duration) -> bool {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match wait_any(&[pidfd], Some(left)) {
            Ok(ended) if ended[0] => return true,
            Ok(_) if !left.is_zero() => {}
            _ => return false,
        }
    }
}

/// Waits until one of `fds` is readable (a pidfd is, once its process has
/// ended) or closed, or until `timeout`, whatever signals come meanwhile. Returns one flag
/// per descriptor; all false: the time is up.
pub fn wait_any(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<Vec<bool>, Errno> {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let begin = Instant::now();
    let mut left = timeout;
    loop {
        let time = left.map(|t| rustix::time::Timespec {
            tv_sec: t.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: t.subsec_nanos().into(),
        });
        match poll(&mut polled, time.as_ref()) {
            Ok(_) => break,
            // A signal is no answer: what is left of the time goes on.
            Err(Errno::INTR) => left = timeout.map(|t| t.saturating_sub(begin.elapsed())),
            // More than the limit of descriptors that this process has by now.
            Err(Errno::INVAL) if !fds.is_empty() => match select_any(fds, time.as_ref()) {
                Err(Errno::INTR) => left = timeout.map(|t| t.saturating_sub(begin.elapsed())),
                other => return other,
            },
            Err(error) => return Err(error),
        }
    }
    Ok(polled.iter().map(|p| !p.revents().is_empty()).collect())
}

/// The same by select(2), which does not ask for `RLIMIT_NOFILE`.
fn select_any(
    fds: &[BorrowedFd<'_>],
    timeout: Option<&rustix::time::Timespec>,
) -> Result<Vec<bool>, Errno> {
    let most = fds.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(0) + 1;
    let mut set = vec![FdSetElement::default(); fd_set_num_elements(fds.len(), most)];
    for fd in fds {
        fd_set_insert(&mut set, fd.as_raw_fd());
    }
    // SAFETY: `set` has room for `most` bits, and names descriptors that are borrowed.
    unsafe { select(most, Some(&mut set), None, None, timeout)? };
    let mut is_ready = vec![false; most as usize];
    for at in FdSetIter::new(&set) {
        if let Some(flag) = is_ready.get_mut(at as usize) {
            *flag = true;
        }
    }
    Ok(fds
        .iter()
        .map(|fd| is_ready[fd.as_raw_fd() as usize])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Bell;
    use std::os::fd::AsFd;

    #[test]
    fn where_the_call_is_not_known_the_process_is_told_by_its_number() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn();
        let child = child.as_mut().expect("there is sleep");
        let pidfd = open(child.id() as i32).expect("alive");
        send_by_number(pidfd.as_fd(), Signal::KILL).expect("it is ours");
        assert!(wait_ended(pidfd.as_fd(), Duration::from_secs(60)));
        let ended = child.wait().expect("it is ours");
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&ended),
            Some(9)
        );
        send_by_number(pidfd.as_fd(), Signal::KILL).expect("gone already");
    }

    /// Both ways of waiting say the same.
    #[test]
    fn what_is_ready_is_seen_without_poll_too() {
        let (silent, rung) = (Bell::new().expect("a bell"), Bell::new().expect("a bell"));
        rung.ring();
        let (ours, theirs) = crate::sys::fds::line().expect("a pipe");
        let now = Some(Duration::ZERO);
        let timespec = rustix::time::Timespec::default();
        let check = |is_closed: bool| {
            let (silent, rung) = (silent.ends(), rung.ends());
            let fds = [silent.as_fd(), rung.as_fd(), ours.as_fd()];
            let expected = [false, true, is_closed];
            assert_eq!(wait_any(&fds, now).expect("poll"), expected);
            let selected = select_any(&fds, Some(&timespec));
            assert_eq!(selected.expect("select"), expected);
        };
        check(false);
        drop(theirs);
        check(true);
    }
}
