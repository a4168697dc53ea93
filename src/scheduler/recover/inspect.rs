//! Damage: finding it, and what follows.
//!
//! Whoever reads from shared memory what no correct process writes calls
//! [`Scheduler::condemn`]. Then nothing in the segment is believed any more: every
//! task in flight ends with `Corrupted`, no more are accepted, and the supervisor
//! kills the workers and builds a fresh fold.
//!
//! Some damage is never read by chance: a hint that was overwritten, a word that
//! says *running* of a task that nobody runs. So everything is looked at after each
//! death (a process gone wild seldom lives long), and by a waiter whose wait is
//! long. That one needs two looks with the same finding, because what it reads
//! changes while it reads.

use std::sync::atomic::Ordering as Private;

use crate::error::TaskError;
use crate::prim::atomic::Ordering;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::task::TaskState;
use crate::{background, object};

use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

/// Tasks that looked forgotten.
pub type Suspects = Vec<(u32, Generation)>;

impl Scheduler {
    /// Believes nothing in the segment from here on.
    #[cold]
    pub(in crate::scheduler) fn condemn(&self, state: &mut State, what: &str) {
        if self.is_condemned() {
            return;
        }
        let told = what.to_owned();
        background::log(move || {
            tracing::error!(
                what = told,
                "shared memory is damaged; the fold is built anew"
            );
        });
        // ordering: Release pairs with the Acquire in `is_condemned`.
        self.condemned.store(true, Private::Release);
        state.door.condemn();
        self.clients.set_open(false);
        state.tally.note_damage();
        let error = TaskError::corrupted(what);
        self.fail_in_flight(state, &error);
        object::end_all(&self.pool);
        state.unpark_all();
        self.fold.host_bell.force();
        self.bell.ring();
    }

    /// The same, for whoever does not hold the lock.
    pub fn inspect_now(&self) {
        self.inspect(&mut self.lock());
    }

    /// The program has closed descriptors that the fold's processes need. Nothing is wrong with
    /// the memory; but all that runs ends.
    pub fn lost(&self) {
        let mut state = self.lock();
        if self.is_condemned() {
            return;
        }
        self.reap(&mut state);
        background::log(|| {
            tracing::error!("descriptors of the runtime were closed; the fold is built anew");
        });
        // ordering: Release pairs with the Acquire in `is_condemned`.
        self.condemned.store(true, Private::Release);
        state.door.condemn();
        self.clients.set_open(false);
        self.fail_in_flight(
            &mut state,
            &TaskError::DescriptorsClosed {
                task: Box::default(),
            },
        );
        object::end_all(&self.pool);
        state.unpark_all();
        self.fold.host_bell.force();
    }

    /// Looks at everything that can be judged at any time.
    pub(in crate::scheduler) fn inspect(&self, state: &mut State) {
        if let Some(what) = self.find_damage(state) {
            self.condemn(state, &what);
        }
    }

    fn find_damage(&self, state: &mut State) -> Option<String> {
        let plan = &self.fold.plan;
        let header = &self.fold.header;
        if let Err(what) = header.check(plan.len as u64, plan.hash()) {
            return Some(format!("the segment's header: {what}"));
        }
        if header.is_stopping() && state.door.is_open() {
            return Some("the segment's header: stopping".into());
        }
        if let Some(what) = self.pool.damage() {
            return Some(what.to_owned());
        }
        for (name, ring) in state.queues.rings() {
            if let Err(damaged) = ring.check() {
                return Some(format!("{name}: {damaged}"));
            }
        }
        if let Some(what) = state.completions.damage() {
            return Some(what);
        }
        if let Err(what) = self.clients.backlog() {
            return Some(what);
        }
        let mut slots = state.slots();
        slots.find_map(|slot| self.damaged_slot(state, slot))
    }

    fn damaged_slot(&self, state: &State, slot: u32) -> Option<String> {
        let inflight = &state.slots[slot];
        let word = self.fold.slots[slot as usize].word();
        let is_known = match TaskState::of(word) {
            Some(TaskState::Free) => inflight.ticket().is_none(),
            Some(TaskState::Queued | TaskState::Waiting) => inflight.ticket().is_some(),
            Some(TaskState::Pending) => {
                inflight.ticket().is_some() && slot >= self.fold.plan.shape.slots
            }
            Some(TaskState::Running | TaskState::Finishing | TaskState::Done) => {
                inflight.ticket().is_some()
                    && (word.owner as usize) < self.fold.plan.shape.executors()
            }
            None => false,
        };
        let is_ours = word.generation == inflight.generation();
        (!is_known || !is_ours).then(|| format!("slot {slot} says {word:?}"))
    }

    /// A waiter has waited long: looks at everything, and for tasks that were
    /// forgotten. Those that were so at its last look too are beyond doubt.
    pub(in crate::scheduler) fn look_again(&self, state: &mut State, suspects: &mut Suspects) {
        self.inspect(state);
        if self.is_condemned() {
            return;
        }
        self.place_errands_again(state, None);
        let forgotten = self.forgotten(state);
        if let Some((slot, generation)) = forgotten.iter().find(|s| suspects.contains(s)) {
            let what = format!("the task in slot {slot} {generation:?} is with nobody");
            self.condemn(state, &what);
        }
        *suspects = forgotten;
        // Bells and marks may be spoilt as well; a needless wake costs little.
        let is_queued = |word| TaskState::of(word) == Some(TaskState::Queued);
        let mut slots = state.slots();
        if slots.any(|slot| is_queued(self.fold.slots[slot as usize].word())) {
            self.fold.crowd.searching.clear();
            self.fold.wake_all();
        }
    }

    /// Tasks in flight that no executor is running, and no hint speaks of.
    fn forgotten(&self, state: &mut State) -> Suspects {
        let is_any_ring_full = state
            .queues
            .rings()
            .any(|(_, ring)| !matches!(ring.refresh(), Ok(0)))
            || state.queues.ready().is_some()
            || self.clients.backlog() != Ok(0);
        // Who tells others that its task has run makes them ready first, and then shows hints
        // for them. Looked at before their words.
        let is_any_told = state.slots().any(|slot| {
            let word = self.fold.slots[slot as usize].word();
            TaskState::of(word) == Some(TaskState::Finishing)
        });
        // One that sleeps has nothing; what its record still says of earlier batches may
        // be a copy of a hint that was overwritten where it lay.
        let sleeps = |executor: usize| self.fold.crowd.sleeping.contains(executor as u32);
        let announced: Vec<u64> = (self.fold.executors.iter().enumerate())
            .filter(|(executor, _)| !sleeps(*executor))
            .flat_map(|(_, record)| record.announced())
            .collect();
        let is_with_nobody = |slot: u32, state: &State| {
            let inflight = &state.slots[slot];
            if inflight.ticket().is_none() {
                return false;
            }
            let hint = Hint {
                slot: SlotIndex(slot),
                generation: inflight.generation(),
            };
            let word = self.fold.slots[slot as usize].word();
            match TaskState::of(word) {
                Some(TaskState::Queued) => {
                    let may_be_shown = is_any_ring_full
                        || (is_any_told && self.fold.plan.shape.is_for_pending(hint.slot));
                    !may_be_shown
                        && !announced.contains(&hint.pack())
                        && !state.queues.aside().contains(&hint.pack())
                        && inflight.bound().is_none()
                }
                // Whoever brought the last input was to queue it.
                Some(TaskState::Pending) => state.graph.is_complete(slot),
                Some(TaskState::Running | TaskState::Finishing) => {
                    let record = self.fold.executors.get(word.owner as usize);
                    // Relaxed: ordered by the load of the word (Acquire), which the
                    // executor changed (Release) after it had set this.
                    let is_current = record.is_some_and(|record| {
                        record.doing.current.load(Ordering::Relaxed) == hint.pack()
                    });
                    !is_current && self.fold.slots[slot as usize].word() == word
                }
                _ => false,
            }
        };
        state
            .slots()
            .filter(|slot| is_with_nobody(*slot, state))
            .map(|slot| (slot, state.slots[slot].generation()))
            .collect()
    }
}
