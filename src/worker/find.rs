//! Where an executor looks for work, in this order: the urgent lane; its own inbox and the clients' rings, by
//! turns; the others' inboxes, nearest first; spawned tasks; hints that others have taken and not begun; the
//! lower lanes. Now and then it begins at a lower level.

use crate::layout::Fold;
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, Priority};
use crate::ring::Damaged;
use crate::ring::steal::Taker;
use crate::sys::barrier;
use crate::task::TaskState;

use super::clients::Source;
use super::executor::Executor;
use super::idle::is_awake;
use super::worth::{WORTH_WAKING_NS, is_worth_waking};

impl Executor {
    /// Takes hints into `self.hints`, announced; returns how many.
    #[inline]
    pub(super) fn find(&mut self) -> usize {
        (self.robbed, self.lingered) = (None, 0);
        if self.has_errand() && self.take_errand() {
            self.level = Priority::Normal;
            self.leave_search(0);
            return 1;
        }
        let mut level = self.turns.first();
        let mut taken = self.take_at(level);
        if taken.0 == 0 {
            if level < Priority::Urgent {
                self.turns.had(level, |_| false);
            }
            let others = Priority::ALL.into_iter().filter(|other| *other != level);
            for other in others {
                taken = self.take_at(other);
                if taken.0 > 0 {
                    level = other;
                    break;
                }
            }
        }
        let (found, left) = taken;
        if found == 0 {
            self.record().announce_nothing();
            return 0;
        }
        self.level = level;
        self.note_taken(level);
        self.leave_search(left);
        found
    }

    /// Takes what waits at `level`; returns how many hints, and how many were left.
    #[inline]
    fn take_at(&mut self, level: Priority) -> (usize, u64) {
        match level.lane() {
            None => self.take_normal(),
            // Nothing, nearly always, and in every cache.
            Some(lane) if self.lanes[lane].backlog() == 0 => (0, 0),
            Some(lane) => self.take_from_lane(lane),
        }
    }

    /// Takes one: whatever comes next is chosen anew, here and by all others.
    #[cold]
    fn take_from_lane(&mut self, lane: usize) -> (usize, u64) {
        let record = &self.fold.executors[self.me.0 as usize];
        let hints = &mut self.hints[..1];
        let taken = self.lanes[lane].take(hints, false, |hints| record.announce(hints));
        taken.unwrap_or_default() // the host looks at every ring, and acts
    }

    /// Takes what has no special priority.
    #[inline]
    fn take_normal(&mut self) -> (usize, u64) {
        let size = self.batch_size();
        let record = &self.fold.executors[self.me.0 as usize];
        let hints = &mut self.hints[..size];
        let mut stolen = 0;
        let mut taken = Ok((0, 0));
        // What this executor has made ready: its inputs are in a cache here. By turns, for
        // there may always be more of it.
        let is_turn = !self.was_ready && self.ready[0].backlog() > 0;
        self.was_ready = is_turn;
        if is_turn {
            taken = self.ready[0].take(hints, true, |hints| record.announce(hints));
        }
        let is_clients_turn = self.clients.take_turn();
        if is_clients_turn && matches!(taken, Ok((0, _))) {
            taken = self.take_from_clients(size);
        }
        let record = &self.fold.executors[self.me.0 as usize];
        let hints = &mut self.hints[..size];
        if matches!(taken, Ok((0, _))) {
            taken = self
                .inbox
                .take(hints, false, |hints| record.announce(hints));
            if matches!(taken, Ok((1.., _))) {
                self.clients.note_source(Source::Inbox);
            }
        }
        if !is_clients_turn && matches!(taken, Ok((0, _))) {
            taken = self.take_from_clients(size);
        }
        let record = &self.fold.executors[self.me.0 as usize];
        let hints = &mut self.hints[..size];
        if matches!(taken, Ok((0, _))) {
            for (number, victim) in &self.victims {
                if self.gives_way && is_left(&self.fold, *number, victim, self.grain_ns) {
                    continue;
                }
                taken = victim.take(hints, true, |hints| record.announce(hints));
                if let Ok((count @ 1.., _)) = taken {
                    self.clients.note_source(Source::Inbox);
                    stolen = count;
                    break;
                }
            }
        }
        if matches!(taken, Ok((0, _))) {
            for (place, ring) in self.ready.iter().chain(&self.nests).enumerate() {
                taken = ring.take(hints, true, |hints| record.announce(hints));
                if let Ok((count @ 1.., _)) = taken {
                    let is_own = place % self.nests.len() == 0;
                    self.robbed = place.checked_sub(self.ready.len()).filter(|_| !is_own);
                    stolen = if is_own { 0 } else { count };
                    break;
                }
            }
        }
        if stolen > 0 {
            self.count_stolen(stolen);
        }
        match taken {
            Ok((0, _)) => {
                record.announce_nothing();
                let is_sought = !self.gives_way;
                (if is_sought { self.find_announced() } else { 0 }, 0)
            }
            Ok(taken) => taken,
            Err(Damaged { .. }) => (0, 0), // the host looks at every ring, and acts
        }
    }

    /// Something was taken from `level`.
    #[inline]
    pub(super) fn note_taken(&mut self, level: Priority) {
        // In the inboxes something may always wait: whether it does is found out when
        // the turn has come.
        let lanes = &self.lanes;
        let waits = |other: Priority| other.lane().is_none_or(|lane| lanes[lane].backlog() > 0);
        self.turns.had(level, waits);
    }

    /// A hint from another's batch, whose owner is busy with an earlier one, or was
    /// stopped before it could claim any.
    fn find_announced(&mut self) -> usize {
        for index in 0..self.victims.len() {
            let victim = self.victims[index].0;
            let record = &self.fold.executors[victim];
            let waiting = record.announced().find(|hint| self.is_queued(*hint));
            if let Some(hint) = waiting {
                self.hints[0] = hint;
                self.record().announce(&[hint]);
                self.count_stolen(1);
                return 1;
            }
        }
        0
    }

    fn is_queued(&self, hint: u64) -> bool {
        let hint = Hint::unpack(hint);
        self.fold.slots.get(hint.slot.at()).is_some_and(|slot| {
            let word = slot.word();
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == hint.generation
        })
    }

    pub(super) fn count_stolen(&self, count: usize) {
        let stolen = &self.record().status.stolen;
        // Relaxed: a counter with one writer.
        stolen.store(
            stolen.load(Ordering::Relaxed).wrapping_add(count as u64),
            Ordering::Relaxed,
        );
    }

    /// No longer looking; if that leaves nobody looking and there is more to do
    /// than this executor should keep to itself, wakes another.
    pub(super) fn leave_search(&self, left: u64) {
        let crowd = &self.fold.crowd;
        let was_searching = crowd.found(self.me.0);
        let is_worth = |left: u64| is_worth_waking(left, self.grain_ns);
        let is_needed = is_worth(left) || {
            // A submitter may have relied on this executor's search: for work that lies
            // elsewhere, or that came after the batch was taken.
            let lies_elsewhere = || {
                let is_from_lane = self.level.lane().is_some();
                let own = self.inbox.backlog();
                (is_from_lane && own > 0)
                    || is_worth(own)
                    || self.victims.iter().any(|(_, inbox)| inbox.backlog() > 0)
                    || self.ready.iter().any(|ready| ready.backlog() > 0)
                    || self.nests.iter().any(|nest| nest.backlog() > 0)
                    || self.is_any_lane_full()
                    || self.is_any_client_offering_much()
            };
            crowd.sleeping.any() && !crowd.searching.any() && lies_elsewhere()
        };
        if is_needed {
            barrier::light();
            self.fold.wake_one(self.me);
        }
        if was_searching {
            // A helper has passed the heavy barrier: either we see it, or it saw what is offered.
            barrier::light();
            if crowd.helping.any() {
                self.call_helper();
            }
        }
    }

    /// Wakes one who sleeps in the middle of a task, if something is offered that it can help
    /// with and nobody looks for it any more: who offered it may have relied on our search,
    /// and has passed the light barrier.
    #[cold]
    fn call_helper(&self) {
        barrier::heavy();
        let is_left = self.nests.iter().any(|nest| nest.backlog() > 0);
        if is_left && !self.fold.crowd.searching.any() {
            self.fold.wake_helper(self.me);
        }
    }

    pub(super) fn is_any_lane_full(&self) -> bool {
        self.lanes.iter().any(|lane| lane.backlog() > 0)
    }

    /// Whether any inbox or lane has something; cheap enough to spin on.
    #[inline]
    pub(super) fn glimpse(&self) -> bool {
        self.inbox.backlog() > 0
            || self.is_any_lane_full()
            || self.has_errand()
            || self.is_any_client_offering()
            || self.victims.iter().any(|(number, inbox)| {
                let is_left = || is_left(&self.fold, *number, inbox, self.grain_ns);
                inbox.backlog() > 0 && !(self.gives_way && is_left())
            })
            || self
                .ready
                .iter()
                .chain(&self.nests)
                .any(|ring| ring.backlog() > 0)
    }

    /// Whether there is anything to do at all: the last look before sleeping.
    pub(super) fn look(&self) -> bool {
        self.glimpse()
            || (!self.gives_way
                && self.victims.iter().any(|(victim, _)| {
                    let record = &self.fold.executors[*victim];
                    record.announced().any(|hint| self.is_queued(hint))
                }))
    }
}

/// Whether one that gives way to the host leaves what lies in another's inbox to that one: it
/// is awake, and needs a moment for it.
#[inline]
fn is_left(fold: &Fold, other: usize, inbox: &Taker, grain_ns: u64) -> bool {
    // Relaxed: judgement, not truth.
    let theirs = fold.executors[other]
        .status
        .grain_ns
        .load(Ordering::Relaxed);
    let backlog = inbox.backlog().saturating_mul(theirs.max(grain_ns));
    grain_ns > 0 && backlog < WORTH_WAKING_NS && is_awake(fold, other)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::fold_of_two;
    use super::*;
    use crate::ring::steal::Producer;

    /// What is left to another: short work of one that is awake.
    #[test]
    fn who_gives_way_leaves_what_takes_a_moment() {
        let fold = fold_of_two();
        let mut ring = Producer::attach(fold.inbox(1));
        let inbox = Taker::attach(fold.inbox(1));
        let status = &fold.executors[1].status;
        let left = |own: u64| is_left(&fold, 1, &inbox, own);
        status.online.store(1, Ordering::Relaxed);
        status.grain_ns.store(1_000, Ordering::Relaxed);
        for hint in 1..=29 {
            assert_eq!(ring.stage(hint), Ok(true));
        }
        ring.publish();
        assert!(left(1_000), "29 µs");
        assert!(!left(0), "how long it takes is not known");
        assert!(!left(2_000), "it may take twice as long");
        assert_eq!(ring.stage(30), Ok(true));
        ring.publish();
        assert!(!left(1_000), "30 µs are too many");
        status.grain_ns.store(100, Ordering::Relaxed);
        assert!(left(100));
        fold.crowd.sleeping.insert(1);
        assert!(!left(100), "it sleeps");
        fold.crowd.sleeping.remove(1);
        status.online.store(0, Ordering::Relaxed);
        assert!(!left(100), "it is not there");
    }
}
