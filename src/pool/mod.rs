//! The pool: an allocator of shared memory, in blocks by size class. The owner of a block is in its truth
//! word.
//!
//! A block's word holds its state and its owner:
//!
//! ```text
//!            alloc                  publish               last holder drops
//!   Free ───────────▶ Loaned(p) ───────────▶ Shared ─────────────────────────┐
//!    ▲ ▲                 │  ▲ │               │  ▲                           │
//!    │ │ free            │  │ │ carry         │  │ adopt                     │
//!    │ └─────────────────┘  │ ▼               ▼  │                           │
//!    │                      └─ Carried(s) ───────┘                           │
//!    └───────────────────────────────────────────────────────────────────────┘
//!   Lane: written by several processes at once, see `token`
//!   Absent: the place holds no block now (span not in use, or of another class)
//! ```
//!
//! | word | who may change it | after a death |
//! | --- | --- | --- |
//! | `Free` | whoever wins the compare-and-swap | hint issued again |
//! | `Loaned(p)` | process p, the sole owner | p dead: free |
//! | `Shared` | whoever sees no holder bit left | p's bit cleared; none left: free |
//! | `Carried(s)`, s a task slot | the host, when it collects s | s not living on: free |
//! | `Carried(s)`, s a message of p | who takes the message | p dead: named by no message: free |
//!
//! `Shared` blocks have holders: one bit per *process*, however many clones it has (clones are counted
//! privately). Setting and clearing one's own bit is idempotent, so recovery may repeat it. A bit is only ever
//! set while another holder's bit keeps the block alive (the host holds a task's arguments until the task
//! ends), so "no bit left" is final.
//!
//! Free bits and avail bits are hints: a set bit says "maybe free". A process that takes a bit asks the word.
//! A hint that died with its taker is set again by [`recover`](Pool::recover). Each process's threads cache
//! hints (`shard`); a block whose hint is cached is `Free`.
#![allow(unsafe_code)]

mod alloc;
mod array;
mod audit;
mod block;
mod blocks;
mod buffer;
mod cast;
mod classes;
mod entries;
mod entry;
mod going;
mod handing;
mod hold;
mod holders;
mod hook;
mod known;
mod lane;
mod made;
mod meeting;
mod parcel;
mod passage;
mod plan;
mod range;
mod record;
mod recover;
mod repeated;
mod results;
mod room;
mod shard;
mod short;
mod spans;
mod token;
mod transfer;
mod turn;
mod usage;
mod who;

pub(crate) use array::array;
pub use audit::Living;
pub use block::{Block, BlockState};
pub use buffer::{Loan, Shared};
pub use cast::CastError;
pub use entry::Passage;
pub use handing::Handing;
pub use lane::{End, LaneBlock};
pub use meeting::{Encoding, decoding, encoding, forget_met, is_read_back, met};
pub use parcel::Parcel;
pub use plan::PoolPlan;
pub use range::RangeError;
pub use repeated::{RepeatedEnds, has_repeated_end};
pub use results::Kept;
pub use token::{LaneEnds, Token};
pub use transfer::Transfer;
pub use usage::ClassUse;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::panic::RefUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use serde::{Deserialize, Serialize};

use crate::prim::atomic::AtomicU64;
use crate::prim::{BlockIndex, ProcessId};
use crate::shm::{Bytes, Segment, View, Views};
use crate::sys::Home;

use classes::{COUNT, SLAB_BLOCKS_MAX};
use hook::Hook;
use made::Known;
use plan::PAGE_WORDS;
use record::Record;
use shard::Shards;
use short::Short;

/// Why an allocation failed.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).memory_cap(1 << 20).start()?;
/// match rt.alloc(1 << 30) {
///     Err(pinfold::AllocError::TooLarge { requested, capacity }) => {
///         assert_eq!((requested, capacity), (1 << 30, 1 << 20));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum AllocError {
    /// More than the whole pool.
    #[error(
        "{requested} bytes can never be allocated: the memory cap leaves {capacity} bytes; raise `memory_cap`"
    )]
    TooLarge {
        /// What was asked for, in bytes.
        requested: usize,
        /// All there is, in bytes.
        capacity: usize,
    },
    /// No room now.
    #[error(
        "no room for {requested} bytes now, of {capacity} bytes in all: drop buffers that are no longer needed, or raise `memory_cap`"
    )]
    Exhausted {
        /// What was asked for, in bytes.
        requested: usize,
        /// All there is, in bytes.
        capacity: usize,
    },
    /// This process was forked off the one whose pool it is.
    #[error(
        "this process was forked off the one whose memory it is: allocate there, or start a runtime after the fork"
    )]
    Forked,
    /// There is no fold here: the process is neither a worker nor asked a `Runtime`.
    #[error(
        "no pool in this process: call `Runtime::alloc` in the host, `pinfold::alloc` in a task"
    )]
    NoPool,
}

impl AllocError {
    /// As a few bytes can carry it: which one, and its two numbers.
    pub(crate) fn pack(&self) -> (u8, usize, usize) {
        match *self {
            AllocError::TooLarge {
                requested,
                capacity,
            } => (0, requested, capacity),
            AllocError::Exhausted {
                requested,
                capacity,
            } => (1, requested, capacity),
            AllocError::Forked => (2, 0, 0),
            AllocError::NoPool => (3, 0, 0),
        }
    }

    /// What was packed.
    pub(crate) fn unpack((which, requested, capacity): (u8, usize, usize)) -> Self {
        match which {
            0 => AllocError::TooLarge {
                requested,
                capacity,
            },
            1 => AllocError::Exhausted {
                requested,
                capacity,
            },
            2 => AllocError::Forked,
            _ => AllocError::NoPool,
        }
    }
}

/// A process's side of the pool. Cloning is cheap.
#[derive(Debug)]
pub struct Pool(Arc<Inner>);

impl Clone for Pool {
    fn clone(&self) -> Self {
        // Relaxed: as for any count of references, what is counted is at hand.
        self.0.pools.fetch_add(1, Ordering::Relaxed);
        Pool(Arc::clone(&self.0))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // ordering: AcqRel pairs with the other drops': what was done with them is done.
        if self.0.pools.fetch_sub(1, Ordering::AcqRel) == 1 && self.is_here() {
            self.0.shards.close();
        }
    }
}

#[derive(Debug)]
struct Inner {
    plan: PoolPlan,
    me: ProcessId,
    /// Whose side of the pool this is. In a process that was forked off it nothing is
    /// allocated or freed, and no lock is taken.
    home: Home,
    /// Nobody sees in a block what somebody has left there.
    is_zeroed: bool,
    header: View<PoolHeader>,
    spans: Views<AtomicU64>,
    free_bits: Views<AtomicU64>,
    avail_bits: Views<AtomicU64>,
    blocks: Views<AtomicU64>,
    passages: Views<AtomicU64>,
    arena: Bytes,
    segment: Arc<Segment>,
    /// What the threads keep at hand.
    shards: Shards<Hold, Arc<Inner>>,
    /// Per shared block that this process holds: how many holds.
    held: [Mutex<HashMap<BlockIndex, u32>>; HELD_SHARDS],
    /// How many `Pool`s there are, but those in records of buffers.
    pools: AtomicUsize,
    /// The first that was found that no correct process writes, in words.
    damage: OnceLock<String>,
    /// Bytes of results that were collected, and not copied out.
    kept: AtomicUsize,
    /// How the host is told of something about memory.
    ring: OnceLock<Hook<dyn Fn() + Send + Sync>>,
    /// What this process has made of shared blocks, and how others that have are told.
    known: Known,
    tell: OnceLock<Hook<dyn Fn(ProcessId) + Send + Sync>>,
    /// What is done when an end of a lane goes.
    ends: OnceLock<AtEnds>,
    /// How it is found out what the threads of a process do.
    observe: OnceLock<Hook<dyn Fn(ProcessId) -> Vec<Doing> + Send + Sync>>,
    /// Nobody is to wait in this memory any more.
    over: std::sync::atomic::AtomicBool,
}

const HELD_SHARDS: usize = 16;

/// Words of the set of processes that keep something that they have made of shared blocks.
const KEEPERS: usize = 17;

/// What a thread does: its task, as a word, and what it waits for: a number of what, of which block,
/// since when.
pub type Doing = (u64, [u64; 3]);

/// One process's claim to one block.
type Hold = Record<Pool>;

/// A thread's turn at what it has at hand.
type Guard<'a> = shard::Guard<'a, Hold, Arc<Inner>>;

/// A kind of lanes: what is to be done when an end of one goes, a process dies, or the runtime
/// ends. All in shared memory, and without the user's code. Each may be called twice.
pub trait LaneKind: Debug + Sync + RefUnwindSafe {
    /// What tells it from others.
    fn number(&self) -> u64;

    /// Nobody has this end any more. The lane says so, and the heavy barrier was passed: who does
    /// not see it has done before whatever it did. Tells who waits.
    fn gone(&self, pool: &Pool, lane: LaneBlock, end: End);

    /// Nobody has the lane any more: lets go of what is in it.
    fn close(&self, pool: &Pool, lane: LaneBlock);

    /// Moves on what process `dead` had begun in this lane; before the pool's own recovery, which
    /// asks which passages messages name: these.
    fn recover(&self, pool: &Pool, lane: LaneBlock, dead: ProcessId, named: &mut HashSet<Passage>);

    /// After the pool's own recovery: ends that only the dead had are gone. Wakes whoever the
    /// dead should have woken.
    fn settle(&self, pool: &Pool, lane: LaneBlock, dead: ProcessId);

    /// Wakes all that sleep: the runtime is over.
    fn force(&self, pool: &Pool, lane: LaneBlock);
}

/// All kinds that a program has.
pub type LaneKinds = &'static [&'static dyn LaneKind];

/// What is done when an end goes, and by which side of the pool.
#[derive(Debug)]
struct AtEnds {
    kinds: LaneKinds,
    pool: Weak<Inner>,
}

/// ```text
///   0  span_end   no span at or above this was ever used
///   8  span_low   probably no free span below this
///  16  has_lanes  whether there ever was one
///  64  short      who waits for memory
///  84  keepers    who keeps what it has made of shared blocks: a bit for each process
/// 224  pages      which pages of the table of passages were ever used: a bit for each
/// ```
///
/// Low spans are used first, by all processes: memory that was touched before is
/// much cheaper than fresh memory.
#[derive(Debug, Default)]
#[repr(C)]
struct PoolHeader {
    span_end: AtomicU64,
    span_low: AtomicU64,
    has_lanes: AtomicU64,
    _free: [AtomicU64; 5],
    short: Short,
    keepers: [AtomicU64; KEEPERS],
    pages: [AtomicU64; PAGE_WORDS],
}

// SAFETY: atomics only, repr(C).
unsafe impl crate::shm::ShmSafe for PoolHeader {}

impl Pool {
    /// Attaches process `me` to the pool that lies in `segment` by `plan`.
    /// A fresh segment is a valid empty pool.
    pub fn attach(segment: &Arc<Segment>, plan: &PoolPlan, me: ProcessId) -> Self {
        Self::attach_with(segment, plan, me, false)
    }

    /// The same; blocks that it allocates are zero if `is_zeroed`.
    pub fn attach_with(
        segment: &Arc<Segment>,
        plan: &PoolPlan,
        me: ProcessId,
        is_zeroed: bool,
    ) -> Self {
        Pool(Arc::new(Inner {
            plan: plan.clone(),
            me,
            home: Home::here(),
            is_zeroed,
            header: segment.view(plan.header),
            spans: segment.views(plan.span_words, plan.spans),
            free_bits: segment.views(plan.free_bits, plan.spans * plan::MAP_WORDS),
            avail_bits: segment.views(plan.avail_bits, COUNT * plan.avail_words()),
            blocks: segment.views(
                plan.block_words,
                plan.spans * SLAB_BLOCKS_MAX * plan.block_stride(),
            ),
            passages: segment.views(plan.passages, plan.passage_lines * plan::LINE),
            arena: segment.bytes(plan.arena, plan.capacity()),
            segment: Arc::clone(segment),
            shards: Shards::default(),
            held: std::array::from_fn(|_| Mutex::default()),
            pools: AtomicUsize::new(1),
            damage: OnceLock::new(),
            kept: AtomicUsize::new(0),
            ring: OnceLock::new(),
            known: Known::default(),
            tell: OnceLock::new(),
            ends: OnceLock::new(),
            observe: OnceLock::new(),
            over: std::sync::atomic::AtomicBool::new(false),
        }))
    }

    /// Whether this process is the one whose side of the pool it is.
    #[inline]
    pub fn is_here(&self) -> bool {
        self.0.home.is_here()
    }

    /// Bytes of user memory in all.
    pub fn capacity(&self) -> usize {
        self.0.plan.capacity()
    }

    /// The first that this process has found in it that no correct process writes: what says so, what it
    /// says, and why that cannot be.
    pub fn damage(&self) -> Option<&str> {
        self.0.damage.get().map(String::as_str)
    }

    /// Tells this side from those of other pools in this process.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether both are sides of the same pool in the same process.
    pub fn is_same(&self, other: &Pool) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Locks a private mutex; a panic while it was held cannot leave these half
/// changed (they guard plain maps of counts).
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
