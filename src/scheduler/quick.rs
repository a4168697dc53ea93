//! The short way of most tasks: a few bytes of arguments, no settings, room in the queue;
//! and a few bytes of result, which nobody but the handle waits for. Each of these does what
//! the long way does, in fewer steps; or nothing, and the long way is to be gone.

use crate::prim::ExecutorId;
use crate::sys::barrier;
use crate::task::{FunctionId, Payload, TaskState};

use super::Scheduler;
use super::depend::{Dependent, Named, PENDING_MAX};
use super::inputs::{Input, Rebuild};
use super::pending::{Arrived, NodeId};
use super::place::TOGETHER;
use super::state::State;
use super::ticket::{Settled, Ticket};
use super::value::SMALL;

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
        let mut state = self.lock();
        self.submit_here(&mut state, function, arguments, name)
    }

    /// The same for a task that depends on `after`, if each of these has not ended, or has
    /// with a value of a few bytes: if all have, those are put behind `arguments`, which may
    /// be spoilt otherwise.
    #[inline]
    pub fn submit_plain_after(
        &self,
        function: FunctionId,
        arguments: &mut Payload,
        name: fn() -> &'static str,
        after: &[Option<Named<'_>>],
        rebuild: Rebuild,
    ) -> Option<Ticket> {
        let mut state = self.lock();
        let len = arguments.len();
        let mut is_pending = false;
        for (ticket, _) in after.iter().flatten() {
            if state.tickets.is_open(ticket.id) {
                is_pending = true;
                continue;
            }
            let (a, b, c, len) = state.tickets.small(ticket.id)?;
            if !is_pending {
                let words = [a, b, c];
                let bytes: &[u8] = bytemuck::cast_slice(&words);
                arguments.extend(&bytes[..usize::from(len).min(SMALL)]);
            }
        }
        if is_pending {
            arguments.truncate(len);
            return self.add_plain(&mut state, function, arguments, name, after, rebuild);
        }
        if !arguments.is_inline() {
            return None;
        }
        self.submit_here(&mut state, function, arguments, name)
    }

    #[inline]
    fn submit_here(
        &self,
        state: &mut State,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<Ticket> {
        if state.closed.is_some() || state.profiling.is_some() || state.free.is_empty() {
            return None;
        }
        let id = state.tickets.open();
        let hint = self.fill_plain(state, function, arguments, name, id);
        self.place_plain(state, hint.pack());
        self.reap_meanwhile(state);
        Some(Ticket::new(id, hint))
    }

    /// Has a plain task wait for those of `after` that have not ended; the others have, with
    /// a value of a few bytes.
    #[inline]
    fn add_plain(
        &self,
        state: &mut State,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
        after: &[Option<Named<'_>>],
        rebuild: Rebuild,
    ) -> Option<Ticket> {
        if state.closed.is_some() || state.nodes.count() >= PENDING_MAX {
            return None;
        }
        let id = state.tickets.open();
        let node = state
            .nodes
            .add_plain(id, function, arguments, name, rebuild);
        state.tickets.is_pending(id, node);
        for (ticket, name) in after.iter().flatten() {
            let Some(plain) = state.nodes.plain(node) else {
                break; // it was just made
            };
            if let Some((a, b, c, len)) = state.tickets.small(ticket.id) {
                plain.push(len, [a, b, c]);
                continue;
            }
            let input = plain.push_missing(*name);
            // It has not ended: this is still under the lock that it was seen under.
            if state.tickets.depend(ticket.id, Dependent { node, input }) == Some(true) {
                self.is_followed(state);
            }
        }
        self.reap_meanwhile(state);
        Some(Ticket::nowhere(id))
    }

    /// Chooses an inbox for a hint of normal priority, and shows it.
    #[inline]
    pub(super) fn place_plain(&self, state: &mut State, hint: u64) {
        let executor = self.choose(state);
        // What others have staged is shown together with it.
        if !state.touched.is_empty() || state.inboxes[executor].stage(hint) != Ok(true) {
            self.place(state, hint);
            self.publish(state);
            return;
        }
        self.is_awake(state);
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
    #[inline]
    pub(super) fn collect_plain(&self, state: &mut State, slot: u32) -> bool {
        let inflight = &mut state.inflight[slot as usize];
        let cell = &self.fold.slots[slot as usize];
        let word = cell.word();
        let is_done = word.generation == inflight.generation && word.state == TaskState::Done as u8;
        let is_plain =
            inflight.extra.is_none() && state.profiling.is_none() && state.waiters.is_empty();
        let (true, true, Some(ticket)) = (is_done, is_plain, inflight.ticket) else {
            return false;
        };
        let Some(len) = cell.value_of_at_most(SMALL) else {
            return false;
        };
        let words = cell.first_words();
        let settled = state.tickets.settle_plain(ticket, len as u8, words);
        if matches!(settled, Settled::Not) {
            return false;
        }
        inflight.ticket = None;
        cell.release(inflight.generation);
        inflight.generation = inflight.generation.next();
        state.free.push(slot);
        state.in_flight -= 1;
        state.counters.completed += 1;
        if let Settled::ForOne(dependent) = settled {
            state.followed -= 1;
            self.arrived_small(state, dependent, len as u8, words);
        }
        true
    }

    /// What a pending task depends on has come. Whoever collects releases, and publishes.
    #[inline]
    fn arrived_small(
        &self,
        state: &mut State,
        dependent: Dependent,
        len: u8,
        words: [u64; SMALL / 8],
    ) {
        let Dependent { node, input } = dependent;
        match state.nodes.arrive(node, input, len, words) {
            Arrived::Waits => {}
            Arrived::Ready => self.start_plain(state, node),
            Arrived::Elsewhere => {
                let input = Input::small(len, words);
                state.tickets.arrivals.push((dependent, Ok(input)));
            }
        }
    }

    /// Of a plain pending task nothing is missing: from where it lies into a slot.
    #[inline]
    pub(super) fn start_plain(&self, state: &mut State, id: NodeId) {
        let has_room =
            state.failed.is_none() && state.profiling.is_none() && !state.free.is_empty();
        let mut payload = Payload::new();
        let plain = state.nodes.plain(id).filter(|_| has_room);
        let Some(plain) = plain.filter(|plain| plain.pack(&mut payload)) else {
            self.start(state, id);
            return;
        };
        let (ticket, function, name) = (plain.ticket, plain.function, plain.name);
        state.nodes.forget(id);
        let hint = self.fill_plain(state, function, &payload, name, ticket);
        state.tickets.set_place(ticket, hint);
        self.place(state, hint.pack());
    }
}
