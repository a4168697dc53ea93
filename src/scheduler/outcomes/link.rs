//! A way to a task beside its handle, which may be gone.
//!
//! A ticket's number is used again when its handle is gone and the task has ended. So each way
//! has a mark, one for all ways to the task, which is set in the step in which the task ends,
//! under the lock: as long as it is not set, the number is that of the task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::prim::{Hint, TaskId};
use crate::task::{Label, Reported};

use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::reach::Reach;

/// A way to a task. Of one whose fold is gone there is nothing left but what it was called.
#[derive(Clone, Debug)]
pub struct Link {
    scheduler: Weak<Scheduler>,
    ticket: u32,
    /// Set when the task has ended.
    ended: Arc<AtomicBool>,
    id: OnceLock<TaskId>,
    /// What its function is called.
    pub function: fn() -> &'static str,
    /// What it was given besides its arguments.
    pub label: Option<Arc<Label>>,
}

impl Scheduler {
    /// A way to the task of `ticket`.
    pub fn link(self: &Arc<Self>, ticket: &Ticket) -> Link {
        let mut link = Link {
            scheduler: Arc::downgrade(self),
            ..Link::nowhere()
        };
        let Some(mut state) = self.state.lock_at_home() else {
            return link;
        };
        let id = self.number_of(&mut state, ticket);
        link.ticket = id;
        link.function = state.tickets.name(id);
        let is_here = |hint: Hint| {
            let inflight = state.slots.get(hint.slot.at());
            inflight.filter(|inflight| inflight.ticket() == Some(id))
        };
        match self.locations.get(id) {
            Location::Slot(hint) => {
                let _ = link.id.set(TaskId::of(hint));
                let extra = is_here(hint).and_then(|inflight| inflight.extra());
                link.label = extra.and_then(|extra| extra.label.clone());
            }
            Location::Node(at) => {
                let node = state.nodes.of(at, id);
                let node = node.and_then(|node| state.nodes.get(node));
                link.label = node.and_then(|node| node.label().cloned());
            }
            Location::Nowhere => {}
        }
        if let Some(ended) = state.tickets.end_mark(id) {
            link.ended = ended;
        }
        link
    }

    /// Where the task of `ticket` is.
    pub(in crate::scheduler) fn location_of(&self, ticket: &Ticket) -> Location {
        let Some(at) = ticket.at_client() else {
            return self.locations.get(ticket.id());
        };
        match self.task_id_at(at) {
            Some(id) => Location::Slot(id.hint()),
            None => (self.clients.registered_as(at))
                .map_or(Location::Nowhere, |id| self.locations.get(id)),
        }
    }

    /// Whether an executor is at the task of `ticket`.
    pub fn is_running(&self, ticket: &Ticket) -> bool {
        if self.is_elsewhere() {
            return false;
        }
        self.is_run(self.location_of(ticket))
    }

    fn is_run(&self, location: Location) -> bool {
        match location {
            Location::Slot(hint) => self.runner(hint.slot.0, hint.generation).is_some(),
            _ => false,
        }
    }
}

impl Link {
    /// To a task of which nothing is left.
    pub fn nowhere() -> Self {
        Link {
            scheduler: Weak::new(),
            ticket: 0,
            ended: Arc::new(AtomicBool::new(true)),
            id: OnceLock::new(),
            function: || "",
            label: None,
        }
    }

    fn has_ended(&self) -> bool {
        // ordering: Acquire pairs with the Release in `settle_followed`.
        self.ended.load(Ordering::Acquire)
    }

    /// What `act` makes of the task, under the lock; `None` if it has ended.
    fn with<T>(&self, act: impl FnOnce(&Scheduler, &mut State) -> T) -> Option<T> {
        if self.has_ended() {
            return None;
        }
        let scheduler = self.scheduler.upgrade()?;
        let mut state = scheduler.state.lock_at_home()?;
        // Once it is set the number may be that of another task.
        if self.has_ended() {
            return None;
        }
        scheduler.collect_this(&mut state, self.ticket);
        let done = (!self.has_ended()).then(|| act(&scheduler, &mut state));
        drop(state);
        done
    }

    /// Cancels the task; false if it had ended.
    pub fn cancel(&self, reach: Reach) -> bool {
        let cancelled = self.with(|scheduler, state| {
            scheduler.reap(state);
            !self.has_ended() && scheduler.cancel_ticket(state, self.ticket, reach)
        });
        if cancelled == Some(true)
            && let Some(scheduler) = self.scheduler.upgrade()
        {
            // Whoever sleeps for all waiters is not told by `settle`.
            scheduler.fold.host_bell.force();
        }
        cancelled.unwrap_or(false)
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.with(|_, _| ()).is_none()
    }

    /// Whether an executor is at it.
    pub fn is_running(&self) -> bool {
        let running =
            self.with(|scheduler, _| scheduler.is_run(scheduler.locations.get(self.ticket)));
        running.unwrap_or(false)
    }

    /// Which task it is, if it has had a slot when anybody asked.
    pub fn id(&self) -> Option<TaskId> {
        if let Some(id) = self.id.get() {
            return Some(*id);
        }
        let location = self.with(|scheduler, _| scheduler.locations.get(self.ticket));
        if let Some(Location::Slot(hint)) = location {
            return Some(*self.id.get_or_init(|| TaskId::of(hint)));
        }
        None
    }

    /// How far it has last said it is; nothing if it has ended.
    pub fn reported(&self) -> Option<Reported> {
        self.with(|scheduler, _| match scheduler.locations.get(self.ticket) {
            Location::Slot(hint) => scheduler.reported(TaskId::of(hint)),
            _ => None,
        })?
    }
}
