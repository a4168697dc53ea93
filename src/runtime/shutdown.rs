//! Shutting down: how whoever is the first to ask closes the runtime down, and the others wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::background::{self, Log};
use crate::config::Shutdown;
use crate::error::{ShutdownError, TaskError};
use crate::scheduler::about_to_wait;
use crate::sys::signals::start_thread;

use super::closing::{Stage, Times, is_past};
use super::core::Core;

/// How long log events, and wakers, may take that are told before it is over.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So long whoever drops a runtime is waited with in silence.
const SILENCE: Duration = Duration::from_millis(200);

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
        self.closing.told(how, own, begin)
    }

    /// Has it end by these times at the latest; how far it was before. Whoever is told that it was
    /// open closes it down; whoever is closing it down looks again.
    fn ask(&self, own: Times) -> Stage {
        let stage = self.closing.ask(own);
        if matches!(stage, Stage::Draining | Stage::Stopping) {
            self.present().note_given_back();
        }
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
        self.closing.wait(|| self.commands.stop(true));
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
            let times = self.closing.times();
            if is_past(times.kill) {
                break scheduler.wait_for_all(Some(Instant::now()), || false);
            }
            if is_past(times.cancel) && !is_cancelled {
                is_cancelled = true;
                let unfinished = scheduler.unfinished();
                scheduler.cancel_all();
                self.closing.cancelled(unfinished);
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
        let is_late = self.closing.stopping();
        let killed_at = Instant::now();
        self.commands.stop(!has_ended || is_late);
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
        self.core.is_elsewhere() || self.core.closing.is_over()
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
        self.core.closing.told(self.how, self.own, self.begin)
    }
}

impl Future for ShuttingDown {
    type Output = Result<(), ShutdownError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // An own one, for it is cloned without the lock: what wakers do is the user's own.
        if self.is_over() || self.core.closing.poll_over(context.waker().clone()) {
            return Poll::Ready(self.told());
        }
        Poll::Pending
    }
}
