//! Pipes and sockets: what every system has.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Two ends: what is written to one is read from the other.
pub type Pipe = (OwnedFd, OwnedFd);

/// A pipe: the end to read, the end to write.
pub fn pipe() -> Pipe {
    let mut ends = [0; 2];
    // SAFETY: the call fills in two descriptors, which nobody else owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe");
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// A pair of connected stream sockets.
pub fn socket_pair() -> Pipe {
    let (left, right) = std::os::unix::net::UnixStream::pair().expect("a socket pair");
    (left.into(), right.into())
}

/// Writes all of `bytes`.
pub fn write_all(end: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are borrowed during the call.
        let written = unsafe { libc::write(end.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        assert!(written > 0, "write: {}", std::io::Error::last_os_error());
        bytes = &bytes[written as usize..];
    }
}

/// Fills `bytes`; false at the stream's end.
pub fn read_exact(end: &OwnedFd, bytes: &mut [u8]) -> bool {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the bytes are borrowed during the call.
        let got = unsafe { libc::read(end.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len()) };
        assert!(got >= 0, "read: {}", std::io::Error::last_os_error());
        if got == 0 {
            return false;
        }
        filled += got as usize;
    }
    true
}
