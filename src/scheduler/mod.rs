//! The host's side of scheduling: accept tasks, place them, collect what is done.
//!
//! ```text
//!   submit: slot ◀ free list ; fill ; Queued ; hint ▶ an inbox ; wake at most one
//!   collect: completion hints ▶ look at each word ; Done ▶ ticket ; slot ▶ free list
//! ```
//!
//! A *slot* is a task in flight: shared, 64 bytes, bounded in number. A *ticket*
//! is what a handle waits on: private, as many as there are handles. Collecting
//! moves the outcome from slot to ticket, so unjoined handles never block the
//! queue.
//!
//! Any thread of the host may submit or wait. One lock guards the host's private
//! state; no worker ever sees it, so no death can leave it held. In a process that was forked
//! off the host it is the state of nothing ([`State::nowhere`]): what asks for room, counts or
//! submits is answered from that, and what has a ticket asks first whether it is at home.
//! Of the threads that wait, one (the *leader*) sleeps on the shared doorbell and collects for
//! all; the others are parked and woken one by one.

mod collect;
mod depend;
mod dispatch;
mod followers;
mod outcomes;
mod recover;
mod report;
mod state;
mod submit;
mod terms;
#[cfg(test)]
mod tests;
mod time;
mod waiting;

pub use collect::retry::Retry;
pub use depend::after::{Dependencies, Dependency, Few};
pub use depend::inputs::{Build, List, Unfinished};
pub use followers::attend::about_to_wait;
pub use followers::news::{Follower, Listener};
pub use outcomes::group::{Ended, Group};
pub use outcomes::link::Link;
pub use outcomes::ticket::Ticket;
pub use outcomes::value::{Outcome, SMALL, Value, decode_again, look_at, small};
pub use recover::kin::STRAY_GRACE;
pub use report::audit::{Audit, Owned};
pub use report::profile::{Book, FunctionProfile, Profile, ProfileSummary, Times};
pub use state::Counters;
pub use submit::accept::{Job, NotAccepted, Prepared};
pub use submit::arguments::Seat;
pub use submit::guests::InLine;
pub use terms::backoff::Backoff;
pub use terms::limit::Limit;
pub use terms::settings::Settings;
pub use time::cancel::Reach;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::error::{Refusal, TaskError};
use crate::layout::Fold;
use crate::lock::{Biased, Guard};
use crate::object;
use crate::pool::Pool;
use crate::prim::{Priority, ProcessId};
use crate::sys::Bell;
use crate::task::{Functions, Orphans};

use outcomes::locations::Locations;
use state::State;

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

/// The scheduler of one fold.
#[derive(Debug)]
pub struct Scheduler {
    pub(self) fold: Fold,
    pub(self) pool: Pool,
    pub(self) functions: Functions,
    pub(self) capacity: usize,
    pub(self) allowed_cpus: usize,
    /// What becomes of what the dead have spawned.
    pub orphans: Orphans,
    /// How long what was told to end may go on when nobody waits for it any more.
    pub stray_grace: Duration,
    /// Rung when the supervisor should look: an earlier timer, or damage.
    pub(self) bell: Arc<Bell>,
    /// Apart from what every thread only reads.
    state: CachePadded<Biased<State>>,
    /// In a process that was forked off: what it has instead.
    nowhere: OnceLock<Biased<State>>,
    /// The segment is not believed any more.
    condemned: AtomicBool,
    /// Where the task of each ticket is.
    locations: Locations,
    /// [`State::activity`], for who does not want to take the lock for it.
    activity: AtomicU64,
    /// A task was refused because there are no workers.
    is_wanted: AtomicBool,
    /// Attendants that have passed on their duty, and have not returned.
    absent: AtomicU32,
    presence: followers::attend::Presence,
}

impl Scheduler {
    /// For a fresh fold; `capacity` tasks may be in flight. `counters` are those of
    /// the fold that it replaces.
    pub fn new(
        fold: Fold,
        functions: Functions,
        capacity: usize,
        allowed_cpus: usize,
        bell: Arc<Bell>,
        counters: Counters,
    ) -> Self {
        let pool = fold.pool(ProcessId::HOST);
        let with = fold.clone();
        pool.ring_by(move || with.host_bell.force());
        let with = fold.clone();
        pool.tell_keepers_by(move |keeper| with.wake_worker(keeper));
        let with = fold.clone();
        pool.observe_by(move |process| with.observe(process));
        object::install(&pool, crate::kinds::KINDS, &followers::attend::Waits);
        let state = State::new(&fold, capacity, counters);
        let state = CachePadded::new(Biased::new(state));
        Scheduler {
            fold,
            pool,
            functions,
            capacity,
            allowed_cpus,
            orphans: Orphans::Cancel,
            stray_grace: STRAY_GRACE,
            bell,
            state,
            nowhere: OnceLock::new(),
            condemned: AtomicBool::new(false),
            locations: Locations::default(),
            activity: AtomicU64::new(0),
            is_wanted: AtomicBool::new(false),
            absent: AtomicU32::new(0),
            presence: followers::attend::Presence::default(),
        }
    }

    /// The fold.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// The host's side of the pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The program's functions.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// A panic inside would be a bug of ours: the state is still the best there is, and to
    /// refuse to go on would hang every waiter.
    #[inline]
    fn lock(&self) -> Guard<'_, State> {
        match self.state.lock_as_favourite() {
            Some(guard) => guard,
            None => self.lock_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_any(&self) -> Guard<'_, State> {
        self.state.lock_at_home().unwrap_or_else(|| {
            let nothing = || Biased::new(State::nowhere(&self.fold));
            self.nowhere.get_or_init(nothing).lock()
        })
    }

    /// Whether this process was forked off the one whose scheduler this is. It has no tasks
    /// then, and must not touch those of its parent.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.state.is_elsewhere()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.snapshot().counters
    }

    /// What was counted so far, and how full the queues are: all at one moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut state = self.lock();
        self.reap(&mut state);
        Snapshot {
            counters: Counters {
                in_flight: state.in_flight as u64,
                ..state.counters
            },
            capacity: state.capacity as u64,
            // A ring that makes no sense is for `inspect`.
            inboxes: state
                .inboxes
                .iter_mut()
                .map(|inbox| inbox.refresh().unwrap_or(0))
                .collect(),
            lanes: Priority::LANES
                .into_iter()
                .zip(&mut state.lanes)
                .map(|(level, lane)| (level, lane.ring.refresh().unwrap_or(0)))
                .collect(),
        }
    }

    /// Whether the segment was found damaged: a fresh fold will take its place.
    #[inline]
    pub fn is_condemned(&self) -> bool {
        // ordering: Acquire pairs with the Release in `condemn`.
        self.condemned.load(Ordering::Acquire)
    }

    /// Takes no more tasks; `submit` is refused from here on.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = Some(Refusal::Shutdown);
        state.unpark_all();
        drop(state);
        // Whoever leads may have to wake somebody.
        self.fold.host_bell.force();
    }

    /// Ends every task that has not ended with `error`. Running ones may still run:
    /// their workers must be killed, and their end is ignored.
    pub fn fail_all(&self, error: &TaskError) -> usize {
        let mut state = self.lock();
        self.reap(&mut state);
        let failed = self.fail_in_flight(&mut state, error);
        state.unpark_all();
        drop(state);
        self.fold.host_bell.force();
        failed
    }
}
