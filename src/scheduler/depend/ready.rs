//! Pending tasks that have all their inputs, but cannot be queued at once: their arguments are
//! long, or there are buffers in them; or the queue is full.
//!
//! ```text
//!   Unfinished ──▶ InHand ──▶ Finished ──▶ Prepared ──▶ Queued
//!      │  inputs are put         │ no memory     │ no slot
//!      │  behind the arguments   ▼               ▼
//!      │                      `thirsty`       `stalled`
//! ```
//!
//! Nobody waits in any of these steps. To put inputs behind arguments the attendant does
//! itself, if no code of the user's is called by it; else a thread of `background` does. What
//! finds no memory is tried again when tasks have ended, and now and then; what finds no slot
//! is queued by whoever collects a task, under the same lock. Meanwhile the task stays a
//! [`Node`](super::nodes::Node), which may be cancelled as ever; whoever comes back with
//! something for one that has ended drops it.

use std::sync::Arc;

use crate::background;
use crate::error::TaskError;
use crate::prim::Hint;

use crate::scheduler::depend::inputs::{Inputs, Unfinished};
use crate::scheduler::depend::nodes::{NodeId, Work};
use crate::scheduler::followers::news::News;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::submit::job::{Arguments, Job, Memory, NotAccepted, Prepared};

/// So many that wait for memory are tried at a time.
const TRIED_MAX: usize = 64;

impl Scheduler {
    /// Nothing is missing: queues it, or leaves that to the attendant.
    pub(in crate::scheduler) fn start(&self, state: &mut State, id: NodeId) {
        if let Some(error) = state.door.failed().cloned() {
            self.end_node(state, id, error);
            return;
        }
        let Some(node) = state.nodes.get(id) else {
            return;
        };
        let ticket = node.ticket;
        let unfinished = node.unfinished();
        let quick = unfinished.filter(|(unfinished, inputs)| unfinished.is_quick(inputs));
        let Some((unfinished, inputs)) = quick.filter(|_| !state.slots.is_full()) else {
            self.send_attendant(state, News::Ready(id));
            return;
        };
        // Where it lies: it is not small.
        let prepared = self.prepare(unfinished.append(inputs), Memory::Now, Arguments::Gone);
        state.nodes.end(id);
        match prepared {
            Ok(prepared) => {
                self.enqueue_as(state, prepared, ticket);
            }
            // It is quick: nothing in it can fail.
            Err(_) => self.end_unqueued(state, ticket, TaskError::shutdown()),
        }
    }

    /// Puts the inputs of a task behind its arguments, and queues it; both as soon as it can
    /// be done. Returns at once.
    pub(in crate::scheduler) fn go(self: &Arc<Self>, id: NodeId) {
        let mut state = self.lock();
        let Some(node) = state.nodes.get(id) else {
            return;
        };
        let inputs = std::mem::take(&mut node.inputs);
        let Work::Unfinished(unfinished) = std::mem::replace(&mut node.work, Work::InHand) else {
            return;
        };
        drop(state);
        if unfinished.is_our_own(&inputs) {
            self.finished(id, unfinished.finish(inputs));
            return;
        }
        let scheduler = Arc::clone(self);
        background::run(move || scheduler.finish_by_user(id, unfinished, inputs));
    }

    /// The same by code of the user's.
    fn finish_by_user(&self, id: NodeId, unfinished: Unfinished, inputs: Inputs) {
        let panicked = || TaskError::arguments("to put inputs behind them panicked in the host");
        let mut finished = Err(panicked());
        let _ = background::caught(|| finished = unfinished.finish(inputs));
        self.finished(id, finished);
    }

    fn finished(&self, id: NodeId, finished: Result<Job, TaskError>) {
        match finished {
            Ok(job) => self.provide(id, job),
            Err(error) => {
                self.end_node(&mut self.lock(), id, error);
                self.note_gone_on();
            }
        }
    }

    /// Finds memory for a task that has its arguments, and a slot.
    fn provide(&self, id: NodeId, mut job: Job) {
        let prepared = self.prepare(&mut job, Memory::Now, Arguments::Gone);
        let mut state = self.lock();
        let Some(node) = state.nodes.get(id) else {
            // It has ended. What it had may be looked at by its drop: without the lock.
            drop(state);
            return;
        };
        match prepared {
            Ok(prepared) => {
                node.work = Work::Prepared(prepared);
                match node.slot {
                    Some(slot) => self.queue_in_slot(&mut state, id, slot),
                    None => {
                        state.nodes.stall(id);
                        self.queue_stalled(&mut state);
                    }
                }
            }
            Err(NotAccepted::Failed(error)) => {
                self.end_node(&mut state, id, error);
            }
            Err(NotAccepted::Refused(refusal)) => {
                node.work = Work::Finished(job);
                self.publish(&mut state);
                let ended = self.reap(&mut state);
                if ended == 0 && !self.may_any_end(&state) {
                    // Nothing in flight will ever free any.
                    let message = refusal.to_string();
                    self.end_node(&mut state, id, TaskError::out_of_memory(message));
                } else if state.nodes.get(id).is_some() {
                    state.nodes.thirst(id);
                }
            }
        }
        drop(state);
        self.note_gone_on();
    }

    /// Tries those again that wait for memory. False if there was none.
    pub(in crate::scheduler) fn quench(&self) -> bool {
        self.rouse();
        let mut state = self.lock();
        let waiting = state.nodes.thirsty();
        let mut jobs = Vec::new();
        while jobs.len() < TRIED_MAX
            && let Some(id) = state.nodes.pop_thirsty()
        {
            let Some(node) = state.nodes.get(id) else {
                continue;
            };
            match std::mem::replace(&mut node.work, Work::InHand) {
                Work::Finished(job) => jobs.push((id, job)),
                other => node.work = other,
            }
        }
        drop(state);
        for (id, job) in jobs {
            self.provide(id, job);
        }
        self.lock().nodes.thirsty() < waiting
    }

    /// Queues those that wait for a slot, as far as there are some.
    #[cold]
    pub(in crate::scheduler) fn queue_stalled(&self, state: &mut State) {
        let before = state.nodes.stalled();
        while let Some(id) = state.nodes.first_stalled() {
            if let Some(node) = state.nodes.get(id) {
                if state.slots.is_full() {
                    break;
                }
                let ticket = node.ticket;
                if let Some(prepared) = self.take_prepared(state, id) {
                    self.enqueue_as(state, prepared, ticket);
                }
            }
            state.nodes.pop_stalled();
        }
        if state.nodes.stalled() < before {
            self.publish(state);
            self.check_patience(state);
        }
        if state.guests.any() {
            self.admit(state);
        }
    }

    /// Queues a task in the slot in which it waits, where only its arguments are missing.
    fn queue_in_slot(&self, state: &mut State, id: NodeId, slot: Hint) {
        let Some(prepared) = self.take_prepared(state, id) else {
            return;
        };
        let inflight = &state.slots[slot.slot.0];
        if !inflight.is_of(slot.generation) {
            return; // cancelled
        }
        self.enqueue_again(state, prepared, slot);
        self.publish(state);
        self.check_patience(state);
    }

    fn take_prepared(&self, state: &mut State, id: NodeId) -> Option<Prepared> {
        match state.nodes.remove(id)?.work {
            Work::Prepared(prepared) => Some(prepared),
            _ => None,
        }
    }

    /// A pending task is one no more: somebody may wait until there are none.
    fn note_gone_on(&self) {
        let mut state = self.lock();
        if state.nodes.count() == 0 {
            state.unpark_all();
        }
        drop(state);
        self.fold.host_bell.force();
    }
}
