//! The rings of hints that the host fills, and what finds no room in them.

use std::fmt;

use crate::layout::{Fold, LANES};
use crate::prim::Priority;
use crate::ring::{Damaged, steal};

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

/// The host's side of a lane.
#[derive(Debug)]
struct Lane {
    ring: steal::Producer,
    /// Filled and not yet published.
    is_touched: bool,
}

/// All rings of hints that the host fills. What was *staged* is seen by executors when it is
/// published.
#[derive(Debug)]
pub struct Queues {
    inboxes: Vec<steal::Producer>,
    /// Executors whose inbox was filled and not yet published.
    touched: Vec<usize>,
    /// One for each priority but the normal one.
    lanes: [Lane; LANES],
    /// Whether any of them is.
    are_lanes_touched: bool,
    /// Per worker: what it alone may run.
    errands: Vec<steal::Producer>,
    /// Hints for which no inbox, or not their lane, had room; tried again after every collection.
    aside: Vec<u64>,
    /// What executors have made ready themselves; looked at only.
    ready: Vec<steal::Taker>,
}

impl Queues {
    /// Those of a fresh fold, as far as so many executors go.
    pub fn new(fold: &Fold, executors: usize) -> Self {
        Queues {
            inboxes: (0..executors)
                .map(|e| steal::Producer::attach(fold.inbox(e)))
                .collect(),
            touched: Vec::with_capacity(executors),
            lanes: std::array::from_fn(|lane| Lane {
                ring: steal::Producer::attach(fold.lane(lane)),
                is_touched: false,
            }),
            are_lanes_touched: false,
            errands: (0..executors / fold.plan.shape.threads.max(1) as usize)
                .map(|worker| steal::Producer::attach(fold.errands(worker)))
                .collect(),
            aside: Vec::new(),
            ready: (0..executors)
                .map(|e| steal::Taker::attach(fold.ready(e)))
                .collect(),
        }
    }

    /// How many inboxes there are.
    #[inline(always)]
    pub fn inboxes(&self) -> usize {
        self.inboxes.len()
    }

    /// Puts a hint behind the tail of an inbox, to be published; false if there is no room.
    #[inline(always)]
    pub fn stage(&mut self, executor: usize, hint: u64) -> bool {
        self.inboxes[executor].stage(hint) == Ok(true)
    }

    /// The inbox of `executor` is to be published.
    #[inline(always)]
    pub fn touch(&mut self, executor: usize) {
        // Mostly it is the last one.
        if self.touched.last() != Some(&executor) && !self.touched.contains(&executor) {
            self.touched.push(executor);
        }
    }

    /// Puts a hint into any inbox with room, or aside.
    #[cold]
    pub fn stage_anywhere(&mut self, hint: u64) {
        let mut all = 0..self.inboxes.len();
        match all.find(|executor| self.stage(*executor, hint)) {
            Some(executor) => self.touch(executor),
            None => self.aside.push(hint),
        }
    }

    /// Whether any inbox is to be published.
    #[inline(always)]
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Shows what is in an inbox.
    #[inline(always)]
    pub fn publish(&mut self, executor: usize) {
        self.inboxes[executor].publish();
    }

    /// Shows what is in all that were touched. They stay so until they are taken.
    #[inline]
    pub fn publish_touched(&mut self) {
        for executor in &self.touched {
            self.inboxes[*executor].publish();
        }
    }

    /// One that was touched, and is so no more.
    #[inline]
    pub fn take_touched(&mut self) -> Option<usize> {
        self.touched.pop()
    }

    /// None is touched any more.
    #[inline]
    pub fn forget_touched(&mut self) {
        self.touched.clear();
    }

    /// Hints in an inbox, as last seen.
    #[inline(always)]
    pub fn backlog_seen(&self, executor: usize) -> u64 {
        self.inboxes[executor].backlog_seen()
    }

    /// Hints in an inbox now.
    #[inline]
    pub fn backlog(&mut self, executor: usize) -> Result<u64, Damaged> {
        self.inboxes[executor].refresh()
    }

    /// Puts a hint into a lane, or aside.
    pub fn put_in_lane(&mut self, lane: usize, hint: u64) {
        let lane = &mut self.lanes[lane];
        if lane.ring.stage(hint) == Ok(true) {
            lane.is_touched = true;
            self.are_lanes_touched = true;
        } else {
            self.aside.push(hint);
        }
    }

    /// Whether any lane is to be published.
    #[inline(always)]
    pub fn are_lanes_touched(&self) -> bool {
        self.are_lanes_touched
    }

    /// Shows what was put into lanes; how many hints wait there, and what damage was found.
    pub fn publish_lanes(&mut self) -> (u64, Option<String>) {
        self.are_lanes_touched = false;
        let (mut backlog, mut damage) = (0, None);
        for (lane, level) in self.lanes.iter_mut().zip(Priority::LANES) {
            if !std::mem::take(&mut lane.is_touched) {
                continue;
            }
            lane.ring.publish();
            match lane.ring.refresh() {
                Ok(waiting) => backlog += waiting,
                Err(damaged) => damage = Some(format!("{}: {damaged}", RingName::Lane(level))),
            }
        }
        (backlog, damage)
    }

    /// Shows a hint to one worker alone; false if there is no room, or no such worker.
    pub fn show_errand(&mut self, worker: u32, hint: u64) -> bool {
        let ring = self.errands.get_mut(worker as usize);
        let staged = ring.and_then(|ring| (ring.stage(hint) == Ok(true)).then_some(ring));
        staged.map(steal::Producer::publish).is_some()
    }

    /// Puts a hint aside, unless it is there.
    pub fn put_aside(&mut self, hint: u64) {
        if !self.aside.contains(&hint) {
            self.aside.push(hint);
        }
    }

    /// Whether any hint was put aside.
    #[inline]
    pub fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The hints that were put aside.
    pub fn aside(&self) -> &[u64] {
        &self.aside
    }

    /// Takes all of them.
    pub fn take_aside(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.aside)
    }

    /// Every inbox and every lane, with what it is called.
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

    /// An executor that has made tasks ready which nobody has taken.
    pub fn ready(&self) -> Option<usize> {
        self.ready.iter().position(|ring| ring.backlog() > 0)
    }

    /// Whether this executor has.
    pub fn is_ready(&self, executor: usize) -> bool {
        self.ready[executor].backlog() > 0
    }
}
