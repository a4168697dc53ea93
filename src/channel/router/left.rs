//! What a receiver that is gone has left in its queue: it is handed on.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::message;
use crate::channel::room::Claimed;
use crate::channel::{SendError, Sender};
use crate::object::Patience;

use super::Router;
use super::keys::BUCKET;
use super::room::{put, put_in};

impl<T: Serialize + DeserializeOwned> Router<T> {
    pub(super) fn hand_on_all(&self, patience: Patience) -> Result<usize, Refused<'_, T>> {
        let mut count = 0;
        for (_, left) in self.board.iter() {
            while self.is_left(left)
                && (patience != Patience::Not || self.fits(left))
                && let Some((bucket, value)) = take(left)
            {
                let sent = self.send_in(bucket, value, patience, || false);
                sent.map_err(|error| Refused {
                    left,
                    bucket,
                    error,
                })?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Whether somebody else is to have what is in this queue.
    fn is_left(&self, sender: &Sender<T>) -> bool {
        // One that has left takes it itself.
        sender.end.has_no_receiver() && !sender.is_empty() && self.all_living().next().is_some()
    }

    /// Whether there is room now for the next message that was left here; a hint.
    fn fits(&self, left: &Sender<T>) -> bool {
        let to = match next_bucket(left) {
            None => return true, // who takes it sees what it is
            Some(0) => self.shortest(),
            Some(bucket) => self.owner(bucket),
        };
        to.is_some_and(|(_, sender)| sender.len() < sender.capacity())
    }

    /// A queue whose next message is for this receiver, too; a hint.
    pub(super) fn left_for(&self, sender: &Sender<T>) -> Option<&Sender<T>> {
        let mut all = self.board.iter().map(|(_, left)| left);
        all.find(|left| {
            let bucket = || next_bucket(left);
            self.is_left(left) && bucket().is_some_and(|bucket| self.belongs(bucket, sender))
        })
    }

    fn belongs(&self, bucket: u64, sender: &Sender<T>) -> bool {
        let is_it = |(_, owner): (usize, &Sender<T>)| std::ptr::eq(owner, sender);
        bucket == 0 || self.owner(bucket).is_some_and(is_it)
    }

    /// Hands on the next message that was left there, in this place if it belongs there. False if that came to nothing.
    pub(super) fn put_left<'a>(
        &'a self,
        left: &'a Sender<T>,
        sender: &Sender<T>,
        claimed: Claimed<'_>,
    ) -> bool {
        let Some((bucket, value)) = take(left) else {
            return false;
        };
        let sent = if self.belongs(bucket, sender) {
            let encoded = message::encode(&value, self.board.pool());
            put_in(sender, claimed, value, encoded, bucket)
        } else {
            drop(claimed); // another has taken what was seen
            self.send_in(bucket, value, Patience::Not, || false)
        };
        let refused = sent.map_err(|error| Refused {
            left,
            bucket,
            error,
        });
        refused.map_err(Refused::put_back).is_ok()
    }

    /// For who has something else to send: whether there is still something left. If it is not to wait for one queue while
    /// others have room (`Not`), it hands on, in their order, those for which there is room.
    pub(super) fn hand_on_if_any(&self, patience: Patience) -> bool {
        let is_any = || self.board.iter().any(|(_, left)| self.is_left(left));
        if !is_any() {
            return false;
        }
        match self.hand_on_all(patience) {
            Ok(0) => {}
            Ok(messages) => tracing::debug!(messages, "handed on what a receiver has left"),
            // What could not be handed on now waits for the next one.
            Err(refused) => refused.put_back(),
        }
        is_any()
    }
}

/// A message that could not be handed on, and the queue that it was left in.
pub struct Refused<'a, T> {
    left: &'a Sender<T>,
    bucket: u64,
    pub error: SendError<T>,
}

impl<T: Serialize + DeserializeOwned> Refused<'_, T> {
    /// It goes to the end of its queue, in which nobody but who hands on puts anything.
    fn put_back(self) {
        let fault = self.error.fault.to_string();
        let put = |value: T| {
            let end = &*self.left.end;
            let encoded = message::encode(&value, end.pool());
            let (message, _) = end.message_of::<T>(encoded).ok()?;
            drop(value);
            let mut place = end.lane().claim().ok()?;
            if put(end.lane(), &mut place, message, self.bucket, end.pool()).is_err() {
                end.gave_up_place(place);
                return None;
            }
            end.fill(place);
            Some(())
        };
        if self.error.into_value().and_then(put).is_none() {
            tracing::warn!(fault, "a message that a receiver has left is lost");
        }
    }
}

/// In which bucket the next message of a queue is; a hint, for another may take it.
fn next_bucket<T>(left: &Sender<T>) -> Option<u64> {
    let header = left.end.lane().next_header()?;
    Some(header >> BUCKET)
}

/// The oldest message of a queue whose receivers are gone, and its bucket; one that cannot be read is
/// gone, and logged.
fn take<T: DeserializeOwned>(sender: &Sender<T>) -> Option<(u64, T)> {
    let (lane, pool) = (sender.end.lane(), sender.end.pool());
    loop {
        let (mine, _) = lane.take().ok()?;
        let bucket = lane.header(&mine) >> BUCKET;
        let received = message::take(lane, &mine, pool);
        lane.empty(mine);
        match received?.decode() {
            Ok(value) => return Some((bucket, value)),
            Err(message) => tracing::warn!(message, "a message cannot be read"),
        }
    }
}
