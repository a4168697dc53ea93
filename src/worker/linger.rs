//! Staying for a moment where something was taken that another executor's task had spawned.
//!
//! A task that works step by step, and spawns in each, spawns again a moment after the last
//! child of a step has ended. Whoever ran that child would just have begun to search then:
//! everywhere, after it has said so. Meanwhile it looks at one place, and says nothing: to
//! the others it is still at work. So whatever comes elsewhere is somebody else's, or waits
//! for that moment; what has come before it began to stay is looked for first.

use crate::prim::Priority;

use super::executor::Executor;
use super::run::ask_for;

/// How often it looks: for some 1.5 µs.
const LOOKS: usize = 48;

/// So often in a row: then it looks everywhere again.
const IN_A_ROW: u32 = 16;

impl Executor {
    /// Takes what is spawned next where something was just taken, announced; returns how many
    /// hints.
    #[inline]
    pub(super) fn linger(&mut self) -> usize {
        match self.robbed {
            Some(place) if self.lingered < IN_A_ROW && !self.gives_way => self.linger_at(place),
            _ => 0,
        }
    }

    fn linger_at(&mut self, place: usize) -> usize {
        let most = self.batch_size();
        let record = &self.fold.executors[self.me.0 as usize];
        record.announce_nothing();
        for _ in 0..LOOKS {
            if self.is_wanted_elsewhere() {
                return 0;
            }
            if self.nests[place].backlog() > 0 {
                let hints = &mut self.hints[..most];
                let taken = self.nests[place].take(hints, true, |hints| {
                    record.announce(hints);
                    ask_for(&self.fold, hints[0]);
                });
                if let Ok((count @ 1.., _)) = taken {
                    if place > 0 {
                        self.count_stolen(count);
                    }
                    self.lingered += 1;
                    self.has_taken(Priority::Normal);
                    return count;
                }
            }
            std::hint::spin_loop();
        }
        0
    }

    /// Whether something waits that comes before what tasks spawn.
    #[inline]
    fn is_wanted_elsewhere(&self) -> bool {
        self.inbox.backlog() > 0 || self.is_any_lane_full() || self.turns.is_any_overdue()
    }
}
