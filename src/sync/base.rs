//! What all objects of this module have in common: a lane with one sort of ends, or two, and gates.

use std::fmt::{Debug, Display, Formatter};

use crate::notify::Gate;
use crate::object::{GaveUp, Patience, wait};
use crate::pool::{AllocError, End, LaneBlock, LaneEnds, LaneKind, Passage, Pool, Token};
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

use super::error::LockFault;
use super::who::Who;

/// Where an object's words lie.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// In the segment, in bytes.
    pub at: usize,
    /// How many there are; a few more than were asked for.
    pub words: usize,
    pub block: LaneBlock,
}

impl Site {
    pub fn find(pool: &Pool, block: LaneBlock) -> Option<Self> {
        let (at, words) = pool.lane_place(block)?;
        Some(Site { at, words, block })
    }

    /// The gate so many bytes behind the first word.
    pub fn gate(&self, pool: &Pool, at: usize) -> View<Gate> {
        pool.segment().view(self.at + at)
    }
}

/// A kind of these objects.
pub struct Kind {
    pub number: u64,
    /// Words that each has at least.
    pub words: usize,
    /// Where gates are, in bytes.
    pub gates: &'static [usize],
    /// Frees, or marks, what names the dead.
    pub recover: fn(&Pool, Site, ProcessId),
    /// Nobody has this end any more.
    pub gone: fn(&Pool, Site, End),
}

impl Kind {
    pub fn nothing_gone(_: &Pool, _: Site, _: End) {}

    fn site(&self, pool: &Pool, block: LaneBlock) -> Option<Site> {
        Site::find(pool, block).filter(|site| site.words >= self.words)
    }

    fn each_gate(&self, pool: &Pool, block: LaneBlock, each: impl Fn(&Gate)) {
        let Some(site) = self.site(pool, block) else {
            return;
        };
        for at in self.gates {
            each(&site.gate(pool, *at));
        }
    }
}

impl Debug for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kind").field(&self.number).finish()
    }
}

impl LaneKind for Kind {
    fn number(&self) -> u64 {
        self.number
    }

    fn gone(&self, pool: &Pool, block: LaneBlock, end: End) {
        if let Some(site) = self.site(pool, block) {
            (self.gone)(pool, site, end);
        }
        barrier::light();
        self.each_gate(pool, block, Gate::open_all);
    }

    fn close(&self, _: &Pool, _: LaneBlock) {}

    fn recover(
        &self,
        pool: &Pool,
        block: LaneBlock,
        dead: ProcessId,
        _: &mut std::collections::HashSet<Passage>,
    ) {
        if let Some(site) = self.site(pool, block) {
            (self.recover)(pool, site, dead);
        }
    }

    fn settle(&self, pool: &Pool, block: LaneBlock, _: ProcessId) {
        barrier::light();
        self.force(pool, block);
    }

    fn force(&self, pool: &Pool, block: LaneBlock) {
        self.each_gate(pool, block, Gate::force);
    }
}

/// One process's side of an object: a token of it, which keeps it.
#[derive(Debug)]
pub struct Base {
    token: Token,
    pool: Pool,
    ends: LaneEnds,
    pub site: Site,
}

impl Base {
    /// Makes an object of so many words, which `write` fills.
    pub fn make(
        pool: &Pool,
        kind: &'static Kind,
        words: usize,
        write: impl FnOnce(&Segment, usize),
    ) -> Result<Self, AllocError> {
        let words = Self::rounded(words);
        let token = pool.make_lane_of_one(kind, words, write)?;
        Self::of(token, kind).ok_or(pool.exhausted(words * 8))
    }

    /// The same with two sorts of ends: of each a handle, the sender's first.
    pub fn make_pair(
        pool: &Pool,
        kind: &'static Kind,
        words: usize,
        write: impl FnOnce(&Segment, usize),
    ) -> Result<[Self; 2], AllocError> {
        let words = Self::rounded(words);
        let [sender, receiver] = pool.make_lane(kind, words, write)?;
        let of = |token| Self::of(token, kind).ok_or(pool.exhausted(words * 8));
        Ok([of(sender)?, of(receiver)?])
    }

    /// A block that is a multiple of 64 bytes begins at one, and so do its words.
    pub fn rounded(words: usize) -> usize {
        words.checked_next_multiple_of(8).unwrap_or(words)
    }

    /// The object that a token stands for, if it is of this kind.
    pub fn of(token: Token, kind: &'static Kind) -> Option<Self> {
        let pool = token.pool().clone();
        let block = token.lane()?;
        if pool.lane_number(block)? != kind.number {
            return None;
        }
        let site = kind.site(&pool, block)?;
        let ends = pool.lane_ends(block)?;
        Some(Base {
            token,
            pool,
            ends,
            site,
        })
    }

    pub fn token(&self) -> &Token {
        &self.token
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Which ends of it there are.
    pub fn ends(&self) -> &LaneEnds {
        &self.ends
    }

    /// Whether nothing keeps this end of it but the arguments of the task that this thread runs.
    pub fn is_its_own(&self, end: End) -> bool {
        let lane = self.token.lane();
        lane.is_some_and(|lane| self.pool.is_its_own_end(lane, end))
    }

    /// The calling thread.
    #[inline]
    pub fn me(&self) -> Who {
        Who::here(self.pool.process())
    }

    /// Whether it can be used here, and now.
    #[inline]
    pub fn check(&self) -> Result<(), LockFault> {
        if !self.pool.is_here() {
            return Err(LockFault::Forked);
        }
        if self.pool.is_over() {
            return Err(LockFault::Gone);
        }
        Ok(())
    }

    /// Waits at `gate` until `look` finds something. `give_up` says how it ends for who waits no
    /// longer.
    pub fn wait<T, E: From<LockFault>>(
        &self,
        gate: &Gate,
        patience: Patience,
        mut look: impl FnMut() -> Result<Option<T>, E>,
        give_up: impl FnOnce(GaveUp) -> E,
    ) -> Result<T, E> {
        let look = || {
            self.check()?;
            look()
        };
        wait(gate, patience, look, give_up)
    }

    /// What no correct process writes was found.
    pub fn damaged(&self, what: &dyn Display) -> LockFault {
        if let Some(lane) = self.token.lane() {
            self.pool.report_lane(lane, what);
        }
        LockFault::Gone
    }
}

/// The first words of a fresh object: all 0. Gates are viewed as such from the beginning.
pub fn clear(segment: &Segment, at: usize, words: usize) {
    let all: Views<AtomicU64> = segment.views(at, words);
    for word in &all[..] {
        // Relaxed: whoever gets the object sees what was written before.
        word.store(0, Ordering::Relaxed);
    }
}

/// Handles of an object that travel as their token: `Clone`, `Serialize`, `Deserialize`.
macro_rules! travels {
    ([$($params:tt)*] $name:ty, $what:literal) => {
        impl<$($params)*> serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.core.base.token().serialize(serializer)
            }
        }

        impl<'de, $($params)*> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let token = crate::pool::Token::deserialize(deserializer)?;
                let made = Self::of_token(token);
                made.ok_or_else(|| serde::de::Error::custom(concat!("it is no ", $what)))
            }
        }

        impl<$($params)*> Clone for $name {
            fn clone(&self) -> Self {
                Self::of_core(std::sync::Arc::clone(&self.core))
            }
        }
    };
}
pub(super) use travels;
