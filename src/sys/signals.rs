//! Signals of the fold's own processes.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// Asks the kernel to kill this process when the thread that forked it ends.
///
/// In a worker that thread is the zygote's only one, so the usual trap (the
/// notice follows a *thread*) does not bite. Returns false if the parent was
/// gone already, in which case no notice will come.
pub fn die_with_parent(parent: i32) -> bool {
    prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && nix::unistd::getppid().as_raw() == parent
}

/// Undoes what the host's thread may have blocked or ignored: a worker starts
/// with every signal at its default and none blocked.
pub fn reset() -> Result<(), Errno> {
    for one in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGCHLD,
        Signal::SIGHUP,
    ] {
        // SAFETY: installing the default disposition runs no code of ours.
        unsafe { signal(one, SigHandler::SigDfl)? };
    }
    SigSet::empty().thread_set_mask()
}
