//! What executors have finished, as they say themselves.

use crate::layout::Fold;
use crate::prim::Hint;
use crate::ring::{Damaged, spsc};

use crate::scheduler::slots::table::Slots;

/// Who waits for one of many, or submits, collects so many of each executor's at a time.
pub(in crate::scheduler) const PORTION: u64 = 256;
/// While tasks wait for others, whoever submits so many tasks collects once.
const MEANWHILE: u64 = 128;

/// The completion rings of all executors.
#[derive(Debug)]
pub struct Completions {
    rings: Vec<spsc::Consumer>,
    /// Per executor: how often it had said that its ring had no room.
    overflows_seen: Vec<u64>,
    /// Memory for what is read; empty in between.
    due: Vec<u32>,
    /// How many tasks had been submitted when one who submits last collected.
    reaped_at: u64,
}

/// What was read from one ring.
pub struct Read {
    /// Slots whose completion was read and not yet followed.
    pub due: Vec<u32>,
    /// So many hints did not hold any more.
    pub stale: u64,
    /// What no executor writes.
    pub damaged: Option<Damaged>,
}

impl Completions {
    /// Those of a fresh fold, as far as so many executors go.
    pub fn new(fold: &Fold, executors: usize) -> Self {
        Completions {
            rings: (0..executors)
                .map(|e| spsc::Consumer::attach(fold.completions(e)))
                .collect(),
            overflows_seen: vec![0; executors],
            due: Vec::new(),
            reaped_at: 0,
        }
    }

    /// How many rings there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.rings.len()
    }

    /// Whether an executor has finished anything that was not read.
    #[inline]
    pub fn has_more(&self, executor: usize) -> bool {
        self.rings[executor].has_more()
    }

    /// Takes note of how often an executor's ring had no room; whether that has changed.
    #[inline]
    pub fn note_overflows(&mut self, executor: usize, now: u64) -> bool {
        now != std::mem::replace(&mut self.overflows_seen[executor], now)
    }

    /// Reads not more than `most` hints of an executor's ring, which makes room there. Their
    /// memory is to be [given back](Completions::give_back).
    #[inline]
    pub fn read(&mut self, executor: usize, most: u64, slots: &Slots) -> Read {
        let mut due = std::mem::take(&mut self.due);
        let mut stale = 0;
        let read = self.rings[executor].read(most, |word| {
            let hint = Hint::unpack(word);
            if slots.is_live(hint) {
                due.push(hint.slot.0);
            } else {
                stale += 1;
            }
        });
        Read {
            due,
            stale,
            damaged: read.err(),
        }
    }

    /// The memory of what was read is used again.
    #[inline]
    pub fn give_back(&mut self, mut due: Vec<u32>) {
        due.clear();
        self.due = due;
    }

    /// Whether it is time that who submits collects as well; the next time is counted from now.
    #[inline]
    pub fn take_turn(&mut self, submitted: u64) -> bool {
        let is_time = submitted.wrapping_sub(self.reaped_at) >= MEANWHILE;
        if is_time {
            self.reaped_at = submitted;
        }
        is_time
    }

    /// What no executor writes, if there is any.
    pub fn damage(&self) -> Option<String> {
        self.rings.iter().enumerate().find_map(|(executor, ring)| {
            let damaged = ring.check().err()?;
            Some(format!("the completions of executor {executor}: {damaged}"))
        })
    }
}
