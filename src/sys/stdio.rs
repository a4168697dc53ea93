//! What this process has written and not passed on yet.

use std::io::Write;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// Passes on what is buffered for the standard streams, and for every file of the C library.
/// What cannot be written is lost, as at the end of any program.
pub fn flush() {
    let _ = std::io::stdout().flush();
    // SAFETY: without a stream, all of them are flushed; each has its own lock.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Forgets what is buffered for the standard output: it was written before this process became
/// a zygote, and its workers would each write it again.
pub fn forget() {
    let nowhere = open(
        "/dev/null",
        OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    );
    let (Ok(real), Ok(nowhere)) = (nix::unistd::dup(std::io::stdout()), nowhere) else {
        return;
    };
    if nix::unistd::dup2_stdout(&nowhere).is_ok() {
        flush();
        let _ = nix::unistd::dup2_stdout(&real);
    }
}
