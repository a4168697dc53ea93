//! Waiting in the host.
//!
//! A waiter spins a little on the very word it waits for; then it becomes the leader if there is none, and
//! sleeps on the fold's doorbell; else it parks as a follower. The thread that collects a task unparks its
//! waiter. A leader that leaves unparks one other waiter, which takes its place.
//!
//! No wakeup is lost: a follower enters the list under the lock, after it has seen under the same lock that
//! its task has not ended and that there is a leader. A leader gives up its place under the lock and then
//! looks at the list; so does every thread that stops waiting while there is no leader.
//!
//! A thread that waits for any of several tasks watches them as a [group](crate::scheduler::outcomes::group).
//! The same holds for it: a task ends only under the lock, and its group is told in the same step. The group
//! is looked at under the lock before a follower parks; an end after that finds the follower in the list. A
//! leader that waits for a group, or that has such a follower, looks at every word in flight after each
//! `prepare` of the bell, as for a waiter for room: a task that finished before is seen there, a task that
//! finishes later rings.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::prim::Priority;
use crate::sys::affinity;
use crate::task::TaskState;

use crate::scheduler::clients::join::Looked;
use crate::scheduler::collect::completions::PORTION;
use crate::scheduler::followers::attend::about_to_wait;
use crate::scheduler::outcomes::locations::{Location, is_nowhere};
use crate::scheduler::outcomes::look::Get;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::{Outcome, forked};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::waiting::patience::{is_past, learn, patience};
use crate::scheduler::waiting::policy::{self, SPIN, TRUST_MAX};
use crate::scheduler::waiting::sleepers::Awaited;

/// Of tasks that are in flight one at a time so many are read from the rings together.
const ALONE: u64 = 16;

impl Scheduler {
    /// Waits for the outcome of `ticket`, until `deadline`. The handle has it
    /// then, and the ticket stays until that is gone.
    #[inline]
    pub fn wait(&self, ticket: &Ticket, deadline: Option<Instant>) -> Option<Outcome> {
        if let Some(at) = ticket.at_client() {
            match self.wait_at(at, deadline) {
                Looked::Ended(outcome) => return Some(outcome),
                Looked::Open => return None,
                Looked::Elsewhere => {}
            }
        }
        self.wait_and_nap(ticket, deadline, true, Self::hand_out)
    }

    #[inline]
    pub(in crate::scheduler) fn wait_and_nap(
        &self,
        ticket: &Ticket,
        deadline: Option<Instant>,
        may_nap: bool,
        get: impl Get,
    ) -> Option<Outcome> {
        let Some(ticket) = self.number(ticket).filter(|_| !self.is_elsewhere()) else {
            return Some(forked());
        };
        if let Some(outcome) = self.spin(ticket, deadline, may_nap, get) {
            return Some(outcome);
        }
        self.wait_long(ticket, deadline, get)
    }

    /// The ring's lines are its executor's: of one task alone nothing else is in them.
    #[inline]
    pub(in crate::scheduler) fn reap_along(&self, state: &mut State) {
        if state.has_stalled() {
            self.queue_stalled(state);
        }
        if state.slots.in_flight() > 0 || state.tally.submitted().is_multiple_of(ALONE) {
            self.reap_some(state, PORTION);
        }
    }

    #[cold]
    fn wait_long(&self, ticket: u32, deadline: Option<Instant>, get: impl Get) -> Option<Outcome> {
        let begin = Instant::now();
        self.wait_until(Awaited::Task { ticket }, deadline, |state| {
            state.tickets.is_settled(ticket)
        });
        learn(begin.elapsed());
        get(self, &mut self.lock(), ticket)
    }

    /// Waits for the outcome of the first of `tickets`, until `deadline`; takes it and those of
    /// the following ones that have ended too, up to `most`. False: the time was up.
    pub fn wait_some(
        &self,
        tickets: &mut VecDeque<Ticket>,
        most: usize,
        deadline: Option<Instant>,
        each: &mut dyn FnMut(Outcome),
    ) -> bool {
        if self.is_elsewhere() {
            tickets.drain(..).for_each(|_| each(forked()));
            return true;
        }
        let Some(first) = tickets.pop_front() else {
            return true;
        };
        if !self.has_ended(self.locations.hint(first.id())) {
            self.nap(tickets.len(), deadline);
        }
        match self.wait_and_nap(&first, deadline, false, Self::hand_out) {
            Some(outcome) => each(outcome),
            None if deadline.is_some() => {
                tickets.push_front(first);
                return false;
            }
            None => each(Err(Box::new(TaskError::shutdown()))),
        }
        let mut state = self.lock();
        state.tickets.detach(first.id());
        for _ in 1..most {
            let outcome = tickets
                .front()
                .and_then(|next| state.tickets.take(next.id()));
            let Some(outcome) = outcome else { break };
            tickets.pop_front();
            each(outcome);
        }
        true
    }

    /// Before it waits for one of many tasks, `behind` of which wait too: sleeps a small
    /// part of the time that these will take, if the executors need all CPUs. To look
    /// for each end, or to be woken for it, would take from them what they need; and
    /// there is enough for them to do meanwhile.
    pub(in crate::scheduler) fn nap(&self, behind: usize, deadline: Option<Instant>) {
        let nap = self.worthwhile_nap(&self.lock(), behind, deadline);
        if let Some(nap) = nap {
            thread::sleep(nap);
        }
    }

    /// The same for who waits for one of those that are in flight: he may not wait for the
    /// others, so his result is late by a small part of the time that all take. Nothing if
    /// others wait for what he collects, or the task is an urgent one. False: he may have to
    /// wait as long as before.
    fn nap_for_one(&self, ticket: u32, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        let others = |state: &State| state.slots.in_flight() / 4;
        if self
            .worthwhile_nap(&state, others(&state), deadline)
            .is_none()
        {
            return false;
        }
        // What has ended is not in flight.
        self.reap(&mut state);
        let nap = self.worthwhile_nap(&state, others(&state), deadline);
        let at = self.locations.hint(ticket).slot.at();
        let inflight = state.slots.get(at);
        let is_urgent = inflight.is_some_and(|inflight| inflight.priority() == Priority::Urgent);
        let is_settled = state.tickets.is_settled(ticket);
        let is_pressing = is_urgent || !state.is_nothing_followed() || !state.waiting.is_nobody();
        drop(state);
        if let Some(nap) = nap
            && !is_settled
            && !is_pressing
        {
            thread::sleep(nap);
            return true;
        }
        is_settled
    }

    /// For how long, if that is worth it and ends before the deadline.
    pub(in crate::scheduler) fn worthwhile_nap(
        &self,
        state: &State,
        behind: usize,
        deadline: Option<Instant>,
    ) -> Option<Duration> {
        let is_of_use = policy::is_nap_of_use(self.executors(state));
        let nap = self.nap_for(state, behind).filter(|_| is_of_use)?;
        deadline
            .is_none_or(|by| Instant::now() + nap < by)
            .then_some(nap)
    }

    /// For how long.
    pub(in crate::scheduler) fn nap_for(&self, state: &State, behind: usize) -> Option<Duration> {
        policy::nap(self.executors(state), behind)
    }

    fn executors(&self, state: &State) -> policy::Executors {
        policy::Executors {
            count: self.fold.plan.shape.executors(),
            are_scarce_of_cpus: self.is_scarce(),
            longest_ns: state.choice.longest_ns(),
        }
    }

    /// The outcome, if there is one by now.
    #[inline]
    pub fn poll(&self, ticket: &Ticket) -> Option<Outcome> {
        if let Some(at) = ticket.at_client() {
            match self.look_at_client(at) {
                Looked::Ended(outcome) => return Some(outcome),
                Looked::Open => return None,
                Looked::Elsewhere => {}
            }
        }
        self.poll_and(ticket, Self::hand_out)
    }

    #[inline]
    pub(in crate::scheduler) fn poll_and(&self, ticket: &Ticket, get: impl Get) -> Option<Outcome> {
        let Some(id) = self.number(ticket).filter(|_| !self.is_elsewhere()) else {
            return Some(forked());
        };
        self.poll_this(id, get)
    }

    #[inline]
    fn poll_this(&self, id: u32, get: impl Get) -> Option<Outcome> {
        if !self.has_ended(self.locations.hint(id)) {
            return None;
        }
        let mut state = self.lock();
        // Nearly always, when many are in flight: collected together with others.
        if let Some(outcome) = get(self, &mut state, id) {
            return Some(outcome);
        }
        self.collect_this(&mut state, id);
        self.reap_along(&mut state);
        get(self, &mut state, id)
    }

    /// The outcome of ticket `id`, if there is one, for its handle.
    #[inline]
    fn hand_out(&self, state: &mut State, id: u32) -> Option<Outcome> {
        let outcome = state.tickets.hand_out(id)?;
        self.locations.set(id, Location::Nowhere);
        Some(outcome)
    }

    /// Whether there is an outcome by now.
    pub fn is_settled(&self, ticket: &Ticket) -> bool {
        if let Some(at) = ticket.at_client()
            && self.task_id_at(at).is_some()
        {
            return self.is_done_at(at);
        }
        let Some(id) = self.number(ticket) else {
            return true;
        };
        self.is_elsewhere()
            || self.has_ended(self.locations.hint(id)) && {
                let mut state = self.lock();
                self.collect_this(&mut state, id);
                state.tickets.is_settled(id)
            }
    }

    /// Nobody will ask for the outcome of `ticket`.
    pub fn detach(&self, ticket: &Ticket) {
        if ticket.at_client().is_some_and(|at| self.let_go_at(at)) {
            return;
        }
        // Dropped after the lock: it may hold buffers.
        let state = self.state.lock_at_home();
        let _outcome = state.and_then(|mut state| self.let_go_of(&mut state, ticket));
    }

    /// The same under the lock.
    pub(in crate::scheduler) fn let_go_of(
        &self,
        state: &mut State,
        ticket: &Ticket,
    ) -> Option<Outcome> {
        let id = self.number_of(state, ticket);
        let is_unobserved = state.tickets.is_unobserved(id);
        let outcome = state.tickets.detach(id);
        if let Some(at) = ticket.at_client() {
            self.clients.let_go(at);
        }
        if let Some(outcome) = outcome.as_ref().filter(|_| is_unobserved) {
            self.note_unobserved(state, id, outcome);
        }
        outcome
    }

    pub(in crate::scheduler) fn collect_this(&self, state: &mut State, id: u32) {
        let hint = self.locations.hint(id);
        let is_here = state.slots.is_at(hint.slot.at(), id);
        if is_here {
            self.collect(state, hint.slot.0);
        }
    }

    fn spin(
        &self,
        ticket: u32,
        deadline: Option<Instant>,
        may_nap: bool,
        get: impl Get,
    ) -> Option<Outcome> {
        let mut has_said_so = false;
        let outcome = self.spin_and_say_so(ticket, deadline, may_nap, get, &mut has_said_so);
        if has_said_so {
            self.fold.header.set_spins_on(None);
        }
        outcome
    }

    /// An executor that has nothing to do leaves this CPU to the caller, who says which
    /// it is.
    #[inline]
    fn spin_and_say_so(
        &self,
        ticket: u32,
        deadline: Option<Instant>,
        mut may_nap: bool,
        get: impl Get,
        has_said_so: &mut bool,
    ) -> Option<Outcome> {
        let mut until = None;
        let scarce = self.is_scarce();
        loop {
            for _ in 0..64 {
                let place = self.locations.hint(ticket);
                if self.has_ended(place) {
                    let outcome = self.poll_this(ticket, get);
                    // Of one that waits for others without a slot there is no word.
                    if outcome.is_some() || !is_nowhere(place) {
                        // None only if the word was spoilt: then the slow way tells.
                        return outcome;
                    }
                    (0..64).for_each(|_| std::hint::spin_loop());
                    break;
                }
                std::hint::spin_loop();
            }
            if scarce && std::mem::take(&mut may_nap) && self.nap_for_one(ticket, deadline) {
                continue;
            }
            let now = Instant::now();
            let until = *until.get_or_insert_with(|| {
                let patience = policy::spin(patience(), scarce && self.are_all_busy());
                let until = now + patience;
                deadline.map_or(until, |d| d.min(until))
            });
            if now >= until {
                return None;
            }
            if scarce {
                *has_said_so = true;
                self.fold.header.set_spins_on(affinity::current());
                thread::yield_now();
            }
        }
    }

    /// Waits until there is a free slot. Once one is there it waits a little more,
    /// for a quarter of the queue: to be woken for each would cost 50 µs a task.
    pub(in crate::scheduler) fn wait_for_room(&self, deadline: Option<Instant>) -> bool {
        let enough = self.capacity.div_ceil(4);
        if self.spin_for_room(enough, deadline) {
            return true;
        }
        let met = self.wait_until(Awaited::Any, deadline, |state| {
            !state.door.is_open() || !state.slots.is_full() || state.guests.want_places()
        });
        if met {
            self.spin_for_room(enough, deadline);
        }
        met
    }

    fn spin_for_room(&self, enough: usize, deadline: Option<Instant>) -> bool {
        let until = Instant::now() + SPIN;
        let until = deadline.map_or(until, |d| d.min(until));
        loop {
            let mut state = self.lock();
            self.reap(&mut state);
            if !state.door.is_open() || state.slots.free() >= enough {
                return true;
            }
            drop(state);
            if Instant::now() >= until {
                return false;
            }
            thread::yield_now();
        }
    }

    /// Whether any task in flight may end by itself. Those that wait for others do not; what
    /// they wait for does, or waits in turn, or is in the attendant's hands.
    #[cold]
    pub(in crate::scheduler) fn may_any_end(&self, state: &State) -> bool {
        state.slots().any(|slot| {
            let word = self.fold.slots[slot as usize].word();
            state.slots[slot].ticket().is_some() && TaskState::of(word) != Some(TaskState::Pending)
        })
    }

    /// Waits until no task is in flight, or waits for others: true. Or until `gives_up`, which
    /// whoever makes it true says by [`Scheduler::note_given_back`].
    pub fn wait_for_all(&self, deadline: Option<Instant>, gives_up: impl Fn() -> bool) -> bool {
        let is_all = |state: &State| state.unfinished() == 0;
        loop {
            self.register_all(&mut self.lock());
            let met = self.wait_until(Awaited::Any, deadline, |state| is_all(state) || gives_up());
            let is_all = is_all(&self.lock());
            // What was submitted meanwhile.
            if !met || !is_all || self.clients.in_flight() == 0 {
                return is_all;
            }
        }
    }

    /// Tasks that have not ended, wherever they are; with calls that have joined others.
    pub fn unfinished(&self) -> usize {
        let mut state = self.lock();
        self.reap(&mut state);
        state.unfinished() + self.clients.in_flight()
    }

    #[cold]
    pub(in crate::scheduler) fn wait_until(
        &self,
        awaited: Awaited,
        deadline: Option<Instant>,
        ready: impl Fn(&State) -> bool,
    ) -> bool {
        about_to_wait();
        let mut state = self.lock();
        let mut has_left = false;
        loop {
            self.reap(&mut state);
            let met = ready(&state);
            if met || is_past(deadline) {
                // Whoever left the lead may have chosen this thread to be the next:
                // at every way out somebody else is asked, until one takes it.
                state.waiting.ask_for_a_leader();
                return met;
            }
            if !has_left && self.may_leave(&state, awaited) {
                has_left = true;
                self.leave_to_others(state);
                state = self.lock();
                continue;
            }
            has_left = false;
            if state.waiting.is_led() {
                // The leader may have armed the bell before this one was there to look
                // for, and after something had ended in the middle of a batch.
                if !matches!(awaited, Awaited::Task { .. }) {
                    self.collect_all(&mut state);
                    if ready(&state) {
                        continue; // and out
                    }
                }
                let me = thread::current();
                state.waiting.enter(me.clone(), awaited);
                state.waiting.call_napper();
                self.check_patience(&state);
                drop(state);
                park_until(deadline, TRUST_MAX);
                state = self.lock();
                state.waiting.leave(me.id());
            } else {
                state.waiting.lead(awaited);
                drop(state);
                let met = self.lead(awaited, deadline, &ready);
                state = self.lock();
                state.waiting.stop_leading();
                if met {
                    state.waiting.ask_for_a_leader();
                    return true;
                }
            }
        }
    }
}

/// Parks, for `longest` at most: a net for what the leader alone should catch.
fn park_until(deadline: Option<Instant>, longest: Duration) {
    let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
    thread::park_timeout(left.map_or(longest, |left| left.min(longest)));
}
