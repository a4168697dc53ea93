//! A hold of a scheduler that is counted apart.

use std::ops::Deref;
use std::sync::Arc;

use crate::scheduler::Scheduler;

/// As an `Arc` of a scheduler, and a clone of the same. But not all of them change one count: of those
/// that were made [apart](Held::apart) each has one, for its clones. A handle holds its scheduler, so
/// threads that submit and join at the same time would else hand one line around.
#[derive(Clone, Debug)]
pub struct Held(Arc<Arc<Scheduler>>);

impl Held {
    /// The first of them.
    pub fn new(scheduler: Arc<Scheduler>) -> Self {
        Held(Arc::new(scheduler))
    }

    /// The same scheduler, with a count of its own.
    pub fn apart(&self) -> Self {
        Held(Arc::new(Arc::clone(self)))
    }

    /// Whether it is the same scheduler.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

impl Deref for Held {
    type Target = Arc<Scheduler>;

    #[inline(always)]
    fn deref(&self) -> &Arc<Scheduler> {
        &self.0
    }
}
