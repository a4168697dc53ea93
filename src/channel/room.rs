//! A place for a message: claimed, waited for, or made at the cost of another.

use crate::lane::{Lane, Mine, NotNow, Sent};
use crate::object::{Patience, What, wait_for};
use crate::sys::barrier;

use super::ends::Endpoint;
use super::error::SendFault;
use super::kind::Overflow;
use super::message::{Encoded, Message};

/// A place that was claimed, and is given up if nothing comes of it.
pub struct Claimed<'a> {
    end: &'a Endpoint,
    /// `None` until it is known how much of the bound it takes.
    place: Option<Mine>,
    weight: u64,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if let Some(mine) = self.place.take() {
            self.end.gave_up_place(mine);
        }
    }
}

impl<'a> Claimed<'a> {
    /// The same for a message that takes so much of the bound, which was not known when it was claimed, if there is
    /// room for that now.
    pub fn for_weight(self, weight: u64) -> Result<Self, SendFault> {
        // What it takes less counts until the message is taken: a place that was given up would count, too.
        if self.place.is_some() && weight <= self.weight {
            return Ok(self);
        }
        let end = self.end;
        drop(self);
        end.claim(Patience::Not, weight)
    }
}

impl Endpoint {
    /// A value that was encoded as a message of this channel, and how much of its bound it takes.
    pub fn message_of<T>(&self, encoded: Encoded) -> Result<(Message, u64), SendFault> {
        let room = (self.lane().area(), self.lane().plain());
        let mut message =
            Message::of_encoded::<T>(encoded, self.pool(), room, self.kind().pack_from())?;
        if self.kind().acks {
            message = message.keep()?;
        }
        if !self.lane().is_weighed() {
            return Ok((message, 0));
        }
        let (bytes, most) = (message.bytes(), self.lane().weight_bound());
        if bytes > most {
            return Err(SendFault::TooLarge { bytes, most });
        }
        Ok((message, bytes))
    }

    /// A place for a message that takes so much of the bound.
    #[inline]
    pub fn claim(&self, patience: Patience, weight: u64) -> Result<Claimed<'_>, SendFault> {
        let look = || self.look_for_place(weight);
        let mut has_lingered = false;
        if patience != Patience::Not {
            if let Some(claimed) = look()? {
                return Ok(claimed);
            }
            has_lingered = self.linger();
        }
        let waits = || self.waits(What::Room);
        let room = self.lane().for_room();
        let claimed = wait_for(room, waits, patience, look, |why| self.gave_up(why))?;
        if has_lingered {
            self.lane().look_at_head();
        }
        Ok(claimed)
    }

    /// A place for a message, if there is room.
    #[inline]
    pub fn look_for_place(&self, weight: u64) -> Result<Option<Claimed<'_>>, SendFault> {
        if let Some(claimed) = self.try_claim(weight)? {
            return Ok(Some(claimed));
        }
        if self.kind().overflow == Overflow::Reject {
            return Err(SendFault::Full);
        }
        self.no_receiver().map_or(Ok(None), Err)
    }

    /// A place for a message, if a select may send one now: there is room, or in a channel of
    /// capacity 0 somebody waits. Where it depends on the message whether there is room, it is for one that takes `needs`
    /// of the bound; if that is 0, it is claimed when the message is there: see [`Claimed::for_weight`].
    pub fn look_for_room(&self, needs: u64) -> Result<Option<Claimed<'_>>, SendFault> {
        if let Some(fault) = self.send_fault() {
            return Err(fault);
        }
        let found = self.look_for_any_room(needs)?;
        match found {
            Some(claimed) => Ok(Some(claimed)),
            None => self.no_receiver().map_or(Ok(None), Err),
        }
    }

    fn look_for_any_room(&self, needs: u64) -> Result<Option<Claimed<'_>>, SendFault> {
        if self.kind().is_rendezvous && !self.lane().is_wanted() {
            return Ok(None);
        }
        if !self.lane().is_weighed() || needs > 0 {
            return self.try_claim(needs);
        }
        let is_ready = self.kind().overflow == Overflow::DropOldest
            || match self.lane().has_room(1) {
                Ok(has_room) => has_room,
                Err(NotNow::Damaged(what)) => return Err(self.damaged(&what)),
                Err(_) => false,
            };
        Ok(is_ready.then_some(Claimed {
            end: self,
            place: None,
            weight: 0,
        }))
    }

    #[inline]
    fn try_claim(&self, weight: u64) -> Result<Option<Claimed<'_>>, SendFault> {
        loop {
            match self.lane().claim_within(weight) {
                Ok(mine) => {
                    if self.lane().is_weighed() {
                        // Somebody may have waited until it is known how much room is left.
                        barrier::light();
                        self.lane().for_room().open_all();
                    } else {
                        self.lane().pass_room_on();
                    }
                    return Ok(Some(Claimed {
                        end: self,
                        place: Some(mine),
                        weight,
                    }));
                }
                Err(NotNow::Damaged(what)) => return Err(self.damaged(&what)),
                Err(NotNow::Wait)
                    if self.kind().overflow == Overflow::DropOldest && self.drop_oldest() => {}
                Err(NotNow::Wait | NotNow::Kept | NotNow::Soon) => return Ok(None),
            }
        }
    }

    /// Makes room, at the cost of the oldest message; false if there is none.
    fn drop_oldest(&self) -> bool {
        let Ok((mine, _)) = self.lane().take() else {
            return false;
        };
        self.lane().count_dropped();
        self.discard(mine);
        true
    }

    /// Sends what `put` writes into the place that was claimed; what it refuses it gives back.
    pub fn send_in<R>(
        &self,
        mut claimed: Claimed<'_>,
        put: impl FnOnce(&Lane, &mut Mine) -> Result<(), R>,
    ) -> Result<Result<Sent, R>, SendFault> {
        // The room may be that of messages that were let go of with the last receiver.
        if let Some(fault) = self.send_fault() {
            return Err(fault);
        }
        let Some(mine) = &mut claimed.place else {
            return Err(SendFault::Gone);
        };
        if let Err(refused) = put(self.lane(), mine) {
            return Ok(Err(refused));
        }
        let Some(mine) = claimed.place.take() else {
            return Err(SendFault::Gone);
        };
        Ok(Ok(self.fill(mine)))
    }
}
