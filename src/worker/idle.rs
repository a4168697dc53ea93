//! Having nothing to do: spin a little when a CPU is free for it, then sleep.

use std::time::{Duration, Instant};

use crate::prim::ExecutorId;
use crate::prim::atomic::Ordering;

use super::executor::Executor;
use super::nest::Nest;

/// How long to spin before sleeping. A wake costs the waker 13 µs and the sleeper
/// 40 µs, so it pays to wait about as long for work to come.
pub(super) const SPIN: Duration = Duration::from_micros(50);

/// Who was so often in the host's way without having slept leaves it.
const IN_THE_WAY: u32 = 4;

/// Who finds nothing for so long has nothing to do. A submitter is often just ahead.
const PAUSE: Duration = Duration::from_micros(4);

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
    fn spin(&mut self) -> bool {
        let mut is_in_the_way = false;
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
            let waited = start.elapsed();
            if waited >= SPIN {
                return false;
            }
            if waited >= PAUSE {
                self.ring_at_last();
            }
            if scarce {
                if !is_in_the_way && self.is_host_here() {
                    is_in_the_way = true;
                    self.in_the_way += 1;
                    if self.in_the_way >= IN_THE_WAY && self.is_replaced() {
                        return self.glimpse();
                    }
                }
                std::thread::yield_now();
            }
        }
    }

    /// Whether the host looks for a result on this very CPU.
    fn is_host_here(&self) -> bool {
        // Relaxed: as in `is_replaced`.
        let cpu = self.record().status.cpu.load(Ordering::Relaxed);
        cpu > 0 && self.fold.header.is_spun_on(cpu as u32 - 1)
    }

    /// If the host looks for one result after the other on this very CPU, each waits for
    /// the other to yield, some 10 µs a task: has somebody who sleeps look elsewhere
    /// instead.
    fn is_replaced(&self) -> bool {
        let cpu_of = |executor: usize| {
            // Relaxed: a plain number of one writer.
            let cpu = self.fold.executors[executor]
                .status
                .cpu
                .load(Ordering::Relaxed);
            cpu.checked_sub(1)
        };
        let own = cpu_of(self.number());
        let crowd = &self.fold.crowd;
        let mut others = self.victims.iter().map(|(victim, _)| *victim);
        let sleeper =
            others.find(|other| crowd.sleeping.contains(*other as u32) && cpu_of(*other) != own);
        sleeper.is_some_and(|sleeper| self.fold.wake_sleeper(ExecutorId(sleeper as u32)))
    }

    fn sleep(&mut self, patience: &mut Patience, nest: &Nest) {
        self.in_the_way = 0;
        self.ring_at_last();
        self.find_keeper();
        let me = self.me.0;
        let record = &self.fold.executors[me as usize];
        let key = self.fold.crowd.lie_down(me, &record.bell);
        if !(self.look() || nest.is_untidy() || self.fold.header.is_stopping()) {
            // Relaxed: a counter with one writer.
            let sleeps = record.status.sleeps.load(Ordering::Relaxed);
            record.status.sleeps.store(sleeps + 1, Ordering::Relaxed);
            record.bell.wait(key, self.nap(patience));
        }
        record.bell.cancel();
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
