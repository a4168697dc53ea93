//! Signals of the fold's own processes.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::Mode;

use super::fds::above_standard;

/// As `linux/fcntl.h` has it.
const F_SETSIG: libc::c_int = 10;

/// Asks the kernel to kill this process when the thread that forked it ends.
///
/// In a worker that thread is the zygote's only one, so the usual trap (the
/// notice follows a *thread*) does not bite. Returns false if the parent was
/// gone already, in which case no notice will come.
///
/// # Errors
/// What prctl(2) reports, in a sandbox: then no notice will come either.
pub fn die_with_parent(parent: i32) -> Result<bool, Errno> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(nix::unistd::getppid().as_raw() == parent)
}

/// Makes this process the leader of a process group of its own.
pub fn lead_group() -> bool {
    let own = nix::unistd::Pid::from_raw(0);
    nix::unistd::setpgid(own, own).is_ok()
}

/// Kills all processes of the group that `leader` leads, which is a child of this process and
/// not reaped: so the number is its own.
pub fn kill_group(leader: i32) {
    let group = nix::unistd::Pid::from_raw(leader);
    let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
}

/// The end of a pipe that `line` is, opened once more, for [`die_with_line`]: whom to tell belongs
/// to the open file, so each process needs its own.
///
/// # Errors
/// What open(2) reports; without /proc it fails.
pub fn open_anew(line: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    above_standard(open(
        format!("/proc/self/fd/{}", line.as_raw_fd()).as_str(),
        OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?)
}

/// Has the kernel kill this process when the other end of the pipe that `own` is, which was
/// [opened](open_anew) for it alone, is closed: when the host has ended, which alone has that end.
/// That goes on when the process becomes another user's, while the [notice of the parent's
/// death](die_with_parent) is dropped then.
///
/// Returns what must stay open for that; `None` if the other end is closed already.
///
/// # Errors
/// The call that was refused.
pub fn die_with_line(own: OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    for (command, value) in [
        (F_SETSIG, libc::SIGKILL),
        (libc::F_SETOWN, nix::unistd::getpid().as_raw()),
        (libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK),
    ] {
        // SAFETY: commands that take a number, on a descriptor of our own.
        Errno::result(unsafe { libc::fcntl(own.as_raw_fd(), command, value) })?;
    }
    // Nobody writes: either there is nothing now, or there is the end.
    let is_open = nix::unistd::read(&own, &mut [0]) == Err(Errno::EAGAIN);
    Ok(is_open.then_some(own))
}

/// Undoes what the host has blocked, ignored or handled, and what a program's first
/// steps have: whoever starts here, and each program that it starts, begins with every
/// signal at its default and none blocked.
///
/// But for one: that nobody reads what is written is an error of the write, as in every
/// Rust program, and no signal. It is handled (by doing nothing) rather than ignored, for
/// what is ignored stays so in a program that is started.
pub fn reset() -> Result<(), Errno> {
    for number in 1..=libc::SIGRTMAX() {
        let action = if number == libc::SIGPIPE {
            nothing as *const () as usize
        } else {
            libc::SIG_DFL
        };
        // SAFETY: all zero is a valid value of this plain struct.
        let mut wanted: libc::sigaction = unsafe { std::mem::zeroed() };
        wanted.sa_sigaction = action;
        wanted.sa_flags = libc::SA_RESTART;
        // SAFETY: the default runs no code of ours, and `nothing` does nothing. Those that
        // nobody may set (SIGKILL, SIGSTOP, the C library's own) are refused, and left.
        unsafe { libc::sigaction(number, &raw const wanted, std::ptr::null_mut()) };
    }
    for number in 32..libc::SIGRTMIN() {
        heed(number);
    }
    SigSet::empty().thread_set_mask()
}

/// Has a signal that the C library keeps for itself at its default, if it is ignored: the
/// library does not let others set it.
fn heed(number: libc::c_int) {
    // The kernel's own layout: the handler first, and then flags, restorer and mask.
    let (mut old, default) = ([0usize; 4], [0usize; 4]);
    let set = |new: *const [usize; 4], old: *mut [usize; 4]| {
        // SAFETY: each is null or as long as the kernel's; the default runs no code.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, new, old, size_of::<u64>()) };
    };
    set(std::ptr::null(), &raw mut old);
    if old[0] == libc::SIG_IGN {
        set(&raw const default, std::ptr::null_mut());
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Makes `call` with every signal blocked that comes from outside, so that a thread which it
/// starts never runs a handler of the program's, nor takes a signal from who waits for it.
///
/// What a thread's own mistakes raise stays unblocked: there is somebody who reports it.
pub fn blocked<T>(call: impl FnOnce() -> T) -> T {
    let mut all = SigSet::all();
    for own in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGSYS,
    ] {
        all.remove(own);
    }
    let before = all.thread_swap_mask(SigmaskHow::SIG_SETMASK).ok();
    let done = call();
    if let Some(before) = before {
        let _ = before.thread_set_mask();
    }
    done
}

/// Makes `call`, which may go beyond the limit of a file's size, and takes back the signal
/// that the kernel then sends to the calling thread.
pub fn without_sigxfsz<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let only = SigSet::from(Signal::SIGXFSZ);
    let before = only.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let done = call();
    if let Ok(before) = before {
        let at_once = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if matches!(done, Err(Errno::EFBIG)) && !before.contains(Signal::SIGXFSZ) {
            let set: *const libc::sigset_t = only.as_ref();
            // SAFETY: a set and a time that outlive the call.
            unsafe { libc::sigtimedwait(set, std::ptr::null_mut(), &raw const at_once) };
        }
        let _ = before.thread_set_mask();
    }
    done
}

/// In bytes.
const SMALL_STACK: usize = 128 << 10;

/// Starts a thread of the library's own. All of them are started here: none of them takes
/// a signal.
pub fn start_thread(
    name: &str,
    life: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.into());
    blocked(|| builder.spawn(life))
}

/// The same of one that needs little of a stack: for address space may be scarce.
pub fn start_small_thread(
    name: &str,
    life: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.into());
    blocked(|| builder.stack_size(SMALL_STACK).spawn(life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_the_library_takes_no_signal_and_its_starter_as_before() {
        let before = SigSet::thread_get_mask().expect("a mask");
        let thread = start_thread("pinfold-test", || {
            let mask = SigSet::thread_get_mask().expect("a mask");
            for signal in [Signal::SIGTERM, Signal::SIGALRM, Signal::SIGUSR1] {
                assert!(mask.contains(signal), "{signal}");
            }
            assert!(!mask.contains(Signal::SIGSEGV));
        });
        thread.expect("starts").join().expect("ends");
        assert_eq!(SigSet::thread_get_mask().expect("a mask"), before);
    }
}
