//! Which task an error is of: see `labels.rs`.

use std::sync::Arc;

use crate::error::TaskError;

use crate::scheduler::depend::inputs::Input;
use crate::scheduler::outcomes::value::Outcome;

use super::Tickets;

impl Tickets {
    /// An error is that of the task of ticket `id`.
    #[cold]
    pub fn tell_of(&self, id: u32, error: &mut TaskError) {
        let known = self.labels.of(id);
        let label = known.map(|(label, _)| label);
        error.tell_of(self.name(id)(), label, known.map(|(_, task)| task));
    }

    /// What a task gets of the outcome of ticket `id`.
    pub(super) fn input_of(&self, id: u32, outcome: &Arc<Outcome>) -> Result<Input, TaskError> {
        Input::of(outcome).map_err(|mut error| {
            self.tell_of(id, &mut error);
            error
        })
    }
}
