//! Tasks that begin when others have ended.
//!
//! ```text
//!   spawn_after ─▶ Pending ──all inputs are there──▶ Queued, as any task
//!                    │ │                               ▲
//!                    │ └──there is no room; large ──▶ in transit
//!                    │  one has failed; cancelled        │ cancelled; no fold any more
//!                    └──────────────▶ ended ◀────────────┘
//! ```
//!
//! A pending task is the host's alone: it has a ticket, but no slot, so that any number
//! of them hold up nobody, and no death of a worker can reach what they wait for. Its
//! arguments are encoded when it is submitted; each input is put behind them as it came,
//! neither decoded nor encoded again, unless there are buffers in it. Most are plain
//! (`super::pending`), and queued by the short way (`super::quick`).
//!
//! Whoever collects a task, under the lock, hands its value to those that depend on it,
//! and queues those that have all of theirs; so nobody waits for any thread but the one
//! that collects. What may have to wait (for a slot, for a block), or calls code of the
//! user's types, is left to the attendant. A task that fails ends its dependents at
//! once, and these theirs, by way of a list: nothing recurs.
//!
//! There are no cycles: whatever a task depends on was submitted before it.

use std::sync::{Arc, Weak};

use smallvec::SmallVec;

use crate::error::TaskError;
use crate::prim::{Hint, SlotIndex};

use super::Scheduler;
use super::inputs::{Build, Input, Inputs, Unfinished};
use super::pending::{Arrived, INPUTS_MAX, Node, NodeId};
use super::state::{Awaited, State};
use super::submit::{Job, NotAccepted};
use super::ticket::{Follower, News, Ticket};
use super::value::{Outcome, Value};

/// Pending tasks that a fold may have; who submits more waits.
pub(super) const PENDING_MAX: usize = 1 << 20;

/// While there are any, whoever submits so many tasks collects once.
const MEANWHILE: u64 = 128;

/// A task that another one depends on.
#[derive(Debug)]
pub enum Dependency<'a> {
    /// Of this fold.
    Ticket {
        ticket: &'a Ticket,
        /// What its function is called.
        name: fn() -> &'static str,
    },
    /// It has an outcome, and no ticket.
    Ended(Arc<Outcome>, fn() -> &'static str),
}

/// The ticket of one, and what its function is called.
pub type Named<'a> = (&'a Ticket, fn() -> &'static str);

/// A few of them, all known: those of a plain task.
#[derive(Debug, Default)]
pub struct Few<'a> {
    all: [Option<Named<'a>>; INPUTS_MAX],
    len: usize,
    has_others: bool,
}

impl<'a> Few<'a> {
    /// One more; `None` for one that is not known.
    #[inline]
    pub fn push(&mut self, known: Option<Named<'a>>) {
        match self.all.get_mut(self.len) {
            Some(place) if known.is_some() => *place = known,
            _ => self.has_others = true,
        }
        self.len += 1;
    }

    /// All, if these are all.
    #[inline]
    pub fn all(&self) -> Option<&[Option<Named<'a>>]> {
        if self.has_others {
            return None;
        }
        self.all.get(..self.len)
    }
}

/// Several of them.
pub type Dependencies<'a> = SmallVec<[Dependency<'a>; 2]>;

/// The input of a pending task.
#[derive(Clone, Copy, Debug)]
pub struct Dependent {
    pub(super) node: NodeId,
    pub(super) input: u32,
}

/// What a task that has ended means for one that depends on it.
pub type Arrival = (Dependent, Result<Input, TaskError>);

/// What a task ends in that depends on one that is called `task`, and has no value.
fn unmet(task: fn() -> &'static str, cause: TaskError) -> TaskError {
    match cause {
        // It was not the first.
        TaskError::DependencyFailed { .. } => cause,
        cause => TaskError::DependencyFailed {
            task: task(),
            cause: Box::new(cause),
        },
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
                state.closed.is_some() || state.nodes.count() < PENDING_MAX
            });
            state = self.lock();
        }
        if let Some(refusal) = state.closed {
            return Err(refusal.into());
        }
        let mut inputs = Inputs::with_capacity(after.len());
        let mut missing = 0;
        for dependency in after {
            let (arrived, name) = match dependency {
                // Its slot is not looked at: if it is about to run, that is the worker's.
                Dependency::Ticket { ticket, name } => (state.tickets.input(ticket.id), *name),
                Dependency::Ended(outcome, name) => (Some(Input::of(outcome)), *name),
            };
            match arrived {
                Some(Ok(input)) => inputs.push(input),
                Some(Err(cause)) => {
                    let id = state.tickets.open_nowhere();
                    self.end_unqueued(&mut state, id, unmet(name, cause));
                    return Ok(Ticket::nowhere(id));
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
        let id = state.tickets.open_nowhere();
        let node = state.nodes.add(Node {
            ticket: id,
            missing,
            inputs,
            is_urgent: unfinished.is_urgent(),
            unfinished,
        });
        state.tickets.is_pending(id, node);
        for (input, dependency) in (0..).zip(after) {
            let Dependency::Ticket { ticket, .. } = dependency else {
                continue;
            };
            if !state.nodes.is_missing(node, input) {
                continue;
            }
            let dependent = Dependent { node, input };
            match state.tickets.depend(ticket.id, dependent) {
                Some(true) => self.is_followed(&mut state),
                Some(false) => {}
                // The fold was found damaged while this was looked at.
                None => {
                    let arrival = state.tickets.input(ticket.id);
                    let arrival = arrival.unwrap_or(Err(TaskError::Shutdown));
                    state.tickets.arrivals.push((dependent, arrival));
                }
            }
        }
        if !state.tickets.arrivals.is_empty() {
            self.release(&mut state);
        }
        self.reap_meanwhile(&mut state);
        Ok(Ticket::nowhere(id))
    }

    /// While tasks wait for others, who submits collects too, now and then.
    #[inline]
    pub(super) fn reap_meanwhile(&self, state: &mut State) {
        let submitted = state.counters.submitted;
        if state.nodes.count() > 0 && submitted.wrapping_sub(state.reaped_at) >= MEANWHILE {
            state.reaped_at = submitted;
            self.reap(state);
        }
    }

    /// Hands on what has arrived; queues what has all it needs.
    pub(super) fn release(&self, state: &mut State) {
        if std::mem::replace(&mut state.is_releasing, true) {
            return; // whoever does so already sees to it
        }
        while !state.tickets.arrivals.is_empty() {
            let mut arrivals = std::mem::take(&mut state.tickets.arrivals);
            for (dependent, arrival) in arrivals.drain(..) {
                self.arrived(state, dependent, arrival);
            }
            if state.tickets.arrivals.is_empty() {
                // Its memory is used again.
                state.tickets.arrivals = arrivals;
            }
            self.publish(state);
        }
        state.is_releasing = false;
        self.check_patience(state);
    }

    /// One that a pending task depends on has ended.
    pub(super) fn arrived(
        &self,
        state: &mut State,
        dependent: Dependent,
        arrival: Result<Input, TaskError>,
    ) {
        let Dependent { node: id, input } = dependent;
        if let Ok(Input::Small { len, words }) = arrival {
            match state.nodes.arrive(id, input, len, words) {
                Arrived::Waits => return,
                Arrived::Ready => return self.start_plain(state, id),
                Arrived::Elsewhere => {}
            }
        }
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

    /// Nothing is missing: queues it, or leaves that to the attendant.
    pub(super) fn start(&self, state: &mut State, id: NodeId) {
        if let Some(error) = state.failed.clone() {
            self.end_node(state, id, error);
            return;
        }
        let is_quick = |node: &mut Node| node.unfinished.is_quick(&node.inputs);
        if state.free.is_empty() || !state.nodes.get(id).is_some_and(is_quick) {
            self.send_attendant(state, News::Ready(id));
            return;
        }
        let Some(node) = state.nodes.get(id) else {
            return;
        };
        // Where it lies: it is not small.
        let ticket = node.ticket;
        let job = node.unfinished.append(&node.inputs);
        let prepared = self.prepare(job, None);
        state.nodes.forget(id);
        match prepared {
            Ok(prepared) => {
                let hint = self.next_hint(state);
                state.tickets.set_place(ticket, hint);
                self.enqueue_as(state, prepared, ticket);
            }
            // It is quick: nothing in it can fail.
            Err(_) => self.end_unqueued(state, ticket, TaskError::Shutdown),
        }
    }

    /// Of the task that is enqueued next; there is room.
    pub(super) fn next_hint(&self, state: &State) -> Hint {
        let index = state.free.last().copied().unwrap_or_default();
        Hint {
            slot: SlotIndex(index),
            generation: state.inflight[index as usize].generation,
        }
    }

    /// A ticket that ends as another does: when the follower is called.
    pub fn shadow(self: &Arc<Self>) -> (Ticket, Follower) {
        let mut state = self.lock();
        let id = state.tickets.open_nowhere();
        drop(state);
        let scheduler = Arc::downgrade(self);
        let follower = move |outcome: &Arc<Outcome>| {
            if let Some(scheduler) = Weak::upgrade(&scheduler) {
                let own = match &**outcome {
                    Ok(_) => Ok(Value::Shared(Arc::clone(outcome))),
                    Err(error) => Err(error.clone()),
                };
                scheduler.end(&mut scheduler.lock(), id, own);
                scheduler.fold.host_bell.force();
            }
        };
        (Ticket::nowhere(id), Box::new(follower))
    }

    /// Submits a task of which nothing is missing; may wait for room.
    pub fn go(&self, id: NodeId) {
        let mut state = self.lock();
        let Some(node) = state.nodes.remove(id) else {
            return;
        };
        state.nodes.in_transit = Some(node.ticket);
        drop(state);
        let Node {
            ticket,
            inputs,
            unfinished,
            ..
        } = node;
        let submitted = unfinished
            .finish(inputs)
            .and_then(|mut job| self.submit_pending(&mut job, ticket));
        let mut state = self.lock();
        state.nodes.is_gone();
        state.nodes.in_transit = None;
        if let Err(error) = submitted {
            self.end_unqueued(&mut state, ticket, error);
            drop(state);
            self.fold.host_bell.force();
        }
    }

    /// Submits a task that was pending, under the ticket it has. Not only while the
    /// runtime is open: what was accepted before it was closed is run.
    fn submit_pending(&self, job: &mut Job, ticket: u32) -> Result<(), TaskError> {
        let prepared = match self.prepare(job, None) {
            Ok(prepared) => prepared,
            Err(NotAccepted::Failed(error)) => return Err(error),
            Err(NotAccepted::Refused(refusal)) => {
                let message = refusal.to_string();
                return Err(TaskError::OutOfMemory { message });
            }
        };
        loop {
            let mut state = self.lock();
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.free.is_empty() {
                self.publish(&mut state);
                self.reap(&mut state);
            }
            if state.free.is_empty() {
                drop(state);
                self.wait_until(Awaited::Any, None, |state| {
                    state.failed.is_some() || !state.free.is_empty()
                });
                continue;
            }
            let hint = self.next_hint(&state);
            if !state.tickets.set_place(ticket, hint) {
                return Err(TaskError::Cancelled);
            }
            self.enqueue_as(&mut state, prepared, ticket);
            self.publish(&mut state);
            self.check_patience(&state);
            return Ok(());
        }
    }

    /// Ends a pending task; false if it is none any more.
    pub(super) fn end_node(&self, state: &mut State, id: NodeId, error: TaskError) -> bool {
        let Some((ticket, build)) = state.nodes.end(id) else {
            return false;
        };
        self.end_unqueued(state, ticket, error);
        if let Some(Build::Whole(arguments)) = build {
            // They are the user's own values.
            self.send_attendant(state, News::Gone(Box::new(arguments)));
        }
        true
    }

    fn end_unqueued(&self, state: &mut State, ticket: u32, error: TaskError) {
        state.counters.submitted += 1;
        match error {
            TaskError::Cancelled | TaskError::DependencyFailed { .. } => {
                state.counters.cancelled += 1;
            }
            _ => state.counters.failed += 1,
        }
        self.end(state, ticket, Err(Box::new(error)));
    }

    /// Cancels the pending tasks that `group` watches.
    pub(super) fn cancel_pending_of(&self, state: &mut State, group: u32) {
        let ids: Vec<NodeId> = state
            .nodes
            .all()
            .filter(|(_, ticket)| state.tickets.is_watched_by(*ticket, group))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.end_node(state, id, TaskError::Cancelled);
        }
        let in_transit = state.nodes.in_transit;
        if in_transit.is_some_and(|ticket| state.tickets.is_watched_by(ticket, group)) {
            self.cancel_in_transit(state);
        }
    }

    /// Has the task that is on its way to the queue end instead.
    pub(super) fn cancel_in_transit(&self, state: &mut State) {
        if let Some(ticket) = state.nodes.in_transit {
            state.tickets.cancel_pending(ticket);
        }
    }

    /// Ends all pending tasks.
    pub(super) fn fail_pending(&self, state: &mut State, error: &TaskError) -> usize {
        let ids: Vec<NodeId> = state.nodes.all().map(|(id, _)| id).collect();
        for id in &ids {
            self.end_node(state, *id, error.clone());
        }
        ids.len()
    }
}
