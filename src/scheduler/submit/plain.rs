//! The short way into the queue, which most tasks take: a few bytes of arguments, no settings,
//! and there is room. Each function here either does what the long way does (`super::accept`),
//! in fewer steps, or changes nothing and returns `None`: then the caller takes the long way.

use std::sync::Arc;

use crate::prim::ExecutorId;
use crate::sys::barrier;
use crate::task::{FunctionId, Payload};

use crate::scheduler::depend::after::Few;
use crate::scheduler::depend::in_slots::Plain;
use crate::scheduler::depend::inputs::Rebuild;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

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

    /// The same with a reference to this scheduler such as `like`, which is mostly one that was left
    /// before: nothing is counted. For the thread that mostly submits; `None` for any other.
    #[inline]
    pub fn submit_plain_with<T>(
        &self,
        like: &Arc<T>,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<(Arc<T>, Ticket)> {
        let mut state = self.state.lock_as_favourite()?;
        // First: if it is counted, that waits for the stores to lines that travel.
        let own = state.spare.take(like);
        let ticket = self.submit_here(&mut state, function, arguments, name)?;
        Some((own, ticket))
    }

    /// No references are left to others from here on. Not to be called in a
    /// [`Section`](crate::lock::Section).
    pub fn close_spare<T>(&self, of: &Arc<T>) {
        let closing = self.lock().spare.close(of);
        drop(closing);
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
        for ticket in after {
            self.number_of(&mut state, ticket);
        }
        if after
            .iter()
            .any(|ticket| state.tickets.is_open(state.number(ticket)))
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
            let (a, b, c, len) = state.tickets.small(state.number(ticket))?;
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
        if !state.door.is_open() || state.profiling.is_some() || state.slots.is_full() {
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
        let executor = self.choose(&mut state.queues, &mut state.choice);
        // What others have staged is shown together with it.
        if state.queues.is_touched() || !state.queues.stage(executor, hint) {
            self.place(state, hint);
            self.publish(state);
            return;
        }
        self.note_awake(state);
        state.queues.publish(executor);
        // The executors, before they sleep, pass the heavy barrier.
        barrier::light();
        let sleeping = &self.fold.crowd.sleeping;
        if !sleeping.any() {
            return;
        }
        // Of tasks that come together the first has seen to the rest, as long as their
        // executor is awake.
        let is_seen_to = !state.choice.is_first() && state.stall.is_watched();
        if !is_seen_to || sleeping.contains(executor as u32) {
            self.wake_for(state, ExecutorId(executor as u32));
        }
    }
}
