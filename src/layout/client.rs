//! What executors and a client say to each other besides tasks: one line.
//!
//! ```text
//!   0        8         16           24         128
//!   +--------+---------+------------+-----------+
//!   |  bell  | awaited | registered |           |
//!   +--------+---------+------------+-----------+
//! ```
//!
//! A *client* is what one submitting thread of the host has to itself: slots, a ring in which it
//! offers what is in them, this line. An executor reads the line once for each batch in which
//! there was a task of the client's; it changes only when somebody sleeps.

use std::time::Instant;

use crate::prim::Hint;
use crate::prim::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::shm::ShmSafe;
use crate::sys::futex;

/// Nobody sleeps.
const NOTHING: u64 = 0;

/// One per client.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ClientRecord {
    /// Changes when its sleeper is woken; the futex.
    bell: AtomicU32,
    /// The hint of the task whose end its sleeper waits for; 0: nobody sleeps.
    awaited: AtomicU64,
    /// How many of its tasks the host wants to be told of as of its other ones.
    registered: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<ClientRecord>() == 128);
#[cfg(not(loom))]
const _: () = assert!(std::mem::offset_of!(ClientRecord, registered) == 16);

// SAFETY: atomics only, repr(C); the padding behind them is never read.
unsafe impl ShmSafe for ClientRecord {}

impl ClientRecord {
    /// Sleeps until the task of `hint` has ended and its executor has said so, until `deadline`, or
    /// for no reason at all. `has_ended` is asked once more after that was announced. One thread
    /// at a time.
    pub fn sleep(&self, hint: Hint, deadline: Instant, has_ended: impl FnOnce() -> bool) {
        // ordering: Acquire pairs with the Release in `tell`: what was said before is over.
        let key = self.bell.load(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        self.awaited.store(hint.pack(), Ordering::Relaxed);
        // Pairs with the fence in `ended`: either the executor sees who waits, or the word that it has
        // written before is seen here.
        fence(Ordering::SeqCst);
        if !has_ended() {
            futex::wait(&self.bell, key, Some(deadline));
        }
        // Relaxed: who sees it still wakes nobody.
        self.awaited.store(NOTHING, Ordering::Relaxed);
    }

    /// The caller has run tasks of this client's and passed [`ClientRecord::ended`]: wakes its
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
        // ordering: Release pairs with the Acquire in `sleep`.
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

    /// Whether the host wants to be told of any. The caller has passed [`ClientRecord::ended`].
    #[inline]
    pub fn is_any_registered(&self) -> bool {
        // Relaxed: as in `register`.
        self.registered.load(Ordering::Relaxed) != 0
    }
}
