//! All slots of the host: which are free, and what is in the others.

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

    /// What is in slot `at`, if there is such a slot.
    #[inline(always)]
    pub fn get(&self, at: usize) -> Option<&Inflight> {
        self.inflight.get(at)
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Inflight> {
        self.inflight.get_mut(at)
    }

    /// Whether the task of `hint` is in its slot, and has not ended.
    #[inline(always)]
    pub fn is_live(&self, hint: Hint) -> bool {
        let inflight = self.inflight.get(hint.slot.at());
        inflight.is_some_and(|inflight| inflight.is_of(hint.generation))
    }

    /// Whether the task of `ticket` is in slot `at`.
    #[inline]
    pub fn is_at(&self, at: usize, ticket: u32) -> bool {
        let inflight = self.inflight.get(at);
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
        prefetch_for_write(&self.inflight[slot as usize]);
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
        &self.inflight[slot as usize]
    }
}

impl IndexMut<u32> for Slots {
    #[inline(always)]
    fn index_mut(&mut self, slot: u32) -> &mut Inflight {
        &mut self.inflight[slot as usize]
    }
}
