//! Descriptors a new process must not keep.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;

use super::calls::{Refused, again, refused};

/// The highest number of a standard stream.
const STANDARD_MAX: RawFd = 2;

/// Takes the descriptor that was passed as standard input, moves it out of the
/// way (close-on-exec) and puts nothing in its place.
pub fn take_stdin() -> Result<OwnedFd, Refused> {
    let taken = (std::io::stdin().as_fd().try_clone_to_owned())
        .map_err(refused("fcntl(F_DUPFD)", "to keep the control socket"))?;
    let null =
        nothing(OFlag::O_RDONLY).map_err(refused("open", "to have nothing as standard input"))?;
    again(|| nix::unistd::dup2_stdin(&null))
        .map_err(refused("dup2", "to have nothing as standard input"))?;
    Ok(taken)
}

/// Puts nothing in the place of standard error.
pub fn close_stderr() -> Result<(), Errno> {
    let null = nothing(OFlag::O_WRONLY)?;
    again(|| nix::unistd::dup2_stderr(&null))
}

/// What has nothing to read, or takes what is written to it for nothing.
fn nothing(how: OFlag) -> Result<OwnedFd, Errno> {
    match open("/dev/null", how | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(null) => Ok(null),
        // A sandbox without /dev: a pipe of which the other end is closed. Its reader is at
        // the end; its writer gets an error, which nobody looks at.
        Err(error) => {
            let (reader, writer) = std::io::pipe().map_err(|_| error)?;
            Ok(if how == OFlag::O_RDONLY {
                reader.into()
            } else {
                writer.into()
            })
        }
    }
}

/// Opens nothing by each number of a standard stream that leads nowhere: what this process and
/// the programs that it starts open must not become one.
pub fn fill_standard() {
    for number in 0..=STANDARD_MAX {
        // SAFETY: asks for flags, by a number that may be anybody's.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags >= 0 {
            continue;
        }
        let how = if number == 0 {
            OFlag::O_RDONLY
        } else {
            OFlag::O_WRONLY
        };
        if let Ok(null) = nothing(how).and_then(above_standard) {
            // SAFETY: the number leads nowhere; the copy is not closed on exec.
            unsafe { libc::dup2(null.as_raw_fd(), number) };
        }
    }
}

/// Closes every descriptor from 3 up but those in `keep`, in a process that was
/// just forked and owns nothing else: what its parent had open for itself (a lock,
/// a pipe, a listening socket) must not be kept open by a worker.
///
/// The `OwnedFd`s that the parent's stack left behind are never dropped, because a
/// forked child leaves that stack only by `_exit`.
pub fn close_inherited(keep: &[RawFd]) {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut from = 3u32;
    for fd in keep {
        let fd = fd as u32;
        if fd > from {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: plain integers; in a child just forked nobody uses a descriptor of
    // the range any more (see `close_inherited`).
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed != 0 {
        // Before Linux 5.9: one by one, up to the limit.
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
            .map_or(1024, |(soft, _)| soft.min(65_536) as u32);
        for fd in first..=last.min(limit) {
            // SAFETY: as above.
            unsafe { libc::close(fd as i32) };
        }
    }
}

/// Two ends: the first is closed, as [`pidfd::wait_any`] sees it, when no process has the
/// second open any more. Nothing is ever written.
///
/// [`pidfd::wait_any`]: super::pidfd::wait_any
pub fn line() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = std::io::pipe()?;
    Ok((above_standard(one.into())?, above_standard(other.into())?))
}

/// The same descriptor, by a number above those of the standard streams, close-on-exec. Every
/// descriptor that this library makes goes through here: in a program that was started
/// without one of the three, or has closed it, what is written to that stream would go into it.
pub fn above_standard(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > STANDARD_MAX {
        return Ok(fd);
    }
    duplicate(&fd)
}

/// Another descriptor of the same, close-on-exec, by a number above those of the standard
/// streams.
pub fn duplicate(fd: &impl AsFd) -> Result<OwnedFd, Errno> {
    let lowest = FcntlArg::F_DUPFD_CLOEXEC(STANDARD_MAX + 1);
    let number = fcntl(fd, lowest)?;
    // SAFETY: the kernel has just made it for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The number behind a descriptor.
pub fn number(fd: &impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}
