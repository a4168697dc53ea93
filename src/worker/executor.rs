//! One executor: a pinned thread of a worker.

use std::sync::Arc;

use crate::layout::{BATCH_MAX, ExecutorRecord, Fold, LANES};
use crate::pool::Pool;
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Priority};
use crate::process::WorkerOrder;
use crate::ring::{RingView, spsc, steal};
use crate::sys::{affinity, keeper, overflow};
use crate::task::Functions;

use super::clients::Clients;
use super::nest::Nest;
use super::panics;
use super::patience::Patience;
use super::runner::{Runner, Scratch};
use super::stack::Stack;
use super::turns::Turns;

/// Takes batches so long that one is done in about this time.
const BATCH_NS: u64 = 8_000;

/// A batch this small says that the submitter is no faster than this executor.
const FEW: usize = 4;
/// How long it then keeps away from the inbox, in spins of some 20 ns.
const BACK_OFF: u32 = 12;
/// After one task: whoever submits may wait for it before the next one.
const BACK_OFF_OF_ONE: u32 = 4;

/// An executor and all it needs at hand.
#[derive(Debug)]
pub struct Executor {
    pub(super) me: ExecutorId,
    pub(super) fold: Fold,
    pub(super) runner: Arc<Runner>,
    pub(super) scratch: Scratch,
    pub(super) inbox: steal::Taker,
    /// The others, in the order in which they are robbed.
    pub(super) victims: Vec<(usize, steal::Taker)>,
    /// Threads of the host that submit at the same time.
    pub(super) clients: Clients,
    /// Tasks that this worker alone may run.
    pub(super) errands: steal::Taker,
    /// Where tasks wait whose priority is not the normal one.
    pub(super) lanes: [steal::Taker; LANES],
    pub(super) turns: Turns,
    /// The level of what was taken last.
    pub(super) level: Priority,
    /// The rings in which tasks are offered that other tasks have spawned: this
    /// executor's first, then the others' in the same order.
    pub(super) nests: Vec<steal::Taker>,
    /// The rings in which tasks are shown that were made ready; in the same order.
    pub(super) ready: Vec<steal::Taker>,
    /// Where this executor shows them.
    pub(super) shows_ready: steal::Producer,
    /// What it took last came from there: then it is the inbox's turn.
    pub(super) was_ready: bool,
    /// In which of the nests it was, if a task had spawned it.
    pub(super) robbed: Option<usize>,
    /// How often in a row this executor has stayed there.
    pub(super) lingered: u32,
    pub(super) completions: spsc::Producer,
    /// There is something in them that was not shown.
    pub(super) has_news: bool,
    /// Among them is a task without a value (what depends on it is to end at once), or one
    /// that the host waits for.
    pub(super) is_urgent: bool,
    /// It has run something since it last had nothing to do.
    pub(super) was_busy: bool,
    pub(super) hints: [u64; BATCH_MAX],
    /// How often the host looked for a result on this CPU while there was nothing to do,
    /// since it last slept.
    pub(super) in_the_way: u32,
    /// How often the host had collected tasks when this one last had nothing to do.
    pub(super) host_seen: u32,
    /// The same, the time before that.
    pub(super) host_seen_before: u32,
    /// The host is at work on this CPU, and others are awake: what takes these a moment is
    /// left to them.
    pub(super) gives_way: bool,
    /// Batches of one task since one was measured.
    pub(super) unmeasured: u32,
    /// Batches since it was looked whether constants are gone.
    unforgotten: usize,
    /// How long a task takes, as last measured.
    pub(super) grain_ns: u64,
    pub(super) allowed_cpus: usize,
    cpu: Option<u32>,
    /// It is to find a keeper for the process's memory, as long as that is this one's.
    wants_keeper: Option<keeper::Owner>,
}

impl Executor {
    pub(super) fn new(
        fold: &Fold,
        pool: &Pool,
        functions: &Functions,
        order: &WorkerOrder,
        thread: u32,
    ) -> Self {
        let number = (order.worker * fold.plan.shape.threads + thread) as usize;
        let victims: Vec<_> = order
            .victims
            .iter()
            .map(|victim| *victim as usize)
            .filter(|victim| *victim != number && *victim < fold.plan.shape.executors())
            .map(|victim| (victim, steal::Taker::attach(fold.inbox(victim))))
            .collect();
        let all: Vec<usize> = std::iter::once(number)
            .chain(victims.iter().map(|(victim, _)| *victim))
            .collect();
        let takers = |ring: fn(&Fold, usize) -> RingView| {
            let takers = all.iter().map(|e| steal::Taker::attach(ring(fold, *e)));
            takers.collect()
        };
        let me = ExecutorId(number as u32);
        Executor {
            me,
            runner: Arc::new(Runner::new(me, fold, pool, functions, order.profile)),
            scratch: Scratch::default(),
            nests: takers(Fold::nest),
            ready: takers(Fold::ready),
            shows_ready: steal::Producer::attach(fold.ready(number)),
            was_ready: false,
            robbed: None,
            lingered: 0,
            inbox: steal::Taker::attach(fold.inbox(number)),
            clients: Clients::new(fold),
            errands: steal::Taker::attach(fold.errands(fold.plan.shape.worker_of(number))),
            victims,
            lanes: std::array::from_fn(|lane| steal::Taker::attach(fold.lane(lane))),
            turns: Turns::default(),
            level: Priority::Normal,
            completions: spsc::Producer::attach(fold.completions(number)),
            has_news: false,
            is_urgent: false,
            was_busy: false,
            hints: [0; BATCH_MAX],
            in_the_way: 0,
            host_seen: 0,
            host_seen_before: 0,
            gives_way: false,
            unmeasured: 0,
            unforgotten: 0,
            grain_ns: 0,
            allowed_cpus: order.allowed_cpus as usize,
            cpu: order.cpus.get(thread as usize).copied().flatten(),
            wants_keeper: (order.keeper && thread == 0).then(keeper::Owner::now),
            fold: fold.clone(),
        }
    }

    /// Whether others may need the CPU of an executor that spins.
    pub(super) fn is_scarce(&self) -> bool {
        self.allowed_cpus <= self.fold.plan.shape.executors()
    }

    pub(super) fn number(&self) -> usize {
        self.me.0 as usize
    }

    #[inline]
    pub(super) fn record(&self) -> &ExecutorRecord {
        &self.fold.executors[self.me.0 as usize]
    }

    /// Until the fold stops.
    pub(super) fn live(&mut self) {
        panics::belongs_to(self.number());
        let pinned = self.cpu.filter(|cpu| match affinity::pin(*cpu) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(cpu, %error, "an executor runs unpinned");
                false
            }
        });
        overflow::prepare_thread();
        let stack = Stack::default();
        stack.measure();
        let nest = Nest::settle(&self.runner, &self.nests, self.is_scarce(), stack);
        let status = &self.record().status;
        // Relaxed: plain numbers of one writer.
        status.cpu.store(
            pinned.map_or(0, |cpu| u64::from(cpu) + 1),
            Ordering::Relaxed,
        );
        // ordering: Release pairs with the host's read before it counts on us.
        status.online.store(1, Ordering::Release);
        self.fold.crowd.searching.insert(self.me.0);
        let mut patience = Patience::default();
        loop {
            let near = self.linger();
            let found = if near > 0 { near } else { self.find() };
            if found > 0 {
                patience = Patience::default();
                self.run_batch(found);
                self.find_keeper();
                self.forget_some();
                let is_submitted = !(self.was_ready || self.robbed.is_some());
                if found < FEW && self.level == Priority::Normal && is_submitted {
                    // The submitter is just ahead of us: let it write a few more
                    // before its line is taken away from it again.
                    let spins = if found == 1 {
                        BACK_OFF_OF_ONE
                    } else {
                        BACK_OFF
                    };
                    for _ in 0..spins {
                        std::hint::spin_loop();
                    }
                }
            } else if self.fold.header.is_stopping() {
                break;
            } else {
                nest.tidy();
                self.idle(&mut patience, nest);
            }
        }
        self.fold.crowd.searching.remove(self.me.0);
        // Relaxed: as above.
        self.record().status.online.store(0, Ordering::Relaxed);
    }

    /// Has another process keep this one's memory, once: not before it has done something
    /// or sleeps, because somebody may wait for it.
    #[inline]
    pub(super) fn find_keeper(&mut self) {
        if let Some(owner) = self.wants_keeper.take()
            && let Err(error) = keeper::start(&self.record().status.keeper, owner)
        {
            tracing::debug!(%error, "nobody keeps a worker's memory: its end is told later");
        }
    }

    /// Now and then, drops what was made of constants that are gone.
    #[inline]
    fn forget_some(&mut self) {
        let kept = self.runner.pool.kept();
        if kept > 0 {
            self.unforgotten += 1;
            if self.unforgotten >= kept {
                self.forget();
            }
        }
    }

    /// Drops what was made of constants that are gone.
    #[cold]
    pub(super) fn forget(&mut self) {
        self.unforgotten = 0;
        self.runner.pool.drop_gone();
    }

    /// How many hints to take at a time: one while tasks are long or their length
    /// is not known, so that no task waits behind another that might hang.
    #[inline]
    pub(super) fn batch_size(&self) -> usize {
        match self.grain_ns {
            0 => 1,
            grain => ((BATCH_NS / grain) as usize).clamp(1, BATCH_MAX),
        }
    }
}
