//! A scheduler begins and ends.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;

use crate::error::TaskError;
use crate::layout::Fold;
use crate::object;
use crate::prim::ProcessId;
use crate::sys::Bell;
use crate::task::{Functions, Orphans};

use crate::scheduler::clients::Clients;
use crate::scheduler::followers::attend::Waits;
use crate::scheduler::followers::presence::Presence;
use crate::scheduler::locked::Locked;
use crate::scheduler::outcomes::locations::Locations;
use crate::scheduler::recover::kin::STRAY_GRACE;
use crate::scheduler::report::counters::Counters;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// For a fresh fold; `capacity` tasks may be in flight, and if that is not a bound clients may have
    /// as many besides as they have slots. `counters` are those of
    /// the fold that it replaces.
    pub fn new(
        fold: Fold,
        functions: Functions,
        capacity: usize,
        is_bounded: bool,
        allowed_cpus: usize,
        bell: Arc<Bell>,
        counters: Counters,
    ) -> Self {
        let pool = fold.pool(ProcessId::HOST);
        fold.connect(&pool);
        object::install(&pool, crate::kinds::KINDS, &Waits);
        let clients = Arc::new(Clients::new(&fold, is_bounded));
        let state = State::new(&fold, &clients, capacity, counters);
        let state = CachePadded::new(Locked::new(state));
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
            presence: Presence::default(),
            clients,
        }
    }

    /// Takes no more tasks; `submit` is refused from here on.
    pub fn close(&self) {
        let mut state = self.lock();
        state.door.shut();
        self.clients.set_open(false);
        self.register_all(&mut state);
        state.unpark_all();
        drop(state);
        // Whoever leads may have to wake somebody.
        self.fold.host_bell.force();
    }

    /// Ends every task that has not ended with `error`. Running ones may still run:
    /// their workers must be killed, and their end is ignored.
    pub fn fail_all(&self, error: &TaskError) -> usize {
        let mut state = self.lock();
        self.register_all(&mut state);
        self.reap(&mut state);
        let failed = self.fail_in_flight(&mut state, error);
        state.unpark_all();
        drop(state);
        self.fold.host_bell.force();
        failed
    }
}
