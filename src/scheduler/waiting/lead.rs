//! The leader: the one thread of the host that sleeps on the fold's doorbell, and
//! collects for all that wait. See [`super::wait`].

use std::sync::atomic::Ordering as Private;
use std::thread;
use std::time::Instant;

use crate::layout::ExecutorRecord;
use crate::notify::Patience;
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Hint};
use crate::sys::barrier;
use crate::task::TaskState;

use crate::scheduler::dispatch::queues::RingName;
use crate::scheduler::locked::Inside;
use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::recover::inspect::Suspects;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::waiting::patience::{is_past, learn, patience};
use crate::scheduler::waiting::policy::{self, AWAKE, BETWEEN, LEAVES, TRUST};
use crate::scheduler::waiting::sleepers::Awaited;

/// What a look before sleeping has led to.
enum Look {
    /// To what was waited for.
    Ready,
    InVain,
    /// Others do what is to be done.
    OthersDo,
}

impl Scheduler {
    /// Sleeps on the doorbell and collects for everybody, until `ready` (true), the
    /// deadline, or others do that (false).
    pub(in crate::scheduler) fn lead(
        &self,
        awaited: Awaited,
        deadline: Option<Instant>,
        ready: &impl Fn(&State) -> bool,
    ) -> bool {
        let bell = &self.fold.host_bell;
        let mut suspects = Suspects::new();
        let mut trust = TRUST;
        let mut slept_at = None;
        loop {
            match self.look_first(awaited, deadline, ready) {
                Look::Ready => return true,
                Look::InVain => {}
                Look::OthersDo => return false,
            }
            let begin = Instant::now();
            let patience = self.patience_for(&self.lock(), awaited);
            bell.set_patience(patience);
            // From here on an executor that finishes anything rings; what was
            // finished before, published or not, is seen below.
            let key = bell.prepare();
            let mut state = self.lock();
            let activity = state.activity();
            state.waiting.sleep(key, activity);
            self.reap(&mut state);
            self.see_to_memory(&mut state);
            if patience > Patience::None && slept_at == Some(state.ended()) {
                // Rung by one who has nothing to do: what others have ended in the
                // middle of a batch, while they still took everybody to be busy, is seen
                // in the words after the barrier.
                drop(state);
                barrier::heavy();
                state = self.lock();
                self.collect_all(&mut state);
            }
            slept_at = Some(state.ended());
            if self.listen_around(&mut state) {
                state.waiting.wake_attendant();
            }
            let mut met = ready(&state);
            if !met {
                self.collect_awaited(&mut state, awaited);
                met = ready(&state);
            }
            let was_too_patient = patience > self.patience_for(&state, awaited);
            drop(state);
            if met || is_past(deadline) {
                return met;
            }
            if was_too_patient {
                continue;
            }
            self.nudge();
            let next_look = Instant::now() + trust;
            bell.wait(key, Some(deadline.map_or(next_look, |d| d.min(next_look))));
            learn(begin.elapsed());
            if Instant::now() >= next_look {
                trust = policy::trusts(trust);
                self.look_again(&mut self.lock(), &mut suspects);
            }
        }
    }

    /// When it is early enough to hear of ends. If everybody waits only for tasks that wait
    /// for others themselves: when an executor has nothing left to do, or when one has failed.
    /// If executors do all that is to be done until these have ended: when they have.
    fn patience_for(&self, state: &State, awaited: Awaited) -> Patience {
        let others = state.waiting.awaited();
        let patience = |awaited| match awaited {
            Awaited::Task { ticket } => match self.locations.get(ticket) {
                Location::Slot(hint) if self.will_ring(state, hint) => Patience::UntilCalled,
                Location::Node(_) if state.tickets.is_open(ticket) => Patience::UntilIdle,
                _ => Patience::None,
            },
            Awaited::News if state.followers.count() == 0 => Patience::UntilCalled,
            Awaited::News if state.tickets.followed() == 0 => Patience::UntilIdle,
            _ => Patience::None,
        };
        if state.nodes.urgent() > 0 || state.is_pressed() {
            return Patience::None;
        }
        let own = patience(awaited);
        let least = others
            .map(patience)
            .min()
            .map_or(own, |least| least.min(own));
        let is_all_with_executors =
            state.followers.count() == 0 && state.nodes.count() == 0 && !state.queues.has_aside();
        if is_all_with_executors {
            least
        } else {
            least.min(Patience::UntilIdle)
        }
    }

    fn may_be_patient(&self, state: &State, awaited: Awaited) -> bool {
        self.patience_for(state, awaited) > Patience::None
    }

    /// Whether the task waits in its slot for others, and whoever runs it will ring.
    fn will_ring(&self, state: &State, hint: Hint) -> bool {
        if !state.graph.slots().contains(&hint.slot.0) {
            return false;
        }
        let cell = &self.fold.slots[hint.slot.at()];
        let word = cell.word();
        let is_pending =
            TaskState::of(word) == Some(TaskState::Pending) && word.generation == hint.generation;
        // Who knows it when it is pending knows it when it has run.
        is_pending && (cell.wishes().1 || cell.awaits(hint.generation))
    }

    /// Something has changed: if who leads sleeps with more patience than it may, wakes it.
    pub(in crate::scheduler) fn check_patience(&self, state: &State) {
        let bell = &self.fold.host_bell;
        if let Some(awaited) = state.waiting.leads_for()
            && bell.patience() > Patience::None
            && bell.patience() > self.patience_for(state, awaited)
        {
            bell.force();
        }
    }

    /// While tasks wait for others, whoever leads looks for a moment before it arms the
    /// bell: what ends meanwhile need not wake anybody, and what waits for it is queued
    /// at once. The attendant, with nobody else to lead for, naps if it may, or leaves it
    /// to those that submit and collect.
    fn look_first(
        &self,
        awaited: Awaited,
        deadline: Option<Instant>,
        ready: &impl Fn(&State) -> bool,
    ) -> Look {
        let mut until = None;
        let mut may_nap = true;
        let mut activity = None;
        loop {
            let mut state = self.lock();
            let before = activity.unwrap_or(state.activity());
            let others_go_on = state.activity().wrapping_sub(before) > AWAKE;
            let ended = self.reap(&mut state);
            activity = Some(state.activity());
            if ready(&state) {
                return Look::Ready;
            }
            if others_go_on && self.may_leave(&state, awaited) {
                return Look::OthersDo;
            }
            // After a nap in which nothing has ended, the bell.
            may_nap |= ended > 0;
            if state.nodes.count() == 0 {
                return Look::InVain;
            }
            let is_sent = ended > 0 && self.are_all_long() && self.may_be_patient(&state, awaited);
            if self.is_scarce() && (is_sent || self.are_all_busy()) {
                return Look::InVain;
            }
            if may_nap
                && matches!(awaited, Awaited::News)
                && state.waiting.is_nobody()
                && let Some(nap) = self.nap_for(&state, state.slots.in_flight())
            {
                may_nap = false;
                state.waiting.nap();
                drop(state);
                thread::park_timeout(nap);
                self.lock().waiting.end_nap();
                continue;
            }
            drop(state);
            let now = Instant::now();
            if ended > 0 {
                until = None;
            }
            let until = *until.get_or_insert_with(|| {
                let until = now + patience();
                deadline.map_or(until, |d| d.min(until))
            });
            if now >= until {
                return Look::InVain;
            }
            if self.is_scarce() {
                thread::yield_now();
            }
            (0..BETWEEN).for_each(|_| std::hint::spin_loop());
        }
    }

    /// Whether whoever waits for `awaited` may leave what is to be done to others, as long
    /// as they submit and collect anyhow: the attendant, if nobody follows any task but those
    /// that depend on it.
    pub(in crate::scheduler) fn may_leave(&self, state: &State, awaited: Awaited) -> bool {
        matches!(awaited, Awaited::News)
            && state.tickets.followed() == 0
            && state.tickets.news.is_empty()
            && state.waiting.is_nobody()
            && !state.is_pressed()
            && !state.followers.is_over()
            && state.door.failed().is_none()
    }

    /// Returns when others neither submit nor collect for a while, or call; now and then to
    /// collect, too. Without the lock: to take it costs them more than it does who naps.
    pub(in crate::scheduler) fn leave_to_others(&self, mut state: Inside<'_>) {
        if !state.waiting.is_led() {
            // Nobody sleeps; they need not ring.
            self.fold.host_bell.cancel();
        }
        let napper = state.waiting.nap();
        drop(state);
        let mut before = self.activity();
        for nap in 0..LEAVES {
            let (pause, enough) = policy::leave(nap);
            thread::park_timeout(pause);
            let now = self.activity();
            if napper.is_called() || now.wrapping_sub(before) <= enough {
                break;
            }
            before = now;
        }
        self.lock().waiting.end_nap();
    }

    fn activity(&self) -> u64 {
        // Relaxed: judgement, not truth.
        self.activity.load(Private::Relaxed)
    }

    /// Something was submitted, or has ended.
    #[inline]
    pub(in crate::scheduler) fn note_activity(&self, state: &State) {
        // Relaxed: under the lock; as above.
        self.activity.store(state.activity(), Private::Relaxed);
    }

    /// Nobody sleeps: after some time without sleep executors need not ring any more.
    #[inline]
    pub(in crate::scheduler) fn note_awake(&self, state: &State) {
        let bell = &self.fold.host_bell;
        let is_marked = bell.is_awaited() && !state.waiting.is_led();
        if is_marked && state.activity() - state.waiting.activity_asleep() > AWAKE {
            bell.cancel();
        }
    }

    /// Whether all executors have something to do that takes longer than to wake who
    /// waits for it.
    pub(in crate::scheduler) fn are_all_busy(&self) -> bool {
        let crowd = &self.fold.crowd;
        !crowd.searching.any() && !crowd.sleeping.any() && self.are_all_long()
    }

    /// Whether tasks take longer than to wake who waits for one.
    fn are_all_long(&self) -> bool {
        // Relaxed: judgement, not truth.
        let task_ns = |e: &ExecutorRecord| e.status.grain_ns.load(Ordering::Relaxed);
        let mut all = self.fold.executors.iter().map(task_ns);
        all.all(policy::is_long)
    }

    /// Whether who looks takes a CPU that an executor may want.
    pub(in crate::scheduler) fn is_scarce(&self) -> bool {
        self.allowed_cpus <= self.fold.plan.shape.executors()
    }

    /// Before the host sleeps: when work waits although an executor sleeps, wakes it,
    /// even if another is marked as searching. That one has had 50 µs to find the
    /// work; perhaps it was stopped, or the work's length was misjudged.
    fn nudge(&self) {
        if !self.fold.crowd.sleeping.any() {
            return;
        }
        let mut state = self.lock();
        let waiting = state
            .queues
            .rings()
            .find_map(|(name, ring)| matches!(ring.refresh(), Ok(1..)).then_some(name));
        let ready = state.queues.ready();
        drop(state);
        let waiting = waiting.or(ready.map(RingName::Inbox));
        match waiting {
            Some(RingName::Inbox(executor)) => {
                self.fold.wake_sleeper(ExecutorId(executor as u32));
            }
            Some(RingName::Lane(_)) => {
                self.fold.wake_sleeper(ExecutorId(0));
            }
            None => {}
        }
    }

    /// Looks at the words of all tasks that somebody waits for: an executor in the
    /// middle of a batch may have finished one without saying so yet.
    fn collect_awaited(&self, state: &mut State, own: Awaited) {
        let mut is_any = false;
        let mut one = |state: &mut State, awaited| match awaited {
            Awaited::Task { ticket } => self.collect_this(state, ticket),
            Awaited::Group(_) | Awaited::Any | Awaited::Memory | Awaited::News => is_any = true,
        };
        one(state, own);
        let mut at = 0;
        while let Some(awaited) = state.waiting.awaited_at(at) {
            one(state, awaited);
            at += 1;
        }
        if is_any {
            self.collect_all(state);
        }
    }
}
