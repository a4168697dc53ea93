//! What a running task is told: which root it belongs to, whether it is to end, and by when.

use crate::prim::Hint;
use crate::prim::atomic::Ordering;
use crate::task::TaskState;

use super::nest::Nest;
use super::runner::Runner;

impl Runner {
    /// While a spawned task runs: the hint of the host's task that it is part of; not checked.
    #[inline]
    pub(super) fn root(&self) -> u64 {
        // Relaxed: this thread's own word.
        self.root.load(Ordering::Relaxed)
    }

    /// What runs here from now on is part of this one.
    #[inline]
    pub(super) fn set_root(&self, root: u64) {
        // Relaxed: as above.
        self.root.store(root, Ordering::Relaxed);
    }

    /// From now on, whether what runs may leave something that is seen to at its end.
    pub(super) fn may_leave(&self, something: bool) {
        // Relaxed: this thread's own word.
        self.may_leave.store(something, Ordering::Relaxed);
    }

    /// Whether a task that runs may leave something, such as its context with other threads.
    #[inline]
    pub(super) fn may_anything_be_left(&self) -> bool {
        // Relaxed: as above.
        self.may_leave.load(Ordering::Relaxed)
    }

    /// Whether a child that is about to run may do so the quick way: it was not told to end, and
    /// no scope waits for what it detaches.
    #[inline(always)]
    pub(super) fn is_as_usual(&self, child: Hint) -> bool {
        self.fold.header.is_as_usual() || self.is_usual_for(child)
    }

    #[cold]
    #[inline(never)]
    fn is_usual_for(&self, child: Hint) -> bool {
        !self.fold.header.has_awaited_kin() && !self.is_cancelled(child)
    }

    /// Whether a task still runs that was spawned, and that this executor has begun.
    pub(super) fn is_run_here(&self, spawned: Hint) -> bool {
        let word = self.fold.slots[spawned.slot.at()].word();
        TaskState::of(word) == Some(TaskState::Running)
            && word.owner == self.me.0
            && word.generation == spawned.generation
    }

    /// The function of the task of `hint` has returned: waits for what it has detached, if a
    /// scope does.
    #[inline(always)]
    pub(super) fn await_kin(&self, hint: Hint) {
        if self.fold.header.has_awaited_kin() {
            await_kin(hint);
        }
    }

    /// The task of `hint` has run, and nothing says so yet: what it has given to others ends.
    #[inline]
    pub(super) fn wind_up(&self, hint: Hint) {
        if self.may_anything_be_left() {
            end_handles(hint);
        }
    }

    pub(super) fn root_of(&self, hint: Hint) -> Option<Hint> {
        let shape = &self.fold.plan.shape;
        if hint.slot.0 < shape.host_slots() {
            return Some(hint);
        }
        let root = self.fold.notes.get(hint.slot.at())?.root();
        (root.slot.0 < shape.host_slots()).then_some(root)
    }

    /// Whether the task of `hint` was told to end, or the task of the host that it is part of.
    #[inline]
    pub(super) fn is_cancelled(&self, hint: Hint) -> bool {
        self.fold.header.has_cancelled() && self.is_told(hint)
    }

    /// Its own note counts as well as its root's: that may have ended, and its slot may have
    /// another task (`scheduler/recover/kin.rs`).
    #[inline(never)]
    fn is_told(&self, hint: Hint) -> bool {
        let is_told = |hint: Hint| {
            let note = self.fold.notes.get(hint.slot.at());
            note.is_some_and(|note| note.is_cancelled(hint.generation))
        };
        is_told(hint) || self.root_of(hint).is_some_and(is_told)
    }

    /// Whether everything stops, and `hint` is a spawned task: all that are waited for have
    /// ended by then, so this one was detached.
    pub(super) fn is_left_behind(&self, hint: Hint) -> bool {
        self.fold.header.is_stopping() && hint.slot.0 >= self.fold.plan.shape.host_slots()
    }

    /// Whether the task of `hint`, which runs, is to end for any reason.
    pub(super) fn is_to_end(&self, hint: Hint) -> bool {
        self.is_cancelled(hint) || self.is_left_behind(hint)
    }
}

#[cold]
#[inline(never)]
fn await_kin(task: Hint) {
    if let Some(nest) = Nest::here() {
        nest.await_kin(task);
    }
}

#[cold]
#[inline(never)]
fn end_handles(task: Hint) {
    if let Some(nest) = Nest::here() {
        nest.end_handles(task);
    }
}
