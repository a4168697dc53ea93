//! Whether tasks are accepted, and why not.

use crate::error::{Refusal, TaskError};

/// Whether tasks are accepted.
///
/// ```text
///   open ──no workers──▶ closed for a while ──a worker──▶ open
///     └──shut down, or damaged──▶ closed for good
/// ```
#[derive(Debug, Default)]
pub struct Door {
    closed: Option<Refusal>,
    /// Why everything in flight was ended, if it was.
    failed: Option<TaskError>,
}

impl Door {
    /// That of a process which was forked off the host: never open.
    pub fn of_forked() -> Self {
        Door {
            closed: Some(Refusal::Forked),
            failed: Some(TaskError::Forked),
        }
    }

    /// Whether tasks are accepted.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Why they are not.
    #[inline]
    pub fn refusal(&self) -> Option<Refusal> {
        self.closed
    }

    /// Why everything in flight was ended, if it was.
    #[inline]
    pub fn failed(&self) -> Option<&TaskError> {
        self.failed.as_ref()
    }

    /// None is accepted any more.
    pub fn shut(&mut self) {
        self.closed = Some(Refusal::Shutdown);
    }

    /// The segment is damaged: none is accepted any more, for this reason if there was no other.
    pub fn condemn(&mut self) {
        self.closed.get_or_insert(Refusal::Rebuilding);
    }

    /// There are no workers: none is accepted until there are some.
    pub fn close_for_a_while(&mut self) {
        if self.closed != Some(Refusal::Shutdown) {
            self.closed = Some(Refusal::NoWorkers);
        }
    }

    /// There are workers again; whether that was what was wanting.
    pub fn open_again(&mut self) -> bool {
        let was_closed = self.closed == Some(Refusal::NoWorkers);
        if was_closed {
            (self.closed, self.failed) = (None, None);
        }
        was_closed
    }

    /// Everything in flight ends with this.
    pub fn fail(&mut self, error: TaskError) {
        self.failed = Some(error);
    }
}
