//! Memory pressure: waiters for memory are told when a block is freed, and the host is asked to collect the
//! results that only it can free.
//!
//! | who | has no room for | what it does |
//! | --- | --- | --- |
//! | a thread of the host | long arguments | collects what has ended; [announces](Short::wait) itself, looks again, and sleeps until something is freed or has ended |
//! | | a buffer | collects what has ended, and looks again |
//! | a task | a buffer, its result | *asks*; the host collects, and *answers*; looks again |
//!
//! A process that frees a block looks at one word whether anybody has announced itself. If so, it puts the
//! block's hint where all processes find it, and rings the host's bell. The two sides are a store, a barrier
//! and a load each (`crate::sys::barrier`): either the waiter that looks again sees the block, or the freeing
//! process sees the announcement.
//!
//! Results that nobody joins (their handles are gone) stay in their slots until the host collects them, and an
//! idle host does not. The attendant sleeps on the word `calls` then: a task that asks wakes it, and otherwise
//! only the host. If the host does not answer, the task waits for [`PATIENCE`]; then there is no room, as
//! before.

use std::time::{Duration, Instant};

use crate::prim::atomic::{AtomicU32, Ordering};
use crate::sys::{barrier, futex};

/// How long a task waits for the host to collect.
const PATIENCE: Duration = Duration::from_millis(500);

/// Lies in a line of its own: whoever frees looks at it, and it hardly ever changes.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Short {
    /// Threads of the host that wait for memory.
    waiting: AtomicU32,
    /// How often something was freed while there were any.
    freed: AtomicU32,
    /// How often tasks have asked the host to collect.
    asks: AtomicU32,
    /// How many of these it has answered.
    answers: AtomicU32,
    /// How often the attendant was called, by whomever.
    calls: AtomicU32,
}

/// A thread that waits for memory, until this is dropped.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Short);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Relaxed: to be told in vain does no harm.
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Short {
    /// Whether somebody waits for what the caller has just freed.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        if cfg!(loom) {
            return false;
        }
        // Pairs with the heavy one in `wait`.
        barrier::light();
        // Relaxed: ordered by the barrier.
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// From here on whoever frees memory tells of it. Look again afterwards.
    pub(super) fn wait(&self) -> Waiting<'_> {
        // Relaxed: ordered by the barrier.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        barrier::heavy();
        Waiting(self)
    }

    /// Something was freed that somebody waits for.
    pub(super) fn count_freed(&self) {
        // ordering: Release pairs with the Acquire in `freed`: what was freed is seen.
        self.freed.fetch_add(1, Ordering::Release);
    }

    #[inline]
    pub(super) fn freed(&self) -> u32 {
        // ordering: Acquire pairs with the Release in `count_freed`.
        self.freed.load(Ordering::Acquire)
    }

    /// A task asks the host to collect, whose bell `ring` rings, and waits for the answer; false if it has
    /// given up.
    pub(super) fn ask(&self, ring: &dyn Fn()) -> bool {
        // ordering: AcqRel pairs with the Acquire in `asks`.
        let asked = self.asks.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        self.call();
        ring();
        let give_up = Instant::now() + PATIENCE;
        loop {
            // ordering: Acquire pairs with the Release in `answer`: what was freed is seen.
            let answers = self.answers.load(Ordering::Acquire);
            let is_answered = asked.wrapping_sub(answers) as i32 <= 0;
            if is_answered || Instant::now() >= give_up {
                return is_answered;
            }
            futex::wait(&self.answers, answers, Some(give_up));
        }
    }

    #[inline]
    pub(super) fn asks(&self) -> u32 {
        // ordering: Acquire pairs with the increment in `ask`.
        self.asks.load(Ordering::Acquire)
    }

    /// The host has collected, after `asks` was so many.
    pub(super) fn answer(&self, asks: u32) {
        // ordering: Release pairs with the Acquire in `ask`.
        self.answers.store(asks, Ordering::Release);
        futex::wake(&self.answers, u32::MAX >> 1);
    }

    /// Wakes the attendant, if it sleeps in `wait_for_call`.
    pub(super) fn call(&self) {
        // ordering: Release pairs with the Acquire in `calls`.
        self.calls.fetch_add(1, Ordering::Release);
        futex::wake(&self.calls, 1);
    }

    pub(super) fn calls(&self) -> u32 {
        // ordering: Acquire pairs with the Release in `call`.
        self.calls.load(Ordering::Acquire)
    }

    /// Sleeps until it is called, if that has happened `calls` times so far.
    pub(super) fn wait_for_call(&self, calls: u32) {
        futex::wait(&self.calls, calls, None);
    }
}
