//! Outcomes that are looked at, and stay where they are.

use std::time::Instant;

use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::Outcome;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

/// How the outcome of a ticket is had that has ended: taken, or left there.
pub(in crate::scheduler) trait Get:
    Fn(&Scheduler, &mut State, u32) -> Option<Outcome> + Copy
{
}

impl<F: Fn(&Scheduler, &mut State, u32) -> Option<Outcome> + Copy> Get for F {}

impl Scheduler {
    /// As [`Scheduler::wait`], but whoever asks again gets the outcome again.
    pub fn look(&self, ticket: &Ticket, deadline: Option<Instant>) -> Option<Outcome> {
        self.wait_and_nap(ticket, deadline, true, Self::show)
    }

    /// The same as far as it is there.
    pub fn peek(&self, ticket: &Ticket) -> Option<Outcome> {
        self.poll_and(ticket, Self::show)
    }

    fn show(&self, state: &mut State, id: u32) -> Option<Outcome> {
        state.tickets.look(id)
    }
}
