//! What is said of a task that was not accepted, or of one item of many.

use crate::error::{Refusal, TaskError};
use crate::scheduler::{NotAccepted, Scheduler};
use crate::task::Label;

use super::order::Order;

impl Order<'_> {
    /// What it was given to know it by.
    pub(super) fn label(&self) -> Option<&Label> {
        self.settings.as_ref()?.label.as_deref()
    }

    /// An error of the task of one item.
    #[cold]
    pub(super) fn of_item(&self, mut error: TaskError, item: usize) -> TaskError {
        error.tell_of((self.name)(), self.label(), None);
        error.of_item(item)
    }

    /// The same, if the item has settings of its own, and so perhaps another name.
    #[cold]
    pub(super) fn of_own_item(&self, error: TaskError, item: usize) -> TaskError {
        error.told_of((self.name)()).of_item(item)
    }

    /// Counts a task that was not accepted; what its handle says.
    #[cold]
    pub(super) fn refuse(&self, scheduler: &Scheduler, refused: NotAccepted) -> Box<TaskError> {
        scheduler.count_refusal();
        self.error_of(scheduler, refused)
    }

    /// What the handle of a task says that was not accepted.
    #[cold]
    pub(super) fn error_of(&self, scheduler: &Scheduler, refused: NotAccepted) -> Box<TaskError> {
        self.error_called(scheduler, refused, self.label())
    }

    /// The same of one that has this label.
    #[cold]
    pub(super) fn error_called(
        &self,
        scheduler: &Scheduler,
        refused: NotAccepted,
        label: Option<&Label>,
    ) -> Box<TaskError> {
        let mut error = error_of(scheduler, refused);
        error.tell_of((self.name)(), label, None);
        error
    }
}

fn error_of(scheduler: &Scheduler, not_accepted: NotAccepted) -> Box<TaskError> {
    Box::new(match not_accepted {
        NotAccepted::Failed(error) => error,
        NotAccepted::Refused(Refusal::Shutdown) => TaskError::shutdown(),
        NotAccepted::Refused(Refusal::Forked) => TaskError::Forked,
        NotAccepted::Refused(Refusal::NoWorkers) => scheduler.no_workers(),
        NotAccepted::Refused(refusal @ Refusal::Rebuilding) => {
            TaskError::corrupted(refusal.to_string())
        }
        // Nobody waits for less than there is in all.
        NotAccepted::Refused(Refusal::Limited { units, total }) => TaskError::BeyondLimit {
            task: Box::default(),
            units,
            total,
        },
        NotAccepted::Refused(refusal) => TaskError::out_of_memory(refusal.to_string()),
    })
}
