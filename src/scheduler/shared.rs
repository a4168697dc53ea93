//! The scheduler of one fold: what every thread of the host shares, and the one lock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::layout::Fold;
use crate::pool::Pool;
use crate::sys::Bell;
use crate::task::{Functions, Orphans};

use crate::scheduler::clients::Clients;
use crate::scheduler::followers::presence::Presence;
use crate::scheduler::locked::{Inside, Locked};
use crate::scheduler::outcomes::locations::Locations;
use crate::scheduler::state::State;

/// The scheduler of one fold.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) fold: Fold,
    pub(super) pool: Pool,
    pub(super) functions: Functions,
    pub(super) capacity: usize,
    pub(super) allowed_cpus: usize,
    /// What becomes of what the dead have spawned.
    pub orphans: Orphans,
    /// How long what was told to end may go on when nobody waits for it any more.
    pub stray_grace: Duration,
    /// Rung when the supervisor should look: an earlier timer, or damage.
    pub(super) bell: Arc<Bell>,
    /// Apart from what every thread only reads.
    pub(super) state: CachePadded<Locked>,
    /// In a process that was forked off: what it has instead.
    pub(super) nowhere: OnceLock<Locked>,
    /// The segment is not believed any more.
    pub(super) condemned: AtomicBool,
    /// Where the task of each ticket is.
    pub(super) locations: Locations,
    /// [`State::activity`], for who does not want to take the lock for it.
    pub(super) activity: AtomicU64,
    /// A task was refused because there are no workers.
    pub(super) is_wanted: AtomicBool,
    /// Attendants that have passed on their duty, and have not returned.
    pub(super) absent: AtomicU32,
    pub(super) presence: Presence,
    /// Threads that submit at the same time.
    pub(super) clients: Arc<Clients>,
}

impl Scheduler {
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
    pub(super) fn lock(&self) -> Inside<'_> {
        match self.state.lock_as_favourite() {
            Some(guard) => guard,
            None => self.lock_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_any(&self) -> Inside<'_> {
        self.state.lock_at_home().unwrap_or_else(|| {
            let nothing = || Locked::new(State::nowhere(&self.fold, &self.clients));
            self.nowhere.get_or_init(nothing).lock()
        })
    }

    /// Whether this process was forked off the one whose scheduler this is. It has no tasks
    /// then, and must not touch those of its parent.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.state.is_elsewhere()
    }

    /// Whether the segment was found damaged: a fresh fold will take its place.
    #[inline]
    pub fn is_condemned(&self) -> bool {
        // ordering: Acquire pairs with the Release in `condemn`.
        self.condemned.load(Ordering::Acquire)
    }
}
