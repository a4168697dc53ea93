//! What a finished task left in its slot, taken over by whoever collects it.

use serde::de::DeserializeOwned;

use crate::pool::{Pool, Transfer};
use crate::prim::SlotIndex;

use super::codec::decode_with_buffers;
use super::payload::LONG;
use super::slot::PAYLOAD_WORDS;
use super::{Fault, Head, Outcome, Payload, Place, Slot, parcels_of, split_parcels};

/// The encoded result of a run, with its buffers.
#[derive(Debug)]
pub struct Finished {
    /// How the run ended.
    pub outcome: Outcome,
    /// The encoded value, or a message.
    pub payload: Payload,
    /// How many parcels follow the value.
    pub parcels: u8,
    /// The buffers in the value.
    pub buffers: Vec<Transfer>,
}

impl Finished {
    /// Takes everything out of slot `index`, whose word says `Done`. `held` is what
    /// the caller holds for the task's arguments.
    ///
    /// # Errors
    /// Says what does not make sense.
    pub fn take(
        slot: &Slot,
        index: SlotIndex,
        pool: &Pool,
        held: &[Transfer],
    ) -> Result<Self, &'static str> {
        let (head, words) = slot.read().ok_or("a finished task's slot makes no sense")?;
        let payload = taken(&head, words, index, pool)
            .ok_or("a finished task's result is not where it should be")?;
        let mut buffers = Vec::new();
        if head.parcels > 0 {
            let accepted = split_parcels(payload.bytes(), head.parcels)
                .and_then(|(_, parcels)| pool.accept_results(&parcels, index, held));
            buffers = accepted.ok_or("a buffer in a result is not what it should be")?;
        }
        Ok(Finished {
            outcome: head.outcome,
            payload,
            parcels: head.parcels,
            buffers,
        })
    }

    /// Frees everything in slot `index`, whose word says `Done`, and whose result nobody
    /// wants; nothing of it is copied. What it has of the task's arguments is somebody else's.
    pub fn discard(slot: &Slot, index: SlotIndex, pool: &Pool) {
        let Some((head, words)) = slot.read() else {
            return;
        };
        let parcels = parcels_of(&head, words, pool);
        if let Place::Block {
            index: block,
            generation,
            ..
        } = head.place
        {
            pool.free_result(block, generation, index);
        }
        for parcel in parcels.into_iter().flatten() {
            drop(pool.accept_result(&parcel, index, &[]));
        }
    }

    /// Decodes the value.
    pub fn decode<R: DeserializeOwned>(self) -> Result<R, Fault> {
        let Finished {
            payload,
            parcels,
            buffers,
            outcome,
        } = self;
        let bytes = value(&payload, parcels);
        decode_with_buffers(bytes, outcome.is_marked(), &mut { buffers })
    }

    /// Whether there is a writable buffer in the value.
    pub fn has_loan(&self) -> bool {
        self.buffers.iter().any(Transfer::is_loan)
    }

    /// Decodes the value, and keeps it. `None` if it has a writable buffer, which can
    /// only be had once.
    pub fn decode_again<R: DeserializeOwned>(&self) -> Option<Result<R, Fault>> {
        if self.has_loan() {
            return None;
        }
        let bytes = value(&self.payload, self.parcels);
        let mut buffers = self.buffers.iter().map(Transfer::share).collect();
        let is_marked = self.outcome.is_marked();
        Some(decode_with_buffers(bytes, is_marked, &mut buffers))
    }
}

impl Finished {
    /// The encoded value, if it is in the plain form, without buffers.
    pub fn plain_bytes(&self) -> Option<&[u8]> {
        (self.parcels == 0 && !self.outcome.is_marked()).then(|| self.payload.bytes())
    }
}

/// The encoded value in slot `index`; frees the block that it may be in.
fn taken(
    head: &Head,
    words: [u64; PAYLOAD_WORDS],
    index: SlotIndex,
    pool: &Pool,
) -> Option<Payload> {
    match head.place {
        Place::Inline(len) => Some(Payload::from_words(words, len)),
        Place::Block {
            index: block,
            generation,
            len,
        } if len >= LONG && is_read_where_it_is(head.outcome) => {
            Some(match pool.keep_result(block, generation, index, len)? {
                Ok(kept) => Payload::from_kept(kept),
                Err(bytes) => Payload::from_vec(bytes),
            })
        }
        Place::Block {
            index: block,
            generation,
            len,
        } => pool
            .take_result(block, generation, index, len)
            .map(Payload::from_vec),
    }
}

/// Of what its own type decodes; that copies what it then checks. Words are read by others.
fn is_read_where_it_is(outcome: Outcome) -> bool {
    outcome.is_value() && !outcome.is_err()
}

/// The encoded value, without the parcels behind it.
fn value(payload: &Payload, parcels: u8) -> &[u8] {
    let bytes = payload.bytes();
    split_parcels(bytes, parcels).map_or(bytes, |(value, _)| value)
}
