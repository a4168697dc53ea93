//! Opening what lies below a directory, however long the path to it is.
//!
//! The kernel takes at most 4095 bytes of path in one call. A tree can be
//! deeper than that, so a longer path is walked in steps: each step opens the
//! longest run of whole directories that fits, and the next starts there.
//!
//! ```text
//! root ──"aaaa/…/mmmm" (≤ 4095)──▶ step ──"nnnn/…/zzzz"──▶ the file
//! ```

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::retry_on_intr;

/// The longest path, without its final NUL, that one system call takes.
pub const PATH_BYTES_MAX: usize = 4095;

#[cfg(test)]
thread_local! {
    /// How many bytes of paths this thread has had opened.
    pub static WALKED_BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Opens `path`, which is relative to `root`, with `flags`.
///
/// The last component is never followed if it is a symbolic link: a link is
/// not something this program walks or reads.
pub fn open_below(root: impl AsFd, path: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    #[cfg(test)]
    WALKED_BYTES.set(WALKED_BYTES.get() + path.count_bytes());
    if path.count_bytes() <= PATH_BYTES_MAX {
        return Ok(retry_on_intr(|| openat(&root, path, flags, Mode::empty()))?);
    }
    open_in_steps(root, path.to_bytes(), flags)
}

/// The slow way for a path that is too long for one call.
fn open_in_steps(root: impl AsFd, mut path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let mut step: Option<OwnedFd> = None;
    while path.len() > PATH_BYTES_MAX {
        let Some(slash) = path[..=PATH_BYTES_MAX].iter().rposition(|&b| b == b'/') else {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::NAMETOOLONG.raw_os_error(),
            ));
        };
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let from = step.as_ref().map_or(root.as_fd(), |fd| fd.as_fd());
        let next = retry_on_intr(|| openat(from, &path[..slash], directory, Mode::empty()))?;
        step = Some(next);
        path = &path[slash + 1..];
    }
    let from = step.as_ref().map_or(root.as_fd(), |fd| fd.as_fd());
    Ok(retry_on_intr(|| openat(from, path, flags, Mode::empty()))?)
}
