//! Cancelling: a task that was not begun never is.
//!
//! The compare-and-swap that takes it back competes with the claim, as that of a
//! deadline does. A task that waits for its next attempt is the host's anyway; one
//! that only waits to hear what it died of has ended, and is left to that.

use crate::error::TaskError;
use crate::task::TaskState;

use super::Scheduler;
use super::state::State;
use super::ticket::Ticket;

impl Scheduler {
    /// Ends the task of `ticket` with [`TaskError::Cancelled`], if nobody has begun
    /// it; false if it is running or has ended.
    pub fn cancel(&self, ticket: &Ticket) -> bool {
        let hint = ticket.hint();
        let mut state = self.lock();
        let is_there = state.inflight.get(hint.slot.at()).is_some_and(|inflight| {
            inflight.ticket == Some(ticket.id) && inflight.generation == hint.generation
        });
        let is_cancelled = is_there && self.cancel_slot(&mut state, hint.slot.0);
        drop(state);
        if is_cancelled {
            // Whoever sleeps for all waiters is not told by `settle`.
            self.fold.host_bell.force();
        }
        is_cancelled
    }

    /// The same for the task in `slot`, which is in flight; does not wake who sleeps
    /// on the bell.
    pub(super) fn cancel_slot(&self, state: &mut State, slot: u32) -> bool {
        if self.collect(state, slot) {
            return false;
        }
        let generation = state.inflight[slot as usize].generation;
        let cell = &self.fold.slots[slot as usize];
        let waits_for_an_attempt = || {
            TaskState::of(cell.word()) == Some(TaskState::Waiting)
                && !state.dying.iter().any(|dying| dying.ends(slot, generation))
        };
        if !cell.cancel(generation) && !waits_for_an_attempt() {
            return false;
        }
        state.counters.cancelled += 1;
        self.settle(state, slot, Err(Box::new(TaskError::Cancelled)));
        true
    }
}
