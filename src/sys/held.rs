//! Descriptors that are kept for long in a process whose other code may close any number.
//!
//! A program that becomes a daemon closes all descriptors that it does not know; the next file
//! that it opens gets one of these numbers. What is then written by that number, cut or closed
//! is the program's. So whoever keeps a descriptor notes what it leads to, and looks before
//! each use whether it still does. A file that another thread opens between the look and the
//! use cannot be seen; for that reason, what can be done without a descriptor is.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::pidfd;
use super::socket;

/// A descriptor, and what it led to when it was made.
#[derive(Debug)]
pub struct Held {
    fd: ManuallyDrop<OwnedFd>,
    what: Option<What>,
}

/// Device, and number in it: of sockets, pipes and memory files no two are the same. Of
/// descriptors of processes they are since Linux 6.9; before it is only known that it is
/// none of the others.
type What = (u64, u64);

fn what(fd: BorrowedFd<'_>) -> Option<What> {
    fstat(fd).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

impl Held {
    /// Keeps `fd`.
    pub fn new(fd: OwnedFd) -> Self {
        let what = what(fd.as_fd());
        let fd = ManuallyDrop::new(fd);
        Held { fd, what }
    }

    /// Another descriptor of the same. If its number gets something else while it is made, that
    /// is seen, too.
    ///
    /// # Errors
    /// As [`Held::get`], and what fcntl(2) reports.
    pub fn copy(&self) -> std::io::Result<Held> {
        let fd = ManuallyDrop::new(self.get()?.try_clone_to_owned()?);
        Ok(Held {
            fd,
            what: self.what,
        })
    }

    /// Whether its number still leads to the same.
    pub fn is_ours(&self) -> bool {
        self.what.is_some() && what(self.fd.as_fd()) == self.what
    }

    /// The descriptor, if it is still ours.
    ///
    /// # Errors
    /// `EBADF`: the program has closed it, or has something else by its number.
    pub fn get(&self) -> Result<BorrowedFd<'_>, Errno> {
        match self.is_ours() {
            true => Ok(self.fd.as_fd()),
            false => Err(Errno::EBADF),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
        // Else the number is the program's, to close or to keep.
    }
}

/// Without a look: for polling, which touches nothing.
impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Who has replaced one descriptor may be about to replace the others, one after the other: for so
/// long none of them is closed, since between a look and a close it might become the program's.
const SETTLES: Duration = Duration::from_millis(100);
/// How soon what is polled is looked at once more; then after longer and longer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// As [`pidfd::wait_any`], of descriptors that are ours as long as `are_ours` says so, which
/// looks at these and whatever else there is to look at. It is asked before each wait; after it
/// only what is ready is looked at: of the others nothing is believed.
///
/// Whoever polls keeps what it polls, but not if its number has got something else between the
/// last look and the call. Then nothing might ever happen. So it is looked again, soon at first:
/// a program that closes all does so at its start.
///
/// Returns `None` if they are not ours any more.
///
/// # Errors
/// What poll(2) reports.
pub fn wait_any_of_ours(
    held: &[&Held],
    timeout: Option<Duration>,
    are_ours: impl Fn() -> bool,
) -> Result<Option<Vec<bool>>, rustix::io::Errno> {
    let start = Instant::now();
    let fds: Vec<BorrowedFd<'_>> = held.iter().map(|held| held.as_fd()).collect();
    let mut look_again = LOOK_AGAIN;
    let mut ready;
    loop {
        if !are_ours() {
            std::thread::sleep(SETTLES);
            return Ok(None);
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let wait = left.map_or(look_again, |left| left.min(look_again));
        ready = pidfd::wait_any(&fds, Some(wait))?;
        if ready.contains(&true) || left == Some(wait) {
            break;
        }
        look_again = (8 * look_again).min(LOOK_AGAIN_MAX);
    }
    // Otherwise it may be the program's.
    let is_ours = |(held, is_ready): (&&Held, &bool)| !is_ready || held.is_ours();
    if !held.iter().zip(&ready).all(is_ours) {
        std::thread::sleep(SETTLES);
        return Ok(None);
    }
    Ok(Some(ready))
}

/// What one thread polls, and others ring. If the program closes it, that wakes who polls: of
/// two ends, the one that is closed makes the other readable.
#[derive(Debug)]
pub struct Bell(Mutex<Arc<Ends>>);

/// Of a bell: the one that is polled, and the other.
#[derive(Debug)]
pub struct Ends {
    heard: Held,
    rung: Held,
}

impl Bell {
    /// A new one, silent.
    pub fn new() -> Result<Self, Errno> {
        Ok(Bell(Mutex::new(Ends::new()?)))
    }

    /// What to poll.
    pub fn ends(&self) -> Arc<Ends> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes it readable.
    pub fn ring(&self) {
        if let Ok(rung) = self.ends().rung.get() {
            socket::ring(rung);
        }
    }

    /// Makes it silent again.
    pub fn hush(&self) {
        if let Ok(heard) = self.ends().heard.get() {
            socket::hush(heard);
        }
    }

    /// Makes it anew if it was lost. Whoever has rung it meanwhile has not been heard.
    pub fn renew(&self) -> Result<(), Errno> {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.are_lost() {
            *ends = Ends::new()?;
        }
        Ok(())
    }
}

impl Ends {
    fn new() -> Result<Arc<Self>, Errno> {
        // Of this kind, of which each end hears that the other was closed.
        let (heard, rung) = socket::pair()?;
        let (heard, rung) = (Held::new(heard), Held::new(rung));
        Ok(Arc::new(Ends { heard, rung }))
    }

    /// Whether the program has closed one of them, so that nobody can ring any more.
    pub fn are_lost(&self) -> bool {
        !(self.heard.is_ours() && self.rung.is_ours())
    }
}

impl AsFd for Ends {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}

impl AsRef<Held> for Ends {
    /// The end that is polled.
    fn as_ref(&self) -> &Held {
        &self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fds::number;
    use std::os::fd::AsRawFd;

    /// Puts another file by the number of `held`; what was put there.
    fn replace(held: &Held) -> std::fs::File {
        let file = tempfile::tempfile().expect("a file");
        // SAFETY: plain integers; the number is the test's own.
        let done = unsafe { libc::dup3(file.as_raw_fd(), number(held), libc::O_CLOEXEC) };
        assert_eq!(done, number(held));
        file
    }

    #[test]
    fn what_has_another_file_by_its_number_is_not_closed() {
        let (one, other) = socket::pair().expect("sockets");
        let (one, other) = (Held::new(one), Held::new(other));
        assert!(one.is_ours() && other.is_ours());
        let file = replace(&one);
        assert_eq!(one.get().err(), Some(Errno::EBADF));
        let number = number(&one);
        drop(one);
        // SAFETY: the number is the copy's that `replace` made, and nobody else's.
        let copy: std::fs::File = unsafe { std::os::fd::FromRawFd::from_raw_fd(number) };
        let same = |file: &std::fs::File| what(file.as_fd());
        assert_eq!(same(&copy), same(&file), "it is open");
    }

    #[test]
    fn a_bell_that_loses_its_end_wakes_and_writes_nowhere() {
        let bell = Bell::new().expect("sockets");
        let ends = bell.ends();
        let wait = || pidfd::wait_any(&[ends.as_fd()], Some(Duration::ZERO)).expect("poll");
        assert_eq!(wait(), [false]);
        bell.ring();
        bell.ring();
        assert_eq!(wait(), [true]);
        bell.hush();
        assert!(wait() == [false] && !ends.are_lost());
        let file = replace(&ends.rung);
        assert!(ends.are_lost() && wait() == [true]);
        bell.ring();
        assert_eq!(file.metadata().expect("stat").len(), 0);
        bell.hush();
        bell.renew().expect("sockets");
        bell.ring();
        let again = bell.ends();
        assert!(!again.are_lost());
        let woken = pidfd::wait_any(&[again.as_fd()], Some(Duration::ZERO));
        assert_eq!(woken.expect("poll"), [true]);
    }
}
