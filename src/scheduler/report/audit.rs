//! Counting what there is, and finding what nobody alive owns.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::pool::Living;
use crate::prim::{ProcessId, SlotIndex, Word};
use crate::task::TaskState;

use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

/// Slots and blocks by state and by owner, and what nobody alive owns; made by
/// [`Runtime::audit`](crate::Runtime::audit).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let loan = rt.alloc(1000)?;
/// let audit: pinfold::Audit = rt.audit();
/// assert_eq!(audit.blocks_loaned, 1);
/// assert_eq!(audit.by_process[0].loaned, 1); // the host's
/// assert_eq!(audit.orphans, [""; 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// Slots without a task.
    pub slots_free: u64,
    /// Slots whose task was not begun.
    pub slots_queued: u64,
    /// Slots whose task is being run.
    pub slots_running: u64,
    /// Slots whose task is done and not yet collected.
    pub slots_done: u64,
    /// Slots whose task waits for others, for its next attempt, or for the cause of its end.
    pub slots_waiting: u64,
    /// Blocks that nobody uses, in slabs.
    pub blocks_free: u64,
    /// Blocks that one process may write.
    pub blocks_loaned: u64,
    /// Blocks that are read-only, of one holder or several.
    pub blocks_shared: u64,
    /// Blocks in results that were not yet collected, and in messages that were not taken.
    pub blocks_carried: u64,
    /// Blocks that are channels.
    pub blocks_lanes: u64,
    /// Blocks, of those shared and those carried, that messages alone keep.
    pub blocks_passing: u64,
    /// Per process, the host first, then each worker: what it owns.
    pub by_process: Vec<Owned>,
    /// What nobody alive owns, one text each: a leak. Empty at any time, or a bug.
    pub orphans: Vec<String>,
}

/// What a process owns; part of an [`Audit`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let shared = rt.alloc(1000)?.publish();
/// let host: pinfold::Owned = rt.audit().by_process[0];
/// assert_eq!((host.running, host.loaned, host.shared), (0, 0, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Owned {
    /// Tasks it runs.
    pub running: u64,
    /// Blocks it may write.
    pub loaned: u64,
    /// Read-only blocks it holds, alone or with others.
    pub shared: u64,
}

/// So often is looked until a suspicion is believed: what changes hands meanwhile
/// belongs, for a moment, to nobody that can be seen; and for longer, if whoever hands it on must wait for a CPU.
const LOOKS: u32 = 9;
/// Before the second look; twice as long before each other one, half a second in all.
const BETWEEN: Duration = Duration::from_millis(2);

struct Alive<'a>(&'a Scheduler, &'a State);

impl Living for Alive<'_> {
    fn is_alive(&self, process: ProcessId) -> bool {
        let Alive(_, state) = self;
        match process.0.checked_sub(1) {
            None => true,
            Some(worker) => state.losses.is_there(worker),
        }
    }

    fn is_busy(&self, process: ProcessId) -> bool {
        let Alive(scheduler, state) = self;
        let Some(worker) = process.0.checked_sub(1) else {
            return true; // other threads of the host
        };
        let shape = &scheduler.fold.plan.shape;
        let mut slots = state.slots().chain(scheduler.clients.slots_here());
        slots.any(|slot| {
            let word = scheduler.fold.slots[slot as usize].word();
            matches!(
                TaskState::of(word),
                Some(TaskState::Running | TaskState::Finishing)
            ) && shape.worker_of(word.owner as usize) as u32 == worker
        })
    }

    fn will_be_collected(&self, slot: SlotIndex) -> bool {
        let Alive(scheduler, state) = self;
        let shape = &scheduler.fold.plan.shape;
        scheduler.will_be_collected(state, slot, |executor| {
            let worker = shape.worker_of(executor as usize) as u32;
            !self.is_alive(ProcessId::of_worker(worker))
        })
    }
}

impl Scheduler {
    /// Counts everything. Looks several times if something seems to be nobody's.
    pub fn audit(&self) -> Audit {
        if self.is_elsewhere() {
            return Audit::default();
        }
        let mut audit = self.look_at_all();
        let mut orphans: BTreeSet<String> = audit.orphans.iter().cloned().collect();
        for look in 1..LOOKS {
            if orphans.is_empty() {
                break;
            }
            std::thread::sleep(BETWEEN * (1 << (look - 1)));
            audit = self.look_at_all();
            orphans.retain(|orphan| audit.orphans.contains(orphan));
        }
        audit.orphans = orphans.into_iter().collect();
        audit
    }

    fn look_at_all(&self) -> Audit {
        let mut state = self.lock();
        self.reap(&mut state);
        let shape = &self.fold.plan.shape;
        let processes = shape.workers as usize + 1;
        let mut audit = Audit {
            by_process: vec![Owned::default(); processes],
            ..Audit::default()
        };
        // Of those that were never used not even the memory is looked at.
        audit.slots_free += u64::from(shape.slots - state.slots.used());
        for slot in state.slots() {
            self.count_slot(&state, slot, &mut audit);
        }
        for slot in self.clients.slots_here() {
            let word = self.fold.slots[slot as usize].word();
            count_state(TaskState::of(word), &mut audit);
            self.count_runner(&state, word, &mut audit);
        }
        for owner in 0..shape.executors() {
            let start = shape.nest_start(owner);
            for slot in start..start + self.fold.nest_used(owner) as u32 {
                self.count_spawned(&state, slot, &mut audit);
            }
        }
        let in_flight = state.slots.in_flight() as i64 - state.graph.in_flight() as i64;
        let in_flight = in_flight - state.slots.registered() as i64;
        let in_flight = in_flight + (state.slots.kept() + state.slots.withheld()) as i64;
        let lost = state.slots.capacity() as i64 - state.slots.free() as i64 - in_flight;
        let lost = lost + state.graph.lost();
        if lost != 0 {
            let what = format!("{lost} slots are neither free nor in flight");
            audit.orphans.push(what);
        }
        let census = self.pool.census(&Alive(self, &state), processes);
        audit.blocks_free = census.free as u64;
        audit.blocks_loaned = census.loaned as u64;
        audit.blocks_shared = census.shared as u64;
        audit.blocks_carried = census.carried as u64;
        audit.blocks_passing = census.passing as u64;
        audit.blocks_lanes = census.lanes as u64;
        for (owned, (loaned, held)) in audit
            .by_process
            .iter_mut()
            .zip(census.loaned_by.iter().zip(&census.held_by))
        {
            owned.loaned = *loaned as u64;
            owned.shared = *held as u64;
        }
        audit.orphans.extend(census.orphans);
        audit
    }

    /// A slot of an executor, for tasks that its tasks spawn.
    fn count_spawned(&self, state: &State, slot: u32, audit: &mut Audit) {
        let word = self.fold.slots[slot as usize].word();
        let of = TaskState::of(word);
        count_state(of, audit);
        let is_alive = |executor: usize| {
            let worker = self.fold.plan.shape.worker_of(executor) as u32;
            Alive(self, state).is_alive(ProcessId::of_worker(worker))
        };
        let why = match of {
            None => "in a state that does not exist",
            Some(TaskState::Running) if !is_alive(word.owner as usize) => {
                "run by a worker that ended"
            }
            Some(TaskState::Waiting)
                if !state.losses.dying().iter().any(|d| d.place().0 == slot) =>
            {
                "waits for nothing"
            }
            _ => return,
        };
        let orphan = format!("slot {slot} {word:?}, spawned by a task: {why}");
        audit.orphans.push(orphan);
    }

    fn count_slot(&self, state: &State, slot: u32, audit: &mut Audit) {
        let inflight = &state.slots[slot];
        let word = self.fold.slots[slot as usize].word();
        let of = TaskState::of(word);
        count_state(of, audit);
        let mut orphan = |why: &str| {
            audit.orphans.push(format!("slot {slot} {word:?}: {why}"));
        };
        let is_free = of == Some(TaskState::Free);
        match inflight.ticket() {
            None if !is_free => orphan("of no task"),
            Some(_) if is_free => orphan("free, but its task has not ended"),
            _ if word.generation != inflight.generation() => orphan("in another generation"),
            _ => {}
        }
        if !self.count_runner(state, word, audit) {
            let orphan = format!("slot {slot} {word:?}: run by a worker that ended");
            audit.orphans.push(orphan);
        }
    }

    /// Counts who runs the task of a slot whose word is this; false if that has ended.
    fn count_runner(&self, state: &State, word: Word, audit: &mut Audit) -> bool {
        let of = TaskState::of(word);
        if !matches!(of, Some(TaskState::Running | TaskState::Finishing)) {
            return true;
        }
        let worker = self.fold.plan.shape.worker_of(word.owner as usize) as u32;
        let is_alive = Alive(self, state).is_alive(ProcessId::of_worker(worker));
        if is_alive && let Some(owned) = audit.by_process.get_mut(worker as usize + 1) {
            owned.running += 1;
        }
        is_alive
    }
}

fn count_state(of: Option<TaskState>, audit: &mut Audit) {
    match of {
        Some(TaskState::Free) | None => audit.slots_free += 1,
        Some(TaskState::Queued) => audit.slots_queued += 1,
        Some(TaskState::Running | TaskState::Finishing) => audit.slots_running += 1,
        Some(TaskState::Done) => audit.slots_done += 1,
        Some(TaskState::Waiting | TaskState::Pending) => audit.slots_waiting += 1,
    }
}
