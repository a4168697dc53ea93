//! Where a task goes first: pure judgement over a few numbers.
//!
//! Stealing corrects mistakes, so the aim is to be cheap and seldom far off: the
//! executor with the least predicted delay. Delay = what waits in its inbox ×
//! how long its tasks take, plus half a task when it is running one, plus the
//! time to wake it when it sleeps.

/// What waking a sleeper costs until it runs, in ns.
pub const WAKE_NS: u64 = 40_000;
/// A task's length in ns while nothing is known.
const GRAIN_UNKNOWN_NS: u64 = 20_000;
/// Predicted delay from which on a second executor should be woken, in ns.
pub const WORTH_WAKING_NS: u64 = 30_000;

/// What is known of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Hints that wait in its inbox.
    pub backlog: u64,
    /// How long a task of its takes, in ns; 0: not known.
    pub grain_ns: u64,
    /// It is asleep.
    pub sleeping: bool,
    /// It is looking for work.
    pub searching: bool,
    /// It is asleep, and its CPU is that of whoever brings the work, as far as is known.
    pub is_here: bool,
}

impl Load {
    /// Predicted time in ns until a task given to it now begins.
    pub fn delay_ns(self) -> u64 {
        let grain = match self.grain_ns {
            0 => GRAIN_UNKNOWN_NS,
            known => known,
        };
        let queued = self.backlog.saturating_mul(grain);
        let before = match (self.sleeping, self.searching) {
            (true, _) if self.is_here => 2 * WAKE_NS,
            (true, _) => WAKE_NS,
            (_, true) => 0,
            _ => grain / 2,
        };
        queued.saturating_add(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load = Load {
        backlog: 0,
        grain_ns: 100,
        sleeping: false,
        searching: true,
        is_here: false,
    };

    #[test]
    fn delays_are_ordered_as_one_would_wish() {
        let searching = IDLE;
        let sleeping = Load {
            sleeping: true,
            searching: false,
            ..IDLE
        };
        let busy_short = Load {
            searching: false,
            backlog: 10,
            ..IDLE
        };
        let busy_long = Load {
            grain_ns: 10_000_000,
            ..busy_short
        };
        let delays = [searching, busy_short, sleeping, busy_long].map(Load::delay_ns);
        assert!(delays.is_sorted(), "{delays:?}");
        assert_eq!(delays[0], 0);
        assert_eq!(delays[2], WAKE_NS);
        let huge = Load {
            backlog: u64::MAX,
            ..busy_long
        };
        assert_eq!(huge.delay_ns(), u64::MAX, "saturates");
    }
}
