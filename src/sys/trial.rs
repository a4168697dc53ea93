//! System calls tried where a refusal does no harm: in a forked child.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};

use super::calls::{again, errno_of};
use super::{Mapping, MemFile, fds, pidfd, signals, socket};

/// What has come of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It works.
    Works,
    /// It is refused.
    Refused(Errno),
    /// Whoever makes the call is killed, by this signal: a sandbox does that.
    Killed(i32),
}

/// Tries something in a child of this process.
///
/// # Errors
/// What fork(2) or waitpid(2) report.
pub fn in_a_child(call: fn() -> Result<(), Errno>) -> Result<Tried, Errno> {
    // In a program with threads an allocation might wait for ever in the child; the C
    // library mends its own allocator there.
    // SAFETY: the child calls what it is to try, which are system calls with little around
    // them, and ends by `_exit`.
    match unsafe { nix::unistd::fork()? } {
        nix::unistd::ForkResult::Child => {
            let status = match call() {
                Ok(()) => 0,
                Err(error) => (error as i32).clamp(1, 255),
            };
            super::exit_now(status)
        }
        nix::unistd::ForkResult::Parent { child } => Ok(match again(|| waitpid(child, None))? {
            WaitStatus::Exited(_, 0) => Tried::Works,
            WaitStatus::Exited(_, errno) => Tried::Refused(Errno::from_raw(errno)),
            WaitStatus::Signaled(_, signal, _) => Tried::Killed(signal as i32),
            _ => Tried::Refused(Errno::UnknownErrno),
        }),
    }
}

const LEN: usize = 1 << 16;

fn file() -> Result<MemFile, Errno> {
    MemFile::create("pinfold-doctor", LEN).map_err(|refused| refused.error)
}

/// A memory file with a size and seals.
pub fn memory_file() -> Result<(), Errno> {
    file().map(drop)
}

/// That file, mapped.
pub fn mapping() -> Result<(), Errno> {
    Mapping::new(&file()?).map(drop)
}

/// Memory that is there before it is touched.
pub fn populate() -> Result<(), Errno> {
    Mapping::new(&file()?)?.populate(0, LEN)
}

/// A hole in that file.
pub fn punch() -> Result<(), Errno> {
    Mapping::new(&file()?)?.punch(0, LEN)
}

/// A message with a descriptor, sent and received.
pub fn messages() -> Result<(), Errno> {
    let (one, other) = socket::pair()?;
    socket::send(one.as_fd(), b"x", &[one.as_fd()])?;
    let (bytes, fds) = socket::receive(other.as_fd())?;
    let has_come = bytes == b"x" && fds.len() == 1;
    has_come.then_some(()).ok_or(Errno::EIO)
}

/// A pipe.
pub fn pipe() -> Result<(), Errno> {
    fds::line().map(drop).map_err(|error| errno_of(&error))
}

/// Waiting for descriptors.
pub fn poll() -> Result<(), Errno> {
    let (one, _other) = fds::line().map_err(|error| errno_of(&error))?;
    pidfd::wait_any(&[one.as_fd()], Some(Duration::ZERO))
        .map(drop)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// A descriptor of a process.
pub fn process_descriptor() -> Result<(), Errno> {
    pidfd::open(nix::unistd::getpid().as_raw())
        .map(drop)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// A signal by such a descriptor.
pub fn signal_by_descriptor() -> Result<(), Errno> {
    let own = pidfd::open(nix::unistd::getpid().as_raw())
        .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
    // SAFETY: no signal, no pointers.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, own.as_raw_fd(), 0, 0, 0) };
    Errno::result(sent).map(drop)
}

/// One more process.
pub fn fork() -> Result<(), Errno> {
    match in_a_child(|| Ok(()))? {
        Tried::Refused(error) => Err(error),
        _ => Ok(()),
    }
}

/// A barrier in all threads of registered processes.
#[cfg(not(loom))]
pub fn barrier() -> Result<(), Errno> {
    super::barrier::settle().then_some(()).ok_or(Errno::EPERM)
}

/// A sleep on several words at once.
#[cfg(not(loom))]
pub fn wait_for_several() -> Result<(), Errno> {
    super::futex::try_to_wait_for_any()
}

/// Descriptors closed by range.
pub fn close_range() -> Result<(), Errno> {
    let last = libc::c_int::MAX;
    // SAFETY: plain integers; beyond every descriptor there is nothing to close.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, last, last, 0) }).map(drop)
}

/// A signal when the parent ends.
pub fn parent_death_signal() -> Result<(), Errno> {
    signals::die_with_parent(nix::unistd::getppid().as_raw()).map(drop)
}

/// A signal when a pipe is closed.
pub fn line_signal() -> Result<(), Errno> {
    let (one, _other) = fds::line().map_err(|error| errno_of(&error))?;
    let own = signals::open_anew(one.as_fd())?;
    signals::die_with_line(own).map(drop)
}

/// CPUs of a thread, set to what they are.
pub fn affinity() -> Result<(), Errno> {
    let own = nix::unistd::Pid::from_raw(0);
    let set = nix::sched::sched_getaffinity(own)?;
    nix::sched::sched_setaffinity(own, &set)
}

/// A session of one's own.
pub fn session() -> Result<(), Errno> {
    nix::unistd::setsid().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_told() {
        assert_eq!(in_a_child(|| Ok(())), Ok(Tried::Works));
        let refused = in_a_child(|| Err(Errno::ENOSYS));
        assert_eq!(refused, Ok(Tried::Refused(Errno::ENOSYS)));
        let killed = in_a_child(|| {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            Ok(())
        });
        assert_eq!(killed, Ok(Tried::Killed(9)));
    }
}
