//! The word of a lock, and the gate for its waiters: a mutex without its data.
//!
//! ```text
//!  63        48 47                     16 15      3   2   1   0
//! +------------+-------------------------+----------+---+---+---+   h = 1: somebody has it
//! | process    | thread of it            |    0     | w | b | h |   b = 1: the data may be half changed
//! +------------+-------------------------+----------+---+---+---+   w = 1: waits for readers, has changed nothing
//! ```
//!
//! | change | who | how | what a death just after it leaves |
//! | --- | --- | --- | --- |
//! | `Free(b)`→`Held(p, t, b)` | thread t of p | compare-and-swap, Acquire | nothing was changed yet, but nobody can know: the host makes it `Free(1)`; with w it can, and makes it `Free(b)` |
//! | the task of t is noted beside it | t | store | the same |
//! | `Held(p, t, b, w)`→`Held(p, t, b)` | t, when no reader is left | store | the same as in the first row, without w |
//! | `Held(p, t, 1)`→`Held(p, t, 0)` | t, when it says that the data are whole again | store | `Free(1)` |
//! | the note is cleared | t | store | `Free(1)` |
//! | `Held(p, t, b)`→`Free(b)` | t; with b = 1 if it panics | store, Release; then a light barrier | sleepers that nobody has woken: the host forces the gate |
//! | the gate is opened for one | t | [`Gate::open_one`] | the same |
//! | `Held(dead)`→`Free(1)` | the host | compare-and-swap, AcqRel; `force` after that | (the host's death ends the fold) |
//!
//! The lock is not handed over: a woken sleeper tries like all others. There is no bit for sleepers, since the
//! gate's mark serves for that. So an unlock without sleepers is two stores, a compiler barrier, and a load.

use crate::notify::Gate;
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

use super::who::Who;

/// loom takes SeqCst of a load for Acquire: so in a model a fence says what is meant.
pub fn in_one_order() {
    #[cfg(loom)]
    // ordering: see above.
    crate::prim::atomic::fence(Ordering::SeqCst);
}

const HELD: u64 = 1;
const HALF: u64 = 2;
const WAITS: u64 = 4;

/// Words of it: the lock's, the holder's task, the gate (and another, for whoever needs it).
pub const WORDS: usize = 3;
/// Where the gate is, in bytes.
pub const GATE_AT: usize = 16;

/// What the word of a lock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u64);

impl State {
    /// Who has it.
    pub fn holder(self) -> Option<Who> {
        (self.0 & HELD != 0).then(|| Who::unpack(self.0))
    }

    /// Whether what it guards may be half changed.
    pub fn is_half(self) -> bool {
        self.0 & HALF != 0
    }

    /// Whether somebody has it, other than to wait for readers.
    pub fn is_held(self) -> bool {
        self.0 & HELD != 0
    }
}

/// One process's side of the word.
#[derive(Debug)]
pub struct LockWord {
    words: Views<AtomicU64>,
    gate: View<Gate>,
}

impl LockWord {
    /// At `offset` of the segment.
    pub fn at(segment: &Segment, offset: usize) -> Self {
        LockWord {
            words: segment.views(offset, 2),
            gate: segment.view(offset + GATE_AT),
        }
    }

    /// Where those sleep that wait for it.
    #[inline]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What it says now.
    pub fn state(&self) -> State {
        // ordering: SeqCst: who reads has said so before (`RwWord`); for others it is a hint.
        State(self.words[0].load(Ordering::SeqCst))
    }

    /// Which task its holder ran, if the word is still `state`; 0 if it is not known.
    pub fn task_of(&self, state: State) -> u64 {
        // ordering: Acquire: the note is looked at before the word is again.
        let task = self.words[1].load(Ordering::Acquire);
        if self.state() == state { task } else { 0 }
    }

    /// Takes the lock if nobody has it: whether the data may be half changed.
    ///
    /// # Errors
    /// What the word says instead.
    #[inline]
    pub fn try_lock(&self, me: Who, task: u64) -> Result<bool, State> {
        self.try_hold(me.pack() | HELD, task)
    }

    /// The same, for one who then waits for readers.
    pub fn try_announce(&self, me: Who, task: u64) -> Result<bool, State> {
        self.try_hold(me.pack() | HELD | WAITS, task)
    }

    #[inline]
    fn try_hold(&self, held: u64, task: u64) -> Result<bool, State> {
        let mut free = 0;
        loop {
            let made = held | free & HALF;
            // ordering: Acquire pairs with the Release in `unlock` and `recover`; SeqCst: who
            // announces itself looks for readers afterwards. Relaxed, if it fails: nothing is
            // done about it.
            let swap =
                self.words[0].compare_exchange(free, made, Ordering::SeqCst, Ordering::Relaxed);
            match swap {
                Ok(_) => {
                    // Relaxed: it says who is waited for, to those that read an error.
                    self.words[1].store(task, Ordering::Relaxed);
                    return Ok(free & HALF != 0);
                }
                Err(now) if now & HELD != 0 => return Err(State(now)),
                Err(now) => free = now,
            }
        }
    }

    /// As [`LockWord::try_lock`], for one who has looked before: does not write if somebody has it.
    pub fn look(&self, me: Who, task: u64) -> Result<bool, State> {
        // Relaxed: `try_lock` acquires.
        let now = State(self.words[0].load(Ordering::Relaxed));
        if now.is_held() {
            return Err(now);
        }
        self.try_lock(me, task)
    }

    /// The holder goes on with the data half changed, or whole.
    pub fn hold(&self, me: Who, is_half: bool) {
        let half = if is_half { HALF } else { 0 };
        // ordering: Release: what was mended is seen by whoever sees that it was.
        self.words[0].store(me.pack() | HELD | half, Ordering::Release);
    }

    /// Gives it back; the caller then wakes whoever it has to.
    #[inline]
    pub fn release(&self, is_half: bool) {
        // Relaxed: as where it was written.
        self.words[1].store(0, Ordering::Relaxed);
        let free = if is_half { HALF } else { 0 };
        // ordering: Release pairs with the Acquire in `try_lock`: the next one sees the data.
        self.words[0].store(free, Ordering::Release);
        barrier::light();
    }

    /// Gives it back, and wakes one that waits for it.
    #[inline]
    pub fn unlock(&self, is_half: bool) {
        self.release(is_half);
        self.gate.open_one();
    }

    /// After the death of process `dead`: frees the lock if it had it. The gate is to be forced
    /// afterwards.
    pub fn recover(&self, dead: ProcessId) {
        // Relaxed: the swap acquires.
        let now = self.words[0].load(Ordering::Relaxed);
        if State(now).holder().is_none_or(|who| who.process != dead) {
            return;
        }
        let is_half = now & WAITS == 0 || now & HALF != 0;
        let free = if is_half { HALF } else { 0 };
        // Relaxed: as where it was written.
        self.words[1].store(0, Ordering::Relaxed);
        // ordering: AcqRel: the next one sees what the dead has stored. That it fails is
        // impossible: nobody else changes a word that names the dead.
        let _ = (self.words[0]).compare_exchange(now, free, Ordering::AcqRel, Ordering::Relaxed);
    }
}
