//! What the host alone knows, under one lock.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::layout::{Fold, LANES};
use crate::notify::Key;
use crate::prim::Priority;
use crate::ring::{spsc, steal};
use crate::sys::prefetch_for_write;

use crate::scheduler::depend::graph::Graph;
use crate::scheduler::depend::nodes::{NodeId, Nodes};
use crate::scheduler::dispatch::queues::{Lane, RingName};
use crate::scheduler::followers::followed::Followers;
use crate::scheduler::outcomes::tickets::Tickets;
use crate::scheduler::outcomes::value::{SMALL, Taken};

use crate::scheduler::report::counters::Counters;
use crate::scheduler::report::profile::Profiling;

use crate::scheduler::recover::losses::Losses;
use crate::scheduler::report::counters::Tally;
use crate::scheduler::slots::table::Slots;
use crate::scheduler::submit::door::Door;
use crate::scheduler::submit::lines::Guests;
use crate::scheduler::time::timers::Timers;
use crate::scheduler::time::watched::RunLimits;
use crate::scheduler::waiting::sleepers::{Awaited, Napper, Waiter};

/// The host's private state.
pub struct State {
    pub tickets: Tickets,
    pub slots: Slots,
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
    pub door: Door,
    pub tally: Tally,
    pub losses: Losses,
    /// Per executor: it has ended, and was not seen at work since.
    pub offline: Vec<bool>,
    pub timers: Timers,
    /// Tasks that may run for so long.
    pub run_limits: RunLimits,
    /// When to look whether work waits behind a long task while somebody sleeps.
    pub watch: Option<Instant>,
    /// Tasks that had ended when it was last decided to look.
    pub ended_before: u64,
    pub followers: Followers,
    /// What [`Pool::freed`](crate::pool::Pool::freed) was when those that wait for memory were
    /// last woken.
    pub freed_seen: u32,
    /// The last time that a task had asked for room, and was answered.
    pub answered: u32,
    /// Tasks that wait for others, and have no slot.
    pub nodes: Nodes,
    /// Those of them that have all but a slot, and all but memory; some have ended meanwhile.
    pub stalled: VecDeque<NodeId>,
    pub thirsty: VecDeque<NodeId>,
    /// Those that wait for room without a thread.
    pub guests: Guests,
    /// Those that have, and what follows from what.
    pub graph: Graph,
    /// What has arrived for them is handed on by somebody, or will be.
    pub is_releasing: bool,
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
            door: Door::of_forked(),
            followers: Followers::over(),
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
        State {
            tickets: Tickets::default(),
            slots: Slots::new(slots, capacity),
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
            door: Door::default(),
            tally: Tally::new(counters),
            losses: Losses::new(fold.plan.shape.workers as usize),
            offline: vec![false; executors],
            timers: Timers::default(),
            run_limits: RunLimits::default(),
            watch: None,
            ended_before: 0,
            followers: Followers::default(),
            freed_seen: 0,
            answered: 0,
            nodes: Nodes::default(),
            stalled: VecDeque::new(),
            thirsty: VecDeque::new(),
            guests: Guests::default(),
            graph: Graph::new(fold),
            ready: (0..executors)
                .map(|e| steal::Taker::attach(fold.ready(e)))
                .collect(),
            is_releasing: false,
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

impl State {
    /// All slots of the host that were ever used.
    pub fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.slots.used()).chain(self.graph.slots())
    }

    /// The task in `slot` has ended.
    #[inline]
    pub fn vacate(&mut self, slot: u32) {
        self.slots.end();
        if self.graph.owns(slot) {
            self.graph.note_ended(slot);
        } else {
            self.slots.free_up(slot);
        }
    }

    /// Whether no end is to be told at once.
    pub fn is_nothing_followed(&self) -> bool {
        self.followers.count() + self.graph.sources == 0 && !self.tickets.groups.are_awaited()
    }

    /// Whether the attendant is needed: somebody follows a task, or waits for room that others
    /// are to leave.
    pub fn is_attended(&self) -> bool {
        !self.is_nothing_followed() || self.is_pressed()
    }

    /// Whether a pending task waits for a slot, or for memory; or somebody without a thread
    /// waits for an end, or for room: then whoever leads is to hear of each end at once.
    pub fn is_pressed(&self) -> bool {
        self.has_stalled() || self.lacks_memory() || self.tickets.groups.are_awaited()
    }

    /// Whether anybody but a thread waits for memory.
    pub fn lacks_memory(&self) -> bool {
        !self.thirsty.is_empty() || self.guests.are_thirsty()
    }

    /// Whether anybody but a thread waits for what a task gives back that ends.
    #[inline]
    pub fn has_stalled(&self) -> bool {
        !self.stalled.is_empty() || self.guests.any()
    }

    /// Has what the next task is written to brought here meanwhile.
    #[inline]
    pub fn ask_for_next(&self, fold: &Fold) {
        if let Some(slot) = self.slots.next() {
            prefetch_for_write(&fold.slots[slot as usize]);
            self.slots.ask_for(slot);
        }
        self.tickets.ask_for_next();
    }

    /// The same for the next pending task.
    #[inline]
    pub fn ask_for_next_pending(&self, fold: &Fold) {
        if let Some(slot) = self.graph.next_free() {
            prefetch_for_write(&fold.slots[slot as usize]);
            self.slots.ask_for(slot);
            self.graph.ask_for_vertex(slot);
        }
        self.tickets.ask_for_next();
    }

    /// A free slot for a pending task.
    #[inline]
    pub fn pending_slot(&mut self) -> Option<u32> {
        if let Some(slot) = self.graph.take_free() {
            return Some(slot);
        }
        let slot = self.graph.grow()?;
        self.slots.grow();
        Some(slot)
    }

    /// Tasks ended so far.
    pub fn ended(&self) -> u64 {
        self.tally.submitted() - self.slots.in_flight() as u64
    }

    /// Tasks submitted and tasks ended so far: grows by each.
    pub fn activity(&self) -> u64 {
        self.tally.submitted() + self.ended()
    }

    /// Tasks that have not ended.
    pub fn unfinished(&self) -> usize {
        self.slots.in_flight() + self.nodes.count() + self.followers.shadows()
    }

    pub fn unpark_attendant(&self) {
        let attends = |waiter: &&Waiter| matches!(waiter.awaited, Awaited::News);
        if let Some(attendant) = self.waiters.iter().find(attends) {
            attendant.thread.unpark();
        }
    }

    /// If nobody leads, wakes one who waits: he will look at everything, and lead if
    /// he goes on waiting.
    pub fn ask_for_a_leader(&self) {
        if !self.leader
            && let Some(waiter) = self.waiters.first()
        {
            waiter.thread.unpark();
        }
    }

    /// See [`Scheduler::take_small`]; and whether no other task is in flight.
    #[inline]
    pub fn take_small(&mut self, id: u32, to: &mut [u64; SMALL / 8]) -> (Option<Taken>, bool) {
        (self.tickets.take_small(id, to), self.slots.in_flight() == 1)
    }

    /// Whoever waits for room without a thread is told if there will be none.
    pub fn refuse_guests(&mut self) {
        if let Some(refusal) = self.door.refusal() {
            self.guests.refuse(refusal, &mut self.tickets.news);
        }
    }

    /// The inbox of `executor` is to be published.
    pub fn touch(&mut self, executor: usize) {
        if !self.touched.contains(&executor) {
            self.touched.push(executor);
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("in_flight", &self.slots.in_flight())
            .field("capacity", &self.slots.capacity())
            .field("tally", &self.tally)
            .field("door", &self.door)
            .finish_non_exhaustive()
    }
}
