//! Inside a worker process: executors that take hints, claim tasks, run them and
//! say so, and sleep when there is nothing to do.
//!
//! ```text
//!         ┌──────────── searching ◀───────────────────────┐
//!         │  (lanes, own inbox, others' inboxes, batches)  │ woken
//!   found │                │ nothing for a while           │
//!         ▼                ▼                               │
//!      running          sleeping: bell prepared, one last look, futex wait
//!         │  batch done
//!         └──────────▶ searching
//! ```
//!
//! An executor meets the host in shared memory only; this module and
//! [`crate::scheduler`] never import each other.

mod begin;
mod child;
mod clients;
mod context;
mod errand;
mod executor;
mod family;
mod find;
mod handed;
mod heard;
mod idle;
mod info;
mod join;
mod linger;
mod logs;
mod nest;
mod offers;
mod own;
mod panics;
mod place;
mod run;
mod runner;
mod scope;
mod select;
mod spawn;
mod stack;
mod tell;
#[cfg(all(test, not(loom)))]
mod tests;
mod timed;
mod turns;
mod waits;
mod words;

use std::convert::Infallible;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use tracing::dispatcher;

use crate::broadcast::{CreateError, Options, Publisher};
use crate::channel::{self, Delivery, Receiver, Router, Sender};
use crate::collective::{GroupError, Member};
use crate::layout::Fold;
use crate::pool::{AllocError, Loan, Pool, array, encoding};
use crate::prim::ProcessId;
use crate::prim::atomic::Ordering;
use crate::process::{Role, WorkerOrder, WorkerStart};
use crate::sys::calls::explained_io;
use crate::sys::signals::start_thread;
use crate::sys::{OnlyThese, affinity, barrier, exit_now, overflow, stdio, title};
use crate::task::{Functions, Kept};

pub use begin::StateError;
pub use child::{Child, spawn};
pub use context::{Cancelled, Context, ProgressError, context, current_task};
pub use handed::ContextHandle;
pub use info::{TaskInfo, task_info, task_name, traceparent};
pub use join::join;
pub use scope::{TaskScope, scope, scope_collect};

use executor::Executor;
use nest::Nest;
use stack::Stack;

/// The exit status of a worker whose own code failed (not a task's).
const BROKEN: i32 = 70;

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
static POOL: OnceLock<Pool> = OnceLock::new();
static STATE: Kept = Kept::nothing();

/// Allocates a buffer from inside a task.
///
/// `len` is in bytes. The buffer can be returned from the task, as a
/// [`Loan`] or, after [`Loan::publish`], as a [`Shared`](crate::Shared), without a
/// copy. In the host use [`Runtime::alloc`](crate::Runtime::alloc).
///
/// # Errors
/// [`AllocError::NoPool`] outside of a worker; [`AllocError::Exhausted`] when the
/// memory cap leaves no room now, [`AllocError::TooLarge`] when it never can.
///
/// ```
/// # pinfold::test_setup!();
/// fn squares(n: u32) -> Result<pinfold::Shared, String> {
///     let mut loan = pinfold::alloc(n as usize).map_err(|e| e.to_string())?;
///     for (i, byte) in loan.iter_mut().enumerate() {
///         *byte = (i * i) as u8;
///     }
///     Ok(loan.publish())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let squares = rt.spawn(squares, 10).join()??;
/// assert_eq!(squares[9], 81);
/// # Ok(())
/// # }
/// ```
pub fn alloc(len: usize) -> Result<Loan, AllocError> {
    POOL.get().ok_or(AllocError::NoPool)?.alloc(len)
}

/// Makes a channel from inside a task: as [`Runtime::channel`](crate::Runtime::channel) does in the
/// host.
///
/// # Errors
/// As of [`alloc`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::AllocError;
/// use pinfold::channel::Receiver;
///
/// fn numbers(count: u32) -> Result<Receiver<u32>, AllocError> {
///     let (sender, receiver) = pinfold::channel(8)?;
///     for number in 0..count {
///         if sender.send(number).is_err() {
///             break;
///         }
///     }
///     Ok(receiver)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let numbers = rt.spawn(numbers, 3).join_flat()?;
/// assert_eq!(numbers.iter().collect::<Vec<_>>(), [0, 1, 2]);
/// # Ok(())
/// # }
/// ```
pub fn channel<T>(capacity: usize) -> Result<(Sender<T>, Receiver<T>), AllocError> {
    crate::channel::make(POOL.get().ok_or(AllocError::NoPool)?, capacity)
}

/// The same with [`Options`](channel::Options): as
/// [`Runtime::channel_with`](crate::Runtime::channel_with) does in the host.
///
/// # Errors
/// [`CreateError`](channel::CreateError): as there, and outside of any task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::channel::{CreateError, Options, Overflow};
///
/// fn last_two(count: u32) -> Result<Vec<u32>, CreateError> {
///     let options = Options::new(2).overflow(Overflow::DropOldest);
///     let (sender, receiver) = pinfold::channel_with(options)?;
///     let _ = sender.send_all(0..count);
///     Ok(receiver.try_iter().collect())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// assert_eq!(rt.spawn(last_two, 5).join_flat()?, [3, 4]);
/// # Ok(())
/// # }
/// ```
pub fn channel_with<T>(
    options: channel::Options,
) -> Result<(Sender<T>, Receiver<T>), channel::CreateError> {
    channel::make_with(POOL.get().ok_or(AllocError::NoPool)?, options)
}

/// Makes a channel whose messages are acknowledged from inside a task: as
/// [`Runtime::acked_channel`](crate::Runtime::acked_channel) does in the host.
///
/// # Errors
/// As of [`channel_with`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::channel::{CreateError, Delivery, Options, Receiver};
///
/// fn jobs(count: u32) -> Result<Receiver<Delivery<u32>>, CreateError> {
///     let (sender, receiver) = pinfold::acked_channel(Options::new(8))?;
///     let _ = sender.send_all(0..count);
///     Ok(receiver)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let jobs = rt.spawn(jobs, 3).join_flat()?;
/// drop(jobs.recv()?); // not acknowledged
/// assert_eq!(jobs.recv()?.ack(), 0);
/// # Ok(())
/// # }
/// ```
pub fn acked_channel<T>(
    options: channel::Options,
) -> Result<(Sender<T>, Receiver<Delivery<T>>), channel::CreateError> {
    channel::make_acked(POOL.get().ok_or(AllocError::NoPool)?, options)
}

/// Makes a router and its receivers from inside a task: as
/// [`Runtime::router`](crate::Runtime::router) does in the host.
///
/// # Errors
/// [`CreateError`](channel::CreateError): as there, and outside of any task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::channel::{CreateError, Receiver};
///
/// fn odd_and_even(count: usize) -> Result<Vec<Receiver<usize>>, CreateError> {
///     let (router, receivers) = pinfold::router(2, 8)?;
///     for number in 0..count {
///         let _ = router.route(number % 2, number);
///     }
///     Ok(receivers)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let receivers = rt.spawn(odd_and_even, 5).join_flat()?;
/// assert_eq!(receivers[1].iter().collect::<Vec<_>>(), [1, 3]);
/// # Ok(())
/// # }
/// ```
pub fn router<T>(
    receivers: usize,
    capacity: usize,
) -> Result<(Router<T>, Vec<Receiver<T>>), channel::CreateError> {
    let pool = POOL.get().ok_or(AllocError::NoPool)?;
    crate::channel::make_router(pool, receivers, capacity)
}

impl crate::sync::Place for Context {}

impl crate::sync::InPool for Context {
    fn pool(self) -> Result<Pool, AllocError> {
        POOL.get().cloned().ok_or(AllocError::NoPool)
    }
}

/// Makes a group of so many members from inside a task: as
/// [`Runtime::collective`](crate::Runtime::collective) does in the host.
///
/// # Errors
/// As there.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::collective::Member;
///
/// fn pair((): ()) -> Option<Vec<Member>> {
///     pinfold::collective(2).ok()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut members = rt.spawn(pair, ()).join()?.unwrap();
/// let mut other = members.remove(1);
/// let waits = std::thread::spawn(move || other.barrier());
/// members[0].barrier()?;
/// waits.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
pub fn collective(members: usize) -> Result<Vec<Member>, GroupError> {
    let pool = POOL.get().ok_or(AllocError::NoPool)?;
    crate::collective::make(pool, members)
}

/// Makes a broadcast channel from inside a task: as
/// [`Runtime::broadcast_channel`](crate::Runtime::broadcast_channel) does in the host.
///
/// # Errors
/// [`CreateError`]: as there, and outside of any task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::broadcast::{CreateError, Publisher};
///
/// fn make(capacity: usize) -> Result<Publisher<u32>, CreateError> {
///     pinfold::broadcast_channel(capacity)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let publisher = rt.spawn(make, 4).join()??;
/// let subscriber = publisher.subscribe()?;
/// publisher.send(1)?;
/// assert_eq!(subscriber.recv(), Ok(1));
/// # Ok(())
/// # }
/// ```
pub fn broadcast_channel<T>(capacity: usize) -> Result<Publisher<T>, CreateError> {
    let pool = POOL.get().ok_or(AllocError::NoPool)?;
    crate::broadcast::make(pool, Options::new(capacity))
}

/// The same with [`Options`], as
/// [`Runtime::broadcast_channel_with`](crate::Runtime::broadcast_channel_with).
///
/// # Errors
/// As of [`broadcast_channel`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::broadcast::{CreateError, Options, Publisher};
///
/// fn make(subscribers: usize) -> Result<Publisher<u32>, CreateError> {
///     pinfold::broadcast_channel_with(Options::new(4).subscribers(subscribers))
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let publisher = rt.spawn(make, 1).join()??;
/// let only = publisher.subscribe()?;
/// assert!(publisher.subscribe().is_err());
/// # drop(only);
/// # Ok(())
/// # }
/// ```
pub fn broadcast_channel_with<T>(options: Options) -> Result<Publisher<T>, CreateError> {
    let pool = POOL.get().ok_or(AllocError::NoPool)?;
    crate::broadcast::make(pool, options)
}

/// Allocates an array from inside a task: as
/// [`Runtime::alloc_array`](crate::Runtime::alloc_array) does in the host.
///
/// # Errors
/// As of [`alloc`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::{AllocError, Shared};
///
/// fn roots(numbers: Shared<f64>) -> Result<Shared<f64>, AllocError> {
///     let mut roots = pinfold::alloc_array(numbers.len())?;
///     for (root, number) in roots.iter_mut().zip(&numbers[..]) {
///         *root = number.sqrt();
///     }
///     Ok(roots.publish())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut numbers = rt.alloc_array::<f64>(3)?;
/// numbers.copy_from_slice(&[4.0, 9.0, 16.0]);
/// let roots = rt.spawn(roots, numbers.publish()).join_flat()?;
/// assert_eq!(roots[..], [2.0, 3.0, 4.0]);
/// # Ok(())
/// # }
/// ```
pub fn alloc_array<T: bytemuck::Pod>(len: usize) -> Result<Loan<T>, AllocError> {
    array(len, alloc)
}

/// What `worker_init` made in this worker, if it is a `T`.
///
/// `None` outside of a worker, without a
/// [`Builder::worker_init`](crate::Builder::worker_init), and for another type. The
/// state lives as long as its worker; a replaced worker makes its own.
///
/// When a worker ends in order (the runtime was shut down, and nothing was in flight any
/// more) its state is dropped, unless threads that tasks or `worker_init` have started still
/// run then: one of them might use it. A worker that is killed, or dies, drops nothing.
///
/// ```
/// # pinfold::test_setup!();
/// struct Model(u64);
///
/// fn load() -> Result<Model, std::io::Error> {
///     Ok(Model(3)) // from a file, say
/// }
///
/// fn apply(n: u64) -> u64 {
///     n * pinfold::worker_state::<Model>().map_or(0, |model| model.0)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).worker_init(load).start()?;
/// assert_eq!(rt.spawn(apply, 14).join()?, 42);
/// # Ok(())
/// # }
/// ```
pub fn worker_state<T: Send + Sync + 'static>() -> Option<&'static T> {
    STATE.get()
}

/// What all workers have in common: found out once, in the zygote.
pub fn prepare(functions: Functions) {
    let _ = FUNCTIONS.set(functions);
    // Nothing here may draw random keys: all workers would have the same.
    // The first use of a thread's variables has the loader look for symbols everywhere.
    let _ = Nest::here();
    // How large the first thread's stack is stands in a file.
    Stack::default().measure();
    let _ = encoding(|| ());
    crate::collective::cpus();
    stdio::forget();
}

/// A worker's whole life, from just after the fork.
pub fn run(mut start: WorkerStart) -> Infallible {
    Role::Worker.set();
    // First what is the same for every worker: a spare does it in advance.
    if start.expedited {
        if !barrier::register() {
            tracing::error!("membarrier works in the host but not here");
            exit_now(BROKEN);
        }
        barrier::use_asymmetric();
    }
    let Some(functions) = FUNCTIONS.get().cloned() else {
        tracing::error!("a worker was not prepared by its zygote");
        exit_now(BROKEN)
    };
    panics::install(start.fold.clone());
    if start.is_spare() {
        title::set("spare worker", "pinfold-spare");
        warm_up(&start.fold, &functions);
    }
    let Some(order) = start.order() else {
        exit_now(0); // a spare that is not needed any more
    };
    let number = order.worker;
    title::set(&format!("worker {number}"), &format!("pinfold-wk-{number}"));
    #[cfg(feature = "crash-points")]
    if let Some(steps) = order.crash_at {
        crate::prim::counted::end_after(steps, crate::sys::kill_self);
    }
    stack::of_size(order.stack_size, || work(start, &order, &functions))
}

/// The same, from when it is known which worker it is; on the stack of its first executor.
fn work(mut start: WorkerStart, order: &WorkerOrder, functions: &Functions) -> ! {
    let fold = start.fold.clone();
    let logs = start.logs.take();
    let logs = logs.map(|writer| logs::to_host(writer, &fold, order.worker));
    let pool = fold.pool(ProcessId::of_worker(order.worker));
    let pool = POOL.get_or_init(|| pool).clone();
    let with = fold.clone();
    pool.ring_by(move || with.host_bell.force());
    let with = fold.clone();
    pool.tell_keepers_by(move |keeper| with.wake_worker(keeper));
    let with = fold.clone();
    pool.observe_by(move |process| with.observe(process));
    crate::object::set_stuck_after(order.stuck_after_ms);
    crate::object::install(&pool, crate::kinds::KINDS, &waits::Waits);
    let threads = fold.plan.shape.threads;
    let executors: Vec<Executor> = (0..threads)
        .map(|thread| Executor::new(&fold, &pool, functions, order, thread))
        .collect();
    let mut beats = false;
    if let Some(first) = executors.first() {
        place::set(order.worker, fold.plan.shape);
        panics::set_ours(first.number()..first.number() + executors.len());
        panics::belongs_to(first.number());
        panics::tell_overflows(&fold, order.stack_size);
        overflow::prepare_thread();
        Stack::default().measure();
        beats = begin_to_beat(first, order, &fold);
        if let Some(id) = order.init {
            let init = || begin::worker(functions, id, start.init_args, &fold, order);
            match &logs {
                Some(logs) => dispatcher::with_default(logs, init),
                None => init(),
            }
        }
    }
    if let Some(logs) = logs {
        // Unless the program's own code has installed a subscriber by now; and a logger.
        let _ = dispatcher::set_global_default(logs.clone());
        logs::take_records(logs);
    }
    // None takes a task before all are there: that one may be missing ends them all.
    let all_there = Arc::new(Barrier::new(executors.len()));
    let order = Arc::new(order.clone());
    let mut executors = executors.into_iter();
    let first = executors.next();
    let mut others = Vec::new();
    for executor in executors {
        let name = format!("pinfold-{}", executor.number());
        let all_there = Arc::clone(&all_there);
        let (functions, fold, order) = (functions.clone(), fold.clone(), Arc::clone(&order));
        let spawned = std::thread::Builder::new()
            .name(name)
            .stack_size(usize::try_from(order.stack_size).unwrap_or_default())
            .spawn(move || {
                panics::belongs_to(executor.number());
                begin::executor(&functions, &fold, &order, executor.number());
                all_there.wait();
                live(executor);
            });
        match spawned {
            Ok(thread) => others.push(thread),
            Err(error) => end_without_thread(first.as_ref(), &error),
        }
    }
    if let Some(first) = first {
        begin::executor(functions, &fold, &order, first.number());
        start.begin_work();
        all_there.wait();
        live(first);
    }
    // The fold stops, and the others leave as the first one did.
    for other in others {
        let _ = other.join();
    }
    end(u64::from(beats))
}

/// The orderly end of a worker, in which no executor runs any more. Who waits for it loses
/// patience some day, and kills it.
fn end(threads_besides: u64) -> ! {
    if let Some(pool) = POOL.get() {
        pool.drop_all_kept();
        crate::object::end_threads();
    }
    if let Some(alone) = OnlyThese::prove(1 + threads_besides) {
        STATE.drop_it(&alone);
    }
    stdio::flush();
    exit_now(0)
}

/// A worker that cannot have its threads says so, and ends.
fn end_without_thread(first: Option<&Executor>, error: &std::io::Error) -> ! {
    let why = format!("it has no thread: {}", explained_io(error));
    tracing::error!(why, "a worker cannot start its threads");
    if let Some(first) = first {
        first.record().last_words.write(0, &why);
    }
    exit_now(BROKEN)
}

/// What a worker's start needs of the heap, with much to spare.
const HEAP_TO_COME: usize = 64 << 10;

/// Has the memory and the code that a worker's start needs brought here, while there
/// is time: what is made for it changes nothing that others see.
fn warm_up(fold: &Fold, functions: &Functions) {
    let order = WorkerOrder {
        victims: (0..executor_count(fold) as u32).collect(),
        ..WorkerOrder::default()
    };
    let pool = fold.pool(ProcessId::of_worker(order.worker));
    let executor = Executor::new(fold, &pool, functions, &order, 0);
    std::hint::black_box(executor.glimpse());
    let _ = affinity::allowed();
    std::hint::black_box(Instant::now());
    // The first page beyond the zygote's heap.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(HEAP_TO_COME)));
}

/// Starts the thread that shows that this process lives, if the order says so; whether it
/// does.
fn begin_to_beat(first: &Executor, order: &WorkerOrder, fold: &Fold) -> bool {
    if order.beat_ms == 0 {
        return false;
    }
    let number = first.number();
    let (fold, period) = (fold.clone(), Duration::from_millis(order.beat_ms));
    let beating = start_thread("pinfold-beat", move || {
        loop {
            // Relaxed: a plain number of one writer.
            fold.executors[number]
                .status
                .beat
                .fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(period);
        }
    });
    if let Err(error) = beating {
        end_without_thread(Some(first), &error);
    }
    true
}

/// Runs one executor; a panic of our own code ends the worker, and the host mends.
fn live(mut executor: Executor) {
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| executor.live()));
    if lived.is_err() {
        exit_now(BROKEN);
    }
    begin::drop_own();
}

fn executor_count(fold: &Fold) -> usize {
    fold.plan.shape.executors()
}
