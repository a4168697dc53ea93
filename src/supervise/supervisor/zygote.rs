//! The zygote: started, lost, and started again.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::background;
use crate::prim::Death;
use crate::process::{Hatching, Notice, Zygote, ZygoteError};
use crate::sys::pidfd;

use super::nest::Nest;
use super::worker::{Life, Worker};
use super::{ASK_AGAIN, PAUSE, Supervisor};

/// For the number of a process that was never told.
const UNHEARD_OF: i32 = 0;

impl Supervisor {
    /// Waits for a zygote that was started; it finds its first orders when it serves.
    pub(super) fn hatch_with_workers(&mut self, mut hatching: Hatching) -> Result<(), ZygoteError> {
        hatching.introduce(&self.fold, &self.host)?;
        self.order_first(&hatching);
        self.adopt_zygote(hatching.answer()?);
        Ok(())
    }

    fn begin_to_hatch(&self) -> Result<Hatching, ZygoteError> {
        let mut hatching = Hatching::begin(&self.host.surroundings)?;
        hatching.introduce(&self.fold, &self.host)?;
        Ok(hatching)
    }

    /// Starts a zygote if there is none, and it is time for it.
    pub(super) fn see_to_nest(&mut self) {
        let now = Instant::now();
        if let Some(outage) = &mut self.outage {
            outage.hasten_if(|| self.events.is_wanted());
        }
        match &self.nest {
            Nest::Up(_) => {}
            Nest::Hatching(hatching) if now < hatching.until() => {}
            // Too late: what it says says so.
            Nest::Hatching(_) => self.hear_nest(),
            Nest::Down(due) => {
                let is_due = match &mut self.outage {
                    Some(outage) => outage.may_try(now),
                    None => *due <= now,
                };
                if !is_due {
                    return;
                }
                let mut begun = self.begin_to_hatch();
                if begun.as_ref().is_err_and(ZygoteError::is_shortage) && self.reserve.release() {
                    begun = self.begin_to_hatch();
                }
                match begun {
                    Ok(hatching) => self.nest = Nest::Hatching(hatching),
                    Err(error) => self.note_no_zygote(&error),
                }
            }
        }
    }

    /// The nest has something to say.
    pub(super) fn hear_nest(&mut self) {
        match std::mem::replace(&mut self.nest, Nest::Down(Instant::now())) {
            Nest::Up(mut zygote) => {
                let notice = zygote.notice();
                self.nest = Nest::Up(zygote);
                self.hear(notice);
            }
            Nest::Hatching(mut hatching) => match hatching.hear() {
                Ok(true) => self.adopt_zygote(hatching.serves()),
                Ok(false) => self.nest = Nest::Hatching(hatching),
                Err(error) => self.note_no_zygote(&error),
            },
            Nest::Down(due) => self.nest = Nest::Down(due),
        }
    }

    fn adopt_zygote(&mut self, mut zygote: Zygote) {
        zygote.ask_for_spares(self.settings.spares);
        self.is_nest_proved = false;
        self.nest = Nest::Up(zygote);
    }

    fn note_no_zygote(&mut self, error: &ZygoteError) {
        let error = error.to_string();
        self.zygote_failure = error.clone();
        background::log(move || tracing::warn!(error, "the zygote cannot be started"));
        self.nest = Nest::Down(Instant::now() + self.zygote_failures.failed());
        if let Some(outage) = &mut self.outage {
            outage.failed();
        }
        // It may be that it cannot make sense of the segment because that makes none.
        self.events.inspect();
    }

    pub(super) fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Spawned { worker, pid, pidfd } => self.note_spawned(worker, pid, pidfd),
            Notice::NotSpawned { worker, reason } => {
                self.last_failure = format!("could not be forked: {reason}");
                background::log(move || tracing::warn!(worker, reason, "worker not started"));
                self.start_failed(worker as usize);
            }
            Notice::NoSpare { reason } => {
                background::log(move || tracing::warn!(reason, "no spare worker"));
                self.spares_due = Instant::now() + self.spare_failures.failed();
            }
            Notice::Ended { pid } => {
                let is_it = |w: &Worker| w.alive().is_some_and(|alive| alive.pid == pid);
                if let Some(worker) = self.workers.iter().position(is_it) {
                    self.gone(worker);
                }
            }
            Notice::Exited { pid, death, words } => self.told(pid, death, words),
            Notice::Spare => {}
            Notice::Unheard => std::thread::sleep(PAUSE),
            Notice::Closed => self.nest_is_lost(),
        }
    }

    /// Asks once more for descriptors of workers that have not arrived.
    pub(super) fn ask_for_missing(&mut self) {
        let Nest::Up(zygote) = &self.nest else {
            return;
        };
        let now = Instant::now();
        for worker in &mut self.workers {
            if let Some(alive) = worker.alive_mut()
                && alive.pidfd.is_none()
                && alive.asked_at + ASK_AGAIN <= now
            {
                alive.asked_at = now;
                self.reserve.release();
                let _ = zygote.ask_again(alive.pid);
            }
        }
    }

    /// The zygote has ended, and all workers with it: each is rescued, and all begins anew.
    fn nest_is_lost(&mut self) {
        let now = Instant::now();
        self.see_who_has_begun();
        if let Nest::Up(mut zygote) = std::mem::replace(&mut self.nest, Nest::Down(now)) {
            background::log(|| tracing::warn!("the zygote has ended; it is replaced"));
            zygote.bury();
        }
        if self.stopping {
            // Whoever cannot be heard of any more is dead.
            for worker in &mut self.workers {
                if worker.alive().is_some_and(|alive| alive.pidfd.is_none()) {
                    worker.life = Life::Starting;
                }
            }
        }
        if !self.is_nest_proved {
            self.zygote_failure = "the zygote ended before any worker had begun".into();
            self.nest = Nest::Down(now + self.zygote_failures.failed());
        }
        if let Some(outage) = &mut self.outage {
            outage.failed();
        }
        for worker in 0..self.workers.len() {
            match &mut self.workers[worker].life {
                Life::Alive(alive) => {
                    alive.is_orphan = true;
                    // The kernel kills it; do not depend on it. Its descriptor says when it is
                    // dead; where there is none, the lifeline has said so.
                    match &alive.pidfd {
                        Some(pidfd) => drop(pidfd.get().map(pidfd::kill)),
                        None => self.gone(worker),
                    }
                }
                Life::Starting if !self.stopping => {
                    // It may have been forked, and have begun, without our hearing of it.
                    let threads = self.fold.plan.shape.threads as usize;
                    let online = &self.fold.executors[worker * threads].status.online;
                    // Relaxed: it is dead.
                    if online.load(Ordering::Relaxed) == 1 {
                        self.commands.count_restart(worker as u32);
                    }
                    self.events.gone(worker as u32, UNHEARD_OF);
                    self.events.told(UNHEARD_OF, Death::Unknown);
                    self.workers[worker].life = Life::Waiting(now);
                }
                Life::Starting | Life::Waiting(_) => {}
            }
        }
        self.stop_awaiting(None);
    }
}
