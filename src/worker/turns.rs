//! Which priority has the next turn: the highest level with waiting tasks, but no level is passed over for
//! ever.

use crate::prim::Priority;

/// How often a level at which something waits is passed over in a row. When all three
/// that can be passed over reach it at once, the last of them comes two turns later: so
/// each has at least one of any 32 turns.
const PASSED_MAX: u8 = 29;

/// How often each level was passed over; private to an executor.
#[derive(Debug, Default)]
pub struct Turns {
    passed: [u8; Priority::Urgent as usize],
    overdue: Option<Priority>,
}

impl Turns {
    /// The level to begin at.
    #[inline]
    pub fn first(&self) -> Priority {
        self.overdue.unwrap_or(Priority::Urgent)
    }

    /// Whether a lower level's turn has come.
    #[inline]
    pub fn is_any_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// Something was taken from `level`, or there was nothing when its turn had come;
    /// `waits` tells whether something waits at another one.
    #[inline]
    pub fn had(&mut self, level: Priority, waits: impl Fn(Priority) -> bool) {
        if let Some(passed) = self.passed.get_mut(level as usize) {
            *passed = 0;
        }
        let mut is_changed = self.overdue.is_some();
        for other in [Priority::Normal, Priority::Low, Priority::Background] {
            if other != level && waits(other) {
                let passed = &mut self.passed[other as usize];
                *passed = passed.saturating_add(1);
                is_changed = true;
            }
        }
        if is_changed {
            // Of several the lowest first: the others come next.
            let is_overdue = |level: &Priority| {
                let passed = self.passed.get(*level as usize);
                passed.is_some_and(|passed| *passed >= PASSED_MAX)
            };
            self.overdue = Priority::ALL.into_iter().rev().find(is_overdue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next turn, of which something comes.
    fn turn(turns: &mut Turns, waits: impl Fn(Priority) -> bool) -> Priority {
        let first = turns.first();
        let level = if waits(first) {
            first
        } else {
            turns.had(first, |_| false);
            let highest = Priority::ALL.into_iter().find(|level| waits(*level));
            highest.expect("something waits")
        };
        turns.had(level, waits);
        level
    }

    /// Whichever levels something waits at all the time: the highest has nearly all
    /// turns, each of the others its share.
    #[test]
    fn each_level_that_waits_has_its_share() {
        for waiting in 1u8..16 {
            let waits = |level: Priority| waiting & (1 << level.level()) != 0;
            let mut turns = Turns::default();
            let taken: Vec<_> = (0..1000).map(|_| turn(&mut turns, waits)).collect();
            let all: Vec<_> = Priority::ALL.into_iter().filter(|l| waits(*l)).collect();
            for window in taken.windows(32) {
                for level in &all {
                    let count = window.iter().filter(|taken| *taken == level).count();
                    let least = if *level == all[0] { 26 } else { 1 };
                    assert!(count >= least, "{level:?} of {all:?}: {count} of 32");
                }
            }
            assert!(taken[..29].iter().all(|level| *level == all[0]), "{all:?}");
        }
    }

    /// Work comes and goes at random: what waits is passed over 31 times at most.
    #[test]
    fn who_begins_to_wait_at_any_time_is_not_passed_over_for_long() {
        for seed in 1u64..200 {
            let mut random = seed;
            let mut turns = Turns::default();
            let (mut waiting, mut since) = (15u8, [0; 4]);
            for now in 0..2000 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // At one level something always waits. To the others something may come;
                // what was taken may have been all.
                let byte = |at: u32| (random >> (8 * at)) as u8;
                waiting |= byte(0) & byte(1) & byte(2) & 15 | 1 << (seed % 4);
                let level = turn(&mut turns, |level| waiting & (1 << level.level()) != 0);
                for at in 0..4 {
                    let is_waiting = waiting & (1 << at) != 0;
                    if at == level.level() || !is_waiting {
                        since[usize::from(at)] = now + 1;
                    }
                    let passed = now + 1 - since[usize::from(at)];
                    assert!(at == 3 || passed <= 31, "seed {seed}, level {at}");
                }
                if byte(3) % 2 == 0 {
                    waiting &= !(1 << level.level());
                }
            }
        }
    }

    /// A level that had its turn, or at which nothing waits, has no claim to another.
    #[test]
    fn what_does_not_wait_is_not_passed_over() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            turns.had(Priority::Normal, |_| false);
            assert_eq!(turns.first(), Priority::Urgent);
        }
        for _ in 0..PASSED_MAX {
            assert!(!turns.is_any_overdue());
            turns.had(Priority::Normal, |level| level == Priority::Low);
        }
        assert_eq!(turns.first(), Priority::Low);
        turns.had(Priority::Low, |_| false);
        assert_eq!(turns.first(), Priority::Urgent);
    }
}
