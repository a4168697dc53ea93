//! After a worker's death: every task moved on, every hint issued again.
//!
//! Order matters: first what the dead had finished is collected (its results are
//! adopted); then the pool frees what only the dead owned, results of unfinished
//! runs included; then tasks it was running are queued again or failed; then the
//! hints it had announced are issued again; last, its record is made ready for
//! its successor. All of it may be done twice.

use crate::error::{Death, TaskError};
use crate::prim::{Hint, ProcessId, SlotIndex};
use crate::task::TaskState;

use super::Scheduler;
use super::state::State;

impl Scheduler {
    /// Moves on everything of worker `worker`, which has ended and was reaped, and
    /// whose successor has not begun. Returns how many tasks it was running.
    pub fn rescue(&self, worker: u32, death: Death) -> usize {
        let threads = self.fold.plan.shape.threads;
        let executors = worker * threads..(worker + 1) * threads;
        let is_dead = |owner: u32| executors.contains(&owner);
        let mut state = self.lock();
        self.reap(&mut state);
        self.collect_all(&mut state);

        self.pool.recover(ProcessId::of_worker(worker), |slot| {
            self.will_be_collected(&state, slot, is_dead)
        });

        let last_words: Vec<_> = executors
            .clone()
            .map(|e| self.fold.executors[e as usize].last_words.read())
            .collect();
        let mut running = 0;
        for index in 0..state.inflight.len() as u32 {
            let word = self.fold.slots[index as usize].word();
            let runs = TaskState::of(word) == Some(TaskState::Running) && is_dead(word.owner);
            if state.inflight[index as usize].ticket.is_some() && runs {
                running += 1;
                let words = &last_words[(word.owner - executors.start) as usize];
                self.run_again_or_fail(&mut state, index, death, words.clone());
            }
        }

        for executor in executors.clone() {
            let record = &self.fold.executors[executor as usize];
            for hint in record.announced_ever() {
                if self.is_waiting(&state, Hint::unpack(hint)) {
                    self.place(&mut state, hint);
                }
            }
            record.reset();
        }
        self.fold.crowd.forget(executors);
        self.publish(&mut state);
        drop(state);
        // A wake that died with its sender is made up for.
        self.fold.wake_all();
        running
    }

    /// Whether the result that `slot` carries belongs to a task that the host will
    /// still collect: done, or being run by a living executor.
    fn will_be_collected(
        &self,
        state: &State,
        slot: SlotIndex,
        is_dead: impl Fn(u32) -> bool,
    ) -> bool {
        let Some(inflight) = state.inflight.get(slot.at()) else {
            return false;
        };
        let word = self.fold.slots[slot.at()].word();
        inflight.ticket.is_some()
            && word.generation == inflight.generation
            && match TaskState::of(word) {
                Some(TaskState::Done) => true,
                Some(TaskState::Running) => !is_dead(word.owner),
                _ => false,
            }
    }

    /// Issues a hint for every task that waits; a second hint for one does no harm.
    pub(super) fn issue_again(&self, state: &mut State) {
        for index in 0..state.inflight.len() as u32 {
            let hint = Hint {
                slot: SlotIndex(index),
                generation: state.inflight[index as usize].generation,
            };
            if self.is_waiting(state, hint) {
                self.place(state, hint.pack());
            }
        }
        for executor in std::mem::take(&mut state.touched) {
            state.inboxes[executor].publish();
        }
        self.fold.wake_all();
    }

    fn is_waiting(&self, state: &State, hint: Hint) -> bool {
        let in_flight = state
            .inflight
            .get(hint.slot.at())
            .is_some_and(|i| i.ticket.is_some() && i.generation == hint.generation);
        in_flight && {
            let word = self.fold.slots[hint.slot.at()].word();
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == hint.generation
        }
    }

    fn run_again_or_fail(
        &self,
        state: &mut State,
        index: u32,
        death: Death,
        last_words: Option<String>,
    ) {
        let inflight = &mut state.inflight[index as usize];
        let generation = inflight.generation;
        let again = inflight
            .extra
            .as_mut()
            .and_then(|extra| extra.again.as_mut());
        let mut attempts = 1;
        if let Some(again) = again {
            attempts = again.attempts;
            if again.left > 0 {
                again.left -= 1;
                again.attempts += 1;
                let slot = &self.fold.slots[index as usize];
                slot.write(again.head, &again.words);
                slot.queue(generation);
                state.counters.repeated += 1;
                let hint = Hint {
                    slot: SlotIndex(index),
                    generation,
                };
                self.place(state, hint.pack());
                return;
            }
        }
        let error = TaskError::WorkerDied {
            death,
            attempts,
            last_words,
        };
        state.counters.died += 1;
        self.settle(state, index, Err(Box::new(error)));
    }

    /// Ends everything in flight with `error`.
    pub(super) fn fail_in_flight(&self, state: &mut State, error: &TaskError) -> usize {
        let mut failed = 0;
        for index in 0..state.inflight.len() as u32 {
            if state.inflight[index as usize].ticket.is_some() {
                failed += 1;
                state.counters.failed += 1;
                // Nobody may claim it any more.
                let generation = state.inflight[index as usize].generation;
                self.fold.slots[index as usize].cancel(generation);
                self.settle(state, index, Err(Box::new(error.clone())));
            }
        }
        state.homeless.clear();
        failed
    }
}
