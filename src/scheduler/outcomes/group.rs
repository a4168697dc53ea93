//! Groups: waiting for whichever of several tasks ends next.
//!
//! ```text
//!   watch: ticket ──▶ (group, tag)      up to two groups for a ticket
//!   a task ends ──▶ its ticket has the outcome
//!               └─▶ each group that watches it: (tag, error?)  ──▶ who waits
//! ```
//!
//! A ticket names the groups that watch it; so an end costs the same, however large
//! the group, and the ends of a group are read in the order in which they came. A
//! group hears of an end also when nobody asks for the outcome any more.
//!
//! Two are enough: the scope that a task was spawned in, and the one call that has its
//! handle now. Of several threads that look at the same handles at the same time, those for which there is no
//! place are told so, and follow the tasks instead (`runtime/wait.rs`).

use std::task::Waker;
use std::thread;
use std::time::Instant;

use crate::error::TaskError;

use crate::scheduler::outcomes::groups::{Ended, Group, Watch};
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::{Outcome, forked};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::reach::Reach;
use crate::scheduler::waiting::patience::{learn, patience};
use crate::scheduler::waiting::sleepers::Awaited;

impl Scheduler {
    /// A new group of no task.
    pub fn open_group(&self) -> Group {
        let id = self.lock().tickets.groups.open();
        Group::new(id)
    }

    /// Forgets a group. Its tasks go on.
    pub fn close_group(&self, group: Group) {
        // Dropped after the lock: it is the user's.
        let state = self.state.lock_at_home();
        let _waker = state.and_then(|mut state| state.tickets.groups.close(group.id()));
    }

    /// Has `waker` woken by the attendant when something has ended in a group, instead of the
    /// one before; false if something has.
    pub fn wake_for_group(&self, group: &Group, waker: &Waker) -> bool {
        // What wakers do is the user's own: without the lock.
        let waker = waker.clone();
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        self.reap(&mut state);
        if state.tickets.groups.has_ended(group.id()) {
            return false;
        }
        let before = state.tickets.groups.set_waker(group.id(), Some(waker));
        self.presses(&mut state);
        drop(state);
        drop(before);
        true
    }

    /// Nobody is to be woken for a group any more.
    pub fn wake_nobody(&self, group: &Group) {
        let state = self.state.lock_at_home();
        let _waker = state.and_then(|mut state| state.tickets.groups.set_waker(group.id(), None));
    }

    /// Adds tasks to a group, each under a tag.
    ///
    /// False if a ticket is watched by two others already: its end is not told.
    pub fn enrol<'a>(
        &self,
        group: &Group,
        tickets: impl Iterator<Item = (u32, &'a Ticket)>,
    ) -> bool {
        let Some(mut state) = self.state.lock_at_home() else {
            tickets.for_each(drop); // whoever counts them does so all the same
            return true;
        };
        let group = group.id();
        let mut has_all = true;
        for (tag, ticket) in tickets {
            let id = self.number_of(&mut state, ticket);
            has_all &= state.tickets.watch(id, Watch::new(group, tag));
        }
        has_all
    }

    /// Adds to `ended` what has ended in a group since the last call; never waits.
    pub fn take_ended(&self, group: &Group, ended: &mut Vec<Ended>) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        self.reap(&mut state);
        state.tickets.groups.take_ended(group.id(), ended);
    }

    /// Waits until something has ended in a group, or somebody pokes it, until
    /// `deadline`.
    pub fn wait_for_group(&self, group: &Group, deadline: Option<Instant>) {
        let is_ready = |state: &State| state.tickets.groups.is_ready(group.id());
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        self.reap(&mut state);
        if is_ready(&state) {
            return;
        }
        let members = state.tickets.groups.members(group.id());
        drop(state);
        self.nap(members, deadline);
        let begin = Instant::now();
        let until = begin + patience();
        let scarce = self.is_scarce();
        while Instant::now() < until {
            let mut state = self.lock();
            self.reap(&mut state);
            if is_ready(&state) {
                return;
            }
            drop(state);
            if scarce {
                thread::yield_now();
            } else {
                (0..64).for_each(|_| std::hint::spin_loop());
            }
        }
        self.wait_until(Awaited::Group(group.id()), deadline, is_ready);
        learn(begin.elapsed());
    }

    /// Makes who waits for a group stop waiting.
    pub fn poke(&self, group: &Group) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        state.tickets.groups.poke(group.id());
        state
            .waiting
            .wake(|awaited| matches!(awaited, Awaited::Group(id) if id == group.id()));
        drop(state);
        // It may be the one who sleeps for all.
        self.fold.host_bell.force();
    }

    /// [Cancels](Scheduler::cancel) every task of a group, as far as `reach` goes.
    pub fn cancel_group(&self, group: &Group, reach: Reach) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        // First, or the end of one of the others may have them begin where this has looked.
        self.cancel_pending_of(&mut state, group.id());
        for step in reach.steps() {
            for slot in state.slots() {
                let ticket = state.slots[slot].ticket();
                if ticket.is_some_and(|id| state.tickets.is_watched_by(id, group.id())) {
                    self.cancel_slot(&mut state, slot, step);
                }
            }
        }
        drop(state);
        // Whoever sleeps for all waiters is not told by `settle`.
        self.fold.host_bell.force();
    }

    /// Takes the outcomes of `tickets`, which have ended.
    pub fn take_settled<'a>(
        &self,
        tickets: impl Iterator<Item = &'a Ticket>,
        mut each: impl FnMut(Outcome),
    ) {
        let Some(mut state) = self.state.lock_at_home() else {
            return tickets.for_each(|_| each(forked()));
        };
        for ticket in tickets {
            let id = self.number_of(&mut state, ticket);
            let outcome = state.tickets.take(id);
            each(outcome.unwrap_or_else(|| Err(Box::new(TaskError::already_joined()))));
        }
    }
}
