//! The attendant: the thread of the host that sees to what others have left to do without the
//! lock. See `super::follow` for who does.
//!
//! It never waits for anything but news; least of all for what only it can do. What it calls
//! is the library's own and quick; code of the user's goes to `background`, but for wakers,
//! which by their contract are quick too, and for whom another thread's wake-up would be a
//! delay. A waker that does wait in this library all the same (it drops the last runtime, say,
//! or joins a task) passes the duty on first: [`about_to_wait`]. Then another thread goes on as
//! the attendant, which leaves wakers to `background` until that one has returned.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::background::{self, Log, caught};
use crate::object::{Around, Wait, show_here};

use crate::scheduler::followers::news::News;
use crate::scheduler::followers::presence::Never;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::waiting::sleepers::Awaited;

/// How soon it looks for memory for tasks that lack some, though no task has ended and nobody
/// says that some was freed; and how late.
const LOOK_FOR_MEMORY_MIN: Duration = Duration::from_millis(1);
const LOOK_FOR_MEMORY_MAX: Duration = Duration::from_millis(50);

thread_local! {
    /// What this thread leaves behind if it waits: set while it calls a waker.
    static DUTY: RefCell<Option<Duty>> = const { RefCell::new(None) };
}

/// What an attendant has to do. Dropped in this order: whoever waits for `_presence` to go
/// finds that the attendant holds nothing of the fold any more.
struct Duty {
    scheduler: Arc<Scheduler>,
    _presence: Sender<Never>,
    news: VecDeque<News>,
    log: Log,
    /// How long to wait before it looks for memory again.
    pause: Duration,
}

/// To be called before any wait of the library's that has no near end. If the calling thread
/// is an attendant that is calling a waker, another one takes its place.
pub fn about_to_wait() {
    let duty = DUTY.try_with(|duty| duty.borrow_mut().take());
    if let Ok(Some(duty)) = duty {
        // ordering: AcqRel, as the other change in `Duty::wake`: a count, and it is looked at
        // by the one who is started here.
        duty.scheduler.absent.fetch_add(1, Ordering::AcqRel);
        background::run(move || duty.attend());
    }
}

/// What the host has to do with the waits of its threads for shared objects.
#[derive(Debug)]
pub(in crate::scheduler) struct Waits;

impl Around for Waits {
    fn begins(&self) {
        about_to_wait();
    }

    fn show(&self, wait: Option<Wait>) {
        show_here(wait);
    }
}

impl Scheduler {
    /// Waits until the attendant has let go of the fold, which is over; not longer than `most`:
    /// it may be calling a waker that does not return.
    pub fn await_attendant(&self, most: Duration) {
        self.presence.await_end(most);
    }

    /// What the attendant's thread has to run: it attends to this fold until it is over, and
    /// all is told. What goes wrong is logged by way of `log`.
    pub fn attendant(self: &Arc<Self>, log: Log) -> impl FnOnce() + Send + use<> {
        let duty = Duty {
            scheduler: Arc::clone(self),
            _presence: self.presence.begin(),
            news: VecDeque::new(),
            log,
            pause: LOOK_FOR_MEMORY_MIN,
        };
        || duty.attend()
    }
}

impl Duty {
    fn attend(mut self) {
        loop {
            while let Some(news) = self.news.pop_front() {
                match news {
                    News::Wake(waker) => match self.wake(waker) {
                        Some(duty) => self = duty,
                        None => return, // somebody else is the attendant
                    },
                    news => self.see_to(news),
                }
            }
            match self.scheduler.news(self.pause) {
                Some(news) => self.news = news.into(),
                None => return,
            }
        }
    }

    fn wake(self, waker: Waker) -> Option<Self> {
        let log = self.log.clone();
        // ordering: Acquire pairs with the changes: how long one is absent is judgement.
        if self.scheduler.absent.load(Ordering::Acquire) > 0 {
            background::run(move || alone(&log, "a waker", "", || waker.wake()));
            return Some(self);
        }
        let scheduler = Arc::clone(&self.scheduler);
        DUTY.set(Some(self));
        alone(&log, "a waker", "", || waker.wake());
        let duty = DUTY.take();
        if duty.is_none() {
            // ordering: AcqRel, as above.
            scheduler.absent.fetch_sub(1, Ordering::AcqRel);
        }
        duty
    }

    fn see_to(&mut self, news: News) {
        let log = &self.log;
        match news {
            News::Ended { outcome, followers } => {
                for follower in followers {
                    alone(log, "a follower", "", || follower(&outcome));
                }
            }
            // See `attend`.
            News::Wake(_) => {}
            News::Ready(node) => self.scheduler.go(node),
            News::Memory => {
                self.pause = if self.scheduler.quench() {
                    LOOK_FOR_MEMORY_MIN
                } else {
                    (2 * self.pause).min(LOOK_FOR_MEMORY_MAX)
                };
            }
            News::Gone(it) => {
                let log = log.clone();
                background::run(move || alone(&log, "a drop", "", || drop(it)));
            }
            News::Heard(listener) => listener(),
            News::ToJudge {
                task,
                name,
                end,
                mut outcome,
                judge,
            } => {
                let log = log.clone();
                let scheduler = Arc::clone(&self.scheduler);
                background::run(move || {
                    let mut has_failed = false;
                    alone(&log, "retry_if", name(), || {
                        has_failed = judge(&mut outcome);
                    });
                    scheduler.judged(task, end, outcome, has_failed);
                });
            }
        }
    }
}

/// If it panics the others are told all the same.
fn alone(log: &Log, which: &'static str, task: &'static str, f: impl FnOnce()) {
    if let Err(panic) = caught(f) {
        let log = log.clone();
        log.later(move || {
            tracing::error!(
                target: "pinfold::runtime",
                which, task, panic, "whoever followed a task panicked"
            );
        });
    }
}

impl Scheduler {
    /// The next news, which it waits for. `None`: there will be none any more. For memory that
    /// somebody lacks it looks after `pause`.
    fn news(&self, pause: Duration) -> Option<Vec<News>> {
        loop {
            let mut state = self.lock();
            loop {
                // Whoever leads looks, too, but not after the last task has ended, which it may
                // have done while the attendant was away.
                if !state.tickets.news.is_empty() || self.listen_around(&mut state) {
                    return Some(std::mem::take(&mut state.tickets.news));
                }
                if state.followers.is_over() && !state.is_attended() {
                    return None;
                }
                if state.is_attended() {
                    break;
                }
                // There may be more to attend to in a moment: to be woken for it takes
                // whoever submits a system call.
                let has_followed = state.followers.take_has_followed();
                if has_followed && self.may_leave(&state, Awaited::News) {
                    self.leave_to_others(state);
                    state = self.lock();
                    continue;
                }
                let calls = self.pool.calls();
                self.see_to_memory(&mut state);
                if !state.tickets.news.is_empty() {
                    continue;
                }
                state.followers.set_idle(true);
                drop(state);
                // Whoever has something to attend to comes after this, and calls; so does a
                // task that needs memory, whenever it was.
                self.pool.wait_for_call(calls);
                state = self.lock();
                state.followers.set_idle(false);
            }
            let lacks_memory = state.lacks_memory();
            let ended = state.ended();
            drop(state);
            let _waiting = lacks_memory.then(|| self.pool.wait_for_memory());
            let freed = self.pool.freed();
            let look = lacks_memory.then(|| Instant::now() + pause);
            self.wait_until(Awaited::News, look, |state| {
                !state.tickets.news.is_empty()
                    || !state.is_attended()
                    || (lacks_memory && (state.ended() != ended || self.pool.freed() != freed))
            });
            let mut state = self.lock();
            if lacks_memory {
                state.tickets.news.push(News::Memory);
            }
        }
    }
}
