//! Taking note of a child's end.

use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::prim::Death;
use crate::sys::calls::again;

/// How long an ending zygote waits for each killed worker.
pub(super) const LAST_WAIT: Duration = Duration::from_millis(500);

/// How child `pid` has ended, which has.
pub(super) fn reap(pid: i32) -> Death {
    match again(|| waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL))) {
        Ok(WaitStatus::Exited(_, status)) => Death::Exited { status },
        Ok(WaitStatus::Signaled(_, signal, core_dumped)) => Death::Signaled {
            signal: signal as i32,
            core_dumped,
        },
        _ => Death::Unknown,
    }
}
