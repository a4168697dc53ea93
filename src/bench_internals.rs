//! For the benchmarks of this repository: rings, bells and pool by themselves.
//!
//! Only with the feature `bench-internals`, and without any promise.

use std::sync::Arc;

pub use crate::notify::{Doorbell, Key};
pub use crate::pool::{Parcel, Pool, PoolPlan, Transfer};
pub use crate::prim::atomic::AtomicU64;
pub use crate::prim::{BlockIndex, Generation, Line, ProcessId, SlotIndex};
pub use crate::ring::{Damaged, RingView, spsc, steal};
pub use crate::runtime::Peek;
pub use crate::shm::{Segment, View};
pub use crate::sys::barrier;

/// A pool in a segment of its own, as its first process sees it; the others attach after
/// a fork, which keeps the mapping.
#[derive(Debug)]
pub struct PoolBed {
    segment: Arc<Segment>,
    plan: PoolPlan,
}

impl PoolBed {
    /// A fresh pool of `bytes` of user memory for `processes` processes.
    ///
    /// # Panics
    /// If the system has no such memory.
    pub fn new(bytes: usize, processes: usize) -> Self {
        // As a host does, so that barriers cost what they cost in a fold.
        crate::sys::barrier::settle();
        let plan = PoolPlan::new(crate::shm::HEADER_LEN, bytes, processes);
        let segment = Segment::create(plan.end).expect("a segment for the pool");
        PoolBed {
            segment: Arc::new(segment),
            plan,
        }
    }

    /// The side of process `me`.
    pub fn attach(&self, me: u32) -> Pool {
        Pool::attach(&self.segment, &self.plan, ProcessId(me))
    }
}
