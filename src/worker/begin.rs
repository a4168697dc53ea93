//! Before the first task: makes the worker's state, and the state of each executor.
//!
//! ```text
//!   worker_init ──▶ executor_init, in each executor's thread ──▶ all there ──▶ at work
//!        └──────────────┴──▶ fails: last words, and the process ends
//! ```
//!
//! An executor's own state is a variable of its thread: no other thread can reach it, so it is lent out
//! mutably, once at a time.

use std::any::{Any, type_name};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::background::discard;
use crate::layout::{ExecutorRecord, Fold};
use crate::process::WorkerOrder;
use crate::sys::{Home, exit_now};
use crate::task::{FunctionId, Functions};

use super::here::{BROKEN, STATE};
use super::panics::{self, Said};
use super::{Context, runner};

/// Why there is no state to be had for writing.
///
/// ```
/// let in_host = pinfold::context().with_state_mut(|n: &mut u32| *n);
/// assert_eq!(in_host, Err(pinfold::StateError::Missing { wanted: "u32".into() }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// `executor_init` has made none, or one of another type, or this is no executor's thread.
    #[error(
        "this thread has no state of type `{wanted}`: `Builder::executor_init` makes it, for tasks alone"
    )]
    Missing {
        /// The type that was asked for.
        wanted: String,
    },
    /// It was given out further up on this thread's stack.
    #[error(
        "the executor's state is in use further up on this stack: a task that runs within `with_state_mut` (by `join`, say) cannot have it too"
    )]
    InUse,
}

thread_local! {
    static OWN: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

impl Context {
    /// Calls `f` with what [`executor_init`](crate::Builder::executor_init) made for this
    /// executor, which nobody else can reach: so it may be changed, and need not be `Sync`, nor
    /// `Send`. After a panic in `f` it is as the panic has left it.
    ///
    /// # Errors
    /// [`StateError::Missing`] if there is none of this type, and [`StateError::InUse`] if it is
    /// given out already: in `f` itself, or in a task that `f` joins and that is run on the spot.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .executor_init(|| Ok::<_, String>(Vec::<u32>::new()))
    ///     .start()?;
    /// let seen = |n: u32| {
    ///     let push = |seen: &mut Vec<u32>| {
    ///         seen.push(n);
    ///         seen.len()
    ///     };
    ///     pinfold::context().with_state_mut(push).map_err(|error| error.to_string())
    /// };
    /// assert_eq!(rt.spawn(seen, 5).join_flat()?, 1);
    /// assert_eq!(rt.spawn(seen, 6).join_flat()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_state_mut<T: Any, R>(self, f: impl FnOnce(&mut T) -> R) -> Result<R, StateError> {
        with_own(f)
    }
}

/// Calls `f` with this executor's own state.
fn with_own<T: Any, R>(f: impl FnOnce(&mut T) -> R) -> Result<R, StateError> {
    let missing = || StateError::Missing {
        wanted: type_name::<T>().to_owned(),
    };
    let called = OWN.try_with(|own| {
        let mut own = own.try_borrow_mut().map_err(|_| StateError::InUse)?;
        let state = own.as_mut().and_then(|own| own.downcast_mut());
        state.map(f).ok_or_else(missing)
    });
    called.unwrap_or_else(|_| Err(missing()))
}

/// Drops this executor's own state, at its orderly end.
pub(super) fn drop_own() {
    let own = OWN.try_with(|own| own.try_borrow_mut().ok()?.take());
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(own))) {
        discard(panic);
    }
}

/// Makes the worker's state; without it the worker is of no use, and ends.
pub(super) fn worker(
    functions: &Functions,
    id: u32,
    args: &[u8],
    fold: &Fold,
    order: &WorkerOrder,
) {
    let init = functions.init(FunctionId(id));
    let first = first_of(fold, order);
    let made = make(
        "worker_init",
        first,
        first,
        init.map(|init| move || init(args)),
    );
    STATE.keep(made);
}

/// Makes the state of executor `number`, whose thread this is.
pub(super) fn executor(functions: &Functions, fold: &Fold, order: &WorkerOrder, number: usize) {
    let Some(id) = order.executor_init else {
        return;
    };
    let init = functions.executor_init(FunctionId(id));
    let own = &fold.executors[number];
    let made = make("executor_init", own, first_of(fold, order), init);
    OWN.set(Some(made));
}

/// Whose words are looked at when the worker ends before it has begun.
fn first_of<'a>(fold: &'a Fold, order: &WorkerOrder) -> &'a ExecutorRecord {
    &fold.executors[(order.worker * fold.plan.shape.threads) as usize]
}

/// Runs an init on the thread of the executor whose record is `own`.
fn make<T>(
    what: &str,
    own: &ExecutorRecord,
    first: &ExecutorRecord,
    init: Option<impl FnOnce() -> Result<T, String>>,
) -> T {
    let Some(init) = init else {
        fail(
            first,
            &format!("its {what} is not a function of the program"),
        )
    };
    let home = Home::here();
    let made = catch_unwind(AssertUnwindSafe(init));
    if !home.is_here() {
        runner::end_of_forked(made.is_ok());
    }
    match made {
        Ok(Ok(state)) => {
            // It may have caught a panic of its own.
            let _one = lock();
            own.last_words.clear();
            state
        }
        Ok(Err(error)) => fail(first, &format!("{what} failed: {error}")),
        Err(panic) => {
            let said = panics::said(&*panic, own);
            said.log_backtrace_now();
            let Said {
                message, location, ..
            } = said;
            let place = match &*location {
                "" => String::new(),
                _ => format!(" at {location}"),
            };
            fail(first, &format!("{what} panicked{place}: {message}"))
        }
    }
}

fn fail(record: &ExecutorRecord, why: &str) -> ! {
    // Of several executors that fail, the first one has the word.
    let one = lock();
    record.last_words.write(0, why);
    std::mem::forget(one);
    exit_now(BROKEN)
}

fn lock() -> impl Drop {
    static WORDS: Mutex<()> = Mutex::new(());
    WORDS.lock().unwrap_or_else(PoisonError::into_inner)
}
