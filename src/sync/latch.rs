//! Waiting for many: until all have counted ([`Latch`]), or until all are done ([`WaitGroup`]).

use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use crate::object::{GaveUp, Patience};
use crate::pool::{AllocError, End, Pool, Token};
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, Views};

use super::base::{Base, Kind, Site, clear, travels};
use super::tally::{COUNTS_MAX, Tally, words_for};
use super::word::GATE_AT;
use super::{CountError, Holder, Place, WaitFault};

/// Latches and wait groups, as a kind of shared objects: those that count, or are members, have the
/// sending end.
pub static TALLIES: Kind = Kind {
    number: 14,
    words: 8,
    gates: &[GATE_AT],
    recover: |pool, site, dead| {
        if let Some((tally, _)) = attach(pool, site) {
            tally.recover(dead);
        }
    },
    gone: Kind::nothing_gone,
};

fn attach(pool: &Pool, site: Site) -> Option<(Tally, usize)> {
    let head: Views<AtomicU64> = pool.segment().views(site.at, 1);
    // Relaxed: it never changes, and came with the object.
    let count = usize::try_from(head[0].load(Ordering::Relaxed)).ok()?;
    let fits = count <= COUNTS_MAX && words_for(count, pool.processes()) <= site.words;
    fits.then(|| {
        let tally = Tally::at(pool.segment(), site.at, count, pool.processes());
        (tally, count)
    })
}

/// One process's side of one end.
struct Core {
    base: Base,
    tally: Tally,
    end: End,
    count: usize,
}

impl Core {
    fn pair(place: impl Place, count: usize) -> Result<[Arc<Self>; 2], AllocError> {
        let pool = place.pool()?;
        let words = words_for(count, pool.processes());
        let write = |segment: &Segment, at| {
            clear(segment, at, words);
            let head: Views<AtomicU64> = segment.views(at, 1);
            // Relaxed: whoever gets it sees what was written before.
            head[0].store(count as u64, Ordering::Relaxed);
            Tally::at(segment, at, count, pool.processes()).fill(count);
        };
        let [counts, waits] = Base::make_pair(&pool, &TALLIES, words, write)?;
        let gone = || pool.exhausted(words * 8);
        let of = |base, end| Self::of_base(base, end).ok_or_else(gone);
        Ok([of(counts, End::Sender)?, of(waits, End::Receiver)?])
    }

    fn of_base(base: Base, end: End) -> Option<Arc<Self>> {
        let (tally, count) = attach(base.pool(), base.site)?;
        if end == End::Sender {
            tally.join(base.pool().process());
        }
        Some(Arc::new(Core {
            base,
            tally,
            end,
            count,
        }))
    }

    fn of_token(token: Token, end: End, is_counted: bool) -> Option<Arc<Self>> {
        if token.end() != Some(end) {
            return None;
        }
        let base = Base::of(token, &TALLIES)?;
        let (_, count) = attach(base.pool(), base.site)?;
        if (count > 0) != is_counted {
            return None;
        }
        Self::of_base(base, end)
    }

    fn holders(&self, has_died: bool) -> Vec<Holder> {
        let members = self.tally.members(has_died).into_iter();
        members
            .map(|(process, _)| Holder::of_process(process))
            .collect()
    }

    fn alive(&self) -> usize {
        let members = self.tally.members(false).into_iter();
        members.map(|(_, count)| count as usize).sum()
    }

    fn is_over(&self) -> bool {
        // Or the task that asks, which may be run again, has kept the last ones itself.
        self.base.ends().is_gone(End::Sender) || self.base.is_its_own(End::Sender)
    }

    fn wait(&self, patience: Patience) -> Result<(), WaitFault> {
        self.base.check()?;
        let look = || {
            // In this order: whoever has counted has done so before its end was gone.
            let is_over = self.is_over();
            if self.count > 0 && self.tally.left() == 0 {
                return Ok(Some(()));
            }
            if !is_over {
                return Ok(None);
            }
            let holders = self.holders(true);
            match self.count {
                0 if holders.is_empty() => Ok(Some(())),
                0 => Err(WaitFault::Died { holders }),
                _ => Err(WaitFault::Abandoned {
                    missing: self.tally.left(),
                    holders,
                }),
            }
        };
        self.base
            .wait(self.tally.gate(), patience, look, |why| match why {
                GaveUp::Told => WaitFault::Cancelled,
                GaveUp::Late(waited) => self.late(waited),
                GaveUp::AtOnce => self.late(Duration::ZERO),
            })
    }

    fn late(&self, waited: Duration) -> WaitFault {
        let missing = match self.count {
            0 => self.alive(),
            _ => self.tally.left(),
        };
        let holders = self.holders(false);
        WaitFault::TimedOut {
            waited,
            missing,
            holders,
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.end == End::Sender && self.base.pool().is_here() {
            let me: ProcessId = self.base.pool().process();
            self.tally.leave(me);
        }
    }
}

macro_rules! handle {
    ($name:ident, $end:expr, $is_counted:literal, $what:literal) => {
        impl $name {
            fn of_token(token: Token) -> Option<Self> {
                Core::of_token(token, $end, $is_counted).map(Self::of_core)
            }

            fn of_core(core: Arc<Core>) -> Self {
                $name { core }
            }
        }

        travels!([] $name, $what);
    };
}

/// Waits until all of a number of things have happened: counted by the clones of its [`CountDown`], in any
/// process of the fold.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{CountDown, Latch};
///
/// fn part(ready: CountDown) {
///     // … and when this part is ready:
///     ready.count_down();
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let (latch, ready) = Latch::new(&rt, 3)?;
/// let parts = [0; 3].map(|_| rt.spawn(part, ready.clone()));
/// latch.wait()?;
/// assert_eq!(latch.left(), 0);
/// # for part in parts { part.join()?; }
/// # Ok(())
/// # }
/// ```
pub struct Latch {
    core: Arc<Core>,
}

/// What counts for a [`Latch`]. Clones, in any process, count for the same.
pub struct CountDown {
    core: Arc<Core>,
}

impl Latch {
    /// A latch that waits for so many counts: 1 to 1,048,576. `place` is `&rt`, or
    /// [`context()`](crate::context()) in a task: see [`Place`].
    ///
    /// # Errors
    /// [`CountError`] of another number, or if there is no memory.
    pub fn new(place: impl Place, count: usize) -> Result<(Self, CountDown), CountError> {
        CountError::check(count, COUNTS_MAX)?;
        let [counts, waits] = Core::pair(place, count)?;
        Ok((Self::of_core(waits), CountDown::of_core(counts)))
    }

    /// Waits until all is counted.
    ///
    /// # Errors
    /// [`WaitFault::Abandoned`] if nobody is left who could count: no clone of the [`CountDown`], in no
    /// process, nor in an argument or a message. [`WaitFault::Gone`] when the runtime has ended.
    pub fn wait(&self) -> Result<(), WaitFault> {
        self.core.wait(Patience::Forever)
    }

    /// The same; waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitFault::TimedOut`] if not all was counted in time; as [`Latch::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitFault> {
        self.core.wait(Patience::For(timeout))
    }

    /// How many counts are missing.
    pub fn left(&self) -> usize {
        self.core.tally.left()
    }
}

impl CountDown {
    /// Counts one. False if all were counted before.
    ///
    /// It is counted once, in one step: if its process dies, it was counted or it was not.
    pub fn count_down(&self) -> bool {
        self.core.base.pool().is_here() && self.core.tally.count()
    }

    /// How many counts are missing.
    pub fn left(&self) -> usize {
        self.core.tally.left()
    }
}

/// Waits until all its [`Member`]s are done, wherever they are: in processes of the fold, in arguments,
/// results and messages.
///
/// A member is done when it is dropped; so a task that has one is, when it ends. One whose process dies
/// is done too, and told: [`WaitFault::Died`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{Member, WaitGroup};
///
/// fn part((n, member): (u64, Member)) -> u64 {
///     let made = n * n;
///     drop(member); // done; or at the end of the task
///     made
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let (group, member) = WaitGroup::new(&rt)?;
/// let parts: Vec<_> = (0..4).map(|n| rt.spawn(part, (n, member.clone()))).collect();
/// drop(member); // this one has nothing to do
/// group.wait()?;
/// # let sum: u64 = parts.into_iter().map(|part| part.join().unwrap_or(0)).sum();
/// # assert_eq!(sum, 14);
/// # Ok(())
/// # }
/// ```
pub struct WaitGroup {
    core: Arc<Core>,
}

/// A member of a [`WaitGroup`]: done when it is dropped. A clone is one more; so is one that a task gets.
pub struct Member {
    core: Arc<Core>,
}

impl WaitGroup {
    /// A wait group and its first member. `place` is `&rt`, or [`context()`](crate::context()) in a
    /// task: see [`Place`].
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    pub fn new(place: impl Place) -> Result<(Self, Member), AllocError> {
        let [members, waits] = Core::pair(place, 0)?;
        Ok((Self::of_core(waits), Member::of_core(members)))
    }

    /// Waits until no member is left.
    ///
    /// # Errors
    /// [`WaitFault::Died`] if none is, and processes have died that had one, and which; a task that is
    /// tried again is done nevertheless when it has ended. [`WaitFault::Gone`] when the runtime has
    /// ended.
    pub fn wait(&self) -> Result<(), WaitFault> {
        self.core.wait(Patience::Forever)
    }

    /// The same; waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitFault::TimedOut`] if members are left then, and which processes have them; as
    /// [`WaitGroup::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitFault> {
        self.core.wait(Patience::For(timeout))
    }

    /// Whether no member is left.
    pub fn is_done(&self) -> bool {
        self.core.is_over()
    }
}

handle!(Latch, End::Receiver, true, "latch");
handle!(CountDown, End::Sender, true, "`CountDown`");
handle!(WaitGroup, End::Receiver, false, "wait group");
handle!(Member, End::Sender, false, "member of a wait group");

macro_rules! debug {
    ($name:ident, $what:literal, $number:ident) => {
        impl Debug for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                let what: &Core = &self.core;
                f.debug_struct(stringify!($name))
                    .field($what, &what.$number())
                    .finish()
            }
        }
    };
}

impl Core {
    fn left(&self) -> usize {
        self.tally.left()
    }
}

debug!(Latch, "left", left);
debug!(CountDown, "left", left);
debug!(WaitGroup, "is_done", is_over);
debug!(Member, "members", alive);
