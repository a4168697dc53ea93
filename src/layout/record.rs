//! An executor's record.
//!
//! ```text
//!    0        128                    256      384              640        1024
//!    +--------+----------------------+--------+----------------+------------+
//!    | bell   | status and counters  | doing  | batch: 32      | last words |
//!    |        |                      |        | hints          |            |
//!    +--------+----------------------+--------+----------------+------------+
//! ```
//!
//! *Doing* changes with every task, and nobody reads it in the ordinary way of things;
//! what the host reads all the time lies apart from it.
//!
//! *Batch* is the announcement: the hints this executor has taken, or is about to
//! take, from an inbox. If it dies they are issued again; while it is busy with
//! one of them, a thief may claim the others straight from here.

use crate::notify::{Doorbell, Gate};
use crate::prim::Line;
use crate::prim::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::ShmSafe;

/// The most hints taken at a time.
pub const BATCH_MAX: usize = 32;
const TEXT_WORDS: usize = 46;

/// One per executor; written by it alone, but for the bell.
#[derive(Debug)]
#[repr(C)]
pub struct ExecutorRecord {
    /// Rung when there is work, or to stop.
    pub bell: Line<Doorbell>,
    /// What it does and did.
    pub status: Line<Status>,
    /// Which tasks it is in the middle of.
    pub doing: Line<Doing>,
    batch: [AtomicU64; BATCH_MAX],
    /// What it said before it died.
    pub last_words: LastWords,
}

const _: () = assert!(size_of::<ExecutorRecord>() == 1024);
const _: () = assert!(std::mem::offset_of!(ExecutorRecord, batch) == 384);
const _: () = assert!(std::mem::offset_of!(ExecutorRecord, last_words) == 640);

// SAFETY: atomics only, repr(C); the padding of the lines is never read.
unsafe impl ShmSafe for ExecutorRecord {}

/// Plain numbers of one writer.
#[derive(Debug)]
#[repr(C)]
pub struct Status {
    /// 1 once the executor runs in its present incarnation, else 0.
    pub online: AtomicU64,
    /// The CPU it is pinned to plus one, 0 when it is not.
    pub cpu: AtomicU64,
    /// How long a task takes, in ns, averaged over the last ones; 0: not known.
    pub grain_ns: AtomicU64,
    /// Hints in the batch.
    batch_len: AtomicU64,
    /// Tasks run.
    pub run: AtomicU64,
    /// Of these, taken from another's inbox or batch.
    pub stolen: AtomicU64,
    /// Times it went to sleep.
    pub sleeps: AtomicU64,
    /// Hints that no longer held.
    pub stale: AtomicU64,
    /// Completions for which its ring had no room: the host looks at all words.
    pub overflows: AtomicU64,
    /// Grows while the process lives, if a heartbeat was asked for.
    pub beat: AtomicU64,
    /// How many of its own slots it has ever used.
    pub nest_used: AtomicU64,
    /// Events for the host's log for which there was no room.
    pub logs_dropped: AtomicU64,
    /// Tasks that panicked, with those that tasks have spawned.
    pub task_panics: AtomicU64,
    /// In the record of a worker's first executor: panics on threads of the program's own.
    pub thread_panics: AtomicU64,
    /// In the record of a worker's first executor: the process that keeps the worker's
    /// memory; 0: none. Written by the kernel.
    pub keeper: AtomicU32,
}

/// Hints of the tasks that an executor is in the middle of.
#[derive(Debug)]
#[repr(C)]
pub struct Doing {
    /// The task it claims or runs, the last one it ran otherwise. Set before the
    /// claim: a slot of the host's that says *running by me* is always this one.
    pub current: AtomicU64,
    /// The spawned task on top of its stack; 0: none, the task that it was given runs
    /// itself.
    pub top: AtomicU64,
    /// Opened when a task is told to end that may wait for a shared object; who waits for one in
    /// a task sleeps here, too.
    pub told: Gate,
    /// What it waits for.
    pub waits: WaitNote,
}

/// What an executor waits for; written before it sleeps, and shown to who asks.
#[derive(Debug)]
#[repr(C)]
pub struct WaitNote {
    /// A number of what, 0: it does not wait.
    what: AtomicU64,
    block: AtomicU64,
    since: AtomicU64,
}

impl WaitNote {
    /// It waits for `what`, of an object's block, since then.
    pub fn set(&self, what: u64, block: u64, since: u64) {
        // Relaxed: it is shown, not believed.
        self.block.store(block, Ordering::Relaxed);
        self.since.store(since, Ordering::Relaxed);
        self.what.store(what, Ordering::Relaxed);
    }

    /// It does not wait any more.
    pub fn clear(&self) {
        // Relaxed: as above.
        self.what.store(0, Ordering::Relaxed);
    }

    /// What it waits for, of which block, since when.
    pub fn read(&self) -> [u64; 3] {
        // Relaxed: as above.
        [&self.what, &self.block, &self.since].map(|word| word.load(Ordering::Relaxed))
    }
}

impl ExecutorRecord {
    /// Announces hints, before they are taken.
    #[inline]
    pub fn announce(&self, hints: &[u64]) {
        // Relaxed: the compare-and-swap that takes them (Release) orders the
        // announcement before the take, which is all a rescuer needs. A thief
        // that reads a torn mixture asks each slot's word anyway.
        for (to, from) in self.batch.iter().zip(hints) {
            to.store(*from, Ordering::Relaxed);
        }
        let count = hints.len().min(BATCH_MAX) as u64;
        self.status.batch_len.store(count, Ordering::Relaxed);
    }

    /// Announces one more hint, in the place of one of the batch that was begun.
    pub fn announce_instead(&self, place: usize, hint: u64) {
        // Relaxed: as in `announce`.
        if let Some(begun) = self.batch.get(place) {
            begun.store(hint, Ordering::Relaxed);
        }
    }

    /// The batch is done with.
    #[inline]
    pub fn announce_nothing(&self) {
        // Relaxed: stale hints are harmless.
        self.status.batch_len.store(0, Ordering::Relaxed);
    }

    /// How many hints are announced; never more than [`BATCH_MAX`].
    #[inline]
    fn announced_count(&self) -> usize {
        // Relaxed: a hint about hints.
        (self.status.batch_len.load(Ordering::Relaxed) as usize).min(BATCH_MAX)
    }

    /// The hints announced now, last first: a thief starts where the owner ends.
    pub fn announced(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.announced_count();
        // Relaxed: as above.
        (0..count)
            .rev()
            .map(|i| self.batch[i].load(Ordering::Relaxed))
    }

    /// Every hint that may ever have been announced; for the rescuer, who does not
    /// trust the count.
    pub fn announced_ever(&self) -> impl Iterator<Item = u64> + '_ {
        // Relaxed: the writer is dead.
        self.batch.iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// As before its first incarnation, counters kept.
    pub fn reset(&self) {
        // Relaxed: the executor is dead; the next handshake publishes it.
        self.announce(&[0; BATCH_MAX]);
        self.announce_nothing();
        self.status.online.store(0, Ordering::Relaxed);
        self.status.grain_ns.store(0, Ordering::Relaxed);
        self.status.keeper.store(0, Ordering::Relaxed);
        self.doing.top.store(0, Ordering::Relaxed);
        self.doing.waits.clear();
        self.last_words.clear();
    }
}

/// A short text that survives its writer.
#[derive(Debug)]
#[repr(C)]
pub struct LastWords {
    len: AtomicU64,
    /// The hint of the task that said it; 0: no task's.
    about: AtomicU64,
    text: [AtomicU64; TEXT_WORDS],
}

// SAFETY: atomics only, repr(C), no padding.
unsafe impl ShmSafe for LastWords {}

impl LastWords {
    /// Leaves `text` of the task of hint `about` (0: of none), cut to 368 bytes.
    pub fn write(&self, about: u64, text: &str) {
        // Relaxed: a death in between leaves no words; the length publishes them.
        self.len.store(0, Ordering::Relaxed);
        self.about.store(about, Ordering::Relaxed);
        let mut end = text.len().min(TEXT_WORDS * 8);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        for (to, from) in self.text.iter().zip(text.as_bytes()[..end].chunks(8)) {
            let mut word = [0; 8];
            word[..from.len()].copy_from_slice(from);
            // Relaxed: the length publishes it.
            to.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        // ordering: Release pairs with the Acquire in `read`.
        self.len.store(end as u64, Ordering::Release);
    }

    /// What was left, if anything.
    pub fn read(&self) -> Option<String> {
        // ordering: Acquire pairs with the Release in `write`.
        let len = self.len.load(Ordering::Acquire) as usize;
        if len == 0 || len > TEXT_WORDS * 8 {
            return None;
        }
        let mut bytes = Vec::with_capacity(TEXT_WORDS * 8);
        for word in &self.text {
            // Relaxed: read after the length.
            bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        Some(String::from_utf8_lossy(&bytes[..len]).into_owned())
    }

    /// The same, unless it was said by a task that is none of these: one may have caught its
    /// panic and gone on.
    pub fn read_of(&self, tasks: &[u64]) -> Option<String> {
        let text = self.read()?;
        // Relaxed: read after the length.
        let about = self.about.load(Ordering::Relaxed);
        (about == 0 || tasks.contains(&about)).then_some(text)
    }

    /// Nothing was said.
    pub fn clear(&self) {
        // Relaxed: only its one writer reads it back.
        self.len.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ExecutorRecord {
        // SAFETY: all zero bytes are valid: it lies in fresh shared memory so.
        unsafe { std::mem::zeroed() }
    }

    /// The owner died between the hints and their count, or the count was spoilt: the
    /// rescuer reads every place, and nobody reads beyond the last.
    #[test]
    fn a_count_that_lies_hides_no_announcement() {
        for lie in [0, 1, 33, 1 << 40, u64::MAX] {
            let record = record();
            record.announce(&[5, 6, 7]);
            record.status.batch_len.store(lie, Ordering::Relaxed);
            let ever: Vec<u64> = record.announced_ever().collect();
            assert_eq!((ever.len(), &ever[..3]), (BATCH_MAX, &[5, 6, 7][..]));
            let now = record.announced().count();
            assert_eq!(now as u64, lie.min(BATCH_MAX as u64));
        }
    }

    /// A batch overwritten by a shorter one, as far as its owner came: the old hints
    /// behind it are still told, and are stale; those that were overwritten had all
    /// been begun.
    #[test]
    fn an_announcement_half_overwritten_tells_both() {
        let (old, new) = ([1, 2, 3, 4], [8, 9]);
        for written in 0..=new.len() {
            let record = record();
            record.announce(&old);
            for (to, from) in record.batch.iter().zip(&new[..written]) {
                to.store(*from, Ordering::Relaxed);
            }
            let ever: Vec<u64> = record.announced_ever().take(4).collect();
            assert_eq!(ever[..written], new[..written]);
            assert_eq!(ever[written..], old[written..]);
            record.reset();
            assert!(record.announced_ever().all(|hint| hint == 0));
            record.reset();
            assert_eq!(record.announced().count(), 0, "twice is once");
        }
    }

    /// What is announced between two tasks of a batch hides none that is to come.
    #[test]
    fn an_announcement_in_between_leaves_the_rest_alone() {
        let record = record();
        record.announce(&[1, 2, 3]);
        record.announce_instead(0, 8);
        record.announce_instead(0, 9);
        assert!(record.announced().eq([3, 2, 9]));
        record.announce_instead(BATCH_MAX, 7);
        assert!(record.announced_ever().all(|hint| hint != 7));
    }

    /// A reset that its author's death interrupts is done again; counters go on.
    #[test]
    fn reset_keeps_what_is_counted() {
        let record = record();
        record.announce(&[3; BATCH_MAX]);
        record.status.run.store(17, Ordering::Relaxed);
        record.status.online.store(1, Ordering::Relaxed);
        record.last_words.write(0, "bye");
        record.reset();
        assert_eq!(record.status.run.load(Ordering::Relaxed), 17);
        assert_eq!(record.status.online.load(Ordering::Relaxed), 0);
        assert_eq!(record.last_words.read(), None);
    }

    #[test]
    fn last_words_are_cut_at_a_character() {
        // SAFETY: all zero bytes are valid.
        let words: LastWords = unsafe { std::mem::zeroed() };
        assert_eq!(words.read(), None);
        words.write(0, "done");
        assert_eq!(words.read().as_deref(), Some("done"));
        words.write(0, &"é".repeat(300));
        assert_eq!(words.read(), Some("é".repeat(184)));
        words.write(0, &format!("x{}", "é".repeat(300)));
        assert_eq!(words.read(), Some(format!("x{}", "é".repeat(183))));
        words.write(7, "of one");
        assert_eq!(words.read_of(&[7, 8]).as_deref(), Some("of one"));
        assert_eq!(words.read_of(&[6, 8]), None);
    }
}
