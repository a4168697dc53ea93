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
//! is found when the time of the parent is over ([`Scheduler::strays_due`]), if not before. The
//! steps themselves are in `src/layout/kin.rs`: a task takes them too, to cancel a child.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::layout::Spawned;
use crate::prim::{Generation, Hint, Overdue, SlotIndex, Word};
use crate::task::TaskState;

use crate::scheduler::recover::losses::Stray;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

/// How long a task that was told may go on when nobody waits for it any more, if
/// [`Builder::kill_grace`](crate::Builder::kill_grace) is not longer: it may look seldom.
pub const STRAY_GRACE: Duration = Duration::from_secs(1);

impl Scheduler {
    /// The host's task `root` ends early, or is to: tells all that is part of it.
    pub(in crate::scheduler) fn tell_kin(&self, root: Hint) {
        self.fold.tell_spawned(|spawned| spawned.root == root);
    }

    /// The host's task `root` has ended early: tells all that is part of it, and gives what
    /// of it runs a grace.
    #[cold]
    pub(in crate::scheduler) fn end_kin(&self, state: &mut State, root: Hint) {
        let running = self.fold.tell_spawned(|spawned| spawned.root == root);
        self.go_astray(state, running, |_| false);
    }

    /// Tells every spawned task.
    pub(in crate::scheduler) fn tell_all_spawned(&self) {
        self.fold.tell_spawned(|_| true);
    }

    /// The worker dies whose executors `is_dead` says: the kin of what they run. Before any of
    /// their words is changed; may be done twice.
    pub(in crate::scheduler) fn end_kin_of_dead(
        &self,
        state: &mut State,
        is_dead: impl Fn(u32) -> bool,
    ) {
        let mut lost = HashSet::new();
        for slot in state.slots() {
            let inflight = &state.slots[slot];
            let word = self.fold.slots[slot as usize].word();
            if inflight.ticket().is_some() && is_run_by(word, &is_dead) {
                let (slot, generation) = (SlotIndex(slot), inflight.generation());
                lost.insert(Hint { slot, generation }.pack());
            }
        }
        lost.extend(self.run_by(&is_dead));
        if lost.is_empty() {
            return;
        }
        let is_lost = |hint: Hint| lost.contains(&hint.pack());
        let running = self
            .fold
            .tell_spawned(|spawned| is_lost(spawned.root) || is_lost(spawned.parent));
        self.go_astray(state, running, is_dead);
    }

    /// The spawned tasks that those executors run.
    fn run_by(&self, is_dead: impl Fn(u32) -> bool) -> Vec<u64> {
        let open = self.fold.spawned().into_iter();
        let theirs = open.filter(|spawned| spawned.runner.is_some_and(&is_dead));
        theirs.map(|spawned| spawned.hint.pack()).collect()
    }

    /// Gives what runs and was told a grace; but for what the dead run.
    fn go_astray(&self, state: &mut State, running: Vec<Spawned>, is_dead: impl Fn(u32) -> bool) {
        let at = Instant::now() + self.stray_grace;
        let was_next = state.losses.next_stray();
        for spawned in running {
            if !spawned.runner.is_some_and(&is_dead) {
                state.losses.add_stray(spawned.hint, at);
            }
        }
        if was_next.is_none() && state.losses.next_stray().is_some() {
            self.bell.ring();
        }
    }

    /// The strays whose time is over, and that run still. What they have spawned since they
    /// were told is given a grace too: somebody may have begun it before it was told.
    pub(in crate::scheduler) fn strays_due(&self, state: &mut State, now: Instant) -> Vec<Overdue> {
        let due = state.losses.take_strays_due(now);
        if due.is_empty() {
            return Vec::new();
        }
        let over: HashSet<u64> = due.iter().map(|stray| stray.hint.pack()).collect();
        let mut below = self
            .fold
            .tell_spawned(|spawned| over.contains(&spawned.parent.pack()));
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
    pub(in crate::scheduler) fn was_told(&self, slot: u32, generation: Generation) -> bool {
        self.fold.notes[slot as usize].is_cancelled(generation)
    }
}

fn is_run_by(word: Word, is_dead: impl Fn(u32) -> bool) -> bool {
    TaskState::of(word) == Some(TaskState::Running) && is_dead(word.owner)
}
