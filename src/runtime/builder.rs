//! Settings, and the order of a start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::config::{Config, Shutdown};
use crate::error::{StartError, TaskError};
use crate::layout::{Fold, Plan, Shape};
use crate::process::{Role, WorkerOrder};
use crate::scheduler::Scheduler;
use crate::shm::Segment;
use crate::supervise::{Commands, Supervisor};
use crate::sys::barrier;
use crate::task::Functions;
use crate::topology::{self, Topology};

use super::{Core, Rescue, Runtime};

/// Settings of a [`Runtime`]; every one has a default.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder()
///     .workers(2)
///     .threads_per_worker(1)
///     .pin(true)
///     .memory_cap(256 << 20)
///     .queue_capacity(1000)
///     .on_drop(pinfold::Shutdown::Abort)
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Worker processes (`workerProcesses`), 1 to 1024. Default: one per CPU that
    /// this process may use (affinity mask and cgroup quota).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// assert_eq!(rt.stats().workers.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(mut self, count: usize) -> Self {
        self.config.workers = Some(count);
        self
    }

    /// Executor threads in each worker. Default 1: then a crash takes no other
    /// task with it. Workers × threads may be up to 1024.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).threads_per_worker(2).start()?;
    /// assert_eq!(rt.stats().workers[0].cpus.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn threads_per_worker(mut self, count: usize) -> Self {
        self.config.threads_per_worker = count;
        self
    }

    /// Whether each executor thread is pinned to one allowed CPU (CPU affinity).
    /// Default: yes.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).pin(false).start()?;
    /// rt.spawn(|(): ()| (), ()).join()?;
    /// assert_eq!(rt.stats().workers[0].cpus, [None]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin(mut self, pin: bool) -> Self {
        self.config.pin = pin;
        self
    }

    /// The most shared memory for buffers, long arguments and long results, in
    /// bytes (`sharedMemorySize`, `memoryPoolSize`); at least 1 MiB. Default: half
    /// of the memory this process may use. Memory is taken when it is first
    /// touched, so a high cap costs nothing. What does not fit is an error or a
    /// wait, never a signal.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).memory_cap(1 << 20).start()?;
    /// assert!(rt.alloc(2 << 20).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory_cap(mut self, bytes: u64) -> Self {
        self.config.memory_cap = Some(bytes);
        self
    }

    /// The most tasks in flight (queued or running), 1 to 1,048,576. Default 8192.
    /// When they are reached, `spawn` waits and `try_spawn` gives the arguments
    /// back. Finished tasks do not count, joined or not.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).queue_capacity(10).start()?;
    /// let handles: Vec<_> = (0..100).map(|n| rt.spawn(|n: u32| n, n)).collect(); // waits for room
    /// assert_eq!(handles.into_iter().filter_map(|h| h.join().ok()).count(), 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_capacity(mut self, tasks: usize) -> Self {
        self.config.queue_capacity = tasks;
        self
    }

    /// What dropping the [`Runtime`] does with tasks in flight. Default:
    /// [`Shutdown::DrainFor`] 30 seconds.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .on_drop(pinfold::Shutdown::Abort)
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_drop(mut self, how: Shutdown) -> Self {
        self.config.on_drop = how;
        self
    }

    /// Starts the fold; returns when all workers have been started.
    ///
    /// # Errors
    /// [`StartError`]: [`init`](crate::init) was not called, a setting is out of its
    /// bounds, or the system refused something (the message says what to do).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let refused = pinfold::Runtime::builder().workers(0).start();
    /// assert_eq!(
    ///     refused.err().map(|e| e.to_string()).as_deref(),
    ///     Some("workers is 0, but must be from 1 to 1024"),
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<Runtime, StartError> {
        match Role::now() {
            Role::Host => {}
            Role::Worker => return Err(StartError::InsideWorker),
            Role::Unknown => return Err(StartError::NotInitialized),
        }
        let config = self.config;
        let shape = config.shape()?;
        let system = |what| move |source| StartError::System { what, source };
        let functions =
            Functions::of_this_program().map_err(system("the program's own code was not found"))?;
        let fold = create(shape)?;
        let cpus = topology::allowed_cpus();
        let allowed = cpus.len();
        // With two CPUs there is nothing to choose, and reading the machine takes
        // longer than starting the workers.
        let topology = if allowed <= 2 {
            Topology::flat(&cpus)
        } else {
            Topology::read()
        };
        let orders = orders(shape, &topology, config.pin, allowed);
        let scheduler = Arc::new(Scheduler::new(
            fold.clone(),
            functions.clone(),
            config.queue_capacity,
            allowed,
        ));
        let commands = Commands::new(shape.workers as usize)
            .map_err(system("an event descriptor could not be made"))?;
        let supervisor = Supervisor::start(
            fold,
            functions.build().clone(),
            orders,
            Arc::clone(&commands),
            Arc::new(Rescue(Arc::clone(&scheduler))),
        )
        .map_err(|error| StartError::Zygote(error.to_string()))?;
        let guarded = Arc::clone(&scheduler);
        let thread = std::thread::Builder::new()
            .name("pinfold-super".into())
            .spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| supervisor.run()));
                if ran.is_err() {
                    // Its zygote was dropped, and the workers with it.
                    guarded.close();
                    let reason = "the supervisor panicked".into();
                    guarded.fail_all(&TaskError::NoWorkers { reason });
                }
            })
            .map_err(system("the supervisor thread could not be started"))?;
        Ok(Runtime {
            core: Arc::new(Core {
                scheduler,
                commands,
                supervisor: Mutex::new(Some(thread)),
                on_drop: config.on_drop,
            }),
        })
    }
}

fn create(shape: Shape) -> Result<Fold, StartError> {
    let plan = Plan::new(shape);
    let segment = Segment::create(plan.len).map_err(|e| StartError::Segment(e.to_string()))?;
    // Too little memory for the tables is an error here, not a signal later.
    segment
        .populate(0, plan.inboxes)
        .map_err(|e| StartError::System {
            what: "no memory for the fold's tables",
            source: e.into(),
        })?;
    let asymmetric = barrier::register();
    if asymmetric {
        barrier::use_asymmetric();
    }
    let fold = Fold::new(segment, plan);
    fold.header
        .publish(fold.plan.len as u64, fold.plan.hash(), asymmetric);
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
            }
        })
        .collect()
}
