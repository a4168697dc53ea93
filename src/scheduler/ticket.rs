//! What a handle waits on.

use std::sync::{Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::pool::{Transfer, decoding};
use crate::prim::{Generation, Hint, SlotIndex};
use crate::task::{Payload, split_parcels};

/// Bytes of a value that need no allocation.
const SMALL: usize = 24;

/// A task's outcome, once it has one. With its reference counts it fills one cache
/// line: there are as many as handles.
#[derive(Debug)]
pub struct Ticket {
    /// Where the task is while it is in flight; packed.
    hint: u64,
    outcome: OnceLock<Outcome>,
}

const _: () = assert!(size_of::<Ticket>() <= 48);

/// A value as it came back, or why there is none.
pub type Outcome = Result<Value, Box<TaskError>>;

/// An encoded value and the buffers in it.
#[derive(Debug)]
pub enum Value {
    /// A few bytes, without buffers.
    Small { len: u8, words: [u64; SMALL / 8] },
    /// Anything else.
    Large(Box<Large>),
}

/// A value that does not fit into a ticket.
#[derive(Debug)]
pub struct Large {
    payload: Payload,
    parcels: u8,
    /// Taken by the one who decodes.
    buffers: Mutex<Vec<Transfer>>,
}

impl Ticket {
    /// For a task about to be queued in `slot`.
    pub(super) fn new(slot: u32, generation: Generation) -> Self {
        let slot = SlotIndex(slot);
        Ticket {
            hint: Hint { slot, generation }.pack(),
            outcome: OnceLock::new(),
        }
    }

    /// Of a task that ended before it was queued.
    pub fn ended(error: TaskError) -> Self {
        let ticket = Ticket::new((1 << 24) - 1, Generation::new(0));
        ticket.settle(Err(Box::new(error)));
        ticket
    }

    /// Where the task is while it is in flight.
    #[inline]
    pub(super) fn hint(&self) -> Hint {
        Hint::unpack(self.hint)
    }

    #[inline]
    pub(super) fn settle(&self, outcome: Outcome) {
        let first = self.outcome.set(outcome).is_ok();
        debug_assert!(first, "a task ended twice");
    }

    /// The outcome, if the task has ended and somebody has collected it.
    #[inline]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Whether there is an outcome.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.outcome.get().is_some()
    }
}

impl Value {
    /// Of words from a slot, without buffers.
    #[inline]
    pub(super) fn inline(words: [u64; 6], len: usize) -> Self {
        if len <= SMALL {
            let [a, b, c, ..] = words;
            return Value::Small {
                len: len as u8,
                words: [a, b, c],
            };
        }
        Value::large(Payload::from_words(words, len), 0, Vec::new())
    }

    pub(super) fn large(payload: Payload, parcels: u8, buffers: Vec<Transfer>) -> Self {
        Value::Large(Box::new(Large {
            payload,
            parcels,
            buffers: Mutex::new(buffers),
        }))
    }

    /// Decodes it. Buffers in it can be taken once.
    #[inline]
    pub fn decode<R: DeserializeOwned>(&self) -> Result<R, TaskError> {
        let decoded = match self {
            Value::Small { len, words } => {
                let bytes: &[u8] = bytemuck::cast_slice(words);
                postcard::from_bytes(&bytes[..usize::from(*len).min(SMALL)])
            }
            Value::Large(large) => large.decode(),
        };
        decoded.map_err(|error| TaskError::Result {
            message: format!("it does not decode as the expected type: {error}"),
        })
    }
}

impl Large {
    fn decode<R: DeserializeOwned>(&self) -> postcard::Result<R> {
        let bytes = self.payload.bytes();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *buffers);
        let value = split_parcels(bytes, self.parcels).map_or(bytes, |(value, _)| value);
        decoding(taken, || postcard::from_bytes(value))
    }
}
