//! Errors that are made of a value: they say which task that is of, too.
//!
//! Who a task is, its slot knows, and that is free when the task has ended. So of one that has a
//! label and ends with an `Err`, more is kept with its ticket: its handle may make an error of
//! that, and so may a task that depends on it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::prim::TaskId;
use crate::task::Label;

/// Labels by ticket; of one that is gone, until its number is used again.
#[derive(Default)]
pub struct Labels(HashMap<u32, (Arc<Label>, TaskId)>);

impl Labels {
    /// The task of ticket `id` is about to end with an `Err`.
    #[cold]
    pub fn keep(&mut self, id: u32, label: Arc<Label>, task: TaskId) {
        self.0.insert(id, (label, task));
    }

    /// Ticket `id` is of another task now.
    #[inline]
    pub fn forget(&mut self, id: u32) {
        if !self.0.is_empty() {
            self.0.remove(&id);
        }
    }

    /// What is kept of the task of ticket `id`.
    pub fn of(&self, id: u32) -> Option<(&Label, TaskId)> {
        let (label, task) = self.0.get(&id)?;
        Some((label, *task))
    }
}
