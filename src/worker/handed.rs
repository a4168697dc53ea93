//! What a task's contexts on other threads of its process share.
//!
//! ```text
//!   task's thread   handle() ──▶ Handed ◀── clones, on any thread
//!        │                          │         look at the note beside the slot, by generation
//!   the function returns            │         report under the lock, unless it is over
//!        └──▶ under the lock: over ─┘
//!             only then the slot says that the task is done, and may have another
//! ```
//!
//! So nothing is written beside the slot of another task, however late a thread comes. Beside the slot of a
//! spawned task nothing is written at all, as nobody asks for its progress: it is over when its word says so.
//! All of this dies with the worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::prim::Hint;

use super::runner::Runner;

/// What the handles of one task share.
#[derive(Debug)]
pub(super) struct Handed {
    runner: &'static Runner,
    task: Hint,
    /// The host's task that it is part of.
    root: Option<Hint>,
    /// The task has ended.
    is_over: AtomicBool,
    /// Held by whoever writes beside the task's slot, and while the task ends.
    writing: Mutex<()>,
}

impl Handed {
    /// Of a task that runs on this thread.
    pub fn new(runner: &'static Runner, task: Hint) -> Self {
        Handed {
            runner,
            task,
            root: runner.root_of(task),
            is_over: AtomicBool::new(false),
            writing: Mutex::default(),
        }
    }

    pub fn runner(&self) -> &'static Runner {
        self.runner
    }

    pub fn task(&self) -> Hint {
        self.task
    }

    pub fn is_of(&self, task: Hint) -> bool {
        self.task == task
    }

    /// Only one at a time writes beside the slot.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        // It guards nothing of ours that a panic could leave half changed.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub fn is_over(&self) -> bool {
        // ordering: Acquire pairs with the Release in `end`. In a process that the task has
        // forked there is no task.
        self.is_over.load(Ordering::Acquire)
            || !self.runner.home.is_here()
            || self.was_spawned() && !self.runner.is_run_here(self.task)
    }

    /// Whether what works for it is to end.
    #[inline]
    pub fn is_to_end(&self) -> bool {
        self.is_over() || self.runner.is_to_end(self.task)
    }

    /// When it should have ended, if it has not.
    pub fn deadline(&self) -> Option<u64> {
        let root = self.root.filter(|_| !self.is_over())?;
        self.runner.deadline_of(root)
    }

    /// Whether another task has spawned it.
    #[inline]
    pub fn was_spawned(&self) -> bool {
        self.task.slot.0 >= self.runner.fold.plan.shape.host_slots()
    }

    /// The task has ended: nobody writes beside its slot any more.
    pub fn end(&self) {
        let _writing = self.lock();
        // ordering: Release pairs with the Acquire in `is_over`; who writes holds the lock.
        self.is_over.store(true, Ordering::Release);
    }
}
