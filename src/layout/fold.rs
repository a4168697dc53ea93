//! An attached fold: typed views of every zone.

use std::sync::Arc;

use crate::notify::Doorbell;
use crate::pool::Pool;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{ExecutorId, Line, ProcessId};
use crate::ring::RingView;
use crate::shm::{Header, Segment, View, Views};
use crate::sys::barrier;
use crate::task::Slot;

use super::plan::Plan;
use super::record::ExecutorRecord;

/// A process's view of the segment.
#[derive(Clone, Debug)]
pub struct Fold {
    segment: Arc<Segment>,
    /// Where everything is.
    pub plan: Plan,
    /// The first page.
    pub header: View<Header>,
    /// Rung when tasks have finished and somebody in the host waits.
    pub host_bell: View<Line<Doorbell>>,
    /// Executors that look for work: no need to wake anybody.
    pub searching: BitSet,
    /// Executors that sleep, or are about to.
    pub sleeping: BitSet,
    /// One record per executor.
    pub executors: Views<ExecutorRecord>,
    /// The task slots.
    pub slots: Views<Slot>,
}

impl Fold {
    /// Views of `segment`, which was created or attached for `plan`.
    pub fn new(segment: Segment, plan: Plan) -> Self {
        let segment = Arc::new(segment);
        let set_words = plan.shape.executors().div_ceil(64);
        Fold {
            header: segment.header(),
            host_bell: segment.view(plan.host_bell),
            searching: BitSet(segment.views(plan.searching, set_words)),
            sleeping: BitSet(segment.views(plan.sleeping, set_words)),
            executors: segment.views(plan.executors, plan.shape.executors()),
            slots: segment.views(plan.slots, plan.shape.slots as usize),
            plan,
            segment,
        }
    }

    /// The segment itself.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The ring through which `executor` gets its work.
    pub fn inbox(&self, executor: usize) -> RingView {
        self.ring(self.plan.inboxes, executor)
    }

    /// The ring through which `executor` says what it has finished.
    pub fn completions(&self, executor: usize) -> RingView {
        self.ring(self.plan.completions, executor)
    }

    fn ring(&self, zone: usize, executor: usize) -> RingView {
        assert!(executor < self.plan.shape.executors());
        let at = zone + executor * self.plan.ring_stride;
        RingView::attach(&self.segment, at, self.plan.shape.ring_capacity())
    }

    /// Process `me`'s side of the pool.
    pub fn pool(&self, me: ProcessId) -> Pool {
        Pool::attach(&self.segment, &self.plan.pool, me)
    }

    /// Wakes one sleeping executor, `preferred` if it sleeps, unless somebody is
    /// looking for work already. The caller has published the work and passed
    /// [`barrier::light`].
    ///
    /// The one that is woken is marked as searching on its behalf, so that the
    /// next submitter wakes nobody in the 40 µs that waking takes.
    #[inline]
    pub fn wake_one(&self, preferred: ExecutorId) -> bool {
        if self.searching.any() {
            return false;
        }
        self.wake_sleeper(preferred)
    }

    /// As [`Fold::wake_one`], whoever may be looking for work: it may be stopped.
    pub fn wake_sleeper(&self, preferred: ExecutorId) -> bool {
        let count = self.plan.shape.executors() as u32;
        loop {
            let Some(chosen) = self.sleeping.first_from(preferred.0, count) else {
                return false;
            };
            // Marked before it can wake: had it woken by itself, and found work, and
            // taken its mark away, a mark set afterwards would stay for as long as
            // that work takes, and nobody else would be woken.
            self.searching.insert(chosen);
            // Two wakers may choose the same one; whoever clears its bit rings.
            if self.sleeping.remove(chosen) {
                barrier::light();
                self.executors[chosen as usize].bell.force();
                return true;
            }
            // It is awake already. If it does search, it does so unmarked now, which
            // costs a needless wake at most.
            self.searching.remove(chosen);
        }
    }

    /// Wakes everybody, whatever their marks say: after a death, or to stop.
    pub fn wake_all(&self) {
        for record in self.executors.iter() {
            record.bell.force();
        }
        self.host_bell.force();
    }
}

/// A set of executors: one bit each, set and cleared without harm if done twice.
#[derive(Clone, Debug)]
pub struct BitSet(Views<AtomicU64>);

impl BitSet {
    /// Adds `member`; true if it was not in.
    pub fn insert(&self, member: u32) -> bool {
        let bit = 1 << (member % 64);
        // ordering: AcqRel: sleepers insert themselves before the heavy barrier;
        // wakers read after the light one.
        self.0[member as usize / 64].fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Removes `member`; true if it was in.
    pub fn remove(&self, member: u32) -> bool {
        let bit = 1 << (member % 64);
        // ordering: AcqRel as in `insert`.
        self.0[member as usize / 64].fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Whether `member` is in.
    pub fn contains(&self, member: u32) -> bool {
        // Relaxed: a hint, or ordered by the caller's barrier.
        self.0[member as usize / 64].load(Ordering::Relaxed) & (1 << (member % 64)) != 0
    }

    /// Whether anybody is in.
    #[inline]
    pub fn any(&self) -> bool {
        // Relaxed: as in `contains`.
        self.0.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Empties the set.
    pub fn clear(&self) {
        for word in self.0.iter() {
            // ordering: AcqRel as in `insert`.
            word.swap(0, Ordering::AcqRel);
        }
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        // Relaxed: as in `contains`.
        self.0
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones() as usize)
            .sum()
    }

    /// The first member at or after `from`, else the first of all, below `end`.
    fn first_from(&self, from: u32, end: u32) -> Option<u32> {
        (from..end)
            .chain(0..from.min(end))
            .find(|m| self.contains(*m))
    }
}
