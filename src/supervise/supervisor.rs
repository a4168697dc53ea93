//! The supervisor's loop.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::layout::Fold;
use crate::prim::Death;
use crate::prim::atomic::Ordering;
use crate::process::{Notice, WorkerOrder, Zygote, ZygoteError};
use crate::sys::fds::Bell;
use crate::sys::{BuildId, pidfd};

use super::backoff::Backoff;

/// Starts in a row that may come to nothing before the fold gives up.
const START_FAILURES_MAX: u32 = 10;
/// How long workers may take to leave when they are told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the zygote may take to report the status of a worker that has ended.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Who is told.
pub trait Events: Send + Sync {
    /// Worker `worker` has ended and was reaped: repair what it left. Its successor
    /// is started after this returns.
    fn worker_ended(&self, worker: u32, death: Death);
    /// No worker can be started any more; nothing will be run from here on.
    fn no_workers(&self, reason: String);
}

/// What others may see and ask.
#[derive(Debug)]
pub struct Commands {
    bell: Bell,
    shared: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    stop: Option<Stop>,
    workers: Vec<WorkerInfo>,
    restarts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Nothing is in flight: let them leave.
    Idle,
    /// Kill them.
    Kill,
}

/// What is known of a worker process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its process number, 0 while it has none.
    pub pid: i32,
    /// How often it was started again.
    pub restarts: u64,
}

impl Commands {
    /// For `workers` workers.
    pub fn new(workers: usize) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Commands {
            bell: Bell::new()?,
            shared: Mutex::new(Told {
                workers: vec![WorkerInfo::default(); workers],
                ..Told::default()
            }),
        }))
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the supervisor and the workers: by letting them leave, or by killing.
    pub fn stop(&self, kill: bool) {
        self.told().stop = Some(if kill { Stop::Kill } else { Stop::Idle });
        self.bell.ring();
    }

    /// What is known of each worker.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.told().workers.clone()
    }

    /// How often any worker was started again.
    pub fn restarts(&self) -> u64 {
        self.told().restarts
    }
}

#[derive(Debug)]
enum Life {
    /// Asked for.
    Starting,
    /// Running.
    Alive { pid: i32, pidfd: OwnedFd },
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
    build: BuildId,
    zygote: Zygote,
    workers: Vec<Worker>,
    commands: Arc<Commands>,
    events: Arc<dyn Events>,
    zygote_failures: Backoff,
    /// Told to stop: the dead are only counted out.
    stopping: bool,
}

impl Supervisor {
    /// Starts the zygote and all workers; returns when each has been forked.
    pub fn start(
        fold: Fold,
        build: BuildId,
        orders: Vec<WorkerOrder>,
        commands: Arc<Commands>,
        events: Arc<dyn Events>,
    ) -> Result<Self, ZygoteError> {
        let zygote = Zygote::start(&fold, &build)?;
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
            build,
            zygote,
            workers,
            commands,
            events,
            zygote_failures: Backoff::default(),
            stopping: false,
        };
        supervisor.spawn_due();
        for _ in 0..supervisor.workers.len() {
            match supervisor.zygote.notice() {
                Notice::NotSpawned { worker: _, reason } => {
                    return Err(ZygoteError::Refused(reason));
                }
                Notice::Closed => return Err(ZygoteError::Silent("it ended")),
                notice => supervisor.hear(notice),
            }
        }
        Ok(supervisor)
    }

    /// Until told to stop, or no worker can be started.
    pub fn run(mut self) {
        loop {
            let stop = self.commands.told().stop;
            if let Some(stop) = stop {
                self.stop(stop);
                return;
            }
            if let Err(reason) = self.turn() {
                tracing::error!(reason, "no worker can be started any more");
                self.kill_all();
                self.events.no_workers(reason);
                self.wait_for_stop();
                return;
            }
        }
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self) -> Result<(), String> {
        self.spawn_due();
        let (socket, ended) = self.wait(self.next_due());
        for worker in ended {
            self.bury(worker, STATUS_TIMEOUT);
        }
        if socket {
            match self.zygote.notice() {
                Notice::Closed => self.new_zygote()?,
                notice => self.hear(notice),
            }
        }
        match self.workers.iter().map(|w| w.backoff.failures()).min() {
            Some(failures) if failures >= START_FAILURES_MAX => Err(format!(
                "workers ended {failures} times in a row before they had begun"
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
        let mut fds = vec![self.commands.bell.as_fd()];
        fds.extend(self.zygote.fd());
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
            self.commands.bell.hush();
        }
        let ended = alive
            .iter()
            .zip(&ready[first..])
            .filter_map(|((i, _), ended)| ended.then_some(*i))
            .collect();
        (first == 2 && ready[1], ended)
    }

    fn next_due(&self) -> Option<Duration> {
        let due = self.workers.iter().filter_map(|w| match w.life {
            Life::Waiting(until) => Some(until),
            _ => None,
        });
        due.min()
            .map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn spawn_due(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            let is_due = matches!(worker.life, Life::Waiting(until) if until <= now);
            if is_due && self.zygote.spawn(worker.order.clone()).is_ok() {
                worker.life = Life::Starting;
            } else if is_due {
                worker.life = Life::Waiting(now + worker.backoff.failed());
            }
        }
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Spawned { worker, pid, pidfd } => {
                tracing::debug!(worker, pid, "worker started");
                if let Some(slot) = self.workers.get_mut(worker as usize) {
                    slot.life = Life::Alive { pid, pidfd };
                    self.commands.told().workers[worker as usize].pid = pid;
                }
            }
            Notice::NotSpawned { worker, reason } => {
                tracing::warn!(worker, reason, "worker not started");
                if let Some(slot) = self.workers.get_mut(worker as usize) {
                    slot.life = Life::Waiting(Instant::now() + slot.backoff.failed());
                }
            }
            Notice::Exited { worker, pid, death } => self.ended(worker, pid, death),
            Notice::Closed => {}
        }
    }

    /// A worker's pidfd says that it has ended: waits for its status.
    fn bury(&mut self, worker: usize, patience: Duration) {
        let give_up = Instant::now() + patience;
        while let Life::Alive { pid, .. } = self.workers[worker].life {
            let left = give_up.saturating_duration_since(Instant::now());
            let fd = self.zygote.fd();
            let told =
                fd.is_some_and(|fd| pidfd::wait_any(&[fd], Some(left)).is_ok_and(|ready| ready[0]));
            if !told && !left.is_zero() {
                continue;
            }
            match told.then(|| self.zygote.notice()) {
                None | Some(Notice::Closed) => {
                    // The zygote is stuck or gone; the death itself is certain.
                    self.ended(worker as u32, pid, Death::Unknown);
                }
                Some(notice) => self.hear(notice),
            }
        }
    }

    fn ended(&mut self, worker: u32, pid: i32, death: Death) {
        let Some(slot) = self.workers.get_mut(worker as usize) else {
            return;
        };
        match slot.life {
            Life::Alive { pid: known, .. } if known == pid => {}
            _ => return, // an old one, reported twice
        }
        if self.stopping {
            slot.life = Life::Starting;
            self.commands.told().workers[worker as usize].pid = 0;
            return;
        }
        let first = (worker * self.fold.plan.shape.threads) as usize;
        // Relaxed: it is dead.
        let status = &self.fold.executors[first].status;
        let had_begun = status.online.load(Ordering::Relaxed) == 1;
        slot.life = if had_begun {
            slot.backoff.succeeded();
            Life::Waiting(Instant::now())
        } else {
            Life::Waiting(Instant::now() + slot.backoff.failed())
        };
        tracing::warn!(worker, pid, %death, "worker ended; it is replaced");
        {
            let mut told = self.commands.told();
            told.restarts += 1;
            told.workers[worker as usize].restarts += 1;
            told.workers[worker as usize].pid = 0;
        }
        self.events.worker_ended(worker, death);
        self.spawn_due();
    }

    /// The zygote has ended, and all workers with it: rescue each, begin anew.
    fn new_zygote(&mut self) -> Result<(), String> {
        tracing::warn!("the zygote has ended; it is replaced");
        for worker in 0..self.workers.len() {
            match &self.workers[worker].life {
                Life::Alive { pid, pidfd } => {
                    let pid = *pid;
                    // The kernel kills it; do not depend on it.
                    let _ = pidfd::kill(pidfd.as_fd());
                    let _ = pidfd::wait_any(&[pidfd.as_fd()], Some(STATUS_TIMEOUT));
                    self.ended(worker as u32, pid, Death::Unknown);
                }
                Life::Starting => self.workers[worker].life = Life::Waiting(Instant::now()),
                Life::Waiting(_) => {}
            }
        }
        loop {
            match Zygote::start(&self.fold, &self.build) {
                Ok(zygote) => {
                    self.zygote = zygote;
                    self.zygote_failures.succeeded();
                    self.spawn_due();
                    return Ok(());
                }
                Err(error) => {
                    let wait = self.zygote_failures.failed();
                    if self.zygote_failures.failures() >= START_FAILURES_MAX {
                        return Err(error.to_string());
                    }
                    let bell = [self.commands.bell.as_fd()];
                    let _ = pidfd::wait_any(&bell, Some(wait));
                    if self.commands.told().stop.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn stop(&mut self, stop: Stop) {
        self.stopping = true;
        self.fold.header.stop();
        self.fold.wake_all();
        if stop == Stop::Kill {
            self.kill_all();
        }
        let give_up = Instant::now() + STOP_TIMEOUT;
        while self
            .workers
            .iter()
            .any(|w| matches!(w.life, Life::Alive { .. }))
        {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!("workers did not leave when told; killing them");
                self.kill_all();
            }
            let (_, ended) = self.wait(Some(left.max(Duration::from_millis(100))));
            for worker in ended {
                // Waits until the zygote has reaped it: no zombie is left behind.
                self.bury(worker, STATUS_TIMEOUT);
            }
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

    fn wait_for_stop(&mut self) {
        loop {
            let stop = self.commands.told().stop;
            if let Some(stop) = stop {
                return self.stop(stop);
            }
            let bell = [self.commands.bell.as_fd()];
            let _ = pidfd::wait_any(&bell, None);
            self.commands.bell.hush();
        }
    }
}
