//! Atomics for models: `loom`'s, used by threads that may die.
//!
//! In a model a process is a thread. [`run_mortal`] runs a body that stops for
//! ever just before its k-th step; a step is one operation on shared memory or
//! one system call. So a model that is repeated for k = 0, 1, 2, … until the body
//! lives to its end has seen a death at *every* point of the very source.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, AtomicU64 as AtomicU64Std, Ordering as StdOrdering};

use loom::sync::atomic::Ordering;

/// Thrown by the step that is not taken; carries no message and prints none.
struct Died;

/// How long the running thread has to live.
#[derive(Clone, Copy)]
enum Life {
    Immortal,
    Steps(u32),
    Over,
}

loom::thread_local! {
    static LIFE: Cell<Life> = Cell::new(Life::Immortal);
}

/// One step of whatever thread runs; a mortal one whose time has come ends here.
/// False if it has ended before: destructors run while its stack is taken down,
/// but the dead change nothing and see nothing but zeros.
#[must_use]
pub fn step() -> bool {
    let died = LIFE.with(|life| match life.get() {
        Life::Immortal => Some(false),
        Life::Steps(0) => {
            life.set(Life::Over);
            Some(true)
        }
        Life::Steps(more) => {
            life.set(Life::Steps(more - 1));
            Some(false)
        }
        Life::Over => None,
    });
    if died == Some(true) {
        resume_unwind(Box::new(Died));
    }
    died.is_some()
}

/// Runs `body`, which dies before step `death`; `None` if it did. What it leaves in
/// shared memory stays as it is.
pub fn run_mortal<R>(death: u32, body: impl FnOnce() -> R) -> Option<R> {
    LIFE.with(|life| life.set(Life::Steps(death)));
    let outcome = catch_unwind(AssertUnwindSafe(body));
    LIFE.with(|life| life.set(Life::Immortal));
    match outcome {
        Ok(value) => Some(value),
        Err(thrown) if thrown.is::<Died>() => None,
        Err(thrown) => resume_unwind(thrown),
    }
}

thread_local! {
    /// Whether each load sees the newest value; see [`newest`].
    static NEWEST: Cell<bool> = const { Cell::new(false) };
}

/// For models with too many steps for all values that a load may see: in what
/// `explore` does, each load sees the newest one. All orders of steps are left, and
/// what is ordered behind what is still checked for plain memory.
#[cfg(test)]
pub fn newest(explore: impl FnOnce()) {
    NEWEST.set(true);
    explore();
    NEWEST.set(false);
}

/// Explores `model` in every order of its threads' steps, or in those with at most
/// `preemptions` unforced changes of thread, and says how many there were.
#[cfg(test)]
pub fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let executions = count_executions(preemptions, model);
    println!("{name}: {executions} executions");
}

/// As [`explore`], for a death before step 0, 1, 2, … until a whole exploration has
/// passed in which nobody died. The model says by the flag that somebody did.
#[cfg(test)]
pub fn explore_deaths(
    name: &str,
    preemptions: Option<usize>,
    model: impl Fn(u32, &AtomicBool) + Sync + Send + Clone + 'static,
) {
    let (mut death, mut executions) = (0, 0);
    loop {
        let died = Arc::new(AtomicBool::new(false));
        let (model, has_died) = (model.clone(), Arc::clone(&died));
        executions += count_executions(preemptions, move || model(death, &has_died));
        if !died.load(StdOrdering::SeqCst) {
            break;
        }
        death += 1;
        assert!(death < 500, "{name}: the body never lives to its end");
    }
    assert!(death > 0, "{name}: nobody ever died");
    println!("{name}: died at each of {death} points, {executions} executions");
}

#[cfg(test)]
fn count_executions(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) -> u64 {
    let executions = Arc::new(AtomicU64Std::new(0));
    let count = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check(move || {
        count.fetch_add(1, StdOrdering::SeqCst);
        model();
    });
    executions.load(StdOrdering::SeqCst)
}

macro_rules! mortal {
    ($name:ident, $inner:ty, $value:ty) => {
        /// As loom's, with a step before each operation.
        ///
        /// The second one is touched by loads. loom 0.7 remembers of an atomic only
        /// the last access: a load, then another thread's load and its
        /// compare-and-swap, and it does not see that the swap could have come
        /// before the first load. Loads that conflict with each other mend that.
        /// Relaxed: it must order the exploration and nothing else.
        #[derive(Debug, Default)]
        pub struct $name($inner, loom::sync::atomic::AtomicU32);

        impl $name {
            /// A new one.
            pub fn new(value: $value) -> Self {
                Self(<$inner>::new(value), Default::default())
            }

            /// See `core`.
            #[track_caller]
            pub fn load(&self, ordering: Ordering) -> $value {
                if step() { self.peek(ordering) } else { 0 }
            }

            /// A load by the system, in which nobody dies.
            #[track_caller]
            pub fn peek(&self, ordering: Ordering) -> $value {
                if NEWEST.get() {
                    // As a change that changes nothing.
                    return self.0.fetch_add(0, ordering);
                }
                // Relaxed: orders the exploration, see above.
                self.1.fetch_add(1, Ordering::Relaxed);
                self.0.load(ordering)
            }

            /// See `core`.
            #[track_caller]
            pub fn store(&self, value: $value, ordering: Ordering) {
                if !step() {
                    return;
                }
                if NEWEST.get() {
                    // loom puts a store and a change that are not ordered in either
                    // order, whichever was first; two changes it does not.
                    self.0.swap(value, ordering);
                } else {
                    self.0.store(value, ordering);
                }
            }

            /// See `core`.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if step() {
                    self.0.compare_exchange(current, new, success, failure)
                } else {
                    Err(0)
                }
            }

            /// See `core`. Never fails for no reason: loom does not model that.
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            mortal!(@fetch $value: swap fetch_add fetch_sub fetch_or fetch_and fetch_min fetch_max);
        }
    };
    (@fetch $value:ty: $($method:ident)*) => {
        $(
            /// See `core`.
            #[track_caller]
            pub fn $method(&self, value: $value, ordering: Ordering) -> $value {
                if step() { self.0.$method(value, ordering) } else { 0 }
            }
        )*
    };
}

mortal!(AtomicU32, loom::sync::atomic::AtomicU32, u32);
mortal!(AtomicU64, loom::sync::atomic::AtomicU64, u64);
