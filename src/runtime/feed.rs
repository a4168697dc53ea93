//! Submitting items as they are pulled, a bounded number.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError};
use crate::scheduler::{Job, NotAccepted, Outcome, Scheduler, Ticket, Value};

use super::Task;
use super::order::{Order, drop_with};

/// What came of it.
pub(super) struct Fed {
    /// No more items are to be pulled: there are none, or no task is accepted.
    pub is_over: bool,
    /// A buffer was among them.
    pub has_buffers: bool,
}

/// Makes of a task, for an item and its number, one with settings of its own.
pub(super) type ByItem<'rt, F, A, R> =
    Arc<dyn Fn(Task<'rt, F, A, R>, usize, &A) -> Task<'rt, F, A, R> + Send + Sync + 'rt>;

/// Submits up to `most` of `items`, the first of which has this number, or up to the first that
/// cannot be submitted; `each` is told in their order.
pub(super) fn feed<'rt, F, A, R>(
    task: &Task<'rt, F, A, R>,
    by_item: Option<&ByItem<'rt, F, A, R>>,
    scheduler: &Scheduler,
    items: &mut impl Iterator<Item = A>,
    first: usize,
    most: usize,
    mut each: impl FnMut(Result<Ticket, Box<TaskError>>),
) -> Fed
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let mut feeder = Feeder {
        of_all: &task.order,
        scheduler,
        job: task.order.job(),
        fed: Fed {
            is_over: false,
            has_buffers: false,
        },
    };
    for number in first..first.saturating_add(most) {
        let Some(args) = items.next() else {
            feeder.fed.is_over = true;
            break;
        };
        let submitted = match by_item {
            None => feeder.submit(&task.order, args),
            Some(by_item) => {
                let own = by_item(task.clone(), number, &args);
                feeder.take_settings(&own.order);
                feeder.submit(&own.order, args)
            }
        };
        let was_refused = submitted.is_err();
        each(submitted);
        if was_refused {
            break;
        }
    }
    feeder.fed
}

/// What submits the items, whatever they are.
struct Feeder<'a> {
    /// Of all items, but for settings of their own.
    of_all: &'a Order<'a>,
    scheduler: &'a Scheduler,
    /// Its memory is used for one after the other.
    job: Job,
    fed: Fed,
}

impl Feeder<'_> {
    /// From here on the job has this task's settings.
    fn take_settings(&mut self, own: &Order<'_>) {
        self.job.settings = own.settings.clone();
        self.job.permits.clear();
    }

    /// Submits an item.
    #[inline]
    fn submit<A>(&mut self, order: &Order<'_>, args: A) -> Result<Ticket, Box<TaskError>>
    where
        A: Serialize + DeserializeOwned,
    {
        if let Err(error) = order.encode_next(&args, &mut self.job) {
            drop_with(&mut Some(args), &error);
            return Err(self.refused(order, NotAccepted::Failed(error)));
        }
        // Then it shows whether others have the loans among them.
        drop(args);
        self.fed.has_buffers |= !self.job.buffers.is_empty();
        let submitted = order.submit_next(self.scheduler, &mut self.job);
        submitted.map_err(|refused| self.refused(order, refused))
    }

    /// What is said of an item that was not accepted.
    #[cold]
    #[inline(never)]
    fn refused(&mut self, order: &Order<'_>, refused: NotAccepted) -> Box<TaskError> {
        // Shut down: one error says so, and no more items are pulled. Without workers each item
        // is told so: there may be some again.
        self.fed.is_over |= matches!(
            &refused,
            NotAccepted::Refused(refusal) if *refusal != Refusal::NoWorkers
        );
        self.scheduler.count_refusal();
        let label = order.label().or_else(|| self.of_all.label());
        self.of_all.error_called(self.scheduler, refused, label)
    }
}

/// Whether an outcome holds buffers.
pub(super) fn has_buffers(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Value::Large(finished)) if !finished.buffers.is_empty())
}
