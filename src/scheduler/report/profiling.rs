//! The profile of a fold's tasks: see [`super::profile`].

use std::sync::Arc;

use crate::scheduler::report::profile::{Book, Profile, Profiling};
use crate::scheduler::shared::Scheduler;

impl Scheduler {
    /// From here on what ends is written into `book`.
    pub fn profile_into(&mut self, book: Arc<Book>) {
        let slots = self.fold.plan.shape.slots as usize;
        self.clients.set_open(false);
        let state = self.state.get_mut();
        state.profiling = Some(Box::new(Profiling::new(book, slots)));
    }

    /// What was measured so far; `None` if nothing is.
    pub fn profile(&self) -> Option<Profile> {
        let mut state = self.lock();
        self.reap(&mut state);
        let book = state.profiling.as_ref()?.book();
        drop(state);
        Some(book.read())
    }
}
