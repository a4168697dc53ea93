//! Beside each slot: what host and task tell one another while the task runs. Untouched,
//! and without memory, for tasks that have nothing to tell.
//!
//! ```text
//!   0       8          16     24         32         40                      128
//!   +-------+----------+------+----------+----------+-----------------------+
//!   | asked | deadline | root | progress | fraction | message: 88 bytes     |
//!   |       | parent   |      |          |          |                       |
//!   +-------+----------+------+----------+----------+-----------------------+
//!
//!   asked      47 … 8 generation          7 … 0  flags          by the host; of a spawned task,
//!              by who spawns it, and by who cancels it (its parent, or whoever is above)
//!   deadline   ns of the monotonic clock                        by the host
//!   parent     of a spawned task, which has no deadline of its own: hint of the task
//!              that has spawned it
//!   root       hint of the host's task that a spawned one is part of
//!   progress   63 … 24 generation   23 … 8 count, odd while it is written
//!              7 … 0 bytes of the message                       by the task
//! ```

use crate::prim::atomic::{AtomicU64, Ordering, fence};
use crate::prim::{Generation, Hint};
use crate::shm::ShmSafe;

const MESSAGE_WORDS: usize = 11;
/// The longest message.
pub const MESSAGE_MAX: usize = 8 * MESSAGE_WORDS;

/// Flags of `asked`.
const CANCEL: u64 = 1;
const DEADLINE: u64 = 2;
const LISTENING: u64 = 4;
const RUN_LIMIT: u64 = 8;
const KIN: u64 = 16;

/// How often a reader tries again that meets a writer.
const TRIES: usize = 64;

/// One for each slot.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Note {
    asked: AtomicU64,
    /// Of a spawned task: its parent.
    deadline: AtomicU64,
    root: AtomicU64,
    progress: AtomicU64,
    fraction: AtomicU64,
    message: [AtomicU64; MESSAGE_WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Note>() == 128);

// SAFETY: atomics only, repr(C), no padding (16 words of 8 bytes).
unsafe impl ShmSafe for Note {}

/// What a task has last said of its progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// How often it has said something, modulo 2^15.
    pub count: u16,
    /// As it was given.
    pub fraction: f64,
    /// The message.
    pub message: String,
}

impl Note {
    fn ask(&self, generation: Generation, flag: u64) {
        // Relaxed: only the host writes it, under its lock; but of a spawned task who spawns it,
        // before it is queued, and after that `cancel` alone: all who write it write the same.
        let old = self.asked.load(Ordering::Relaxed);
        let same = old >> 8 == generation.raw();
        let flags = if same { old & 0xff } else { 0 };
        // ordering: Release pairs with the Acquire in `is_asked`: the deadline was
        // written before.
        let asked = generation.raw() << 8 | flags | flag;
        self.asked.store(asked, Ordering::Release);
    }

    fn is_asked(&self, generation: Generation, flag: u64) -> bool {
        // ordering: Acquire pairs with the Release in `ask`.
        let asked = self.asked.load(Ordering::Acquire);
        asked >> 8 == generation.raw() && asked & flag != 0
    }

    /// The task is to end: by the host; of a spawned one, also by who spawns or cancels it.
    pub fn cancel(&self, generation: Generation) {
        self.ask(generation, CANCEL);
    }

    /// Whether the task is to end.
    pub fn is_cancelled(&self, generation: Generation) -> bool {
        self.is_asked(generation, CANCEL)
    }

    /// What the task was told of its last attempt's end is not about the next one: by the
    /// host, which has ended the last one.
    pub fn forget_cancel(&self, generation: Generation) {
        // Relaxed: as in `ask`.
        let old = self.asked.load(Ordering::Relaxed);
        if old >> 8 == generation.raw() {
            // ordering: Release as in `ask`.
            self.asked.store(old & !CANCEL, Ordering::Release);
        }
    }

    /// The task has a limit on its running time, which lies in its slot's measures: by the
    /// host, before the task is queued.
    pub fn set_run_limit(&self, generation: Generation) {
        self.ask(generation, RUN_LIMIT);
    }

    /// Whether it has one.
    pub fn has_run_limit(&self, generation: Generation) -> bool {
        self.is_asked(generation, RUN_LIMIT)
    }

    /// When the task should have ended, in ns of the monotonic clock: by the host, before
    /// the task is queued.
    pub fn set_deadline(&self, generation: Generation, at: u64) {
        // Relaxed: `ask` publishes it.
        self.deadline.store(at, Ordering::Relaxed);
        self.ask(generation, DEADLINE);
    }

    /// When the task should have ended.
    pub fn deadline(&self, generation: Generation) -> Option<u64> {
        // Relaxed: `is_asked` has acquired it.
        self.is_asked(generation, DEADLINE)
            .then(|| self.deadline.load(Ordering::Relaxed))
    }

    /// The task is to end only when what it has detached has ended, and so is whatever is below
    /// it: by the host, or who spawns it, before it is queued.
    pub fn await_kin(&self, generation: Generation) {
        self.ask(generation, KIN);
    }

    /// Whether it is.
    pub fn awaits_kin(&self, generation: Generation) -> bool {
        self.is_asked(generation, KIN)
    }

    /// Somebody in the host wants to be woken when there is progress.
    pub fn listen(&self, generation: Generation) {
        self.ask(generation, LISTENING);
    }

    /// Whether somebody wants to be woken.
    pub fn is_listening(&self, generation: Generation) -> bool {
        self.is_asked(generation, LISTENING)
    }

    /// The host's task that this one is part of, and the one that spawns it: by who spawns
    /// it, before it is queued.
    #[inline]
    pub fn set_kin(&self, root: u64, parent: u64) {
        // Relaxed: queueing the slot publishes both.
        self.root.store(root, Ordering::Relaxed);
        self.deadline.store(parent, Ordering::Relaxed);
    }

    /// The task that has spawned this one; not checked.
    pub fn parent(&self) -> Hint {
        // Relaxed: who has read the slot's word has acquired it.
        Hint::unpack(self.deadline.load(Ordering::Relaxed))
    }

    /// The host's task that this one is part of; not checked.
    #[inline]
    pub fn root(&self) -> Hint {
        Hint::unpack(self.root_word())
    }

    /// The same, as it was set.
    #[inline]
    pub fn root_word(&self) -> u64 {
        // Relaxed: claiming the slot has acquired it.
        self.root.load(Ordering::Relaxed)
    }

    /// The task says how far it is. Of a longer message only the beginning is kept.
    pub fn report(&self, generation: Generation, fraction: f64, message: &str) {
        let mut end = message.len().min(MESSAGE_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let bytes = &message.as_bytes()[..end];
        // Relaxed: the task is the only writer.
        let old = self.progress.load(Ordering::Relaxed);
        let same = old >> 24 == generation.raw();
        let count = if same { old >> 8 & 0xfffe } else { 0 };
        let head = |count: u64| generation.raw() << 24 | (count & 0xffff) << 8 | end as u64;
        self.progress.store(head(count + 1), Ordering::Relaxed);
        // ordering: Release fence pairs with the Acquire fence in `reported`: who sees
        // any of what follows sees that it is being written.
        fence(Ordering::Release);
        self.fraction.store(fraction.to_bits(), Ordering::Relaxed);
        for (word, chunk) in self.message.iter().zip(bytes.chunks(8)) {
            let mut raw = [0; 8];
            raw[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(raw), Ordering::Relaxed);
        }
        // ordering: Release pairs with the Acquire in `reported`.
        self.progress.store(head(count + 2), Ordering::Release);
    }

    /// How far the task has last said it is; `None` if it has not, or is saying so.
    pub fn reported(&self, generation: Generation) -> Option<Reported> {
        for _ in 0..TRIES {
            // ordering: Acquire pairs with the last Release of `report`.
            let before = self.progress.load(Ordering::Acquire);
            if before >> 24 != generation.raw() {
                return None;
            }
            let count = before >> 8 & 0xffff;
            if count % 2 == 1 {
                core::hint::spin_loop();
                continue;
            }
            // Relaxed: the fence and the second look below tell whether they fit.
            let fraction = f64::from_bits(self.fraction.load(Ordering::Relaxed));
            let mut bytes = [0; MESSAGE_MAX];
            for (chunk, word) in bytes.chunks_mut(8).zip(&self.message) {
                chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
            // ordering: Acquire fence pairs with the Release fence in `report`.
            fence(Ordering::Acquire);
            if self.progress.load(Ordering::Relaxed) == before {
                let len = (before as usize & 0xff).min(MESSAGE_MAX);
                return Some(Reported {
                    count: (count / 2) as u16,
                    fraction,
                    message: String::from_utf8_lossy(&bytes[..len]).into_owned(),
                });
            }
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const NOW: Generation = Generation::new(7);

    #[test]
    fn what_is_asked_is_of_one_generation() {
        let note = Note::default();
        assert!(!note.is_cancelled(NOW));
        note.set_deadline(NOW, 123);
        note.cancel(NOW);
        assert!(note.is_cancelled(NOW) && !note.is_listening(NOW));
        assert_eq!(note.deadline(NOW), Some(123));
        assert!(!note.is_cancelled(NOW.next()));
        note.set_run_limit(NOW);
        note.forget_cancel(NOW.next());
        assert!(note.is_cancelled(NOW) && note.has_run_limit(NOW));
        note.forget_cancel(NOW);
        assert!(!note.is_cancelled(NOW) && note.has_run_limit(NOW));
        note.cancel(NOW);
        note.listen(NOW.next());
        assert!(!note.is_cancelled(NOW) && !note.is_cancelled(NOW.next()));
        assert_eq!(note.deadline(NOW.next()), None);
    }

    #[test]
    fn progress_is_of_one_generation_too() {
        let note = Note::default();
        assert_eq!(note.reported(NOW), None);
        note.report(NOW, 0.25, "a quarter");
        let told = note.reported(NOW).expect("told");
        assert_eq!((told.count, told.fraction), (1, 0.25));
        assert_eq!(told.message, "a quarter");
        assert_eq!(note.reported(NOW.next()), None);
        // A message that is cut is cut between characters.
        note.report(NOW, 0.5, &"ä".repeat(60));
        assert_eq!(note.reported(NOW).expect("told").message, "ä".repeat(44));
        note.report(NOW.next(), 1.0, "");
        assert_eq!(note.reported(NOW.next()).expect("told").count, 1);
    }

    /// The task dies in the middle of saying something, or a wild one writes anything.
    #[test]
    fn half_a_report_is_none() {
        let note = Note::default();
        note.report(NOW, 0.25, "a quarter");
        // Relaxed: one thread.
        note.progress
            .store(NOW.raw() << 24 | 3 << 8 | 255, Ordering::Relaxed);
        assert_eq!(note.reported(NOW), None);
        note.progress
            .store(NOW.raw() << 24 | 4 << 8 | 255, Ordering::Relaxed);
        note.message[0].store(u64::MAX, Ordering::Relaxed);
        assert!(
            note.reported(NOW)
                .is_some_and(|told| told.message.len() >= MESSAGE_MAX)
        );
    }
}
