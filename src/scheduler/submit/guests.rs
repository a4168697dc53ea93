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

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::error::Refusal;

use crate::scheduler::Scheduler;
use crate::scheduler::followers::news::News;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::state::State;
use crate::scheduler::submit::accept::{Arguments, Job, Memory, NotAccepted, Prepared};
use crate::scheduler::submit::arguments::Seat;
use crate::scheduler::terms::limit::{Needs, Permit};

/// One line. Who is in it has a number, which is higher than those before.
struct Line<T> {
    /// A thread has no waker.
    waiting: BTreeMap<u64, Option<Waker>>,
    granted: HashMap<u64, Result<T, Refusal>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line {
            waiting: BTreeMap::new(),
            granted: HashMap::new(),
        }
    }
}

impl<T> Line<T> {
    fn grant(&mut self, number: u64, what: Result<T, Refusal>, news: &mut Vec<News>) {
        let waker = self.waiting.remove(&number);
        self.granted.insert(number, what);
        news.extend(waker.flatten().map(News::Wake));
    }

    fn refuse(&mut self, refusal: Refusal, news: &mut Vec<News>) {
        while let Some((number, _)) = self.waiting.first_key_value() {
            self.grant(*number, Err(refusal), news);
        }
    }

    fn contains(&self, number: u64) -> bool {
        self.waiting.contains_key(&number) || self.granted.contains_key(&number)
    }

    /// What was granted to who waits; else has another waker woken, and returns the former.
    fn look(&mut self, number: u64, waker: Waker) -> Result<Result<T, Refusal>, Option<Waker>> {
        if let Some(granted) = self.granted.remove(&number) {
            return Ok(granted);
        }
        match self.waiting.get_mut(&number) {
            Some(place) => Err(place.replace(waker)),
            None => Err(Some(waker)),
        }
    }
}

/// All lines, under the scheduler's lock.
#[derive(Default)]
pub struct Guests {
    places: Line<()>,
    /// By what they need.
    shares: Vec<(Needs, Line<Vec<Permit>>)>,
    memory: Line<()>,
    /// The last number.
    last: u64,
    /// So many wait for places or shares.
    waiting: usize,
}

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

impl Guests {
    /// Whether anybody waits for places or shares.
    #[inline]
    pub fn any(&self) -> bool {
        self.waiting > 0
    }

    /// Whether anybody waits for memory.
    pub fn are_thirsty(&self) -> bool {
        !self.memory.waiting.is_empty()
    }

    /// Whether anybody waits for a place.
    pub fn want_places(&self) -> bool {
        !self.places.waiting.is_empty()
    }

    /// Whether a place was granted to, or refused, who has this number.
    pub fn is_granted(&self, number: u64) -> bool {
        self.places.granted.contains_key(&number)
    }

    /// The last in the line for places from now on.
    pub fn queue_up(&mut self, waker: Option<Waker>) -> u64 {
        self.last += 1;
        self.waiting += 1;
        self.places.waiting.insert(self.last, waker);
        self.last
    }

    fn queue_up_for_shares(&mut self, needs: &Needs, waker: Waker) -> u64 {
        self.last += 1;
        self.waiting += 1;
        let known = self.shares.iter().position(|(known, _)| known == needs);
        let at = known.unwrap_or_else(|| {
            self.shares.push((needs.clone(), Line::default()));
            self.shares.len() - 1
        });
        self.shares[at].1.waiting.insert(self.last, Some(waker));
        self.last
    }

    fn line_of(&mut self, number: u64) -> Option<&mut Line<Vec<Permit>>> {
        let mut lines = self.shares.iter_mut().map(|(_, line)| line);
        lines.find(|line| line.contains(number))
    }

    /// Whoever waits is refused.
    pub fn refuse(&mut self, refusal: Refusal, news: &mut Vec<News>) {
        self.places.refuse(refusal, news);
        for (_, line) in &mut self.shares {
            line.refuse(refusal, news);
        }
        self.memory.refuse(refusal, news);
        self.waiting = 0;
    }

    /// Leaves the line for places; whether there is one to give back.
    pub fn leave(&mut self, number: u64) -> (Option<Result<(), Refusal>>, Option<Waker>) {
        let waker = self.places.waiting.remove(&number);
        self.waiting -= usize::from(waker.is_some());
        (self.places.granted.remove(&number), waker.flatten())
    }
}

impl State {
    /// Whoever waits for room without a thread is told if there will be none.
    pub(in crate::scheduler) fn refuse_guests(&mut self) {
        if let Some(refusal) = self.closed {
            self.guests.refuse(refusal, &mut self.tickets.news);
        }
    }
}

impl Scheduler {
    /// Hands what is free on to those that are first in line for it.
    pub(in crate::scheduler) fn admit(&self, state: &mut State) {
        let State {
            guests,
            free,
            kept,
            tickets,
            ..
        } = state;
        let news = &mut tickets.news;
        let before = guests.waiting;
        for (needs, line) in &mut guests.shares {
            while let Some((number, _)) = line.waiting.first_key_value()
                && let Ok(permits) = needs.try_take()
            {
                line.grant(*number, Ok(permits), news);
                guests.waiting -= 1;
            }
        }
        while let Some((number, _)) = guests.places.waiting.first_key_value()
            && let Some(place) = free.pop()
        {
            kept.push(place);
            guests.places.grant(*number, Ok(()), news);
            guests.waiting -= 1;
        }
        if guests.waiting < before {
            state.unpark_attendant();
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
        let memory = &mut guests.memory;
        while let Some((number, _)) = memory.waiting.first_key_value() {
            memory.grant(*number, Ok(()), &mut tickets.news);
        }
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
            let looked = state.guests.places.look(own.number, waker);
            drop(state);
            return looked.map_or(Poll::Pending, |granted| {
                *line = None;
                Poll::Ready(granted.map(|()| Seat::new(Arc::clone(self))))
            });
        }
        if let Some(refusal) = self.refusal(&state) {
            return Poll::Ready(Err(refusal));
        }
        if state.free.is_empty() {
            self.publish(&mut state);
            self.reap(&mut state);
        }
        if let Some(place) = state.free.pop() {
            state.kept.push(place);
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
            let looked = match state.guests.line_of(own) {
                Some(shares) => shares.look(own, waker),
                None => Err(Some(waker)),
            };
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
            let looked = self.lock().guests.memory.look(own.number, waker.clone());
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
            let guests = &mut state.guests;
            guests.last += 1;
            let number = guests.last;
            guests.memory.waiting.insert(number, Some(waker));
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
        let (mut former, mut permits) = (None, None);
        let mut gives_back = false;
        match self.kind {
            Kind::Place => {
                let (granted, waker) = guests.leave(number);
                former = waker;
                if let Some(Ok(())) = granted {
                    state.give_back_place();
                    self.scheduler.admit(&mut state);
                    state.unpark_all();
                    gives_back = true;
                }
            }
            Kind::Shares => {
                if let Some(line) = guests.line_of(number) {
                    let waker = line.waiting.remove(&number);
                    permits = line.granted.remove(&number).and_then(Result::ok);
                    guests.waiting -= usize::from(waker.is_some());
                    former = waker.flatten();
                }
                let is_used = |line: &Line<_>| {
                    let is_unused = line.waiting.is_empty() && line.granted.is_empty();
                    !is_unused
                };
                guests.shares.retain(|(_, line)| is_used(line));
            }
            Kind::Memory => {
                former = guests.memory.waiting.remove(&number).flatten();
                guests.memory.granted.remove(&number);
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
