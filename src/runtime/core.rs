//! What a runtime consists of: the scheduler of the present fold, the thread that
//! supervises it, and how one fold takes the place of another.
//!
//! ```text
//!   fold 1 ──damage found──▶ condemned: its tasks end with `Corrupted`
//!                                │ supervisor: its processes are killed
//!                                ▼
//!   fold 2 ◀──founded anew───────┘   submitters that waited go on here
//! ```
//!
//! A handle belongs to the fold it was submitted to, and ends with it. A fold that
//! was replaced stays mapped while a handle or a buffer of it is left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;

use crate::background;
use crate::config::Shutdown;
use crate::scheduler::about_to_wait;
use crate::supervise::{Commands, Ended, Retries, Supervisor};
use crate::sys::signals::start_thread;
use crate::task::{Entry, FunctionId, Functions};

use super::closing::Closing;
use super::founder::Founder;
use super::held::Held;
use super::present::Present;
use super::running::Running;

#[derive(Debug)]
pub(crate) struct Core {
    present: Present<Held>,
    functions: Functions,
    pub(super) commands: Arc<Commands>,
    pub(super) on_drop: Shutdown,
    supervisor: Mutex<Option<JoinHandle<()>>>,
    /// Held while `present` is looked at and waited for.
    /// In it: who waits without a thread.
    replaced: Mutex<Vec<Waker>>,
    was_replaced: Condvar,
    rebuilds: AtomicU64,
    is_closing: AtomicBool,
    pub(super) closing: Arc<Closing>,
    /// Groups of tasks.
    pub(super) running: Running,
}

impl Core {
    pub(super) fn new(scheduler: Held, commands: Arc<Commands>, on_drop: Shutdown) -> Self {
        Core {
            functions: scheduler.functions().clone(),
            present: Present::new(scheduler),
            commands,
            on_drop,
            supervisor: Mutex::default(),
            replaced: Mutex::default(),
            was_replaced: Condvar::new(),
            rebuilds: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            closing: Arc::default(),
            running: Running::default(),
        }
    }

    /// The scheduler of the present fold.
    #[inline]
    pub(super) fn present(&self) -> Held {
        self.present.get()
    }

    /// The name of a task's entry; `None` if it is not in the main program.
    #[inline]
    pub(super) fn function(&self, entry: Entry) -> Option<FunctionId> {
        self.functions.id(entry)
    }

    /// The scheduler of a fold that is not known to be damaged; waits for one while
    /// the fold is built anew.
    #[inline]
    pub(super) fn sound(&self) -> Held {
        let scheduler = self.present();
        if scheduler.is_condemned() {
            return self.successor();
        }
        scheduler
    }

    /// What `f` makes of the scheduler of the present fold, which cannot be replaced
    /// meanwhile; `f` neither waits nor calls anything of the user's.
    #[inline(always)]
    pub(super) fn with_present<T>(&self, f: impl FnOnce(&Held) -> T) -> T {
        self.present.with(f)
    }

    /// The same for the thread that mostly comes; `None` for any other.
    #[inline(always)]
    pub(super) fn with_present_as_favourite<T>(
        &self,
        f: impl FnOnce(&Held) -> Option<T>,
    ) -> Option<T> {
        self.present.with_as_favourite(f)
    }

    /// Whether this process was forked off the one whose runtime it is: neither its
    /// supervisor nor its workers are here.
    #[inline]
    pub(super) fn is_elsewhere(&self) -> bool {
        self.present.is_elsewhere()
    }

    #[cold]
    fn successor(&self) -> Held {
        if self.is_elsewhere() {
            return self.present(); // which takes no tasks
        }
        about_to_wait();
        let mut guard = lock(&self.replaced);
        loop {
            let scheduler = self.present();
            if !scheduler.is_condemned() || self.is_closing() || scheduler.has_given_up() {
                return scheduler;
            }
            guard = self
                .was_replaced
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same for who waits without a thread: `waker` is woken when there is one.
    pub(super) fn poll_sound(&self, waker: &Waker) -> Poll<Held> {
        let scheduler = self.present();
        if !scheduler.is_condemned() || self.is_elsewhere() {
            return Poll::Ready(scheduler);
        }
        // What wakers do is the user's own: without the lock.
        let waker = waker.clone();
        let mut waiting = lock(&self.replaced);
        let scheduler = self.present();
        if !scheduler.is_condemned() || self.is_closing() || scheduler.has_given_up() {
            return Poll::Ready(scheduler);
        }
        if !waiting.iter().any(|other| other.will_wake(&waker)) {
            waiting.push(waker);
        }
        Poll::Pending
    }

    /// All that wait for another fold look again.
    fn call_all(&self, mut waiting: MutexGuard<'_, Vec<Waker>>) {
        for waker in waiting.drain(..) {
            background::run(move || waker.wake());
        }
        self.was_replaced.notify_all();
    }

    fn is_closing(&self) -> bool {
        // ordering: SeqCst, as the store in `close`: whoever closes and whoever
        // founds a fold cannot miss each other.
        self.is_closing.load(Ordering::SeqCst)
    }

    /// No task is accepted any more, by this fold or a later one.
    pub(super) fn close(&self) {
        // ordering: SeqCst pairs with the load in `is_closing`.
        self.is_closing.store(true, Ordering::SeqCst);
        self.present().close();
        self.call_all(lock(&self.replaced));
    }

    /// How often the fold was built anew because its memory was damaged.
    pub(super) fn rebuilds(&self) -> u64 {
        // Relaxed: a counter.
        self.rebuilds.load(Ordering::Relaxed)
    }

    /// Starts the thread that supervises this fold and those that follow it. It begins when it
    /// is sent its first supervisor, and ends if it is sent none.
    pub(super) fn supervise(
        self: &Arc<Self>,
        founder: Founder,
    ) -> std::io::Result<SyncSender<Supervisor>> {
        let core = Arc::clone(self);
        let (sender, first) = sync_channel::<Supervisor>(1);
        let thread = start_thread("pinfold-super", move || {
            let Ok(first) = first.recv() else { return };
            let ran = catch_unwind(AssertUnwindSafe(|| core.run(&founder, first)));
            if ran.is_err() {
                // Its zygote was dropped, and the workers with it.
                core.give_up("the supervisor panicked");
            }
        });
        *lock(&self.supervisor) = Some(thread?);
        Ok(sender)
    }

    fn run(&self, founder: &Founder, mut supervisor: Supervisor) {
        while supervisor.run() == Ended::Condemned {
            if self.is_closing() {
                return;
            }
            let counters = self.present().counters();
            self.present().finish();
            let mut retries = Retries::default();
            supervisor = loop {
                match founder.found(counters) {
                    Ok((scheduler, next)) => {
                        self.replace(Held::new(scheduler));
                        break next;
                    }
                    Err(error) => {
                        self.give_up(&format!("the fold cannot be built anew: {error}"));
                        background::log(move || {
                            tracing::error!(%error, "the fold cannot be built anew");
                        });
                        if !retries.wait(&self.commands) {
                            return;
                        }
                    }
                }
            };
        }
    }

    /// Tasks end with `NoWorkers`, and are refused, until a fold takes the place of this one.
    fn give_up(&self, reason: &str) {
        self.present().give_up(reason);
        self.call_all(lock(&self.replaced));
    }

    fn replace(&self, scheduler: Held) {
        let guard = lock(&self.replaced);
        let former = self.present.replace(scheduler);
        // There may be something of the user's in it.
        background::run(move || {
            former.iter().for_each(Held::close_spare);
            drop(former);
        });
        // Relaxed: a counter.
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.call_all(guard);
        if self.is_closing() {
            self.present().close();
        }
    }

    /// Waits until no thread and no process of the runtime is left; the supervisor was told to
    /// stop.
    pub(super) fn join_supervisor(&self) {
        let thread = lock(&self.supervisor).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            background::log(|| tracing::error!("the supervisor had panicked"));
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.present.get_mut().close_spare();
    }
}

/// Locks a private mutex that guards no data which a panic could leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
