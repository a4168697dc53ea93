//! Shutting down: when, and who waits for it.
//!
//! ```text
//!   Drain      ─────────────────────────────────▶ ever       tasks end by themselves
//!   DrainFor   ──────────────▶ kill
//!   Graceful   ──────▶ cancel ──────▶ kill
//!   Abort      ▶ kill
//!              the earliest of each that anybody has asked for holds
//! ```
//!
//! Whoever is the first to ask closes the runtime down; all others make it more urgent, if
//! that is what they ask for, and wait for the same end. Then each is told what it has
//! missed: whether tasks were ended that it would have let run.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::background::{self, Log};
use crate::config::Shutdown;
use crate::error::{ShutdownError, TaskError};
use crate::scheduler::about_to_wait;
use crate::sys::signals::start_thread;

use super::core::Core;

/// How long log events, and wakers, may take that are told before it is over.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So long whoever drops a runtime is waited with in silence.
const SILENCE: Duration = Duration::from_millis(200);

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
enum Stage {
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
struct Times {
    cancel: Option<Instant>,
    kill: Option<Instant>,
}

impl Times {
    /// Of a shutdown that begins now. What is beyond what the clock can say is never.
    fn of(how: Shutdown, now: Instant) -> Self {
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

fn is_past(time: Option<Instant>) -> bool {
    time.is_some_and(|time| time <= Instant::now())
}

impl Closing {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn urgency(&self) -> u64 {
        // ordering: Acquire pairs with the addition in `shutdown`.
        self.urgency.load(Ordering::Acquire)
    }

    /// It is over; tasks were killed then, so many.
    fn end(&self, killed: (Instant, usize)) {
        let mut plan = self.lock();
        plan.killed = Some(killed);
        plan.stage = Stage::Over;
        for waker in plan.wakers.drain(..) {
            background::run(move || waker.wake());
        }
        self.changed.notify_all();
    }
}

impl Core {
    /// Ends it as `how` says at the latest; returns when it is over, whoever has ended it.
    pub(super) fn shutdown(&self, how: Shutdown) -> Result<(), ShutdownError> {
        self.shut_down(how, false)
    }

    /// The same for whoever drops the runtime; says so if that takes long.
    pub(super) fn shutdown_at_drop(&self) -> Result<(), ShutdownError> {
        // Whoever panics is not to wait for tasks before it is seen.
        let how = if std::thread::panicking() {
            Shutdown::Abort
        } else {
            self.on_drop
        };
        self.shut_down(how, true)
    }

    fn shut_down(&self, how: Shutdown, is_drop: bool) -> Result<(), ShutdownError> {
        if self.is_elsewhere() {
            return Ok(()); // it is the parent's
        }
        about_to_wait();
        let begin = Instant::now();
        let own = Times::of(how, begin);
        match self.ask(own) {
            Stage::Over => return Ok(()),
            Stage::Open => {
                let killed = self.close_down(is_drop.then(|| begin + SILENCE));
                self.closing.end(killed);
            }
            Stage::Draining | Stage::Stopping => self.wait_for_the_end(),
        }
        self.closing.lock().told(how, own, begin)
    }

    /// Has it end by these times at the latest; how far it was before. Whoever is told that it
    /// was open closes it down.
    fn ask(&self, own: Times) -> Stage {
        let mut plan = self.closing.lock();
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
        self.closing.urgency.fetch_add(1, Ordering::Release);
        self.present().note_given_back();
        stage
    }

    /// As [`Core::shutdown`], but another thread waits.
    pub(super) fn begin_shutdown(self: &Arc<Self>, how: Shutdown) -> ShuttingDown {
        let begin = Instant::now();
        let own = Times::of(how, begin);
        let ending = ShuttingDown {
            core: Arc::clone(self),
            how,
            own,
            begin,
        };
        if self.is_elsewhere() {
            return ending;
        }
        match self.ask(own) {
            Stage::Open => {
                self.close();
                let core = Arc::clone(self);
                let end = move || {
                    let closing = Arc::clone(&core.closing);
                    let killed = core.close_down(None);
                    // Whoever is told that it is over finds nothing of it here.
                    drop(core);
                    closing.end(killed);
                };
                if start_thread("pinfold-close", end.clone()).is_err() {
                    // There is one for this.
                    background::run(end);
                }
            }
            Stage::Stopping if is_past(own.kill) => self.commands.stop(true),
            Stage::Draining | Stage::Stopping | Stage::Over => {}
        }
        ending
    }

    /// For those that did not begin it.
    fn wait_for_the_end(&self) {
        let mut plan = self.closing.lock();
        while plan.stage != Stage::Over {
            let stops_late = plan.stage == Stage::Stopping && plan.times.kill.is_some();
            if stops_late && is_past(plan.times.kill) {
                self.commands.stop(true);
                plan.times.kill = None;
                continue;
            }
            let kill = plan.times.kill.filter(|_| stops_late);
            let left = kill.map(|at| at.saturating_duration_since(Instant::now()));
            let changed = &self.closing.changed;
            plan = match left {
                None => changed.wait(plan).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = changed.wait_timeout(plan, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// For the one that began it. From `told_at` on it says that it waits. It returns when tasks
    /// were killed, and how many; `Closing::end` is to be told.
    fn close_down(&self, mut told_at: Option<Instant>) -> (Instant, usize) {
        self.close();
        let scheduler = self.present();
        let mut is_cancelled = false;
        let has_ended = loop {
            // In this order: what changes the times after it was read changes this too.
            let urgency = self.closing.urgency();
            let times = self.closing.lock().times;
            if is_past(times.kill) {
                break scheduler.wait_for_all(Some(Instant::now()), || false);
            }
            if is_past(times.cancel) && !is_cancelled {
                is_cancelled = true;
                let unfinished = scheduler.unfinished();
                scheduler.cancel_all();
                self.closing.lock().cancelled = Some((Instant::now(), unfinished));
            }
            if is_past(told_at) {
                told_at = None;
                let tasks = scheduler.unfinished();
                // It may be all that is seen of it for a while.
                Log::of_this_thread().with(|| {
                    tracing::warn!(
                        tasks,
                        "a dropped runtime waits for tasks that have not ended"
                    );
                });
            }
            let cancel = times.cancel.filter(|_| !is_cancelled);
            let next = cancel.into_iter().chain(times.kill).chain(told_at).min();
            let is_hurried = || self.closing.urgency() != urgency;
            if scheduler.wait_for_all(next, is_hurried) {
                break true;
            }
        };
        let mut plan = self.closing.lock();
        plan.stage = Stage::Stopping;
        let kills = !has_ended || is_past(plan.times.kill);
        self.closing.changed.notify_all();
        drop(plan);
        let killed_at = Instant::now();
        self.commands.stop(kills);
        self.join_supervisor();
        let aborted = self.present().fail_all(&TaskError::shutdown());
        self.finish();
        background::flush(LAST_WORDS);
        (killed_at, aborted)
    }

    /// Has the attendant leave, and waits until it holds nothing of the fold any more: whoever
    /// looks after the runtime is gone finds no descriptor of it.
    pub(super) fn finish(&self) {
        let scheduler = self.present();
        scheduler.finish();
        scheduler.await_attendant(LAST_WORDS);
    }
}

impl Plan {
    /// What one has missed that asked for `how`, which would have been by `own` times.
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

/// A shutdown that was begun; made by [`Runtime::begin_shutdown`](crate::Runtime::begin_shutdown).
/// Dropping it changes nothing. Also a future, for asynchronous code, which ends as
/// [`wait`](ShuttingDown::wait) does.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let last = rt.spawn(|n: u32| n + 1, 1);
/// let ending: pinfold::ShuttingDown = rt.begin_shutdown(pinfold::Shutdown::Drain);
/// // … do something else meanwhile
/// ending.wait()?;
/// assert!(ending.is_over());
/// assert_eq!(last.join()?, 2);
/// # Ok(())
/// # }
/// ```
pub struct ShuttingDown {
    core: Arc<Core>,
    how: Shutdown,
    own: Times,
    begin: Instant,
}

impl std::fmt::Debug for ShuttingDown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShuttingDown")
            .field("how", &self.how)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

impl ShuttingDown {
    /// Whether every handle has ended and every process is gone.
    pub fn is_over(&self) -> bool {
        self.core.is_elsewhere() || self.core.closing.lock().stage == Stage::Over
    }

    /// Waits for that.
    ///
    /// # Errors
    /// As [`Runtime::shutdown`](crate::Runtime::shutdown).
    pub fn wait(&self) -> Result<(), ShutdownError> {
        if !self.core.is_elsewhere() {
            about_to_wait();
            self.core.wait_for_the_end();
        }
        self.told()
    }

    fn told(&self) -> Result<(), ShutdownError> {
        if self.core.is_elsewhere() {
            return Ok(()); // it is the parent's
        }
        self.core
            .closing
            .lock()
            .told(self.how, self.own, self.begin)
    }
}

impl Future for ShuttingDown {
    type Output = Result<(), ShutdownError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_over() {
            return Poll::Ready(self.told());
        }
        // What wakers do is the user's own: without the lock.
        let waker = context.waker().clone();
        let mut plan = self.core.closing.lock();
        if plan.stage == Stage::Over {
            drop(plan);
            return Poll::Ready(self.told());
        }
        if !plan.wakers.iter().any(|other| other.will_wake(&waker)) {
            plan.wakers.push(waker);
        }
        Poll::Pending
    }
}
