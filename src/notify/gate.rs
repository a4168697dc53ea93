//! Gates: event counts with any number of sleepers, in any process, of which a waker wakes one or all.
//!
//! A gate is one 32-bit word in shared memory, which is also the futex:
//!
//! ```text
//!  31                     3   2   1   0
//! +-----------------------+---+---+---+   w = 1: somebody sleeps, is about to, or did
//! |         epoch         | s | f | w |   f = 1: somebody has announced itself in this epoch
//! +-----------------------+---+---+---+   s = 1: a heavy barrier was passed since w was set
//! ```
//!
//! | who     | step                                                                     |
//! | ------- | ------------------------------------------------------------------------ |
//! | sleeper | 1. `prepare`: unless w and f are set, set both; unless s is set, a heavy |
//! |         |    barrier, then set s if the word is as before. The word is the key      |
//! |         | 2. look once more; found: take it                                        |
//! |         | 3. `wait`: futex wait while the word is the key; look again              |
//! |         | 4. goes without taking anything: `pass_on`                               |
//! | waker   | 1. publish, then a light barrier                                         |
//! |         | 2. `open_one`, `open_all`: w is clear: done. Else a new epoch, f clear   |
//! |         | 3. futex wake of one, or of all                                          |
//! |         | 4. nobody was woken, and the word is as after 2: clear w and s           |
//!
//! *No wakeup is lost.* Either the waker sees w, or the sleeper's last look sees what was published, as with a
//! [`Doorbell`](super::Doorbell). The barrier may be another sleeper's: a sleeper that finds s set knows that
//! since w was set all CPUs have passed a barrier, so that a waker which has not seen w had published before.
//! w alone says less: the sleeper that set it may not have passed its barrier yet.
//!
//! *No mark is lost.* A woken sleeper leaves w set, for it cannot know of others. Step 4 clears w, which is
//! safe: the futex wake found nobody asleep; a sleeper with an older key finds a changed word and looks again;
//! and a sleeper that has announced itself since has set f, so that the word is not as after 2. Without f it
//! could fall asleep with the very word that step 4 changes.
//!
//! *A wakeup is for the published work*, not for the chosen sleeper. So a thread that takes something and sees
//! more calls `open_one` for the next, and a thread that leaves empty-handed calls `pass_on`: it found
//! something else, ran out of time, or waited at several gates, of which more than one has chosen it.
//!
//! A waker that dies between 2 and 3 leaves sleepers asleep, and a sleeper that dies after the kernel has
//! chosen it takes a wakeup along: so after every death the rescuer calls [`Gate::force`]. A sleeper that dies
//! leaves w set, for one vain wake. Nothing else needs repair.

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

use std::time::Instant;

use smallvec::SmallVec;

use super::key::Key;
use crate::prim::atomic::{AtomicU32, Ordering};
use crate::sys::{barrier, futex};

/// `w`.
const AWAITED: u32 = 1;
/// `f`.
const FRESH: u32 = 2;
/// `s`; never without `AWAITED`.
const SETTLED: u32 = 4;
const EPOCH: u32 = 8;

const ALL: u32 = u32::MAX >> 1;

/// An event count with many sleepers; lies in shared memory.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Gate {
    word: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Gate>() == 4);

impl Gate {
    /// Announces that the caller is about to sleep. Look again afterwards. There is nothing to
    /// take back: who then finds something takes it and goes on.
    pub fn prepare(&self) -> Key {
        // ordering: Acquire pairs with the AcqRel in `open`: who sees its epoch sees what
        // was published before it; and with the Release below: who sees `s` sees what
        // was published by those who have not seen `w`.
        let word = self.word.load(Ordering::Acquire);
        if word & (AWAITED | FRESH | SETTLED) == AWAITED | FRESH | SETTLED {
            return Key(word);
        }
        // ordering: Acquire as above. The barrier orders it before the caller's last look.
        let word = self.word.fetch_or(AWAITED | FRESH, Ordering::Acquire) | AWAITED | FRESH;
        if word & SETTLED != 0 {
            return Key(word);
        }
        barrier::heavy();
        let settled = word | SETTLED;
        // ordering: Release puts the barrier before `s`; pairs with the Acquire above.
        // Relaxed, if it fails: whatever is there now, the caller's own barrier was passed.
        match (self.word).compare_exchange(word, settled, Ordering::Release, Ordering::Relaxed) {
            Err(now) if now != settled => Key(word), // `wait` returns at once
            _ => Key(settled),
        }
    }

    /// Sleeps until somebody has opened the gate since `prepare`, or until `deadline`; no
    /// signal ends it. Look again in any case: it may return because another sleeper has come.
    /// False if the time is over and nobody has opened.
    ///
    /// Who then does not take anything calls [`pass_on`](Self::pass_on).
    pub fn wait(&self, key: Key, deadline: Option<Instant>) -> bool {
        while self.is_as(key) {
            if has_passed(deadline) {
                return false;
            }
            futex::wait(&self.word, key.0, deadline);
        }
        true
    }

    fn is_as(&self, key: Key) -> bool {
        // Relaxed: whoever is told that it has changed calls `prepare`, which acquires.
        self.word.load(Ordering::Relaxed) == key.0
    }

    /// Whether somebody has opened the gate since `key` was taken.
    pub fn has_opened(&self, key: Key) -> bool {
        // Relaxed: who was woken sees the epoch, since it was made before the wake.
        (self.word.load(Ordering::Relaxed) ^ key.0) & !(AWAITED | FRESH | SETTLED) != 0
    }

    /// Whether somebody sleeps, is about to, or did. One load, no barrier: the caller has
    /// either passed [`barrier::light`] or only wants a hint.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        // Relaxed: ordered by the caller's barrier if it needs to be.
        self.word.load(Ordering::Relaxed) & AWAITED != 0
    }

    /// Wakes one sleeper, if there is any. The caller has published and then passed
    /// [`barrier::light`]; or it has taken something of what others have published and leaves
    /// something: then it needs no barrier.
    #[inline]
    pub fn open_one(&self) {
        if self.is_awaited() {
            self.open(1);
        }
    }

    /// Wakes all sleepers. The caller has published and then passed [`barrier::light`].
    #[inline]
    pub fn open_all(&self) {
        if self.is_awaited() {
            self.open(ALL);
        }
    }

    #[cold]
    fn open(&self, count: u32) {
        // Relaxed: as in `is_awaited`.
        let mut word = self.word.load(Ordering::Relaxed);
        let made = loop {
            if word & AWAITED == 0 {
                return;
            }
            let made = word.wrapping_add(EPOCH) & !FRESH;
            // ordering: Release pairs with the Acquire in `prepare`; Acquire, so that who
            // passes a wake on also passes on what was published before it.
            // Relaxed, if it fails: as in `is_awaited`.
            match self
                .word
                .compare_exchange_weak(word, made, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => break made,
                Err(now) => word = now,
            }
        };
        if futex::wake(&self.word, count) == 0 {
            let cleared = made & !(AWAITED | SETTLED);
            // Relaxed: it publishes nothing; a change of a word keeps what earlier changes
            // of it have released. That it fails is right: somebody else sees to it.
            let _ =
                (self.word).compare_exchange(made, cleared, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The caller leaves and takes nothing: if it may have been chosen since `prepare`,
    /// another one is woken instead.
    pub fn pass_on(&self, key: Key) {
        if self.has_opened(key) {
            self.open_one();
        }
    }

    /// Wakes whoever may be asleep, whatever the word says: for the rescuer, who cannot
    /// know how far the dead came.
    pub fn force(&self) {
        // ordering: as in `open`; the epoch makes a wait that has not begun yet return at
        // once. Marks stay: some may be of the living.
        self.word.fetch_add(EPOCH, Ordering::AcqRel);
        futex::wake(&self.word, ALL);
    }
}

/// Waits at several gates until `look` takes something; it says at which gate. It is told which of
/// them was opened while the caller slept, if one was: there it is worth to look first. `sleep` is
/// called with the keys when nothing is there, and says whether to go on if nothing is there after it
/// either. `None`: it was not to go on.
pub fn take_at_any<'g, T>(
    gates: &[&'g Gate],
    mut look: impl FnMut(Option<usize>) -> Option<(usize, T)>,
    mut sleep: impl FnMut(&[(&'g Gate, Key)]) -> bool,
) -> Option<T> {
    let mut keys: SmallVec<[(&Gate, Key); 8]> = SmallVec::new();
    let found = loop {
        keys.clear();
        keys.extend(gates.iter().map(|gate| (*gate, gate.prepare())));
        let mut found = look(None);
        if found.is_none() {
            let goes_on = sleep(&keys);
            let mut opened = keys.iter().map(|(gate, key)| gate.has_opened(*key));
            found = look(opened.position(|has_opened| has_opened));
            // Nothing is there at any: who publishes something opens anew. So nothing is to be
            // passed on by one that stays.
            if found.is_none() && goes_on {
                continue;
            }
        }
        break found;
    };
    for (at, (gate, key)) in keys.into_iter().enumerate() {
        if found.as_ref().is_none_or(|(taken, _)| *taken != at) {
            gate.pass_on(key);
        }
    }
    found.map(|(_, it)| it)
}

/// As [`Gate::wait`], at several gates: sleeps until one of them was opened. False if the time
/// is over and nobody has opened any; without gates it only waits for the deadline, if there
/// is one.
///
/// More than one may have chosen the caller. So look at each, and call
/// [`pass_on`](Gate::pass_on) at each but the one from which something is taken.
pub fn wait_any(gates: &[(&Gate, Key)], deadline: Option<Instant>) -> bool {
    while gates.iter().all(|(gate, key)| gate.is_as(*key)) {
        if has_passed(deadline) || (gates.is_empty() && deadline.is_none()) {
            return false;
        }
        let words = gates.iter().map(|(gate, key)| (&gate.word, key.0));
        futex::wait_any(words, deadline);
    }
    true
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}
