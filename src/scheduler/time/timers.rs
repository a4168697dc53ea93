//! What is to happen at a certain time: the next attempt of a task, the end of its
//! patience. Empty, and free, when no task asks for any.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::prim::Generation;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The task may be tried again.
    Attempt,
    /// It must have begun by now.
    Start,
    /// Its hard deadline has come, or that of its cancellation.
    Deadline,
    /// It was asked to end, and had time enough.
    Grace,
}

/// A timer, for a task in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When.
    pub at: Instant,
    /// For the task in this slot
    pub slot: u32,
    /// in this generation; for none if that has passed.
    pub generation: Generation,
    /// What.
    pub due: Due,
}

/// All timers, the first on top.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
}

/// Timers that may be stale before they are looked through.
const STALE_MAX: usize = 1024;

impl Timers {
    /// Adds one; true if it is the first to come now.
    pub fn add(&mut self, timer: Timer) -> bool {
        self.heap.push(Reverse(timer));
        self.next() == Some(timer.at)
    }

    /// When the next one comes.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(timer)| timer.at)
    }

    /// The next one, if its time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(timer)| timer)
    }

    /// Forgets those for which `is_live` is false, if there may be many: tasks that
    /// end long before their deadlines must not pile up here.
    pub fn prune(&mut self, live: usize, is_live: impl Fn(&Timer) -> bool) {
        if self.heap.len() > STALE_MAX + 4 * live {
            self.heap.retain(|Reverse(timer)| is_live(timer));
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn timer(at: Instant, slot: u32) -> Timer {
        Timer {
            at,
            slot,
            generation: Generation::new(0),
            due: Due::Deadline,
        }
    }

    #[test]
    fn first_come_first() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut timers = Timers::default();
        assert!(timers.add(timer(later(20), 2)));
        assert!(!timers.add(timer(later(30), 3)));
        assert!(timers.add(timer(later(10), 1)), "earlier than the others");
        assert_eq!(timers.pop_due(now), None);
        assert_eq!(timers.next(), Some(later(10)));
        let slots: Vec<u32> = std::iter::from_fn(|| timers.pop_due(later(25)))
            .map(|timer| timer.slot)
            .collect();
        assert_eq!(slots, [1, 2]);
    }

    #[test]
    fn stale_ones_do_not_pile_up() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for slot in 0..10_000 {
            timers.add(timer(now, slot));
            timers.prune(10, |timer| timer.slot + 10 > slot);
        }
        assert!(timers.heap.len() <= STALE_MAX + 41, "{}", timers.heap.len());
    }
}
