//! Children that are cancelled, looked at, or waited for together.
//!
//! A scope's children are *watched*: the scope is told of the end of each, whoever takes its outcome. All of
//! this is the executor's private memory, like the handles: if the executor dies, so does the scope, and its
//! children are the kin of a task that died (`src/scheduler/recover/kin.rs`).
//!
//! ```text
//!   spawned ──▶ watched ──joined──────────────▶ the scope is told why there is no value
//!                  │ └────handle dropped──────▶ the scope alone waits; nobody wants the value
//!                  └──────scope sees its end──▶ put aside for the handle, or dropped
//! ```

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use crate::error::TaskError;
use crate::prim::Hint;
use crate::task::TaskState;

use super::child::{error_of, told_of};
use super::family::{Family, Watched};
use super::nest::{Aside, Nest, Stands, TRUST};

/// While it is held what is spawned waits for what it detaches.
#[derive(Debug)]
pub(super) struct WithKin<'nest> {
    nest: &'nest Nest,
    before: bool,
}

impl Drop for WithKin<'_> {
    fn drop(&mut self) {
        self.nest.spawns_with_kin.set(self.before);
    }
}

impl Nest {
    /// Whether a child is still to end.
    pub(super) fn is_open(&self, child: Hint) -> bool {
        !matches!(self.stands(child), Stands::Over)
    }

    /// Tells children of this executor, and all below them, that they are to end. What nobody
    /// has begun ends here, unrun.
    pub(super) fn cancel(&self, children: &[Hint]) {
        let open = children.iter().filter(|child| self.is_open(**child));
        let open: HashSet<u64> = open.map(|child| child.pack()).collect();
        if open.is_empty() {
            return;
        }
        let fold = &self.runner.fold;
        fold.tell_spawned(|spawned| open.contains(&spawned.hint.pack()));
        for child in open.into_iter().map(Hint::unpack) {
            if self.state(child) == Some(TaskState::Queued) {
                self.runs_queued(child);
            }
        }
    }

    /// Waits for a child until `deadline`, and runs it here if nobody has begun it, but nothing
    /// else. False: it has not ended.
    pub(super) fn wait_until(&self, child: Hint, deadline: Option<Instant>) -> bool {
        let bell = &self.runner.record().bell;
        let is_over = loop {
            match self.stands(child) {
                Stands::Over => break true,
                // Whoever joins is told if nobody can claim it.
                Stands::Queued(child) if !self.runs_queued(child) => break true,
                Stands::Queued(_) => {}
                Stands::Elsewhere => {
                    let now = Instant::now();
                    if deadline.is_some_and(|deadline| deadline <= now) {
                        break false;
                    }
                    let key = bell.prepare();
                    if matches!(self.stands(child), Stands::Elsewhere) {
                        let trust = now + TRUST;
                        let until = deadline.map_or(trust, |deadline| deadline.min(trust));
                        bell.wait(key, Some(until));
                    }
                }
            }
        };
        bell.cancel();
        is_over
    }

    /// The scope waits for this child from now on.
    pub(super) fn watch(&self, family: &Rc<Family>, child: Hint) {
        let watched = family.watch(child);
        self.watched.borrow_mut().insert(child.pack(), watched);
    }

    /// The handle of a child is gone. True: a scope waits for it.
    pub(super) fn is_left_to_scope(&self, child: Hint) -> bool {
        let mut watched = self.watched.borrow_mut();
        if watched.is_empty() {
            return false;
        }
        let watched = watched.get_mut(&child.pack());
        watched.map(Watched::drop_value).is_some()
    }

    /// The outcome of a child was taken, which had this error.
    pub(super) fn was_joined(&self, child: Hint, error: Option<&TaskError>) {
        if self.watched.borrow().is_empty() {
            return;
        }
        let watched = self.watched.borrow_mut().remove(&child.pack());
        if let Some((watched, error)) = watched.zip(error) {
            watched.fail(error.clone());
            self.stop_if_failed(watched.family());
        }
    }

    fn stop_if_failed(&self, family: &Family) {
        if family.is_to_stop() {
            self.cancel_family(family);
        }
    }

    /// Cancels what is left of a scope, which accepts no more.
    pub(super) fn cancel_family(&self, family: &Family) {
        self.cancel(&family.close());
    }

    /// Looks who of a scope's children has ended.
    pub(super) fn look_after(&self, family: &Family) {
        let over = family.take_over(|child| self.is_open(child));
        over.into_iter().for_each(|child| self.see_end(child));
        self.stop_if_failed(family);
    }

    /// A child has ended: its scope is told, and its slot is free. Whoever has its handle finds
    /// the outcome aside.
    fn see_end(&self, child: Hint) {
        let watched = self.watched.borrow_mut().remove(&child.pack());
        let Some(watched) = watched else {
            return; // it was joined
        };
        let name = self.name(child);
        let known = self.aside.borrow_mut().remove(&child.pack());
        let is_in_slot = |place| self.owns.is_of(place, child.generation);
        let aside = match known {
            Some(aside) => aside,
            None if self.place(child).is_some_and(is_in_slot) => Aside {
                entry: self.place(child).and_then(|at| self.owns.entries[at].get()),
                finished: self.collect(child),
            },
            // It was joined, and had a value.
            None => return,
        };
        let error = match &aside.finished {
            Ok(finished) => error_of(finished),
            Err(error) => Some(error.clone()),
        };
        if let Some(error) = error.map(|error| told_of(name, child, error)) {
            watched.fail(error);
        }
        if watched.is_wanted() {
            self.aside.borrow_mut().insert(child.pack(), aside);
        }
    }

    /// Waits until all children of a scope have ended.
    pub(super) fn finish(&self, family: &Family) {
        loop {
            self.look_after(family);
            let open = family.open();
            if open.is_empty() {
                break;
            }
            if let Some(spoilt) = self.wait_for_any(&open) {
                family.forget(spoilt);
                self.see_end(spoilt);
            }
        }
        if family.awaits_kin.get()
            && let Some(task) = self.runner.current()
        {
            self.wait_for_detached(task);
        }
    }

    /// Waits until one of these has ended; returns one that nobody can claim.
    fn wait_for_any(&self, open: &[Hint]) -> Option<Hint> {
        self.wait_while(|| {
            let mut queued = None;
            // The last one first: those that were spawned first others find first.
            for child in open.iter().rev() {
                match self.stands(*child) {
                    Stands::Over => return Stands::Over,
                    Stands::Queued(child) => queued = queued.or(Some(child)),
                    Stands::Elsewhere => {}
                }
            }
            queued.map_or(Stands::Elsewhere, Stands::Queued)
        })
    }

    /// From now on, while this is held, what is spawned here waits for what it detaches.
    pub(super) fn spawn_with_kin(&self) -> WithKin<'_> {
        self.runner.fold.header.awaits_kin();
        WithKin {
            nest: self,
            before: self.spawns_with_kin.replace(true),
        }
    }

    /// The function of this task has returned, here. If a scope waits for what it has detached,
    /// it is to end only after that.
    #[cold]
    #[inline(never)]
    pub(super) fn await_kin(&self, task: Hint) {
        if !self.forsaken.borrow().is_empty() && self.is_kin_awaited(task) {
            self.wait_for_detached(task);
        }
    }

    /// Whether this task, or one above it, is one that a scope waits for with its kin. As long as
    /// that is so those above it have not ended.
    fn is_kin_awaited(&self, mut task: Hint) -> bool {
        let fold = &self.runner.fold;
        // No longer than there are slots, whatever a wild worker writes.
        for _ in 0..fold.slots.len() {
            let (Some(slot), Some(note)) = (
                fold.slots.get(task.slot.at()),
                fold.notes.get(task.slot.at()),
            ) else {
                return false;
            };
            if note.awaits_kin(task.generation) {
                return true;
            }
            let is_over = slot.word().generation != task.generation;
            if is_over || task.slot.0 < fold.plan.shape.host_slots() {
                return false;
            }
            task = note.parent();
        }
        false
    }

    /// Waits for the children of a task that it has dropped the handles of.
    fn wait_for_detached(&self, task: Hint) {
        let is_its = |child: &Hint| {
            let place = self.place(*child);
            place.is_some_and(|place| self.notes[place].parent() == task)
        };
        let mut spoilt = HashSet::new();
        loop {
            let forsaken = self.forsaken.borrow();
            let theirs = forsaken.iter().filter(|child| is_its(child));
            let open: Vec<Hint> = theirs
                .filter(|child| self.is_open(**child) && !spoilt.contains(&child.pack()))
                .copied()
                .collect();
            drop(forsaken);
            if open.is_empty() {
                return;
            }
            spoilt.extend(self.wait_for_any(&open).map(Hint::pack));
        }
    }
}
