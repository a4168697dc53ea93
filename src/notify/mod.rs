//! Doorbells: event counts on which one thread sleeps until another has something for it.
//!
//! A bell is one 32-bit word in shared memory, which is also the futex:
//!
//! ```text
//!  31                        2   1   0
//! +--------------------------+---+---+   w = 1: somebody sleeps, is about to, or was woken
//! |          epoch           | r | w |          just now and may sleep again
//! +--------------------------+---+---+   r = 1: it was rung and woken since it last prepared
//! ```
//!
//! | who     | step                                                        |
//! | ------- | ----------------------------------------------------------- |
//! | sleeper | 1. `prepare`: clear `r`, advance the epoch, set `w`; if that was not set, then a heavy barrier |
//! |         | 2. look once more at everything it waits for; found: go on   |
//! |         | 3. `wait`: futex wait while the word is as after step 1      |
//! |         | 4. to sleep again: 1; to do something else: `cancel` clears `w` |
//! | waker   | 1. publish, then a light barrier                             |
//! |         | 2. `ring`: if `w` is set, advance the epoch; if `r` was set then, that is all |
//! |         | 3. wake                                                      |
//! |         | 4. if the word is as after step 2: set `r`                   |
//!
//! Either the waker sees `w`, or the sleeper's second look sees what was
//! published: the barriers between the two steps of each side forbid that both
//! miss (see [`crate::sys::barrier`]). If the waker comes between steps 1 and 3,
//! the word has changed and the futex wait returns at once.
//!
//! A woken sleeper stays marked until it cancels. So a sleeper that is woken and sleeps again passes the
//! barrier once, not each time: every waker has seen `w` ever since, and rings.
//!
//! A woken sleeper may have to wait for a CPU, and wakers that publish meanwhile need not wake it again: `r`
//! tells them. While `r` is set nobody sleeps, since the sleeper was woken after it prepared. Both sides learn
//! of each other by a change of the same word, so one comes first: if the waker, the sleeper sees what was
//! published when it looks; if the sleeper, the waker finds `r` clear, and wakes. Step 4 comes after the
//! system call: a waker that is stopped before it keeps nobody else from waking; and its change fails if the
//! sleeper has prepared since.
//!
//! A bell has one sleeper at a time: a second one would lose its mark when the first cancels. For several
//! there is a [`Gate`]. A ring with nobody asleep is one load. A waker that dies between advancing the epoch
//! and the system call leaves a sleeper asleep: so after every death the rescuer calls [`Doorbell::force`] on
//! all bells.

mod client;
mod crowd;
mod gate;
mod key;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

use std::time::Instant;

pub use client::ClientLine;
pub use crowd::Crowd;
pub use gate::{Gate, take_at_any, wait_any};
pub use key::Key;

use crate::prim::atomic::{AtomicU32, Ordering};
use crate::shm::ShmSafe;
use crate::sys::{barrier, futex};

const WAITING: u32 = 1;
const RUNG: u32 = 2;
const EPOCH: u32 = 4;

/// A doorbell; lies in shared memory.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Doorbell {
    word: AtomicU32,
    /// A [`Patience`].
    patience: AtomicU32,
}

/// The word of one that is about to sleep: nobody has rung for it yet, and no waker that has
/// rung before can say so any more.
fn with_mark(word: u32) -> u32 {
    (word & !RUNG | WAITING).wrapping_add(EPOCH)
}

/// When a sleeper wants to be rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Patience {
    /// At once.
    #[default]
    None = 0,
    /// At once if there is somebody for what may be done next, else when the waker has
    /// nothing else to do.
    UntilIdle = 1,
    /// When there is something that only the sleeper can do.
    UntilCalled = 2,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Doorbell>() == 8);

// SAFETY: atomics only, repr(C), no padding.
#[allow(unsafe_code)]
unsafe impl ShmSafe for Doorbell {}

// SAFETY: one atomic, repr(C), no padding.
#[allow(unsafe_code)]
unsafe impl ShmSafe for gate::Gate {}

// SAFETY: atomics only, repr(C); the padding behind them is never read.
#[allow(unsafe_code)]
unsafe impl ShmSafe for ClientLine {}

impl Doorbell {
    /// Announces that the caller is about to sleep. Look again afterwards.
    pub fn prepare(&self) -> Key {
        // Relaxed: only this thread sets the mark; `force` alone clears it besides, and is
        // noticed below.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & WAITING != 0 {
            // Marked since before it was woken: everybody rings.
            let next = with_mark(word);
            // ordering: AcqRel pairs with that in `ring`: who sees its epoch sees what was
            // published before it, and who comes later sees that nobody has rung.
            match self.change(word, next, Ordering::AcqRel) {
                Ok(()) => return Key(next),
                Err(now) => word = now,
            }
        }
        self.prepare_and(|| ())
    }

    /// As `prepare`, but always with the barrier: what `announce` does is done before the
    /// last look too, and after the key was taken: whoever sees it and rings is noticed.
    fn prepare_and(&self, announce: impl FnOnce()) -> Key {
        // Relaxed: a guess, which the change below checks.
        let mut word = self.word.load(Ordering::Relaxed);
        let key = loop {
            let next = with_mark(word);
            // ordering: AcqRel as in `prepare`; the barrier below orders it before the
            // caller's last look, and pairs with the light barrier before `ring`.
            match self.change(word, next, Ordering::AcqRel) {
                Ok(()) => break next,
                Err(now) => word = now,
            }
        };
        announce();
        barrier::heavy();
        Key(key)
    }

    fn change(&self, from: u32, to: u32, order: Ordering) -> Result<(), u32> {
        // Relaxed: a guess that was wrong is only another guess.
        let changed = (self.word).compare_exchange(from, to, order, Ordering::Relaxed);
        changed.map(|_| ())
    }

    /// Takes the announcement back: the caller does not sleep any more.
    pub fn cancel(&self) {
        // Relaxed: a stale mark costs the next waker one system call, no more.
        self.word.fetch_and(!WAITING, Ordering::Relaxed);
    }

    /// Sleeps until rung, until `deadline`, or for no reason at all. The caller stays
    /// marked, until it calls `cancel`.
    pub fn wait(&self, key: Key, deadline: Option<Instant>) {
        futex::wait(&self.word, key.0, deadline);
    }

    /// Whether somebody sleeps or is about to. One load, no barrier: the caller
    /// has either passed [`barrier::light`] or only wants a hint.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        // Relaxed: ordered by the caller's barrier if it needs to be.
        self.word.load(Ordering::Relaxed) & WAITING != 0
    }

    /// Wakes whoever sleeps; returns whether anybody was (about to be) asleep.
    /// The caller has published and then passed [`barrier::light`].
    #[inline]
    pub fn ring(&self) -> bool {
        if !self.is_awaited() {
            return false;
        }
        self.ring_awaited()
    }

    #[cold]
    fn ring_awaited(&self) -> bool {
        // ordering: AcqRel pairs with that in `prepare`: a sleeper that comes later sees what was
        // published, one that came earlier is seen to have cleared `r`.
        let before = self.word.fetch_add(EPOCH, Ordering::AcqRel);
        if before & RUNG == 0 {
            futex::wake(&self.word, u32::MAX >> 1);
            let now = before.wrapping_add(EPOCH);
            // Relaxed: it says nothing but that the call was made; who prepares makes it fail, or
            // clears it.
            let _ = self.change(now, now | RUNG, Ordering::Relaxed);
        }
        true
    }

    /// When the sleeper wants to be rung; said before `prepare`. Who has less patience than
    /// before cancels first, so that `prepare` passes the barrier: whoever believed the
    /// contrary has published before its last look, or sees the truth.
    pub fn set_patience(&self, patience: Patience) {
        let before = self.patience();
        if before == patience {
            return;
        }
        if patience < before {
            self.cancel();
        }
        // Relaxed: ordered by the barrier in `prepare`; who is rung too early looks in vain.
        self.patience.store(patience as u32, Ordering::Relaxed);
    }

    /// When the sleeper wants to be rung.
    #[inline]
    pub fn patience(&self) -> Patience {
        // Relaxed: as above.
        match self.patience.load(Ordering::Relaxed) {
            1 => Patience::UntilIdle,
            2 => Patience::UntilCalled,
            _ => Patience::None,
        }
    }

    /// Whether anybody has rung since `key` was taken.
    pub fn has_rung(&self, key: Key) -> bool {
        // Relaxed: a hint.
        (self.word.load(Ordering::Relaxed) ^ key.0) & !(WAITING | RUNG) != 0
    }

    /// Wakes whoever may be asleep, whatever the word says: for the rescuer, who
    /// cannot know how far a dead waker came.
    pub fn force(&self) {
        // Between what the caller published and the new epoch: without it a sleeper
        // could take the new epoch for its key, and still not see the work.
        barrier::light();
        // ordering: Release as in `ring`; the epoch makes a wait that has not begun yet
        // return at once.
        self.word.fetch_add(EPOCH, Ordering::Release);
        self.cancel();
        futex::wake(&self.word, u32::MAX >> 1);
    }
}
