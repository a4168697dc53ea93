//! What others may see of the supervisor, and ask of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sys::Bell;

use super::counts::LogCounts;

/// Shared by the supervisor, the runtime and the scheduler.
#[derive(Debug)]
pub struct Commands {
    bell: Arc<Bell>,
    logs: LogCounts,
    shared: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    stop: Option<Stop>,
    workers: Vec<WorkerInfo>,
    restarts: u64,
    /// Workers that have ended before they had begun, and how, the first time.
    failed_starts: Vec<(u32, String)>,
}

/// How the workers are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
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
            bell: Arc::new(Bell::new()?),
            logs: LogCounts::default(),
            shared: Mutex::new(Told {
                workers: vec![WorkerInfo::default(); workers],
                ..Told::default()
            }),
        }))
    }

    fn shared(&self) -> MutexGuard<'_, Told> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rung when the supervisor should look around.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// How many log events have come from workers.
    pub fn logs(&self) -> &LogCounts {
        &self.logs
    }

    /// Ends the supervisor and the workers: by letting them leave, or by killing. Who was told to
    /// let them leave may be told to kill them, not the other way round.
    pub fn stop(&self, kill: bool) {
        let mut shared = self.shared();
        if kill {
            shared.stop = Some(Stop::Kill);
        } else {
            shared.stop.get_or_insert(Stop::Idle);
        }
        drop(shared);
        self.bell.ring();
    }

    /// Whether somebody has called `stop`.
    pub fn stop_wanted(&self) -> Option<Stop> {
        self.shared().stop
    }

    /// What is known of each worker.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.shared().workers.clone()
    }

    /// How often any worker was started again.
    pub fn restarts(&self) -> u64 {
        self.shared().restarts
    }

    /// Which workers have ended before they had begun, and how, the first time; the first one
    /// first. Known if it was asked for at the start.
    pub fn failed_starts(&self) -> Vec<(u32, String)> {
        self.shared().failed_starts.clone()
    }

    pub(super) fn start_failed(&self, worker: u32, why: &str) {
        let failed = &mut self.shared().failed_starts;
        if failed.iter().all(|(known, _)| *known != worker) {
            failed.push((worker, why.to_owned()));
        }
    }

    pub(super) fn set_pid(&self, worker: u32, pid: i32) {
        self.shared().workers[worker as usize].pid = pid;
    }

    pub(super) fn count_restart(&self, worker: u32) {
        let mut shared = self.shared();
        shared.restarts += 1;
        shared.workers[worker as usize].restarts += 1;
    }
}
