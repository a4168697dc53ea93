//! What a handle waits on.

use std::sync::{Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::pool::{Transfer, decoding};
use crate::prim::{Generation, Hint, SlotIndex};
use crate::task::{Payload, split_parcels};

/// A task's outcome, once it has one.
#[derive(Debug)]
pub struct Ticket {
    /// Where the task is while it is in flight.
    pub(super) hint: Hint,
    outcome: OnceLock<Outcome>,
}

/// A value as it came back, or why there is none.
pub type Outcome = Result<Value, TaskError>;

/// An encoded value and the buffers in it.
#[derive(Debug)]
pub struct Value {
    pub(super) payload: Payload,
    pub(super) parcels: u8,
    /// Taken by the one who decodes.
    pub(super) buffers: Mutex<Vec<Transfer>>,
}

impl Ticket {
    /// For a task about to be queued in `slot`.
    pub(super) fn new(slot: u32, generation: Generation) -> Self {
        Ticket {
            hint: Hint {
                slot: SlotIndex(slot),
                generation,
            },
            outcome: OnceLock::new(),
        }
    }

    /// Of a task that ended before it was queued.
    pub fn ended(error: TaskError) -> Self {
        let ticket = Ticket::new(u32::MAX, Generation::new(0));
        ticket.settle(Err(error));
        ticket
    }

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
    /// Decodes it. Buffers in it can be taken once.
    #[inline]
    pub fn decode<R: DeserializeOwned>(&self) -> Result<R, TaskError> {
        let bytes = self.payload.bytes();
        let decoded = if self.parcels == 0 {
            postcard::from_bytes(bytes)
        } else {
            let taken = std::mem::take(
                &mut *self.buffers.lock().unwrap_or_else(PoisonError::into_inner),
            );
            let value = split_parcels(bytes, self.parcels).map_or(bytes, |(value, _)| value);
            decoding(taken, || postcard::from_bytes(value))
        };
        decoded.map_err(|error| TaskError::Result {
            message: format!("it does not decode as the expected type: {error}"),
        })
    }
}
