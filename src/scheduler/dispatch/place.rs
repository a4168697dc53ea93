//! Where a hint goes, and who is woken for it.

use crate::layout::ExecutorRecord;
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Hint};
use crate::sys::{affinity, barrier};
use crate::task::TaskState;

use crate::scheduler::dispatch::balance::{Load, WORTH_WAKING_NS};
use crate::scheduler::dispatch::choice::Choice;
use crate::scheduler::dispatch::queues::Queues;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// Chooses an inbox for a hint, or the lane of its task's priority.
    #[inline]
    pub(in crate::scheduler) fn place(&self, state: &mut State, hint: u64) {
        // Tasks that tasks have spawned have no priority.
        let inflight = state.slots.get(Hint::unpack(hint).slot.at());
        let extra = inflight.and_then(|inflight| inflight.extra());
        if let Some(worker) = extra.and_then(|extra| extra.bound) {
            self.place_errand(state, worker, hint);
            return;
        }
        if let Some(lane) = extra.and_then(|extra| extra.priority.lane()) {
            state.queues.put_in_lane(lane, hint);
            return;
        }
        self.place_normal(state, hint);
    }

    /// The same for a task of normal priority.
    #[inline]
    pub(in crate::scheduler) fn place_normal(&self, state: &mut State, hint: u64) {
        let State { queues, choice, .. } = state;
        let executor = self.choose(queues, choice);
        if queues.stage(executor, hint) {
            queues.touch(executor);
        } else {
            queues.stage_anywhere(hint);
        }
    }

    /// The executor with the least predicted delay; of many, of two at random.
    #[inline]
    pub(in crate::scheduler) fn choose(&self, queues: &mut Queues, choice: &mut Choice) -> usize {
        if let Some(executor) = choice.stay() {
            return executor;
        }
        let executor = self.choose_anew(queues, choice);
        choice.choose(executor)
    }

    fn choose_anew(&self, queues: &mut Queues, choice: &mut Choice) -> usize {
        let count = queues.inboxes();
        let first = choice.next_of(count);
        // Divisions take their time: of few the next, of many anyone.
        let second = match count {
            1 => return 0,
            2 => 1 - first,
            _ => (first + 1 + first * 7 % (count - 1)) % count,
        };
        let mut loads = [first, second].map(|e| (self.load(queues, choice, e), e));
        if loads[1].0.delay_ns() < loads[0].0.delay_ns() {
            loads.swap(0, 1);
        }
        let [(best, chosen), (other, instead)] = loads;
        // Somebody would be woken because the other has much to do: as far as was seen.
        if best.sleeping
            && !other.sleeping
            && let Ok(backlog) = queues.backlog(instead)
            && (Load { backlog, ..other }).delay_ns() < best.delay_ns()
        {
            return instead;
        }
        chosen
    }

    #[inline]
    fn load(&self, queues: &Queues, choice: &Choice, executor: usize) -> Load {
        let member = executor as u32;
        let crowd = &self.fold.crowd;
        let is_asleep = crowd.sleeping.contains(member);
        // Of short tasks it makes no difference; who runs them says all the time that he
        // begins or ends to look for them, so that his line would have to be fetched.
        let is_short = choice.is_short(executor);
        Load {
            backlog: queues.backlog_seen(executor),
            grain_ns: choice.task_ns(executor),
            // One that is being replaced is no quicker than one that must be woken.
            sleeping: is_asleep || choice.is_offline(executor),
            is_here: is_asleep && self.is_here(choice, executor),
            searching: !is_short && crowd.searching.contains(member),
        }
    }

    /// Whether an executor is pinned to the CPU on which tasks were last collected, if CPUs are
    /// scarce.
    fn is_here(&self, choice: &Choice, executor: usize) -> bool {
        // Relaxed: a plain number of one writer.
        let cpu = self.fold.executors[executor]
            .status
            .cpu
            .load(Ordering::Relaxed);
        choice
            .works_on()
            .is_some_and(|here| cpu == u64::from(here) + 1)
    }

    /// Who belongs to this very CPU, if a short task is all there is to do: if he sleeps, to
    /// switch to him, and back, takes less than to wake another CPU.
    fn local(&self, load: Load) -> Option<ExecutorId> {
        if !self.is_scarce() || load.grain_ns == 0 || load.grain_ns >= WORTH_WAKING_NS {
            return None;
        }
        let here = u64::from(affinity::current()?) + 1;
        // Relaxed: a plain number of one writer.
        let is_here = |e: &ExecutorRecord| e.status.cpu.load(Ordering::Relaxed) == here;
        let at = self.fold.executors.iter().position(is_here)?;
        Some(ExecutorId(at as u32))
    }

    /// Shows what was enqueued, and wakes whom it takes.
    #[inline]
    pub(in crate::scheduler) fn publish(&self, state: &mut State) {
        if state.queues.are_lanes_touched() {
            self.publish_lanes(state);
        }
        if !state.queues.is_touched() {
            return;
        }
        self.note_awake(state);
        state.queues.publish_touched();
        // The executors, before they sleep, pass the heavy barrier.
        barrier::light();
        if self.fold.crowd.sleeping.any() {
            while let Some(executor) = state.queues.take_touched() {
                self.wake_for(state, ExecutorId(executor as u32));
            }
        }
        state.queues.forget_touched();
    }

    /// Somebody sleeps, and the inbox of `executor` was filled: wakes one if that is worth it.
    pub(in crate::scheduler) fn wake_for(&self, state: &mut State, executor: ExecutorId) {
        let at = executor.0 as usize;
        // The takers' head is only looked at when it matters: they move it all the time.
        let mut load = self.load(&state.queues, &state.choice, at);
        if load.delay_ns() >= WORTH_WAKING_NS {
            match state.queues.backlog(at) {
                Ok(backlog) => load.backlog = backlog,
                Err(damaged) => {
                    self.condemn(state, &format!("the inbox of executor {at}: {damaged}"));
                    return;
                }
            }
        }
        let is_long = load.delay_ns() >= WORTH_WAKING_NS;
        if !load.sleeping && !is_long && state.stall.is_watched() {
            return; // it is awake, and that it comes to it is looked after
        }
        load.searching = self.fold.crowd.searching.contains(executor.0);
        let is_wanted = load.sleeping || (!load.searching && is_long);
        let is_woken = is_wanted && {
            let local = if state.slots.in_flight() <= 1 {
                self.local(load)
            } else {
                None
            };
            // Otherwise rather another than the one where tasks are collected.
            let other = || ExecutorId(executor.0 + u32::from(load.is_here));
            self.fold.wake_one(local.unwrap_or_else(other))
        };
        // Who searches may have found something else by now, and have looked here before.
        if (load.backlog > 1 || !is_woken) && !state.stall.is_watched() {
            self.watch(state);
        }
    }
}

impl Scheduler {
    /// Shows what was put into lanes, and wakes one who sleeps: it is for anybody.
    #[cold]
    fn publish_lanes(&self, state: &mut State) {
        let (backlog, damage) = state.queues.publish_lanes();
        // The executors, before they sleep, pass the heavy barrier.
        barrier::light();
        let is_woken = self.fold.wake_one(ExecutorId(state.choice.turn() as u32));
        if (backlog > 1 || !is_woken) && !state.stall.is_watched() {
            self.watch(state);
        }
        if let Some(what) = damage {
            self.condemn(state, &what);
        }
    }

    /// Work lies behind other work, which should be done in a moment. If that takes
    /// longer than it was thought to, a sleeper must come instead; the supervisor looks
    /// after it, in case nobody waits who would.
    pub(in crate::scheduler) fn watch(&self, state: &mut State) {
        if self.fold.crowd.sleeping.any() {
            state.stall.watch(state.ended() + self.clients.completed());
            self.clients.set_watched(true);
            self.bell.ring();
        }
    }

    /// How long tasks take, for each executor that has run any.
    pub(in crate::scheduler) fn grains(&self) -> impl Iterator<Item = u64> {
        // Relaxed: judgement, not truth.
        let of = |e: &ExecutorRecord| e.status.grain_ns.load(Ordering::Relaxed);
        self.fold
            .executors
            .iter()
            .map(of)
            .filter(|grain| *grain > 0)
    }

    /// The time to look has come.
    pub(in crate::scheduler) fn look_behind(&self, state: &mut State) {
        state.stall.stop();
        let is_at_clients = self.look_behind_at_clients();
        self.reap(state);
        let ended = state.ended() + self.clients.completed();
        // As long as tasks end, those who end them look for more.
        let is_stuck = state.stall.is_stuck(ended);
        let is_queued = |slot: u32| {
            // What one worker alone may run nobody else can take.
            let is_anybodys = state.slots[slot].bound().is_none();
            is_anybodys
                && TaskState::of(self.fold.slots[slot as usize].word()) == Some(TaskState::Queued)
        };
        if self.fold.crowd.sleeping.any() && (is_at_clients || state.slots().any(is_queued)) {
            if is_stuck {
                self.fold.wake_sleeper(ExecutorId(0));
            }
            self.clients.set_watched(true);
            state.stall.watch(ended);
        }
    }
}
