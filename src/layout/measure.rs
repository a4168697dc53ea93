//! What a worker measured of a task: one cache line beside each of the host's slots.
//!
//! ```text
//!   0            8         16        24        32            40        64
//!   +------------+---------+---------+---------+-------------+---------+
//!   | generation | started | ended   | CPU     | peak growth | –       |
//!   +------------+---------+---------+---------+-------------+---------+
//! ```
//!
//! Written only when a profile is wanted: otherwise no page of it is ever touched.

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
    unused: [AtomicU64; 3],
}

const _: () = assert!(size_of::<Measure>() == 64 && align_of::<Measure>() == 64);

// SAFETY: atomics only, repr(C), no padding (8 × 8 = 64).
unsafe impl ShmSafe for Measure {}

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
}
