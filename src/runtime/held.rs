//! A hold of a scheduler that is counted apart.

use std::ops::Deref;
use std::sync::Arc;

use crate::lock::{Leaving, Section, leave_in};
use crate::scheduler::{Scheduler, Ticket};
use crate::task::{FunctionId, Payload};

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

    /// As [`Scheduler::submit_plain_with`], with another hold.
    #[inline(always)]
    pub fn submit_plain_with(
        &self,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
    ) -> Option<(Self, Ticket)> {
        let submitted = self.0.submit_plain_with(&self.0, function, arguments, name);
        submitted.map(|(own, ticket)| (Held(own), ticket))
    }

    /// See [`leave_in`].
    #[inline(always)]
    pub fn leave_in<R>(
        own: &mut Option<Self>,
        section: Option<&Section>,
        f: impl FnOnce(&Scheduler, Option<Leaving<'_>>) -> R,
    ) -> Option<R> {
        let mut reference = own.take().map(|held| held.0);
        let made = leave_in(&mut reference, section, |scheduler, leaving| {
            f(scheduler, leaving)
        });
        *own = reference.map(Held);
        made
    }

    /// See [`Scheduler::close_spare`].
    pub fn close_spare(&self) {
        self.0.close_spare(&self.0);
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
