//! Cancelling.
//!
//! | the task is | what happens |
//! | --- | --- |
//! | pending in a slot, queued, or waits for its next attempt | it ends; the compare-and-swap that does so competes with the claim |
//! | running | its note says that it is to end, and so do those of its [kin](super::kin); it looks when it likes; there is no other attempt. With a grace, its worker is killed if it has not ended by then |
//! | ended | nothing |

use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::prim::{Hint, SlotIndex};
use crate::task::TaskState;

use super::Scheduler;
use super::locations::Location;
use super::state::State;
use super::ticket::Ticket;
use super::timers::Due;

impl Scheduler {
    /// Cancels the task of `ticket`; false if it had ended.
    pub fn cancel(&self, ticket: &Ticket, grace: Option<Duration>) -> bool {
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        self.reap(&mut state);
        let was_there = self.cancel_ticket(&mut state, ticket.id(), grace);
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
        self.reap(&mut state);
        self.fail_pending(&mut state, &TaskError::cancelled());
        // Detached ones too.
        self.tell_all_spawned();
        for slot in state.slots() {
            self.cancel_slot(&mut state, slot, None);
        }
        drop(state);
        self.fold.host_bell.force();
    }

    fn cancel_ticket(&self, state: &mut State, id: u32, grace: Option<Duration>) -> bool {
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
        let is_here = |state: &State| {
            let inflight = state.inflight.get(slot as usize);
            inflight.is_some_and(|inflight| inflight.ticket == Some(id))
        };
        if !is_here(state) {
            return false;
        }
        self.cancel_slot(state, slot, grace)
    }

    /// Cancels the task in `slot`; false if there is none, or it has ended.
    pub(super) fn cancel_slot(
        &self,
        state: &mut State,
        slot: u32,
        grace: Option<Duration>,
    ) -> bool {
        let before = state.inflight[slot as usize].generation;
        if state.inflight[slot as usize].ticket.is_none() {
            return false;
        }
        self.collect(state, slot);
        let inflight = &state.inflight[slot as usize];
        let generation = inflight.generation;
        if inflight.ticket.is_none() || generation != before {
            return false;
        }
        let root = Hint {
            slot: SlotIndex(slot),
            generation,
        };
        let cell = &self.fold.slots[slot as usize];
        // One that only waits to hear what it died of has ended, and is left to that.
        let has_died = || state.dying.iter().any(|d| d.ends(slot, generation));
        let is_waiting = || TaskState::of(cell.word()) == Some(TaskState::Waiting);
        if is_waiting() && has_died() {
            return false;
        }
        self.cancel_orphans(state, root);
        // In this order: it may be queued in between, but never the other way round.
        if cell.withdraw(generation) || cell.cancel(generation) || is_waiting() {
            self.end_early(state, slot, TaskError::cancelled());
            return true;
        }
        let extra = state.inflight[slot as usize].extra.get_or_insert_default();
        extra.is_cancelled = true;
        self.fold.notes[slot as usize].cancel(generation);
        self.fold.header.cancels();
        self.tell_kin(root);
        if let Some(at) = grace.and_then(|grace| Instant::now().checked_add(grace)) {
            self.add_timer(state, at, slot, Due::Deadline);
        }
        true
    }

    pub(super) fn was_cancelled(&self, state: &State, slot: u32) -> bool {
        let extra = &state.inflight[slot as usize].extra;
        extra.as_ref().is_some_and(|extra| extra.is_cancelled)
    }
}
