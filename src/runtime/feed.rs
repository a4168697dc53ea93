//! Submitting items as they are pulled, a bounded number.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError};
use crate::scheduler::{Job, NotAccepted, Outcome, Scheduler, Ticket, Value};

use super::Task;
use super::task::drop_with;

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
/// cannot be submitted; `each` is told in their order, under the scheduler's lock.
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
    let mut missing = most;
    let mut number = first;
    // What the item is called that is submitted, if it has settings of its own.
    let label = RefCell::new(None);
    let stop = Cell::new(false);
    let mut is_over = false;
    let mut has_buffers = false;
    let mut is_closed = false;
    let next = |job: &mut Job| {
        if missing == 0 || stop.get() {
            return Ok(false);
        }
        missing -= 1;
        match items.next() {
            Some(args) => {
                let own = by_item.map(|by_item| by_item(task.clone(), number, &args));
                number += 1;
                let task = own.as_ref().unwrap_or(task);
                if own.is_some() {
                    own_settings(task, job);
                    *label.borrow_mut() = task.settings.as_ref().and_then(|s| s.label.clone());
                }
                if let Err(error) = task.encode_to_go(&args, job) {
                    drop_with(args, &error);
                    return Err(error);
                }
                if task.settings.is_some() {
                    task.admit(scheduler, job, None)
                        .map_err(|refused| *task.error_of(scheduler, refused))?;
                }
                has_buffers |= !job.buffers.is_empty();
                Ok(true)
            }
            None => {
                is_over = true;
                Ok(false)
            }
        }
    };
    scheduler.submit_all(&mut task.job(), next, |submitted| {
        // Shut down: one error says so, and no more items are pulled.
        if is_closed {
            return;
        }
        if let Err(not_accepted) = &submitted {
            stop.set(true);
            // Without workers each item is told so: there may be some again.
            is_closed = matches!(
                not_accepted,
                NotAccepted::Refused(refusal) if *refusal != Refusal::NoWorkers
            );
        }
        each(submitted.map_err(|refused| {
            let own = label.borrow();
            task.error_called(scheduler, refused, own.as_deref().or_else(|| task.label()))
        }));
    });
    Fed {
        is_over: is_over || is_closed,
        has_buffers,
    }
}

/// From here on the job has this task's settings.
fn own_settings<F, A, R>(task: &Task<'_, F, A, R>, job: &mut Job) {
    job.settings = task.settings.clone();
    job.permits.clear();
}

/// Whether an outcome holds buffers.
pub(super) fn has_buffers(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Value::Large(finished)) if !finished.buffers.is_empty())
}
