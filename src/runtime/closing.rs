//! What is known of a shutdown: when, how far it is, and who waits for it.
//!
//! ```text
//!   Drain      ─────────────────────────────────▶ ever       tasks end by themselves
//!   DrainFor   ──────────────▶ kill
//!   Graceful   ──────▶ cancel ──────▶ kill
//!   Abort      ▶ kill
//!              the earliest of each that anybody has asked for holds
//! ```
//!
//! Whoever is the first to ask closes the runtime down (`super::shutdown`); all others make it more
//! urgent, if that is what they ask for, and wait for the same end. Then each is told what it has
//! missed: whether tasks were ended that it would have let run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::background;
use crate::config::Shutdown;
use crate::error::ShutdownError;

/// What is known of a shutdown.
#[derive(Debug, Default)]
pub(super) struct Closing {
    plan: Mutex<Plan>,
    changed: Condvar,
    /// Counts what has made it more urgent.
    urgency: AtomicU64,
}

#[derive(Debug, Default)]
struct Plan {
    stage: Stage,
    times: Times,
    /// When tasks were cancelled, and how many had not ended.
    cancelled: Option<(Instant, usize)>,
    /// When tasks were killed, and how many had not ended.
    killed: Option<(Instant, usize)>,
    /// Who waits for its end without a thread.
    wakers: Vec<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has asked for it.
    #[default]
    Open,
    /// Tasks may end by themselves.
    Draining,
    /// Workers are told to leave.
    Stopping,
    /// Nothing is left.
    Over,
}

/// When tasks are cancelled, and when they are killed; `None` is never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) cancel: Option<Instant>,
    pub(super) kill: Option<Instant>,
}

impl Times {
    /// Of a shutdown that begins now. What is beyond what the clock can say is never.
    pub(super) fn of(how: Shutdown, now: Instant) -> Self {
        let (cancel, kill) = match how {
            Shutdown::Drain => (None, None),
            Shutdown::DrainFor(limit) => (None, now.checked_add(limit)),
            Shutdown::Graceful { drain, grace } => {
                let cancel = now.checked_add(drain);
                (cancel, cancel.and_then(|cancel| cancel.checked_add(grace)))
            }
            Shutdown::Abort => (None, Some(now)),
        };
        Times { cancel, kill }
    }

    fn hurry(&mut self, other: Times) {
        self.cancel = self.cancel.into_iter().chain(other.cancel).min();
        self.kill = self.kill.into_iter().chain(other.kill).min();
    }

    /// Whether what was done at `time` came before it was to be.
    fn would_have_waited(due: Option<Instant>, time: Instant) -> bool {
        due.is_none_or(|due| time < due)
    }
}

/// Whether it is time for it.
pub(super) fn is_past(time: Option<Instant>) -> bool {
    time.is_some_and(|time| time <= Instant::now())
}

impl Closing {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it end by these times at the latest; how far it was before. Whoever is told that it
    /// was open closes it down.
    pub(super) fn ask(&self, own: Times) -> Stage {
        let mut plan = self.lock();
        let stage = plan.stage;
        if stage == Stage::Over {
            return stage;
        }
        plan.times.hurry(own);
        if stage == Stage::Open {
            plan.stage = Stage::Draining;
            return stage;
        }
        drop(plan);
        // ordering: Release pairs with the Acquire in `urgency`.
        self.urgency.fetch_add(1, Ordering::Release);
        stage
    }

    /// Changes when it has become more urgent.
    pub(super) fn urgency(&self) -> u64 {
        // ordering: Acquire pairs with the addition in `ask`.
        self.urgency.load(Ordering::Acquire)
    }

    /// What is to be done when. What changes it changes [`urgency`](Self::urgency) afterwards.
    pub(super) fn times(&self) -> Times {
        self.lock().times
    }

    /// Tasks were cancelled, so many that had not ended.
    pub(super) fn cancelled(&self, tasks: usize) {
        self.lock().cancelled = Some((Instant::now(), tasks));
    }

    /// Nothing is waited for but the processes' end. Whether it is time to kill tasks.
    pub(super) fn stopping(&self) -> bool {
        let mut plan = self.lock();
        plan.stage = Stage::Stopping;
        let kills = is_past(plan.times.kill);
        self.changed.notify_all();
        kills
    }

    /// It is over; tasks were killed then, so many.
    pub(super) fn end(&self, killed: (Instant, usize)) {
        let mut plan = self.lock();
        plan.killed = Some(killed);
        plan.stage = Stage::Over;
        for waker in plan.wakers.drain(..) {
            background::run(move || waker.wake());
        }
        self.changed.notify_all();
    }

    /// Waits until it is over, for those that did not begin it. Calls `kill` when the workers were
    /// told to leave and it is time to kill them.
    pub(super) fn wait(&self, kill: impl Fn()) {
        let mut plan = self.lock();
        while plan.stage != Stage::Over {
            let stops_late = plan.stage == Stage::Stopping && plan.times.kill.is_some();
            if stops_late && is_past(plan.times.kill) {
                kill();
                plan.times.kill = None;
                continue;
            }
            let kill = plan.times.kill.filter(|_| stops_late);
            let left = kill.map(|at| at.saturating_duration_since(Instant::now()));
            let changed = &self.changed;
            plan = match left {
                None => changed.wait(plan).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = changed.wait_timeout(plan, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().stage == Stage::Over
    }

    /// The same; `waker` is woken when it is over, if it is not yet.
    pub(super) fn poll_over(&self, waker: Waker) -> bool {
        let mut plan = self.lock();
        if plan.stage == Stage::Over {
            return true; // and what dropping `waker` does is the user's own: after the lock
        }
        if !plan.wakers.iter().any(|other| other.will_wake(&waker)) {
            plan.wakers.push(waker);
        }
        false
    }

    /// What one has missed that asked at `begin` for `how`, which would have been by `own` times.
    pub(super) fn told(
        &self,
        how: Shutdown,
        own: Times,
        begin: Instant,
    ) -> Result<(), ShutdownError> {
        self.lock().told(how, own, begin)
    }
}

impl Plan {
    /// See [`Closing::told`].
    fn told(&self, how: Shutdown, own: Times, begin: Instant) -> Result<(), ShutdownError> {
        let is_early = |due, done: Option<(Instant, usize)>| {
            done.is_some_and(|(at, tasks)| tasks > 0 && Times::would_have_waited(due, at))
        };
        let aborted = self.killed.map_or(0, |(_, aborted)| aborted);
        // Who cancels nothing kills at the end.
        let cut_short =
            is_early(own.kill, self.killed) || is_early(own.cancel.or(own.kill), self.cancelled);
        let cancelled = self.cancelled.map_or(0, |(_, cancelled)| cancelled);
        let missed = if cut_short {
            aborted.max(cancelled)
        } else {
            aborted
        };
        if missed == 0 || how == Shutdown::Abort {
            return Ok(());
        }
        Err(ShutdownError {
            aborted: missed,
            after: begin.elapsed(),
            cut_short,
        })
    }
}
