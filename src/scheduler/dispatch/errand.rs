//! Tasks that one worker alone may run: see `src/worker/errand.rs`.

use crate::prim::{Hint, ProcessId, SlotIndex};
use crate::task::TaskState;

use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// Shows a hint to worker `worker`, and wakes it.
    #[cold]
    pub(in crate::scheduler) fn place_errand(&self, state: &mut State, worker: u32, hint: u64) {
        if !state.queues.show_errand(worker, hint) {
            state.queues.put_aside(hint);
            return;
        }
        self.fold.wake_worker(ProcessId::of_worker(worker));
    }

    /// Shows the hints of tasks anew that worker `worker` alone may run, or of all such tasks:
    /// whoever had taken them may be dead, or the ring spoilt.
    #[cold]
    pub(in crate::scheduler) fn place_errands_again(&self, state: &mut State, worker: Option<u32>) {
        for index in state.slots() {
            let inflight = &state.slots[index];
            let Some(bound) = inflight.bound().filter(|_| inflight.ticket().is_some()) else {
                continue;
            };
            let hint = Hint {
                slot: SlotIndex(index),
                generation: inflight.generation(),
            };
            if worker.is_none_or(|worker| worker == bound) && self.is_queued(hint) {
                self.place_errand(state, bound, hint.pack());
            }
        }
    }

    /// Whether a task waits for worker `worker` that it alone may run.
    pub(in crate::scheduler) fn has_errand(&self, state: &State, worker: u32) -> bool {
        state.slots().any(|index| {
            let word = self.fold.slots[index as usize].word();
            state.slots[index].bound() == Some(worker)
                && TaskState::of(word) == Some(TaskState::Queued)
        })
    }
}
