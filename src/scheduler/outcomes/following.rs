//! Who is told of a task's end, if that is more than its handle and one dependent.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Waker;

use smallvec::SmallVec;

use crate::scheduler::depend::dependent::Dependent;
use crate::scheduler::followers::news::Follower;
use crate::scheduler::outcomes::groups::Watchers;

/// What has become of a ticket.
#[derive(Debug)]
pub enum Settled {
    /// It is settled.
    ForHandle,
    /// It is, and this task gets the value, too.
    ForOne(Dependent),
    /// Nothing: there is more to do.
    Not,
}

/// Who wants to know of a task's end.
#[derive(Default)]
pub struct Following {
    pub watchers: Watchers,
    /// No handle will ask.
    pub is_detached: bool,
    pub followers: Vec<Follower>,
    /// The attendant is to collect it, and tells nobody.
    pub is_seen_to: bool,
    /// For the future that its handle is.
    pub waker: Option<Waker>,
    /// Set when it has ended: for who has a way to it but no handle.
    pub ended: Option<Arc<AtomicBool>>,
    /// Inputs of pending tasks that it is.
    pub dependents: SmallVec<[Dependent; 2]>,
}

impl Following {
    /// Whether anybody waits for the end but the handle.
    pub fn is_of_interest(&self) -> bool {
        self.is_seen_to || self.is_heard()
    }

    /// Whether the attendant waits for the end.
    pub fn is_attended(&self) -> bool {
        self.is_seen_to || self.has_followers()
    }

    /// Whether anybody hears how it has ended but the handle.
    pub fn is_heard(&self) -> bool {
        self.has_followers() || !self.dependents.is_empty()
    }

    /// Whether the attendant tells somebody.
    pub fn has_followers(&self) -> bool {
        !self.followers.is_empty() || self.waker.is_some()
    }
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("followers", &self.followers.len())
            .field("dependents", &self.dependents.len())
            .finish_non_exhaustive()
    }
}
