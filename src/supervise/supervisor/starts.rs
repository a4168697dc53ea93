//! Starting workers: when, how often, until when each must be at work, and what becomes of the
//! tasks if none can be started.
//!
//! A worker's starts that come to nothing are counted, and each is waited for longer. At the bound
//! a worker is not tried any more while others may still begin. If none does, all have come to
//! rest: nobody runs anything, so nothing is taken from anybody by ending all tasks with
//! `NoWorkers`. From then on one worker at a time is tried ([`Outage`]), until one works.

use std::time::{Duration, Instant};

use crate::background;
use crate::prim::atomic::Ordering;
use crate::process::Hatching;
use crate::supervise::backoff::Backoff;
use crate::supervise::outage::Outage;
use crate::supervise::statuses::LATER;
use crate::sys::{Held, pidfd};

use super::nest::Nest;
use super::worker::{Alive, Life, Worker};
use super::{ASK_AGAIN, Supervisor};

/// When to look again what cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How many workers may be asked for at a time: more orders than fit into the socket, while
/// the zygote's answers do not fit either, would block both for ever.
const STARTING_MAX: usize = 32;
/// When to ask again for a worker, if the order could not be sent.
const SEND_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

impl Supervisor {
    /// Which workers may be started, whenever they are due.
    fn may_start(&self) -> impl Fn(&Worker) -> bool + use<> {
        let is_at_work = |w: &Worker| w.alive().is_some_and(|alive| alive.has_begun);
        let is_any_at_work = self.workers.iter().any(is_at_work);
        let is_outage = self.outage.is_some();
        let most = self.settings.start_failures_max;
        move |worker| is_any_at_work || is_outage || worker.backoff.failures() < most
    }

    /// Orders the first workers from a zygote that does not serve yet. What it has no room for is
    /// ordered when it does.
    pub(super) fn order_first(&mut self, hatching: &Hatching) {
        for worker in self.workers.iter_mut().take(STARTING_MAX) {
            self.events.starting(worker.order.worker);
            worker.order.capture_stderr = self.settings.hears_the_first();
            if !hatching.order(&worker.order) {
                return;
            }
            worker.life = Life::Starting;
        }
    }

    pub(super) fn spawn_due(&mut self) {
        let now = Instant::now();
        let is_resting = |w: &Worker| matches!(w.life, Life::Waiting(_));
        let starting = |w: &&Worker| matches!(w.life, Life::Starting);
        let mut room = STARTING_MAX.saturating_sub(self.workers.iter().filter(starting).count());
        let is_outage = self.outage.is_some();
        if let Some(outage) = &mut self.outage {
            // One, when nobody else is on the way.
            if !self.workers.iter().all(is_resting) || !outage.may_try(now) {
                return;
            }
            room = 1;
        }
        let may_start = self.may_start();
        let Nest::Up(zygote) = &mut self.nest else {
            return;
        };
        for worker in &mut self.workers {
            if room == 0 {
                break;
            }
            let is_due = matches!(worker.life, Life::Waiting(until) if until <= now);
            if !(is_due || is_outage) || !may_start(worker) {
                continue;
            }
            let number = worker.order.worker;
            self.events.starting(number);
            let failures = worker.backoff.failures();
            let capture = failures > 0 || self.settings.hears_the_first() || is_outage;
            worker.order.capture_stderr = capture;
            room -= 1;
            match zygote.spawn(&worker.order) {
                Ok(Some((pid, pidfd))) => {
                    let begun_by = now + self.settings.start_limit;
                    worker.life = Life::Alive(Alive::new(pid, Some(pidfd), begun_by));
                    self.commands.set_pid(number, pid);
                    self.spare_failures.succeeded();
                    self.spares_due = now + LATER;
                }
                Ok(None) => worker.life = Life::Starting,
                // The zygote's failure, not the worker's: its socket says so next.
                Err(_) => worker.life = Life::Waiting(now + SEND_AGAIN),
            }
        }
    }

    pub(super) fn note_spawned(&mut self, worker: u32, pid: i32, pidfd: Option<Held>) {
        background::detail(move || tracing::debug!(worker, pid, "worker started"));
        let begun_by = Instant::now() + self.settings.start_limit;
        let Some(slot) = self.workers.get_mut(worker as usize) else {
            return;
        };
        let has_descriptor = pidfd.is_some();
        match &mut slot.life {
            // The descriptor that was asked for again.
            Life::Alive(alive) if alive.pid == pid => {
                alive.pidfd = alive.pidfd.take().or(pidfd);
                return;
            }
            Life::Starting => slot.life = Life::Alive(Alive::new(pid, pidfd, begun_by)),
            // It has ended meanwhile.
            _ => return,
        }
        self.commands.set_pid(worker, pid);
        if !has_descriptor {
            background::log(move || {
                tracing::warn!(
                    worker,
                    "no room for a worker's descriptor; the zygote watches it"
                );
            });
            self.reserve.release();
            if let Nest::Up(zygote) = &self.nest {
                let _ = zygote.ask_again(pid);
            }
        }
    }

    /// A worker's start has come to nothing.
    pub(super) fn start_failed(&mut self, worker: usize) {
        let now = Instant::now();
        if let Some(slot) = self.workers.get_mut(worker) {
            slot.life = Life::Waiting(now + slot.backoff.failed());
        }
        if let Some(outage) = &mut self.outage {
            outage.failed();
        }
    }

    /// Sees which workers have begun, and which have had enough time for it.
    pub(super) fn look_at_starts(&mut self, now: Instant) {
        self.see_who_has_begun();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            let Some(alive) = worker.alive_mut() else {
                continue;
            };
            if alive.has_begun || alive.begun_by > now || alive.too_late.is_some() {
                continue;
            }
            let limit = self.settings.start_limit;
            background::log(move || {
                tracing::warn!(
                    worker = number,
                    "a worker takes too long to begin; it is replaced"
                );
            });
            // It must not begin just before it dies: so it stands still and is looked at first.
            let pidfd = alive.pidfd.as_ref().and_then(|pidfd| pidfd.get().ok());
            let stopped = pidfd.and_then(|pidfd| pidfd::Stopped::stop(pidfd, alive.pid).ok());
            let threads = self.fold.plan.shape.threads as usize;
            let online = &self.fold.executors[number * threads].status.online;
            // ordering: Acquire, as in `see_who_has_begun`.
            if online.load(Ordering::Acquire) != 1 {
                self.nest.kill(alive);
                drop(stopped);
                alive.too_late = Some(format!(
                    "had not begun to work within {limit:?} and was killed: `worker_init` hangs, or `worker_init_timeout` is too short"
                ));
            }
        }
        self.see_whether_any_can_be_started();
    }

    /// Sees which workers have begun.
    pub(super) fn see_who_has_begun(&mut self) {
        let threads = self.fold.plan.shape.threads as usize;
        for (number, worker) in self.workers.iter_mut().enumerate() {
            let Life::Alive(alive) = &mut worker.life else {
                continue;
            };
            // ordering: Acquire pairs with the executor's Release; what is told by it is that
            // nothing of what came before has failed.
            let online = &self.fold.executors[number * threads].status.online;
            if !alive.has_begun && online.load(Ordering::Acquire) == 1 {
                alive.has_begun = true;
                worker.backoff.succeeded();
                if !alive.is_orphan {
                    self.zygote_failures.succeeded();
                    self.is_nest_proved = true;
                }
            }
        }
    }

    /// Ends all tasks if no worker can be started, and takes new ones when one has begun.
    fn see_whether_any_can_be_started(&mut self) {
        if self.outage.is_some() {
            let is_at_work = |w: &Worker| w.alive().is_some_and(|alive| alive.has_begun);
            if self.workers.iter().any(is_at_work) {
                background::log(|| tracing::info!("workers can be started again"));
                self.outage = None;
                let now = Instant::now();
                for worker in &mut self.workers {
                    worker.backoff = Backoff::default();
                    if let Life::Waiting(until) = &mut worker.life {
                        *until = now;
                    }
                }
                self.events.workers_again();
            }
        } else if let Some(reason) = self.why_hopeless() {
            let why = reason.clone();
            background::log(move || {
                tracing::error!(reason = why, "no worker can be started; tasks are refused");
            });
            self.outage = Some(Outage::begin());
            self.stop_awaiting(None);
            self.events.no_workers(&reason);
        }
    }

    /// Why no worker will begin soon; `None` if one may.
    fn why_hopeless(&self) -> Option<String> {
        let most = self.settings.start_failures_max;
        let is_resting = |w: &Worker| matches!(w.life, Life::Waiting(_));
        // What the last one said comes in a moment.
        if !self.workers.iter().all(is_resting) || self.statuses.is_about_a_start() {
            return None;
        }
        if matches!(self.nest, Nest::Down(_)) && self.zygote_failures.failures() >= most {
            return Some(self.zygote_failure.clone());
        }
        let failures = self.workers.iter().map(|w| w.backoff.failures()).min()?;
        (failures >= most).then(|| {
            let last = &self.last_failure;
            format!(
                "workers ended {failures} times in a row before they had begun; the last one {last}"
            )
        })
    }

    /// When there is something to do about starts.
    pub(super) fn next_start(&self) -> Option<Instant> {
        let now = Instant::now();
        let may_start = self.may_start();
        let is_up = matches!(self.nest, Nest::Up(_));
        let mut due: Option<Instant> = match (&self.nest, &self.outage) {
            (Nest::Hatching(hatching), _) => Some(hatching.until()),
            (_, Some(outage)) => outage.next_due(),
            (Nest::Down(at), None) => Some(*at),
            (Nest::Up(_), None) => None,
        };
        let mut sooner = |at: Instant| due = Some(due.map_or(at, |due| due.min(at)));
        let starting = |w: &&Worker| matches!(w.life, Life::Starting);
        let is_full = self.workers.iter().filter(starting).count() >= STARTING_MAX;
        let is_any_held = self.workers.iter().any(|worker| !may_start(worker));
        for worker in &self.workers {
            match &worker.life {
                Life::Waiting(at) if is_up && self.outage.is_none() => {
                    if !is_full && may_start(worker) {
                        sooner(*at);
                    }
                }
                Life::Alive(alive) => {
                    if !alive.has_begun && alive.too_late.is_none() {
                        sooner(alive.begun_by);
                        // Somebody's start waits for this one's, and nobody rings when it begins.
                        if is_any_held || self.outage.is_some() {
                            sooner(now + LOOK_AGAIN);
                        }
                    }
                    if alive.pidfd.is_none() && is_up {
                        sooner(alive.asked_at + ASK_AGAIN);
                    }
                }
                Life::Waiting(_) | Life::Starting => {}
            }
        }
        due
    }
}

impl Alive {
    fn new(pid: i32, pidfd: Option<Held>, begun_by: Instant) -> Self {
        Alive {
            pid,
            pidfd,
            asked_at: Instant::now(),
            sentence: None,
            has_begun: false,
            begun_by,
            too_late: None,
            is_orphan: false,
        }
    }
}
