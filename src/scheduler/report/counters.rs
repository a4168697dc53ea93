//! How often each thing has happened to a task.

use serde::Serialize;

use crate::error::TaskError;
use crate::task::Outcome as Ran;

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

/// The only place where these are counted.
#[derive(Clone, Copy, Debug)]
pub struct Tally(Counters);

impl Tally {
    /// What was counted before goes on.
    pub fn new(counters: Counters) -> Self {
        Tally(counters)
    }

    /// All of them, while so many tasks are in flight.
    pub fn read(&self, in_flight: usize) -> Counters {
        Counters {
            in_flight: in_flight as u64,
            ..self.0
        }
    }

    /// Tasks accepted.
    #[inline(always)]
    pub fn submitted(&self) -> u64 {
        self.0.submitted
    }

    /// A task was accepted.
    #[inline(always)]
    pub fn note_submitted(&mut self) {
        self.0.submitted += 1;
    }

    /// One was not.
    pub fn note_refused(&mut self) {
        self.0.refused += 1;
    }

    /// A task has ended with a value that is no `Err`.
    #[inline(always)]
    pub fn note_completed(&mut self) {
        self.0.completed += 1;
    }

    /// A task has ended by itself: how, and why it has no value, if it has none.
    #[inline]
    pub fn note_ran(&mut self, ran: Ran, error: Option<&TaskError>) {
        match (ran, error) {
            (_, None) => {
                self.0.completed += 1;
                self.0.returned_err += u64::from(ran.is_err());
            }
            (Ran::Panicked, _) => self.0.panicked += 1,
            (Ran::ReturnedErr | Ran::MarkedErr, _) => self.0.cancelled += 1,
            _ => self.0.failed += 1,
        }
    }

    /// A task has ended with this before it has run.
    pub fn note_unrun(&mut self, error: &TaskError) {
        match error {
            TaskError::Cancelled { .. } | TaskError::DependencyFailed { .. } => {
                self.0.cancelled += 1;
            }
            _ => self.0.failed += 1,
        }
    }

    /// A task has ended because it was cancelled, or because its time was up.
    pub fn note_early(&mut self, error: &TaskError) {
        match error {
            TaskError::Cancelled { .. } => self.0.cancelled += 1,
            _ => self.0.late += 1,
        }
    }

    /// A task has ended with its worker, which ran for too long or did not.
    pub fn note_died(&mut self, was_late: bool) {
        if was_late {
            self.0.late += 1;
        } else {
            self.0.died += 1;
        }
    }

    /// A task has ended with any other error.
    pub fn note_failed(&mut self) {
        self.0.failed += 1;
    }

    /// A task is run once more.
    pub fn note_repeated(&mut self) {
        self.0.repeated += 1;
    }

    /// Nobody is told how a task has failed.
    pub fn note_unobserved(&mut self) {
        self.0.unobserved += 1;
    }

    /// So many completion hints did not hold any more.
    #[inline]
    pub fn note_stale(&mut self, hints: u64) {
        self.0.stale += hints;
    }

    /// Shared memory is damaged.
    pub fn note_damage(&mut self) {
        self.0.damage += 1;
    }
}
