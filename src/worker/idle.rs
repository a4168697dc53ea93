//! Having nothing to do: spin a little when a CPU is free for it, then sleep.

use std::time::{Duration, Instant};

use crate::layout::Fold;
use crate::prim::ExecutorId;
use crate::prim::atomic::Ordering;

use super::executor::Executor;
use super::nest::Nest;
use super::patience::{Patience, SPIN};

/// How long to spin before sleeping (else [`SPIN`]) while the host brings one after the other: then it will come.
const SPIN_MAX: Duration = Duration::from_micros(200);

/// Who was so often in the host's way without having slept leaves it.
const IN_THE_WAY: u32 = 4;

/// Who finds nothing for so long has nothing to do. A submitter is often just ahead.
const PAUSE: Duration = Duration::from_micros(4);

/// How long at most while it has left something to another.
const GIVEN_WAY: Duration = Duration::from_millis(2);

/// Whether an executor is neither asleep nor, as far as is known, dead.
pub(super) fn is_awake(fold: &Fold, executor: usize) -> bool {
    // Relaxed: a plain number of one writer.
    let is_online = fold.executors[executor]
        .status
        .online
        .load(Ordering::Relaxed)
        == 1;
    is_online && !fold.crowd.sleeping.contains(executor as u32)
}

impl Executor {
    /// Returns when there may be something to do, or the fold stops.
    pub(super) fn idle(&mut self, patience: &mut Patience, nest: &Nest) {
        self.fold.crowd.seek(self.me.0);
        self.gives_way = self.should_give_way();
        if self.spin() {
            return;
        }
        self.sleep(patience, nest);
        self.gives_way = false;
    }

    /// Whether the host is at work on this very CPU, while another executor is awake: to spin
    /// here, or to take part in what another does in a moment, would take the time of whoever
    /// brings the work.
    fn should_give_way(&mut self) -> bool {
        // If several threads submit there is one on any CPU, and whoever yields lets it go on.
        if !self.is_scarce() || self.clients.are_many() {
            return false;
        }
        let (cpu, seen) = self.fold.header.works_on();
        self.host_seen_before = std::mem::replace(&mut self.host_seen, seen);
        self.is_host_at_work() && cpu.is_some() && cpu == self.cpu_of(self.number()) && {
            let mut others = self.victims.iter();
            others.any(|(other, _)| is_awake(&self.fold, *other))
        }
    }

    /// Whether the host has collected tasks since this executor had nothing to do the time
    /// before.
    fn is_host_at_work(&self) -> bool {
        self.fold.header.works_on().1 != self.host_seen_before
    }

    /// To which CPU an executor is pinned.
    fn cpu_of(&self, executor: usize) -> Option<u32> {
        // Relaxed: a plain number of one writer.
        let status = &self.fold.executors[executor].status;
        (status.cpu.load(Ordering::Relaxed) as u32).checked_sub(1)
    }

    /// True when something was glimpsed. Spins with `yield` in between, so that
    /// whoever should run on this CPU does.
    fn spin(&mut self) -> bool {
        let mut is_in_the_way = false;
        let scarce = self.is_scarce();
        // Of several that find nothing, one spins when CPUs are scarce: the host
        // needs one too.
        let is_one_too_many = || scarce && !self.clients.are_many() && self.is_another_searching();
        if self.gives_way || is_one_too_many() {
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
            if waited >= SPIN_MAX || (waited >= SPIN && !self.is_host_at_work()) {
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

    /// Whether another one looks for work, but for the one that is about to give way to the
    /// host.
    fn is_another_searching(&self) -> bool {
        let crowd = &self.fold.crowd;
        let is_other = |e: usize| {
            crowd.searching.contains(e as u32)
                && !(self.is_host_at_work() && self.cpu_of(e) == self.fold.header.works_on().0)
        };
        crowd.searching.count() > 1 && self.victims.iter().any(|(victim, _)| is_other(*victim))
    }

    /// Whether the host looks for a result on this very CPU.
    fn is_host_here(&self) -> bool {
        let cpu = self.cpu_of(self.number());
        cpu.is_some_and(|cpu| self.fold.header.is_spun_on(cpu))
    }

    /// If the host looks for one result after the other on this very CPU, each waits for
    /// the other to yield, some 10 µs a task: has somebody who sleeps look elsewhere
    /// instead.
    fn is_replaced(&self) -> bool {
        let own = self.cpu_of(self.number());
        let crowd = &self.fold.crowd;
        let mut others = self.victims.iter().map(|(victim, _)| *victim);
        let sleeper = others
            .find(|other| crowd.sleeping.contains(*other as u32) && self.cpu_of(*other) != own);
        sleeper.is_some_and(|sleeper| self.fold.wake_sleeper(ExecutorId(sleeper as u32)))
    }

    fn sleep(&mut self, patience: &mut Patience, nest: &Nest) {
        self.in_the_way = 0;
        self.ring_at_last();
        self.find_keeper();
        if self.runner.pool.kept() > 0 {
            self.forget();
        }
        let me = self.me.0;
        let record = &self.fold.executors[me as usize];
        let key = self.fold.crowd.lie_down(me, &record.bell);
        let keeps_gone = || self.runner.pool.kept() > 0 && self.runner.pool.keeps_gone();
        if !(self.look() || nest.is_untidy() || self.fold.header.is_stopping() || keeps_gone()) {
            // Relaxed: a counter with one writer; whatever somebody else has written there counts on.
            let sleeps = record.status.sleeps.load(Ordering::Relaxed);
            record
                .status
                .sleeps
                .store(sleeps.wrapping_add(1), Ordering::Relaxed);
            record.bell.wait(key, self.nap(patience));
        }
        record.bell.cancel();
        self.fold.crowd.get_up(me);
    }

    /// For ever when all others sleep too, else for a while.
    fn nap(&self, patience: &mut Patience) -> Option<Instant> {
        if self.gives_way {
            // Whom it has left something to may fall asleep or die, or have begun what takes long.
            return Some(Instant::now() + GIVEN_WAY);
        }
        let alone = self.victims.iter().all(|(victim, _)| {
            // Relaxed: if it is wrong, one nap is too long or one too many.
            let online = &self.fold.executors[*victim].status.online;
            self.fold.crowd.sleeping.contains(*victim as u32) || online.load(Ordering::Relaxed) != 1
        });
        if alone {
            return None;
        }
        Some(Instant::now() + patience.next_nap())
    }
}
