//! What a [`Select`](super::Select) waits for: each of the things, and what is taken of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::{Duration, Instant};

use crate::lane::Still;
use crate::notify::Gate;
use crate::sys::barrier;

use super::ends::Endpoint;
use super::message::Received;
use super::room::Claimed;
use super::{RecvError, SendFault};

/// One of the things that a select waits for.
pub enum Case<'a> {
    Recv(&'a Arc<Endpoint>),
    Send {
        end: &'a Endpoint,
        /// How much of the channel's bound the message took for which there was too little room; 0 if that is not known.
        needs: u64,
    },
    Ended(Arc<Ended>),
    Also(Box<dyn Also<'a> + 'a>),
    Time {
        next: Option<Instant>,
        period: Option<Duration>,
    },
    Removed,
}

/// Something else that may be waited for, of a module above. Nothing is taken when it is chosen.
pub trait Also<'a>: Send + Sync {
    /// Whether it has come.
    fn has_come(&self) -> bool;

    /// Opened for all when it comes.
    fn gate(&self) -> Option<&'a Gate> {
        None
    }

    /// When it comes by itself.
    fn time(&self) -> Option<Instant> {
        None
    }

    /// The thread is about to sleep: announces it where there is no gate. Before a last look.
    fn prepare(&self) {}

    /// The thread would sleep now: does here what it would sleep for, if it can. Whether it did.
    fn help(&self) -> bool {
        false
    }

    /// The thread does not sleep any more.
    fn done(&self) {}
}

/// The end of a task, as a select sees it.
pub struct Ended {
    has_come: AtomicBool,
    gate: Arc<Gate>,
}

impl Ended {
    /// One that opens this gate.
    pub fn at(gate: &Arc<Gate>) -> Self {
        Ended {
            has_come: AtomicBool::new(false),
            gate: Arc::clone(gate),
        }
    }
}

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        // ordering: Release pairs with the Acquire in `Case::look`.
        self.has_come.store(true, Ordering::Release);
        // Pairs with the heavy one in `prepare`.
        barrier::light();
        self.gate.open_all();
    }
}

/// What was chosen, and done already.
#[expect(clippy::large_enum_variant, reason = "most are messages")]
pub enum Taken<'a> {
    Message(Result<Received, RecvError>),
    Place(Result<Claimed<'a>, SendFault>),
    /// It has come, and there is nothing to be had.
    Come,
}

impl<'a> Case<'a> {
    pub fn gate(&self) -> Option<&'a Gate> {
        match self {
            Case::Recv(end) => Some(end.lane().for_message()),
            Case::Send { end, .. } => Some(end.lane().for_room()),
            Case::Also(also) => also.gate(),
            Case::Ended(_) | Case::Time { .. } | Case::Removed => None,
        }
    }

    pub fn also(&self) -> Option<&(dyn Also<'a> + 'a)> {
        match self {
            Case::Also(also) => Some(&**also),
            _ => None,
        }
    }

    /// What says that nothing has changed since it was not ready.
    pub fn still(&self) -> Option<Still<'a>> {
        match self {
            Case::Recv(end) => end.lane().no_message(),
            Case::Send { end, .. } => end.no_room(),
            _ => None,
        }
    }

    /// Takes what there is.
    pub fn look(&mut self) -> Option<Taken<'a>> {
        match self {
            Case::Recv(end) => end.look_for_message().transpose().map(Taken::Message),
            Case::Send { end, needs } => end.look_for_room(*needs).transpose().map(Taken::Place),
            Case::Ended(ended) => {
                // ordering: Acquire pairs with the Release in `Ended::wake`.
                let has_come = ended.has_come.load(Ordering::Acquire);
                has_come.then_some(Taken::Come)
            }
            Case::Also(also) => also.has_come().then_some(Taken::Come),
            Case::Time { next, period } => {
                let at = (*next)?;
                let now = Instant::now();
                if now < at {
                    return None;
                }
                *next = period.and_then(|period| behind(at, period, now));
                Some(Taken::Come)
            }
            Case::Removed => None,
        }
    }

    pub fn time(&self) -> Option<Instant> {
        match self {
            Case::Time { next, .. } => *next,
            Case::Also(also) => also.time(),
            _ => None,
        }
    }

    /// Whether it may be ready some day.
    pub fn may_come(&self) -> bool {
        match self {
            Case::Removed => false,
            Case::Time { next, .. } => next.is_some(),
            _ => true,
        }
    }
}

/// The next time after `now` of those that come each `period`.
fn behind(at: Instant, period: Duration, now: Instant) -> Option<Instant> {
    let late = now.saturating_duration_since(at);
    let missed = late.as_nanos() / period.as_nanos().max(1);
    let step = u32::try_from(missed + 1)
        .ok()
        .and_then(|periods| period.checked_mul(periods));
    match step {
        Some(step) => at.checked_add(step),
        None => now.checked_add(period),
    }
}
