//! The zygote's process by itself: waited for, ended, reaped.

use std::process::Child;
use std::time::Duration;

use crate::prim::Death;
use crate::sys::{Held, Lifeline, pidfd, reap};

/// How long killed processes may take to end. If one takes longer, it is most likely
/// not a worker, but what a task has forked.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a zygote that has closed its end may take to end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The zygote's process, as its parent knows it. Dropping it ends it.
///
/// It is meant by its pidfd, never by its number: the program may reap any child of this
/// process, and the number is somebody else's then.
#[derive(Debug)]
pub struct Started {
    pidfd: Held,
    pid: i32,
    is_buried: bool,
}

impl Started {
    pub(super) fn new(mut child: Child) -> std::io::Result<Self> {
        let pid = child.id() as i32;
        match pidfd::open(pid) {
            Ok(pidfd) => Ok(Started {
                pidfd: Held::new(pidfd),
                pid,
                is_buried: false,
            }),
            Err(error) => {
                // It was started just now.
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// Waits for its end; false: not within `timeout`.
    pub fn wait(&self, timeout: Duration) -> bool {
        // What cannot be seen any more is not waited for.
        let pidfd = self.pidfd.get();
        self.is_buried || pidfd.map_or(true, |pidfd| pidfd::wait_ended(pidfd, timeout))
    }

    /// Ends and reaps it, and waits until none of its children holds `lifeline` any more.
    pub fn bury(&mut self, lifeline: &Lifeline) {
        if std::mem::replace(&mut self.is_buried, true) {
            return;
        }
        self.end();
        // The kernel has sent each worker its parent death signal by now.
        lifeline.wait(END_TIMEOUT);
        let Ok(pidfd) = self.pidfd.get() else {
            return; // the program has closed it, and may reap what it likes
        };
        if reap::takes_orphans() && reap::is_to_be_reaped(pidfd) {
            // Workers of which it could not tell, keepers, what tasks have started and left: all
            // are of its session, and of nobody's as long as it is not reaped itself.
            let orphans = reap::children_of_session(self.pid);
            reap::end_and_reap(&orphans, END_TIMEOUT);
        }
        let _ = reap::reap(pidfd);
    }

    /// Whether the program has not closed its descriptor.
    pub fn is_ours(&self) -> bool {
        self.is_buried || self.pidfd.is_ours()
    }

    /// How it has ended, if it does soon, and this process is told.
    pub(super) fn ended_how(&self) -> Option<Death> {
        if !self.wait(LEAVE_TIMEOUT) {
            return None;
        }
        reap::reap(self.pidfd.get().ok()?)
    }

    fn end(&self) {
        if let Ok(pidfd) = self.pidfd.get() {
            let _ = pidfd::kill(pidfd);
            pidfd::wait_ended(pidfd, END_TIMEOUT);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.is_buried {
            self.end();
            let _ = self.pidfd.get().map(reap::reap);
        }
    }
}
