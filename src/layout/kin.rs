//! Who was spawned by whom, as the slots and the notes beside them say; and how all that is
//! below a task is told to end.
//!
//! The host does so when a task of its own ends early, a task when it cancels one of its
//! children: see `src/scheduler/recover/kin.rs`.

use std::collections::{HashMap, HashSet};

use crate::prim::{Hint, SlotIndex};
use crate::sys::barrier;
use crate::task::TaskState;

use super::Fold;

/// How often the slots are looked through: twice, but for what a wild worker writes.
const PASSES_MAX: usize = 64;

/// What a task and whatever it has spawned look like in their slots.
#[derive(Clone, Copy, Debug)]
pub struct Spawned {
    /// Which task.
    pub hint: Hint,
    /// The host's task that it is part of; not checked.
    pub root: Hint,
    /// The task that has spawned it; not checked.
    pub parent: Hint,
    /// Who runs it, if it runs; not checked.
    pub runner: Option<u32>,
}

impl Fold {
    /// All spawned tasks that wait to be run, or run.
    pub fn spawned(&self) -> Vec<Spawned> {
        let shape = &self.plan.shape;
        let mut open = Vec::new();
        for owner in 0..shape.executors() {
            let start = shape.nest_start(owner);
            for slot in start..start + self.nest_used(owner) as u32 {
                let word = self.slots[slot as usize].word();
                let runner = match TaskState::of(word) {
                    Some(TaskState::Queued) => None,
                    Some(TaskState::Running) => Some(word.owner),
                    _ => continue,
                };
                let note = &self.notes[slot as usize];
                open.push(Spawned {
                    hint: Hint {
                        slot: SlotIndex(slot),
                        generation: word.generation,
                    },
                    root: note.root(),
                    parent: note.parent(),
                    runner,
                });
            }
        }
        open
    }

    /// Tells those that `is_meant` names, and all below them, that they are to end; returns
    /// those that run. The caller has told whoever is above them, or it is dead; or they are
    /// the caller's own.
    pub fn tell_spawned(&self, is_meant: impl Fn(&Spawned) -> bool) -> Vec<Spawned> {
        let mut executors = 0..self.plan.shape.executors();
        if executors.all(|executor| self.nest_used(executor) == 0) {
            return Vec::new();
        }
        self.header.cancels();
        let mut told = HashSet::new();
        for _ in 0..PASSES_MAX {
            barrier::heavy();
            let open = self.spawned();
            let mut below: HashMap<u64, Vec<Hint>> = HashMap::new();
            for spawned in &open {
                let parent = spawned.parent.pack();
                below.entry(parent).or_default().push(spawned.hint);
            }
            let known = told.len();
            let seeds = open.iter().filter(|spawned| is_meant(spawned));
            let mut next: Vec<Hint> = seeds.map(|spawned| spawned.hint).collect();
            // Those below one that is known may be new.
            let of_known = below.iter().filter(|(parent, _)| told.contains(*parent));
            next.extend(of_known.flat_map(|(_, children)| children));
            while let Some(hint) = next.pop() {
                if told.insert(hint.pack()) {
                    self.notes[hint.slot.at()].cancel(hint.generation);
                    next.extend(below.get(&hint.pack()).into_iter().flatten());
                }
            }
            if told.len() == known {
                self.wake_told();
                let is_told = |spawned: &Spawned| told.contains(&spawned.hint.pack());
                let is_running = |spawned: &Spawned| spawned.runner.is_some();
                return (open.into_iter())
                    .filter(|spawned| is_running(spawned) && is_told(spawned))
                    .collect();
            }
        }
        Vec::new()
    }
}
