//! The words of a semaphore: one for each permit, which says who has it.
//!
//! ```text
//!    0  how many permits there are        never changes
//!    8  where to begin to look            hint
//!   16  the gate of those that wait
//!   64  permit 0 │ permit 1 │ …           0: free; else who has it, and 1
//! ```
//!
//! | step of who has p for its process | how | a death just after it leaves |
//! | --- | --- | --- |
//! | 1. takes a permit: `Free`→`Held(p)` | compare-and-swap, Acquire | a word that names the dead: the host frees it |
//! | 2. gives it back: `Held(p)`→`Free` | store, Release; then a light barrier | sleepers that nobody has woken: the host forces the gate |
//! | 3. the gate is opened for one | [`Gate::open_one`] | the same |
//!
//! A count would not say who has the missing permits. A thread that looks and finds none free has seen each
//! held at some moment, not all at the same moment; but a permit that is given back afterwards wakes a
//! sleeper.

use crate::notify::Gate;
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

use super::who::Who;
use super::word::GATE_AT;

/// The most permits of one semaphore.
pub const PERMITS_MAX: usize = 1 << 16;
/// Words in front of the permits'.
pub const PERMITS_AT: usize = 8;
const HINT: usize = 1;
const HELD: u64 = 1;

/// One process's side of the words.
#[derive(Debug)]
pub struct Permits {
    head: Views<AtomicU64>,
    gate: View<Gate>,
    permits: Views<AtomicU64>,
}

impl Permits {
    /// `count` permits at `offset` of the segment.
    pub fn at(segment: &Segment, offset: usize, count: usize) -> Self {
        Permits {
            head: segment.views(offset, 2),
            gate: segment.view(offset + GATE_AT),
            permits: segment.views(offset + PERMITS_AT * 8, count),
        }
    }

    /// Where those sleep that wait for one.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.permits.len()
    }

    /// How many are free, at some moment.
    pub fn free(&self) -> usize {
        // Relaxed: a number to be looked at.
        let is_free = |permit: &&AtomicU64| permit.load(Ordering::Relaxed) == 0;
        self.permits.iter().filter(is_free).count()
    }

    /// Takes a permit that is free: its number.
    pub fn try_take(&self, me: Who) -> Option<usize> {
        let count = self.permits.len();
        // Relaxed: a hint.
        let hint = self.head[HINT].load(Ordering::Relaxed) as usize;
        let hint = if hint < count { hint } else { 0 };
        for at in (hint..count).chain(0..hint) {
            // Relaxed: the swap acquires.
            if self.permits[at].load(Ordering::Relaxed) != 0 {
                continue;
            }
            let held = me.pack() | HELD;
            // ordering: Acquire pairs with the Release in `give_back`. Relaxed, if it fails:
            // another one is looked for.
            let taken =
                self.permits[at].compare_exchange(0, held, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                // Relaxed: a hint.
                self.head[HINT].store(at as u64 + 1, Ordering::Relaxed);
                return Some(at);
            }
        }
        None
    }

    /// Gives a permit back, and wakes one that waits.
    pub fn give_back(&self, at: usize) {
        // Relaxed: a hint.
        self.head[HINT].store(at as u64, Ordering::Relaxed);
        // ordering: Release pairs with the Acquire in `try_take`.
        self.permits[at].store(0, Ordering::Release);
        barrier::light();
        self.gate.open_one();
    }

    /// Somebody who has one.
    pub fn holder(&self) -> Option<Who> {
        // Relaxed: who is waited for, to those that read an error.
        let mut words = self.permits.iter().map(|word| word.load(Ordering::Relaxed));
        words.find(|word| *word != 0).map(Who::unpack)
    }

    /// After the death of process `dead`: frees what it had. The gate is to be forced afterwards.
    pub fn recover(&self, dead: ProcessId) {
        for permit in self.permits.iter() {
            // Relaxed: nobody else changes a word that names the dead.
            let word = permit.load(Ordering::Relaxed);
            if word != 0 && Who::unpack(word).process == dead {
                // ordering: Release as in `give_back`.
                permit.store(0, Ordering::Release);
            }
        }
    }
}
