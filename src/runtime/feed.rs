//! Submitting items as they are pulled, a bounded number.

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError};
use crate::scheduler::{NotAccepted, Outcome, Scheduler, Ticket, Value};

use super::Task;
use super::task::drop_with;

/// What came of it.
pub(super) struct Fed {
    /// No more items are to be pulled: there are none, or no task is accepted.
    pub is_over: bool,
    /// A buffer was among them.
    pub has_buffers: bool,
}

/// Submits up to `most` of `items`, or up to the first that cannot be submitted; `each` is
/// told in their order, under the scheduler's lock.
pub(super) fn feed<F, A, R>(
    task: &Task<'_, F, A, R>,
    scheduler: &Scheduler,
    items: &mut impl Iterator<Item = A>,
    most: usize,
    mut each: impl FnMut(Result<Ticket, Box<TaskError>>),
) -> Fed
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let mut missing = most;
    let stop = Cell::new(false);
    let mut is_over = false;
    let mut has_buffers = false;
    let mut is_closed = false;
    let next = |job: &mut _| {
        if missing == 0 || stop.get() {
            return Ok(false);
        }
        missing -= 1;
        match items.next() {
            Some(args) => {
                if let Err(error) = task.encode(&args, job) {
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
        each(submitted.map_err(|refused| task.error_of(scheduler, refused)));
    });
    Fed {
        is_over: is_over || is_closed,
        has_buffers,
    }
}

/// Whether an outcome holds buffers.
pub(super) fn has_buffers(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Value::Large(finished)) if !finished.buffers.is_empty())
}
