//! Errands: tasks that only this worker may run.
//!
//! The host puts their hints into a ring of the worker, from which the worker's executors take them. Taken
//! hints are not announced, because other workers take over announced hints. So if a taker dies between taking
//! and claiming, only the host knows of the task, and puts its hint into the ring again.

use super::executor::Executor;

impl Executor {
    /// Whether there is one: hardly ever, and in every cache.
    #[inline]
    pub(super) fn has_errand(&self) -> bool {
        self.errands.backlog() > 0
    }

    /// Takes one into `self.hints`; whether there was one.
    #[cold]
    pub(super) fn take_errand(&mut self) -> bool {
        self.record().announce_nothing();
        let taken = self.errands.take(&mut self.hints[..1], false, |_| ());
        matches!(taken, Ok((1.., _))) // the host looks at every ring, and acts
    }
}
