//! Founding a fold: segment, scheduler, zygote, workers. Done at the start, and again
//! whenever the segment was found damaged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::background::{self, Log};
use crate::config::Config;
use crate::error::StartError;
use crate::layout::{Fold, Plan, Shape};
use crate::prim::{Death, Overdue};
use crate::process::{Hatching, Introduction, WorkerOrder, ZygoteError};
use crate::scheduler::{Book, Counters, STRAY_GRACE, Scheduler};
use crate::shm::Segment;
use crate::supervise::{BEATS, Commands, Events, LogThread, Settings, Supervisor};
use crate::sys::signals::{start_small_thread, start_thread};
use crate::sys::{Surroundings, barrier};
use crate::task::{FunctionId, Functions, Orphans};
use crate::topology::{self, Share, Topology};

/// Keepers take no more than this part of the processes that may be; else there are none.
const KEEPER_SHARE: u64 = 8;

/// All it takes to found a fold.
#[derive(Debug)]
pub struct Founder {
    shape: Shape,
    queue_capacity: usize,
    is_queue_bounded: bool,
    dump_memory: bool,
    zero_memory: bool,
    allowed_cpus: usize,
    functions: Functions,
    orders: Vec<WorkerOrder>,
    settings: Settings,
    commands: Arc<Commands>,
    /// Ends with this, when no worker is left that could write.
    logs: Option<LogThread>,
    surroundings: Arc<Surroundings>,
    ends_programs: bool,
    init_args: Option<Arc<[u8]>>,
    orphans: Orphans,
    profile: Option<Arc<Book>>,
}

/// What the supervisor tells the scheduler.
struct Rescue(Arc<Scheduler>);

impl Events for Rescue {
    fn starting(&self, worker: u32) {
        self.0.expect(worker);
    }

    fn gone(&self, worker: u32, pid: i32) -> bool {
        let tasks = self.0.rescue(worker, pid);
        background::detail(move || tracing::debug!(worker, pid, tasks, "worker's tasks moved on"));
        self.0.awaits(pid)
    }

    fn told(&self, pid: i32, death: Death) {
        self.0.told(pid, death);
    }

    fn no_workers(&self, reason: &str) {
        self.0.give_up(reason);
    }

    fn workers_again(&self) {
        self.0.go_on();
    }

    fn is_wanted(&self) -> bool {
        self.0.is_wanted()
    }

    fn inspect(&self) {
        self.0.inspect_now();
    }

    fn next_timer(&self) -> Option<Instant> {
        self.0.next_timer()
    }

    fn tick(&self, now: Instant) -> Vec<Overdue> {
        self.0.tick(now)
    }

    fn strike(&self, overdue: &Overdue, grace: Option<Duration>) -> bool {
        self.0.strike(overdue, grace)
    }

    fn has_work(&self, worker: u32) -> bool {
        self.0.has_work(worker)
    }

    fn lost(&self) {
        self.0.lost();
    }

    fn is_condemned(&self) -> bool {
        self.0.is_condemned()
    }
}

impl Founder {
    /// With checked settings; and the first zygote. To load a program takes longer than all that
    /// the host has to do meanwhile, and needs nothing of it.
    pub fn new(config: &Config) -> Result<(Self, Hatching), StartError> {
        let functions =
            Functions::of_this_program().map_err(system("the program's own code was not found"))?;
        let init = match config.worker_init {
            None => None,
            Some(init) => match functions.init_id(init) {
                Some(id) => Some(id),
                None => return Err(StartError::ForeignInit),
            },
        };
        let executor_init = match config.executor_init {
            None => None,
            Some(init) => match functions.executor_init_id(init) {
                Some(id) => Some(id),
                None => return Err(StartError::ForeignInit),
            },
        };
        let init_args = config.init_args.clone().transpose();
        let init_args = init_args.map_err(StartError::InitArguments)?;
        // Before the first thread: to register takes the kernel some ms once there are several.
        barrier::settle();
        let surroundings = Arc::new(Surroundings::now(config.program.clone()));
        let hatching = Hatching::begin(&surroundings).map_err(no_zygote)?;
        let share = Share::default();
        let shape = config.shape(&share)?;
        let cpus = topology::allowed_cpus();
        let allowed_cpus = cpus.len();
        // With two CPUs there is nothing to choose, and reading the machine takes
        // longer than starting the workers.
        let topology = if allowed_cpus <= 2 {
            Topology::flat(&cpus)
        } else {
            Topology::read()
        };
        let settings = Settings {
            start_failures_max: config.start_attempts,
            start_limit: config.worker_init_timeout,
            grace: config.kill_grace,
            heartbeat: config.heartbeat,
            spares: config.spares as u32,
            is_checked: config.is_checked,
        };
        let mut orders = orders(shape, &topology, config.pin, allowed_cpus);
        // A keeper takes one of the processes that may be.
        let enough = KEEPER_SHARE * u64::from(shape.workers);
        let has_keepers =
            config.keepers && share.process_limit().is_none_or(|limit| limit >= enough);
        crate::object::set_stuck_after(config.stuck_after_ms());
        for order in &mut orders {
            order.profile = config.profile;
            order.keeper = has_keepers;
            order.stack_size = config.stack_size as u64;
            order.stuck_after_ms = config.stuck_after_ms();
            order.init = init.map(|FunctionId(id)| id);
            order.executor_init = executor_init.map(|FunctionId(id)| id);
            order.beat_ms = config
                .heartbeat
                .map_or(0, |threshold| (threshold / BEATS).as_millis().max(1) as u64);
        }
        #[cfg(feature = "crash-points")]
        if let Some(first) = orders.first_mut() {
            first.crash_at = config.crash_at;
        }
        background::start(start_thread, start_small_thread)
            .map_err(system("a thread could not be started"))?;
        let commands = Commands::new(shape.workers as usize)
            .map_err(system("socketpair, to wake the supervisor"))?;
        let logs = LogThread::start(shape.workers, &commands)
            .map_err(system("the workers' logs could not be connected"))?;
        let founder = Founder {
            shape,
            queue_capacity: config.queue_capacity,
            is_queue_bounded: config.is_queue_bounded,
            dump_memory: config.dump_memory,
            zero_memory: config.zero_memory,
            allowed_cpus,
            functions,
            orders,
            settings,
            commands,
            logs,
            surroundings,
            ends_programs: config.end_programs,
            init_args,
            orphans: config.orphans,
            profile: config.profile.then(Arc::default),
        };
        Ok((founder, hatching))
    }

    /// What others may ask of the supervisor.
    pub fn commands(&self) -> &Arc<Commands> {
        &self.commands
    }

    /// A fresh fold; what was counted before goes on. Its workers are started by the supervisor.
    pub fn found(&self, counters: Counters) -> Result<(Arc<Scheduler>, Supervisor), StartError> {
        // If the program has closed the one there was.
        self.commands
            .bell()
            .renew()
            .map_err(|error| system("socketpair, to wake the supervisor")(error.into()))?;
        let fold = create(self.shape, self.dump_memory, self.zero_memory)?;
        let mut scheduler = Scheduler::new(
            fold.clone(),
            self.functions.clone(),
            self.queue_capacity,
            self.is_queue_bounded,
            self.allowed_cpus,
            Arc::clone(self.commands.bell()),
            counters,
        );
        scheduler.orphans = self.orphans;
        scheduler.stray_grace = STRAY_GRACE.max(self.settings.grace);
        if let Some(book) = &self.profile {
            scheduler.profile_into(Arc::clone(book));
        }
        let scheduler = Arc::new(scheduler);
        let attendant = scheduler.attendant(Log::of_this_thread());
        start_thread("pinfold-attend", attendant)
            .map_err(system("a thread could not be started"))?;
        let supervisor = Supervisor::new(
            fold,
            Introduction {
                build: self.functions.build().clone(),
                logs: self.logs.as_ref().map(|logs| logs.writer().clone()),
                surroundings: Arc::clone(&self.surroundings),
                ends_programs: self.ends_programs,
                init_args: self.init_args.clone(),
            },
            self.orders.clone(),
            self.settings,
            Arc::clone(&self.commands),
            Arc::new(Rescue(Arc::clone(&scheduler))),
        );
        Ok((scheduler, supervisor))
    }
}

/// An error of the system, with what it was asked for.
pub fn system(what: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// The error of a start that a zygote does not take part in.
pub fn no_zygote(error: ZygoteError) -> StartError {
    StartError::Zygote(error.to_string())
}

fn create(shape: Shape, dump_memory: bool, zero_memory: bool) -> Result<Fold, StartError> {
    let plan = Plan::new(shape);
    let segment = Segment::create(plan.len).map_err(|e| StartError::Segment(e.to_string()))?;
    // Too little memory for the tables is an error here, not a signal later.
    segment
        .populate(0, plan.inboxes)
        .map_err(|e| StartError::Segment(format!("no memory for the fold's tables: {e}")))?;
    // Before the locks of the scheduler are made, which have favourites or not.
    barrier::settle();
    let fold = Fold::new(segment, plan);
    fold.header.choose(dump_memory, zero_memory);
    fold.segment().set_dumped();
    fold.header.publish(fold.plan.len as u64, fold.plan.hash());
    Ok(fold)
}

/// Who runs where, and whom it robs in which order.
fn orders(shape: Shape, topology: &Topology, pin: bool, allowed: usize) -> Vec<WorkerOrder> {
    let (workers, threads) = (shape.workers as usize, shape.threads as usize);
    let placements = topology::place(topology, workers, threads);
    let near_first = topology::steal_order(&placements, topology);
    (0..workers)
        .map(|worker| {
            let first = worker * threads;
            let cpus = (first..first + threads)
                .map(|executor| placements.get(executor).filter(|_| pin).map(|p| p.cpu.0))
                .collect();
            // Its own threads first, then as the first of them sees the others.
            let mut victims: Vec<u32> = (first..first + threads).map(|e| e as u32).collect();
            let others = near_first.get(first).into_iter().flatten();
            victims.extend(
                others
                    .map(|e| *e as u32)
                    .filter(|e| shape.worker_of(*e as usize) != worker),
            );
            WorkerOrder {
                worker: worker as u32,
                cpus,
                victims,
                allowed_cpus: allowed as u32,
                init: None,
                executor_init: None,
                beat_ms: 0,
                keeper: false,
                stack_size: 0,
                stuck_after_ms: 0,
                profile: false,
                capture_stderr: false,
                #[cfg(feature = "crash-points")]
                crash_at: None,
            }
        })
        .collect()
}
