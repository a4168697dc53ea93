//! Which tasks with a run limit are queued or run, and when to look at them; see
//! [`super::run_limits`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// However short the limits are, so long it is from one look to the next.
const SHORTEST: Duration = Duration::from_millis(1);

/// Which tasks with a run limit are queued or run, and when to look at them.
#[derive(Debug, Default)]
pub struct RunLimits {
    /// How many have which limit.
    watched: BTreeMap<Duration, usize>,
    /// When the last look was.
    looked: Option<Instant>,
    /// When the next one is.
    next: Option<Instant>,
}

impl RunLimits {
    /// When to look next.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// One more, from `now` on; true if the next look is sooner for it.
    pub fn watch(&mut self, limit: Duration, now: Instant) -> bool {
        *self.watched.entry(limit).or_default() += 1;
        let at = now.checked_add(limit.max(SHORTEST));
        let is_sooner = at.is_some_and(|at| self.next.is_none_or(|next| at < next));
        if is_sooner {
            self.next = at;
        }
        is_sooner
    }

    pub fn let_go(&mut self, limit: Duration) {
        if let Some(count) = self.watched.get_mut(&limit) {
            *count -= 1;
            if *count == 0 {
                self.watched.remove(&limit);
            }
        }
    }

    /// A look begins; returns when the one before it was.
    pub fn look(&mut self, now: Instant) -> Option<Instant> {
        let shortest = self.watched.keys().next();
        self.next = shortest.and_then(|limit| now.checked_add((*limit).max(SHORTEST)));
        self.looked.replace(now)
    }

    /// Look at `at`, if not before.
    pub fn look_by(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Nobody is woken for each task, and nobody looks when there is none.
    #[test]
    fn the_shortest_limit_says_when_to_look() {
        let now = Instant::now();
        let mut limits = RunLimits::default();
        assert_eq!(limits.next(), None);
        assert!(limits.watch(ms(50), now));
        assert!(!limits.watch(ms(50), now), "it is looked then anyway");
        assert!(!limits.watch(ms(90), now + ms(10)));
        assert!(limits.watch(ms(20), now + ms(10)), "sooner");
        assert_eq!(limits.next(), Some(now + ms(30)));
        assert_eq!(limits.look(now + ms(30)), None);
        assert_eq!(limits.next(), Some(now + ms(50)));
        limits.look_by(now + ms(35));
        limits.look_by(now + ms(45));
        assert_eq!(limits.next(), Some(now + ms(35)));
        [20, 50, 50]
            .into_iter()
            .for_each(|limit| limits.let_go(ms(limit)));
        assert_eq!(limits.look(now + ms(35)), Some(now + ms(30)));
        assert_eq!(limits.next(), Some(now + ms(125)));
        limits.let_go(ms(90));
        limits.look(now + ms(125));
        assert_eq!(limits.next(), None);
        assert!(!limits.watch(Duration::MAX, now), "that is never");
        assert!(limits.watch(Duration::from_nanos(1), now));
        assert_eq!(limits.next(), Some(now + SHORTEST));
    }
}
