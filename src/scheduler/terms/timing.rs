//! When a task must have begun and ended, and when it did.

use std::time::{Duration, Instant};

/// A hard deadline that a task was submitted with.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// How long after it is queued.
    pub limit: Duration,
    /// It came while the task was running: there is no other attempt.
    pub has_come: bool,
}

/// When a timed task waits and runs.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// When its present attempt was queued.
    pub queued: Instant,
    /// When that has begun, once the host has looked.
    pub began: Option<Instant>,
    /// How long each attempt may run.
    pub limit: Option<Duration>,
    /// It has run for longer: it is ended, or about to be.
    pub is_over: bool,
    /// When it is killed, if it does not end before.
    pub grace_ends: Option<Instant>,
    /// Whether it is among those that are looked at.
    pub is_watched: bool,
    /// Its attempt has ended, and is among what was tried: there is no present one.
    pub is_told: bool,
}

/// How long an attempt has waited, and how long it has run, if it has begun; as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub waited: Option<Duration>,
    pub ran: Option<Duration>,
}

impl Timing {
    /// Of a task that was not queued yet.
    pub fn new(limit: Option<Duration>) -> Self {
        Timing {
            queued: Instant::now(),
            began: None,
            limit,
            is_over: false,
            grace_ends: None,
            is_watched: false,
            is_told: false,
        }
    }
}
