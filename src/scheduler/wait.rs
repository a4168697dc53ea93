//! Waiting in the host.
//!
//! A waiter spins a little on the very word it waits for; then it becomes the
//! leader if there is none, and sleeps on the fold's doorbell; else it parks.
//! Whoever collects unparks those whose task has ended. A leader that leaves
//! unparks one other waiter, who takes its place.
//!
//! No wake is lost: a follower enters the list under the lock, after it has seen
//! under the same lock that its task has not ended and that there is a leader; a
//! leader gives up its place under the lock and then looks at the list.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::state::{State, Waiter};
use super::ticket::Ticket;

/// How long to look for the result before sleeping.
const SPIN: Duration = Duration::from_micros(50);

impl State {
    /// Tasks ended so far.
    pub(super) fn ended(&self) -> u64 {
        self.counters.submitted - self.in_flight as u64
    }
}

impl Scheduler {
    /// Waits until `ticket` is settled or `deadline` has passed; says which.
    #[inline]
    pub fn wait(&self, ticket: &Arc<Ticket>, deadline: Option<Instant>) -> bool {
        if ticket.is_settled() {
            return true;
        }
        if self.spin(ticket, deadline) {
            return true;
        }
        self.wait_until(Some(ticket), deadline, |_| ticket.is_settled())
    }

    /// Looks once, without waiting.
    pub fn poll(&self, ticket: &Ticket) -> bool {
        if ticket.is_settled() {
            return true;
        }
        if !self.is_done(ticket.hint()) {
            return false;
        }
        let mut state = self.lock();
        self.reap(&mut state);
        self.collect_this(&mut state, ticket);
        ticket.is_settled()
    }

    fn collect_this(&self, state: &mut State, ticket: &Ticket) {
        let slot = ticket.hint().slot;
        let is_here = state.inflight.get(slot.at()).is_some_and(|inflight| {
            inflight.generation == ticket.hint().generation && inflight.ticket.is_some()
        });
        if !ticket.is_settled() && is_here {
            self.collect(state, slot.0);
        }
    }

    fn spin(&self, ticket: &Ticket, deadline: Option<Instant>) -> bool {
        let start = Instant::now();
        let until = deadline.map_or(start + SPIN, |d| d.min(start + SPIN));
        let scarce = self.allowed_cpus <= self.fold.plan.shape.executors();
        loop {
            for _ in 0..64 {
                if self.is_done(ticket.hint()) {
                    let mut state = self.lock();
                    self.collect_this(&mut state, ticket);
                    self.reap(&mut state);
                }
                if ticket.is_settled() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if Instant::now() >= until {
                return false;
            }
            if scarce {
                thread::yield_now();
            }
        }
    }

    /// Waits until there is a free slot. Once one is there it waits a little more,
    /// for a quarter of the queue: to be woken for each would cost 50 µs a task.
    pub(super) fn wait_for_room(&self, deadline: Option<Instant>) -> bool {
        let enough = self.capacity.div_ceil(4);
        if self.spin_for_room(enough, deadline) {
            return true;
        }
        let met = self.wait_until(None, deadline, |state| {
            state.closed || !state.free.is_empty()
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
            if state.closed || state.free.len() >= enough {
                return true;
            }
            drop(state);
            if Instant::now() >= until {
                return false;
            }
            thread::yield_now();
        }
    }

    pub(super) fn wait_for_an_end(&self, before: u64, deadline: Option<Instant>) -> bool {
        self.wait_until(None, deadline, |state| {
            state.closed || state.ended() != before
        })
    }

    /// Waits until no task is in flight.
    pub fn wait_for_all(&self, deadline: Option<Instant>) -> bool {
        self.wait_until(None, deadline, |state| state.in_flight == 0)
    }

    #[cold]
    fn wait_until(
        &self,
        ticket: Option<&Arc<Ticket>>,
        deadline: Option<Instant>,
        ready: impl Fn(&State) -> bool,
    ) -> bool {
        let mut state = self.lock();
        loop {
            self.reap(&mut state);
            if ready(&state) {
                return true;
            }
            if is_past(deadline) {
                return false;
            }
            if state.leader {
                let me = thread::current();
                state.waiters.push(Waiter {
                    thread: me.clone(),
                    ticket: ticket.cloned(),
                });
                drop(state);
                park_until(deadline);
                state = self.lock();
                if let Some(at) = state.waiters.iter().position(|w| w.thread.id() == me.id()) {
                    state.waiters.swap_remove(at);
                }
            } else {
                state.leader = true;
                drop(state);
                let met = self.lead(ticket, deadline, &ready);
                state = self.lock();
                state.leader = false;
                // The next leader; whoever it is will look at everything first.
                if let Some(waiter) = state.waiters.first() {
                    waiter.thread.unpark();
                }
                if met {
                    return true;
                }
            }
        }
    }

    /// Sleeps on the doorbell and collects for everybody, until `ready` (true) or
    /// the deadline (false).
    fn lead(
        &self,
        ticket: Option<&Arc<Ticket>>,
        deadline: Option<Instant>,
        ready: &impl Fn(&State) -> bool,
    ) -> bool {
        let bell = &self.fold.host_bell;
        loop {
            // From here on an executor that finishes anything rings; what was
            // finished before, published or not, is seen below.
            let key = bell.prepare();
            let mut state = self.lock();
            self.reap(&mut state);
            let mut met = ready(&state);
            if !met {
                self.collect_awaited(&mut state, ticket);
                met = ready(&state);
            }
            drop(state);
            if met || is_past(deadline) {
                bell.cancel();
                return met;
            }
            bell.wait(key, deadline);
        }
    }

    /// Looks at the words of all tasks that somebody waits for: an executor in the
    /// middle of a batch may have finished one without saying so yet.
    fn collect_awaited(&self, state: &mut State, ticket: Option<&Arc<Ticket>>) {
        if let Some(ticket) = ticket {
            self.collect_this(state, ticket);
        }
        let mut for_room = ticket.is_none();
        for at in (0..state.waiters.len()).rev() {
            match state.waiters.get(at).and_then(|w| w.ticket.clone()) {
                Some(awaited) => self.collect_this(state, &awaited),
                None => for_room = true,
            }
        }
        if for_room {
            self.collect_all(state);
        }
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|d| Instant::now() >= d)
}

fn park_until(deadline: Option<Instant>) {
    match deadline {
        None => thread::park(),
        Some(d) => thread::park_timeout(d.saturating_duration_since(Instant::now())),
    }
}
