//! The kin of what ends early: whoever was spawned by it, or below it, hears so.
//!
//! ```text
//!   root  ──spawns──▶ child ──spawns──▶ …        each note names root and parent
//!    │ ends early       │
//!    ▼                  ▼
//!   host: tells all ──▶ its own note: cancel ──▶ not begun: whoever claims it ends it unrun
//!          │                                     runs: it sees so when it likes
//!          └─ what runs when the root is over: a stray ──grace──▶ its worker is killed
//! ```
//!
//! What is told lies beside the child itself, and so stays true whatever becomes of the slots
//! of its root and its parent. A task *ends early* when it is cancelled, when its hard
//! deadline has passed, and (unless orphans are to be finished) when its worker dies. One that
//! ends by itself does not: what it has detached runs on.
//!
//! Nobody is missed. Who spawns queues and offers the child, passes the light barrier, and
//! looks whether its parent was told. Here the seeds are told, the heavy barrier is passed, and
//! then it is looked who is queued or runs: so either the child is seen here, or the parent
//! sees that it was told, and passes it on. The same for each that is told here, until nobody
//! new is found. And whoever claims looks afterwards whether it was told: a child that is still
//! queued after the barrier never runs. What somebody has begun before its parent passed it on
//! is found when the time of the parent is over ([`Scheduler::strays_due`]), if not before.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::prim::{Generation, Hint, Overdue, SlotIndex, Word};
use crate::sys::barrier;
use crate::task::TaskState;

use super::Scheduler;
use super::state::State;

/// How long a task that was told may go on when nobody waits for it any more, if
/// [`Builder::kill_grace`](crate::Builder::kill_grace) is not longer: it may look seldom.
pub const STRAY_GRACE: Duration = Duration::from_secs(1);

/// How often the slots are looked through: twice, but for what a wild worker writes.
const PASSES_MAX: usize = 64;

/// A spawned task that runs although its root is over, or its parent is.
#[derive(Clone, Copy, Debug)]
pub struct Stray {
    hint: Hint,
    /// When its worker is killed, if it still runs.
    pub(super) at: Instant,
}

/// What a task and whatever it has spawned look like in their slots.
#[derive(Clone, Copy)]
struct Spawned {
    hint: Hint,
    root: Hint,
    parent: Hint,
    /// Who runs it, if it runs.
    runner: Option<u32>,
}

impl Scheduler {
    /// The host's task `root` ends early, or is to: tells all that is part of it.
    pub(super) fn tell_kin(&self, root: Hint) {
        self.tell_spawned(|spawned| spawned.root == root);
    }

    /// The host's task `root` has ended early: tells all that is part of it, and gives what
    /// of it runs a grace.
    #[cold]
    pub(super) fn end_kin(&self, state: &mut State, root: Hint) {
        let running = self.tell_spawned(|spawned| spawned.root == root);
        self.go_astray(state, running, |_| false);
    }

    /// Tells every spawned task.
    pub(super) fn tell_all_spawned(&self) {
        self.tell_spawned(|_| true);
    }

    /// The worker dies whose executors `is_dead` says: the kin of what they run. Before any of
    /// their words is changed; may be done twice.
    pub(super) fn end_kin_of_dead(&self, state: &mut State, is_dead: impl Fn(u32) -> bool) {
        let mut lost = HashSet::new();
        for slot in state.slots() {
            let inflight = &state.inflight[slot as usize];
            let word = self.fold.slots[slot as usize].word();
            if inflight.ticket.is_some() && is_run_by(word, &is_dead) {
                let (slot, generation) = (SlotIndex(slot), inflight.generation);
                lost.insert(Hint { slot, generation }.pack());
            }
        }
        lost.extend(self.run_by(&is_dead));
        if lost.is_empty() {
            return;
        }
        let is_lost = |hint: Hint| lost.contains(&hint.pack());
        let running = self.tell_spawned(|spawned| is_lost(spawned.root) || is_lost(spawned.parent));
        self.go_astray(state, running, is_dead);
    }

    /// The spawned tasks that those executors run.
    fn run_by(&self, is_dead: impl Fn(u32) -> bool) -> Vec<u64> {
        let open = self.open().into_iter();
        let theirs = open.filter(|spawned| spawned.runner.is_some_and(&is_dead));
        theirs.map(|spawned| spawned.hint.pack()).collect()
    }

    /// All spawned tasks that wait to be run, or run.
    fn open(&self) -> Vec<Spawned> {
        let shape = &self.fold.plan.shape;
        let mut open = Vec::new();
        for owner in 0..shape.executors() {
            let start = shape.nest_start(owner);
            for slot in start..start + self.fold.nest_used(owner) as u32 {
                let word = self.fold.slots[slot as usize].word();
                let runner = match TaskState::of(word) {
                    Some(TaskState::Queued) => None,
                    Some(TaskState::Running) => Some(word.owner),
                    _ => continue,
                };
                let note = &self.fold.notes[slot as usize];
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
    /// those that run. The caller has told whoever is above them, or it is dead.
    fn tell_spawned(&self, is_meant: impl Fn(&Spawned) -> bool) -> Vec<Spawned> {
        let mut executors = 0..self.fold.plan.shape.executors();
        if executors.all(|executor| self.fold.nest_used(executor) == 0) {
            return Vec::new();
        }
        self.fold.header.cancels();
        let mut told = HashSet::new();
        for _ in 0..PASSES_MAX {
            barrier::heavy();
            let open = self.open();
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
                    self.fold.notes[hint.slot.at()].cancel(hint.generation);
                    next.extend(below.get(&hint.pack()).into_iter().flatten());
                }
            }
            if told.len() == known {
                let is_told = |spawned: &Spawned| told.contains(&spawned.hint.pack());
                let is_running = |spawned: &Spawned| spawned.runner.is_some();
                return (open.into_iter())
                    .filter(|spawned| is_running(spawned) && is_told(spawned))
                    .collect();
            }
        }
        Vec::new()
    }

    /// Gives what runs and was told a grace; but for what the dead run.
    fn go_astray(&self, state: &mut State, running: Vec<Spawned>, is_dead: impl Fn(u32) -> bool) {
        let at = Instant::now() + self.stray_grace;
        let was_next = state.strays.iter().map(|stray| stray.at).min();
        for spawned in running {
            let is_known = |stray: &Stray| stray.hint == spawned.hint;
            if !spawned.runner.is_some_and(&is_dead) && !state.strays.iter().any(is_known) {
                let hint = spawned.hint;
                state.strays.push(Stray { hint, at });
            }
        }
        if was_next.is_none() && !state.strays.is_empty() {
            self.bell.ring();
        }
    }

    /// The strays whose time is over, and that run still. What they have spawned since they
    /// were told is given a grace too: somebody may have begun it before it was told.
    pub(super) fn strays_due(&self, state: &mut State, now: Instant) -> Vec<Overdue> {
        let (due, later) = std::mem::take(&mut state.strays)
            .into_iter()
            .partition::<Vec<_>, _>(|stray| stray.at <= now);
        state.strays = later;
        if due.is_empty() {
            return Vec::new();
        }
        let over: HashSet<u64> = due.iter().map(|stray| stray.hint.pack()).collect();
        let mut below = self.tell_spawned(|spawned| over.contains(&spawned.parent.pack()));
        below.retain(|spawned| !over.contains(&spawned.hint.pack()));
        self.go_astray(state, below, |_| false);
        let overdue = due.into_iter().filter_map(|Stray { hint, .. }| {
            let worker = self.runner(hint.slot.0, hint.generation)?;
            Some(Overdue {
                worker,
                task: hint,
                was_asked: true,
            })
        });
        overdue.collect()
    }

    /// Whether a spawned task was told to end.
    pub(super) fn was_told(&self, slot: u32, generation: Generation) -> bool {
        self.fold.notes[slot as usize].is_cancelled(generation)
    }
}

fn is_run_by(word: Word, is_dead: impl Fn(u32) -> bool) -> bool {
    TaskState::of(word) == Some(TaskState::Running) && is_dead(word.owner)
}
