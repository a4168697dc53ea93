//! How many items to put into one task.

use std::time::{Duration, Instant};

/// A task should take about so long: a hundred times what it costs to submit one.
const WANTED_NS: u64 = 100_000;
/// Items in a task, at most.
const ITEMS_MAX: usize = 1024;
/// A task has at most so many times as many items as one that was measured.
const STEP: usize = 8;

/// What was measured, and the size that follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grain {
    item_ns: Option<u64>,
    /// The largest chunk that was measured.
    measured: usize,
    is_alone: bool,
    /// If that was said.
    fixed: Option<usize>,
}

impl Grain {
    /// Before anything was measured.
    pub fn new() -> Self {
        Grain {
            item_ns: None,
            measured: 0,
            is_alone: false,
            fixed: None,
        }
    }

    /// So many items in each task, whatever is measured, if that is said.
    pub fn or_fixed(self, items: Option<usize>) -> Self {
        Grain {
            fixed: items,
            ..self
        }
    }

    /// A task of `items` items took `ns`.
    pub fn learn(&mut self, items: usize, ns: u64) {
        let now = ns / (items.max(1) as u64);
        self.measured = self.measured.max(items);
        self.item_ns = Some(match self.item_ns {
            // The first one is often slow: what it touches is cold. Several items say
            // more than one.
            Some(before) if self.measured < STEP => before.min(now),
            Some(before) => (3 * before + now) / 4,
            None => now,
        });
    }

    /// Items hold buffers: at most 255 fit into a task.
    pub fn stay_alone(&mut self) {
        self.is_alone = true;
    }

    /// How many items the next task should have.
    pub fn size(&self) -> usize {
        if let Some(items) = self.fixed {
            return items.max(1);
        }
        match self.item_ns {
            Some(item_ns) if !self.is_alone => {
                let wanted = (WANTED_NS / item_ns.max(1)) as usize;
                wanted.clamp(1, (STEP * self.measured).clamp(1, ITEMS_MAX))
            }
            _ => 1,
        }
    }

    /// As [`Grain::size`], as a power of two that divides `start`.
    pub fn aligned_size(&self, start: usize) -> usize {
        let size = 1 << self.size().ilog2();
        match start {
            0 => size,
            _ => size.min(1 << start.trailing_zeros()),
        }
    }
}

/// What `act` returns, and how many nanoseconds it took.
pub(super) fn timed<T>(act: impl FnOnce() -> T) -> (u64, T) {
    let begin = Instant::now();
    let value = act();
    let ns = Duration::as_nanos(&begin.elapsed());
    (u64::try_from(ns).unwrap_or(u64::MAX), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_items_come_together_and_long_ones_alone() {
        let mut grain = Grain::new();
        assert_eq!(grain.size(), 1, "nothing is known yet");
        grain.learn(1, 1_000);
        assert_eq!(grain.size(), STEP, "step by step");
        grain.learn(8, 8_000);
        grain.learn(64, 64_000);
        assert_eq!(grain.size(), 100);
        assert_eq!(grain.aligned_size(0), 64);
        assert_eq!(grain.aligned_size(3 * 16), 16);
        for _ in 0..100 {
            grain.learn(1, 1_000_000);
        }
        assert_eq!(grain.size(), 1);
        let mut nothing = Grain::new();
        for size in [1, 8, 64, 512, 1024] {
            nothing.learn(size, 0);
        }
        assert_eq!(nothing.size(), ITEMS_MAX, "bounded");
        nothing.stay_alone();
        assert_eq!(nothing.size(), 1);
    }
}
