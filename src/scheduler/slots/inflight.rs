//! What the host keeps of a task that is in a slot.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Attempt, TaskError};
use crate::pool::{Handing, Transfer};
use crate::prim::{Generation, Priority};
use crate::task::{Head, INLINE_LEN, Label};

use crate::scheduler::terms::backoff::Backoff;
use crate::scheduler::terms::limit::Permit;
use crate::scheduler::terms::retry::{Retries, Tried};
use crate::scheduler::terms::timing::{Deadline, Timing};

/// A task in flight; 32 bytes, for there are as many as slots.
#[derive(Debug)]
pub struct Inflight {
    /// The generation its slot is in. In private memory, so no wild worker changes it.
    generation: Generation,
    /// Whose outcome it is; `None` while the slot is free.
    ticket: Option<u32>,
    /// What its function is called.
    name: fn() -> &'static str,
    /// What few tasks have.
    extra: Option<Box<Extra>>,
}

const _: () = assert!(size_of::<Inflight>() == 32);

impl Inflight {
    pub fn none() -> Self {
        Inflight {
            // Not 0: words of fresh memory speak of no task.
            generation: Generation::new(1),
            ticket: None,
            name: || "",
            extra: None,
        }
    }

    /// Of a task in a slot that is in this generation.
    pub fn of(generation: Generation, ticket: u32, name: fn() -> &'static str) -> Self {
        Inflight {
            generation,
            ticket: Some(ticket),
            name,
            extra: None,
        }
    }

    /// A task is in the slot from now on, whose outcome is that of `ticket`.
    #[inline(always)]
    pub fn begin(&mut self, ticket: u32, name: fn() -> &'static str) {
        self.ticket = Some(ticket);
        self.name = name;
    }

    /// The task has ended: the slot's next one is of the next generation.
    #[inline(always)]
    pub fn end(&mut self) {
        self.ticket = None;
        self.generation = self.generation.next();
    }

    /// The generation its slot is in.
    #[inline(always)]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Whose outcome it is; `None` while the slot is free.
    #[inline(always)]
    pub fn ticket(&self) -> Option<u32> {
        self.ticket
    }

    /// What its function is called.
    #[inline]
    pub fn name(&self) -> fn() -> &'static str {
        self.name
    }

    /// Whether the slot's task is that of this generation, and has not ended.
    #[inline]
    pub fn is_of(&self, generation: Generation) -> bool {
        self.ticket.is_some() && self.generation == generation
    }

    /// What few tasks have.
    #[inline(always)]
    pub fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub fn extra_mut(&mut self) -> Option<&mut Extra> {
        self.extra.as_deref_mut()
    }

    /// The same of any task.
    pub fn extra_or_default(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// It has this, and nothing else.
    pub fn set_extra(&mut self, extra: Option<Box<Extra>>) {
        self.extra = extra;
    }

    /// What it had.
    #[inline]
    pub fn take_extra(&mut self) -> Option<Box<Extra>> {
        self.extra.take()
    }

    /// Which level it waits at.
    #[inline]
    pub fn priority(&self) -> Priority {
        let extra = self.extra.as_ref();
        extra.map_or(Priority::Normal, |extra| extra.priority)
    }

    /// Holds for its arguments.
    pub fn holds(&self) -> &[Transfer] {
        self.extra.as_ref().map_or(&[], |extra| &extra.holds)
    }

    /// Which worker alone may run it, if that was said.
    pub fn bound(&self) -> Option<u32> {
        self.extra.as_ref()?.bound
    }
}

/// What a task has that has buffers or long arguments, a label, a limit or a priority,
/// may be run again, or has killed a worker.
#[derive(Debug, Default)]
pub struct Extra {
    /// Holds for its arguments' buffers, and the block of long arguments.
    pub holds: Vec<Transfer>,
    /// What keeps the ends among its arguments, which are the task's own when it has begun.
    pub ends: Option<Handing>,
    /// What the submitter calls it, and more.
    pub label: Option<Arc<Label>>,
    /// What it counts as in the profile, if not as its function.
    pub profiled_as: Option<&'static str>,
    /// What to write for another run.
    pub again: Option<Again>,
    /// When it must have ended.
    pub deadline: Option<Deadline>,
    /// Which worker alone may run it.
    pub bound: Option<u32>,
    /// Which level it waits at.
    pub priority: Priority,
    /// The attempts that have ended, but for those that died for others.
    pub tried: Vec<Tried>,
    /// When it waits and runs, if it is timed.
    pub timing: Option<Timing>,
    /// Whether it is tried again when it fails by itself.
    pub retries: Option<Retries>,
    /// Its shares of limits.
    pub permits: Vec<Permit>,
    /// It was cancelled: there is no other attempt.
    pub is_cancelled: bool,
    /// An attempt has ended, and may have left tasks that it spawned.
    pub has_kin: bool,
    /// How long after it is queued it must have begun.
    pub start_limit: Option<Duration>,
    /// How long after it is queued it should have ended.
    pub soft_limit: Option<Duration>,
    /// Whether it ends only when whatever it has spawned has ended.
    pub awaits_kin: bool,
}

impl Extra {
    /// The task is queued: there is no way back for its arguments. Whether there are ends of
    /// shared objects among them.
    pub fn accepted(&mut self) -> bool {
        self.holds.iter_mut().for_each(Transfer::accepted);
        if let Some(ends) = &self.ends {
            ends.let_go(&mut self.holds);
        }
        self.ends.is_some() || self.holds.iter().any(Transfer::is_token)
    }

    /// Attempts that have ended with the worker.
    pub fn deaths(&self) -> impl Iterator<Item = &Attempt> {
        self.tried.iter().filter_map(Tried::death)
    }

    /// How its present attempt has ended is among what was tried: there is none any more.
    pub fn attempt_is_told(&mut self) {
        if let Some(timing) = &mut self.timing {
            timing.is_told = true;
        }
    }

    /// Its present attempt has run for longer than it may.
    pub fn is_over_limit(&self) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.is_over)
    }

    /// Whether the attempt that runs is to be ended with its worker.
    pub fn is_due(&self) -> bool {
        let has_come = self.deadline.is_some_and(|deadline| deadline.has_come);
        has_come || self.is_cancelled || self.is_over_limit()
    }

    /// Whether the task ends before its time if it ends like this, and may leave tasks that
    /// it spawned.
    pub fn ends_early(&self, error: Option<&TaskError>) -> bool {
        use TaskError::{Cancelled, DeadlineExceeded};
        let is_early = || matches!(error, Some(Cancelled { .. } | DeadlineExceeded { .. }));
        self.is_due() || (self.has_kin && is_early())
    }
}

/// Enough to run a task once more.
#[derive(Debug)]
pub struct Again {
    /// The slot's head.
    pub head: Head,
    /// Its payload, if inline.
    pub words: [u64; INLINE_LEN / 8],
    /// The most attempts.
    pub limit: u32,
    /// How long to wait between them.
    pub backoff: Backoff,
}
