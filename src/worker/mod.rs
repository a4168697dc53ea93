//! Inside a worker process: executors that take hints, claim tasks, run them and
//! say so, and sleep when there is nothing to do.
//!
//! ```text
//!         ┌──────────── searching ◀───────────────────────┐
//!         │  (own inbox, others' inboxes, others' batches) │ woken
//!   found │                │ nothing for a while           │
//!         ▼                ▼                               │
//!      running          sleeping: bell prepared, one last look, futex wait
//!         │  batch done
//!         └──────────▶ searching
//! ```
//!
//! An executor meets the host in shared memory only; this module and
//! [`crate::scheduler`] never import each other.

mod executor;
mod find;
mod idle;
mod panics;
mod run;

use std::convert::Infallible;
use std::sync::OnceLock;

use crate::layout::Fold;
use crate::pool::{AllocError, Loan, Pool};
use crate::prim::ProcessId;
use crate::process::{Role, WorkerStart};
use crate::sys::{barrier, exit_now};
use crate::task::Functions;

use executor::Executor;

/// The exit status of a worker whose own code failed (not a task's).
const BROKEN: i32 = 70;

static POOL: OnceLock<Pool> = OnceLock::new();

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

/// A worker's whole life, from just after the fork.
pub fn run(start: WorkerStart) -> Infallible {
    let WorkerStart { fold, order } = start;
    Role::Worker.set();
    if fold.header.is_asymmetric() {
        if !barrier::register() {
            tracing::error!("membarrier works in the host but not here");
            exit_now(BROKEN);
        }
        barrier::use_asymmetric();
    }
    let functions = match Functions::of_this_program() {
        Ok(functions) => functions,
        Err(error) => {
            tracing::error!(%error, "a worker cannot find its own code");
            exit_now(BROKEN)
        }
    };
    let pool = fold.pool(ProcessId::of_worker(order.worker));
    let pool = POOL.get_or_init(|| pool).clone();
    panics::install(fold.clone());
    let threads = fold.plan.shape.threads;
    let executors: Vec<Executor> = (0..threads)
        .map(|thread| Executor::new(&fold, &pool, &functions, &order, thread))
        .collect();
    let mut executors = executors.into_iter();
    let first = executors.next();
    for executor in executors {
        let name = format!("pinfold-{}", executor.number());
        let spawned = std::thread::Builder::new()
            .name(name)
            .spawn(move || live(executor));
        if let Err(error) = spawned {
            tracing::error!(%error, "a worker cannot start its threads");
            exit_now(BROKEN);
        }
    }
    if let Some(first) = first {
        live(first);
    }
    // The first executor left because the fold stops; the others do the same, and
    // nothing of theirs needs an orderly end.
    exit_now(0)
}

/// Runs one executor; a panic of our own code ends the worker, and the host mends.
fn live(mut executor: Executor) {
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| executor.live()));
    if lived.is_err() {
        exit_now(BROKEN);
    }
}

fn executor_count(fold: &Fold) -> usize {
    fold.plan.shape.executors()
}
