//! A process that keeps the memory of another while that one is being buried.
//!
//! The kernel takes the memory of a dead process apart *before* it says that the
//! process is dead: some 0.1 ms for a small one, 0.1 s for each GiB. Unless another
//! process has the same memory; then the death is told at once, and the memory goes
//! with the last of them.
//!
//! ```text
//!   zygote ──fork──▶ worker ──clone(CLONE_VM | CLONE_PARENT)──▶ keeper
//!                      │  one memory, each its own signals and descriptors  │
//!                      ✝ told at once                       killed by the zygote
//! ```
//!
//! A keeper runs a few system calls, and then sleeps in the kernel, every signal blocked,
//! until SIGKILL ends it there. It has no descriptors. It touches no data in the memory
//! that it keeps once it sleeps, and before that its own stack only; so what the worker does
//! to that memory cannot make it do anything, and that a worker is dead still means that nobody writes for it any more.
//! Only what the kernel itself was told to write goes on (`io_submit`, see
//! [`Builder::keepers`](crate::Builder::keepers)).

use std::ffi::{c_int, c_void};

use nix::errno::Errno;
use rustix::io::Errno as Interrupted;
use rustix::process::{
    Pid, Signal, Uid, chdir, geteuid, getppid, getuid, set_parent_process_death_signal,
};

use crate::prim::atomic::AtomicU32;

/// Whose processes this one's parent may end, as long as this one has not become somebody
/// else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(Uid, Uid);

impl Owner {
    /// Whose process this is now.
    pub fn now() -> Self {
        Owner(getuid(), geteuid())
    }
}

/// Enough for some system calls in a row, in a build without optimization too.
const STACK_LEN: usize = 32 << 10;

/// Starts a keeper of this process's memory, and has the kernel write its process number
/// to `pid` before it runs. It is a child of this process's parent, who must reap it, and
/// ends with that one at the latest.
///
/// # Errors
/// What clone(2) reports: `EAGAIN` when there may be no more processes; `ENOSYS` where
/// close_range(2) is not allowed; `EPERM` if this is not `owner`'s process any more, so that
/// its parent might not be allowed to end the keeper.
pub fn start(pid: &AtomicU32, owner: Owner) -> Result<(), Errno> {
    if Owner::now() != owner {
        return Err(Errno::EPERM);
    }
    // SAFETY: plain integers; beyond every descriptor there is nothing to close.
    let closes = unsafe { libc::syscall(libc::SYS_close_range, c_int::MAX, c_int::MAX, 0) };
    if closes != 0 {
        // In the keeper it must not fail: that would write this thread's `errno`.
        return Err(Errno::ENOSYS);
    }
    let parent = Pid::as_raw(getppid());
    let stack = vec![0u128; STACK_LEN / size_of::<u128>()].leak();
    let top = stack.as_mut_ptr_range().end;
    // It inherits the mask: no handler of this program ever runs in it.
    let mask = swap_mask(u64::MAX);
    #[cfg(feature = "crash-points")]
    crate::prim::counted::step();
    let flags = libc::CLONE_VM | libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID;
    // SAFETY: the stack is the new process's alone and is never freed; `keep` leaves
    // everything else of the shared memory alone; the kernel writes to `pid`, which is
    // four bytes that may change at any time, before the call returns.
    let started = unsafe {
        libc::clone(
            keep,
            top.cast(),
            flags,
            parent as usize as *mut c_void,
            std::ptr::from_ref(pid).cast_mut().cast::<libc::pid_t>(),
        )
    };
    let started = Errno::result(started);
    swap_mask(mask);
    started.map(drop)
}

/// Blocks these signals for the calling thread, and no others; returns those that were. Also
/// those two that the C library keeps for itself, which it does not let others block.
fn swap_mask(mask: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both are sets of signals of the kernel, of the size that is said.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut old,
            size_of::<u64>(),
        );
    }
    old
}

/// A keeper's life. It has the thread-local variables of the thread that made it, so it
/// uses none: system calls by rustix touch no `errno`, and the one by the C library does
/// so only if it fails, which it was seen not to.
extern "C" fn keep(parent: *mut c_void) -> c_int {
    let dies = set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    if !dies || Pid::as_raw(getppid()) as usize != parent as usize {
        return 0;
    }
    let _ = rustix::thread::set_name(c"pinfold-keeper");
    // Where the worker is may have to be unmounted some day.
    let _ = chdir(c"/");
    // SAFETY: plain integers; its table of descriptors is its own, and nothing here
    // uses one.
    unsafe { libc::syscall(libc::SYS_close_range, 0, c_int::MAX, 0) };
    loop {
        // No descriptor, no time limit, no signal: for ever. A sandbox may not allow it.
        if rustix::event::poll(&mut [], None).is_err_and(|error| error != Interrupted::INTR) {
            return 0;
        }
    }
}
