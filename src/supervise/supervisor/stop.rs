//! The end of a fold.

use std::time::{Duration, Instant};

use crate::background;
use crate::supervise::commands::Stop;
use crate::supervise::statuses::Statuses;

use super::Supervisor;
use super::nest::Nest;
use super::worker::Worker;

/// How long workers may take to leave when they are told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Ends all processes. To let workers leave may be made more urgent meanwhile.
    pub(super) fn stop(&mut self, mut stop: Stop) {
        self.stopping = true;
        self.fold.header.stop();
        self.fold.wake_all();
        if stop == Stop::Kill {
            self.kill_all();
        }
        let give_up = Instant::now() + STOP_TIMEOUT;
        let is_alive = |w: &Worker| w.alive().is_some();
        // Until the zygote has reaped each: no zombie is left behind.
        while self.workers.iter().any(is_alive) || !self.statuses.is_empty() {
            if stop == Stop::Idle && self.commands.stop_wanted() == Some(Stop::Kill) {
                stop = Stop::Kill;
                self.kill_all();
            }
            if self.has_lost {
                break; // nobody can be seen any more; all end with their zygote
            }
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() && self.workers.iter().any(is_alive) {
                background::log(|| {
                    tracing::warn!("workers did not leave when told; killing them");
                });
                self.kill_all();
            }
            let left = left.max(Duration::from_millis(100));
            match &self.nest {
                // Also of those that ended just before, for whom nobody asked yet.
                Nest::Up(zygote) => self.statuses.ask(zygote),
                _ => self.statuses = Statuses::default(),
            }
            let until_told = self.statuses.next_due();
            let until_told = until_told.map(|at| at.saturating_duration_since(Instant::now()));
            // What must end by now is not waited for as long as the others.
            self.end_all_overdue(Instant::now());
            let next_timer = self.events.next_timer();
            let until_due = next_timer.map(|at| at.saturating_duration_since(Instant::now()));
            let dues = until_told.into_iter().chain(until_due);
            let (is_nest_ready, ended) = self.wait(Some(dues.fold(left, Duration::min)));
            for worker in ended {
                self.gone(worker);
            }
            if is_nest_ready {
                self.hear_nest();
            }
            self.stop_awaiting(Some(Instant::now()));
        }
        // Dropping the zygote ends it.
    }

    fn kill_all(&self) {
        for alive in self.workers.iter().filter_map(Worker::alive) {
            self.nest.kill(alive);
        }
    }
}
