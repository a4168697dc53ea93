//! A barrier between processes: nobody goes on before all are there.

use std::fmt::{Debug, Formatter};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::object::{GaveUp, Patience};
use crate::pool::{AllocError, LaneBlock, Pool, Token};
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::Views;
use crate::sys::barrier;

use super::base::{Base, Kind, Site, clear};
use super::rounds::{MEMBERS_MAX, Missing, Rounds, Status, words_for};
use super::word::GATE_AT;
use super::{CountError, Holder, Place, WaitFault};

/// Barriers, as a kind of shared objects.
pub static BARRIERS: Kind = Kind {
    number: 15,
    words: 8,
    gates: &[GATE_AT],
    recover: |_, _, _| {},
    gone: Kind::nothing_gone,
};

/// Members of barriers, as a kind of shared objects: each says of which barrier, and who has it.
pub static MEMBERS: Kind = Kind {
    number: 16,
    words: 8,
    gates: &[],
    recover: |pool, site, dead| OwnWords::at(pool, site).recover(dead),
    gone: |pool, site, _| OwnWords::at(pool, site).gone(pool),
};

/// The words of a member's own lane: the barrier's block, which member, who has it.
struct OwnWords(Views<AtomicU64>);

const NUMBER: usize = 2;
const HOLDER: usize = 3;
/// The holder, by its number and 1, has died.
const DIED: u64 = 1 << 32;

impl OwnWords {
    fn at(pool: &Pool, site: Site) -> Self {
        OwnWords(pool.segment().views(site.at, HOLDER + 1))
    }

    fn load(&self, at: usize) -> u64 {
        // Relaxed: what never changes came with the token; the holder's word is read by who has the
        // last token, or after a death.
        self.0[at].load(Ordering::Relaxed)
    }

    fn store(&self, at: usize, value: u64) {
        // Relaxed: as in `load`; whoever gets the token next sees it.
        self.0[at].store(value, Ordering::Relaxed);
    }

    /// A handle of it is this process's.
    fn attach(&self, me: ProcessId) {
        self.store(HOLDER, u64::from(me.0) + 1);
    }

    /// If the dead had it, and nobody has it after that, it is gone by its death.
    fn recover(&self, dead: ProcessId) {
        let its = u64::from(dead.0) + 1;
        // Relaxed: as in `load`. It fails if somebody else has it: a handle may just have come there.
        let _ =
            self.0[HOLDER].compare_exchange(its, its | DIED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Nobody has the member any more: says so to the barrier, if there still is one.
    fn gone(&self, pool: &Pool) {
        let block = LaneBlock::unpack([self.load(0), self.load(1)]);
        let holder = self.load(HOLDER);
        let process = (holder & !DIED).checked_sub(1);
        let process = process.map(|process| ProcessId(process as u32));
        let status = match holder & DIED {
            0 => Status::Left,
            _ => Status::Died,
        };
        let rounds = Site::find(pool, block).and_then(|site| attach(pool, site));
        if let Some(rounds) = rounds {
            rounds.mark(self.load(NUMBER) as usize, status, process);
            barrier::light();
            rounds.gate().open_all();
        }
    }
}

fn attach(pool: &Pool, site: Site) -> Option<Rounds> {
    if pool.lane_number(site.block)? != BARRIERS.number || site.words < words_for(0) {
        return None;
    }
    let head: Views<AtomicU64> = pool.segment().views(site.at, 1);
    // Relaxed: it never changes, and came with the barrier.
    let count = usize::try_from(head[0].load(Ordering::Relaxed)).ok()?;
    let fits = count <= MEMBERS_MAX && words_for(count) <= site.words;
    fits.then(|| Rounds::at(pool.segment(), site.at, count, site.block.generation()))
}

/// A member of a barrier: one of a fixed number, in any process of the fold, that wait for each other.
///
/// [`Barrier::new`] makes all of them. A member travels as any value does, but there is one of each: it
/// is no `Clone`. Each call of [`wait`](Barrier::wait) ends by success, when all have called it as often; or by
/// an error that names a member that will not come, because its process has died, or it was dropped. A barrier
/// of which a member is gone stays broken.
///
/// A member that is an argument of a task which is tried again is not gone: the next attempt has it, and goes on
/// in the round in which the one before was.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{Barrier, WaitFault};
///
/// fn steps(barrier: Barrier) -> Result<usize, WaitFault> {
///     for _ in 0..3 {
///         // … a step of the work, and then:
///         barrier.wait()?;
///     }
///     Ok(barrier.number())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(3).start()?;
/// let members = Barrier::new(&rt, 3)?;
/// let tasks: Vec<_> = members.into_iter().map(|member| rt.spawn(steps, member)).collect();
/// for (number, task) in tasks.into_iter().enumerate() {
///     assert_eq!(task.join_flat()?, number);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Barrier {
    /// Given back before the barrier's own.
    own: Base,
    base: Base,
    rounds: Rounds,
    number: usize,
}

impl Barrier {
    /// The members of a new barrier: 1 to 16,384. `place` is `&rt`, or [`context()`](crate::context())
    /// in a task: see [`Place`].
    ///
    /// # Errors
    /// [`CountError`] of another number, or if there is no memory.
    pub fn new(place: impl Place, members: usize) -> Result<Vec<Self>, CountError> {
        CountError::check(members, MEMBERS_MAX)?;
        let pool = place.pool()?;
        let words = words_for(members);
        let base = Base::make(&pool, &BARRIERS, words, |segment, at| {
            clear(segment, at, words);
            let head: Views<AtomicU64> = segment.views(at, 1);
            // Relaxed: whoever gets the barrier sees what was written before.
            head[0].store(members as u64, Ordering::Relaxed);
        })?;
        let gone = || AllocError::NoPool;
        attach(&pool, base.site).ok_or_else(gone)?.fill();
        let [block, generation] = base.site.block.pack();
        let mut made = Vec::with_capacity(members);
        for number in 0..members {
            let own = Base::make(&pool, &MEMBERS, HOLDER + 1, |segment, at| {
                let words: Views<AtomicU64> = segment.views(at, HOLDER + 1);
                for (word, value) in words.iter().zip([block, generation, number as u64, 0]) {
                    // Relaxed: as above.
                    word.store(value, Ordering::Relaxed);
                }
            })?;
            let member = Self::of_tokens(own.token().clone(), base.token().clone());
            made.push(member.ok_or_else(gone)?);
        }
        Ok(made)
    }

    fn of_tokens(own: Token, base: Token) -> Option<Self> {
        let own = Base::of(own, &MEMBERS)?;
        let base = Base::of(base, &BARRIERS)?;
        let words = OwnWords::at(own.pool(), own.site);
        if [words.load(0), words.load(1)] != base.site.block.pack() {
            return None;
        }
        let rounds = attach(base.pool(), base.site)?;
        let number = usize::try_from(words.load(NUMBER)).ok()?;
        if number >= rounds.count() {
            return None;
        }
        let me = base.pool().process();
        words.attach(me);
        rounds.mark(number, Status::Present, Some(me));
        Some(Barrier {
            own,
            base,
            rounds,
            number,
        })
    }

    /// Which member this is, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.rounds.count()
    }

    /// Waits until all members have called it as often as this one.
    ///
    /// # Errors
    /// [`WaitFault::Broken`] if a member will not come, and which; [`WaitFault::Gone`] when the runtime has
    /// ended.
    pub fn wait(&self) -> Result<(), WaitFault> {
        self.wait_with(Patience::Forever)
    }

    /// The same; waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitFault::TimedOut`] if not all have come in time. This one counts as come: the others may pass,
    /// and the next call goes on waiting for the same. As [`Barrier::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitFault> {
        self.wait_with(Patience::For(timeout))
    }

    fn wait_with(&self, patience: Patience) -> Result<(), WaitFault> {
        self.base.check()?;
        let round = self.rounds.arrive(self.number);
        let look = || {
            // In this order: whoever is gone may have arrived before.
            let missing = self.rounds.missing(round);
            if self.rounds.is_complete(round) {
                return Ok(Some(()));
            }
            missing.map_or(Ok(None), |missing| Err(broken(missing)))
        };
        let late = |waited| {
            let late = self.rounds.late(round);
            let missing = late.len();
            let mut known: Vec<_> = late.into_iter().flatten().collect();
            known.sort_unstable();
            known.dedup();
            let holders = known.into_iter().map(Holder::of_process).collect();
            WaitFault::TimedOut {
                waited,
                missing,
                holders,
            }
        };
        let gate = self.rounds.gate();
        self.base.wait(gate, patience, look, |why| match why {
            GaveUp::Told => WaitFault::Cancelled,
            GaveUp::Late(waited) => late(waited),
            GaveUp::AtOnce => late(Duration::ZERO),
        })?;
        self.rounds.pass(self.number, round);
        Ok(())
    }
}

fn broken(missing: Missing) -> WaitFault {
    let Missing {
        member,
        process,
        has_died,
    } = missing;
    WaitFault::Broken {
        member,
        holder: process.map(Holder::of_process),
        has_died,
    }
}

impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.own.token(), self.base.token()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Barrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (own, base) = <(Token, Token)>::deserialize(deserializer)?;
        let member = Self::of_tokens(own, base);
        member.ok_or_else(|| D::Error::custom("it is no member of a barrier"))
    }
}

impl Debug for Barrier {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Barrier")
            .field("number", &self.number)
            .field("members", &self.members())
            .finish()
    }
}
