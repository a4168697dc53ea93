//! A semaphore whose permits any process of a fold may have.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use crate::object::Patience;
use crate::pool::{AllocError, Pool, Token};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, Views};

use super::base::{Base, Kind, Site, clear, travels};
use super::permits::{PERMITS_AT, PERMITS_MAX, Permits};
use super::word::GATE_AT;
use super::{CountError, Holder, LockFault, Place};

/// Semaphores, as a kind of shared objects.
pub static SEMAPHORES: Kind = Kind {
    number: 12,
    words: PERMITS_AT,
    gates: &[GATE_AT],
    recover: |pool, site, dead| {
        if let Some(permits) = attach(pool, site) {
            permits.recover(dead);
        }
    },
    gone: Kind::nothing_gone,
};

fn attach(pool: &Pool, site: Site) -> Option<Permits> {
    let head: Views<AtomicU64> = pool.segment().views(site.at, 2);
    // Relaxed: it never changes, and came with the semaphore.
    let count = usize::try_from(head[0].load(Ordering::Relaxed)).ok()?;
    let fits = count <= PERMITS_MAX && PERMITS_AT + count <= site.words;
    fits.then(|| Permits::at(pool.segment(), site.at, count))
}

/// Some permits, each of which one may have at a time, in any process of the fold: what limits how
/// many do something at once.
///
/// Its handles travel as those of a [`Mutex`](super::Mutex). What a process that dies has of
/// permits is free again. (What it was doing with them, it may have left half done: who has a permit is told
/// nothing.)
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{LockFault, Semaphore};
///
/// fn fetch((at_once, page): (Semaphore, u32)) -> Result<u32, LockFault> {
///     let _permit = at_once.acquire()?;
///     Ok(page * 10) // two at a time
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(3).start()?;
/// let at_once = Semaphore::new(&rt, 2)?;
/// let pages: Vec<_> = (0..6).map(|page| rt.spawn(fetch, (at_once.clone(), page))).collect();
/// for (number, page) in pages.into_iter().enumerate() {
///     assert_eq!(page.join_flat()?, number as u32 * 10);
/// }
/// assert_eq!(at_once.available(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Semaphore {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    base: Base,
    permits: Permits,
}

impl Semaphore {
    /// A semaphore of so many permits: 1 to 65,536. `place` is `&rt`, or
    /// [`context()`](crate::context()) in a task: see [`Place`].
    ///
    /// It takes 8 bytes of shared memory for each. Of those that are held, each is looked at when none
    /// is free: with some thousands that takes microseconds.
    ///
    /// # Errors
    /// [`CountError`] of another number, or if there is no memory.
    pub fn new(place: impl Place, permits: usize) -> Result<Self, CountError> {
        CountError::check(permits, PERMITS_MAX)?;
        let pool = place.pool()?;
        let words = PERMITS_AT + permits;
        let write = |segment: &Segment, at| {
            clear(segment, at, words);
            let head: Views<AtomicU64> = segment.views(at, 1);
            // Relaxed: whoever gets the semaphore sees what was written before.
            head[0].store(permits as u64, Ordering::Relaxed);
        };
        let base = Base::make(&pool, &SEMAPHORES, words, write)?;
        let gone = || AllocError::NoPool;
        Ok(Self::of_base(base).ok_or_else(gone)?)
    }

    fn of_base(base: Base) -> Option<Self> {
        let permits = attach(base.pool(), base.site)?;
        Some(Self::of_core(Arc::new(Core { base, permits })))
    }

    fn of_token(token: Token) -> Option<Self> {
        Self::of_base(Base::of(token, &SEMAPHORES)?)
    }

    fn of_core(core: Arc<Core>) -> Self {
        Semaphore { core }
    }

    /// Takes a permit; waits for it.
    ///
    /// # Errors
    /// [`LockFault::Gone`] when the runtime has ended.
    pub fn acquire(&self) -> Result<SemaphorePermit, LockFault> {
        self.acquire_with(Patience::Forever)
    }

    /// Takes a permit if one is free.
    ///
    /// # Errors
    /// [`LockFault::Busy`] if none is, with one that has one; as [`Semaphore::acquire`].
    pub fn try_acquire(&self) -> Result<SemaphorePermit, LockFault> {
        self.acquire_with(Patience::Not)
    }

    /// Takes a permit; waits for it no longer than `timeout`.
    ///
    /// # Errors
    /// [`LockFault::TimedOut`] if none was free in time, with one that has one; as
    /// [`Semaphore::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<SemaphorePermit, LockFault> {
        self.acquire_with(Patience::For(timeout))
    }

    /// How many permits are free, at some moment.
    pub fn available(&self) -> usize {
        self.core.permits.free()
    }

    /// How many permits there are in all.
    pub fn permits(&self) -> usize {
        self.core.permits.count()
    }

    fn acquire_with(&self, patience: Patience) -> Result<SemaphorePermit, LockFault> {
        let Core { base, permits } = &*self.core;
        base.check()?;
        let me = base.me();
        let look = || Ok(permits.try_take(me));
        let number = base.wait(permits.gate(), patience, look, |why| {
            let holder = permits.holder().map(|who| Holder::of(who, 0));
            LockFault::given_up(why, holder)
        })?;
        let core = Arc::clone(&self.core);
        Ok(SemaphorePermit { core, number })
    }
}

travels!([] Semaphore, "semaphore");

impl Debug for Semaphore {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("permits", &self.permits())
            .finish()
    }
}

/// A permit of a [`Semaphore`]; gives it back when it is dropped, on whatever thread of its process.
#[must_use = "the permit is given back when this is dropped"]
pub struct SemaphorePermit {
    core: Arc<Core>,
    number: usize,
}

impl Drop for SemaphorePermit {
    fn drop(&mut self) {
        // A forked child has a copy, and gives nothing back.
        if self.core.base.pool().is_here() {
            self.core.permits.give_back(self.number);
        }
    }
}

impl Debug for SemaphorePermit {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SemaphorePermit")
            .field(&self.number)
            .finish()
    }
}
