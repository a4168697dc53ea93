//! What the host alone knows, under one lock.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Attempt, Refusal, TaskError};
use crate::layout::{Fold, LANES};
use crate::notify::Key;
use crate::pool::Transfer;
use crate::prim::{Generation, Priority};
use crate::ring::{spsc, steal};
use crate::task::{Head, INLINE_LEN, Label};

use crate::scheduler::collect::retry::{Retries, Tried};
use crate::scheduler::depend::graph::Graph;
use crate::scheduler::depend::nodes::{NodeId, Nodes};
use crate::scheduler::followers::follow::Listening;
use crate::scheduler::outcomes::tickets::Tickets;
use crate::scheduler::recover::kin::Stray;
use crate::scheduler::recover::orphans::Adopted;
use crate::scheduler::recover::rescue::Dying;
use crate::scheduler::report::profile::Profiling;
use crate::scheduler::submit::guests::Guests;
use crate::scheduler::terms::backoff::Backoff;
use crate::scheduler::terms::limit::Permit;
use crate::scheduler::time::deadline::Deadline;
use crate::scheduler::time::run_limits::{RunLimits, Timing};
use crate::scheduler::time::timers::Timers;

/// How often each thing happened since the start.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let _ = rt.spawn(|n: u32| 1 / n, 0).join();
/// let counters: pinfold::Counters = rt.stats().tasks;
/// assert_eq!((counters.submitted, counters.panicked), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Tasks accepted.
    pub submitted: u64,
    /// Tasks that ended with a value (an `Err` value included).
    pub completed: u64,
    /// Of these, tasks whose value was an `Err`.
    pub returned_err: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that ended because their worker died.
    pub died: u64,
    /// Runs repeated, because a worker died or by [`Retry`](crate::Retry).
    pub repeated: u64,
    /// Tasks that ended because a deadline of theirs had come, or their run limit had passed.
    pub late: u64,
    /// Tasks that ended because they were cancelled, or a task they depend on had no value.
    pub cancelled: u64,
    /// Tasks that ended with any other error.
    pub failed: u64,
    /// Of all these, those of which nobody was told: the handle was dropped, and no callback,
    /// future, scope, set or dependent has heard of it either. Their errors, and values that
    /// were an `Err`, are log events of level WARN, as soon as anybody collects them: who submits,
    /// waits or asks for statistics. What was cancelled, or ended by a shutdown,
    /// is not among them.
    pub unobserved: u64,
    /// Tasks not accepted: no room in the queue, for their arguments or in a limit, wrong
    /// arguments or settings, or the runtime was shut down. Whoever submitted one was told.
    pub refused: u64,
    /// Completion hints that no longer held.
    pub stale: u64,
    /// Things found in shared memory that no correct process writes.
    pub damage: u64,
    /// Tasks in flight now; with those that wait for others, if they have a slot.
    pub in_flight: u64,
}

/// A task in flight; 32 bytes, for there are as many as slots.
#[derive(Debug)]
pub struct Inflight {
    /// The generation its slot is in. Private, so no wild worker changes it.
    pub generation: Generation,
    /// Whose outcome it is; `None` while the slot is free.
    pub ticket: Option<u32>,
    /// What its function is called.
    pub name: fn() -> &'static str,
    /// What few tasks have.
    pub extra: Option<Box<Extra>>,
}

const _: () = assert!(size_of::<Inflight>() == 32);

/// What a task has that has buffers or long arguments, a label, a limit or a priority,
/// may be run again, or has killed a worker.
#[derive(Debug, Default)]
pub struct Extra {
    /// Holds for its arguments' buffers, and the block of long arguments.
    pub holds: Vec<Transfer>,
    /// What the submitter calls it, and more.
    pub label: Option<Arc<Label>>,
    /// What it counts as in the profile, if not as its function.
    pub profiled_as: Option<&'static str>,
    /// What to write for another run.
    pub again: Option<Again>,
    /// When it must have ended.
    pub deadline: Option<Deadline>,
    /// Which worker alone may run it.
    pub bound: Option<u32>,
    /// Which level it waits at.
    pub priority: Priority,
    /// The attempts that have ended, but for those that died for others.
    pub tried: Vec<Tried>,
    /// When it waits and runs, if it is timed.
    pub timing: Option<Timing>,
    /// Whether it is tried again when it fails by itself.
    pub retries: Option<Retries>,
    /// Its shares of limits.
    #[expect(dead_code, reason = "they are given back when they are dropped")]
    pub permits: Vec<Permit>,
    /// It was cancelled: there is no other attempt.
    pub is_cancelled: bool,
    /// An attempt has ended, and may have left tasks that it spawned.
    pub has_kin: bool,
    /// How long after it is queued it must have begun.
    pub start_limit: Option<Duration>,
    /// How long after it is queued it should have ended.
    pub soft_limit: Option<Duration>,
    /// Whether it ends only when whatever it has spawned has ended.
    pub awaits_kin: bool,
}

impl Extra {
    /// Attempts that have ended with the worker.
    pub fn deaths(&self) -> impl Iterator<Item = &Attempt> {
        self.tried.iter().filter_map(Tried::death)
    }

    /// How its present attempt has ended is among what was tried: there is none any more.
    pub fn attempt_is_told(&mut self) {
        if let Some(timing) = &mut self.timing {
            timing.is_told = true;
        }
    }

    /// Its present attempt has run for longer than it may.
    pub fn is_over_limit(&self) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.is_over)
    }

    /// Whether the attempt that runs is to be ended with its worker.
    pub fn is_due(&self) -> bool {
        let has_come = self.deadline.is_some_and(|deadline| deadline.has_come);
        has_come || self.is_cancelled || self.is_over_limit()
    }

    /// Whether the task ends before its time if it ends like this, and may leave tasks that
    /// it spawned.
    pub fn ends_early(&self, error: Option<&TaskError>) -> bool {
        use TaskError::{Cancelled, DeadlineExceeded};
        let is_early = || matches!(error, Some(Cancelled { .. } | DeadlineExceeded { .. }));
        self.is_due() || (self.has_kin && is_early())
    }
}

impl Inflight {
    pub fn none() -> Self {
        Inflight {
            // Not 0: words of fresh memory speak of no task.
            generation: Generation::new(1),
            ticket: None,
            name: || "",
            extra: None,
        }
    }

    /// Which level it waits at.
    #[inline]
    pub fn priority(&self) -> Priority {
        let extra = self.extra.as_ref();
        extra.map_or(Priority::Normal, |extra| extra.priority)
    }

    /// Holds for its arguments.
    pub fn holds(&self) -> &[Transfer] {
        self.extra.as_ref().map_or(&[], |extra| &extra.holds)
    }
}

/// Enough to run a task once more.
#[derive(Debug)]
pub struct Again {
    /// The slot's head.
    pub head: Head,
    /// Its payload, if inline.
    pub words: [u64; INLINE_LEN / 8],
    /// The most attempts.
    pub limit: u32,
    /// How long to wait between them.
    pub backoff: Backoff,
}

/// A ring of hints that the host fills.
#[derive(Clone, Copy, Debug)]
pub enum RingName {
    Inbox(usize),
    Lane(Priority),
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingName::Inbox(executor) => write!(f, "the inbox of executor {executor}"),
            RingName::Lane(level) => write!(f, "the lane of level {}", level.level()),
        }
    }
}

/// Somebody parked until something happens.
#[derive(Debug)]
pub struct Waiter {
    pub thread: Thread,
    /// What for.
    pub awaited: Awaited,
}

/// Somebody who sleeps for a while, and may be called.
#[derive(Clone, Debug)]
pub struct Napper {
    thread: Thread,
    is_called: Arc<AtomicBool>,
}

impl Napper {
    /// The calling thread.
    pub fn new() -> Self {
        Napper {
            thread: std::thread::current(),
            is_called: Arc::default(),
        }
    }

    /// Whether it was.
    pub fn is_called(&self) -> bool {
        // ordering: Acquire pairs with the Release in `call_napper`.
        self.is_called.load(Ordering::Acquire)
    }
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub enum Awaited {
    /// The end of this ticket's task.
    Task { ticket: u32 },
    /// An end that this group watches.
    Group(u32),
    /// Any end.
    Any,
    /// Any end, or memory that is freed.
    Memory,
    /// The end of a task that somebody follows: the attendant.
    News,
}

/// The host's side of a lane.
#[derive(Debug)]
pub struct Lane {
    pub ring: steal::Producer,
    /// Filled and not yet published.
    pub is_touched: bool,
}

/// The host's private state.
pub struct State {
    pub tickets: Tickets,
    /// Free slots of those that are not for pending tasks.
    pub free: Vec<u32>,
    /// Those that are kept for tasks which are about to be queued.
    pub kept: Vec<u32>,
    pub inflight: Vec<Inflight>,
    pub in_flight: usize,
    pub inboxes: Vec<steal::Producer>,
    /// One for each priority but the normal one.
    pub lanes: [Lane; LANES],
    /// Whether any of them is.
    pub are_lanes_touched: bool,
    /// Per worker: what it alone may run.
    pub errands: Vec<steal::Producer>,
    /// Where a thread of the host was last seen at work, and how often.
    pub works_on: Option<u32>,
    pub times: u32,
    pub completions: Vec<spsc::Consumer>,
    /// What executors have made ready; looked at only.
    pub ready: Vec<steal::Taker>,
    pub overflows_seen: Vec<u64>,
    /// Hints for which no inbox, or not their lane, had room; tried again after every collection.
    pub homeless: Vec<u64>,
    pub next: usize,
    /// The executor chosen last, and how many more tasks it gets without a new choice.
    pub chosen: usize,
    pub stays: u32,
    /// Executors whose inbox was filled and not yet published.
    pub touched: Vec<usize>,
    /// Per executor: how long a task takes, as last read; a line that the executor
    /// writes all the time is not read for every submit.
    pub grains_ns: Vec<u64>,
    /// Slots whose completion was read and not yet followed; empty in between.
    pub due: Vec<u32>,
    pub waiters: Vec<Waiter>,
    pub leader: bool,
    /// The leader or the attendant, while it naps.
    pub napper: Option<Napper>,
    /// What the leader itself waits for.
    pub leads_for: Option<Awaited>,
    /// With which key the leader sleeps, or is about to.
    pub sleeps_with: Option<Key>,
    /// How many tasks had been submitted when one who submits last collected.
    pub reaped_at: u64,
    /// What [`State::activity`] was when the leader last slept.
    pub activity_asleep: u64,
    /// Why no task is accepted any more.
    pub closed: Option<Refusal>,
    pub counters: Counters,
    /// The most tasks in flight.
    pub capacity: usize,
    /// Slots from this one on were never used; but see [`Graph::slots`].
    pub used: u32,
    /// Per worker: it has no process, and nothing is left of the last one.
    pub swept: Vec<bool>,
    /// Per executor: it has ended, and was not seen at work since.
    pub offline: Vec<bool>,
    /// Attempts whose worker is gone, and of which it is not known how.
    pub dying: Vec<Dying>,
    /// Spawned tasks whose owner has died, and that have not ended.
    pub adopted: Vec<Adopted>,
    /// Spawned tasks that are to end, and run although nobody waits for them any more.
    pub strays: Vec<Stray>,
    pub timers: Timers,
    /// Tasks that may run for so long.
    pub run_limits: RunLimits,
    /// When to look whether work waits behind a long task while somebody sleeps.
    pub watch: Option<Instant>,
    /// Tasks that had ended when it was last decided to look.
    pub ended_before: u64,
    /// Who wants to hear how far a task is.
    pub listeners: Vec<Listening>,
    /// The attendant sleeps until there is something to attend to, or it is called.
    pub is_attendant_idle: bool,
    /// What [`Pool::freed`](crate::pool::Pool::freed) was when those that wait for memory were
    /// last woken.
    pub freed_seen: u32,
    /// The last time that a task had asked for room, and was answered.
    pub answered: u32,
    /// Tasks that somebody follows, and that have not ended.
    pub followed: usize,
    /// Some have come since the attendant last asked.
    pub has_followed: bool,
    /// Tasks that wait for others, and have no slot.
    pub nodes: Nodes,
    /// Those of them that have all but a slot, and all but memory; some have ended meanwhile.
    pub stalled: VecDeque<NodeId>,
    pub thirsty: VecDeque<NodeId>,
    /// Those that wait for room without a thread.
    pub guests: Guests,
    /// Tickets that end as another task does, each with a number of its own; and the last one.
    pub shadows: HashMap<u32, u64>,
    pub shadows_opened: u64,
    /// Those that have, and what follows from what.
    pub graph: Graph,
    /// What has arrived for them is handed on by somebody, or will be.
    pub is_releasing: bool,
    /// Why everything in flight was ended, if it was.
    pub failed: Option<TaskError>,
    /// Nothing more will happen: the attendant may leave when it has told all.
    pub is_over: bool,
    /// If every task is measured.
    pub profiling: Option<Box<Profiling>>,
}

impl State {
    /// Of a fresh fold; what was counted before goes on.
    pub fn new(fold: &Fold, capacity: usize, counters: Counters) -> Self {
        let (executors, slots) = (fold.plan.shape.executors(), fold.plan.shape.slots as usize);
        Self::of(fold, executors, slots, capacity, counters)
    }

    /// Of a process that was forked off the host: there is nothing in it, it leads to no
    /// memory that others share, and it takes no tasks.
    pub fn nowhere(fold: &Fold) -> Self {
        State {
            closed: Some(Refusal::Forked),
            failed: Some(TaskError::Forked),
            is_over: true,
            ..Self::of(fold, 0, 0, 0, Counters::default())
        }
    }

    fn of(
        fold: &Fold,
        executors: usize,
        slots: usize,
        capacity: usize,
        counters: Counters,
    ) -> Self {
        let capacity = capacity.min(slots);
        State {
            tickets: Tickets::default(),
            // Popped from the end: low slots first, and the last freed next, whose
            // lines are still in a cache.
            free: (0..capacity as u32).rev().collect(),
            kept: Vec::new(),
            inflight: (0..slots).map(|_| Inflight::none()).collect(),
            in_flight: 0,
            inboxes: (0..executors)
                .map(|e| steal::Producer::attach(fold.inbox(e)))
                .collect(),
            lanes: std::array::from_fn(|lane| Lane {
                ring: steal::Producer::attach(fold.lane(lane)),
                is_touched: false,
            }),
            are_lanes_touched: false,
            errands: (0..executors / fold.plan.shape.threads.max(1) as usize)
                .map(|worker| steal::Producer::attach(fold.errands(worker)))
                .collect(),
            works_on: None,
            times: 0,
            completions: (0..executors)
                .map(|e| spsc::Consumer::attach(fold.completions(e)))
                .collect(),
            overflows_seen: vec![0; executors],
            homeless: Vec::new(),
            next: 0,
            chosen: 0,
            stays: 0,
            touched: Vec::with_capacity(executors),
            grains_ns: vec![0; executors],
            due: Vec::new(),
            waiters: Vec::new(),
            leader: false,
            napper: None,
            leads_for: None,
            sleeps_with: None,
            reaped_at: 0,
            activity_asleep: 0,
            closed: None,
            counters,
            capacity,
            used: 0,
            swept: vec![true; fold.plan.shape.workers as usize],
            offline: vec![false; executors],
            dying: Vec::new(),
            adopted: Vec::new(),
            strays: Vec::new(),
            timers: Timers::default(),
            run_limits: RunLimits::default(),
            watch: None,
            ended_before: 0,
            listeners: Vec::new(),
            is_attendant_idle: false,
            freed_seen: 0,
            answered: 0,
            followed: 0,
            has_followed: false,
            nodes: Nodes::default(),
            stalled: VecDeque::new(),
            thirsty: VecDeque::new(),
            guests: Guests::default(),
            shadows: HashMap::new(),
            shadows_opened: 0,
            graph: Graph::new(fold),
            ready: (0..executors)
                .map(|e| steal::Taker::attach(fold.ready(e)))
                .collect(),
            is_releasing: false,
            failed: None,
            is_over: false,
            profiling: None,
        }
    }

    /// Every ring of hints that the host fills, with what it is called.
    pub fn rings(&mut self) -> impl Iterator<Item = (RingName, &mut steal::Producer)> {
        let inboxes = self.inboxes.iter_mut().enumerate();
        let lanes = self.lanes.iter_mut().zip(Priority::LANES);
        inboxes
            .map(|(executor, ring)| (RingName::Inbox(executor), ring))
            .chain(lanes.map(|(lane, level)| (RingName::Lane(level), &mut lane.ring)))
    }

    /// Whether hints wait in any lane.
    pub fn any_lane_full(&mut self) -> bool {
        let mut lanes = self.lanes.iter_mut();
        lanes.any(|lane| matches!(lane.ring.refresh(), Ok(1..)))
    }

    /// Wakes whoever naps.
    pub fn call_napper(&mut self) {
        if let Some(napper) = self.napper.take() {
            // ordering: Release pairs with the Acquire in `Napper::is_called`.
            napper.is_called.store(true, Ordering::Release);
            napper.thread.unpark();
        }
    }

    pub fn unpark_all(&mut self) {
        self.refuse_guests();
        self.call_napper();
        for waiter in &self.waiters {
            waiter.thread.unpark();
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("in_flight", &self.in_flight)
            .field("capacity", &self.capacity)
            .field("counters", &self.counters)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
