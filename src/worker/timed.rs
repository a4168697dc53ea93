//! When a task has begun, and when it should have ended.
//!
//! For a timed task (`Head::is_timed`) the executor writes beside its slot when it begins and when it ends. A
//! plain task costs only the check whether it is timed, a bit of the line that was just claimed.

use crate::prim::{Hint, SlotIndex};
use crate::sys::clock;

use super::runner::Runner;

impl Runner {
    /// The task in `slot` was just claimed; whether it is timed.
    #[inline]
    pub(super) fn begins(&self, slot: SlotIndex) -> bool {
        let is_timed = self.fold.slots[slot.at()].is_timed();
        if is_timed {
            self.leave_beginning(slot);
        }
        is_timed
    }

    #[cold]
    fn leave_beginning(&self, slot: SlotIndex) {
        if let Some(line) = self.fold.measures.get(slot.at()) {
            line.begins(clock::now());
        }
    }

    /// The function of the timed task in `slot` has returned.
    #[cold]
    pub(super) fn ends(&self, slot: SlotIndex) {
        if let Some(line) = self.fold.measures.get(slot.at()) {
            line.ends(clock::now());
        }
    }

    /// When the task of the host that `hint` is part of should have ended: by its deadlines,
    /// and by its limit on running time.
    pub(super) fn deadline(&self, hint: Hint) -> Option<u64> {
        self.deadline_of(self.root_of(hint)?)
    }

    /// When this task of the host should have ended.
    pub(super) fn deadline_of(&self, root: Hint) -> Option<u64> {
        let note = &self.fold.notes[root.slot.at()];
        let by_limit = note.has_run_limit(root.generation);
        let line = self.fold.measures.get(root.slot.at()).filter(|_| by_limit);
        let run_ends = line.and_then(|line| line.run_ends());
        run_ends
            .into_iter()
            .chain(note.deadline(root.generation))
            .min()
    }
}
