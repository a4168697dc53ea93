//! After a worker's death: every task moved on, every hint issued again.
//!
//! Two steps, because the kernel tells *that* a process ended some time before the
//! zygote tells *how*. [`Scheduler::rescue`] needs only the first: it repairs
//! everything, and what may be tried again is tried again at once. Only tasks that
//! end by this death wait for the second, [`Scheduler::told`]: until all their causes
//! are known.
//!
//! Order matters: first what the dead had finished is collected (its results are
//! adopted), and what it has left to tasks that it spawned is inherited, if these are
//! to be finished; then the pool frees what only the dead owned, results of unfinished
//! runs included; then tasks it was running are moved on; then the hints it had
//! announced are issued again (before the words of what it was running change, their kin
//! is told: [`kin`](super::kin)); last, its record is made ready for its successor.
//! All of it may be done twice.

use std::time::Instant;

use crate::error::{Attempt, Death, TaskError, TimeLimit};
use crate::object;
use crate::pool::{Handing, Passage};
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, ProcessId, SlotIndex};
use crate::task::{Orphans, TaskState};

use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::recover::losses::Dying;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::terms::retry::{End, Tried};
use crate::scheduler::time::timers::{Due, Timer};

impl Scheduler {
    /// Moves on everything of worker `worker`, whose process `pid` has ended, and
    /// whose successor has not begun. Returns how many tasks it was running.
    pub fn rescue(&self, worker: u32, pid: i32) -> usize {
        let threads = self.fold.plan.shape.threads;
        let executors = worker * threads..(worker + 1) * threads;
        let is_dead = |owner: u32| executors.contains(&owner);
        let mut state = self.lock();
        self.register_all(&mut state);
        let ended = state.ended();
        self.reap(&mut state);
        self.finish_for_the_dead(&state, is_dead);
        self.collect_all(&mut state);

        self.adopt(&mut state, worker);
        let lives_on = |slot| self.will_be_collected(&state, slot, is_dead);
        let dead = ProcessId::of_worker(worker);
        let mut named = object::recover(&self.pool, dead);
        let ends = state.losses.adopted().iter().flat_map(|a| a.ends.iter());
        named.extend(ends.flat_map(Handing::passages));
        let is_in_message = |passage: Passage| named.contains(&passage);
        self.pool.recover(dead, lives_on, is_in_message);
        object::settle(&self.pool, dead);

        if self.orphans == Orphans::Cancel {
            self.end_kin_of_dead(&mut state, is_dead);
        }
        let mut running = 0;
        for index in state.slots() {
            if state.slots[index].ticket().is_none() {
                continue;
            }
            let word = self.fold.slots[index as usize].word();
            if TaskState::of(word) == Some(TaskState::Running) && is_dead(word.owner) {
                running += 1;
                let record = &self.fold.executors[word.owner as usize];
                // Relaxed: here and below, its writer is dead.
                let doing = [&record.doing.current, &record.doing.top];
                let doing = doing.map(|hint| hint.load(Ordering::Relaxed));
                let last_words = record.last_words.read_of(&doing);
                let is_innocent = self.was_about_another(word.owner);
                self.attempt_ended(&mut state, index, pid, last_words, is_innocent);
            }
        }

        self.issue_again(&mut state);
        self.place_errands_again(&mut state, Some(worker));
        self.rescue_spawned(&mut state, worker, pid);
        for executor in executors.clone() {
            let record = &self.fold.executors[executor as usize];
            for hint in record.announced_ever() {
                if self.is_waiting(&state, Hint::unpack(hint)) {
                    self.place(&mut state, hint);
                }
            }
            record.reset();
            state.choice.note_offline(executor as usize);
        }
        self.fold.crowd.forget(executors);
        self.publish(&mut state);
        state.losses.sweep(worker);
        self.inspect(&mut state);
        let has_something_ended = state.ended() != ended;
        let sleeps_with = state.waiting.sleeps_with();
        let has_been_rung = sleeps_with.is_some_and(|key| self.fold.host_bell.has_rung(key));
        drop(state);
        // A wake that died with its sender is made up for. Whoever waits in the host is
        // not woken for nothing: it would need a CPU just when the dead one's work is
        // taken over. Where nobody has rung since it lay down, no waker has died.
        self.fold.wake_executors();
        let bell = &self.fold.host_bell;
        if has_something_ended || has_been_rung {
            bell.force();
        }
        running
    }

    /// Whether a task ends only when it is known how process `pid` has ended.
    pub fn awaits(&self, pid: i32) -> bool {
        let state = self.lock();
        let mut dying = state.losses.dying().iter();
        dying.any(|dying| dying.pid == pid && dying.is_last)
    }

    /// The process `pid` of a worker, [rescued](Scheduler::rescue) before, ended by
    /// `death`: ends the tasks that had waited to hear it.
    pub fn told(&self, pid: i32, death: Death) {
        let mut state = self.lock();
        let told = state.losses.take_dying_of(pid);
        for dying in told {
            let Some(inflight) = state.slots.get_mut(dying.slot as usize) else {
                self.end_spawned(&dying, death);
                continue;
            };
            let is_live = inflight.is_of(dying.generation);
            let Some(extra) = inflight.extra_mut().filter(|_| is_live) else {
                continue; // tried again meanwhile, and ended
            };
            if let Some(tried) = extra.tried.get_mut(dying.attempt) {
                tried.set_death(death);
            }
            if !dying.is_last {
                continue;
            }
            // It ends when all its causes are known, in whatever order they come.
            if !state.losses.leave_to_another(&dying) {
                self.end_by_death(&mut state, dying.slot);
            }
        }
        drop(state);
        // Whoever sleeps for all waiters is not told by `settle`.
        self.fold.host_bell.force();
    }

    /// Worker `worker` is about to be started.
    pub fn expect(&self, worker: u32) {
        self.lock().losses.expect(worker);
    }

    /// Whether the result that `slot` carries belongs to a task that the host will
    /// still collect: done, or being run by a living executor.
    pub(in crate::scheduler) fn will_be_collected(
        &self,
        state: &State,
        slot: SlotIndex,
        is_dead: impl Fn(u32) -> bool,
    ) -> bool {
        let Some(cell) = self.fold.slots.get(slot.at()) else {
            return false;
        };
        let word = cell.word();
        let Some(inflight) = state.slots.get(slot.at()) else {
            // Of an executor: collected by it, or by its successor.
            return match TaskState::of(word) {
                Some(TaskState::Done | TaskState::Finishing) => true,
                Some(TaskState::Running) => !is_dead(word.owner),
                _ => false,
            };
        };
        inflight.ticket().is_some()
            && word.generation == inflight.generation()
            && match TaskState::of(word) {
                Some(TaskState::Done | TaskState::Finishing) => true,
                Some(TaskState::Running) => !is_dead(word.owner),
                _ => false,
            }
    }

    /// Whether a hint speaks of a task that is still to be claimed.
    fn is_waiting(&self, state: &State, hint: Hint) -> bool {
        let in_flight = state
            .slots
            .get(hint.slot.at())
            .is_some_and(|i| i.ticket().is_some() && i.generation() == hint.generation);
        in_flight && {
            let word = self.fold.slots[hint.slot.at()].word();
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == hint.generation
        }
    }

    /// The worker that ran the task in slot `index` is gone.
    fn attempt_ended(
        &self,
        state: &mut State,
        index: u32,
        pid: i32,
        last_words: Option<String>,
        is_innocent: bool,
    ) {
        let spent = self.spent(state, index);
        Self::attempt_is_over(state, index);
        let inflight = &mut state.slots[index];
        let generation = inflight.generation();
        let extra = inflight.extra_or_default();
        extra.has_kin = true;
        if extra.is_cancelled {
            self.end_early(state, index, TaskError::cancelled());
            return;
        }
        if let Some(deadline) = extra.deadline.as_ref().filter(|d| d.has_come) {
            let error = TaskError::late(TimeLimit::Hard, deadline.limit, true);
            self.end_early(state, index, error);
            return;
        }
        if extra.is_over_limit() {
            let limit = extra.timing.and_then(|timing| timing.limit);
            let error = TaskError::late(TimeLimit::Run, limit.unwrap_or_default(), true);
            self.conclude(state, index, End::Late, Err(Box::new(error)));
            return;
        }
        if is_innocent && extra.again.is_some() {
            self.try_again(state, index);
            return;
        }
        let attempt = Attempt::new(Death::Unknown, last_words);
        extra.tried.push(Tried::died(attempt, spent));
        extra.attempt_is_told();
        let deaths = extra.deaths().count();
        let next = extra
            .again
            .as_ref()
            .filter(|again| deaths < again.limit as usize)
            .map(|again| again.backoff.delay(deaths));
        let attempt = extra.tried.len() - 1;
        state.losses.add_dying(Dying {
            pid,
            slot: index,
            generation,
            attempt,
            is_last: next.is_none(),
        });
        match next {
            Some(delay) if delay.is_zero() => self.try_again(state, index),
            Some(delay) => {
                self.fold.slots[index as usize].hold(generation);
                let at = Instant::now() + delay;
                self.add_timer(state, at, index, Due::Attempt);
            }
            None => self.fold.slots[index as usize].hold(generation),
        }
    }

    /// Queues the task in slot `index` once more, with fresh arguments.
    pub(in crate::scheduler) fn try_again(&self, state: &mut State, index: u32) {
        let inflight = &state.slots[index];
        let generation = inflight.generation();
        let again = inflight.extra().and_then(|e| e.again.as_ref());
        let Some(again) = again else {
            return;
        };
        let slot = &self.fold.slots[index as usize];
        slot.write(again.head, &again.words);
        self.expect_attempt(state, index);
        slot.queue(generation);
        state.tally.note_repeated();
        let hint = Hint {
            slot: SlotIndex(index),
            generation,
        };
        self.place(state, hint.pack());
    }

    /// The task in slot `index` has no attempt left, unless the user says that it has.
    fn end_by_death(&self, state: &mut State, index: u32) {
        let inflight = &mut state.slots[index];
        let Some(extra) = inflight.extra_mut() else {
            return;
        };
        let mut attempts: Vec<Attempt> = extra.deaths().cloned().collect();
        let task = Box::default();
        let error = match (&extra.again, attempts.pop()) {
            (again, Some(Attempt { death, last_words }))
                if again.as_ref().is_none_or(|again| again.limit == 1) =>
            {
                TaskError::WorkerDied {
                    task,
                    death,
                    last_words,
                }
            }
            (_, last) => {
                attempts.extend(last);
                TaskError::Poison { task, attempts }
            }
        };
        // A breaker for functions that keep killing workers would count here.
        self.conclude(state, index, End::Died, Err(Box::new(error)));
    }

    pub(in crate::scheduler) fn add_timer(
        &self,
        state: &mut State,
        at: Instant,
        slot: u32,
        due: Due,
    ) {
        let generation = state.slots[slot].generation();
        let timer = Timer {
            at,
            slot,
            generation,
            due,
        };
        let State { timers, slots, .. } = state;
        timers.prune(slots.in_flight(), |timer| {
            slots[timer.slot].is_of(timer.generation)
        });
        if timers.add(timer) {
            self.bell.ring();
        }
    }

    /// Ends everything in flight with `error`.
    pub(in crate::scheduler) fn fail_in_flight(
        &self,
        state: &mut State,
        error: &TaskError,
    ) -> usize {
        state.door.fail(error.clone());
        self.register_all(state);
        // First those that wait for others: they end for the same reason.
        let mut failed = self.fail_pending(state, error);
        failed += self.fail_shadows(state, error);
        for index in state.slots() {
            if let Some(ticket) = state.slots[index].ticket() {
                failed += 1;
                state.tally.note_failed();
                // Whoever looks at the word is not to believe one who writes there still.
                self.locations.set(ticket, Location::Nowhere);
                // Nobody may claim it any more.
                let generation = state.slots[index].generation();
                self.fold.slots[index as usize].cancel(generation);
                self.settle(state, index, Err(Box::new(error.clone())));
            }
        }
        state.queues.take_aside();
        state.nodes.forget_waiting();
        self.disown(state);
        state.losses.clear();
        state.timers.clear();
        failed
    }
}
