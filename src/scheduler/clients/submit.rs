//! Submitting through a client.

use crate::lock::{Guard, note_met, seat};
use crate::prim::{ExecutorId, Hint};
use crate::sys::{barrier, prefetch_for_write};
use crate::task::{FunctionId, Payload};

use crate::layout::CLIENT_SLOTS;
use crate::scheduler::clients::Clients;
use crate::scheduler::clients::books::Books;
use crate::scheduler::dispatch::balance::WORTH_WAKING_NS;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;

impl Scheduler {
    /// As [`Scheduler::submit_plain`], by whoever submits one task after the other and may be one of
    /// several threads that do: these do not wait for each other.
    #[inline]
    pub fn submit_from_anywhere(
        &self,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        // Nothing is made of the lock's guard: what was just written in pieces is not moved.
        match self.state.lock_as_favourite() {
            Some(mut state) => self.submit_here(&mut state, function, arguments, name),
            None => self.submit_as_client(function, arguments, name),
        }
    }

    #[inline(never)]
    fn submit_as_client(
        &self,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        let client = match seat() {
            Some(seat) => self.clients.of_seat(seat, || self.withhold()),
            None => {
                note_met();
                None
            }
        };
        let ticket = client.and_then(|client| self.submit_at(client, function, arguments, name));
        ticket.or_else(|| self.submit_plain(function, arguments, name))
    }

    /// If the queue is bounded: what a client may have in flight is withheld from the others.
    #[cold]
    fn withhold(&self) -> bool {
        !self.clients.are_bounded() || self.lock().slots.withhold(CLIENT_SLOTS)
    }

    #[inline]
    fn submit_at(
        &self,
        seat: u32,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        let mut books = self.clients.open(seat)?;
        if !self.clients.is_open() {
            return None;
        }
        let hint = books.begin(name)?;
        let Hint { slot, generation } = hint;
        let cell = &self.fold.slots[slot.at()];
        cell.write_plain(function.0, arguments.len(), arguments.words());
        cell.queue(generation);
        let at = slot.0 - self.fold.plan.shape.client_slots();
        if books.offer(hint) != Ok(true) {
            // What no executor writes is found by whoever looks at all rings.
            cell.release(generation);
            books.take_back(Clients::place(at).1);
            return None;
        }
        if let Some(next) = books.next() {
            prefetch_for_write(&self.fold.slots[next as usize]);
        }
        // The executors, before they sleep, pass the heavy barrier.
        barrier::light();
        if self.fold.crowd.sleeping.any() {
            self.wake_for_client(seat, books);
        }
        Some(Ticket::of_client(at))
    }

    /// Somebody sleeps, and a client has offered a task: wakes one if that is worth it. If not, those
    /// who are awake come to it; that they do is looked after.
    #[inline(never)]
    fn wake_for_client(&self, seat: u32, mut books: Guard<'_, Books>) {
        let crowd = &self.fold.crowd;
        let executors = self.fold.plan.shape.executors();
        let task_ns = || self.grains().max().unwrap_or(0);
        let ns_offered = books.ns_offered(task_ns);
        drop(books);
        let is_worth = crowd.sleeping.count() == executors
            || ns_offered.is_none_or(|ns| ns >= WORTH_WAKING_NS);
        let is_woken = is_worth && self.fold.wake_one(ExecutorId(seat % executors as u32));
        if !is_woken && !self.clients.is_watched() {
            self.watch_clients();
        }
    }

    /// See [`Scheduler::look_behind`].
    #[cold]
    fn watch_clients(&self) {
        self.watch(&mut self.lock());
    }

    /// Nobody looks after what clients have offered any more; whether there is anything.
    pub(in crate::scheduler) fn look_behind_at_clients(&self) -> bool {
        self.clients.set_watched(false);
        if !self.clients.is_any_open() {
            return false;
        }
        barrier::heavy();
        self.clients.is_any_queued()
    }
}
