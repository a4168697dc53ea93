//! Tasks that this worker alone may run.
//!
//! The host puts their hints into a ring of the worker's, from which its executors take them.
//! They are not announced: others would take them from there. So what was taken and not claimed
//! when its taker dies nobody but the host knows of, which puts it into the ring again.

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
