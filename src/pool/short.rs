//! Memory that is short: who waits for it is told of what is freed, and the host is asked to
//! collect what only it can free.
//!
//! | who | has no room for | what it does |
//! | --- | --- | --- |
//! | a thread of the host | long arguments | collects what has ended; [announces](Pool::wait_for_memory) itself, looks again, and sleeps until something is freed or has ended |
//! | | a buffer | collects what has ended, and looks again |
//! | a task | a buffer, its result | *asks*; the host collects, and *answers*; looks again |
//!
//! Whoever frees a block looks at one word whether anybody has announced itself. If so, the
//! block's hint goes where all processes find it, and the host's bell is rung. The two sides
//! are a store, a barrier and a load each (`crate::sys::barrier`): either the block is seen
//! by who looks again, or the announcement by who frees.
//!
//! A process keeps hints of free blocks to itself. Before it gives up, whoever needs one
//! therefore issues the hints of all free blocks of that size anew, as a recovery does.
//!
//! What nobody joins (results of tasks whose handles are gone) is in their slots until the
//! host collects it, and when it is idle nothing makes it do so. The attendant sleeps on the
//! word `calls` then: it is woken by a task that asks, and else by the host alone. A host that
//! does not answer costs the task [`PATIENCE`]; then there is no room, as before.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU32, Ordering};
use crate::sys::{barrier, futex};

use super::classes::Class;
use super::{BlockState, Inner, Pool, Span};

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

/// Rings the host's bell.
pub(super) struct Ring(Box<dyn Fn() + Send + Sync>);

// It changes nothing but words in shared memory, each at once.
impl UnwindSafe for Ring {}
impl RefUnwindSafe for Ring {}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
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

impl Inner {
    /// Whether somebody waits for what the caller has just freed.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        if cfg!(loom) {
            return false;
        }
        // Pairs with the heavy one in `wait_for_memory`.
        barrier::light();
        // Relaxed: ordered by the barrier.
        self.header.short.waiting.load(Ordering::Relaxed) != 0
    }

    /// Tells whoever waits.
    #[cold]
    pub(super) fn tell_of_room(&self) {
        // ordering: Release pairs with the Acquire in `freed`: what was freed is seen.
        self.header.short.freed.fetch_add(1, Ordering::Release);
        if let Some(ring) = self.ring.get() {
            (ring.0)();
        }
    }

    /// A task finds no room: has the host collect. False if there is nobody to be asked.
    #[cold]
    pub(super) fn ask_host(&self) -> bool {
        let Some(ring) = self.ring.get().filter(|_| self.me != ProcessId::HOST) else {
            return false;
        };
        let short = &self.header.short;
        // ordering: AcqRel pairs with the Acquire in `asks`.
        let asked = short.asks.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        self.call_attendant();
        (ring.0)();
        let give_up = Instant::now() + PATIENCE;
        loop {
            // ordering: Acquire pairs with the Release in `answer`: what was freed is seen.
            let answers = short.answers.load(Ordering::Acquire);
            let is_answered = asked.wrapping_sub(answers) as i32 <= 0;
            if is_answered || Instant::now() >= give_up {
                return is_answered;
            }
            futex::wait(&short.answers, answers, Some(give_up));
        }
    }

    fn call_attendant(&self) {
        let calls = &self.header.short.calls;
        // ordering: Release pairs with the Acquire in `calls`.
        calls.fetch_add(1, Ordering::Release);
        futex::wake(calls, 1);
    }

    /// Issues the hints of all free blocks of `class` anew: other processes may keep them.
    #[cold]
    pub(super) fn issue_all_hints(&self, class: Class) {
        let mut head = 0;
        while head < self.span_end() {
            let Span::Slab(found) = self.span(head) else {
                head += 1;
                continue;
            };
            if found == class {
                for block in self.slab_blocks(head, class) {
                    if self.state(block) == BlockState::Free {
                        self.set_free_bit(block, class);
                    }
                }
            }
            head += found.slab_spans();
        }
    }
}

impl Pool {
    /// Has the host's bell rung by `ring` when there is news of memory. Once for each process.
    pub fn ring_by(&self, ring: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.ring.set(Ring(Box::new(ring)));
    }

    /// From here on whoever frees memory tells of it. Look again afterwards.
    pub fn wait_for_memory(&self) -> Waiting<'_> {
        let short = &self.0.header.short;
        // Relaxed: ordered by the barrier.
        short.waiting.fetch_add(1, Ordering::Relaxed);
        barrier::heavy();
        Waiting(short)
    }

    /// Changes when memory is freed that somebody waits for.
    #[inline]
    pub fn freed(&self) -> u32 {
        // ordering: Acquire pairs with the Release in `tell_of_room`.
        self.0.header.short.freed.load(Ordering::Acquire)
    }

    /// How often tasks have asked.
    #[inline]
    pub fn asks(&self) -> u32 {
        // ordering: Acquire pairs with the increment in `ask_host`.
        self.0.header.short.asks.load(Ordering::Acquire)
    }

    /// The host has collected, after `asks` was so many.
    pub fn answer(&self, asks: u32) {
        let answers = &self.0.header.short.answers;
        // ordering: Release pairs with the Acquire in `ask_host`.
        answers.store(asks, Ordering::Release);
        futex::wake(answers, u32::MAX >> 1);
    }

    /// Wakes the attendant, if it sleeps in `wait_for_call`.
    pub fn call_attendant(&self) {
        self.0.call_attendant();
    }

    /// How often it was called.
    pub fn calls(&self) -> u32 {
        // ordering: Acquire pairs with the Release in `call_attendant`.
        self.0.header.short.calls.load(Ordering::Acquire)
    }

    /// Sleeps until it is called, if that has happened `calls` times so far.
    pub fn wait_for_call(&self, calls: u32) {
        futex::wait(&self.0.header.short.calls, calls, None);
    }
}
