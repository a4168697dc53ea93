//! Tasks of the host's clients: threads that submit at the same time, each of which offers its tasks
//! in a ring of its own.
//!
//! The executor of such a task announces its end by nothing but the slot's word, unless somebody wants to
//! know: the client's line ([`ClientLine`](crate::notify::ClientLine)) says so, and is looked at once for each
//! batch.
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

use crate::notify::ClientLine;
use crate::prim::Hint;
use crate::ring::Damaged;
use crate::ring::steal::Taker;

use super::clients::{Source, open};
use super::executor::Executor;
use super::worth::is_worth_waking;

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
                self.clients.note_source(Source::Client(client as u32));
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

    /// Whether any client offers more than this executor should keep to itself.
    pub(super) fn is_any_client_offering_much(&self) -> bool {
        let mut clients = open(&self.fold, 0);
        clients.any(|client| is_worth_waking(self.clients.rings[client].backlog(), self.grain_ns))
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
        ClientLine::ended();
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
