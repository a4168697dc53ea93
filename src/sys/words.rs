//! What a process says on its standard error before it is at work, kept by whoever
//! started it: often the only explanation of why it never was.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::pread;

use super::calls::again;
use super::fds::above_standard;

/// The most that is given back, in bytes.
const TAIL_MAX: u64 = 2048;

/// An anonymous file that serves as somebody's standard error.
#[derive(Debug)]
pub struct TextFile(OwnedFd);

impl TextFile {
    /// A new one, empty.
    pub fn new() -> Result<Self, Errno> {
        let file = memfd_create("pinfold-stderr", MFdFlags::MFD_CLOEXEC)?;
        above_standard(file).map(TextFile)
    }

    /// A descriptor to write to.
    pub fn fd(&self) -> std::io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Makes it this process's standard error.
    pub fn become_stderr(&self) -> Result<(), Errno> {
        nix::unistd::dup2_stderr(&self.0)
    }

    /// The end of what was written, if anything.
    pub fn tail(&self) -> Option<String> {
        tail_of(self.0.as_fd(), TAIL_MAX)
    }
}

/// Ends the time in which this process's standard error was a [`TextFile`]: what was
/// written goes to `real`, which takes its place.
pub fn restore_stderr(real: OwnedFd) -> Result<(), Errno> {
    let said = tail_of(std::io::stderr().as_fd(), u64::MAX);
    nix::unistd::dup2_stderr(&real)?;
    if let Some(said) = said {
        // Whoever closed it does not want to know.
        let _ = std::io::stderr().write_all(said.as_bytes());
    }
    Ok(())
}

/// This process's standard error, if it has one.
pub fn stderr() -> Option<OwnedFd> {
    std::io::stderr().as_fd().try_clone_to_owned().ok()
}

fn tail_of(file: BorrowedFd<'_>, most: u64) -> Option<String> {
    let len = nix::sys::stat::fstat(file).ok()?.st_size as u64;
    let from = len.saturating_sub(most);
    let mut bytes = vec![0; usize::try_from(len - from).ok()?];
    let from = i64::try_from(from).ok()?;
    let read = again(|| pread(file, &mut bytes, from)).ok()?;
    bytes.truncate(read);
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let file = TextFile::new().expect("memory file");
        assert_eq!(file.tail(), None);
        let mut out = std::fs::File::from(file.fd().expect("descriptor"));
        out.write_all(b"first\n").expect("writes");
        assert_eq!(file.tail().as_deref(), Some("first\n"));
        for line in 0..1000 {
            writeln!(out, "line {line}").expect("writes");
        }
        let tail = file.tail().expect("text");
        assert_eq!(tail.len(), TAIL_MAX as usize);
        assert!(tail.ends_with("line 999\n"));
    }
}
