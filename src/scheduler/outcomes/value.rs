//! What comes back from a task: an encoded value, or why there is none.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::task::{
    Fault, Finished, Outcome as Ran, Payload, Room, decode, encode_with_buffers, untold,
};

/// Bytes of a value that need no allocation.
pub const SMALL: usize = 24;

/// A value as it came back, or why there is none.
pub type Outcome = Result<Value, Box<TaskError>>;

/// An encoded value and the buffers in it.
#[derive(Debug)]
pub enum Value {
    /// A few bytes, without buffers.
    Small {
        len: u8,
        /// It is an `Err`.
        is_err: bool,
        words: [u64; SMALL / 8],
    },
    /// Anything else.
    Large(Box<Finished>),
    /// One that others look at too.
    Shared(Arc<Outcome>),
    /// What others see of a value with a writable buffer in it, which is the handle's alone.
    HandleOnly {
        /// It is an `Err`.
        is_err: bool,
    },
}

/// The bytes of a small value, and how many there are: one by one, so that they stay in
/// registers.
pub type Small = (u64, u64, u64, u8);

/// The length of a small value, whether it is an `Err`, and what the function of its task is called.
pub type Taken = (u8, bool, fn() -> &'static str);

pub(in crate::scheduler) fn error_of(outcome: &Outcome) -> Option<&TaskError> {
    outcome.as_ref().err().map(|error| &**error)
}

impl Value {
    /// Of words from a slot, without buffers.
    #[inline]
    pub(in crate::scheduler) fn inline(ran: Ran, words: [u64; 6], len: usize) -> Self {
        if len <= SMALL {
            let [a, b, c, ..] = words;
            return Value::Small {
                len: len as u8,
                is_err: ran.is_err(),
                words: [a, b, c],
            };
        }
        Value::large(Finished {
            outcome: ran,
            payload: Payload::from_words(words, len),
            parcels: 0,
            buffers: Vec::new(),
        })
    }

    /// Whether it is an `Err`.
    pub fn is_err(&self) -> bool {
        match self {
            Value::Small { is_err, .. } | Value::HandleOnly { is_err } => *is_err,
            Value::Large(finished) => finished.outcome.is_err(),
            Value::Shared(outcome) => outcome.as_ref().as_ref().is_ok_and(Value::is_err),
        }
    }

    pub(in crate::scheduler) fn large(finished: Finished) -> Self {
        Value::Large(Box::new(finished))
    }

    /// The same value, not as one of a few bytes.
    pub(in crate::scheduler) fn grow(&mut self) {
        if let &mut Value::Small { len, is_err, words } = self {
            let mut all = [0; 6];
            all[..words.len()].copy_from_slice(&words);
            *self = Value::large(Finished {
                outcome: Ran::of_value(is_err, false),
                payload: Payload::from_words(all, len.into()),
                parcels: 0,
                buffers: Vec::new(),
            });
        }
    }

    /// Decodes it.
    #[inline]
    pub fn decode<R: DeserializeOwned>(self) -> Result<R, TaskError> {
        match self {
            Value::Small { len, words, .. } => small(len, &words),
            Value::Large(finished) => finished.decode().map_err(undecodable::<R>),
            Value::Shared(outcome) => decode_again(&outcome),
            Value::HandleOnly { .. } => Err(loan_in_it()),
        }
    }

    /// What it is, as far as that can be told without its type: the text of an `Err` that is
    /// one.
    pub fn words(&self) -> String {
        let bytes = match self {
            Value::Small { len, words, .. } => {
                let bytes: &[u8] = bytemuck::cast_slice(words);
                Some(&bytes[..usize::from(*len).min(SMALL)])
            }
            Value::Large(finished) => finished.plain_bytes(),
            Value::Shared(_) | Value::HandleOnly { .. } => None,
        };
        let text = bytes
            .and_then(|bytes| bytes.split_first())
            .and_then(|(_, text)| postcard::take_from_bytes::<&str>(text).ok())
            .filter(|(text, rest)| self.is_err() && rest.is_empty() && !text.is_empty());
        match text {
            Some((text, _)) => format!("it returned the error {text:?}"),
            None if self.is_err() => "it returned an error".into(),
            None => "it returned a value that was judged to be a failure".into(),
        }
    }

    /// Whether others may have it too.
    pub fn is_for_all(&self) -> bool {
        !matches!(self, Value::HandleOnly { .. })
    }
}

/// Has an outcome looked at that is nobody else's; it is the same afterwards, but for a value
/// that does not decode, which is an error.
pub fn look_at<R, T>(outcome: &mut Outcome, look: impl FnOnce(&Result<R, TaskError>) -> T) -> T
where
    R: Serialize + DeserializeOwned,
{
    if !has_loan(outcome) {
        return look(&decode_again(outcome));
    }
    // It can be decoded only once: so it is encoded again.
    let taken = std::mem::replace(outcome, only_one(outcome));
    let Ok(Value::Large(finished)) = taken else {
        *outcome = taken;
        return look(&decode_again(outcome));
    };
    let ran = finished.outcome;
    let value: Result<R, TaskError> = finished.decode().map_err(undecodable::<R>);
    let seen = catch_unwind(AssertUnwindSafe(|| look(&value)));
    *outcome = value.map_err(Box::new).and_then(|value| {
        let mut payload = Payload::new();
        let (encoded, buffers) = encode_with_buffers(&value, &mut payload, Room::Heap);
        drop(value);
        encoded.map_err(|error| Box::new(undecodable::<R>(error)))?;
        Ok(Value::large(Finished {
            outcome: Ran::of_value(ran.is_err(), payload.is_marked()),
            payload,
            parcels: 0,
            buffers,
        }))
    });
    seen.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Decodes an outcome that others look at too.
pub fn decode_again<R: DeserializeOwned>(outcome: &Outcome) -> Result<R, TaskError> {
    match outcome {
        Ok(Value::Small { len, words, .. }) => small(*len, words),
        Ok(Value::Large(finished)) => match finished.decode_again() {
            Some(decoded) => decoded.map_err(undecodable::<R>),
            None => Err(loan_in_it()),
        },
        Ok(Value::Shared(outcome)) => decode_again(outcome),
        Ok(Value::HandleOnly { .. }) => Err(loan_in_it()),
        Err(error) => Err((**error).clone()),
    }
}

/// A writable buffer is the handle's alone.
pub(in crate::scheduler) fn has_loan(outcome: &Outcome) -> bool {
    match outcome {
        Ok(Value::Large(finished)) => finished.has_loan(),
        _ => false,
    }
}

/// What all but the handle get of a value with a writable buffer in it.
pub(in crate::scheduler) fn only_one(outcome: &Outcome) -> Outcome {
    let is_err = outcome.as_ref().is_ok_and(Value::is_err);
    Ok(Value::HandleOnly { is_err })
}

pub(in crate::scheduler) fn loan_in_it() -> TaskError {
    TaskError::result(
        "there is a `Loan` in it, which only the handle can have: publish it in the task, and return the `Shared`",
    )
}

/// The outcome for the handle; the only one left, if it is.
pub(in crate::scheduler) fn of_shared(outcome: Arc<Outcome>) -> Outcome {
    match Arc::try_unwrap(outcome) {
        Ok(outcome) => outcome,
        Err(shared) => match &*shared {
            Ok(_) => Ok(Value::Shared(shared)),
            Err(error) => Err(error.clone()),
        },
    }
}

/// Decodes a value of a few bytes.
#[inline]
pub fn small<R: DeserializeOwned>(len: u8, words: &[u64; SMALL / 8]) -> Result<R, TaskError> {
    let bytes: &[u8] = bytemuck::cast_slice(words);
    decode(&bytes[..usize::from(len).min(SMALL)], false).map_err(undecodable::<R>)
}

#[cold]
fn undecodable<R>(fault: Fault) -> TaskError {
    TaskError::result(untold::<R>(&fault))
}

/// What a process that was forked off has of a task of its parent.
#[cold]
pub(in crate::scheduler) fn forked() -> Outcome {
    Err(Box::new(TaskError::Forked))
}
