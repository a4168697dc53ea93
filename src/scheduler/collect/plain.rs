//! The short way from a slot to its ticket, which most tasks take: a few bytes of result, for
//! which nobody but the handle waits. Each function here either does what the long way does
//! (`super::settle`), in fewer steps, or changes nothing and says so: then the caller takes the
//! long way.

use crate::lock::Leaving;
use crate::task::TaskState;

use crate::scheduler::depend::dependent::Dependent;
use crate::scheduler::depend::inputs::Input;
use crate::scheduler::outcomes::following::Settled;
use crate::scheduler::outcomes::groups::Watchers;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::{SMALL, Taken};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

/// So often it is looked for the end of one that is alone: for a µs or two.
const LOOKS: usize = 64;

impl Scheduler {
    /// Moves the outcome of the plain task in `slot` to its ticket; false: it is not done,
    /// or there is more to do than that.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(in crate::scheduler) fn collect_plain(&self, state: &mut State, slot: u32) -> bool {
        let inflight = &mut state.slots[slot];
        let cell = &self.fold.slots[slot as usize];
        let word = cell.word();
        let is_done =
            word.generation == inflight.generation() && word.state == TaskState::Done as u8;
        let is_plain = inflight.extra().is_none() && state.profiling.is_none();
        let (true, true, Some(ticket)) = (is_done, is_plain, inflight.ticket()) else {
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
        let edges = if state.graph.sources() > 0 {
            state.graph.pick_up(slot, inflight.generation(), cell)
        } else {
            None
        };
        cell.release(inflight.generation());
        inflight.end();
        state.vacate(slot);
        state.tally.note_completed();
        // Whoever collects releases what has arrived, and publishes. The words are read once
        // more: they are in the slot until it is used again.
        if let Some(laid) = edges {
            self.bring_all(state, &laid, len as u8, &cell.first_words());
        }
        if let Settled::ForOne(dependent) = settled {
            let words = cell.first_words();
            state.followers.remove();
            match dependent {
                Dependent::Slot(edge) => self.bring(state, edge, len as u8, &words),
                Dependent::Node { .. } => {
                    let input = Input::small(len as u8, words);
                    state.tickets.arrivals.push((dependent, Ok(input)));
                }
            }
        }
        if !state.waiting.is_nobody() {
            self.call_waiters(state, ticket, Watchers::NONE);
        }
        true
    }

    /// The length of the value of `ticket`, if that is of a few bytes, which go to `to`; the
    /// ticket is gone then. Mostly it is there, when many are in flight and were collected
    /// together; of one that is alone it may come in a moment.
    #[inline]
    pub fn take_small(&self, ticket: &Ticket, to: &mut [u64; SMALL / 8]) -> Option<Taken> {
        if let Some(at) = ticket.at_client() {
            return self.take_small_at(at, to);
        }
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

    /// Takes the value of `ticket`, if that is there, of a few bytes and no `Err`, and `accepts` these; the
    /// ticket is gone then, and the reference to this is left to others, if it may be. As in
    /// [`Scheduler::take_small`], one that is alone may come in a moment.
    ///
    /// `accepts` is called with the lock held.
    #[inline(always)]
    pub fn take_small_if(
        &self,
        ticket: &Ticket,
        leaving: Option<Leaving<'_>>,
        accepts: impl Fn(&[u8]) -> bool,
    ) -> bool {
        if let Some(at) = ticket.at_client() {
            return self.take_small_at_if(at, &accepts);
        }
        let id = ticket.id();
        let Some(mut state) = self.state.lock_as_favourite() else {
            return self.take_small_if_slowly(id, leaving, &accepts);
        };
        match state.take_small_if(id, leaving, &accepts) {
            Ok(()) => true,
            Err(leaving) if state.is_one_in_flight() => {
                drop(state);
                self.take_small_if_soon(id, leaving, &accepts)
            }
            Err(_) => false,
        }
    }

    /// The same for a thread that comes now and then.
    #[cold]
    #[inline(never)]
    fn take_small_if_slowly(
        &self,
        id: u32,
        leaving: Option<Leaving<'_>>,
        accepts: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        match state.take_small_if(id, leaving, accepts) {
            Ok(()) => true,
            Err(leaving) if state.is_one_in_flight() => {
                drop(state);
                self.take_small_if_soon(id, leaving, accepts)
            }
            Err(_) => false,
        }
    }

    /// The same of a task that is alone.
    #[inline(never)]
    fn take_small_if_soon(
        &self,
        id: u32,
        leaving: Option<Leaving<'_>>,
        accepts: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        let Some(slot) = self.look_for_end(id) else {
            return false;
        };
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        self.collect_at(&mut state, slot, id);
        state.take_small_if(id, leaving, accepts).is_ok()
    }

    /// The slot of a task that is alone, if it ends in a moment.
    #[inline]
    fn look_for_end(&self, id: u32) -> Option<u32> {
        for _ in 0..LOOKS {
            let place = self.locations.hint(id);
            if self.has_ended(place) {
                return Some(place.slot.0);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The same of a task that is alone, and may end in a moment.
    #[inline(never)]
    fn take_small_soon(&self, id: u32, to: &mut [u64; SMALL / 8]) -> Option<Taken> {
        let slot = self.look_for_end(id)?;
        let mut state = self.lock();
        self.collect_at(&mut state, slot, id);
        state.tickets.take_small(id, to)
    }

    /// Collects the plain task that has just ended in this slot, and others with it.
    #[inline]
    fn collect_at(&self, state: &mut State, slot: u32, id: u32) {
        let is_here = state.slots.is_at(slot as usize, id);
        if is_here && state.is_nothing_followed() && self.collect_plain(state, slot) {
            self.reap_along(state);
        }
    }
}
