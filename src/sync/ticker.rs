//! A ticker: the same moments for all processes of a fold.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Private, Ordering as PrivateOrdering};
use std::time::Duration;

use crate::object::{GaveUp, Patience};
use crate::pool::{AllocError, Token};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::Views;
use crate::sys::clock;

use super::base::{Base, Kind, clear, travels};
use super::word::{GATE_AT, WORDS};
use super::{CountError, Place, WaitFault};

/// Tickers, as a kind of shared objects: when it has begun, its period, the gate of those that wait.
/// Nothing of it changes, so a death leaves nothing.
pub static TICKERS: Kind = Kind {
    number: 17,
    words: WORDS,
    gates: &[GATE_AT],
    recover: |_, _, _| {},
    gone: Kind::nothing_gone,
};

/// The longest period, in nanoseconds.
const PERIOD_MAX: u64 = u64::MAX / 4;

/// Ticks at the same moments in all processes that have it: a period after it was made, and at each
/// period after that.
///
/// There is no thread behind it, and nobody looks at a clock: who waits sleeps until its tick. Each handle
/// says how many ticks there were since it was asked last (or came), so whoever is late loses no count.
///
/// ```
/// # pinfold::test_setup!();
/// use std::time::Duration;
/// use pinfold::sync::Ticker;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let ticker = Ticker::new(&rt, Duration::from_millis(2))?;
/// let mut ticks = 0;
/// while ticks < 5 {
///     ticks += ticker.wait()?; // 1, or more if this thread was late
/// }
/// # Ok(())
/// # }
/// ```
pub struct Ticker {
    core: Arc<Core>,
    /// The last tick that this handle has told.
    told: Private,
}

struct Core {
    base: Base,
    begin: u64,
    period: u64,
}

impl Core {
    /// How many ticks there were since it was made.
    fn ticks(&self) -> u64 {
        clock::now().saturating_sub(self.begin) / self.period
    }
}

impl Ticker {
    /// A ticker of this period. `place` is `&rt`, or [`context()`](crate::context()) in a task: see
    /// [`Place`].
    ///
    /// # Errors
    /// [`CountError::Period`] if it is 0, or more than a century; or if there is no memory.
    pub fn new(place: impl Place, period: Duration) -> Result<Self, CountError> {
        let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        if !(1..=PERIOD_MAX).contains(&nanos) {
            return Err(CountError::Period { period });
        }
        let pool = place.pool()?;
        let base = Base::make(&pool, &TICKERS, WORDS, |segment, at| {
            clear(segment, at, WORDS);
            let words: Views<AtomicU64> = segment.views(at, 2);
            for (word, value) in words.iter().zip([clock::now(), nanos]) {
                // Relaxed: whoever gets the ticker sees what was written before.
                word.store(value, Ordering::Relaxed);
            }
        })?;
        Ok(Self::of_base(base).ok_or(AllocError::NoPool)?)
    }

    fn of_base(base: Base) -> Option<Self> {
        let words: Views<AtomicU64> = base.pool().segment().views(base.site.at, 2);
        // Relaxed: they never change, and came with the ticker.
        let [begin, period] = [0, 1].map(|at: usize| words[at].load(Ordering::Relaxed));
        if !(1..=PERIOD_MAX).contains(&period) {
            return None;
        }
        Some(Self::of_core(Arc::new(Core {
            base,
            begin,
            period,
        })))
    }

    fn of_token(token: Token) -> Option<Self> {
        Self::of_base(Base::of(token, &TICKERS)?)
    }

    fn of_core(core: Arc<Core>) -> Self {
        let told = Private::new(core.ticks());
        Ticker { core, told }
    }

    /// The period.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.core.period)
    }

    /// Waits for the next tick, if there was none since this handle was asked last: how many there were.
    /// With several threads that wait by the same handle each tick is told to one.
    ///
    /// # Errors
    /// [`WaitFault::Gone`] when the runtime has ended; [`WaitFault::Cancelled`] if the task that waits is
    /// told to end.
    pub fn wait(&self) -> Result<u64, WaitFault> {
        let Core { base, .. } = &*self.core;
        base.check()?;
        let gate = base.site.gate(base.pool(), GATE_AT);
        loop {
            let look = || Ok(self.take());
            let patience = Patience::For(self.left());
            let waited = base.wait(&gate, patience, look, |why| match why {
                GaveUp::Told => Ended(Some(WaitFault::Cancelled)),
                GaveUp::Late(_) | GaveUp::AtOnce => Ended(None),
            });
            match waited {
                Ok(ticks) => return Ok(ticks),
                Err(Ended(Some(fault))) => return Err(fault),
                // Its time has come: look, and tell.
                Err(Ended(None)) => {}
            }
        }
    }

    /// How many ticks there were since this handle was asked last; waits for none.
    pub fn missed(&self) -> u64 {
        self.take().unwrap_or(0)
    }

    /// How long it is to the next tick that was not told.
    pub(crate) fn left(&self) -> Duration {
        let Core {
            base,
            begin,
            period,
        } = &*self.core;
        if base.check().is_err() {
            return Duration::ZERO;
        }
        // Relaxed: a number of this process's.
        let told = self.told.load(PrivateOrdering::Relaxed);
        let at = told.saturating_add(1).saturating_mul(*period);
        Duration::from_nanos(begin.saturating_add(at).saturating_sub(clock::now()))
    }

    fn take(&self) -> Option<u64> {
        let now = self.core.ticks();
        // Relaxed: a number of this process's.
        let told = self.told.fetch_max(now, PrivateOrdering::Relaxed);
        (now > told).then(|| now - told)
    }
}

/// Why a sleep has ended before anything was told: nothing, if it is the tick's time.
struct Ended(Option<WaitFault>);

impl From<super::LockFault> for Ended {
    fn from(fault: super::LockFault) -> Self {
        Ended(Some(fault.into()))
    }
}

travels!([] Ticker, "ticker");

impl Debug for Ticker {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let period = self.period();
        f.debug_struct("Ticker").field("period", &period).finish()
    }
}
