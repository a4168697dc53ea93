//! A client's line: what executors and a client tell each other besides tasks.
//!
//! ```text
//!   0        8         16           24         128
//!   +--------+---------+------------+-----------+
//!   |  bell  | awaited | registered |           |
//!   +--------+---------+------------+-----------+
//! ```
//!
//! A *client* is one submitting thread's own part of the queue: slots, a ring in which it offers their tasks,
//! this line. An executor reads the line once for each batch with a task of the client; the line changes only
//! when somebody sleeps.
//!
//! | who | step |
//! | --- | --- |
//! | executor | 1. the word: Done; a full fence (`ended`) |
//! |          | 2. `tell`: somebody waits for a task that has ended: clear *awaited*; the executor that has cleared it rings, and wakes |
//! |          | 3. any registered: put a completion |
//! | sleeper  | 1. take the bell's key, under the lock under which it sees that its task is the client's still |
//! |          | 2. `sleep`: *awaited*, a full fence, look at the word once more, futex wait |
//! | host     | 1. `register`: how many; the heavy barrier; look at the words: what has ended is collected |
//! |          | 2. ring, so that a thread that sleeps for one of them waits elsewhere |
//!
//! Either an executor sees the sleeper (or how many tasks are registered), or the sleeper (or the host) sees
//! the word that the executor has written before. An executor that dies between its steps leaves a sleeper
//! that was not woken, or a completion that never comes: after every death the host registers all tasks of all
//! clients.

#[cfg(all(test, loom))]
mod model;

use std::time::Instant;

use crate::prim::Hint;
use crate::prim::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex;

/// Nobody sleeps.
const NOTHING: u64 = 0;

/// What a client's bell was.
#[derive(Clone, Copy, Debug)]
pub struct ClientKey(u32);

/// One per client.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ClientLine {
    /// Changes when its sleeper is woken; the futex.
    bell: AtomicU32,
    /// The hint of the task whose end its sleeper waits for; 0: nobody sleeps.
    awaited: AtomicU64,
    /// How many of its tasks the host wants to be told of as of its other ones.
    registered: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<ClientLine>() == 128);
#[cfg(not(loom))]
const _: () = assert!(std::mem::offset_of!(ClientLine, registered) == 16);

impl ClientLine {
    /// What the bell is before its sleeper has decided to sleep. Whoever registers tasks rings
    /// afterwards; so this is taken where it is certain that it has not done so yet.
    pub fn key(&self) -> ClientKey {
        // ordering: Acquire pairs with the Release in `force`: what was said before is over.
        ClientKey(self.bell.load(Ordering::Acquire))
    }

    /// Sleeps until the task of `hint` has ended and its executor has said so, until it was rung since
    /// `key`, until `deadline`, or for no reason at all. `has_ended` is asked once more after that was
    /// announced. One thread at a time.
    pub fn sleep(
        &self,
        key: ClientKey,
        hint: Hint,
        deadline: Option<Instant>,
        has_ended: impl FnOnce() -> bool,
    ) {
        // Relaxed: ordered by the fence.
        self.awaited.store(hint.pack(), Ordering::Relaxed);
        // Pairs with the fence in `ended`: either the executor sees who waits, or the word that it has
        // written before is seen here.
        fence(Ordering::SeqCst);
        if !has_ended() {
            futex::wait(&self.bell, key.0, deadline);
        }
        // Relaxed: who sees it still wakes nobody.
        self.awaited.store(NOTHING, Ordering::Relaxed);
    }

    /// The caller has run tasks of this client's and passed [`ClientLine::ended`]: wakes its
    /// sleeper, if the task that it waits for `has_ended`.
    #[inline]
    pub fn tell(&self, has_ended: impl FnOnce(Hint) -> bool) {
        // Relaxed: ordered by the fence.
        let awaited = self.awaited.load(Ordering::Relaxed);
        if awaited != NOTHING && has_ended(Hint::unpack(awaited)) {
            self.wake(awaited);
        }
    }

    #[cold]
    fn wake(&self, awaited: u64) {
        // Relaxed: of several that see it one wakes; nothing else follows from it.
        let is_first =
            self.awaited
                .compare_exchange(awaited, NOTHING, Ordering::Relaxed, Ordering::Relaxed);
        if is_first.is_ok() {
            self.force();
        }
    }

    /// Wakes its sleeper, whatever it waits for.
    pub fn force(&self) {
        // ordering: Release pairs with the Acquire in `key`.
        self.bell.fetch_add(1, Ordering::Release);
        futex::wake(&self.bell, 1);
    }

    /// Between writing the words of tasks that have ended and telling anybody.
    #[inline]
    pub fn ended() {
        // Pairs with the fence in `sleep`, and with the heavy barrier of who registers.
        fence(Ordering::SeqCst);
    }

    /// The host wants to be told of so many; under a lock of its own. It passes the heavy barrier
    /// before it looks at the tasks' words.
    pub fn register(&self, count: u64) {
        // Relaxed: ordered by the barrier, which pairs with the executor's fence.
        self.registered.store(count, Ordering::Relaxed);
    }

    /// Whether the host wants to be told of any. The caller has passed [`ClientLine::ended`].
    #[inline]
    pub fn is_any_registered(&self) -> bool {
        // Relaxed: as in `register`.
        self.registered.load(Ordering::Relaxed) != 0
    }
}
