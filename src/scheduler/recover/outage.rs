//! The time in which there is no worker, and none can be started.
//!
//! It begins when no worker lives: nobody claims or finishes a task then, so all that are in
//! flight can be ended, in the fold as it is. Until it ends none is accepted, and each is told
//! the cause. It is not a shutdown: the supervisor goes on trying, sooner if tasks come.

use std::sync::atomic::Ordering;

use crate::error::{Refusal, TaskError};

use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// There are no workers, and for a while there will be none: ends all tasks, and takes no
    /// more until [`Scheduler::go_on`]. No worker lives now.
    pub fn give_up(&self, reason: &str) {
        let mut state = self.lock();
        self.reap(&mut state);
        state.door.close_for_a_while();
        self.clients.set_open(false);
        let reason = reason.to_owned();
        self.fail_in_flight(&mut state, &TaskError::no_workers(reason));
        state.unpark_all();
        drop(state);
        self.fold.host_bell.force();
    }

    /// There is a worker again.
    pub fn go_on(&self) {
        let mut state = self.lock();
        if !self.is_condemned() && state.door.open_again() {
            self.clients.set_open(state.profiling.is_none());
            state.unpark_all();
        }
    }

    /// Why tasks are refused, if it is because there are no workers.
    pub fn why_no_workers(&self) -> Option<String> {
        let state = self.lock();
        match (state.door.refusal(), state.door.failed()) {
            (Some(Refusal::NoWorkers), Some(TaskError::NoWorkers { reason, .. })) => {
                Some(reason.clone())
            }
            _ => None,
        }
    }

    /// Whether tasks are refused because there are no workers.
    pub fn has_given_up(&self) -> bool {
        self.lock().door.refusal() == Some(Refusal::NoWorkers)
    }

    /// What a task ends with that was refused because there were no workers just now.
    pub fn no_workers(&self) -> TaskError {
        let reason = self.why_no_workers();
        TaskError::no_workers(
            reason.unwrap_or_else(|| "but by now one was: submit it again".into()),
        )
    }

    /// Whether a task was refused since this was last asked, because there are no workers.
    pub fn is_wanted(&self) -> bool {
        // Relaxed: a hint; the bell is rung after it was set.
        self.is_wanted.swap(false, Ordering::Relaxed)
    }

    /// Why no task is accepted. Asks the supervisor for workers if that is why.
    #[cold]
    pub(in crate::scheduler) fn refusal(&self, state: &State) -> Option<Refusal> {
        let refusal = state.door.refusal()?;
        // Relaxed: as in `is_wanted`.
        if refusal == Refusal::NoWorkers && !self.is_wanted.swap(true, Ordering::Relaxed) {
            self.bell.ring();
        }
        Some(refusal)
    }
}
