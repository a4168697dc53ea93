//! What the host alone knows, under one lock.

use std::sync::Arc;
use std::thread::Thread;
use std::time::Instant;

use serde::Serialize;

use crate::error::{Attempt, Refusal};
use crate::layout::Fold;
use crate::pool::Transfer;
use crate::prim::Generation;
use crate::ring::{spsc, steal};
use crate::task::{Head, INLINE_LEN, Label};

use super::backoff::Backoff;
use super::deadline::Deadline;
use super::profile::Profiling;
use super::rescue::Dying;
use super::ticket::Tickets;
use super::timers::Timers;

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
    /// Runs repeated because a worker died.
    pub repeated: u64,
    /// Tasks that ended because their hard deadline had come.
    pub late: u64,
    /// Tasks that ended with any other error.
    pub failed: u64,
    /// Tasks not accepted by `try_spawn`.
    pub refused: u64,
    /// Completion hints that no longer held.
    pub stale: u64,
    /// Things found in shared memory that no correct process writes.
    pub damage: u64,
    /// Tasks in flight now.
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

/// What a task has that has buffers or long arguments, a label or a deadline, may be
/// run again, or has killed a worker.
#[derive(Debug, Default)]
pub struct Extra {
    /// Holds for its arguments' buffers, and the block of long arguments.
    pub holds: Vec<Transfer>,
    /// What the submitter calls it, and more.
    pub label: Option<Arc<Label>>,
    /// What to write for another run.
    pub again: Option<Again>,
    /// When it must have ended.
    pub deadline: Option<Deadline>,
    /// The attempts that ended with the worker.
    pub attempts: Vec<Attempt>,
}

impl Inflight {
    fn none() -> Self {
        Inflight {
            // Not 0: words of fresh memory speak of no task.
            generation: Generation::new(1),
            ticket: None,
            name: || "",
            extra: None,
        }
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

/// Somebody parked until something happens.
#[derive(Debug)]
pub struct Waiter {
    pub thread: Thread,
    /// The ticket it waits for; `None`: for room.
    pub ticket: Option<u32>,
    /// Where that ticket's task is.
    pub hint: u64,
}

/// The host's private state.
#[derive(Debug)]
pub struct State {
    pub tickets: Tickets,
    pub free: Vec<u32>,
    pub inflight: Vec<Inflight>,
    pub in_flight: usize,
    pub inboxes: Vec<steal::Producer>,
    pub completions: Vec<spsc::Consumer>,
    pub overflows_seen: Vec<u64>,
    /// Hints for which no inbox had room; tried again after every collection.
    pub homeless: Vec<u64>,
    pub next: usize,
    /// Executors whose inbox was filled and not yet published.
    pub touched: Vec<usize>,
    /// Per executor: how long a task takes, as last read; a line that the executor
    /// writes all the time is not read for every submit.
    pub grains_ns: Vec<u64>,
    /// Slots whose completion was read and not yet followed; empty in between.
    pub due: Vec<u32>,
    pub waiters: Vec<Waiter>,
    pub leader: bool,
    /// Why no task is accepted any more.
    pub closed: Option<Refusal>,
    pub counters: Counters,
    /// The most tasks in flight.
    pub capacity: usize,
    /// Slots from this one on were never used.
    pub used: u32,
    /// Per worker: it has no process, and nothing is left of the last one.
    pub swept: Vec<bool>,
    /// Per executor: it has ended, and was not seen at work since.
    pub offline: Vec<bool>,
    /// Attempts whose worker is gone, and of which it is not known how.
    pub dying: Vec<Dying>,
    pub timers: Timers,
    /// When to look whether work waits behind a long task while somebody sleeps.
    pub watch: Option<Instant>,
    /// Tasks that had ended when it was last decided to look.
    pub ended_before: u64,
    /// If every task is measured.
    pub profiling: Option<Box<Profiling>>,
}

impl State {
    /// Of a fresh fold; what was counted before goes on.
    pub fn new(fold: &Fold, capacity: usize, counters: Counters) -> Self {
        let executors = fold.plan.shape.executors();
        let slots = fold.plan.shape.slots as usize;
        let capacity = capacity.min(slots);
        State {
            tickets: Tickets::default(),
            // Popped from the end: low slots first, and the last freed next, whose
            // lines are still in a cache.
            free: (0..capacity as u32).rev().collect(),
            inflight: (0..slots).map(|_| Inflight::none()).collect(),
            in_flight: 0,
            inboxes: (0..executors)
                .map(|e| steal::Producer::attach(fold.inbox(e)))
                .collect(),
            completions: (0..executors)
                .map(|e| spsc::Consumer::attach(fold.completions(e)))
                .collect(),
            overflows_seen: vec![0; executors],
            homeless: Vec::new(),
            next: 0,
            touched: Vec::with_capacity(executors),
            grains_ns: vec![0; executors],
            due: Vec::new(),
            waiters: Vec::new(),
            leader: false,
            closed: None,
            counters,
            capacity,
            used: 0,
            swept: vec![true; fold.plan.shape.workers as usize],
            offline: vec![false; executors],
            dying: Vec::new(),
            timers: Timers::default(),
            watch: None,
            ended_before: 0,
            profiling: None,
        }
    }

    pub fn unpark_all(&mut self) {
        for waiter in &self.waiters {
            waiter.thread.unpark();
        }
    }
}
