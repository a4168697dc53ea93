//! A client's task becomes the scheduler's.

use crate::prim::Hint;
use crate::sys::barrier;

use crate::scheduler::clients::Clients;
use crate::scheduler::clients::books::{At, Books};
use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::SMALL;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::slots::inflight::Inflight;
use crate::scheduler::state::State;

impl State {
    /// The number of a ticket, of which that of a client is registered.
    #[inline]
    pub fn number(&self, ticket: &Ticket) -> u32 {
        self.clients.number(ticket)
    }
}

impl Clients {
    /// The same.
    #[inline]
    pub fn number(&self, ticket: &Ticket) -> u32 {
        match ticket.at_client() {
            None => ticket.id(),
            Some(at) => self.registered_as(at).unwrap_or(u32::MAX),
        }
    }
}

impl Scheduler {
    /// The number of a ticket; that of a client is registered. `None` in a process that was forked
    /// off.
    #[inline]
    pub(in crate::scheduler) fn number(&self, ticket: &Ticket) -> Option<u32> {
        match ticket.at_client() {
            None => Some(ticket.id()),
            Some(at) => self.register_one(&mut *self.state.lock_at_home()?, at),
        }
    }

    /// The same under the lock.
    #[inline]
    pub(in crate::scheduler) fn number_of(&self, state: &mut State, ticket: &Ticket) -> u32 {
        let number = match ticket.at_client() {
            None => Some(ticket.id()),
            Some(at) => self.register_one(state, at),
        };
        number.unwrap_or(u32::MAX)
    }

    /// Registers the task at `at`, if it is not; and collects it, if it has ended. Its ticket.
    #[cold]
    fn register_one(&self, state: &mut State, at: u32) -> Option<u32> {
        let (seat, place) = Clients::place(at);
        let mut books = self.clients.open(seat)?;
        let id = match books.at(place) {
            At::Registered { ticket, .. } => return Some(ticket),
            At::Here => self.register(state, &mut books, seat, place, true),
            // The handle has its value: there is a ticket that says so.
            At::Handed | At::Free => {
                let name = books.name(place);
                let id = state.tickets.open_taken(name);
                self.locations.set(id, Location::Nowhere);
                books.hand_on(place, id);
                return Some(id);
            }
        };
        drop(books);
        barrier::heavy();
        self.collect(state, self.fold.plan.shape.client_slots() + at);
        Some(id)
    }

    /// Registers the tasks of all clients, and collects those that have ended.
    pub(in crate::scheduler) fn register_all(&self, state: &mut State) {
        self.register_if(state, |_| true);
    }

    /// The same of those that have ended otherwise than with a value of a few bytes: so they are
    /// counted, and told if nobody will ask for them.
    pub(in crate::scheduler) fn register_odd_ends(&self, state: &mut State) {
        self.register_if(state, |hint| {
            let is_small = self.fold.slots[hint.slot.at()]
                .value_of_at_most(SMALL)
                .is_some();
            self.fold.has_ended(hint) && !is_small
        });
    }

    #[cold]
    fn register_if(&self, state: &mut State, is_meant: impl Fn(Hint) -> bool) {
        let mut registered = Vec::new();
        for (seat, mut books) in self.clients.all() {
            let mut here = books.here();
            here.retain(|place| is_meant(books.hint(*place)));
            for place in here {
                self.register(state, &mut books, seat, place, false);
                registered.push(books.hint(place).slot.0);
            }
        }
        if registered.is_empty() {
            return;
        }
        barrier::heavy();
        for slot in registered {
            self.collect(state, slot);
        }
        // Who waits for one of them waits elsewhere from here on.
        self.fold.wake_clients();
    }

    fn register(
        &self,
        state: &mut State,
        books: &mut Books,
        seat: u32,
        place: u32,
        is_one: bool,
    ) -> u32 {
        let (hint, name) = (books.hint(place), books.name(place));
        let id = state.tickets.open(name);
        let inflight = Inflight::of(hint.generation, id, name);
        state.slots.register(hint.slot.0, inflight);
        state.tally.note_submitted();
        self.locations.set(id, Location::Slot(hint));
        let registered = books.register(place, id, is_one);
        self.fold.clients[seat as usize].register(registered);
        id
    }
}
