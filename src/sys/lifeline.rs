//! Whether any process of a group still lives, though nobody may know of it.
//!
//! Each member holds a lock of a file's first byte, of the kind that belongs to a process: the
//! kernel takes it away when the process ends, after its memory, and a forked child does
//! not inherit it. (The end of a pipe it would: what a task has forked would live for all.)

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::fds::above_standard;
use super::held::Held;

/// How long to wait between two looks.
const BETWEEN: Duration = Duration::from_micros(200);

/// The file, without a name, and empty.
#[derive(Debug)]
pub struct Lifeline(Held);

impl Lifeline {
    /// Of a group without a member.
    pub fn new() -> Result<Self, Errno> {
        let file = memfd_create("pinfold-lifeline", MFdFlags::MFD_CLOEXEC)?;
        Ok(Lifeline(Held::new(above_standard(file)?)))
    }

    /// The one that came from another process as `file`.
    pub fn adopt(file: OwnedFd) -> Self {
        Lifeline(Held::new(file))
    }

    /// From here on this process is a member, until it ends, or closes any descriptor of
    /// the file.
    pub fn hold(&self) -> Result<(), Errno> {
        let lock = first_byte(libc::F_RDLCK);
        fcntl(self.0.get()?, FcntlArg::F_SETLK(&lock)).map(drop)
    }

    /// Whether any other process is a member.
    pub fn is_held(&self) -> bool {
        let mut lock = first_byte(libc::F_WRLCK);
        let file = self.0.get();
        let asked = file.and_then(|file| fcntl(file, FcntlArg::F_GETLK(&mut lock)));
        asked.is_ok() && lock.l_type != libc::F_UNLCK as i16
    }

    /// Waits until none is, for `limit` at most; whether none is.
    pub fn wait(&self, limit: Duration) -> bool {
        let start = Instant::now();
        while self.is_held() {
            if start.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(BETWEEN);
        }
        true
    }
}

impl AsFd for Lifeline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn first_byte(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::exit_now;

    /// A process that holds it, then does `what`, and tells by a pipe that it has begun.
    fn member(line: &Lifeline, what: impl FnOnce()) -> i32 {
        let (mut told, tell) = std::io::pipe().expect("a pipe");
        // SAFETY: the child makes system calls only, and ends by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let held = line.hold();
            what();
            let _ = std::io::Write::write(&mut &tell, &[u8::from(held.is_ok())]);
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
            exit_now(0);
        }
        drop(tell);
        let mut begun = [0];
        std::io::Read::read_exact(&mut told, &mut begun).expect("it has begun");
        assert_eq!(begun, [1]);
        child
    }

    fn end(child: i32) {
        let mut status = 0;
        // SAFETY: a child of this process that was not waited for; `status` outlives the call.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &raw mut status, 0);
        }
    }

    #[test]
    fn it_is_held_until_the_last_has_ended() {
        let line = Lifeline::new().expect("a file");
        assert!(!line.is_held());
        let (one, other) = (member(&line, || ()), member(&line, || ()));
        assert!(line.is_held() && !line.wait(Duration::from_millis(1)));
        end(one);
        assert!(line.is_held());
        end(other);
        assert!(line.wait(Duration::ZERO));
    }

    #[test]
    fn what_a_member_forks_does_not_hold_it() {
        let line = Lifeline::new().expect("a file");
        let (mut told, tell) = std::io::pipe().expect("a pipe");
        let fork = || {
            // SAFETY: the child waits for a signal, and ends with the pipe.
            let grandchild = unsafe { libc::fork() };
            if grandchild == 0 {
                // SAFETY: as above.
                unsafe { libc::pause() };
                exit_now(0);
            }
            let _ = std::io::Write::write(&mut &tell, &grandchild.to_ne_bytes());
        };
        let child = member(&line, fork);
        let mut number = [0; 4];
        std::io::Read::read_exact(&mut told, &mut number).expect("it has forked");
        end(child);
        assert!(line.wait(Duration::ZERO));
        // SAFETY: it lives until now: it was made to wait for this.
        unsafe { libc::kill(i32::from_ne_bytes(number), libc::SIGKILL) };
    }
}
