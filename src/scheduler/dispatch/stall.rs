//! Work that lies behind other work, although somebody sleeps.

use std::time::{Duration, Instant};

/// How long work may wait behind a task that was thought to be short.
const WATCH: Duration = Duration::from_millis(20);

/// When to look whether work waits behind a long task while somebody sleeps.
#[derive(Debug, Default)]
pub struct Stall {
    at: Option<Instant>,
    /// Tasks that had ended when it was last decided to look.
    ended_before: u64,
}

impl Stall {
    /// When to look, if somebody is to.
    #[inline]
    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Whether somebody is to look.
    #[inline(always)]
    pub fn is_watched(&self) -> bool {
        self.at.is_some()
    }

    /// Somebody is to look after a while; so many tasks have ended by now.
    pub fn watch(&mut self, ended: u64) {
        self.at = Some(Instant::now() + WATCH);
        self.ended_before = ended;
    }

    /// It is looked now: nobody else is to.
    pub fn stop(&mut self) {
        self.at = None;
    }

    /// Whether no task has ended since it was last decided to look, if so many have by now.
    pub fn is_stuck(&self, ended: u64) -> bool {
        ended == self.ended_before
    }
}
