//! What a worker measured of a task: one cache line beside each of the host's slots.
//!
//! ```text
//!   0            8         16        24        32            40      48      56      64
//!   +------------+---------+---------+---------+-------------+-------+-------+-------+
//!   | generation | started | ended   | CPU     | peak growth | began | ended | limit |
//!   +------------+---------+---------+---------+-------------+-------+-------+-------+
//!     if a profile is wanted                                   if the task is timed
//! ```
//!
//! Written only when a profile is wanted, or of timed tasks (`Head::is_timed`): otherwise no
//! page of it is ever touched. The host clears *began* and *ended* before it queues a timed
//! task, so what is there is of the present attempt; and it says the *limit*, from the
//! beginning, for whoever runs it.

use crate::prim::Generation;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::ShmSafe;

/// The line of one slot.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Measure {
    generation: AtomicU64,
    started_ns: AtomicU64,
    ended_ns: AtomicU64,
    cpu_ns: AtomicU64,
    peak_growth: AtomicU64,
    attempt_began: AtomicU64,
    attempt_ended: AtomicU64,
    run_limit: AtomicU64,
}

const _: () = assert!(size_of::<Measure>() == 64 && align_of::<Measure>() == 64);

// SAFETY: atomics only, repr(C), no padding (8 × 8 = 64).
unsafe impl ShmSafe for Measure {}

/// When an attempt began and ended, in ns of the machine's monotonic clock, as far as it has.
/// From shared memory these may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// It was claimed, and its function not yet called.
    pub began: Option<u64>,
    /// Its function had returned.
    pub ended: Option<u64>,
}

/// The numbers themselves. From shared memory they may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// By the machine's monotonic clock, in ns.
    pub started_ns: u64,
    /// By the same clock.
    pub ended_ns: u64,
    /// CPU time of the executor's thread, in ns.
    pub cpu_ns: u64,
    /// By how much the most memory that was ever behind the process grew, in bytes.
    pub peak_growth: u64,
}

impl Measure {
    /// Leaves numbers of the task of this generation; before it is finished.
    pub fn write(&self, generation: Generation, measured: Measured) {
        // Relaxed: finishing the task (Release) publishes them.
        let put = |to: &AtomicU64, value| to.store(value, Ordering::Relaxed);
        put(&self.started_ns, measured.started_ns);
        put(&self.ended_ns, measured.ended_ns);
        put(&self.cpu_ns, measured.cpu_ns);
        put(&self.peak_growth, measured.peak_growth);
        put(&self.generation, generation.raw());
    }

    /// What was left for the task of this generation, whose word (Acquire) was read.
    pub fn read(&self, generation: Generation) -> Option<Measured> {
        // Relaxed: ordered by the word.
        let get = |from: &AtomicU64| from.load(Ordering::Relaxed);
        let measured = Measured {
            started_ns: get(&self.started_ns),
            ended_ns: get(&self.ended_ns),
            cpu_ns: get(&self.cpu_ns),
            peak_growth: get(&self.peak_growth),
        };
        (get(&self.generation) == generation.raw()).then_some(measured)
    }

    /// The timed task of this slot is about to be queued, and may run for `limit_ns`: by the
    /// host.
    pub fn expect(&self, limit_ns: u64) {
        // Relaxed: queueing the task (Release) publishes them.
        self.attempt_began.store(0, Ordering::Relaxed);
        self.attempt_ended.store(0, Ordering::Relaxed);
        self.run_limit.store(limit_ns, Ordering::Relaxed);
    }

    /// It begins now: by who has claimed it.
    pub fn begins(&self, now: u64) {
        // ordering: Release pairs with the Acquire in `stamps`: of one who reads while it runs.
        self.attempt_began.store(now, Ordering::Release);
    }

    /// Its function has returned: by who runs it, before it is finished.
    pub fn ends(&self, now: u64) {
        // ordering: Release pairs with the Acquire in `stamps`.
        self.attempt_ended.store(now, Ordering::Release);
    }

    /// What was left of the present attempt.
    pub fn stamps(&self) -> Stamps {
        // ordering: Acquire pairs with the Release in `begins` and `ends`.
        let get = |from: &AtomicU64| Some(from.load(Ordering::Acquire)).filter(|ns| *ns != 0);
        Stamps {
            began: get(&self.attempt_began),
            ended: get(&self.attempt_ended),
        }
    }

    /// When the present attempt is to have ended, if it has begun.
    pub fn run_ends(&self) -> Option<u64> {
        // Relaxed: claiming the task has acquired it.
        let limit = self.run_limit.load(Ordering::Relaxed);
        Some(self.stamps().began?.saturating_add(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_belong_to_one_generation() {
        let (line, first) = (Measure::default(), Generation::new(1));
        assert_eq!(
            line.read(first),
            None,
            "of fresh memory nothing is believed"
        );
        let measured = Measured {
            started_ns: 1,
            ended_ns: 2,
            cpu_ns: 3,
            peak_growth: 4,
        };
        line.write(first, measured);
        assert_eq!(line.read(first), Some(measured));
        assert_eq!(line.read(first.next()), None);
    }

    #[test]
    fn stamps_are_of_one_attempt() {
        let line = Measure::default();
        line.expect(100);
        assert_eq!((line.stamps(), line.run_ends()), (Stamps::default(), None));
        line.begins(7);
        assert_eq!(line.run_ends(), Some(107));
        line.ends(9);
        let (began, ended) = (Some(7), Some(9));
        assert_eq!(line.stamps(), Stamps { began, ended });
        line.expect(u64::MAX);
        assert_eq!(line.stamps(), Stamps::default());
        line.begins(7);
        assert_eq!(line.run_ends(), Some(u64::MAX), "for ever");
    }
}
