//! Running what was found.

use std::time::Instant;

use crate::layout::Fold;
use crate::notify::Patience;
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, Priority};
use crate::sys::{barrier, prefetch_for_write};
use crate::task::Outcome;

use super::executor::Executor;

/// Of batches of one task, one of so many is measured.
const MEASURED: u32 = 4;

/// How many slots ahead lines are asked for.
const AHEAD: usize = 16;

impl Executor {
    /// Claims and runs the first `count` of `self.hints`.
    pub(super) fn run_batch(&mut self, count: usize) {
        let start = self.should_measure(count).then(Instant::now);
        let (mut taken, mut ran) = (count, 0);
        for position in 0..count.min(AHEAD) {
            ask_for(&self.fold, self.hints[position]);
        }
        for position in 0..count {
            if position + AHEAD < count {
                ask_for(&self.fold, self.hints[position + AHEAD]);
            }
            let hint = Hint::unpack(self.hints[position]);
            if let Some(readied) = self.run_one(hint) {
                ran += 1;
                // One of them comes next, if this was the last of the batch.
                let is_last = position + 1 == count;
                self.share(readied.saturating_sub(u16::from(is_last)));
                // Whoever waits gets each result at once; else one look a batch.
                if position + 1 < count {
                    barrier::light();
                    if self.is_urgent || self.is_rung_at_once() {
                        self.publish();
                    }
                }
            }
            if position + 1 < count && self.is_something_urgent() {
                let (more, of_these) = self.run_urgent(position);
                taken += more;
                ran += of_these;
            }
        }
        self.publish();
        self.was_busy = true;
        self.record().announce_nothing();
        self.measure(start, ran, taken);
    }

    /// Whether something waits that is more urgent than this batch.
    #[inline]
    fn is_something_urgent(&self) -> bool {
        // Nearly always empty, and in every cache.
        let [urgent, ..] = &self.lanes;
        self.level < Priority::Urgent && urgent.backlog() > 0
    }

    /// Runs what is urgent before the batch goes on, which may be longer than it was
    /// thought to be; its place `begun` was begun. Returns how many hints it took, and
    /// how many of them it ran.
    #[cold]
    fn run_urgent(&mut self, begun: usize) -> (usize, u64) {
        let (mut taken, mut ran) = (0, 0);
        while !self.turns.is_any_overdue() {
            let record = &self.fold.executors[self.me.0 as usize];
            let mut hint = [0];
            let [urgent, ..] = &self.lanes;
            let found = urgent.take(&mut hint, false, |hint| {
                record.announce_instead(begun, hint[0]);
            });
            let Ok((1.., left)) = found else { break };
            taken += 1;
            self.leave_search(left);
            self.note_taken(Priority::Urgent);
            if let Some(readied) = self.run_one(Hint::unpack(hint[0])) {
                ran += 1;
                self.share(readied);
                barrier::light();
                if self.is_urgent || self.is_rung_at_once() {
                    self.publish();
                }
            }
        }
        // The batch goes on.
        self.note_taken(self.level);
        (taken, ran)
    }

    /// So many tasks were made ready that somebody else might begin.
    #[inline]
    fn share(&self, readied: u16) {
        if readied == 0 {
            return;
        }
        // Who sleeps, before it does, passes the heavy barrier.
        barrier::light();
        let crowd = &self.fold.crowd;
        if crowd.sleeping.any() && !crowd.searching.any() {
            self.fold.wake_one(self.me);
        }
    }

    /// To ask for the time twice takes as long as a short task does. If one comes at a time, now
    /// and then is enough: only of many it has to be known how long they take.
    #[inline]
    fn should_measure(&mut self, count: usize) -> bool {
        self.unmeasured = if count > 1 || self.grain_ns == 0 {
            0
        } else {
            (self.unmeasured + 1) % MEASURED
        };
        self.unmeasured == 0
    }

    fn measure(&mut self, start: Option<Instant>, ran: u64, count: usize) {
        let status = &self.fold.executors[self.me.0 as usize].status;
        // Relaxed: here and below, counters with one writer, read as hints.
        let add = |to: &crate::prim::atomic::AtomicU64, n: u64| {
            to.store(
                to.load(Ordering::Relaxed).wrapping_add(n),
                Ordering::Relaxed,
            );
        };
        if ran < count as u64 {
            add(&status.stale, count as u64 - ran);
        }
        if ran == 0 {
            return;
        }
        add(&status.run, ran);
        let Some(start) = start else { return };
        let grain = (start.elapsed().as_nanos() as u64 / ran).max(1);
        // Slower at once, faster by and by: taking too many is worse than too few.
        self.grain_ns = match self.grain_ns {
            0 => grain,
            old if grain > old => (old + grain) / 2,
            old => (3 * old + grain) / 4,
        };
        status.grain_ns.store(self.grain_ns, Ordering::Relaxed);
    }

    /// Shows what is finished of the host's tasks, and wakes who waits for it. Of those
    /// that other tasks have spawned their owners know.
    fn publish(&mut self) {
        self.tell_clients();
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        self.completions.publish();
        // The host, before it sleeps, passes the heavy barrier.
        barrier::light();
        if std::mem::take(&mut self.is_urgent) || self.is_rung_at_once() {
            self.fold.host_bell.ring();
        }
    }

    /// Whether whoever waits in the host is to hear of each end; if not, it will be rung
    /// later, or called.
    #[inline]
    fn is_rung_at_once(&self) -> bool {
        let bell = &self.fold.host_bell;
        let crowd = &self.fold.crowd;
        bell.is_awaited()
            && match bell.patience() {
                Patience::None => true,
                Patience::UntilIdle => crowd.searching.any() || crowd.sleeping.any(),
                Patience::UntilCalled => false,
            }
    }

    /// There is nothing left to do: whoever waits in the host with patience, for what may
    /// be done next, has waited for this.
    #[inline]
    pub(super) fn ring_at_last(&mut self) {
        if std::mem::take(&mut self.was_busy)
            && self.fold.host_bell.patience() == Patience::UntilIdle
        {
            barrier::light();
            self.fold.host_bell.ring();
        }
    }

    /// Runs it, if it is to be had; says how many tasks that has made ready.
    #[inline]
    fn run_one(&mut self, hint: Hint) -> Option<u16> {
        if let Some(owner) = self.fold.plan.shape.nest_owner(hint.slot) {
            let was_there = self.runner.run_spawned(hint, owner, &mut self.scratch);
            return was_there.then_some(0);
        }
        let ran = self
            .runner
            .run(hint, &mut self.scratch, &mut self.shows_ready)?;
        let is_urgent =
            !matches!(ran.outcome, Outcome::Value | Outcome::MarkedValue) || ran.is_awaited;
        if self.fold.plan.shape.client_of(hint.slot).is_some() {
            if !self.clients.note(hint, is_urgent) {
                self.tell_clients();
                self.clients.note(hint, is_urgent);
            }
            return Some(ran.readied);
        }
        self.has_news = true;
        self.is_urgent |= is_urgent;
        self.complete(hint);
        Some(ran.readied)
    }

    /// Puts a completion into the ring, to be published.
    #[inline]
    pub(super) fn complete(&mut self, hint: Hint) {
        if !self.completions.stage(hint.pack()) {
            // No room for the hint: the word is Done all the same, and the host
            // is told to look at all words.
            let overflows = &self.record().status.overflows;
            // ordering: Release pairs with the host's Acquire when it compares.
            overflows.store(
                overflows.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Release,
            );
        }
    }
}

/// Has the slot of a hint that comes next brought here meanwhile.
#[inline]
pub(super) fn ask_for(fold: &Fold, hint: u64) {
    let hint = Hint::unpack(hint);
    if let Some(slot) = fold.slots.get(hint.slot.at()) {
        prefetch_for_write(slot);
    }
    if fold.plan.shape.is_for_pending(hint.slot)
        && let Some(edges) = fold.edges.get(hint.slot.at())
    {
        // Its inputs lie there.
        prefetch_for_write(edges);
    }
}
