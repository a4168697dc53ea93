//! What the supervisor knows of a worker.

use std::time::Instant;

use crate::prim::Death;
use crate::process::WorkerOrder;
use crate::supervise::backoff::Backoff;
use crate::sys::Held;

#[derive(Debug)]
pub(super) enum Life {
    /// Asked for.
    Starting,
    /// Running.
    Alive(Alive),
    /// To be asked for at this time.
    Waiting(Instant),
}

#[derive(Debug)]
pub(super) struct Alive {
    pub(super) pid: i32,
    /// `None`: there was no room for one more descriptor. Then the zygote watches it for us.
    pub(super) pidfd: Option<Held>,
    /// When the descriptor was last asked for.
    pub(super) asked_at: Instant,
    /// If it is to be killed, what for.
    pub(super) sentence: Option<Death>,
    /// It has been seen at work.
    pub(super) has_begun: bool,
    pub(super) begun_by: Instant,
    /// Why it was ended before it had begun.
    pub(super) too_late: Option<String>,
    /// Its zygote is dead.
    pub(super) is_orphan: bool,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) order: WorkerOrder,
    pub(super) life: Life,
    pub(super) backoff: Backoff,
}

impl Worker {
    pub(super) fn alive(&self) -> Option<&Alive> {
        match &self.life {
            Life::Alive(alive) => Some(alive),
            _ => None,
        }
    }

    pub(super) fn alive_mut(&mut self) -> Option<&mut Alive> {
        match &mut self.life {
            Life::Alive(alive) => Some(alive),
            _ => None,
        }
    }
}
