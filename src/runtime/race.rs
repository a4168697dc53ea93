//! Handles in the order in which their tasks end.

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::Ended;

use super::Handle;
use super::ends::Ends;

/// Several tasks, of which whichever has ended is next.
pub(super) struct Race<R> {
    handles: Vec<Option<Handle<R>>>,
    ends: Ends,
    /// Of tasks that have ended, the next one last.
    next: Vec<Ended>,
}

impl<R: DeserializeOwned> Race<R> {
    pub fn new(handles: impl IntoIterator<Item = Handle<R>>) -> Self {
        let handles: Vec<_> = handles.into_iter().map(Some).collect();
        let mut ends = Ends::default();
        for (tag, handle) in (0..).zip(handles.iter().flatten()) {
            let ticket = handle.ticket.iter().map(|ticket| (tag, ticket));
            ends.watch(&handle.scheduler, ticket);
        }
        Race {
            handles,
            ends,
            next: Vec::new(),
        }
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Cancels those that have not ended.
    pub fn cancel(&self) {
        self.ends.cancel();
    }
}

impl<R: DeserializeOwned> Iterator for Race<R> {
    type Item = (usize, Result<R, TaskError>);

    /// Which one has ended, and how.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ends.are_elsewhere() {
            let mut handles = self.handles.iter_mut().enumerate();
            let (at, handle) = handles.find_map(|(at, handle)| Some((at, handle.take()?)))?;
            return Some((at, handle.join()));
        }
        if self.next.is_empty() {
            self.ends.wait(&mut self.next);
            self.next.reverse();
        }
        let at = self.next.pop()?.tag as usize;
        let handle = self.handles[at].take()?;
        Some((at, handle.join()))
    }
}
