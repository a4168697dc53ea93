//! Spawned tasks that are to be finished although their owner has died.
//!
//! ```text
//!   the owner   lives        is dead               has a successor
//!   the word    Queued(g) ── Queued(g) ─────────── Queued(g) ─▶ Running(e,g) ─▶ Done(e,g) ─▶ Free(g+1)
//!   its hint    the owner's  the host's, as for    any executor claims it                    the successor
//!               ring         every one that waits
//!   arguments   the owner's  the host's ─────────────────────▶ e's
//! ```
//!
//! The word stays what it is: only *who gives the arguments* changes, and where the hint
//! is. Why each is run once:
//!
//! - *Not twice:* what was begun is not `Queued(g)` any more and never will be again, and of
//!   many hints for one word one wins the claim, whether it was the owner's, or was issued
//!   after the first death or after a later one.
//! - *Not never:* whatever is `Queued` gets a hint after every death (`rescue_spawned`
//!   passes over the slots of all owners), so it does not matter who dies with a hint in
//!   his hands: the owner, a thief, or the successor of the owner, once or many times.
//! - *Whoever runs it dies:* as for the task of a living owner: `Waiting`, then `Done` with
//!   `Lost`. It was begun, and is not run again. The successor of its owner frees it.
//!
//! The arguments are what the dead had in its hands: a block of its own that holds them if
//! they are long, and the buffers among them. They must not be freed with all else that was
//! its own, so the host inherits them before ([`Scheduler::adopt`]): a block of the dead
//! becomes the host's *in the same generation*, by compare-and-swap; of a shared one the
//! host becomes a holder; a passage that keeps an end (`src/pool/handing.rs`) is named to the pool's recovery,
//! which makes it the host's. Nothing in the slot has to be written. Whoever claims the task
//! takes them from the owner or, if the owner has them no more, from the host.
//!
//! A thief may have claimed the task just before, and be about to take them. Therefore the
//! host inherits those of tasks that the living run, too; and a thief takes the block that
//! names the buffers *after* the buffers, so what the host does not find any more was taken.
//! A slot that is being overwritten with the result may name what the task never had. That
//! does no harm: what the host has inherited is given back when the task has ended.
//!
//! What is cancelled: orphans of a task that was cancelled before the death (its note says
//! so), and of one that is cancelled later, which is one that is tried again, or runs
//! elsewhere ([`Scheduler::cancel_orphans`]).

use crate::pool::{Handing, Transfer};
use crate::prim::{Generation, Hint, ProcessId, SlotIndex};
use crate::task::{Orphans, Outcome, Place, TaskState, parcels_of};

use crate::scheduler::recover::losses::Adopted;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// Inherits for the children of worker `worker`, which has died, what it has left them,
    /// before it is freed; cancels those whose parent was cancelled. May be done twice.
    pub(in crate::scheduler) fn adopt(&self, state: &mut State, worker: u32) {
        if self.orphans == Orphans::Cancel {
            return;
        }
        let shape = &self.fold.plan.shape;
        let is_dead = |executor: usize| shape.worker_of(executor) as u32 == worker;
        for owner in (0..shape.executors()).filter(|owner| is_dead(*owner)) {
            let start = shape.nest_start(owner);
            for slot in start..start + self.fold.nest_used(owner) as u32 {
                let word = self.fold.slots[slot as usize].word();
                let generation = word.generation;
                let is_open = match TaskState::of(word) {
                    Some(TaskState::Queued) => !self.cancel_if_root_is(slot, generation),
                    Some(TaskState::Running) => !is_dead(word.owner as usize),
                    _ => false,
                };
                let hint = Hint {
                    slot: SlotIndex(slot),
                    generation,
                };
                let is_known = |adopted: &Adopted| adopted.hint == hint;
                if is_open && !state.losses.adopted().iter().any(is_known) {
                    let (inherited, ends) = self.inherit(slot, ProcessId::of_worker(worker));
                    state.losses.adopt(Adopted {
                        hint,
                        root: self.fold.notes[slot as usize].root(),
                        inherited,
                        ends,
                    });
                }
            }
        }
    }

    /// Cancels a queued orphan if the task that it is part of was cancelled.
    fn cancel_if_root_is(&self, slot: u32, generation: Generation) -> bool {
        let root = self.fold.notes[slot as usize].root();
        let is_root_cancelled = || {
            root.slot.0 < self.fold.plan.shape.host_slots()
                && self.fold.notes[root.slot.at()].is_cancelled(root.generation)
        };
        // It hears of it by its own note if the root is over.
        let is_cancelled = self.was_told(slot, generation) || is_root_cancelled();
        is_cancelled && self.fold.slots[slot as usize].cancel(generation)
    }

    /// Takes over what process `dead` has left to the task in `slot`.
    fn inherit(&self, slot: u32, dead: ProcessId) -> (Vec<Transfer>, Option<Handing>) {
        let mut inherited = Vec::new();
        let Some((head, words)) = self.fold.slots[slot as usize].read() else {
            return (inherited, None);
        };
        if !matches!(head.outcome, Outcome::None | Outcome::MarkedArguments) {
            return (inherited, None); // that of a task that has run
        }
        if let Place::Block {
            index, generation, ..
        } = head.place
        {
            let Some(block) = self.pool.inherit(index, generation, true, dead) else {
                return (inherited, None); // taken, and before it the buffers
            };
            inherited.push(block);
        }
        let mut passing = Vec::new();
        for parcel in parcels_of(&head, words, &self.pool).into_iter().flatten() {
            if parcel.passage().is_some() {
                passing.push(parcel);
                continue;
            }
            let is_loan = parcel.is_loan();
            let (index, generation) = (parcel.index, parcel.generation);
            inherited.extend(self.pool.inherit(index, generation, is_loan, dead));
        }
        (inherited, Handing::inherited(passing, &self.pool))
    }

    /// Gives back what was inherited for tasks that have ended.
    #[cold]
    pub(in crate::scheduler) fn let_go(&self, state: &mut State) {
        state.losses.retain_adopted(|adopted| {
            let word = self.fold.slots[adopted.hint.slot.at()].word();
            word.generation == adopted.hint.generation
                && matches!(
                    TaskState::of(word),
                    Some(TaskState::Queued | TaskState::Running)
                )
        });
    }

    /// Cancels the orphans that are part of task `root`, and that nobody has begun.
    pub(in crate::scheduler) fn cancel_orphans(&self, state: &State, root: Hint) {
        for orphan in state
            .losses
            .adopted()
            .iter()
            .filter(|orphan| orphan.root == root)
        {
            self.fold.slots[orphan.hint.slot.at()].cancel(orphan.hint.generation);
        }
    }

    /// Everything has ended: no orphan begins any more.
    pub(in crate::scheduler) fn disown(&self, state: &mut State) {
        for orphan in state.losses.take_adopted() {
            self.fold.slots[orphan.hint.slot.at()].cancel(orphan.hint.generation);
        }
    }
}
