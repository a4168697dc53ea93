//! From the shape of a fold to the offset of everything: pure arithmetic.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::notify::ClientLine;
use crate::pool::PoolPlan;
use crate::prim::atomic::AtomicU64;
use crate::prim::{Line, Priority, SlotIndex};
use crate::ring::RingView;
use crate::shm::HEADER_LEN;
use crate::task::{Edges, Note, Slot};

use super::measure::Measure;
use super::record::ExecutorRecord;

/// The most executors of a fold.
pub const EXECUTORS_MAX: usize = 1024;
/// The most task slots of the host (with those of the executors, an index must fit a
/// word's owner field).
pub const SLOTS_MAX: usize = 1 << 19;
/// Task slots of each executor, for tasks that its tasks spawn.
pub const NEST_SLOTS: usize = 256;
/// Words of the ring in which an executor offers them to others.
pub const NEST_RING: usize = 2 * NEST_SLOTS;

/// Words of the ring of what one worker alone may run. If it is full, the host keeps the hints.
pub const ERRAND_RING: usize = 256;

/// Slots for tasks that wait for others: so many times as many as for others, ...
const PENDING_SLOTS: u32 = 4;
/// ... but not more than this.
pub const PENDING_SLOTS_MAX: usize = 1 << 16;
/// Words of the ring in which an executor shows those that nothing is missing of any more.
/// If it is full, the host shows them.
pub const READY_RING: usize = 1024;

/// Clients: threads of the host that submit at the same time have slots and a ring of their own.
/// A set of them is one word.
pub const CLIENTS: usize = 64;
/// Task slots of each client.
pub const CLIENT_SLOTS: usize = 1024;
/// Words of the ring in which a client offers what is in them.
pub const CLIENT_RING: usize = 2 * CLIENT_SLOTS;
/// Bytes that a client takes, about.
pub const CLIENT_LEN: usize = CLIENT_SLOTS
    * (size_of::<Slot>() + size_of::<Note>() + size_of::<Measure>() + size_of::<Edges>())
    + RingView::len(CLIENT_RING);

const _: () = assert!(
    SLOTS_MAX + PENDING_SLOTS_MAX + CLIENTS * CLIENT_SLOTS + EXECUTORS_MAX * NEST_SLOTS <= 1 << 20
);
/// Lanes: one for each priority but the normal one.
pub const LANES: usize = Priority::LANES.len();
/// Words of a set of executors.
pub const SET_WORDS: usize = EXECUTORS_MAX / 64;

/// What a fold is made of; travels in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Worker processes.
    pub workers: u32,
    /// Executor threads in each.
    pub threads: u32,
    /// Task slots, but for those that only tasks get which wait for others; a power of two.
    pub slots: u32,
    /// How many threads of the host may have slots of their own.
    pub clients: u32,
    /// Bytes of user memory.
    pub memory: u64,
}

impl Shape {
    /// Executors in all.
    pub fn executors(&self) -> usize {
        self.workers as usize * self.threads as usize
    }

    /// The worker of executor `executor`.
    pub fn worker_of(&self, executor: usize) -> usize {
        executor / self.threads.max(1) as usize
    }

    /// Slots of tasks that wait for others; they come after the other ones.
    pub fn pending_slots(&self) -> u32 {
        let slots = self.slots.saturating_mul(PENDING_SLOTS);
        slots.min(PENDING_SLOTS_MAX as u32)
    }

    /// The first slot of a client's.
    pub fn client_slots(&self) -> u32 {
        self.slots + self.pending_slots()
    }

    /// The host's slots, of all three kinds: the clients' come last.
    pub fn host_slots(&self) -> u32 {
        self.client_slots() + self.clients * CLIENT_SLOTS as u32
    }

    /// Whether it is one of those for tasks that wait for others.
    #[inline]
    pub fn is_for_pending(&self, slot: SlotIndex) -> bool {
        (self.slots..self.client_slots()).contains(&slot.0)
    }

    /// Which client's slot this is; `None`: no client's.
    #[inline]
    pub fn client_of(&self, slot: SlotIndex) -> Option<usize> {
        let at = slot.0.checked_sub(self.client_slots())? as usize / CLIENT_SLOTS;
        (at < self.clients as usize).then_some(at)
    }

    /// Slots in all: the host's first, then those of each executor.
    pub fn all_slots(&self) -> usize {
        self.host_slots() as usize + self.executors() * NEST_SLOTS
    }

    /// The first slot of `executor`'s own.
    pub fn nest_start(&self, executor: usize) -> u32 {
        self.host_slots() + (executor * NEST_SLOTS) as u32
    }

    /// Whose slot this is; `None`: the host's, or there is no such slot.
    pub fn nest_owner(&self, slot: SlotIndex) -> Option<usize> {
        let own = slot.0.checked_sub(self.host_slots())? as usize / NEST_SLOTS;
        (own < self.executors()).then_some(own)
    }

    /// Words of every ring: twice the slots, so that completion hints which the
    /// host has not read yet and recovered ones besides the first fit too. What was pending
    /// comes on top, and may find no room: the host keeps its hints, and an executor says that
    /// it had none.
    pub fn ring_capacity(&self) -> usize {
        (self.slots as usize * 2).max(64)
    }

    /// Whether the numbers are within their bounds.
    pub fn is_sane(&self) -> bool {
        let product = u64::from(self.workers) * u64::from(self.threads);
        (1..=EXECUTORS_MAX as u64).contains(&product)
            && self.slots.is_power_of_two()
            && self.slots as usize <= SLOTS_MAX
            && self.clients as usize <= CLIENTS
            && self.memory < 1 << 46
    }
}

/// Offsets in bytes from the segment's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it was computed from.
    pub shape: Shape,
    /// The host's doorbell.
    pub host_bell: usize,
    /// The set of executors that look for work.
    pub searching: usize,
    /// The set of executors that sleep, and that of those that do so in the middle of a task.
    pub resting: usize,
    /// The set of clients whose rings are looked at.
    pub offering: usize,
    /// Client records.
    pub clients: usize,
    /// Executor records.
    pub executors: usize,
    /// Heads and tails of the lanes: apart from their words, for everybody looks at
    /// them all the time, and they seldom change.
    pub lanes: usize,
    /// Rings of what one worker alone may run.
    pub errands: usize,
    /// Bytes from one of these to the next.
    pub errand_stride: usize,
    /// Inbox rings.
    pub inboxes: usize,
    /// Completion rings.
    pub completions: usize,
    /// Rings of the executors' own tasks.
    pub nests: usize,
    /// Bytes from one of these to the next.
    pub nest_stride: usize,
    /// Rings of tasks that executors have made ready.
    pub ready: usize,
    /// Bytes from one of these to the next.
    pub ready_stride: usize,
    /// Bytes from one ring to the next.
    pub ring_stride: usize,
    /// Rings in which clients offer tasks.
    pub client_rings: usize,
    /// Bytes from one of these to the next.
    pub client_stride: usize,
    /// Words of the lanes, one after the other.
    pub lane_words: usize,
    /// Task slots.
    pub slots: usize,
    /// A note beside each slot.
    pub notes: usize,
    /// What was measured of the tasks in the host's slots.
    pub measures: usize,
    /// What each of these depends on, and what on it.
    pub edges: usize,
    /// The pool.
    pub pool: PoolPlan,
    /// Bytes of the whole segment.
    pub len: usize,
}

impl Plan {
    /// The plan for a sane shape.
    ///
    /// # Panics
    /// If the shape is not [sane](Shape::is_sane).
    pub fn new(shape: Shape) -> Self {
        assert!(shape.is_sane(), "{shape:?}");
        let executors = shape.executors();
        let mut at = HEADER_LEN;
        let mut zone = |len: usize| {
            let start = at;
            at = (at + len).next_multiple_of(128);
            start
        };
        let line = size_of::<Line<AtomicU64>>();
        let host_bell = zone(line);
        let searching = zone(SET_WORDS * 8);
        let resting = zone(2 * SET_WORDS * 8);
        let offering = zone(line);
        let client_count = shape.clients as usize;
        let clients = zone(client_count * size_of::<ClientLine>());
        let executor_records = zone(executors * size_of::<ExecutorRecord>());
        let lanes = zone(LANES * RingView::INDICES_LEN);
        let errand_stride = RingView::len(ERRAND_RING).next_multiple_of(128);
        let errands = zone(shape.workers as usize * errand_stride);
        let ring_stride = RingView::len(shape.ring_capacity()).next_multiple_of(128);
        let inboxes = zone(executors * ring_stride);
        let completions = zone(executors * ring_stride);
        let nest_stride = RingView::len(NEST_RING).next_multiple_of(128);
        let nests = zone(executors * nest_stride);
        let ready_stride = RingView::len(READY_RING).next_multiple_of(128);
        let ready = zone(executors * ready_stride);
        let client_stride = RingView::len(CLIENT_RING).next_multiple_of(128);
        let client_rings = zone(client_count * client_stride);
        let lane_words = zone(LANES * RingView::words_len(shape.ring_capacity()));
        let slots = zone(shape.all_slots() * size_of::<Slot>());
        let notes = zone(shape.all_slots() * size_of::<Note>());
        let measures = zone(shape.host_slots() as usize * size_of::<Measure>());
        let edges = zone(shape.host_slots() as usize * size_of::<Edges>());
        let processes = shape.workers as usize + 1;
        let pool = PoolPlan::new(at, shape.memory as usize, processes);
        Plan {
            shape,
            host_bell,
            searching,
            resting,
            offering,
            clients,
            executors: executor_records,
            lanes,
            errands,
            errand_stride,
            inboxes,
            completions,
            nests,
            nest_stride,
            ready,
            ready_stride,
            ring_stride,
            client_rings,
            client_stride,
            lane_words,
            slots,
            notes,
            measures,
            edges,
            len: pool.end,
            pool,
        }
    }

    /// Differs whenever two builds would not agree on where something is.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.shape.hash(&mut hasher);
        for offset in [
            self.host_bell,
            self.searching,
            self.resting,
            self.offering,
            self.clients,
            self.executors,
            self.lanes,
            self.errands,
            self.errand_stride,
            self.inboxes,
            self.completions,
            self.nests,
            self.nest_stride,
            self.ready,
            self.ready_stride,
            self.ring_stride,
            self.client_rings,
            self.client_stride,
            self.lane_words,
            self.slots,
            self.notes,
            self.measures,
            self.edges,
            self.pool.header,
            self.pool.span_words,
            self.pool.free_bits,
            self.pool.avail_bits,
            self.pool.block_words,
            self.pool.passages,
            self.pool.arena,
            self.len,
        ] {
            offset.hash(&mut hasher);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_follow_one_another() {
        for (workers, threads, slots, memory) in [
            (1, 1, 1, 0),
            (2, 3, 4096, 1 << 20),
            (128, 8, 1 << 19, 1 << 38),
        ] {
            let shape = Shape {
                workers,
                threads,
                slots,
                clients: 3,
                memory,
            };
            let p = Plan::new(shape);
            let n = shape.executors();
            let zones = [
                (0, HEADER_LEN),
                (p.host_bell, 128),
                (p.searching, SET_WORDS * 8),
                (p.resting, 2 * SET_WORDS * 8),
                (p.offering, 128),
                (p.clients, 3 * 128),
                (p.executors, n * size_of::<ExecutorRecord>()),
                (p.lanes, 3 * 256),
                (p.errands, workers as usize * p.errand_stride),
                (p.inboxes, n * p.ring_stride),
                (p.completions, n * p.ring_stride),
                (p.nests, n * p.nest_stride),
                (p.ready, n * p.ready_stride),
                (p.client_rings, 3 * p.client_stride),
                (p.lane_words, 3 * 8 * shape.ring_capacity()),
                (p.slots, shape.all_slots() * 64),
                (p.notes, shape.all_slots() * 128),
                (p.measures, shape.host_slots() as usize * 64),
                (p.edges, shape.host_slots() as usize * 192),
                (p.pool.header, p.len - p.pool.header),
                (p.len, 0),
            ];
            for pair in zones.windows(2) {
                assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
                assert_eq!(pair[0].0 % 64, 0);
            }
        }
    }

    #[test]
    fn every_number_changes_the_hash() {
        let shape = Shape {
            workers: 2,
            threads: 1,
            slots: 1024,
            clients: 2,
            memory: 1 << 20,
        };
        let hash = Plan::new(shape).hash();
        for other in [
            Shape {
                workers: 3,
                ..shape
            },
            Shape {
                threads: 2,
                ..shape
            },
            Shape {
                slots: 2048,
                ..shape
            },
            Shape {
                clients: 3,
                ..shape
            },
            Shape {
                memory: 1 << 21,
                ..shape
            },
        ] {
            assert_ne!(Plan::new(other).hash(), hash);
        }
    }

    #[test]
    fn insane_shapes_are_told() {
        let shape = |workers, threads, slots| Shape {
            workers,
            threads,
            slots,
            clients: 0,
            memory: 0,
        };
        assert!(shape(1, 1, 1).is_sane());
        for bad in [
            shape(0, 1, 1),
            shape(1, 0, 1),
            shape(1, 1, 3),
            shape(1025, 1, 1),
        ] {
            assert!(!bad.is_sane());
        }
        assert!(!shape(u32::MAX, u32::MAX, 1).is_sane());
        assert!(!shape(1, 1, 1 << 20).is_sane());
        let clients = |clients| Shape {
            clients,
            ..shape(1, 1, 1)
        };
        assert!(clients(64).is_sane() && !clients(65).is_sane());
    }
}
