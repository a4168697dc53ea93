//! The crowd (idle set): which executors search for work, which sleep, and whom to wake.
//!
//! ```text
//!             seek                    lie_down
//!  running ─────────▶ in searching ─────────────▶ in sleeping, bell prepared
//!     ▲                  │     ▲                       │
//!     └──────────────────┘     └───────────────────────┘
//!           found                 get_up, or a waker moves it
//! ```
//!
//! | who | step |
//! | --- | --- |
//! | sleeper | 1. take the bell's key; into *sleeping*, out of *searching*; heavy barrier |
//! |         | 2. look once more; found: `cancel` |
//! |         | 3. wait; 4. out of *sleeping*, into *searching*; look again |
//! | waker   | 1. publish, light barrier |
//! |         | 2. an executor searches: it will find the work, in its last look if not before; or leave it, for 2 ms at most, to the executor that has it and is awake |
//! |         | 3. choose a sleeper: mark it as searching, clear its sleeping bit, ring |
//!
//! A waker that dies in step 3 leaves an executor marked that does not search: so after every death the
//! rescuer empties *searching* and forces all bells.
//!
//! An executor that sleeps in the middle of a task, because a child runs elsewhere, can run spawned tasks, and
//! nothing else. It is in a third set, *helping*, from which only an executor that offers such work wakes it:
//!
//! | who | step |
//! | --- | --- |
//! | helper | 1. take the bell's key; into *helping*; heavy barrier |
//! |        | 2. look once more at its task and at what is offered; found: go on |
//! |        | 3. wait; 4. out of *helping*: if it is out already it was called, and helps; or passes the call on, if its task has ended |
//! | waker  | 1. publish, light barrier; 2. an executor searches: it will find the work, or pass the call on when it has found something else |
//! |        | 3. choose a sleeper, as above; 4. there is none: choose a helper, clear its bit; if it was in: ring |
//!
//! A helper is never marked as searching: a waker with the host's work would rely on it in vain.

#[cfg(all(test, loom))]
mod model;

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::Views;
use crate::sys::barrier;

use super::{Doorbell, Key};

/// Both sets of executors; the bells lie elsewhere and are passed in.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Executors that look for work: no need to wake anybody.
    pub searching: BitSet,
    /// Executors that sleep, or are about to.
    pub sleeping: BitSet,
    /// Executors that do so in the middle of a task, and can help with what tasks spawn.
    pub helping: BitSet,
    /// The words of both.
    resting: Views<AtomicU64>,
    count: u32,
}

impl Crowd {
    /// The crowd of `count` executors whose sets are these words: who searches; and who sleeps
    /// and then who helps, as many words for each.
    pub fn new(searching: Views<AtomicU64>, resting: Views<AtomicU64>, count: u32) -> Self {
        let len = (count as usize).div_ceil(64);
        let set = |words: &Views<AtomicU64>, first| BitSet {
            words: words.clone(),
            first,
            len,
        };
        Crowd {
            searching: set(&searching, 0),
            sleeping: set(&resting, 0),
            helping: set(&resting, len),
            resting,
            count,
        }
    }

    /// Executor `me` begins to look for work.
    #[inline]
    pub fn seek(&self, me: u32) {
        if !self.searching.contains(me) {
            self.searching.insert(me);
        }
    }

    /// Executor `me` has found work, and no longer looks; true if others may have relied on it.
    #[inline]
    pub fn found(&self, me: u32) -> bool {
        let was_searching = self.searching.contains(me);
        if was_searching {
            self.searching.remove(me);
        }
        was_searching
    }

    /// Executor `me`, whose bell is `bell`, is about to sleep. It looks once more
    /// and then cancels or waits; `get_up` follows in either case.
    pub fn lie_down(&self, me: u32, bell: &Doorbell) -> Key {
        // The key comes first: a waker that clears our bit rings after that. It may be
        // late, its work already done by us: with a key from after its ring we would
        // sleep, and no longer be in the set, where nobody would find us.
        bell.prepare_and(|| {
            // Announced as asleep before no longer announced as searching: a
            // submitter sees at least one of the two.
            self.sleeping.insert(me);
            self.searching.remove(me);
        })
    }

    /// Executor `me` is awake, and looks for work.
    pub fn get_up(&self, me: u32) {
        self.sleeping.remove(me);
        self.searching.insert(me);
        barrier::light();
    }

    /// Whether anybody sleeps, be it in the middle of a task.
    #[inline]
    pub fn does_anybody_rest(&self) -> bool {
        // Relaxed: as in `BitSet::any`.
        self.resting
            .iter()
            .any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Executor `me`, in the middle of a task that waits for one that it has spawned, is about
    /// to sleep. It looks once more, at its task and for what it can help with, and then waits
    /// or not; `get_up_from_help` follows in either case.
    pub fn lie_down_to_help(&self, me: u32, bell: &Doorbell) -> Key {
        // The key comes first, as in `lie_down`.
        bell.prepare_and(|| {
            self.helping.insert(me);
        })
    }

    /// Executor `me` is awake, in the middle of its task. True: it was called, and is to look
    /// for what it can help with, or to call another.
    pub fn get_up_from_help(&self, me: u32) -> bool {
        !self.helping.remove(me)
    }

    /// As [`Crowd::wake_one`], for what a task has spawned: if nobody sleeps, one who helps.
    #[inline]
    pub fn wake_for_spawned<'a>(&self, preferred: u32, bell: impl Fn(u32) -> &'a Doorbell) -> bool {
        if self.searching.any() {
            return false;
        }
        self.wake_sleeper(preferred, &bell) || self.wake_helper(preferred, bell)
    }

    /// Wakes one who helps, whoever may be looking for work. The caller has published what
    /// a task has spawned and passed [`barrier::light`].
    pub fn wake_helper<'a>(&self, preferred: u32, bell: impl Fn(u32) -> &'a Doorbell) -> bool {
        while let Some(chosen) = self.helping.first_from(preferred, self.count) {
            // Of several wakers one clears its bit, and rings.
            if self.helping.remove(chosen) {
                bell(chosen).force();
                return true;
            }
        }
        false
    }

    /// Wakes one sleeping executor, `preferred` if it sleeps, unless somebody is
    /// looking for work already. The caller has published the work and passed
    /// [`barrier::light`].
    ///
    /// The one that is woken is marked as searching on its behalf, so that the
    /// next submitter wakes nobody in the 40 µs that waking takes.
    #[inline]
    pub fn wake_one<'a>(&self, preferred: u32, bell: impl Fn(u32) -> &'a Doorbell) -> bool {
        if self.searching.any() {
            return false;
        }
        self.wake_sleeper(preferred, bell)
    }

    /// As [`Crowd::wake_one`], whoever may be looking for work: it may be stopped.
    pub fn wake_sleeper<'a>(&self, preferred: u32, bell: impl Fn(u32) -> &'a Doorbell) -> bool {
        loop {
            let Some(chosen) = self.sleeping.first_from(preferred, self.count) else {
                return false;
            };
            // Marked before it can wake: had it woken by itself, and found work, and
            // taken its mark away, a mark set afterwards would stay for as long as
            // that work takes, and nobody else would be woken.
            self.searching.insert(chosen);
            // Two wakers may choose the same one; whoever clears its bit rings.
            if self.sleeping.remove(chosen) {
                barrier::light();
                bell(chosen).force();
                return true;
            }
            // It is awake already. If it does search, it does so unmarked now, which
            // costs a needless wake at most.
            self.searching.remove(chosen);
        }
    }

    /// After a death: the dead do not sleep, and may have marked another as searching
    /// to wake it next. Whoever does search unmarked costs a needless wake at most.
    /// The caller forces all bells afterwards.
    pub fn forget(&self, dead: impl IntoIterator<Item = u32>) {
        for executor in dead {
            self.sleeping.remove(executor);
            self.helping.remove(executor);
        }
        self.searching.clear();
    }
}

/// A set of executors: one bit each, set and cleared without harm if done twice.
#[derive(Clone, Debug)]
pub struct BitSet {
    words: Views<AtomicU64>,
    /// Which of the words are its own.
    first: usize,
    len: usize,
}

impl BitSet {
    #[inline]
    fn word(&self, member: u32) -> &AtomicU64 {
        &self.words[self.first + member as usize / 64]
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        &self.words[self.first..self.first + self.len]
    }

    /// Adds `member`; true if it was not in.
    pub fn insert(&self, member: u32) -> bool {
        let bit = 1 << (member % 64);
        // ordering: AcqRel: sleepers insert themselves before the heavy barrier;
        // wakers read after the light one.
        self.word(member).fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Removes `member`; true if it was in.
    pub fn remove(&self, member: u32) -> bool {
        let bit = 1 << (member % 64);
        // ordering: AcqRel as in `insert`.
        self.word(member).fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Whether `member` is in.
    #[inline]
    pub fn contains(&self, member: u32) -> bool {
        // Relaxed: a hint, or ordered by the caller's barrier.
        self.word(member).load(Ordering::Relaxed) & (1 << (member % 64)) != 0
    }

    /// Whether anybody is in.
    #[inline]
    pub fn any(&self) -> bool {
        // Relaxed: as in `contains`.
        self.words()
            .iter()
            .any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Empties the set.
    pub fn clear(&self) {
        for word in self.words().iter() {
            // ordering: AcqRel as in `insert`.
            word.swap(0, Ordering::AcqRel);
        }
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        // Relaxed: as in `contains`.
        self.words()
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones() as usize)
            .sum()
    }

    /// The first member at or after `from`, else the first of all, below `end`.
    fn first_from(&self, from: u32, end: u32) -> Option<u32> {
        (from..end)
            .chain(0..from.min(end))
            .find(|m| self.contains(*m))
    }
}
