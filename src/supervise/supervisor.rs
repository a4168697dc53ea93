//! The supervisor's loop.

mod overdue;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::layout::Fold;
use crate::prim::atomic::Ordering;
use crate::prim::{Death, Overdue};
use crate::process::{Introduction, Notice, WorkerOrder, Zygote, ZygoteError};
use crate::sys::pidfd;

use super::backoff::Backoff;
use super::commands::{Commands, Stop};
use super::heart::Hearts;
use super::statuses::{Expected, LATER, Statuses};

/// How long workers may take to leave when they are told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a worker may take to end when its zygote is gone.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// For the number of a process that was never told.
const UNHEARD_OF: i32 = 0;
/// How many workers may be asked for at a time.
const STARTING_MAX: usize = 32;
/// When to ask again for a worker, if the order could not be sent.
const SEND_AGAIN: Duration = Duration::from_millis(10);
/// Starts in a row after which a new zygote is not tried any more.
const ZYGOTE_FAILURES_MAX: u32 = 10;

/// Who is told, and who decides.
pub trait Events: Send + Sync {
    /// Worker `worker` is about to be started.
    fn starting(&self, worker: u32);
    /// Process `pid` of worker `worker` has ended: repair what it left. Its
    /// successor is started after this returns. Says whether somebody waits to hear
    /// how it has ended.
    fn gone(&self, worker: u32, pid: i32) -> bool;
    /// How process `pid`, which is gone, has ended.
    fn told(&self, pid: i32, death: Death);
    /// No worker can be started any more; nothing will be run from here on.
    fn no_workers(&self, reason: String);
    /// When `tick` should be called next.
    fn next_timer(&self) -> Option<Instant>;
    /// Does what is due; returns the running tasks that must be ended.
    fn tick(&self, now: Instant) -> Vec<Overdue>;
    /// Whether the task is still being run by its worker, which stands still now. If
    /// so the worker will be ended; with a grace it is only asked to at first.
    fn strike(&self, overdue: &Overdue, grace: Option<Duration>) -> bool;
    /// Whether anything waits for this worker.
    fn has_work(&self, worker: u32) -> bool;
    /// Whether the segment is damaged, so that nothing in it can be used any more.
    fn is_condemned(&self) -> bool;
}

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Starts in a row that may come to nothing before the fold gives up.
    pub start_failures_max: u32,
    /// How long a task that is past its hard deadline may take to end after SIGTERM.
    pub grace: Duration,
    /// How long a worker with work may give no sign of life; `None`: for ever.
    pub heartbeat: Option<Duration>,
    /// Processes that wait to become a worker.
    pub spares: u32,
}

/// Why the supervisor's loop has ended. No process of the fold is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// The segment is damaged.
    Condemned,
}

#[derive(Debug)]
enum Life {
    /// Asked for.
    Starting,
    /// Running; if it is to be killed, what for.
    Alive {
        pid: i32,
        pidfd: OwnedFd,
        sentence: Option<Death>,
    },
    /// To be asked for at this time.
    Waiting(Instant),
}

#[derive(Debug)]
struct Worker {
    order: WorkerOrder,
    life: Life,
    backoff: Backoff,
}

/// The supervisor, before its thread begins and while it runs.
pub struct Supervisor {
    fold: Fold,
    host: Introduction,
    zygote: Zygote,
    workers: Vec<Worker>,
    statuses: Statuses,
    /// Spares that came to nothing, and when to ask for others.
    spare_failures: Backoff,
    spares_due: Instant,
    commands: Arc<Commands>,
    events: Arc<dyn Events>,
    settings: Settings,
    hearts: Option<Hearts>,
    /// Of workers of which it is not known yet that they have begun.
    overdue: Vec<Overdue>,
    zygote_failures: Backoff,
    /// What the last worker said that ended before it had begun.
    last_failure: String,
    /// Told to stop: the dead are only counted out.
    stopping: bool,
}

impl Supervisor {
    /// Starts the zygote and all workers; returns when each has been forked.
    pub fn start(
        fold: Fold,
        host: Introduction,
        orders: Vec<WorkerOrder>,
        settings: Settings,
        commands: Arc<Commands>,
        events: Arc<dyn Events>,
    ) -> Result<Self, ZygoteError> {
        let mut zygote = Zygote::start(&fold, &host)?;
        zygote.ask_for_spares(settings.spares);
        let hearts = settings
            .heartbeat
            .map(|threshold| Hearts::new(threshold, orders.len()));
        let workers = orders
            .into_iter()
            .map(|order| Worker {
                order,
                life: Life::Waiting(Instant::now()),
                backoff: Backoff::default(),
            })
            .collect();
        let mut supervisor = Supervisor {
            fold,
            host,
            zygote,
            workers,
            statuses: Statuses::default(),
            spare_failures: Backoff::default(),
            spares_due: Instant::now(),
            commands,
            events,
            settings,
            hearts,
            overdue: Vec::new(),
            zygote_failures: Backoff::default(),
            last_failure: String::new(),
            stopping: false,
        };
        let is_alive = |w: &Worker| matches!(w.life, Life::Alive { .. });
        while !supervisor.workers.iter().all(is_alive) {
            supervisor.spawn_due();
            if supervisor.workers.iter().all(is_alive) {
                break;
            }
            match supervisor.zygote.notice() {
                Notice::NotSpawned { reason, .. } => return Err(ZygoteError::Refused(reason)),
                Notice::Closed => return Err(supervisor.zygote.error()),
                notice => supervisor.hear(notice),
            }
        }
        Ok(supervisor)
    }

    /// Until told to stop, or the fold must be replaced.
    pub fn run(mut self) -> Ended {
        loop {
            if let Some(stop) = self.commands.stop_wanted() {
                self.stop(stop);
                return Ended::Stopped;
            }
            if self.events.is_condemned() {
                self.stop(Stop::Kill);
                return Ended::Condemned;
            }
            if let Err(reason) = self.turn() {
                tracing::error!(reason, "no worker can be started any more");
                self.kill_all();
                self.events.no_workers(reason);
                // Nobody is left who would be reaped one by one.
                self.zygote.bury();
                let stop = self.commands.wait_for_stop();
                self.stop(stop);
                return Ended::Stopped;
            }
        }
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self) -> Result<(), String> {
        self.spawn_due();
        self.statuses.ask(&self.zygote);
        if self.spares_due <= Instant::now() {
            self.zygote.ask_for_spares(self.settings.spares);
        }
        let (socket, ended) = self.wait(self.next_due());
        for worker in ended {
            self.gone(worker);
        }
        if socket {
            match self.zygote.notice() {
                Notice::Closed => self.new_zygote()?,
                notice => self.hear(notice),
            }
        }
        let now = Instant::now();
        self.stop_awaiting(Some(now));
        self.end_all_overdue(now);
        self.listen_to_hearts(now);
        match self.workers.iter().map(|w| w.backoff.failures()).min() {
            Some(failures) if failures >= self.settings.start_failures_max => Err(format!(
                "workers ended {failures} times in a row before they had begun; the last one {}",
                self.last_failure
            )),
            _ => Ok(()),
        }
    }

    /// Waits; says whether the zygote has a notice, and which workers have ended.
    fn wait(&mut self, timeout: Option<Duration>) -> (bool, Vec<usize>) {
        let alive: Vec<(usize, &OwnedFd)> = self
            .workers
            .iter()
            .enumerate()
            .filter_map(|(i, w)| match &w.life {
                Life::Alive { pidfd, .. } => Some((i, pidfd)),
                _ => None,
            })
            .collect();
        let mut fds = vec![self.commands.bell().as_fd()];
        fds.extend(self.zygote.fd());
        let spares = fds.len();
        fds.extend(self.zygote.spares());
        let first = fds.len();
        fds.extend(alive.iter().map(|(_, pidfd)| pidfd.as_fd()));
        let ready = match pidfd::wait_any(&fds, timeout) {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!(%error, "the supervisor cannot poll");
                std::thread::sleep(Duration::from_millis(100));
                return (false, Vec::new());
            }
        };
        if ready[0] {
            self.commands.bell().hush();
        }
        let ended = alive
            .iter()
            .zip(&ready[first..])
            .filter_map(|((i, _), ended)| ended.then_some(*i))
            .collect();
        if ready[spares..first].contains(&true) {
            self.zygote.lose_spares(|at| ready[spares + at]);
            self.spares_due = Instant::now() + self.spare_failures.failed();
        }
        (spares == 2 && ready[1], ended)
    }

    fn next_due(&self) -> Option<Duration> {
        let starts = self.workers.iter().filter_map(|w| match w.life {
            Life::Waiting(until) => Some(until),
            _ => None,
        });
        let lacks_spares = self.zygote.lacks_spares(self.settings.spares);
        let due = starts
            .chain(self.statuses.next_due())
            .chain(lacks_spares.then_some(self.spares_due))
            .chain(self.events.next_timer())
            .chain(self.hearts.as_ref().map(Hearts::next_look));
        due.min()
            .map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn spawn_due(&mut self) {
        let now = Instant::now();
        let is_starting = |w: &&Worker| matches!(w.life, Life::Starting);
        let mut starting = self.workers.iter().filter(is_starting).count();
        for worker in &mut self.workers {
            // More orders than fit into the socket, while the zygote's answers do not
            // fit either, would block both for ever. The rest comes with the answers.
            if starting >= STARTING_MAX {
                break;
            }
            let is_due = matches!(worker.life, Life::Waiting(until) if until <= now);
            if !is_due {
                continue;
            }
            self.events.starting(worker.order.worker);
            let failures = worker.backoff.failures();
            let capture = failures > 0 || self.settings.start_failures_max == 1;
            worker.order.capture_stderr = capture;
            match self.zygote.spawn(&worker.order) {
                Ok(Some((pid, pidfd))) => {
                    worker.life = Life::Alive {
                        pid,
                        pidfd,
                        sentence: None,
                    };
                    self.commands.set_pid(worker.order.worker, pid);
                    self.spare_failures.succeeded();
                    self.spares_due = now + LATER;
                }
                Ok(None) => {
                    worker.life = Life::Starting;
                    starting += 1;
                }
                // The zygote's failure, not the worker's: its socket says so next.
                Err(_) => worker.life = Life::Waiting(now + SEND_AGAIN),
            }
        }
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Spawned { worker, pid, pidfd } => {
                tracing::debug!(worker, pid, "worker started");
                if let Some(slot) = self.workers.get_mut(worker as usize) {
                    slot.life = Life::Alive {
                        pid,
                        pidfd,
                        sentence: None,
                    };
                    self.commands.set_pid(worker, pid);
                }
            }
            Notice::NotSpawned { worker, reason } => {
                tracing::warn!(worker, reason, "worker not started");
                if let Some(slot) = self.workers.get_mut(worker as usize) {
                    slot.life = Life::Waiting(Instant::now() + slot.backoff.failed());
                    self.last_failure = format!("could not be forked: {reason}");
                }
            }
            Notice::NoSpare { reason } => {
                tracing::warn!(reason, "no spare worker");
                self.spares_due = Instant::now() + self.spare_failures.failed();
            }
            Notice::Exited { pid, death, words } => self.told(pid, death, words),
            Notice::Spare | Notice::Closed => {}
        }
    }

    /// A worker's process has ended, by its pidfd: that is enough to repair what it
    /// left and to start another. How it ended is told later.
    fn gone(&mut self, worker: usize) {
        self.clear_away(worker);
        if !self.stopping {
            self.spawn_due();
        }
        self.statuses.ask(&self.zygote);
    }

    fn clear_away(&mut self, worker: usize) {
        let slot = &mut self.workers[worker];
        let life = std::mem::replace(&mut slot.life, Life::Starting);
        let Life::Alive {
            pid,
            pidfd,
            sentence,
        } = life
        else {
            slot.life = life;
            return;
        };
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
        if self.stopping {
            let expected = Expected {
                keeper,
                ..Expected::default()
            };
            self.statuses.expect(pid, pidfd, expected, true);
            return;
        }
        // Relaxed: it is dead.
        let had_begun = record.status.online.load(Ordering::Relaxed) == 1;
        slot.life = if had_begun {
            slot.backoff.succeeded();
            Life::Waiting(Instant::now())
        } else {
            if let Some(words) = record.last_words.read() {
                self.last_failure = words;
            }
            Life::Waiting(Instant::now() + slot.backoff.failed())
        };
        self.commands.count_restart(number);
        if let Some(hearts) = &mut self.hearts {
            hearts.forget(worker);
        }
        let is_asked_for = self.events.gone(number, pid);
        tracing::warn!(worker, pid, "worker ended; it is replaced");
        if let Some(death) = sentence {
            self.events.told(pid, death);
        }
        let expected = Expected {
            is_failed_start: !had_begun && sentence.is_none(),
            is_told: sentence.is_some(),
            keeper,
        };
        let is_urgent = !had_begun || is_asked_for;
        self.statuses.expect(pid, pidfd, expected, is_urgent);
    }

    fn told(&mut self, pid: i32, death: Death, words: Option<String>) {
        if let Some(awaited) = self.statuses.take(pid) {
            self.tell(pid, awaited, death, words);
        }
    }

    fn tell(&mut self, pid: i32, awaited: Expected, death: Death, words: Option<String>) {
        if awaited.is_told {
            return;
        }
        tracing::debug!(pid, %death, "worker's status");
        if awaited.is_failed_start {
            let said = words.unwrap_or_else(|| std::mem::take(&mut self.last_failure));
            self.last_failure = death.to_string();
            if !said.is_empty() {
                self.last_failure.push_str("; its last words: ");
                self.last_failure.push_str(said.trim_end());
            }
            tracing::warn!(
                pid,
                failure = self.last_failure,
                "a worker ended at its start"
            );
        }
        self.events.told(pid, death);
    }

    /// The zygote is stuck or gone; the deaths themselves are certain.
    fn stop_awaiting(&mut self, now: Option<Instant>) {
        while let Some((pid, awaited)) = self.statuses.give_up(now) {
            self.tell(pid, awaited, Death::Unknown, None);
        }
    }

    /// The zygote has ended, and all workers with it: rescue each, begin anew.
    fn new_zygote(&mut self) -> Result<(), String> {
        tracing::warn!("the zygote has ended; it is replaced");
        self.zygote.bury();
        for worker in 0..self.workers.len() {
            match &self.workers[worker].life {
                Life::Alive { pidfd, .. } => {
                    // The kernel kills it; do not depend on it.
                    let _ = pidfd::kill(pidfd.as_fd());
                    let _ = pidfd::wait_any(&[pidfd.as_fd()], Some(END_TIMEOUT));
                    self.clear_away(worker);
                }
                Life::Starting => {
                    // It may have been forked, and have begun, without our hearing of it.
                    self.events.gone(worker as u32, UNHEARD_OF);
                    self.events.told(UNHEARD_OF, Death::Unknown);
                    self.workers[worker].life = Life::Waiting(Instant::now());
                }
                Life::Waiting(_) => {}
            }
        }
        self.stop_awaiting(None);
        loop {
            match Zygote::start(&self.fold, &self.host) {
                Ok(mut zygote) => {
                    zygote.ask_for_spares(self.settings.spares);
                    self.zygote = zygote;
                    self.zygote_failures.succeeded();
                    self.spawn_due();
                    return Ok(());
                }
                Err(error) => {
                    let wait = self.zygote_failures.failed();
                    if self.zygote_failures.failures() >= ZYGOTE_FAILURES_MAX {
                        return Err(error.to_string());
                    }
                    let bell = [self.commands.bell().as_fd()];
                    let _ = pidfd::wait_any(&bell, Some(wait));
                    if self.commands.stop_wanted().is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn listen_to_hearts(&mut self, now: Instant) {
        let Some(hearts) = &mut self.hearts else {
            return;
        };
        if now < hearts.next_look() {
            return;
        }
        let threads = self.fold.plan.shape.threads as usize;
        for (number, worker) in self.workers.iter_mut().enumerate() {
            let Life::Alive {
                pidfd, sentence, ..
            } = &mut worker.life
            else {
                continue;
            };
            // Relaxed: a plain number of one writer.
            let status = &self.fold.executors[number * threads].status;
            let beat = status.beat.load(Ordering::Relaxed);
            let has_work = || self.events.has_work(number as u32);
            if hearts.is_silent(number, beat, now, has_work) && sentence.is_none() {
                tracing::warn!(worker = number, "no sign of life; it is replaced");
                *sentence = Some(Death::Unresponsive);
                let _ = pidfd::kill(pidfd.as_fd());
            }
        }
        hearts.looked(now);
    }

    fn stop(&mut self, stop: Stop) {
        self.stopping = true;
        self.fold.header.stop();
        self.fold.wake_all();
        if stop == Stop::Kill {
            self.kill_all();
        }
        let give_up = Instant::now() + STOP_TIMEOUT;
        let is_alive = |w: &Worker| matches!(w.life, Life::Alive { .. });
        // Until the zygote has reaped each: no zombie is left behind.
        while self.workers.iter().any(is_alive) || !self.statuses.is_empty() {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() && self.workers.iter().any(is_alive) {
                tracing::warn!("workers did not leave when told; killing them");
                self.kill_all();
            }
            let left = left.max(Duration::from_millis(100));
            // Also of those that ended just before, for whom nobody asked yet.
            self.statuses.ask(&self.zygote);
            let until_told = self.statuses.next_due();
            let until_told = until_told.map(|at| at.saturating_duration_since(Instant::now()));
            // What must end by now is not waited for as long as the others.
            self.end_all_overdue(Instant::now());
            let next_timer = self.events.next_timer();
            let until_due = next_timer.map(|at| at.saturating_duration_since(Instant::now()));
            let dues = until_told.into_iter().chain(until_due);
            let (socket, ended) = self.wait(Some(dues.fold(left, Duration::min)));
            for worker in ended {
                self.gone(worker);
            }
            if socket {
                match self.zygote.notice() {
                    Notice::Closed => self.zygote.close(),
                    notice => self.hear(notice),
                }
            }
            if self.zygote.fd().is_none() {
                self.statuses = Statuses::default();
            }
            self.stop_awaiting(Some(Instant::now()));
        }
        // Dropping the zygote ends it.
    }

    fn kill_all(&self) {
        for worker in &self.workers {
            if let Life::Alive { pidfd, .. } = &worker.life
                && let Err(error) = pidfd::kill(pidfd.as_fd())
            {
                tracing::error!(%error, "a worker cannot be killed");
            }
        }
    }
}
