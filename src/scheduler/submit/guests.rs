//! Those that wait for room without a thread: for a place in the queue, for shares of limits,
//! for memory.
//!
//! ```text
//!   in line ──▶ granted ──▶ taken         whoever frees something grants it, under the lock,
//!      └───────────┴──▶ given up          to the first in line; its waker is woken
//! ```
//!
//! What is granted belongs to the one who waited, whether he looks or not: a place is among
//! those that are *kept*, shares are taken. Whoever gives up has it go to the next. So nobody
//! is woken in vain, and an end costs the same however many wait. While somebody is in line no
//! place is free at the end of any step under the lock; so none is passed over, and threads
//! that wait for a place then stand in the same line.
//!
//! Of memory nobody knows how much the first one needs: when some is freed all look again.
//!
//! Who waits for one of these holds what is before it in this order, as threads do
//! ([`crate::scheduler::terms::limit`]): shares, memory, a place. One who has reserved a place and has nothing
//! else yet never waits.

use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::error::Refusal;

use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::submit::arguments::Seat;
use crate::scheduler::submit::job::{Arguments, Job, Memory, NotAccepted, Prepared};
use crate::scheduler::terms::limit::{Needs, Permit};

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Place,
    Shares,
    Memory,
}

/// Somebody's place in a line; given up when it is dropped.
#[derive(Debug)]
pub struct InLine {
    scheduler: Arc<Scheduler>,
    kind: Kind,
    number: u64,
}

impl Scheduler {
    /// Hands what is free on to those that are first in line for it.
    pub(in crate::scheduler) fn admit(&self, state: &mut State) {
        let State {
            guests,
            slots,
            tickets,
            ..
        } = state;
        if guests.admit(|| slots.keep(), &mut tickets.news) {
            state.waiting.wake_attendant();
        }
    }

    /// Somebody waits for something without a thread: the attendant is to hear of each end.
    pub(in crate::scheduler) fn presses(&self, state: &mut State) {
        self.call_attendant(state);
        self.check_patience(state);
    }

    /// There may be memory: whoever waits for some is to look again.
    pub(in crate::scheduler) fn rouse(&self) {
        let mut state = self.lock();
        let State {
            guests, tickets, ..
        } = &mut *state;
        guests.rouse(&mut tickets.news);
    }

    /// A place in the queue, as soon as there is one; `waker` is woken then. `line` is empty at
    /// first, and again when this is ready.
    pub fn poll_place(
        self: &Arc<Self>,
        line: &mut Option<InLine>,
        waker: &Waker,
    ) -> Poll<Result<Seat, Refusal>> {
        // What wakers do is the user's own: without the lock.
        let waker = waker.clone();
        let mut state = self.lock();
        if let Some(own) = line {
            let looked = state.guests.look_for_place(own.number, waker);
            drop(state);
            return looked.map_or(Poll::Pending, |granted| {
                *line = None;
                Poll::Ready(granted.map(|()| Seat::new(Arc::clone(self))))
            });
        }
        if let Some(refusal) = self.refusal(&state) {
            return Poll::Ready(Err(refusal));
        }
        if state.slots.is_full() {
            self.publish(&mut state);
            self.reap(&mut state);
        }
        if state.slots.keep() {
            return Poll::Ready(Ok(Seat::new(Arc::clone(self))));
        }
        let number = state.guests.queue_up(Some(waker));
        self.presses(&mut state);
        drop(state);
        *line = Some(self.in_line(Kind::Place, number));
        Poll::Pending
    }

    /// Shares of all limits, as soon as there is enough of each: as [`Scheduler::poll_place`].
    pub fn poll_shares(
        self: &Arc<Self>,
        needs: &Needs,
        line: &mut Option<InLine>,
        waker: &Waker,
    ) -> Poll<Result<Vec<Permit>, Refusal>> {
        let waker = waker.clone();
        let mut state = self.lock();
        if let Some(own) = line {
            let own = own.number;
            let looked = state.guests.look_for_shares(own, waker);
            drop(state);
            return looked.map_or(Poll::Pending, |granted| {
                *line = None;
                Poll::Ready(granted)
            });
        }
        if let Some(refusal) = self.refusal(&state) {
            return Poll::Ready(Err(refusal));
        }
        let mut taken = needs.try_take();
        if taken.is_err() && needs.is_ever_met() {
            // What has ended gives back its shares when it is collected.
            self.publish(&mut state);
            self.reap(&mut state);
            taken = needs.try_take();
        }
        if taken.is_ok() || !needs.is_ever_met() {
            return Poll::Ready(taken);
        }
        let number = state.guests.queue_up_for_shares(needs, waker);
        self.presses(&mut state);
        drop(state);
        *line = Some(self.in_line(Kind::Shares, number));
        Poll::Pending
    }

    /// What a task needs besides a place in the queue, as soon as there is memory for it: as
    /// [`Scheduler::poll_place`]. The arguments that the job was encoded from are gone, if
    /// there are loans among them.
    pub fn poll_memory(
        self: &Arc<Self>,
        job: &mut Job,
        line: &mut Option<InLine>,
        waker: &Waker,
    ) -> Poll<Result<Prepared, NotAccepted>> {
        let waker = waker.clone();
        if let Some(own) = line {
            let looked = self
                .lock()
                .guests
                .look_for_memory(own.number, waker.clone());
            match looked {
                Err(_former) => return Poll::Pending,
                Ok(granted) => {
                    *line = None;
                    if let Err(refusal) = granted {
                        return Poll::Ready(Err(refusal.into()));
                    }
                }
            }
        }
        loop {
            let freed = self.pool.freed();
            let refusal = match self.prepare(job, Memory::Now, Arguments::Gone) {
                Err(NotAccepted::Refused(refusal @ Refusal::OutOfMemory { .. })) => refusal,
                prepared => return Poll::Ready(prepared),
            };
            let mut state = self.lock();
            if let Some(refusal) = self.refusal(&state) {
                return Poll::Ready(Err(refusal.into()));
            }
            self.publish(&mut state);
            let ended = self.reap(&mut state);
            if ended > 0 || self.pool.freed() != freed {
                continue;
            }
            if !self.may_any_end(&state) {
                // Nothing in flight will ever free any.
                return Poll::Ready(Err(refusal.into()));
            }
            let number = state.guests.queue_up_for_memory(waker);
            self.presses(&mut state);
            drop(state);
            *line = Some(self.in_line(Kind::Memory, number));
            return Poll::Pending;
        }
    }

    fn in_line(self: &Arc<Self>, kind: Kind, number: u64) -> InLine {
        InLine {
            scheduler: Arc::clone(self),
            kind,
            number,
        }
    }

    /// Queues what needs nothing but a place.
    pub fn submit_prepared(&self, seat: Seat, job: Prepared) -> Result<Ticket, NotAccepted> {
        let mut state = seat.into_room(self);
        if let Some(refusal) = self.refusal(&state) {
            drop(state);
            drop(job);
            return Err(refusal.into());
        }
        let ticket = self.enqueue(&mut state, job);
        self.publish(&mut state);
        self.reap_meanwhile(&mut state);
        Ok(ticket)
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let Some(mut state) = self.scheduler.state.lock_at_home() else {
            return;
        };
        let number = self.number;
        let guests = &mut state.guests;
        // Dropped after the lock.
        let former;
        let mut permits = None;
        let mut gives_back = false;
        match self.kind {
            Kind::Place => {
                let (granted, waker) = guests.leave(number);
                former = waker;
                if let Some(Ok(())) = granted {
                    state.slots.give_back();
                    self.scheduler.admit(&mut state);
                    state.unpark_all();
                    gives_back = true;
                }
            }
            Kind::Shares => {
                (permits, former) = guests.leave_shares(number);
            }
            Kind::Memory => {
                former = guests.leave_memory(number);
            }
        }
        drop(state);
        drop(former);
        if permits.take().is_some() {
            self.scheduler.note_given_back();
        }
        if gives_back {
            // Whoever leads may have to wake somebody.
            self.scheduler.fold.host_bell.force();
        }
    }
}
