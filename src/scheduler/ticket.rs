//! What a handle waits on.

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::prim::Hint;
use crate::task::{Finished, Outcome as Ran, Payload};

use super::group::{Groups, Watch, Watchers};

/// Bytes of a value that need no allocation.
const SMALL: usize = 24;

/// A handle's claim to an outcome: which ticket, and where its task is while it is
/// in flight. There is one for each ticket, so a ticket is taken or detached once.
#[derive(Debug)]
pub struct Ticket {
    pub(super) id: u32,
    hint: u64,
}

/// A value as it came back, or why there is none.
pub type Outcome = Result<Value, Box<TaskError>>;

/// An encoded value and the buffers in it.
#[derive(Debug)]
pub enum Value {
    /// A few bytes, without buffers.
    Small { len: u8, words: [u64; SMALL / 8] },
    /// Anything else.
    Large(Box<Finished>),
}

impl Ticket {
    pub(super) fn new(id: u32, hint: Hint) -> Self {
        let hint = hint.pack();
        Ticket { id, hint }
    }

    /// Where the task is while it is in flight.
    #[inline]
    pub(super) fn hint(&self) -> Hint {
        Hint::unpack(self.hint)
    }
}

/// All tickets, under the scheduler's lock.
#[derive(Debug, Default)]
pub struct Tickets {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    pub(super) groups: Groups,
}

const _: () = assert!(size_of::<Entry>() <= 40);

#[derive(Debug)]
enum Entry {
    /// To be reused.
    Vacant,
    /// The task has not ended.
    Pending(Watchers),
    /// It has not, and nobody will ask for the outcome.
    Detached(Watchers),
    /// It has.
    Settled(Outcome),
}

impl Tickets {
    /// A new pending ticket.
    #[inline]
    pub fn open(&mut self) -> u32 {
        match self.vacant.pop() {
            Some(id) => {
                self.entries[id as usize] = Entry::Pending(Watchers::NONE);
                id
            }
            None => {
                self.entries.push(Entry::Pending(Watchers::NONE));
                (self.entries.len() - 1) as u32
            }
        }
    }

    /// The task of ticket `id` has ended; returns the groups that watched it.
    #[inline]
    pub fn settle(&mut self, id: u32, outcome: Outcome) -> Watchers {
        let entry = &mut self.entries[id as usize];
        let (watchers, is_wanted) = match entry {
            Entry::Pending(watchers) => (*watchers, true),
            Entry::Detached(watchers) => (*watchers, false),
            Entry::Vacant | Entry::Settled(_) => {
                debug_assert!(false, "a task ended twice");
                return Watchers::NONE;
            }
        };
        if watchers.any() {
            self.groups.tell(watchers, error_of(&outcome));
        }
        *entry = if is_wanted {
            Entry::Settled(outcome)
        } else {
            self.vacant.push(id);
            Entry::Vacant
        };
        watchers
    }

    /// Has `watch` told when the task of ticket `id` ends; at once if it has.
    pub fn watch(&mut self, id: u32, watch: Watch) {
        match &mut self.entries[id as usize] {
            Entry::Pending(watchers) | Entry::Detached(watchers) => {
                self.groups.enrol(watchers, watch);
            }
            Entry::Settled(outcome) => self.groups.tell_one(watch, error_of(outcome)),
            Entry::Vacant => debug_assert!(false, "a ticket that is gone is watched"),
        }
    }

    /// Whether the task of ticket `id` has not ended, and group `group` watches it.
    pub fn is_watched_by(&self, id: u32, group: u32) -> bool {
        match &self.entries[id as usize] {
            Entry::Pending(watchers) | Entry::Detached(watchers) => watchers.contain(group),
            Entry::Settled(_) | Entry::Vacant => false,
        }
    }

    /// Whether the task of ticket `id` has ended.
    pub fn is_settled(&self, id: u32) -> bool {
        matches!(self.entries[id as usize], Entry::Settled(_))
    }

    /// The outcome, if there is one; the ticket is gone then.
    #[inline]
    pub fn take(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        if !matches!(entry, Entry::Settled(_)) {
            return None;
        }
        self.vacant.push(id);
        match std::mem::replace(entry, Entry::Vacant) {
            Entry::Settled(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Nobody will ask for the outcome of ticket `id`.
    pub fn detach(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        if let Entry::Pending(watchers) = *entry {
            *entry = Entry::Detached(watchers);
            return None;
        }
        self.take(id)
    }
}

fn error_of(outcome: &Outcome) -> Option<&TaskError> {
    outcome.as_ref().err().map(|error| &**error)
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
        Value::large(Finished {
            outcome: Ran::Value,
            payload: Payload::from_words(words, len),
            parcels: 0,
            buffers: Vec::new(),
        })
    }

    pub(super) fn large(finished: Finished) -> Self {
        Value::Large(Box::new(finished))
    }

    /// Decodes it.
    #[inline]
    pub fn decode<R: DeserializeOwned>(self) -> Result<R, TaskError> {
        let decoded = match self {
            Value::Small { len, words } => {
                let bytes: &[u8] = bytemuck::cast_slice(&words);
                postcard::from_bytes(&bytes[..usize::from(len).min(SMALL)])
            }
            Value::Large(finished) => finished.decode(),
        };
        decoded.map_err(|error| TaskError::Result {
            message: format!("it does not decode as the expected type: {error}"),
        })
    }
}
