//! Tasks that begin when others have ended.
//!
//! Most are plain, and have a slot from the beginning, into which executors bring their inputs:
//! `super::in_slots`. This file is about all others: with settings, with buffers or many bytes of arguments,
//! with many inputs; and those for which there was no slot, or that depend on a task without a slot.
//!
//! ```text
//!   spawn_after ─▶ Node ──all inputs are there──▶ Queued, as any task
//!                    │ │                               ▲
//!                    │ └──there is no room; large ──▶ `super::ready`
//!                    │  one has failed; cancelled        │ cancelled; no fold any more
//!                    └──────────────▶ ended ◀────────────┘
//! ```
//!
//! Such a task is only in the host: it has a ticket, but no slot, so that any number of them block nobody, and
//! no death of a worker can affect their inputs. Its arguments are encoded when it is submitted; each input is
//! appended as it came, neither decoded nor encoded again, unless there are buffers in it.
//!
//! The thread that collects a task, under the lock, hands the task's value to its dependents, and queues those
//! that have all inputs; so nobody waits for any other thread. Work that may need time (long arguments) or
//! more room (a slot, a block), or calls code of the user's types, goes to the attendant, which does not wait
//! either: `super::ready`. A task that fails ends its dependents at once, and these theirs, by way of a list:
//! nothing recurses.
//!
//! There are no cycles: a task depends only on tasks that were submitted before it.

use smallvec::SmallVec;

use crate::error::TaskError;
use crate::task::INPUTS_MAX;

use crate::scheduler::collect::completions::PORTION;
use crate::scheduler::depend::dependent::Dependent;
use crate::scheduler::depend::inputs::{Build, Input, Inputs, Unfinished};
use crate::scheduler::depend::nodes::{Node, NodeId, Work};
use crate::scheduler::followers::news::News;
use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::submit::job::NotAccepted;
use crate::scheduler::waiting::sleepers::Awaited;

/// Pending tasks that a fold may have; who submits more waits.
pub(in crate::scheduler) const PENDING_MAX: usize = 1 << 20;

/// A task that another one depends on.
#[derive(Debug)]
pub enum Dependency<'a> {
    /// Of this fold.
    Own(&'a Ticket),
    /// Of another; what its function is called.
    Foreign(fn() -> &'static str),
}

/// A few of them, all known: those of a plain task.
#[derive(Debug, Default)]
pub struct Few<'a> {
    all: SmallVec<[&'a Ticket; 2]>,
    /// So many of them, from the first on, form a list.
    list_len: usize,
    has_others: bool,
}

impl<'a> Few<'a> {
    /// One more; `None` for one that is not known.
    #[inline]
    pub fn push(&mut self, known: Option<&'a Ticket>) {
        match known {
            Some(known) if self.all.len() < INPUTS_MAX => self.all.push(known),
            _ => self.has_others = true,
        }
    }

    /// Several more, which form a list.
    pub fn push_list(&mut self, known: impl Iterator<Item = Option<&'a Ticket>>) {
        // One that follows others would have its length between them.
        self.has_others |= !self.all.is_empty() || self.list_len > 0;
        for known in known {
            self.push(known);
            if self.has_others {
                return;
            }
        }
        self.list_len = self.all.len();
        self.has_others |= self.all.is_empty();
    }

    /// All, if these are all, and how many of them, from the first on, form a list.
    #[inline]
    pub fn all(&self) -> Option<(&[&'a Ticket], usize)> {
        (!self.has_others).then_some((&self.all, self.list_len))
    }
}

/// Several of them.
pub type Dependencies<'a> = SmallVec<[Dependency<'a>; 2]>;

/// What a task ends in that depends on one of this function, which has no value.
pub(in crate::scheduler) fn unmet(function: fn() -> &'static str, cause: TaskError) -> TaskError {
    let cause = match cause {
        // It was not the first.
        TaskError::DependencyFailed { cause, .. } => cause,
        cause => Box::new(cause.told_of(function())),
    };
    TaskError::DependencyFailed {
        task: Box::default(),
        cause,
    }
}

impl Scheduler {
    /// Submits a task that begins when those of `after` have ended with a value. Waits
    /// while there are very many pending tasks.
    pub fn submit_after(
        &self,
        after: &[Dependency<'_>],
        unfinished: Unfinished,
    ) -> Result<Ticket, NotAccepted> {
        let mut state = self.lock();
        if state.nodes.count() >= PENDING_MAX {
            drop(state);
            self.wait_until(Awaited::Any, None, |state| {
                !state.door.is_open() || state.nodes.count() < PENDING_MAX
            });
            state = self.lock();
        }
        if let Some(refusal) = self.refusal(&state) {
            return Err(refusal.into());
        }
        for dependency in after {
            if let Dependency::Own(ticket) = dependency {
                self.number_of(&mut state, ticket);
            }
        }
        let mut inputs = Inputs::with_capacity(after.len());
        let mut missing = 0;
        for dependency in after {
            let (arrived, name) = match dependency {
                // Its slot is not looked at: if it is about to run, that is the worker's.
                Dependency::Own(ticket) => {
                    let id = state.number(ticket);
                    let tickets = &mut state.tickets;
                    (tickets.input(id), tickets.name(id))
                }
                Dependency::Foreign(name) => {
                    let task = Box::default();
                    (Some(Err(TaskError::ForeignHandle { task })), *name)
                }
            };
            match arrived {
                Some(Ok(input)) => inputs.push(input),
                Some(Err(cause)) => {
                    let id = self.open_nowhere(&mut state, unfinished.job.name);
                    let mut error = unmet(name, cause);
                    error.tell_of((unfinished.job.name)(), unfinished.job.label(), None);
                    self.end_unqueued(&mut state, id, error);
                    return Ok(Ticket::new(id));
                }
                None => {
                    inputs.push(Input::Missing(name));
                    missing += 1;
                }
            }
        }
        if missing == 0 {
            drop(state);
            let mut job = unfinished.finish(inputs).map_err(NotAccepted::Failed)?;
            return self.submit(&mut job, None);
        }
        let id = self.open_nowhere(&mut state, unfinished.job.name);
        let is_urgent = unfinished.is_urgent();
        let settings = unfinished.job.settings.as_ref();
        let label = settings.and_then(|settings| settings.label.clone());
        let node = state.nodes.add(Node {
            ticket: id,
            missing,
            inputs,
            is_urgent,
            label,
            work: Work::Unfinished(unfinished),
            slot: None,
        });
        self.locations.set(id, Location::Node(node.at()));
        for (input, dependency) in (0..).zip(after) {
            let Dependency::Own(ticket) = dependency else {
                continue;
            };
            if !state.nodes.misses(node, input) {
                continue;
            }
            let dependent = Dependent::Node { node, input };
            let id = state.number(ticket);
            match state.tickets.depend(id, dependent) {
                Some(true) => {
                    state.followers.add();
                    self.add_followed(&mut state);
                }
                Some(false) => {}
                // The fold was found damaged while this was looked at.
                None => {
                    let arrival = state.tickets.input(id);
                    let arrival = arrival.unwrap_or(Err(TaskError::shutdown()));
                    state.tickets.arrivals.push((dependent, arrival));
                }
            }
        }
        if !state.tickets.arrivals.is_empty() {
            self.release(&mut state);
        }
        self.check_patience(&state);
        self.reap_meanwhile(&mut state);
        Ok(Ticket::new(id))
    }

    /// A new ticket of a task that is in no slot.
    pub(in crate::scheduler) fn open_nowhere(
        &self,
        state: &mut State,
        name: fn() -> &'static str,
    ) -> u32 {
        let id = state.tickets.open(name);
        self.locations.set(id, Location::Nowhere);
        id
    }

    /// While tasks wait for others, who submits collects too, now and then.
    #[inline]
    pub(in crate::scheduler) fn reap_meanwhile(&self, state: &mut State) {
        let submitted = state.tally.submitted();
        let is_any_pending = state.nodes.count() + state.graph.in_flight() > 0;
        if is_any_pending && state.completions.take_turn(submitted) {
            self.reap_some(state, PORTION);
        }
    }

    /// Hands on what has arrived; queues what has all it needs.
    pub(in crate::scheduler) fn release(&self, state: &mut State) {
        if state.tickets.arrivals.hold() {
            return; // whoever does so already sees to it
        }
        while !state.tickets.arrivals.is_empty() {
            let mut arrivals = state.tickets.arrivals.take();
            for (dependent, arrival) in arrivals.drain(..) {
                self.arrived(state, dependent, arrival);
            }
            state.tickets.arrivals.give_back(arrivals);
            self.publish(state);
        }
        state.tickets.arrivals.let_go(false);
        self.check_patience(state);
    }

    /// One that a pending task depends on has ended.
    pub(in crate::scheduler) fn arrived(
        &self,
        state: &mut State,
        dependent: Dependent,
        arrival: Result<Input, TaskError>,
    ) {
        let (id, input) = match dependent {
            Dependent::Node { node, input } => (node, input),
            Dependent::Slot(edge) => return self.arrived_in_slot(state, edge, arrival),
        };
        let Some(node) = state.nodes.get(id) else {
            return; // it has ended meanwhile
        };
        let place = &mut node.inputs[input as usize];
        let &mut Input::Missing(name) = place else {
            debug_assert!(false, "an input came twice");
            return;
        };
        match arrival {
            Ok(input) => *place = input,
            Err(cause) => {
                self.end_node(state, id, unmet(name, cause));
                return;
            }
        }
        node.missing -= 1;
        if node.missing == 0 {
            self.start(state, id);
        }
    }

    /// Ends a pending task; false if it is none any more.
    pub(in crate::scheduler) fn end_node(
        &self,
        state: &mut State,
        id: NodeId,
        mut error: TaskError,
    ) -> bool {
        let Some((node, build)) = state.nodes.end(id) else {
            return false;
        };
        match node.slot {
            None => {
                let function = state.tickets.name(node.ticket);
                error.tell_of(function(), node.label.as_deref(), None);
                self.end_unqueued(state, node.ticket, error);
            }
            Some(slot) => self.end_in_slot(state, slot, error),
        }
        if let Some(Build::Whole(arguments)) = build {
            // They are the user's own values.
            self.send_attendant(state, News::Gone(Box::new(arguments)));
        }
        true
    }

    pub(in crate::scheduler) fn end_unqueued(
        &self,
        state: &mut State,
        ticket: u32,
        error: TaskError,
    ) {
        state.tally.note_submitted();
        state.tally.note_unrun(&error);
        self.end(state, ticket, Err(Box::new(error)));
    }

    /// Cancels the pending tasks that `group` watches.
    pub(in crate::scheduler) fn cancel_pending_of(&self, state: &mut State, group: u32) {
        let is_meant = |state: &State, ticket| state.tickets.is_watched_by(ticket, group);
        self.end_all_in_slots(state, &TaskError::cancelled(), is_meant);
        let ids: Vec<NodeId> = state
            .nodes
            .all()
            .filter(|(_, ticket)| is_meant(state, *ticket))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.end_node(state, id, TaskError::cancelled());
        }
    }

    /// Ends all pending tasks.
    pub(in crate::scheduler) fn fail_pending(&self, state: &mut State, error: &TaskError) -> usize {
        let in_slots = self.end_all_in_slots(state, error, |_, _| true);
        let ids: Vec<NodeId> = state.nodes.all().map(|(id, _)| id).collect();
        for id in &ids {
            self.end_node(state, *id, error.clone());
        }
        in_slots + ids.len()
    }
}
