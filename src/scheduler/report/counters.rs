//! How often each thing has happened to a task.

use serde::Serialize;

/// How often each thing happened since the start.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let _ = rt.spawn(|n: u32| 1 / n, 0).join();
/// let counters: pinfold::Counters = rt.stats().tasks;
/// assert_eq!((counters.submitted, counters.panicked), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Tasks accepted.
    pub submitted: u64,
    /// Tasks that ended with a value (an `Err` value included).
    pub completed: u64,
    /// Of these, tasks whose value was an `Err`.
    pub returned_err: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that ended because their worker died.
    pub died: u64,
    /// Runs repeated, because a worker died or by [`Retry`](crate::Retry).
    pub repeated: u64,
    /// Tasks that ended because a deadline of theirs had come, or their run limit had passed.
    pub late: u64,
    /// Tasks that ended because they were cancelled, or a task they depend on had no value.
    pub cancelled: u64,
    /// Tasks that ended with any other error.
    pub failed: u64,
    /// Of all these, those of which nobody was told: the handle was dropped, and no callback,
    /// future, scope, set or dependent has heard of it either. Their errors, and values that
    /// were an `Err`, are log events of level WARN, as soon as anybody collects them: who submits,
    /// waits or asks for statistics. What was cancelled, or ended by a shutdown,
    /// is not among them.
    pub unobserved: u64,
    /// Tasks not accepted: no room in the queue, for their arguments or in a limit, wrong
    /// arguments or settings, or the runtime was shut down. Whoever submitted one was told.
    pub refused: u64,
    /// Completion hints that no longer held.
    pub stale: u64,
    /// Things found in shared memory that no correct process writes.
    pub damage: u64,
    /// Tasks in flight now; with those that wait for others, if they have a slot.
    pub in_flight: u64,
}
