//! The time in which no worker can be started.

use std::time::{Duration, Instant};

use super::backoff::Backoff;

/// How soon after a failed attempt the next may be made because a task was refused.
const WANTED_AFTER: Duration = Duration::from_secs(1);

/// No worker lives, and none could be started for so long that tasks are refused. Now and then it
/// is tried again, with one worker.
///
/// ```text
///   resting ──due, or a task was refused──▶ trying ──a worker has begun──▶ over
///      ▲                                      │
///      └──────── it came to nothing ──────────┘
/// ```
#[derive(Debug)]
pub struct Outage {
    delays: Backoff,
    next: Instant,
    failed_at: Instant,
    is_trying: bool,
    /// The next attempt was brought forward.
    is_hastened: bool,
}

impl Outage {
    /// It begins: the first attempt is made after a while.
    pub fn begin() -> Self {
        let mut outage = Outage {
            delays: Backoff::of_an_outage(),
            next: Instant::now(),
            failed_at: Instant::now(),
            is_trying: false,
            is_hastened: false,
        };
        outage.failed();
        outage
    }

    /// An attempt has come to nothing.
    pub fn failed(&mut self) {
        self.is_trying = false;
        self.is_hastened = false;
        self.failed_at = Instant::now();
        self.next = self.failed_at + self.delays.failed();
    }

    /// If a task was refused, as `is_wanted` says, the next attempt is not put off for long. It is
    /// not asked again before that: else each task that is refused would wake the supervisor.
    pub fn hasten_if(&mut self, is_wanted: impl FnOnce() -> bool) {
        if !self.is_trying && !self.is_hastened && is_wanted() {
            self.is_hastened = true;
            self.next = self.next.min(self.failed_at + WANTED_AFTER);
        }
    }

    /// Whether something may be started now: an attempt goes on, or begins.
    pub fn may_try(&mut self, now: Instant) -> bool {
        self.is_trying |= self.next <= now;
        self.is_trying
    }

    /// When the next attempt begins; `None`: one goes on.
    pub fn next_due(&self) -> Option<Instant> {
        (!self.is_trying).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_made_one_at_a_time_and_wait_longer_and_longer() {
        let mut outage = Outage::begin();
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            let due = outage.next_due().expect("it rests");
            let wait = due.saturating_duration_since(outage.failed_at);
            assert!(wait > last || wait >= Duration::from_secs(9), "{wait:?}");
            assert!(wait <= Duration::from_secs(10), "{wait:?}");
            assert!(!outage.may_try(outage.failed_at));
            assert!(outage.may_try(due) && outage.next_due().is_none());
            assert!(outage.may_try(outage.failed_at), "it goes on");
            outage.failed();
            last = wait;
        }
        outage.hasten_if(|| false);
        outage.hasten_if(|| true);
        outage.hasten_if(|| unreachable!("not asked again"));
        let due = outage.next_due().expect("it rests");
        assert_eq!(due, outage.failed_at + WANTED_AFTER);
    }
}
