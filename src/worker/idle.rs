//! Having nothing to do: spin a little when a CPU is free for it, then sleep.

use std::time::{Duration, Instant};

use crate::prim::atomic::Ordering;

use super::executor::Executor;
use super::nest::Nest;

/// How long to spin before sleeping. A wake costs the waker 13 µs and the sleeper
/// 40 µs, so it pays to wait about as long for work to come.
const SPIN: Duration = Duration::from_micros(50);

/// How long an executor sleeps at most while others are awake: one of them may
/// have taken a batch whose first task turns out to be long. Doubles each time.
const NAP_MIN: Duration = Duration::from_millis(10);
const NAP_MAX: Duration = Duration::from_secs(1);

/// Grows while nothing is found.
#[derive(Debug)]
pub struct Patience {
    nap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { nap: NAP_MIN }
    }
}

impl Executor {
    /// Returns when there may be something to do, or the fold stops.
    pub(super) fn idle(&mut self, patience: &mut Patience, nest: &Nest) {
        self.fold.crowd.seek(self.me.0);
        if self.spin() {
            return;
        }
        self.sleep(patience, nest);
    }

    /// True when something was glimpsed. Spins with `yield` in between, so that
    /// whoever should run on this CPU does.
    fn spin(&self) -> bool {
        // Of several that find nothing, one spins when CPUs are scarce: the host
        // needs one too.
        let scarce = self.is_scarce();
        if scarce && self.fold.crowd.searching.count() > 1 {
            return self.glimpse();
        }
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if self.glimpse() || self.fold.header.is_stopping() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= SPIN {
                return false;
            }
            if scarce {
                std::thread::yield_now();
            }
        }
    }

    fn sleep(&mut self, patience: &mut Patience, nest: &Nest) {
        let me = self.me.0;
        let record = &self.fold.executors[me as usize];
        let key = self.fold.crowd.lie_down(me, &record.bell);
        if self.look() || nest.is_untidy() || self.fold.header.is_stopping() {
            record.bell.cancel();
        } else {
            // Relaxed: a counter with one writer.
            let sleeps = record.status.sleeps.load(Ordering::Relaxed);
            record.status.sleeps.store(sleeps + 1, Ordering::Relaxed);
            record.bell.wait(key, self.nap(patience));
        }
        self.fold.crowd.get_up(me);
    }

    /// For ever when all others sleep too, else for a while.
    fn nap(&self, patience: &mut Patience) -> Option<Instant> {
        let alone = self.victims.iter().all(|(victim, _)| {
            // Relaxed: if it is wrong, one nap is too long or one too many.
            let online = &self.fold.executors[*victim].status.online;
            self.fold.crowd.sleeping.contains(*victim as u32) || online.load(Ordering::Relaxed) != 1
        });
        if alone {
            return None;
        }
        let until = Instant::now() + patience.nap;
        patience.nap = (patience.nap * 2).min(NAP_MAX);
        Some(until)
    }
}
