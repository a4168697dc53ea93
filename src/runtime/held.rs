//! A hold of a scheduler that is counted apart.

use std::ops::Deref;
use std::sync::Arc;

use crate::scheduler::Scheduler;

use super::present::Apart;

/// As an `Arc` of a scheduler, and a clone of the same. But not all of them change one count: of those
/// that were made [apart](Apart::apart) each has one, for its clones. A handle holds its scheduler, so
/// threads that submit and join at the same time would else hand one line around.
#[derive(Clone, Debug)]
#[expect(clippy::redundant_allocation, reason = "each has a count of its own")]
pub struct Held(Arc<Arc<Scheduler>>);

impl Held {
    /// The first of them.
    pub fn new(scheduler: Arc<Scheduler>) -> Self {
        Held(Arc::new(scheduler))
    }

    /// Whether it is the same scheduler.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

impl Apart for Held {
    fn apart(&self) -> Self {
        Held(Arc::new(Arc::clone(self)))
    }
}

impl Deref for Held {
    type Target = Arc<Scheduler>;

    #[inline(always)]
    fn deref(&self) -> &Arc<Scheduler> {
        &self.0
    }
}
