//! Ending tasks that are past their deadlines, with their workers.

use std::time::Instant;

use crate::background;
use crate::prim::Overdue;
use crate::sys::pidfd;

use super::Supervisor;
use super::worker::Life;

impl Supervisor {
    /// Ends what is past its deadline now, or was before and could not be ended.
    pub(super) fn end_all_overdue(&mut self, now: Instant) {
        let mut all = std::mem::take(&mut self.overdue);
        if self.events.next_timer().is_some_and(|at| at <= now) {
            all.extend(self.events.tick(now));
        }
        for overdue in all {
            self.end_overdue(overdue);
        }
    }

    /// Ends the process of a task that is past its deadline, unless it has ended the
    /// task meanwhile: it is stopped first, then looked at.
    fn end_overdue(&mut self, overdue: Overdue) {
        let Some(worker) = self.workers.get(overdue.worker as usize) else {
            return;
        };
        let alive = match &worker.life {
            Life::Alive(alive) => alive,
            // It runs a task, so it has begun; the zygote's notice of that is on its way,
            // and the next turn is when it is there.
            Life::Starting => {
                self.overdue.push(overdue);
                return;
            }
            Life::Waiting(_) => return, // ended already: its tasks are moved on anyway
        };
        // It was asked for again.
        let (pid, Some(pidfd)) = (alive.pid, &alive.pidfd) else {
            self.overdue.push(overdue);
            return;
        };
        let Ok(pidfd) = pidfd.get() else {
            return; // it is lost with the fold: see `Supervisor::is_lost`
        };
        let stopped = match pidfd::Stopped::stop(pidfd, pid) {
            Ok(stopped) => stopped,
            Err(error) => {
                background::log(move || {
                    tracing::error!(%error, pid, "a worker cannot be stopped");
                });
                return;
            }
        };
        let grace = Some(self.settings.grace).filter(|g| !g.is_zero() && !overdue.was_asked);
        if self.events.strike(&overdue, grace) {
            let worker = overdue.worker;
            background::log(move || {
                tracing::warn!(
                    worker,
                    pid,
                    "a task that must end by now is ended with its worker"
                );
            });
            let sent = match grace {
                Some(_) => pidfd::terminate(pidfd),
                None => pidfd::kill(pidfd),
            };
            if let Err(error) = sent {
                background::log(move || {
                    tracing::error!(%error, pid, "a worker cannot be ended");
                });
            }
        }
        drop(stopped); // goes on, if only to end
    }
}
