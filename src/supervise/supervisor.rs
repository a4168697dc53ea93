//! The supervisor's loop.

mod ends;
mod nest;
mod overdue;
mod starts;
mod stop;
mod worker;
mod zygote;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::background;
use crate::layout::Fold;
use crate::prim::atomic::Ordering;
use crate::prim::{Death, Overdue};
use crate::process::{Hatching, Introduction, Notice, WorkerOrder, Zygote, ZygoteError};
use crate::sys::calls::refused;
use crate::sys::{Held, wait_any_of_ours};

use super::backoff::Backoff;
use super::commands::{Commands, Stop};
use super::heart::Hearts;
use super::outage::Outage;
use super::reserve::Reserve;
use super::statuses::Statuses;

use nest::Nest;
use worker::{Life, Worker};

/// How long to pause when the system has no memory even for waiting.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a worker's descriptor is asked for that has not arrived.
const ASK_AGAIN: Duration = Duration::from_millis(500);

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
    /// No worker lives, and none can be started: tasks end with that, and are refused, until
    /// `workers_again`.
    fn no_workers(&self, reason: &str);
    /// A worker could be started again.
    fn workers_again(&self);
    /// Whether a task was refused since this was last asked.
    fn is_wanted(&self) -> bool;
    /// Looks whether the segment is damaged.
    fn inspect(&self);
    /// When `tick` should be called next.
    fn next_timer(&self) -> Option<Instant>;
    /// Does what is due; returns the running tasks that must be ended.
    fn tick(&self, now: Instant) -> Vec<Overdue>;
    /// Whether the task is still being run by its worker, which stands still now. If
    /// so the worker will be ended; with a grace it is only asked to at first.
    fn strike(&self, overdue: &Overdue, grace: Option<Duration>) -> bool;
    /// Whether anything waits for this worker.
    fn has_work(&self, worker: u32) -> bool;
    /// The program has closed descriptors that the fold needs: its tasks end, and another takes
    /// its place.
    fn lost(&self);
    /// Whether the segment is damaged, so that nothing in it can be used any more.
    fn is_condemned(&self) -> bool;
}

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Starts in a row that may come to nothing before tasks are refused.
    pub start_failures_max: u32,
    /// How long a worker may take from its start until it works.
    pub start_limit: Duration,
    /// How long a task that is past its hard deadline may take to end after SIGTERM.
    pub grace: Duration,
    /// How long a worker with work may give no sign of life; `None`: for ever.
    pub heartbeat: Option<Duration>,
    /// Processes that wait to become a worker.
    pub spares: u32,
    /// Somebody waits for the first start of each worker, and wants to hear why it fails.
    pub is_checked: bool,
}

impl Settings {
    /// Whether what a worker says at its first start is kept: usually it begins.
    fn hears_the_first(&self) -> bool {
        self.is_checked || self.start_failures_max == 1
    }
}

/// Why the supervisor's loop has ended. No process of the fold is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// The segment is damaged, or descriptors were lost.
    Condemned,
}

/// The supervisor, before its thread begins and while it runs.
pub struct Supervisor {
    fold: Fold,
    host: Introduction,
    nest: Nest,
    workers: Vec<Worker>,
    statuses: Statuses,
    reserve: Reserve,
    /// Spares that came to nothing, and when to ask for others.
    spare_failures: Backoff,
    spares_due: Instant,
    commands: Arc<Commands>,
    events: Arc<dyn Events>,
    settings: Settings,
    hearts: Option<Hearts>,
    /// Of workers of which it is not known yet that they have begun.
    overdue: Vec<Overdue>,
    /// A worker has begun that comes from the present zygote.
    is_nest_proved: bool,
    /// Zygotes in a row from which no worker has come.
    zygote_failures: Backoff,
    /// Why there was no zygote the last time.
    zygote_failure: String,
    /// How the last worker ended that ended before it had begun.
    last_failure: String,
    /// No worker can be started.
    outage: Option<Outage>,
    /// Told to stop: the dead are only counted out.
    stopping: bool,
    /// Descriptors were lost, as `is_lost` has found.
    has_lost: bool,
}

impl Supervisor {
    /// Nothing is started yet: that begins with [`Supervisor::run`].
    pub fn new(
        fold: Fold,
        host: Introduction,
        orders: Vec<WorkerOrder>,
        settings: Settings,
        commands: Arc<Commands>,
        events: Arc<dyn Events>,
    ) -> Self {
        let now = Instant::now();
        let hearts = settings
            .heartbeat
            .map(|threshold| Hearts::new(threshold, orders.len()));
        let workers = orders
            .into_iter()
            .map(|order| Worker {
                order,
                life: Life::Waiting(now),
                backoff: Backoff::default(),
            })
            .collect();
        Supervisor {
            fold,
            host,
            nest: Nest::Down(now),
            workers,
            statuses: Statuses::default(),
            reserve: Reserve::new(),
            spare_failures: Backoff::default(),
            spares_due: now,
            commands,
            events,
            settings,
            hearts,
            overdue: Vec::new(),
            is_nest_proved: false,
            zygote_failures: Backoff::default(),
            zygote_failure: String::new(),
            last_failure: String::new(),
            outage: None,
            stopping: false,
            has_lost: false,
        }
    }

    /// Starts all workers, by a zygote that is on its way; returns when each has been forked.
    pub fn start(mut self, hatching: Hatching) -> Result<Self, ZygoteError> {
        self.hatch_with_workers(hatching)?;
        let is_alive = |w: &Worker| w.alive().is_some();
        while !self.workers.iter().all(is_alive) {
            self.spawn_due();
            if self.workers.iter().all(is_alive) {
                break;
            }
            match self.nest.notice_within(nest::ANSWER_TIMEOUT) {
                None => return Err(ZygoteError::silent_while("it started workers")),
                Some(Notice::NotSpawned { reason, .. }) => {
                    return Err(ZygoteError::Refused(reason));
                }
                Some(Notice::Closed) => {
                    let error = self.nest.zygote().map(Zygote::error);
                    return Err(error.unwrap_or_else(|| ZygoteError::ended_while("it began")));
                }
                Some(Notice::Spawned { pidfd: None, .. }) => {
                    let error = nix::errno::Errno::EMFILE;
                    return Err(refused("recvmsg", "to hear of a worker's end")(error).into());
                }
                Some(notice) => self.hear(notice),
            }
        }
        // Not later: a program that closes all descriptors does so when it has started.
        self.reserve.refill((*self.commands.bell().ends()).as_ref());
        Ok(self)
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
            if self.has_lost {
                self.events.lost();
                return Ended::Condemned;
            }
            self.turn();
        }
    }

    /// Whether the program has closed a descriptor that this needs, or has something else by
    /// its number: then nothing is known of the processes any more. All of them end when the
    /// zygote's socket is closed.
    fn is_lost(&self) -> bool {
        let alive = self.workers.iter().filter_map(Worker::alive);
        let mut pidfds = alive.filter_map(|alive| alive.pidfd.as_ref());
        self.commands.bell().ends().are_lost()
            || self.fold.segment().fd().is_err()
            || self.nest.is_lost()
            || !pidfds.all(Held::is_ours)
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self) {
        self.reserve.refill((*self.commands.bell().ends()).as_ref());
        self.see_to_nest();
        self.spawn_due();
        self.ask_for_missing();
        match &mut self.nest {
            Nest::Up(zygote) => {
                self.statuses.ask(zygote);
                if self.spares_due <= Instant::now() && self.outage.is_none() {
                    zygote.ask_for_spares(self.settings.spares);
                }
            }
            // Nobody is left who would say how they have ended.
            _ => self.stop_awaiting(None),
        }
        let (is_nest_ready, ended) = self.wait(self.next_due());
        for worker in ended {
            self.gone(worker);
        }
        if is_nest_ready {
            self.hear_nest();
        }
        let now = Instant::now();
        self.stop_awaiting(Some(now));
        self.end_all_overdue(now);
        self.listen_to_hearts(now);
        self.look_at_starts(now);
    }

    /// Waits; says whether the zygote has a notice, and which workers have ended.
    fn wait(&mut self, timeout: Option<Duration>) -> (bool, Vec<usize>) {
        let bell = self.commands.bell().ends();
        let alive: Vec<(usize, &Held)> = self
            .workers
            .iter()
            .enumerate()
            .filter_map(|(i, w)| Some((i, w.alive()?.pidfd.as_ref()?)))
            .collect();
        let mut polled = vec![(*bell).as_ref()];
        polled.extend(self.nest.heard());
        let spares = polled.len();
        if let Nest::Up(zygote) = &self.nest {
            polled.extend(zygote.spares());
        }
        let first = polled.len();
        polled.extend(alive.iter().map(|(_, pidfd)| *pidfd));
        let ready = match wait_any_of_ours(&polled, timeout, || !self.is_lost()) {
            Ok(Some(ready)) => ready,
            Ok(None) => {
                self.has_lost = true;
                return (false, Vec::new());
            }
            Err(error) => {
                background::log(move || tracing::error!(%error, "the supervisor cannot poll"));
                std::thread::sleep(PAUSE);
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
        if let Nest::Up(zygote) = &mut self.nest
            && ready[spares..first].contains(&true)
        {
            zygote.lose_spares(|at| ready[spares + at]);
            self.spares_due = Instant::now() + self.spare_failures.failed();
        }
        (spares == 2 && ready[1], ended)
    }

    fn next_due(&self) -> Option<Duration> {
        let zygote = self.nest.zygote();
        let lacks_spares = zygote.is_some_and(|z| z.lacks_spares(self.settings.spares));
        let due = self
            .next_start()
            .into_iter()
            .chain(self.statuses.next_due().filter(|_| zygote.is_some()))
            .chain((lacks_spares && self.outage.is_none()).then_some(self.spares_due))
            .chain(self.events.next_timer())
            .chain(self.hearts.as_ref().map(Hearts::next_look));
        due.min()
            .map(|until| until.saturating_duration_since(Instant::now()))
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
            let Life::Alive(alive) = &mut worker.life else {
                continue;
            };
            // Relaxed: a plain number of one writer.
            let status = &self.fold.executors[number * threads].status;
            let beat = status.beat.load(Ordering::Relaxed);
            let has_work = || self.events.has_work(number as u32);
            if hearts.finds_silent(number, beat, now, has_work) && alive.sentence.is_none() {
                background::log(move || {
                    tracing::warn!(worker = number, "no sign of life; it is replaced");
                });
                alive.sentence = Some(Death::Unresponsive);
                self.nest.kill(alive);
            }
        }
        hearts.looked(now);
    }
}
