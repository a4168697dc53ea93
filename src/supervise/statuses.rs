//! Processes that have ended, and of which the zygote has not yet said how.

use std::time::{Duration, Instant};

use crate::process::Zygote;
use crate::sys::Held;

/// How long the zygote may take to report a status.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How many may be asked for at a time: more questions than fit into the socket, while
/// the answers do not fit either, would block both sides for ever.
const ASKED_MAX: usize = 32;

/// What nobody waits for is left until whoever takes over from the dead has had a CPU.
pub const LATER: Duration = Duration::from_millis(2);

/// What there is to do with a status.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Which worker it was.
    pub worker: u32,
    /// The process ended before it had begun to work.
    pub is_failed_start: bool,
    /// Why it was ended then, if we have ended it.
    pub reason: Option<String>,
    /// What it had said in its record.
    pub last_words: Option<String>,
    /// How it ended is known: it is only to be reaped.
    pub is_told: bool,
    /// The process by which it said its memory is kept; 0: none.
    pub keeper: i32,
}

/// One of them.
#[derive(Debug)]
struct Awaited {
    pid: i32,
    /// Closed when there is time.
    _pidfd: Option<Held>,
    expected: Expected,
    was_asked: bool,
    ask_at: Instant,
    until: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Statuses {
    awaited: Vec<Awaited>,
}

impl Statuses {
    /// Another has ended. It is urgent if somebody waits to hear how.
    pub fn expect(&mut self, pid: i32, pidfd: Option<Held>, expected: Expected, is_urgent: bool) {
        let now = Instant::now();
        self.awaited.push(Awaited {
            pid,
            _pidfd: pidfd,
            expected,
            was_asked: false,
            ask_at: if is_urgent { now } else { now + LATER },
            until: now + TIMEOUT,
        });
    }

    /// Asks for those that it is time for, and for as many as may be.
    pub fn ask(&mut self, zygote: &Zygote) {
        if self.awaited.is_empty() {
            return;
        }
        let now = Instant::now();
        let asked = self.awaited.iter().filter(|one| one.was_asked).count();
        let is_due = |one: &&mut Awaited| !one.was_asked && one.ask_at <= now;
        let unasked = self.awaited.iter_mut().filter(is_due);
        for one in unasked.take(ASKED_MAX.saturating_sub(asked)) {
            // If it cannot be asked it is gone, and its socket says so.
            one.was_asked = true;
            let _ = zygote.reap(one.pid, one.expected.keeper);
        }
    }

    /// The status of `pid` is there.
    pub fn take(&mut self, pid: i32) -> Option<Expected> {
        let at = self.awaited.iter().position(|one| one.pid == pid)?;
        Some(self.awaited.swap_remove(at).expected)
    }

    /// One whose status will not come: it is late, or all are (`None`). If it was not asked
    /// for yet, for there were too many, it is still to be reaped.
    pub fn give_up(&mut self, now: Option<Instant>) -> Option<(i32, Expected)> {
        let is_late = |one: &Awaited| now.is_none_or(|now| one.until <= now);
        let at = self.awaited.iter().position(is_late)?;
        let one = &mut self.awaited[at];
        let given_up = (one.pid, one.expected.clone());
        match now {
            Some(now) if !one.was_asked => {
                one.expected.is_told = true;
                one.until = now + TIMEOUT;
            }
            _ => drop(self.awaited.swap_remove(at)),
        }
        Some(given_up)
    }

    /// When the next one is to be asked for, or is late.
    pub fn next_due(&self) -> Option<Instant> {
        let at = |one: &Awaited| {
            let asks = !one.was_asked && self.may_ask();
            if asks { one.ask_at } else { one.until }
        };
        self.awaited.iter().map(at).min()
    }

    fn may_ask(&self) -> bool {
        self.awaited.iter().filter(|one| one.was_asked).count() < ASKED_MAX
    }

    /// Whether it is not told yet why somebody ended before he had begun.
    pub fn is_about_a_start(&self) -> bool {
        self.awaited.iter().any(|one| one.expected.is_failed_start)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(count: i32) -> Statuses {
        let mut statuses = Statuses::default();
        for pid in 1..=count {
            statuses.expect(pid, None, Expected::default(), true);
        }
        statuses
    }

    /// What is given up before it was asked for is told once, and asked for all the same.
    #[test]
    fn whoever_was_not_asked_for_is_still_to_be_reaped() {
        let mut statuses = expecting(2);
        statuses.awaited[0].was_asked = true;
        assert!(statuses.give_up(Some(Instant::now())).is_none());
        let late = Instant::now() + 2 * TIMEOUT;
        let mut told = Vec::new();
        while let Some((pid, expected)) = statuses.give_up(Some(late)) {
            assert!(!expected.is_told);
            told.push(pid);
        }
        assert_eq!(told, [1, 2]);
        assert_eq!(statuses.awaited.len(), 1);
        assert!(statuses.take(2).is_some_and(|expected| expected.is_told));
        assert!(statuses.is_empty());
    }

    /// When the zygote is gone, nothing is left to ask for.
    #[test]
    fn all_are_given_up_when_nobody_is_there_to_ask() {
        let mut statuses = expecting(3);
        let mut told = 0;
        while statuses.give_up(None).is_some() {
            told += 1;
        }
        assert!(told == 3 && statuses.is_empty());
    }
}
