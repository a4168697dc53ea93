//! Tasks that begin when others have ended.
//!
//! ```text
//!   spawn_after ─▶ Pending ──all inputs are there──▶ in transit ──▶ Queued, as any task
//!                    │  one has failed; cancelled        │ cancelled; no fold any more
//!                    └──────────────▶ ended ◀────────────┘
//! ```
//!
//! A pending task is the host's alone: it has a ticket, but no slot, so that any number
//! of them hold up nobody, and no death of a worker can reach what they wait for. What
//! is missing is kept as bits, one for each input. It follows the tasks it depends on;
//! the attendant brings what they end with, and submits it when nothing is missing. A
//! task that fails ends its dependents at once, and these theirs, by way of the list of
//! news: nothing recurs.
//!
//! There are no cycles: whatever a task depends on was submitted before it.

use std::sync::{Arc, Weak};

use crate::error::TaskError;
use crate::prim::{Hint, SlotIndex};

use super::Scheduler;
use super::state::{Awaited, State};
use super::submit::{Job, NotAccepted};
use super::ticket::{Follower, Outcome, Ticket, Value};

/// Pending tasks that a fold may have; who submits more waits.
const PENDING_MAX: usize = 1 << 20;

/// Makes the job, when the inputs are there.
pub type Build = Box<dyn FnOnce(&[Arc<Outcome>]) -> Result<Job, TaskError> + Send>;

/// A task that another one depends on.
#[derive(Debug)]
pub enum Dependency<'a> {
    /// Of this fold.
    Ticket {
        ticket: &'a Ticket,
        /// What its function is called.
        name: &'static str,
    },
    /// It has an outcome, and no ticket.
    Ended(Arc<Outcome>, &'static str),
}

/// A pending task.
struct Node {
    ticket: u32,
    build: Build,
    inputs: Vec<Option<Arc<Outcome>>>,
    /// What its dependencies are called.
    names: Vec<&'static str>,
    /// A bit for each input that is not there.
    missing: Vec<u64>,
}

/// Names a pending task; for none any more when it was submitted or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId {
    at: u32,
    generation: u32,
}

/// All pending tasks.
#[derive(Default)]
pub struct Nodes {
    entries: Vec<(u32, Option<Box<Node>>)>,
    vacant: Vec<u32>,
    /// Pending and in transit.
    count: usize,
}

impl Nodes {
    /// Tasks that wait for others, or are about to be queued.
    pub fn count(&self) -> usize {
        self.count
    }

    fn add(&mut self, node: Box<Node>) -> NodeId {
        self.count += 1;
        let at = self.vacant.pop().unwrap_or(self.entries.len() as u32);
        match self.entries.get_mut(at as usize) {
            Some(entry) => entry.1 = Some(node),
            None => self.entries.push((0, Some(node))),
        }
        let generation = self.entries[at as usize].0;
        NodeId { at, generation }
    }

    fn get(&mut self, id: NodeId) -> Option<&mut Node> {
        let (generation, node) = self.entries.get_mut(id.at as usize)?;
        node.as_deref_mut().filter(|_| *generation == id.generation)
    }

    fn all(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let entries = (0..).zip(&self.entries);
        entries.filter_map(|(at, (generation, node))| {
            let generation = *generation;
            Some((NodeId { at, generation }, &**node.as_ref()?))
        })
    }

    fn remove(&mut self, id: NodeId) -> Option<Box<Node>> {
        self.get(id)?;
        let (generation, node) = &mut self.entries[id.at as usize];
        *generation = generation.wrapping_add(1);
        self.vacant.push(id.at);
        node.take()
    }
}

impl Scheduler {
    /// Submits a task that begins when those of `after` have ended with a value. Waits
    /// while there are very many pending tasks.
    pub fn submit_after(
        self: &Arc<Self>,
        after: Vec<Dependency<'_>>,
        build: Build,
    ) -> Result<Ticket, NotAccepted> {
        self.wait_until(Awaited::Any, None, |state| {
            state.closed.is_some() || state.nodes.count < PENDING_MAX
        });
        let mut state = self.lock();
        if let Some(refusal) = state.closed {
            return Err(refusal.into());
        }
        let count = after.len();
        let name = |dependency: &Dependency<'_>| match dependency {
            Dependency::Ticket { name, .. } | Dependency::Ended(_, name) => *name,
        };
        let id = state.tickets.open();
        let node = state.nodes.add(Box::new(Node {
            ticket: id,
            build,
            inputs: vec![None; count],
            names: after.iter().map(name).collect(),
            missing: (0..count.div_ceil(64))
                .map(|word| u64::MAX >> (64 - (count - 64 * word).min(64)))
                .collect(),
        }));
        state.tickets.is_pending(id, node);
        self.is_followed(&mut state);
        drop(state);
        if count == 0 {
            self.go(node);
        }
        for (input, dependency) in after.into_iter().enumerate() {
            match dependency {
                Dependency::Ticket { ticket, .. } => {
                    let scheduler = Arc::downgrade(self);
                    let arrived = move |outcome: &Arc<Outcome>| {
                        if let Some(scheduler) = Weak::upgrade(&scheduler) {
                            scheduler.arrived(node, input, outcome);
                        }
                    };
                    let followed = self.follow(ticket, Box::new(arrived));
                    if let Err((arrived, outcome)) = followed {
                        arrived(&outcome);
                    }
                }
                Dependency::Ended(outcome, _) => self.arrived(node, input, &outcome),
            }
        }
        Ok(Ticket::nowhere(id))
    }

    /// A ticket that ends as another does: when the follower is called.
    pub fn shadow(self: &Arc<Self>) -> (Ticket, Follower) {
        let mut state = self.lock();
        let id = state.tickets.open();
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

    /// The task that `node` depends on as its `input`th has ended.
    fn arrived(&self, id: NodeId, input: usize, outcome: &Arc<Outcome>) {
        let mut state = self.lock();
        let Some(node) = state.nodes.get(id) else {
            return; // it has ended meanwhile
        };
        let cause = match outcome.as_ref() {
            Ok(value) if value.is_err() => Some(TaskError::Returned {
                message: "its value is an `Err`".into(),
            }),
            Ok(_) => None,
            Err(error) => Some((**error).clone()),
        };
        if let Some(cause) = cause {
            let task = node.names[input];
            let error = match cause {
                // It was not the first.
                TaskError::DependencyFailed { .. } => cause,
                cause => TaskError::DependencyFailed {
                    task,
                    cause: Box::new(cause),
                },
            };
            self.end_node(&mut state, id, error);
            drop(state);
            self.fold.host_bell.force();
            return;
        }
        node.inputs[input] = Some(Arc::clone(outcome));
        node.missing[input / 64] &= !(1 << (input % 64));
        if node.missing.iter().all(|word| *word == 0) {
            drop(state);
            self.go(id);
        }
    }

    /// Nothing is missing: submits it.
    fn go(&self, id: NodeId) {
        let Some(node) = self.lock().nodes.remove(id) else {
            return;
        };
        let Node {
            ticket,
            build,
            inputs,
            ..
        } = *node;
        let inputs: Option<Vec<Arc<Outcome>>> = inputs.into_iter().collect();
        let built = inputs
            .ok_or(TaskError::Shutdown)
            .and_then(|inputs| build(&inputs));
        let submitted = match built {
            Ok(mut job) => self.submit_pending(&mut job, ticket),
            Err(error) => Err(error),
        };
        let mut state = self.lock();
        state.nodes.count -= 1;
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
            let Some(index) = state.free.last() else {
                drop(state);
                self.wait_until(Awaited::Any, None, |state| {
                    state.failed.is_some() || !state.free.is_empty()
                });
                continue;
            };
            let hint = Hint {
                slot: SlotIndex(*index),
                generation: state.inflight[*index as usize].generation,
            };
            if !state.tickets.set_place(ticket, hint) {
                return Err(TaskError::Cancelled);
            }
            self.enqueue_as(&mut state, prepared, ticket);
            self.publish(&mut state);
            return Ok(());
        }
    }

    /// Ends a pending task; false if it is none any more.
    pub(super) fn end_node(&self, state: &mut State, id: NodeId, error: TaskError) -> bool {
        let Some(node) = state.nodes.remove(id) else {
            return false;
        };
        state.nodes.count -= 1;
        self.end_unqueued(state, node.ticket, error);
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
            .filter(|(_, node)| state.tickets.is_watched_by(node.ticket, group))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.end_node(state, id, TaskError::Cancelled);
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
