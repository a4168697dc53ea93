//! The words of a read-write lock: a writer's word, and a count of readers for each process.
//!
//! ```text
//!    0  the word of the writer, as a mutex has it (`word`); its gate, at which readers wait too
//!   20  the gate of the writer that waits for readers to leave
//!   64  how many readers process 0 has │ … of process 1, 64 bytes behind │ …
//!       in the lower half, their negative in the upper half
//! ```
//!
//! | | reader of p | writer |
//! | --- | --- | --- |
//! | 1 | its process's count + 1 | `Free`→`Held(w)`, by which nobody begins to read |
//! | 2 | looks at the writer's word: free: inside | looks at all counts: 0: `Held(w)`→`Held`, inside |
//! | 3 | else count − 1, and waits for the word | else waits at its own gate, and looks again |
//! | 4 | leaves: count − 1; light barrier; opens the gate of a writer that waits | leaves: `Free`; light barrier; opens the gate for all |
//!
//! Steps 1 and 2 are SeqCst: either the reader sees the writer, or the writer sees the reader. A writer
//! announces itself before it waits for readers, so it waits only for those that are inside: readers never
//! starve writers.
//!
//! | death | what it leaves | who copes |
//! | --- | --- | --- |
//! | a reader anywhere between 1 and 4 | its process's count | the host makes it 0: what readers leave is whole |
//! | a reader in 4, before the gate | a writer that nobody has woken | the host forces the gates |
//! | a writer in 1 to 3 | `Held(w)` | the host makes it `Free` as it was: nothing was changed |
//! | a writer inside, or in 4 | as a mutex's holder | as there: the next ones, readers and writers, are told |

use crate::notify::Gate;
use crate::prim::ProcessId;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

use super::who::Who;
use super::word::{GATE_AT, LockWord, State, in_one_order};

/// Where the gate of a writer is that waits for readers, in bytes.
pub const DRAIN_AT: usize = GATE_AT + 4;
/// Words in front of the counts.
const COUNTS_AT: usize = 8;
/// Words of a count: it has a line of its own.
const STRIDE: usize = 8;

/// A reader more, as it is counted: one in the lower half of the word, one less in the upper half. So
/// the halves are each other's negative, in which a word that is written over is no count.
const READER: u64 = 1_u64.wrapping_sub(1 << 32);
/// No process has so many readers.
const READERS_MAX: u64 = 1 << 31;

/// Words of a lock that so many processes may use.
pub fn words_for(processes: usize) -> usize {
    COUNTS_AT + processes * STRIDE
}

/// One process's side of the words.
#[derive(Debug)]
pub struct RwWords {
    writer: LockWord,
    drained: View<Gate>,
    readers: Views<AtomicU64>,
}

impl RwWords {
    /// At `offset` of the segment.
    pub fn at(segment: &Segment, offset: usize, processes: usize) -> Self {
        RwWords {
            writer: LockWord::at(segment, offset),
            drained: segment.view(offset + DRAIN_AT),
            readers: segment.views(offset + COUNTS_AT * 8, processes * STRIDE),
        }
    }

    /// The writer's word, and where those wait that want to read or write.
    #[inline]
    pub fn writer(&self) -> &LockWord {
        &self.writer
    }

    /// Where the writer waits for readers.
    pub fn drained(&self) -> &Gate {
        &self.drained
    }

    /// Where they lie, in this process.
    pub fn address(&self) -> usize {
        self.readers.as_ptr().addr()
    }

    fn count(&self, process: ProcessId) -> Option<&AtomicU64> {
        self.readers.get(process.0 as usize * STRIDE)
    }

    /// One more reader, if nobody writes, or is about to: whether the data may be half changed.
    ///
    /// # Errors
    /// What the writer's word says.
    #[inline]
    pub fn try_read(&self, me: ProcessId) -> Result<bool, State> {
        self.join(me);
        let state = self.writer.state();
        if !state.is_held() {
            return Ok(state.is_half());
        }
        self.leave(me);
        Err(state)
    }

    /// One more reader of a process that has one already on the same thread. Whether the data may
    /// be half changed.
    pub fn read_again(&self, me: ProcessId) -> bool {
        self.join(me);
        self.writer.state().is_half()
    }

    #[inline]
    fn join(&self, me: ProcessId) {
        if let Some(count) = self.count(me) {
            // ordering: SeqCst: either the writer's look sees it, or `try_read` sees the writer.
            // Acquire of what the last writer has stored comes with the load of its word.
            count.fetch_add(READER, Ordering::SeqCst);
        }
        in_one_order();
    }

    /// One reader less.
    #[inline]
    pub fn leave(&self, me: ProcessId) {
        if let Some(count) = self.count(me) {
            // ordering: Release pairs with the load in `reads`: the writer's changes come after
            // what was read.
            count.fetch_sub(READER, Ordering::Release);
        }
        barrier::light();
        self.drained.open_one();
    }

    /// Announces a writer, if there is none: whether the data may be half changed. Nobody begins
    /// to read from now on.
    pub fn try_announce(&self, me: Who, task: u64) -> Result<bool, State> {
        let announced = self.writer.try_announce(me, task);
        in_one_order();
        announced
    }

    /// A process that reads, and the word that counts its threads that do.
    pub fn reads(&self) -> Option<(ProcessId, u64)> {
        let counts = self.readers.iter().step_by(STRIDE);
        // ordering: SeqCst, see `join`; Acquire pairs with the Release in `leave`.
        let mut counts = counts.map(|count| count.load(Ordering::SeqCst));
        let process = counts.position(|count| count != 0)?;
        let process = ProcessId(process as u32);
        // Relaxed: a number to be looked at.
        let count = self.count(process)?.load(Ordering::Relaxed);
        Some((process, count))
    }

    /// Whether a word is no count that a correct process writes.
    pub fn is_damaged(&self, word: u64) -> bool {
        let count = word & u64::from(u32::MAX);
        count > READERS_MAX || word != count.wrapping_mul(READER)
    }

    /// The writer leaves, or gives up: wakes all that wait.
    pub fn unlock(&self, is_half: bool) {
        self.writer.release(is_half);
        self.writer.gate().open_all();
    }

    /// After the death of process `dead`: nobody of it reads or writes. The gates are to be forced
    /// afterwards.
    pub fn recover(&self, dead: ProcessId) {
        self.writer.recover(dead);
        if let Some(count) = self.count(dead) {
            // ordering: Release, as in `leave`.
            count.store(0, Ordering::Release);
        }
    }
}
