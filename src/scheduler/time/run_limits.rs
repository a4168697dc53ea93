//! Limits on running time, and when attempts have begun.
//!
//! A claim is told to nobody, and a queued task has no timer: it may wait for ever. So while
//! tasks with a run limit are queued or run, the supervisor looks at the *executors*, of which
//! there are few, at the earliest time that can matter:
//!
//! ```text
//!   queued ──▶ look at: now + limit, if nobody looks before
//!   a look ──▶ of each executor: which task, since when ──▶ too long: overdue
//!              the next look: when the first of these will have run too long;
//!                             the shortest limit from now, for what begins meanwhile
//! ```
//!
//! Nothing is missed: what begins after a look cannot have passed its limit before the next
//! one. Nothing is looked at while no such task is queued or runs. What is overdue goes the way of
//! a hard deadline (`super::deadline`): its worker is stopped and asked again, so that neither
//! another task nor another attempt of this one pays for it.
//!
//! When an attempt began its executor leaves beside the slot (`Measure`), if the task is
//! timed; but that is a worker's word. It is believed within what the host knows itself: not
//! before the attempt was queued, or before the look at which it did not run yet; not after
//! the one at which it did; and what was once made of it stays. No stamp is *now*: its
//! executor is between the claim and the stamp.

use std::time::{Duration, Instant};

use crate::prim::atomic::Ordering;
use crate::prim::{Hint, Overdue, SlotIndex};
use crate::sys::clock;
use crate::task::TaskState;

use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::timing::Spent;

/// The moment at which the clock of all processes showed `ns`, if that was before `now`.
fn instant_of(ns: u64, now: Instant) -> Option<Instant> {
    let (real, shown) = (Instant::now(), clock::now());
    let at = match shown.checked_sub(ns) {
        Some(ago) => real.checked_sub(Duration::from_nanos(ago))?,
        None => real.checked_add(Duration::from_nanos(ns - shown))?,
    };
    (at <= now).then_some(at)
}

impl Scheduler {
    /// The task in `slot` is about to be queued: an attempt begins as soon as it is claimed.
    pub(in crate::scheduler) fn expect_attempt(&self, state: &mut State, slot: u32) {
        let inflight = &mut state.slots[slot];
        let generation = inflight.generation();
        let extra = inflight.extra_mut();
        let Some(timing) = extra.and_then(|extra| extra.timing.as_mut()) else {
            return;
        };
        let now = Instant::now();
        let note = &self.fold.notes[slot as usize];
        if timing.is_over {
            note.forget_cancel(generation);
        }
        (timing.queued, timing.is_told) = (now, false);
        (timing.began, timing.grace_ends, timing.is_over) = (None, None, false);
        let limit = timing.limit;
        let limit_ns = limit.map_or(u64::MAX, |l| l.as_nanos().try_into().unwrap_or(u64::MAX));
        self.fold.measures[slot as usize].expect(limit_ns);
        let Some(limit) = limit else {
            return;
        };
        note.set_run_limit(generation);
        if !std::mem::replace(&mut timing.is_watched, true) && state.run_limits.watch(limit, now) {
            self.bell.ring();
        }
    }

    /// The task in `slot` is neither queued nor runs; may be said twice.
    pub(in crate::scheduler) fn attempt_is_over(state: &mut State, slot: u32) {
        let extra = state.slots[slot].extra_mut();
        let Some(timing) = extra.and_then(|extra| extra.timing.as_mut()) else {
            return;
        };
        if let Some(limit) = timing.limit
            && std::mem::take(&mut timing.is_watched)
        {
            state.run_limits.let_go(limit);
        }
    }

    /// How long the present attempt of the task in `slot` has waited and run.
    pub(in crate::scheduler) fn spent(&self, state: &mut State, slot: u32) -> Spent {
        let now = Instant::now();
        let extra = state.slots[slot].extra_mut();
        let timing = extra.and_then(|extra| extra.timing.as_mut());
        let Some(timing) = timing.filter(|timing| !timing.is_told) else {
            return Spent::default();
        };
        let stamps = self.fold.measures[slot as usize].stamps();
        let stamp = |ns: u64| instant_of(ns, now).unwrap_or(now);
        let seen = timing.began;
        let told = || stamps.began.map(|ns| stamp(ns).max(timing.queued));
        let Some(began) = seen.or_else(told) else {
            let waited = Some(now.saturating_duration_since(timing.queued));
            return Spent { waited, ran: None };
        };
        timing.began = Some(began);
        let ended = stamps.ended.map_or(now, |ns| stamp(ns).max(began));
        Spent {
            waited: Some(began.saturating_duration_since(timing.queued)),
            ran: Some(ended.saturating_duration_since(began)),
        }
    }

    /// Looks whether what runs has run for too long, if it is time for that.
    pub(in crate::scheduler) fn look_at_limits(
        &self,
        state: &mut State,
        now: Instant,
        overdue: &mut Vec<Overdue>,
    ) {
        if state.run_limits.next().is_none_or(|next| next > now) {
            return;
        }
        let before = state.run_limits.look(now);
        for executor in 0..self.fold.plan.shape.executors() {
            // Relaxed: what is claimed after this is looked at next time.
            let current = &self.fold.executors[executor].doing.current;
            let task = Hint::unpack(current.load(Ordering::Relaxed));
            overdue.extend(self.look_at(state, (executor, task), before, now));
        }
    }

    fn look_at(
        &self,
        state: &mut State,
        (executor, task): (usize, Hint),
        before: Option<Instant>,
        now: Instant,
    ) -> Option<Overdue> {
        let Hint { slot, generation } = task;
        let inflight = state.slots.get_mut(slot.at())?;
        let is_there = inflight.is_of(generation);
        let extra = inflight.extra_mut().filter(|_| is_there)?;
        let timing = extra.timing.as_mut().filter(|timing| !timing.is_over)?;
        let limit = timing.limit?;
        let word = self.fold.slots[slot.at()].word();
        let is_running = TaskState::of(word) == Some(TaskState::Running)
            && word.generation == generation
            && word.owner as usize == executor;
        if !is_running {
            return None;
        }
        let began = *timing.began.get_or_insert_with(|| {
            let earliest = before.map_or(timing.queued, |before| timing.queued.max(before));
            let stamp = self.fold.measures[slot.at()].stamps().began;
            let told = stamp.and_then(|ns| instant_of(ns, now));
            told.unwrap_or(now).max(earliest)
        });
        let end = began.checked_add(limit)?;
        if end > now {
            state.run_limits.look_by(end);
            return None;
        }
        timing.is_over = true;
        Some(Overdue {
            worker: self.fold.plan.shape.worker_of(executor) as u32,
            was_asked: false,
            task: Hint {
                slot: SlotIndex(slot.0),
                generation,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stamp_of_the_future_is_none() {
        let now = Instant::now();
        assert_eq!(instant_of(u64::MAX, now), None);
        assert_eq!(instant_of(clock::now() + 1_000_000_000, now), None);
        let before = clock::now() - 1_000_000;
        assert!(instant_of(before, now).is_some_and(|at| now - at < ms(1000)));
    }
}
