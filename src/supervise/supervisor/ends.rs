//! Workers that have ended.

use std::time::Instant;

use crate::background;
use crate::prim::Death;
use crate::prim::atomic::Ordering;
use crate::supervise::statuses::Expected;
use crate::sys::{pidfd, reap};

use super::Supervisor;
use super::nest::Nest;
use super::worker::{Alive, Life};

impl Supervisor {
    /// A worker's process has ended, by its pidfd: that is enough to repair what it
    /// left and to start another. How it ended is told later.
    pub(super) fn gone(&mut self, worker: usize) {
        self.clear_away(worker);
        if !self.stopping {
            self.spawn_due();
        }
        if let Nest::Up(zygote) = &self.nest {
            self.statuses.ask(zygote);
        }
    }

    fn clear_away(&mut self, worker: usize) {
        let slot = &mut self.workers[worker];
        let alive = match std::mem::replace(&mut slot.life, Life::Starting) {
            Life::Alive(alive) => alive,
            other => {
                slot.life = other;
                return;
            }
        };
        if self.host.ends_programs
            && let Some(pidfd) = alive.pidfd.as_ref().and_then(|held| held.get().ok())
        {
            // The zygote does so too, if it lives.
            pidfd::kill_group(pidfd);
        }
        let number = worker as u32;
        self.commands.set_pid(number, 0);
        #[cfg(feature = "crash-points")]
        {
            slot.order.crash_at = None;
        }
        let first = worker * self.fold.plan.shape.threads as usize;
        let record = &self.fold.executors[first];
        // Relaxed: it is dead. A number that is not true does no harm.
        let keeper = record.status.keeper.swap(0, Ordering::Relaxed) as i32;
        let mut expected = Expected {
            worker: number,
            keeper,
            ..Expected::default()
        };
        if self.stopping {
            self.expect(alive, expected, true);
            return;
        }
        // Relaxed: it is dead.
        let had_begun = record.status.online.load(Ordering::Relaxed) == 1;
        if had_begun {
            slot.backoff.succeeded();
            slot.life = Life::Waiting(Instant::now());
            if !alive.is_orphan {
                self.zygote_failures.succeeded();
                self.is_nest_proved = true;
            }
        } else {
            expected.last_words = record.last_words.read();
            // Until it is told how.
            self.last_failure = match (&alive.too_late, &expected.last_words) {
                (Some(why), _) => why.clone(),
                (None, Some(words)) => format!("said: {}", words.trim_end()),
                (None, None) => "has not said why".into(),
            };
            self.start_failed(worker);
        }
        self.commands.count_restart(number);
        if let Some(hearts) = &mut self.hearts {
            hearts.forget(worker);
        }
        let is_asked_for = self.events.gone(number, alive.pid);
        let pid = alive.pid;
        background::log(move || tracing::warn!(worker, pid, "worker ended; it is replaced"));
        if let Some(death) = alive.sentence {
            self.events.told(alive.pid, death);
        }
        expected.is_failed_start = !had_begun && alive.sentence.is_none();
        expected.is_told = alive.sentence.is_some();
        expected.reason = alive.too_late.clone();
        self.expect(alive, expected, !had_begun || is_asked_for);
    }

    /// How it ended is told by the zygote; if that is dead, by the kernel if this process has
    /// to reap it, or else by nobody.
    fn expect(&mut self, alive: Alive, expected: Expected, is_urgent: bool) {
        let Alive {
            pid,
            pidfd,
            is_orphan,
            ..
        } = alive;
        if is_orphan {
            let death = pidfd.and_then(|pidfd| reap::reap(pidfd.get().ok()?));
            self.tell(pid, expected, death.unwrap_or(Death::Unknown), None);
        } else {
            self.statuses.expect(pid, pidfd, expected, is_urgent);
        }
    }

    pub(super) fn told(&mut self, pid: i32, death: Death, words: Option<String>) {
        if let Some(awaited) = self.statuses.take(pid) {
            self.tell(pid, awaited, death, words);
        }
    }

    fn tell(&mut self, pid: i32, awaited: Expected, death: Death, words: Option<String>) {
        if awaited.is_told {
            return;
        }
        background::detail(move || tracing::debug!(pid, %death, "worker's status"));
        if awaited.is_failed_start {
            let said = words.or(awaited.last_words);
            let mut failure = awaited.reason.unwrap_or_else(|| death.to_string());
            if let Some(said) = said.filter(|said| !said.trim().is_empty()) {
                failure.push_str("; its last words: ");
                failure.push_str(said.trim_end());
            }
            if self.settings.is_checked {
                self.commands.start_failed(awaited.worker, &failure);
            }
            self.last_failure = failure.clone();
            background::log(move || tracing::warn!(pid, failure, "a worker ended at its start"));
        }
        self.events.told(pid, death);
    }

    /// The zygote is stuck or gone; the deaths themselves are certain.
    pub(super) fn stop_awaiting(&mut self, now: Option<Instant>) {
        while let Some((pid, awaited)) = self.statuses.give_up(now) {
            self.tell(pid, awaited, Death::Unknown, None);
        }
    }
}
