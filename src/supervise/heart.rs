//! Whether workers live: judgement over numbers that each of them lets grow.

use std::time::{Duration, Instant};

/// So often a worker beats, and is looked at, within the threshold.
pub const BEATS: u32 = 4;

/// What was heard of each worker.
#[derive(Debug)]
pub struct Hearts {
    threshold: Duration,
    next_look: Instant,
    heard: Vec<Option<Heard>>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    beat: u64,
    /// Since when it has had work and has not beaten.
    since: Instant,
}

impl Hearts {
    /// Of `workers` workers, which are silent after `threshold` without a beat.
    pub fn new(threshold: Duration, workers: usize) -> Self {
        Hearts {
            threshold,
            next_look: Instant::now() + threshold / BEATS,
            heard: vec![None; workers],
        }
    }

    /// When to look.
    pub fn next_look(&self) -> Instant {
        self.next_look
    }

    /// All were looked at.
    pub fn looked(&mut self, now: Instant) {
        self.next_look = now + self.threshold / BEATS;
    }

    /// A new process takes the place of worker `worker`.
    pub fn forget(&mut self, worker: usize) {
        self.heard[worker] = None;
    }

    /// Whether worker `worker`, whose count is `beat` now, has been silent for longer
    /// than the threshold, with work to do all the time.
    pub fn finds_silent(
        &mut self,
        worker: usize,
        beat: u64,
        now: Instant,
        has_work: impl Fn() -> bool,
    ) -> bool {
        let heard = &mut self.heard[worker];
        match heard {
            Some(Heard { beat: last, since }) if *last == beat && has_work() => {
                now.saturating_duration_since(*since) >= self.threshold
            }
            _ => {
                *heard = Some(Heard { beat, since: now });
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_is_who_has_work_and_does_not_beat() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut hearts = Hearts::new(Duration::from_millis(100), 1);
        let busy = || true;
        assert!(!hearts.finds_silent(0, 7, at(0), busy));
        assert!(!hearts.finds_silent(0, 7, at(99), busy));
        assert!(!hearts.finds_silent(0, 8, at(120), busy), "it has beaten");
        assert!(!hearts.finds_silent(0, 8, at(200), busy));
        assert!(
            !hearts.finds_silent(0, 8, at(300), || false),
            "nothing to do"
        );
        assert!(!hearts.finds_silent(0, 8, at(399), busy), "only since 300");
        assert!(hearts.finds_silent(0, 8, at(400), busy));
        hearts.forget(0);
        assert!(!hearts.finds_silent(0, 8, at(500), busy), "another process");
    }
}
