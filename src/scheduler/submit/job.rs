//! A task on its way into the queue, and why it may not be accepted.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Refusal, TaskError};
use crate::pool::Transfer;
use crate::task::{FunctionId, Head, INLINE_LEN, Label, Payload, Place};

use crate::scheduler::slots::inflight::Extra;
use crate::scheduler::terms::limit::Permit;
use crate::scheduler::terms::settings::Settings;

/// A task, ready to be submitted.
#[derive(Debug)]
pub struct Job {
    /// What to call.
    pub function: FunctionId,
    /// Its encoded arguments.
    pub payload: Payload,
    /// The buffers among them.
    pub buffers: Vec<Transfer>,
    /// What the function is called.
    pub name: fn() -> &'static str,
    /// Its shares of limits.
    pub permits: Vec<Permit>,
    /// What few tasks have.
    pub settings: Option<Arc<Settings>>,
}

impl Job {
    /// What it was given to know it by.
    pub fn label(&self) -> Option<&Label> {
        self.settings.as_ref()?.label.as_deref()
    }

    /// Whether it is no more than a function and a few bytes of arguments.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.payload.is_plain()
            && self.buffers.is_empty()
            && self.permits.is_empty()
            && self.settings.is_none()
    }
}

#[cfg(test)]
impl Job {
    pub fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(self.settings.get_or_insert_default())
    }
}

/// Why a job was not accepted.
#[derive(Debug)]
pub enum NotAccepted {
    /// Not now, or not any more: the arguments are still the caller's.
    Refused(Refusal),
    /// Never.
    Failed(TaskError),
}

impl From<Refusal> for NotAccepted {
    fn from(refusal: Refusal) -> Self {
        NotAccepted::Refused(refusal)
    }
}

/// How long to wait for memory.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// Until this time, or without end; and not beyond the moment at which no task is accepted
    /// any more.
    By(Option<Instant>),
    /// Not at all.
    Now,
}

/// What a job was encoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Was dropped.
    Gone,
    /// Is still the caller's.
    Kept,
}

/// A job that needs nothing but a slot.
pub struct Prepared {
    pub head: Head,
    pub words: [u64; INLINE_LEN / 8],
    pub name: fn() -> &'static str,
    pub extra: Option<Box<Extra>>,
}

impl Prepared {
    /// The words that are used.
    #[inline]
    pub fn words(&self) -> &[u64] {
        let used = match self.head.place {
            Place::Inline(len) => len.div_ceil(8),
            Place::Block { .. } => 0,
        };
        &self.words[..used]
    }
}
