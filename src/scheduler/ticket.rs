//! What a handle waits on.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::error::TaskError;
use crate::layout::SLOTS_MAX;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::task::{Finished, Outcome as Ran, Payload};

use super::depend::{Arrival, Dependent, Input, NodeId, returned};
use super::group::{Groups, Watch, Watchers};
use super::retry::Judge;

/// Bytes of a value that need no allocation.
pub const SMALL: usize = 24;

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
}

/// What is to be done with the outcome of a task; called by the attendant, without locks.
pub type Follower = Box<dyn FnOnce(&Arc<Outcome>) + Send>;

/// What the attendant has to tell.
pub enum News {
    /// A task has ended.
    Ended {
        outcome: Arc<Outcome>,
        /// Who wanted to know.
        followers: Vec<Follower>,
    },
    /// A pending task has all it needs, but was not quick to queue.
    Ready(NodeId),
    /// A task has said how far it is.
    Heard(Arc<Listener>),
    /// Whether its outcome is a failure is for the user to say.
    ToJudge {
        task: Hint,
        ran: Ran,
        outcome: Outcome,
        judge: Judge,
    },
}

/// Who is told how far a task is.
pub type Listener = dyn Fn() + Send + Sync;

/// Who wants to know of a task's end.
#[derive(Default)]
pub struct Following {
    watchers: Watchers,
    /// No handle will ask.
    is_detached: bool,
    /// Where the task is, if that was not known when its ticket was opened.
    place: Option<Hint>,
    /// It waits for others, or is on its way to the queue.
    node: Option<NodeId>,
    /// It was cancelled on that way.
    is_cancelled: bool,
    followers: Vec<Follower>,
    /// Inputs of pending tasks that it is.
    dependents: SmallVec<[Dependent; 2]>,
}

impl Following {
    /// Whether anybody waits for the end but the handle.
    fn is_of_interest(&self) -> bool {
        !self.followers.is_empty() || !self.dependents.is_empty()
    }
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("place", &self.place)
            .field("followers", &self.followers.len())
            .field("dependents", &self.dependents.len())
            .finish_non_exhaustive()
    }
}

impl Ticket {
    pub(super) fn new(id: u32, hint: Hint) -> Self {
        let hint = hint.pack();
        Ticket { id, hint }
    }

    /// Of a task that is in no slot.
    pub(super) fn nowhere(id: u32) -> Self {
        let nowhere = Hint {
            slot: SlotIndex(SLOTS_MAX as u32),
            generation: Generation::new(0),
        };
        Ticket::new(id, nowhere)
    }

    /// Whether it is that of a task that was in no slot when it was submitted.
    pub(super) fn is_nowhere(&self) -> bool {
        self.hint().slot.0 == SLOTS_MAX as u32
    }

    /// Where the task is while it is in flight.
    #[inline]
    pub(super) fn hint(&self) -> Hint {
        Hint::unpack(self.hint)
    }
}

/// All tickets, under the scheduler's lock.
#[derive(Default)]
pub struct Tickets {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    pub(super) groups: Groups,
    /// For the attendant.
    pub(super) news: Vec<News>,
    /// For pending tasks.
    pub(super) arrivals: Vec<Arrival>,
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
    /// It has not, and somebody else wants to know too.
    Followed(Box<Following>),
    /// It has, and somebody else looks at it too.
    Shared(Arc<Outcome>),
}

impl Tickets {
    /// A new pending ticket.
    #[inline]
    pub fn open(&mut self) -> u32 {
        match self.vacant.pop() {
            Some(id) => {
                // A vacant one has nothing to drop.
                let pending = Entry::Pending(Watchers::NONE);
                std::mem::forget(std::mem::replace(&mut self.entries[id as usize], pending));
                id
            }
            None => {
                self.entries.push(Entry::Pending(Watchers::NONE));
                (self.entries.len() - 1) as u32
            }
        }
    }

    /// The task of ticket `id` has ended; returns the groups that watched it, and whether
    /// anybody followed it.
    #[inline]
    pub fn settle(&mut self, id: u32, outcome: Outcome) -> (Watchers, bool) {
        let entry = &mut self.entries[id as usize];
        match entry {
            Entry::Pending(watchers) if !watchers.any() => {
                // A pending entry has nothing to drop: to look for it takes its time.
                std::mem::forget(std::mem::replace(entry, Entry::Settled(outcome)));
                (Watchers::NONE, false)
            }
            _ => self.settle_other(id, outcome),
        }
    }

    #[cold]
    fn settle_other(&mut self, id: u32, outcome: Outcome) -> (Watchers, bool) {
        let entry = &mut self.entries[id as usize];
        let (watchers, is_wanted) = match entry {
            Entry::Pending(watchers) => (*watchers, true),
            Entry::Detached(watchers) => (*watchers, false),
            Entry::Followed(_) => return self.settle_followed(id, outcome),
            Entry::Vacant | Entry::Settled(_) | Entry::Shared(_) => {
                debug_assert!(false, "a task ended twice");
                return (Watchers::NONE, false);
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
        (watchers, false)
    }

    #[cold]
    fn settle_followed(&mut self, id: u32, outcome: Outcome) -> (Watchers, bool) {
        let entry = &mut self.entries[id as usize];
        let Entry::Followed(following) = std::mem::replace(entry, Entry::Vacant) else {
            return (Watchers::NONE, false);
        };
        let watchers = following.watchers;
        if watchers.any() {
            self.groups.tell(watchers, error_of(&outcome));
        }
        let is_of_interest = following.is_of_interest();
        let Following {
            is_detached,
            followers,
            dependents,
            ..
        } = *following;
        // Of a few bytes everybody gets their own.
        let is_small = matches!(&outcome, Ok(Value::Small { is_err: false, .. }));
        let own = if !is_of_interest || (is_small && followers.is_empty()) {
            if let Ok(Value::Small { len, words, .. }) = &outcome {
                let input = || Ok(Input::small(*len, *words));
                self.arrivals.extend(dependents.iter().map(|d| (*d, input())));
            }
            Entry::Settled(outcome)
        } else {
            let (outcome, own) = if has_loan(&outcome) {
                (Arc::new(only_one()), Entry::Settled(outcome))
            } else {
                let outcome = Arc::new(outcome);
                (Arc::clone(&outcome), Entry::Shared(outcome))
            };
            self.arrivals.extend(dependents.iter().map(|d| (*d, Input::of(&outcome))));
            if !followers.is_empty() {
                self.news.push(News::Ended { outcome, followers });
            }
            own
        };
        if is_detached {
            self.vacant.push(id);
        } else {
            self.entries[id as usize] = own;
        }
        (watchers, is_of_interest)
    }

    /// Has `watch` told when the task of ticket `id` ends; at once if it has.
    pub fn watch(&mut self, id: u32, watch: Watch) {
        match &mut self.entries[id as usize] {
            Entry::Pending(watchers) | Entry::Detached(watchers) => {
                self.groups.enrol(watchers, watch);
            }
            Entry::Followed(following) => self.groups.enrol(&mut following.watchers, watch),
            Entry::Settled(outcome) => {
                self.groups.tell_one(watch, error_of(outcome));
            }
            Entry::Shared(outcome) => {
                self.groups.tell_one(watch, error_of(outcome));
            }
            Entry::Vacant => debug_assert!(false, "a ticket that is gone is watched"),
        }
    }

    /// Whether the task of ticket `id` has not ended, and group `group` watches it.
    pub fn is_watched_by(&self, id: u32, group: u32) -> bool {
        match &self.entries[id as usize] {
            Entry::Pending(watchers) | Entry::Detached(watchers) => watchers.contain(group),
            Entry::Followed(following) => following.watchers.contain(group),
            Entry::Settled(_) | Entry::Shared(_) | Entry::Vacant => false,
        }
    }

    /// Has `dependent` told of the end of ticket `id`; `None` if that is past. True if
    /// nobody else is.
    pub fn depend(&mut self, id: u32, dependent: Dependent) -> Option<bool> {
        let following = self.following(id)?;
        let is_first = !following.is_of_interest();
        following.dependents.push(dependent);
        Some(is_first)
    }

    /// What a task gets that depends on the one of ticket `id`, or why it does not;
    /// `None`: that one has not ended.
    pub fn input(&mut self, id: u32) -> Option<Result<Input, TaskError>> {
        match &self.entries[id as usize] {
            Entry::Pending(_) | Entry::Detached(_) | Entry::Followed(_) => return None,
            Entry::Settled(Ok(Value::Small { is_err: true, .. })) => return Some(Err(returned())),
            Entry::Settled(Ok(Value::Small { len, words, .. })) => {
                return Some(Ok(Input::small(*len, *words)));
            }
            Entry::Vacant | Entry::Settled(_) | Entry::Shared(_) => {}
        }
        let outcome = self.share(id);
        Some(outcome.map_or(Err(TaskError::AlreadyJoined), |outcome| Input::of(&outcome)))
    }

    /// Who wants to know of the end of ticket `id`; `None` if that is past.
    fn following(&mut self, id: u32) -> Option<&mut Following> {
        let entry = &mut self.entries[id as usize];
        if let Entry::Pending(watchers) | Entry::Detached(watchers) = entry {
            *entry = Entry::Followed(Box::new(Following {
                watchers: *watchers,
                is_detached: matches!(entry, Entry::Detached(_)),
                ..Following::default()
            }));
        }
        match entry {
            Entry::Followed(following) => Some(following),
            _ => None,
        }
    }

    /// Adds a follower, unless the task of ticket `id` has ended. True if nobody else
    /// is told of it.
    pub fn follow(&mut self, id: u32, follower: Follower) -> Result<bool, Follower> {
        let Some(following) = self.following(id) else {
            return Err(follower);
        };
        let is_first = !following.is_of_interest();
        following.followers.push(follower);
        Ok(is_first)
    }

    /// Somebody looks at the outcome of ticket `id` who does not take it.
    pub fn share(&mut self, id: u32) -> Option<Arc<Outcome>> {
        let entry = &mut self.entries[id as usize];
        if let Entry::Settled(outcome) = entry {
            if has_loan(outcome) {
                return Some(Arc::new(only_one()));
            }
            let Entry::Settled(outcome) = std::mem::replace(entry, Entry::Vacant) else {
                return None;
            };
            *entry = Entry::Shared(Arc::new(outcome));
        }
        match entry {
            Entry::Shared(outcome) => Some(Arc::clone(outcome)),
            _ => None,
        }
    }

    /// Ticket `id`, just opened, is that of a pending task.
    pub fn is_pending(&mut self, id: u32, node: NodeId) {
        self.entries[id as usize] = Entry::Followed(Box::new(Following {
            node: Some(node),
            ..Following::default()
        }));
    }

    /// The task of ticket `id`, which was pending, goes into a slot; false if it was
    /// cancelled on its way.
    pub fn set_place(&mut self, id: u32, hint: Hint) -> bool {
        match &mut self.entries[id as usize] {
            Entry::Followed(watch) => {
                watch.place = Some(hint);
                watch.node = None;
                !watch.is_cancelled
            }
            _ => false,
        }
    }

    /// Cancels a task that is pending: returns which one it is.
    pub fn cancel_pending(&mut self, id: u32) -> Option<NodeId> {
        match &mut self.entries[id as usize] {
            Entry::Followed(watch) => {
                let node = watch.node?;
                watch.is_cancelled = true;
                Some(node)
            }
            _ => None,
        }
    }

    /// Where the task of a watched ticket is, if its handle does not know.
    pub fn place(&self, id: u32) -> Option<Hint> {
        match &self.entries[id as usize] {
            Entry::Followed(watch) => watch.place,
            _ => None,
        }
    }

    /// Whether the task of ticket `id` has ended.
    pub fn is_settled(&self, id: u32) -> bool {
        matches!(
            self.entries[id as usize],
            Entry::Settled(_) | Entry::Shared(_)
        )
    }

    /// The outcome, if there is one; the ticket is gone then.
    #[inline]
    pub fn take(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        if !matches!(entry, Entry::Settled(_) | Entry::Shared(_)) {
            return None;
        }
        self.vacant.push(id);
        match std::mem::replace(entry, Entry::Vacant) {
            Entry::Settled(outcome) => Some(outcome),
            Entry::Shared(outcome) => Some(of_shared(outcome)),
            _ => None,
        }
    }

    /// Nobody will ask for the outcome of ticket `id`.
    pub fn detach(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        match entry {
            Entry::Pending(watchers) => {
                *entry = Entry::Detached(*watchers);
                return None;
            }
            Entry::Followed(watch) => {
                watch.is_detached = true;
                return None;
            }
            _ => {}
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
    pub(super) fn inline(ran: Ran, words: [u64; 6], len: usize) -> Self {
        if len <= SMALL {
            let [a, b, c, ..] = words;
            return Value::Small {
                len: len as u8,
                is_err: ran == Ran::ReturnedErr,
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
            Value::Small { is_err, .. } => *is_err,
            Value::Large(finished) => finished.outcome == Ran::ReturnedErr,
            Value::Shared(outcome) => outcome.as_ref().as_ref().is_ok_and(Value::is_err),
        }
    }

    pub(super) fn large(finished: Finished) -> Self {
        Value::Large(Box::new(finished))
    }

    /// Decodes it.
    #[inline]
    pub fn decode<R: DeserializeOwned>(self) -> Result<R, TaskError> {
        match self {
            Value::Small { len, words, .. } => small(len, &words),
            Value::Large(finished) => finished.decode().map_err(undecodable),
            Value::Shared(outcome) => decode_again(&outcome),
        }
    }
}

/// Decodes an outcome that others look at too.
pub fn decode_again<R: DeserializeOwned>(outcome: &Outcome) -> Result<R, TaskError> {
    match outcome {
        Ok(Value::Small { len, words, .. }) => small(*len, words),
        Ok(Value::Large(finished)) => match finished.decode_again() {
            Some(decoded) => decoded.map_err(undecodable),
            None => Err(loan_in_it()),
        },
        Ok(Value::Shared(outcome)) => decode_again(outcome),
        Err(error) => Err((**error).clone()),
    }
}

/// A writable buffer is the handle's alone.
fn has_loan(outcome: &Outcome) -> bool {
    match outcome {
        Ok(Value::Large(finished)) => finished.has_loan(),
        _ => false,
    }
}

/// What all but the handle get of a value with a writable buffer in it.
fn only_one() -> Outcome {
    Err(Box::new(loan_in_it()))
}

fn loan_in_it() -> TaskError {
    TaskError::Result {
        message: "there is a `Loan` in it, which only the handle can have: publish it in the task, and return the `Shared`".into(),
    }
}

/// The outcome for the handle; the only one left, if it is.
fn of_shared(outcome: Arc<Outcome>) -> Outcome {
    match Arc::try_unwrap(outcome) {
        Ok(outcome) => outcome,
        Err(shared) => match &*shared {
            Ok(_) => Ok(Value::Shared(shared)),
            Err(error) => Err(error.clone()),
        },
    }
}

#[inline]
fn small<R: DeserializeOwned>(len: u8, words: &[u64; SMALL / 8]) -> Result<R, TaskError> {
    let bytes: &[u8] = bytemuck::cast_slice(words);
    postcard::from_bytes(&bytes[..usize::from(len).min(SMALL)]).map_err(undecodable)
}

#[cold]
fn undecodable(error: postcard::Error) -> TaskError {
    TaskError::Result {
        message: format!("it does not decode as the expected type: {error}"),
    }
}
