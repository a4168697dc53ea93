//! A worker's life: what is prepared in the zygote, its start, its threads, its end.

use std::convert::Infallible;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use tracing::dispatcher;

use crate::layout::Fold;
use crate::pool::encoding;
use crate::prim::ProcessId;
use crate::prim::atomic::Ordering;
use crate::process::{Role, WorkerOrder, WorkerStart};
use crate::sys::calls::explained_io;
use crate::sys::signals::start_thread;
use crate::sys::{OnlyThese, affinity, barrier, exit_now, overflow, stdio, title};
use crate::task::Functions;

use super::executor::Executor;
use super::here::{BROKEN, POOL, STATE};
use super::nest::Nest;
use super::stack::{self, Stack};
use super::{begin, logs, panics, place, waits};

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

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
    fold.connect(&pool);
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
        victims: (0..fold.plan.shape.executors() as u32).collect(),
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
