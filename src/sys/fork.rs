//! Forking, only from a process with a single thread.

use nix::errno::Errno;
use nix::unistd::{ForkResult, fork};

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// In the new process.
    Child,
    /// In the old one, with the new one's number.
    Parent(i32),
}

/// That this process has one thread only, now and for as long as nobody starts another:
/// who holds this must not.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Looks.
    ///
    /// # Errors
    /// `EBUSY` when the process has more than one thread (a lock held by another
    /// thread would stay locked for ever in a forked child), or why it cannot be seen.
    pub fn prove() -> Result<Self, Errno> {
        // /proc/self/task has one sub-directory per thread, besides `.` and `..`.
        let threads = nix::sys::stat::stat("/proc/self/task").map(|s| s.st_nlink)?;
        if threads > 3 {
            return Err(Errno::EBUSY);
        }
        Ok(SingleThreaded(()))
    }

    /// Forks this process.
    ///
    /// # Errors
    /// What fork(2) reports.
    pub fn fork(&self) -> Result<Forked, Errno> {
        // SAFETY: the only thread is this one, so no lock, allocator state included,
        // can be held by a thread that the child will not have.
        match unsafe { fork()? } {
            ForkResult::Child => Ok(Forked::Child),
            ForkResult::Parent { child } => Ok(Forked::Parent(child.as_raw())),
        }
    }
}

/// What the threads of this process are called, but for the first.
pub fn other_threads() -> Vec<String> {
    let first = std::process::id().to_string();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter(|thread| thread.file_name() != first.as_str())
        .map(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm"));
            name.map_or_else(|_| "?".into(), |name| name.trim_end().to_owned())
        })
        .collect()
}

/// The name that the kernel gave this process when it was started, from its file; threads that
/// were given none have it too.
pub fn started_as() -> String {
    // SAFETY: it reads a table that the kernel has filled.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if path.is_null() {
        return String::new();
    }
    // SAFETY: the kernel has put a path there, with a zero at its end, and it stays.
    let path = unsafe { std::ffi::CStr::from_ptr(path) }.to_string_lossy();
    let name = path.rsplit('/').next().unwrap_or_default();
    String::from_utf8_lossy(&name.as_bytes()[..name.len().min(15)]).into_owned()
}

/// That this process has so many threads only, of which the caller knows what they do.
#[derive(Debug)]
pub struct OnlyThese(());

impl OnlyThese {
    /// Looks; again for a moment if there are more, because a thread that was joined may still
    /// be seen. `None` if there are others, or it cannot be known.
    pub fn prove(threads: u64) -> Option<Self> {
        for _ in 0..50 {
            // As in `SingleThreaded::prove`.
            let seen = nix::sys::stat::stat("/proc/self/task").ok()?.st_nlink;
            if seen <= threads + 2 {
                return Some(OnlyThese(()));
            }
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        None
    }
}

/// Ends this process as `kill -9` does.
#[cfg(feature = "crash-points")]
pub fn kill_self() {
    let me = rustix::process::getpid();
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    // The signal is on its way.
    loop {
        std::hint::spin_loop();
    }
}

/// Ends the process at once, without running exit handlers.
///
/// A forked worker must not run the handlers that the user's program registered
/// for its own end (flushing buffers twice, removing its files).
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(status) }
}
