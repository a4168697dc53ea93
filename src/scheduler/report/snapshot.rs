//! What was counted so far, and how full the queues are.

use crate::prim::Priority;

use crate::scheduler::dispatch::queues::RingName;
use crate::scheduler::report::counters::Counters;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

/// What the host alone knows, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How often each thing happened to a task.
    pub counters: Counters,
    /// The most tasks in flight.
    pub capacity: u64,
    /// Per executor: hints in its inbox.
    pub inboxes: Vec<u64>,
    /// Per priority with a lane: hints in it.
    pub lanes: Vec<(Priority, u64)>,
}

impl Scheduler {
    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.snapshot().counters
    }

    fn counted(&self, state: &mut State) -> Counters {
        self.register_odd_ends(state);
        let (submitted, completed) = self.clients.counts();
        let in_flight = state.slots.in_flight() + (submitted - completed) as usize;
        let counters = state.tally.read(in_flight);
        Counters {
            submitted: counters.submitted + submitted,
            completed: counters.completed + completed,
            ..counters
        }
    }

    /// What was counted so far, and how full the queues are: all at one moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut state = self.lock();
        self.reap(&mut state);
        let (mut inboxes, mut lanes) = (Vec::new(), Vec::new());
        for (name, ring) in state.queues.rings() {
            // A ring that makes no sense is for `inspect`.
            let waiting = ring.refresh().unwrap_or(0);
            match name {
                RingName::Inbox(_) => inboxes.push(waiting),
                RingName::Lane(level) => lanes.push((level, waiting)),
            }
        }
        Snapshot {
            counters: self.counted(&mut state),
            capacity: state.slots.capacity() as u64,
            inboxes,
            lanes,
        }
    }
}
