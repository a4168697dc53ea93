//! All slots of the host: which are free, and what is in the others.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use crate::prim::Hint;
use crate::sys::prefetch_for_write;

use crate::scheduler::slots::inflight::Inflight;

/// All slots of the host. Those of tasks that wait for others come behind the rest, and are
/// given out by [`Graph`](crate::scheduler::depend::graph::Graph).
#[derive(Debug)]
pub struct Slots {
    inflight: Vec<Inflight>,
    /// Popped from the end: low slots first, and the last freed next, whose lines are still in
    /// a cache.
    free: Vec<u32>,
    /// Kept for tasks that are about to be queued.
    kept: Vec<u32>,
    /// Tasks that have not ended, of both kinds.
    in_flight: usize,
    /// How many slots there are for tasks that wait for nothing.
    capacity: usize,
    /// From this one on none of these was ever used.
    used: u32,
    /// So many are not used, because clients have as many of their own.
    withheld: usize,
    /// Slots of clients whose tasks are registered.
    of_clients: BTreeMap<u32, Inflight>,
    /// What is in a slot of which nothing is known.
    nothing: Inflight,
}

impl Slots {
    /// `slots` of them, of which `capacity` may be used at a time.
    pub fn new(slots: usize, capacity: usize) -> Self {
        let capacity = capacity.min(slots);
        Slots {
            inflight: (0..slots).map(|_| Inflight::none()).collect(),
            free: (0..capacity as u32).rev().collect(),
            kept: Vec::new(),
            in_flight: 0,
            capacity,
            used: 0,
            withheld: 0,
            of_clients: BTreeMap::new(),
            nothing: Inflight::none(),
        }
    }

    /// Whether there is no free slot.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// How many are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Tasks that have not ended.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The most tasks in flight.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// From this one on none was ever used, but for those that `Graph` gives out.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// So many are not used any more, but by others; false if there are not so many free ones.
    pub fn withhold(&mut self, count: usize) -> bool {
        let is_enough = self.free.len() >= count;
        if is_enough {
            // Those that are used last.
            self.free.drain(..count);
            self.withheld += count;
        }
        is_enough
    }

    /// How many are.
    pub fn withheld(&self) -> usize {
        self.withheld
    }

    /// Takes a free slot. There is one.
    #[inline(always)]
    pub fn take(&mut self) -> u32 {
        let index = self.free.pop().unwrap_or_default();
        self.used = self.used.max(index + 1);
        index
    }

    /// Keeps a free slot for a task that is about to be queued; false if there is none.
    pub fn keep(&mut self) -> bool {
        let place = self.free.pop();
        self.kept.extend(place);
        place.is_some()
    }

    /// One that was kept is free, and the next to be taken.
    pub fn give_back(&mut self) {
        if let Some(place) = self.kept.pop() {
            self.free.push(place);
        }
    }

    /// One more task is in flight.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.in_flight += 1;
    }

    /// One less is.
    #[inline(always)]
    pub fn end(&mut self) {
        self.in_flight -= 1;
    }

    /// The slot is free.
    #[inline(always)]
    pub fn free_up(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// One more slot, behind all others.
    pub fn grow(&mut self) {
        self.inflight.push(Inflight::none());
    }

    /// The task in a slot of a client's is registered: it is in flight, and what is known of it
    /// is this.
    pub fn register(&mut self, slot: u32, inflight: Inflight) {
        self.in_flight += 1;
        self.of_clients.insert(slot, inflight);
    }

    /// The task in a slot of a client's has ended.
    pub fn forget(&mut self, slot: u32) {
        self.of_clients.remove(&slot);
    }

    /// Slots of clients whose tasks are registered.
    pub fn of_clients(&self) -> Vec<u32> {
        self.of_clients.keys().copied().collect()
    }

    /// How many these are.
    pub fn registered(&self) -> usize {
        self.of_clients.len()
    }

    /// What is in slot `at`, if there is such a slot.
    #[inline(always)]
    pub fn get(&self, at: usize) -> Option<&Inflight> {
        let inflight = self.inflight.get(at);
        if inflight.is_none() && !self.of_clients.is_empty() {
            return self.of_clients.get(&(at as u32));
        }
        inflight
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Inflight> {
        match self.inflight.get_mut(at) {
            None => self.of_clients.get_mut(&(at as u32)),
            inflight => inflight,
        }
    }

    /// Whether the task of `hint` is in its slot, and has not ended.
    #[inline(always)]
    pub fn is_live(&self, hint: Hint) -> bool {
        let inflight = self.get(hint.slot.at());
        inflight.is_some_and(|inflight| inflight.is_of(hint.generation))
    }

    /// Whether the task of `ticket` is in slot `at`.
    #[inline]
    pub fn is_at(&self, at: usize, ticket: u32) -> bool {
        let inflight = self.get(at);
        inflight.is_some_and(|inflight| inflight.ticket() == Some(ticket))
    }

    /// Which free slot is taken next.
    #[inline]
    pub fn next(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// Has what is known of slot `slot` brought here meanwhile.
    #[inline]
    pub fn ask_for(&self, slot: u32) {
        prefetch_for_write(&self[slot]);
    }

    /// Those that are free.
    #[cfg(test)]
    pub fn all_free(&self) -> Vec<u32> {
        self.free.clone()
    }
}

impl Index<u32> for Slots {
    type Output = Inflight;

    #[inline(always)]
    fn index(&self, slot: u32) -> &Inflight {
        match self.inflight.get(slot as usize) {
            Some(inflight) => inflight,
            None => self.of_client(slot),
        }
    }
}

impl IndexMut<u32> for Slots {
    #[inline(always)]
    fn index_mut(&mut self, slot: u32) -> &mut Inflight {
        match self.inflight.get_mut(slot as usize) {
            Some(inflight) => inflight,
            // As in `of_client`; what is written there goes nowhere.
            None => match self.of_clients.get_mut(&slot) {
                Some(inflight) => inflight,
                None => {
                    self.nothing = Inflight::none();
                    &mut self.nothing
                }
            },
        }
    }
}

impl Slots {
    /// What is in a slot of a client's; nothing, if its task has ended, or is not registered.
    #[cold]
    fn of_client(&self, slot: u32) -> &Inflight {
        self.of_clients.get(&slot).unwrap_or(&self.nothing)
    }
}
