//! An attached fold: typed views of every zone.

use std::sync::Arc;

use crate::notify::{ClientLine, Crowd, Doorbell};
use crate::pool::Pool;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{ExecutorId, Hint, Line, ProcessId};
use crate::ring::RingView;
use crate::shm::{Header, Segment, View, Views};
use crate::sys::barrier;
use crate::task::{Edges, Note, Slot, TaskState};

use super::measure::Measure;
use super::plan::{CLIENT_RING, ERRAND_RING, LANES, NEST_RING, NEST_SLOTS, Plan, READY_RING};
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
    /// Who looks for work, and who sleeps.
    pub crowd: Crowd,
    /// The clients whose rings executors look at: a bit for each.
    pub offering: View<Line<AtomicU64>>,
    /// One record per client.
    pub clients: Views<ClientLine>,
    /// One record per executor.
    pub executors: Views<ExecutorRecord>,
    /// The task slots: the host's, then each executor's own.
    pub slots: Views<Slot>,
    /// What is said beside them.
    pub notes: Views<Note>,
    /// What was measured of the tasks in the host's slots.
    pub measures: Views<Measure>,
    /// What each of these depends on, and what on it.
    pub edges: Views<Edges>,
}

impl Fold {
    /// Views of `segment`, which was created or attached for `plan`.
    pub fn new(segment: Segment, plan: Plan) -> Self {
        let segment = Arc::new(segment);
        let set_words = plan.shape.executors().div_ceil(64);
        Fold {
            header: segment.header(),
            host_bell: segment.view(plan.host_bell),
            crowd: Crowd::new(
                segment.views(plan.searching, set_words),
                segment.views(plan.resting, 2 * set_words),
                plan.shape.executors() as u32,
            ),
            offering: segment.view(plan.offering),
            clients: segment.views(plan.clients, plan.shape.clients as usize),
            executors: segment.views(plan.executors, plan.shape.executors()),
            slots: segment.views(plan.slots, plan.shape.all_slots()),
            notes: segment.views(plan.notes, plan.shape.all_slots()),
            measures: segment.views(plan.measures, plan.shape.host_slots() as usize),
            edges: segment.views(plan.edges, plan.shape.host_slots() as usize),
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

    /// The steal ring that is lane number `lane`: see
    /// [`Priority::lane`](crate::prim::Priority).
    pub fn lane(&self, lane: usize) -> RingView {
        assert!(lane < LANES);
        let capacity = self.plan.shape.ring_capacity();
        RingView::attach_apart(
            &self.segment,
            self.plan.lanes + lane * RingView::INDICES_LEN,
            self.plan.lane_words + lane * RingView::words_len(capacity),
            capacity,
        )
    }

    /// The ring through which `executor` says what it has finished.
    pub fn completions(&self, executor: usize) -> RingView {
        self.ring(self.plan.completions, executor)
    }

    /// The ring in which `executor` offers the tasks that its tasks have spawned.
    pub fn nest(&self, executor: usize) -> RingView {
        assert!(executor < self.plan.shape.executors());
        let at = self.plan.nests + executor * self.plan.nest_stride;
        RingView::attach(&self.segment, at, NEST_RING)
    }

    /// The ring through which `worker` gets what it alone may run.
    pub fn errands(&self, worker: usize) -> RingView {
        assert!(worker < self.plan.shape.workers as usize);
        let at = self.plan.errands + worker * self.plan.errand_stride;
        RingView::attach(&self.segment, at, ERRAND_RING)
    }

    /// The ring in which `executor` shows tasks of which it brought the last input.
    pub fn ready(&self, executor: usize) -> RingView {
        assert!(executor < self.plan.shape.executors());
        let at = self.plan.ready + executor * self.plan.ready_stride;
        RingView::attach(&self.segment, at, READY_RING)
    }

    /// How many of its own slots `executor` has ever used; the others are free.
    pub fn nest_used(&self, executor: usize) -> usize {
        // ordering: Acquire pairs with the executor's Release when it takes a slot for
        // the first time.
        let used = self.executors[executor]
            .status
            .nest_used
            .load(Ordering::Acquire);
        (used as usize).min(NEST_SLOTS)
    }

    /// The ring in which `client` offers its tasks.
    pub fn client_ring(&self, client: usize) -> RingView {
        assert!(client < self.plan.shape.clients as usize);
        let at = self.plan.client_rings + client * self.plan.client_stride;
        RingView::attach(&self.segment, at, CLIENT_RING)
    }

    fn ring(&self, zone: usize, executor: usize) -> RingView {
        assert!(executor < self.plan.shape.executors());
        let at = zone + executor * self.plan.ring_stride;
        RingView::attach(&self.segment, at, self.plan.shape.ring_capacity())
    }

    /// Process `me`'s side of the pool.
    pub fn pool(&self, me: ProcessId) -> Pool {
        let is_zeroed = self.header.is_zeroed();
        Pool::attach_with(&self.segment, &self.plan.pool, me, is_zeroed)
    }

    /// See [`Crowd::wake_one`].
    #[inline]
    pub fn wake_one(&self, preferred: ExecutorId) -> bool {
        self.crowd
            .wake_one(preferred.0, |executor| self.bell(executor))
    }

    /// See [`Crowd::wake_sleeper`].
    pub fn wake_sleeper(&self, preferred: ExecutorId) -> bool {
        let bell = |executor| self.bell(executor);
        self.crowd.wake_sleeper(preferred.0, bell)
    }

    /// See [`Crowd::wake_for_spawned`].
    pub fn wake_for_spawned(&self, preferred: ExecutorId) -> bool {
        let bell = |executor| self.bell(executor);
        self.crowd.wake_for_spawned(preferred.0, bell)
    }

    /// See [`Crowd::wake_helper`].
    pub fn wake_helper(&self, preferred: ExecutorId) -> bool {
        let bell = |executor| self.bell(executor);
        self.crowd.wake_helper(preferred.0, bell)
    }

    fn bell(&self, executor: u32) -> &Doorbell {
        &self.executors[executor as usize].bell
    }

    /// Wakes those of a worker's executors that sleep: the caller has changed something that
    /// they look at before.
    pub fn wake_worker(&self, worker: ProcessId) {
        let threads = self.plan.shape.threads as usize;
        let Some(number) = worker.worker() else {
            return;
        };
        barrier::light();
        let executors = self.executors.iter().skip(number as usize * threads);
        for record in executors.take(threads) {
            record.bell.ring();
        }
    }

    /// What the pool of a process asks of others goes through this fold: who is rung when a task lacks
    /// memory, which worker is told of what it keeps, and what the threads of a process do.
    pub fn connect(&self, pool: &Pool) {
        let fold = self.clone();
        pool.ring_by(move || fold.host_bell.force());
        let fold = self.clone();
        pool.tell_keepers_by(move |keeper| fold.wake_worker(keeper));
        let fold = self.clone();
        pool.observe_by(move |process| fold.observe(process));
    }

    /// Whether the task of `hint` is done, or was collected before: by its word alone.
    #[inline]
    pub fn has_ended(&self, hint: Hint) -> bool {
        self.slots.get(hint.slot.at()).is_none_or(|slot| {
            let word = slot.word();
            word.generation != hint.generation || TaskState::of(word) == Some(TaskState::Done)
        })
    }

    /// Wakes everybody, whatever their marks say: to stop, for one.
    pub fn wake_all(&self) {
        self.wake_executors();
        self.host_bell.force();
        self.wake_clients();
    }

    /// Wakes all threads of the host that wait for a task of a client's, whatever their marks say.
    pub fn wake_clients(&self) {
        // ordering: Acquire pairs with the Release when a client was opened.
        let mut open = self.offering.load(Ordering::Acquire);
        while open != 0 {
            if let Some(client) = self.clients.get(open.trailing_zeros() as usize) {
                client.force();
            }
            open &= open - 1;
        }
    }

    /// Wakes all executors, whatever their marks say: after a death.
    pub fn wake_executors(&self) {
        for record in self.executors.iter() {
            record.bell.force();
            record.doing.told.force();
        }
    }

    /// What the executors of a process do that run a task: which, and what they wait for.
    pub fn observe(&self, process: ProcessId) -> Vec<(u64, [u64; 3])> {
        let threads = self.plan.shape.threads as usize;
        let Some(worker) = process.worker() else {
            return Vec::new();
        };
        let records = self.executors.iter().skip(worker as usize * threads);
        let doing = records.take(threads).map(|record| {
            let doing = &record.doing;
            // Relaxed: it is shown, not believed.
            let task = match doing.top.load(Ordering::Relaxed) {
                0 => doing.current.load(Ordering::Relaxed),
                top => top,
            };
            let slot = Hint::unpack(task).slot.at();
            let word = self.slots.get(slot).map(Slot::word);
            let is_running =
                word.is_some_and(|word| TaskState::of(word) == Some(TaskState::Running));
            (if is_running { task } else { 0 }, doing.waits.read())
        });
        doing.collect()
    }

    /// Notes say that tasks are to end: wakes those that wait for a shared object, to look.
    pub fn wake_told(&self) {
        // Pairs with the heavy one of those that are about to sleep.
        barrier::light();
        for record in self.executors.iter() {
            record.doing.told.open_all();
        }
    }
}
