//! The short way of most tasks: a few bytes of arguments, no settings, room in the queue;
//! and a few bytes of result, which nobody but the handle waits for. Each of these does what
//! the long way does, in fewer steps; or nothing, and the long way is to be gone.

use crate::prim::ExecutorId;
use crate::sys::barrier;
use crate::task::{FunctionId, Payload, TaskState};

use crate::scheduler::Scheduler;
use crate::scheduler::depend::after::{Dependent, Few};
use crate::scheduler::depend::in_slots::Plain;
use crate::scheduler::depend::inputs::{Input, Rebuild};
use crate::scheduler::dispatch::place::TOGETHER;
use crate::scheduler::outcomes::following::Settled;
use crate::scheduler::outcomes::group::Watchers;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::{SMALL, Taken};
use crate::scheduler::state::State;

/// So often it is looked for the end of one that is alone: for a µs or two.
const LOOKS: usize = 64;

impl State {
    /// See [`Scheduler::take_small`]; and whether no other task is in flight.
    #[inline]
    fn take_small(&mut self, id: u32, to: &mut [u64; SMALL / 8]) -> (Option<Taken>, bool) {
        (self.tickets.take_small(id, to), self.in_flight == 1)
    }
}

impl Scheduler {
    /// Submits a task without settings, with inline arguments and no buffers among them.
    /// `None`: there is no room now, or something else that takes longer.
    #[inline]
    pub fn submit_plain(
        &self,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        debug_assert!(arguments.is_inline(), "long arguments go the long way");
        // Nothing is made of the lock's guard: what was just written in pieces is not moved.
        match self.state.lock_as_favourite() {
            Some(mut state) => self.submit_here(&mut state, function, arguments, name),
            None => self.submit_plain_slowly(function, arguments, name),
        }
    }

    /// The same for a thread that submits now and then.
    #[cold]
    #[inline(never)]
    fn submit_plain_slowly(
        &self,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        self.submit_here(&mut self.lock(), function, arguments, name)
    }

    /// The same for a task that depends on others, if each of these has not ended, or has
    /// with a value of a few bytes; these are put behind `arguments`, which may be spoilt
    /// otherwise.
    #[inline]
    pub fn submit_plain_after(
        &self,
        function: FunctionId,
        arguments: &mut Payload,
        name: fn() -> &'static str,
        few: &Few<'_>,
        rebuild: Rebuild,
    ) -> Option<Ticket> {
        let (after, list_len) = few.all()?;
        if list_len > 0 {
            // As it is encoded: one byte, for there are few.
            arguments.extend(&[list_len as u8]);
        }
        let mut state = self.state.lock_at_home()?;
        if after
            .iter()
            .any(|ticket| state.tickets.is_open(ticket.id()))
        {
            let task = Plain {
                function,
                arguments,
                name,
                list_len,
                rebuild,
            };
            return self.pend(&mut state, &task, after);
        }
        for ticket in after {
            let (a, b, c, len) = state.tickets.small(ticket.id())?;
            if !arguments.extend_by_words(&[a, b, c], len.into()) {
                return None;
            }
        }
        self.submit_here(&mut state, function, arguments, name)
    }

    #[inline(always)]
    pub(in crate::scheduler) fn submit_here(
        &self,
        state: &mut State,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        if state.closed.is_some() || state.profiling.is_some() || state.free.is_empty() {
            return None;
        }
        let id = state.tickets.open(name);
        let hint = self.fill_plain(state, function, arguments, name, id);
        self.place_plain(state, hint.pack());
        self.reap_meanwhile(state);
        state.ask_for_next(&self.fold);
        Some(Ticket::new(id))
    }

    /// Chooses an inbox for a hint of normal priority, and shows it.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(in crate::scheduler) fn place_plain(&self, state: &mut State, hint: u64) {
        let executor = self.choose(state);
        // What others have staged is shown together with it.
        if !state.touched.is_empty() || state.inboxes[executor].stage(hint) != Ok(true) {
            self.place(state, hint);
            self.publish(state);
            return;
        }
        self.note_awake(state);
        state.inboxes[executor].publish();
        // The executors, before they sleep, pass the heavy barrier.
        barrier::light();
        let sleeping = &self.fold.crowd.sleeping;
        if !sleeping.any() {
            return;
        }
        // Of tasks that come together the first has seen to the rest, as long as their
        // executor is awake.
        let is_first = state.stays == TOGETHER - 1 || state.stays == 0;
        let is_seen_to = !is_first && state.watch.is_some();
        if !is_seen_to || sleeping.contains(executor as u32) {
            self.wake_for(state, ExecutorId(executor as u32));
        }
    }

    /// Moves the outcome of the plain task in `slot` to its ticket; false: it is not done,
    /// or there is more to do than that.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(in crate::scheduler) fn collect_plain(&self, state: &mut State, slot: u32) -> bool {
        let inflight = &mut state.inflight[slot as usize];
        let cell = &self.fold.slots[slot as usize];
        let word = cell.word();
        let is_done = word.generation == inflight.generation && word.state == TaskState::Done as u8;
        let is_plain = inflight.extra.is_none() && state.profiling.is_none();
        let (true, true, Some(ticket)) = (is_done, is_plain, inflight.ticket) else {
            return false;
        };
        let Some(len) = cell.value_of_at_most(SMALL) else {
            return false;
        };
        let [a, b, c] = cell.first_words();
        let settled = state.tickets.settle_plain(ticket, len as u8, a, b, c);
        if matches!(settled, Settled::Not) {
            return false;
        }
        // Before the slot is given up: it says how many of them were told.
        let edges = if state.graph.sources > 0 {
            state.graph.pick_up(slot, inflight.generation, cell)
        } else {
            None
        };
        inflight.ticket = None;
        cell.release(inflight.generation);
        inflight.generation = inflight.generation.next();
        state.vacate(slot);
        state.counters.completed += 1;
        // Whoever collects releases what has arrived, and publishes. The words are read once
        // more: they are in the slot until it is used again.
        if let Some(laid) = edges {
            self.bring_all(state, &laid, len as u8, &cell.first_words());
        }
        if let Settled::ForOne(dependent) = settled {
            let words = cell.first_words();
            state.followed -= 1;
            match dependent {
                Dependent::Slot(edge) => self.bring(state, edge, len as u8, &words),
                Dependent::Node { .. } => {
                    let input = Input::small(len as u8, words);
                    state.tickets.arrivals.push((dependent, Ok(input)));
                }
            }
        }
        if !state.waiters.is_empty() {
            self.call_waiters(state, ticket, Watchers::NONE);
        }
        true
    }

    /// The length of the value of `ticket`, if that is of a few bytes, which go to `to`; the
    /// ticket is gone then. Mostly it is there, when many are in flight and were collected
    /// together; of one that is alone it may come in a moment.
    #[inline]
    pub fn take_small(&self, ticket: &Ticket, to: &mut [u64; SMALL / 8]) -> Option<Taken> {
        let id = ticket.id();
        // Nothing is made of the lock's guard: what was just written in pieces is not moved.
        let (taken, is_alone) = match self.state.lock_as_favourite() {
            Some(mut state) => state.take_small(id, to),
            None => self.state.lock_at_home()?.take_small(id, to),
        };
        if taken.is_some() || !is_alone {
            return taken;
        }
        self.take_small_soon(id, to)
    }

    /// The same of a task that is alone, and may end in a moment.
    #[inline(never)]
    fn take_small_soon(&self, id: u32, to: &mut [u64; SMALL / 8]) -> Option<Taken> {
        for _ in 0..LOOKS {
            let place = self.locations.hint(id);
            if self.has_ended(place) {
                return self.take_small_from(place.slot.0, id, to);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The same of a plain task that has just ended in this slot.
    #[inline]
    fn take_small_from(&self, slot: u32, id: u32, to: &mut [u64; SMALL / 8]) -> Option<Taken> {
        let mut state = self.lock();
        let inflight = state.inflight.get(slot as usize);
        let is_here = inflight.is_some_and(|inflight| inflight.ticket == Some(id));
        if is_here && state.is_nothing_followed() && self.collect_plain(&mut state, slot) {
            self.reap_along(&mut state);
        }
        state.tickets.take_small(id, to)
    }
}
