//! After a worker's death: the tasks that tasks have spawned.
//!
//! They lie in slots of the executors. Those that the dead had spawned are cancelled,
//! for nobody waits for them any more, or finished all the same (`orphans`); one that
//! another still runs is freed by the successor of the dead. Those that the dead was running end as lost, which is for
//! the host to say in its place.

use crate::error::Death;
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Hint, SlotIndex};
use crate::task::{Head, Orphans, Outcome, Payload, Place, TaskState};

use crate::scheduler::recover::losses::Dying;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// Moves on the spawned tasks that worker `worker` was running, those that it had
    /// spawned, and those whose hints it may have taken.
    pub(in crate::scheduler) fn rescue_spawned(&self, state: &mut State, worker: u32, pid: i32) {
        let shape = &self.fold.plan.shape;
        let is_dead = |executor: usize| shape.worker_of(executor) as u32 == worker;
        for owner in 0..shape.executors() {
            let start = shape.nest_start(owner);
            for slot in start..start + self.fold.nest_used(owner) as u32 {
                let cell = &self.fold.slots[slot as usize];
                let word = cell.word();
                let generation = word.generation;
                let is_run_by_dead = is_dead(word.owner as usize);
                match TaskState::of(word) {
                    // Nobody waits for it any more.
                    Some(TaskState::Queued)
                        if is_dead(owner) && self.orphans == Orphans::Cancel =>
                    {
                        cell.cancel(generation);
                    }
                    Some(TaskState::Running) if is_dead(owner) && is_run_by_dead => {
                        cell.release(generation);
                    }
                    Some(TaskState::Waiting) if is_dead(owner) => cell.release(generation),
                    Some(TaskState::Queued) => {
                        let slot = SlotIndex(slot);
                        self.place(state, Hint { slot, generation }.pack());
                    }
                    Some(TaskState::Running) if is_run_by_dead => {
                        cell.hold(generation);
                        state
                            .losses
                            .add_dying(Dying::spawned(pid, slot, generation));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Tells who waits for a spawned task how the worker that ran it has ended.
    pub(in crate::scheduler) fn end_spawned(&self, dying: &Dying, death: Death) {
        let (slot, generation) = dying.place();
        let cell = &self.fold.slots[slot as usize];
        let word = cell.word();
        let is_ours =
            TaskState::of(word) == Some(TaskState::Waiting) && word.generation == generation;
        let owner = self.fold.plan.shape.nest_owner(SlotIndex(slot));
        let Some(owner) = owner.filter(|_| is_ours) else {
            return; // its owner has died too
        };
        let mut payload = Payload::new();
        if payload.encode(&death).is_err() {
            payload.clear();
        }
        let head = Head {
            function: 0,
            outcome: Outcome::Lost,
            parcels: 0,
            is_labelled: false,
            is_timed: false,
            place: Place::Inline(payload.len()),
        };
        cell.write(head, payload.words());
        // In the place of the dead; whose name it carries does not matter any more.
        cell.finish(ExecutorId(0), generation);
        self.fold.executors[owner].bell.force();
        self.fold.executors[owner].doing.told.force();
    }

    /// Whether a task of another executor was on top of the stack of `executor`, which
    /// has died: then that is to blame, and not the task at the bottom.
    pub(in crate::scheduler) fn was_about_another(&self, executor: u32) -> bool {
        // Relaxed: it is dead.
        let doing = &self.fold.executors[executor as usize].doing;
        let top = Hint::unpack(doing.top.load(Ordering::Relaxed));
        let owner = self.fold.plan.shape.nest_owner(top.slot);
        owner.is_some_and(|owner| owner != executor as usize)
    }
}
