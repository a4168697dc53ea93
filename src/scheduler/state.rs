//! What the host alone knows, under one lock.

use std::sync::Arc;

use crate::layout::Fold;
use crate::lock::{Leaving, Spare};
use crate::sys::prefetch_for_write;

use crate::scheduler::clients::Clients;
use crate::scheduler::collect::completions::Completions;
use crate::scheduler::depend::graph::Graph;
use crate::scheduler::depend::nodes::Nodes;
use crate::scheduler::dispatch::choice::Choice;
use crate::scheduler::dispatch::queues::Queues;
use crate::scheduler::dispatch::stall::Stall;
use crate::scheduler::followers::followed::Followers;
use crate::scheduler::outcomes::tickets::Tickets;
use crate::scheduler::outcomes::value::{SMALL, Taken};
use crate::scheduler::recover::losses::Losses;
use crate::scheduler::report::counters::{Counters, Tally};
use crate::scheduler::report::profile::Profiling;
use crate::scheduler::slots::table::Slots;
use crate::scheduler::submit::door::Door;
use crate::scheduler::submit::lines::Guests;
use crate::scheduler::time::timers::Timers;
use crate::scheduler::time::watched::RunLimits;
use crate::scheduler::waiting::sleepers::Waiting;

/// The host's private state.
pub struct State {
    pub tickets: Tickets,
    pub slots: Slots,
    pub queues: Queues,
    pub choice: Choice,
    pub stall: Stall,
    pub completions: Completions,
    pub waiting: Waiting,
    pub door: Door,
    pub tally: Tally,
    pub losses: Losses,
    pub timers: Timers,
    /// Tasks that may run for so long.
    pub run_limits: RunLimits,
    pub followers: Followers,
    /// Tasks that wait for others, and have no slot.
    pub nodes: Nodes,
    /// Those that wait for room without a thread.
    pub guests: Guests,
    /// Those that have, and what follows from what.
    pub graph: Graph,
    /// References to the scheduler that handles have left.
    pub spare: Spare,
    /// If every task is measured.
    pub profiling: Option<Box<Profiling>>,
    /// Threads that submit at the same time.
    pub clients: Arc<Clients>,
}

impl State {
    /// Of a fresh fold; what was counted before goes on.
    pub fn new(fold: &Fold, clients: &Arc<Clients>, capacity: usize, counters: Counters) -> Self {
        let (executors, slots) = (fold.plan.shape.executors(), fold.plan.shape.slots as usize);
        Self::of(fold, clients, executors, slots, capacity, counters)
    }

    /// Of a process that was forked off the host: there is nothing in it, it leads to no
    /// memory that others share, and it takes no tasks.
    pub fn nowhere(fold: &Fold, clients: &Arc<Clients>) -> Self {
        State {
            door: Door::of_forked(),
            followers: Followers::over(),
            ..Self::of(fold, clients, 0, 0, 0, Counters::default())
        }
    }

    fn of(
        fold: &Fold,
        clients: &Arc<Clients>,
        executors: usize,
        slots: usize,
        capacity: usize,
        counters: Counters,
    ) -> Self {
        State {
            tickets: Tickets::default(),
            slots: Slots::new(slots, capacity),
            queues: Queues::new(fold, executors),
            choice: Choice::new(executors),
            stall: Stall::default(),
            completions: Completions::new(fold, executors),
            waiting: Waiting::default(),
            door: Door::default(),
            tally: Tally::new(counters),
            losses: Losses::new(fold.plan.shape.workers as usize),
            timers: Timers::default(),
            run_limits: RunLimits::default(),
            followers: Followers::default(),
            nodes: Nodes::default(),
            guests: Guests::default(),
            graph: Graph::new(fold),
            spare: Spare::default(),
            profiling: None,
            clients: Arc::clone(clients),
        }
    }

    /// Wakes all that sleep; if nothing is accepted any more, those too that wait for room.
    pub fn unpark_all(&mut self) {
        self.refuse_guests();
        self.waiting.call_napper();
        self.waiting.wake(|_| true);
    }
}

impl State {
    /// All slots of the host that were ever used.
    pub fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        let own = (0..self.slots.used()).chain(self.graph.slots());
        own.chain(self.slots.of_clients())
    }

    /// The task in `slot` has ended.
    #[inline]
    pub fn vacate(&mut self, slot: u32) {
        self.slots.end();
        if slot < self.graph.first() {
            self.slots.free_up(slot);
        } else if self.graph.owns(slot) {
            self.graph.note_ended(slot);
        } else {
            self.slots.forget(slot);
            self.clients.give_back(slot);
        }
    }

    /// Whether no end is to be told at once.
    pub fn is_nothing_followed(&self) -> bool {
        self.followers.count() + self.graph.sources() == 0 && !self.tickets.groups.are_awaited()
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
        self.nodes.thirsty() > 0 || self.guests.are_thirsty()
    }

    /// Whether anybody but a thread waits for what a task gives back that ends.
    #[inline]
    pub fn has_stalled(&self) -> bool {
        self.nodes.stalled() > 0 || self.guests.any()
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

    /// See [`Scheduler::take_small`]; and whether no other task is in flight.
    #[inline]
    pub fn take_small(&mut self, id: u32, to: &mut [u64; SMALL / 8]) -> (Option<Taken>, bool) {
        (self.tickets.take_small(id, to), self.is_one_in_flight())
    }

    /// See [`Scheduler::take_small_if`]. Err: nothing was taken, and nothing left.
    #[inline(always)]
    pub fn take_small_if<'a>(
        &mut self,
        id: u32,
        leaving: Option<Leaving<'a>>,
        accepts: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), Option<Leaving<'a>>> {
        if !self.tickets.take_small_if(id, accepts) {
            return Err(leaving);
        }
        if let Some(leaving) = leaving {
            self.spare.keep(leaving);
        }
        Ok(())
    }

    /// Whether no other task is in flight.
    #[inline]
    pub fn is_one_in_flight(&self) -> bool {
        self.slots.in_flight() == 1
    }

    /// Whoever waits for room without a thread is told if there will be none.
    pub fn refuse_guests(&mut self) {
        if let Some(refusal) = self.door.refusal() {
            self.guests.refuse(refusal, &mut self.tickets.news);
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
