//! The words of a barrier: for each member whether it is present, and in which round it has arrived.
//!
//! ```text
//!    0  how many members there are        never changes
//!   16  the gate of those that wait
//!   64  member 0: status │ arrived in round │ passed round │ 0     member 1: …
//!
//!       status: Present(p) ──▶ Left(p), Died(p)      in the generation of the barrier's block
//! ```
//!
//! | step of member m | how | a death just after it leaves |
//! | --- | --- | --- |
//! | 1. its handle comes to process p: `Present(p)` | compare-and-swap | a member of which nobody has a handle: see below |
//! | 2. arrives: its round is one more | store, SeqCst | it has arrived: the others pass, if all have |
//! | 3. looks: all have arrived in this round; then passes it | SeqCst loads; store | the same; sleepers: the host forces the gate |
//! | 4. opens the gate for all that have not looked yet | light barrier, [`Gate::open_all`] | the same |
//! | its last handle is gone, by a death or not: `Left(p)`, `Died(p)` | compare-and-swap | it is done twice |
//!
//! Each member has its own lane beside the barrier's, so that it is gone exactly when nobody has a handle of
//! it: no process, no argument of a task that may be tried again, no message. That lane's last token may be
//! given back after the barrier's own block was freed and reused. So a status has the block's generation, and
//! is changed only if the generation matches, as with a late hint.
//!
//! Of two members that arrive last at the same time, one sees both: arriving and looking are SeqCst, and a
//! sleeper passes the heavy barrier before its last look. A member that sees that all are there opens the
//! gate.

use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{Generation, ProcessId, Word};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

use super::word::{GATE_AT, in_one_order};

/// The most members of one barrier.
pub const MEMBERS_MAX: usize = 1 << 14;
const MEMBERS_AT: usize = 8;
const STRIDE: usize = 4;
const ARRIVED: usize = 1;
const PASSED: usize = 2;

/// Words for so many members.
pub fn words_for(members: usize) -> usize {
    MEMBERS_AT + members * STRIDE
}

/// Whether a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    Present = 1,
    Left = 2,
    Died = 3,
}

/// A member that will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    pub member: usize,
    /// Who had it last; `None` if nobody had.
    pub process: Option<ProcessId>,
    pub has_died: bool,
}

/// One process's side of the words.
#[derive(Debug)]
pub struct Rounds {
    gate: View<Gate>,
    members: Views<AtomicU64>,
    generation: Generation,
}

impl Rounds {
    /// At `offset` of the segment, in a block of this generation.
    pub fn at(segment: &Segment, offset: usize, members: usize, generation: Generation) -> Self {
        Rounds {
            gate: segment.view(offset + GATE_AT),
            members: segment.views(offset + MEMBERS_AT * 8, members * STRIDE),
            generation,
        }
    }

    /// Where those sleep that have arrived.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How many members there are.
    pub fn count(&self) -> usize {
        self.members.len() / STRIDE
    }

    fn status(&self, status: Status, process: Option<ProcessId>) -> u64 {
        let owner = process.map_or(0, |process| process.0 + 1);
        Word::new(status as u8, owner, self.generation).pack()
    }

    /// Of a fresh one, whose words are 0: all are present, and nobody's.
    pub fn fill(&self) {
        for status in self.members.iter().step_by(STRIDE) {
            // Relaxed: whoever gets it sees what was written before.
            status.store(self.status(Status::Present, None), Ordering::Relaxed);
        }
    }

    /// Member `at` is now process's, or is gone; if it was present in this generation.
    pub fn mark(&self, at: usize, status: Status, process: Option<ProcessId>) {
        let Some(word) = self.members.get(at * STRIDE) else {
            return;
        };
        // Relaxed: the swap orders.
        let mut now = word.load(Ordering::Relaxed);
        loop {
            let known = Word::unpack(now);
            if known.generation != self.generation || known.state != Status::Present as u8 {
                return;
            }
            let made = self.status(status, process);
            // ordering: AcqRel pairs with the Acquire in `missing`: who sees that it is gone sees
            // whether it has arrived. Relaxed, if it fails.
            match word.compare_exchange(now, made, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(another) => now = another,
            }
        }
    }

    /// Member `at` arrives: in which round. It arrives once until it has passed.
    pub fn arrive(&self, at: usize) -> u64 {
        let of = |word: usize| &self.members[at * STRIDE + word];
        // Relaxed: the member's own words; they come with its handle.
        let (arrived, passed) = (
            of(ARRIVED).load(Ordering::Relaxed),
            of(PASSED).load(Ordering::Relaxed),
        );
        if arrived != passed {
            return arrived; // it has run out of time before
        }
        let round = arrived.wrapping_add(1);
        // ordering: SeqCst: see the top; Release, in it, for those that pass.
        of(ARRIVED).store(round, Ordering::SeqCst);
        in_one_order();
        round
    }

    /// Whether member `at` has arrived in that round.
    fn has_arrived(&self, at: usize, round: u64) -> bool {
        // ordering: SeqCst: see the top; Acquire, in it: what it did before is seen.
        let arrived = self.members[at * STRIDE + ARRIVED].load(Ordering::SeqCst);
        // It may be a round ahead.
        arrived.wrapping_sub(round) < u64::MAX / 2
    }

    /// Whether all have arrived in that round.
    pub fn is_complete(&self, round: u64) -> bool {
        (0..self.count()).all(|at| self.has_arrived(at, round))
    }

    /// A member that has not arrived in that round, and will not.
    pub fn missing(&self, round: u64) -> Option<Missing> {
        (0..self.count()).find_map(|at| {
            // ordering: Acquire: first whether it is gone, then whether it had arrived.
            let raw = self.members[at * STRIDE].load(Ordering::Acquire);
            let word = Word::unpack(raw);
            let is_gone = word.state != Status::Present as u8;
            (is_gone && !self.has_arrived(at, round)).then(|| Missing {
                member: at,
                process: word.owner.checked_sub(1).map(ProcessId),
                has_died: word.state == Status::Died as u8,
            })
        })
    }

    /// Those that have not arrived in that round, and whose they are.
    pub fn late(&self, round: u64) -> Vec<Option<ProcessId>> {
        let late = (0..self.count()).filter(|at| !self.has_arrived(*at, round));
        let process = |at: usize| {
            // Relaxed: who is waited for, to those that read an error.
            let word = Word::unpack(self.members[at * STRIDE].load(Ordering::Relaxed));
            word.owner.checked_sub(1).map(ProcessId)
        };
        late.map(process).collect()
    }

    /// Member `at` has seen that all have arrived in that round: wakes those that have not.
    pub fn pass(&self, at: usize, round: u64) {
        // Relaxed: the member's own word.
        self.members[at * STRIDE + PASSED].store(round, Ordering::Relaxed);
        barrier::light();
        self.gate.open_all();
    }
}
