//! Tasks of the host's clients: threads that submit at the same time, each of which offers its tasks
//! in a ring of its own.
//!
//! Who has run one tells nobody but by the slot's word, unless somebody wants to know: the client's line
//! ([`ClientRecord`](crate::layout::ClientRecord)) says so, and is looked at once for each batch.
//!
//! ```text
//!   executor                                     host
//!   word: Done                                   awaited                │ registered
//!   a fence                                      a fence                │ the heavy barrier
//!   awaited? if that task has ended: wake        word: Done? else sleep │ word: Done? collect it,
//!   any registered? a completion                                        │ else the completion comes
//! ```
//!
//! Either side sees the other's step. A death after `Done` leaves a sleeper that was not woken: the
//! supervisor registers all tasks of all clients, and rings all bells.

use crate::layout::{BATCH_MAX, CLIENTS, ClientRecord, Fold};
use crate::prim::Hint;
use crate::prim::atomic::Ordering;
use crate::ring::Damaged;
use crate::ring::steal::Taker;

use super::executor::Executor;
use super::find::is_worth_waking;

/// What an executor has of them.
#[derive(Debug)]
pub struct Clients {
    rings: Vec<Taker>,
    /// Whose turn is next.
    next: u32,
    /// What was taken last came from one of them: then it is the inbox's turn.
    was_last: bool,
    /// Tasks of theirs that were run in this batch.
    ended: [u64; BATCH_MAX],
    count: usize,
    /// One of them has no value, or somebody in the host sleeps until it ends.
    is_urgent: bool,
}

impl Clients {
    pub(super) fn new(fold: &Fold) -> Self {
        Clients {
            rings: (0..fold.plan.shape.clients as usize)
                .map(|client| Taker::attach(fold.client_ring(client)))
                .collect(),
            next: 0,
            was_last: false,
            ended: [0; BATCH_MAX],
            count: 0,
            is_urgent: false,
        }
    }

    /// Whether it is their turn.
    #[inline]
    pub(super) fn take_turn(&mut self) -> bool {
        !std::mem::take(&mut self.was_last)
    }

    /// Takes note of a task of theirs that was run; false if there is no room for that.
    #[inline]
    pub(super) fn note(&mut self, hint: Hint, is_urgent: bool) -> bool {
        self.is_urgent |= is_urgent;
        let place = self.ended.get_mut(self.count);
        let has_room = place.is_some();
        if let Some(place) = place {
            *place = hint.pack();
            self.count += 1;
        }
        has_room
    }
}

/// The clients that are open, beginning with `next`.
#[inline]
fn open(fold: &Fold, next: u32) -> impl Iterator<Item = usize> + use<> {
    // ordering: Acquire pairs with the Release of whoever opened one.
    let offering = fold.offering.load(Ordering::Acquire);
    let clients = fold.plan.shape.clients;
    // Nobody else sets a bit, but a wild worker may.
    let there = 1u64.checked_shl(clients).map_or(u64::MAX, |bit| bit - 1);
    let mut left = (offering & there).rotate_right(next);
    std::iter::from_fn(move || {
        let first = left.trailing_zeros();
        let is_there = left != 0;
        left &= left.wrapping_sub(1);
        is_there.then_some((first.wrapping_add(next) % CLIENTS as u32) as usize)
    })
}

impl Executor {
    /// Takes what the next client offers that offers anything, announced.
    #[inline]
    pub(super) fn take_from_clients(&mut self, size: usize) -> Result<(usize, u64), Damaged> {
        let record = &self.fold.executors[self.me.0 as usize];
        for client in open(&self.fold, self.clients.next) {
            let ring = &self.clients.rings[client];
            if !self.is_offered(ring) {
                continue;
            }
            let hints = &mut self.hints[..size];
            let taken = ring.take(hints, false, |hints| record.announce(hints))?;
            if taken.0 > 0 {
                self.clients.next = client as u32 + 1;
                self.clients.was_last = true;
                return Ok(taken);
            }
        }
        Ok((0, 0))
    }

    /// Whether any client offers anything.
    #[inline]
    pub(super) fn is_any_client_offering(&self) -> bool {
        open(&self.fold, 0).any(|client| self.is_offered(&self.clients.rings[client]))
    }

    /// Whether a client offers anything; while this executor gives way, anything that is more than
    /// another one does in a moment.
    #[inline]
    fn is_offered(&self, ring: &Taker) -> bool {
        match ring.backlog() {
            0 => false,
            _ if !self.gives_way => true,
            backlog => is_worth_waking(backlog, self.grain_ns),
        }
    }

    /// Tells clients of tasks that were run, as far as they want to know.
    #[inline]
    pub(super) fn tell_clients(&mut self) {
        if self.clients.count > 0 {
            self.tell_all_clients();
        }
    }

    fn tell_all_clients(&mut self) {
        ClientRecord::ended();
        let is_urgent = std::mem::take(&mut self.clients.is_urgent);
        let mut told = 0u64;
        for at in 0..std::mem::take(&mut self.clients.count) {
            let hint = Hint::unpack(self.clients.ended[at]);
            let Some(client) = self.fold.plan.shape.client_of(hint.slot) else {
                continue;
            };
            let record = &self.fold.clients[client];
            let bit = 1 << client;
            if told & bit == 0 {
                told |= bit;
                record.tell(|awaited| self.fold.has_ended(awaited));
            }
            if record.is_any_registered() {
                self.has_news = true;
                self.is_urgent |= is_urgent;
                self.complete(hint);
            }
        }
    }
}
