//! The words of latches and wait groups: the members of each process, and the counts.
//!
//! ```text
//!    0  how many counts are awaited; 0: none, only the members        never changes
//!   16  the gate of those that wait
//!   64  members of process 0 │ … of process 1 │ …     31 … 0 alive, 63 … 32 died
//!       one bit for each count
//! ```
//!
//! | step | how | a death just after it leaves |
//! | --- | --- | --- |
//! | a handle comes to process p: one member more | fetch-and-add of p's word | the host moves those alive to those that died |
//! | it is dropped: one less | fetch-and-sub of p's word | a token of the dead, which the pool gives back |
//! | its token is given back; the last one in any process: the end is gone | `src/pool/token.rs` | as there |
//! | a count: one more bit | compare-and-swap, SeqCst | it was counted |
//! | a thread that sees all bits opens the gate for all | [`Gate::open_all`] | sleepers that nobody has woken: the host forces the gate |
//!
//! The thread that sets the last bit sees that all are set: setting and looking are SeqCst.

use crate::notify::Gate;
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

use super::word::{GATE_AT, in_one_order};

/// The most counts of one latch.
pub const COUNTS_MAX: usize = 1 << 20;
const MEMBERS_AT: usize = 8;
const DIED_SHIFT: u32 = 32;
const ALIVE: u64 = (1 << DIED_SHIFT) - 1;

/// Words for so many counts, in a fold of so many processes.
pub fn words_for(count: usize, processes: usize) -> usize {
    MEMBERS_AT + processes + count.div_ceil(64)
}

/// One process's side of the words.
#[derive(Debug)]
pub struct Tally {
    gate: View<Gate>,
    members: Views<AtomicU64>,
    counted: Views<AtomicU64>,
}

impl Tally {
    /// At `offset` of the segment.
    pub fn at(segment: &Segment, offset: usize, count: usize, processes: usize) -> Self {
        let counted_at = offset + (MEMBERS_AT + processes) * 8;
        Tally {
            gate: segment.view(offset + GATE_AT),
            members: segment.views(offset + MEMBERS_AT * 8, processes),
            counted: segment.views(counted_at, count.div_ceil(64)),
        }
    }

    /// Of a fresh one, whose words are 0: bits that stand for no count are set.
    pub fn fill(&self, count: usize) {
        if let (Some(last), used @ 1..) = (self.counted.last(), count % 64) {
            // Relaxed: whoever gets it sees what was written before.
            last.store(u64::MAX << used, Ordering::Relaxed);
        }
    }

    /// Where those sleep that wait.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// One more member in this process.
    pub fn join(&self, me: ProcessId) {
        if let Some(members) = self.members.get(me.0 as usize) {
            // Relaxed: after a death the host looks, which is ordered behind it.
            members.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One less.
    pub fn leave(&self, me: ProcessId) {
        if let Some(members) = self.members.get(me.0 as usize) {
            // ordering: Release: what it did comes before; the token is given back after it.
            members.fetch_sub(1, Ordering::Release);
        }
    }

    /// Processes with members alive, or with members that have died, and how many.
    pub fn members(&self, has_died: bool) -> Vec<(ProcessId, u64)> {
        let mut found = Vec::new();
        for (process, members) in self.members.iter().enumerate() {
            // Relaxed: numbers to be looked at.
            let word = members.load(Ordering::Relaxed);
            let count = if has_died {
                word >> DIED_SHIFT
            } else {
                word & ALIVE
            };
            if count > 0 {
                found.push((ProcessId(process as u32), count));
            }
        }
        found
    }

    /// Counts one; false if all are counted already.
    pub fn count(&self) -> bool {
        let has_counted = self.counted.iter().any(|word| {
            // Relaxed: the swap orders.
            let mut now = word.load(Ordering::Relaxed);
            while now != u64::MAX {
                let more = now | 1 << now.trailing_ones();
                // ordering: SeqCst: either this one's look sees all, or another's does that comes
                // after it. Release, in it, for those that wait. Relaxed, if it fails.
                match word.compare_exchange(now, more, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(another) => now = another,
                }
            }
            false
        });
        in_one_order();
        if self.left() == 0 {
            barrier::light();
            self.gate.open_all();
        }
        has_counted
    }

    /// How many are not counted yet.
    pub fn left(&self) -> usize {
        let words = self.counted.iter();
        // ordering: SeqCst, see `count`; Acquire, in it: what was done before a count is seen.
        let left = words.map(|word| word.load(Ordering::SeqCst).count_zeros() as usize);
        left.sum()
    }

    /// After the death of process `dead`: its members have died.
    pub fn recover(&self, dead: ProcessId) {
        if let Some(members) = self.members.get(dead.0 as usize) {
            // Relaxed: nobody else changes the dead's word.
            let word = members.load(Ordering::Relaxed);
            let died = (word >> DIED_SHIFT) + (word & ALIVE);
            // Relaxed: those that wait are woken afterwards.
            members.store(died << DIED_SHIFT, Ordering::Relaxed);
        }
    }
}
