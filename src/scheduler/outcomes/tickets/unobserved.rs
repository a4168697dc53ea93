//! Failures that nobody is told of: the handle was dropped, before the end or after, and nobody
//! else has watched or followed the task, or depended on it.

use crate::scheduler::outcomes::entry::{Entry, is_failure};
use crate::scheduler::outcomes::groups::Watchers;
use crate::scheduler::outcomes::value::Outcome;

use super::Tickets;

impl Tickets {
    /// Nobody will ask for the outcome of ticket `id`.
    pub fn detach(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        match entry {
            Entry::Plain => {
                *entry = Entry::Detached(Watchers::NONE);
                return None;
            }
            Entry::Pending(watchers) => {
                *entry = Entry::Detached(*watchers);
                return None;
            }
            Entry::Followed(watch) => {
                watch.is_detached = true;
                return None;
            }
            Entry::Needed(_, _, is_detached) => {
                *is_detached = true;
                return None;
            }
            Entry::Taken => {
                *entry = Entry::Vacant;
                self.vacant.push(id);
                return None;
            }
            Entry::Detached(_) | Entry::Vacant | Entry::Settled(_) | Entry::Shared(_) => {}
        }
        self.take(id)
    }

    /// Of a task that ends now: whether nobody is told, nor will ask. Of one that has ended, and
    /// whose handle is dropped now: whether it has failed, and nobody knows.
    pub fn is_unobserved(&self, id: u32) -> bool {
        match &self.entries[id as usize] {
            Entry::Detached(watchers) => !watchers.any(),
            Entry::Followed(following) => {
                let is_watched = following.watchers.any() || following.is_heard();
                following.is_detached && !is_watched
            }
            Entry::Settled(outcome) => is_failure(outcome),
            Entry::Plain
            | Entry::Pending(_)
            | Entry::Needed(..)
            | Entry::Shared(_)
            | Entry::Taken
            | Entry::Vacant => false,
        }
    }
}
