//! Cancelling.
//!
//! | the task is | what happens |
//! | --- | --- |
//! | pending in a slot, queued, or waits for its next attempt | it ends; the compare-and-swap that does so competes with the claim |
//! | running | its note says that it is to end, and so do those of its [kin](crate::scheduler::recover::kin); it looks when it likes; there is no other attempt. With a grace, its worker is killed if it has not ended by then |
//! | ended | nothing |

use std::time::Instant;

use crate::error::TaskError;
use crate::prim::{Hint, SlotIndex};
use crate::task::TaskState;

use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::reach::Reach;
use crate::scheduler::time::timers::Due;

impl Scheduler {
    /// Cancels the task of `ticket`; false if it had ended, or goes on as if nothing had been.
    pub fn cancel(&self, ticket: &Ticket, reach: Reach) -> bool {
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        self.reap(&mut state);
        let id = self.number_of(&mut state, ticket);
        let was_there = self.cancel_ticket(&mut state, id, reach);
        drop(state);
        if was_there {
            // Whoever sleeps for all waiters is not told by `settle`.
            self.fold.host_bell.force();
        }
        was_there
    }

    /// Cancels everything that has not ended.
    pub fn cancel_all(&self) {
        let mut state = self.lock();
        self.register_all(&mut state);
        self.reap(&mut state);
        self.fail_pending(&mut state, &TaskError::cancelled());
        for slot in state.slots() {
            self.cancel_slot(&mut state, slot, Reach::Waiting);
        }
        // Detached ones too.
        self.tell_all_spawned();
        for slot in state.slots() {
            self.cancel_slot(&mut state, slot, Reach::Running);
        }
        drop(state);
        self.fold.host_bell.force();
    }

    /// Cancels everything that nobody runs; how many tasks that were.
    pub fn cancel_waiting(&self) -> usize {
        let mut state = self.lock();
        self.register_all(&mut state);
        self.reap(&mut state);
        let mut ended = self.fail_pending(&mut state, &TaskError::cancelled());
        for slot in state.slots() {
            ended += usize::from(self.cancel_slot(&mut state, slot, Reach::Waiting));
        }
        drop(state);
        self.fold.host_bell.force();
        ended
    }

    /// [Cancels](Scheduler::cancel) each of `tickets`.
    pub fn cancel_each<'a>(&self, tickets: impl Iterator<Item = &'a Ticket> + Clone, reach: Reach) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        self.reap(&mut state);
        for step in reach.steps() {
            for ticket in tickets.clone() {
                let id = self.number_of(&mut state, ticket);
                self.cancel_ticket(&mut state, id, step);
            }
        }
        drop(state);
        self.fold.host_bell.force();
    }

    /// Cancels those of `tickets` that nobody runs. The others go on, and nobody will ask for
    /// the outcome of any.
    pub fn abandon<'a>(&self, tickets: impl Iterator<Item = &'a Ticket>) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        self.reap(&mut state);
        let mut outcomes = Vec::new();
        for ticket in tickets {
            let id = self.number_of(&mut state, ticket);
            self.cancel_ticket(&mut state, id, Reach::Waiting);
            outcomes.extend(self.let_go_of(&mut state, ticket));
        }
        drop(state);
        // Not before: they may hold buffers.
        drop(outcomes);
        self.fold.host_bell.force();
    }

    pub(in crate::scheduler) fn cancel_ticket(
        &self,
        state: &mut State,
        id: u32,
        reach: Reach,
    ) -> bool {
        if state.tickets.is_settled(id) {
            return false;
        }
        let slot = match self.locations.get(id) {
            Location::Slot(hint) => hint.slot.0,
            Location::Nowhere => return false,
            Location::Node(at) => {
                let node = state.nodes.of(at, id);
                return node.is_some_and(|node| self.end_node(state, node, TaskError::cancelled()));
            }
        };
        let is_here = |state: &State| state.slots.is_at(slot as usize, id);
        if !is_here(state) {
            return false;
        }
        self.cancel_slot(state, slot, reach)
    }

    /// Cancels the task in `slot`; false if there is none, it has ended, or goes on as if
    /// nothing had been.
    pub(in crate::scheduler) fn cancel_slot(
        &self,
        state: &mut State,
        slot: u32,
        reach: Reach,
    ) -> bool {
        let before = state.slots[slot].generation();
        if state.slots[slot].ticket().is_none() {
            return false;
        }
        self.collect(state, slot);
        let inflight = &state.slots[slot];
        let generation = inflight.generation();
        if inflight.ticket().is_none() || generation != before {
            return false;
        }
        let root = Hint {
            slot: SlotIndex(slot),
            generation,
        };
        let cell = &self.fold.slots[slot as usize];
        // One that only waits to hear what it died of has ended, and is left to that.
        let has_died = || {
            state
                .losses
                .dying()
                .iter()
                .any(|d| d.ends(slot, generation))
        };
        let is_waiting = || TaskState::of(cell.word()) == Some(TaskState::Waiting);
        if is_waiting() && has_died() {
            return false;
        }
        if reach != Reach::Waiting {
            self.cancel_orphans(state, root);
        }
        // In this order: it may be queued in between, but never the other way round.
        if cell.withdraw(generation) || cell.cancel(generation) || is_waiting() {
            self.cancel_orphans(state, root);
            self.end_early(state, slot, TaskError::cancelled());
            return true;
        }
        if reach == Reach::Waiting {
            return false;
        }
        let extra = state.slots[slot].extra_or_default();
        extra.is_cancelled = true;
        self.fold.notes[slot as usize].cancel(generation);
        self.fold.header.cancels();
        self.fold.wake_told();
        self.tell_kin(root);
        if let Reach::Within(grace) = reach
            && let Some(at) = Instant::now().checked_add(grace)
        {
            self.add_timer(state, at, slot, Due::Deadline);
        }
        true
    }

    pub(in crate::scheduler) fn was_cancelled(&self, state: &State, slot: u32) -> bool {
        let extra = state.slots[slot].extra();
        extra.as_ref().is_some_and(|extra| extra.is_cancelled)
    }
}
