//! Room for a message: in the queue that it belongs to, or in whichever has some first.

use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::channel::case::Also;
use crate::channel::ends::Endpoint;
use crate::channel::message::{self, Encoded, Message};
use crate::channel::room::Claimed;
use crate::channel::select::Select;
use crate::channel::{SelectError, SendError, SendFault, Sender};
use crate::lane::{Lane, Mine};
use crate::notify::Gate;
use crate::object::{GaveUp, Patience};
use crate::pool::{AllocError, Pool};

use super::keys::BUCKET;
use super::{Router, is_gone};

/// A place in one of the queues.
type Found<'a, T> = (&'a Sender<T>, Claimed<'a>);

/// One more receiver than the first so many.
struct Joined<'a> {
    board: &'a Lane,
    seen: usize,
}

impl<'a> Also<'a> for Joined<'a> {
    fn has_come(&self) -> bool {
        self.board.peek(self.seen).is_some()
    }

    fn gate(&self) -> Option<&'a Gate> {
        Some(self.board.for_message())
    }
}

impl<T: Serialize + DeserializeOwned> Router<T> {
    /// To whom it belongs, or, in bucket 0, to whoever has room; as often as one goes meanwhile. `hand_on` is called before,
    /// and whenever one has gone; it says whether there is something left, to be served first where it fits.
    pub(super) fn send_in(
        &self,
        bucket: u64,
        mut value: T,
        patience: Patience,
        hand_on: impl Fn() -> bool,
    ) -> Result<(), SendError<T>> {
        let mut serves = hand_on();
        let begin = matches!(patience, Patience::For(_)).then(Instant::now);
        loop {
            if self.all_living().next().is_none() {
                return Err(SendError::new(Some(value), self.fault()));
            }
            let encoded = message::encode(&value, self.board.pool());
            let (sender, claimed) = loop {
                match self.claim(bucket, left(patience, begin)) {
                    Ok(Some((sender, claimed))) => {
                        let left = serves.then(|| self.left_for(sender)).flatten();
                        let Some(left) = left else {
                            break (sender, claimed);
                        };
                        serves = self.put_left(left, sender, claimed);
                    }
                    Ok(None) => serves = hand_on(),
                    Err(fault) => return Err(SendError::new(Some(value), fault)),
                }
            };
            let Err(error) = put_in(sender, claimed, value, encoded, bucket) else {
                if is_gone(sender) {
                    hand_on(); // it may have gone just before
                }
                return Ok(());
            };
            if error.fault != SendFault::Disconnected {
                return Err(error);
            }
            let fault = error.fault.clone();
            value = match error.into_value() {
                Some(value) => value,
                None => return Err(SendError::new(None, fault)),
            };
            serves = hand_on();
        }
    }

    /// To this one, and no other.
    pub(super) fn send_to(
        &self,
        sender: &Sender<T>,
        value: T,
        patience: Patience,
    ) -> Result<(), SendError<T>> {
        if let Some(fault) = sender.end.send_fault() {
            return Err(SendError::new(Some(value), fault));
        }
        let encoded = message::encode(&value, sender.end.pool());
        match sender.end.claim(patience, 0) {
            Ok(claimed) => put_in(sender, claimed, value, encoded, 0),
            Err(fault) => Err(SendError::new(Some(value), fault)),
        }
    }

    /// A place for a message of this bucket; `None` if the receivers are not those that they were: ask again.
    fn claim(&self, bucket: u64, patience: Patience) -> Result<Option<Found<'_, T>>, SendFault> {
        if bucket == 0 {
            return self.claim_any(patience);
        }
        let (_, sender) = self.owner(bucket).ok_or_else(|| self.fault())?;
        match sender.end.claim(patience, 0) {
            Ok(claimed) => Ok(Some((sender, claimed))),
            Err(SendFault::Disconnected) if is_gone(sender) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The same in any queue: in the shortest, or, if that is full, in the one that has room first.
    fn claim_any(&self, patience: Patience) -> Result<Option<Found<'_, T>>, SendFault> {
        let seen = self.board.len();
        let (_, shortest) = self.shortest().ok_or_else(|| self.fault())?;
        let look = || match shortest.end.look_for_place(0) {
            Err(SendFault::Disconnected) => Ok(None),
            looked => looked,
        };
        let mut found = look()?;
        if found.is_none() && patience != Patience::Not && shortest.end.linger() {
            found = look()?;
        }
        if let Some(claimed) = found {
            return Ok(Some((shortest, claimed)));
        }
        self.wait_for_any(shortest, seen, patience)
    }

    #[cold]
    fn wait_for_any(
        &self,
        shortest: &Sender<T>,
        seen: usize,
        patience: Patience,
    ) -> Result<Option<Found<'_, T>>, SendFault> {
        // A task that may be run again keeps the receivers among its arguments: those take nothing.
        let takes = |sender: &&Sender<T>| sender.end.no_receiver().is_none();
        let senders = self.all_living().map(|(_, sender)| sender).filter(takes);
        let senders: SmallVec<[&Sender<T>; 8]> = senders.collect();
        if senders.is_empty() {
            return Err(self.fault());
        }
        let mut select = Select::new();
        for sender in &senders {
            select.send(sender);
        }
        let board = self.board.lane();
        select.also(Joined { board, seen });
        let chosen = match select.wait_with(patience) {
            Ok(chosen) => chosen,
            Err(why) => return Err(late(&shortest.end, why)),
        };
        let sender = senders.get(chosen.index()).copied();
        match (sender, chosen.into_place()) {
            (Some(sender), Some(Ok(claimed))) => Ok(Some((sender, claimed))),
            (Some(_), Some(Err(fault))) if fault != SendFault::Disconnected => Err(fault),
            _ => Ok(None),
        }
    }

    /// Why nothing can be sent to anybody.
    fn fault(&self) -> SendFault {
        let faults = self.board.iter();
        let mut faults = faults.filter_map(|(_, sender)| sender.end.send_fault());
        faults
            .find(|fault| *fault != SendFault::Disconnected)
            .unwrap_or(SendFault::Disconnected)
    }
}

/// What is left of a patience.
fn left(patience: Patience, begin: Option<Instant>) -> Patience {
    match (patience, begin) {
        (Patience::For(time), Some(begin)) => Patience::For(time.saturating_sub(begin.elapsed())),
        _ => patience,
    }
}

fn late(end: &Endpoint, why: SelectError) -> SendFault {
    match why {
        SelectError::TimedOut { waited } => end.gave_up(GaveUp::Late(waited)),
        SelectError::NotReady => SendFault::Full,
        SelectError::Cancelled => SendFault::Cancelled,
        SelectError::Nothing => SendFault::Disconnected,
    }
}

/// As [`Sender::send`] does in a place that was claimed; writes the bucket into the message's header.
pub fn put_in<T>(
    sender: &Sender<T>,
    claimed: Claimed<'_>,
    value: T,
    encoded: Encoded,
    bucket: u64,
) -> Result<(), SendError<T>>
where
    T: Serialize + DeserializeOwned,
{
    let end = &*sender.end;
    let (message, _) = match end.message_of::<T>(encoded) {
        Ok(message) => message,
        Err(fault) => return Err(SendError::new(Some(value), fault)),
    };
    let mut value = Some(value);
    let put = end.send_in(claimed, |lane, place| {
        drop(value.take());
        put(lane, place, message, bucket, end.pool())
    });
    match put {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refused)) => {
            let (message, error) = *refused;
            Err(SendError::new(message.into_value(), error))
        }
        Err(fault) => Err(SendError::new(value, fault)),
    }
}

/// Writes a message into a place, and its bucket into the header.
pub fn put(
    lane: &Lane,
    place: &mut Mine,
    message: Message,
    bucket: u64,
    pool: &Pool,
) -> Result<(), Box<(Message, AllocError)>> {
    message.put(lane, place, pool)?;
    lane.set_header(place, lane.header(place) | bucket << BUCKET);
    Ok(())
}
