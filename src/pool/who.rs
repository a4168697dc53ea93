//! Who has an end of a lane, and what the threads of a process do: to be shown, never believed.

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::prim::ProcessId;

use super::{BlockState, End, LaneBlock, Pool};

/// What a thread does: its task, as a word, and what it waits for: a number of what, of which block,
/// since when.
pub type Doing = (u64, [u64; 3]);

/// How it is found out what threads do.
pub(super) struct Observe(Box<dyn Fn(ProcessId) -> Vec<Doing> + Send + Sync>);

// Panics leave nothing half done in what it only reads.
impl UnwindSafe for Observe {}
impl RefUnwindSafe for Observe {}

impl Debug for Observe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observe").finish_non_exhaustive()
    }
}

impl Pool {
    /// Which processes have this end of a lane, and whether one is on its way: in a message, in
    /// arguments or a result. It looks at all blocks.
    pub fn who_has(&self, lane: LaneBlock, end: End) -> (Vec<ProcessId>, bool) {
        let pool = &self.0;
        let (mut processes, mut is_on_its_way) = (Vec::new(), false);
        pool.each_block(|index| {
            let word = pool.load(index);
            if word.state != BlockState::Shared as u8 || !pool.is_token(index) {
                return;
            }
            if self.end_in(index) == Some((lane, end)) {
                let (numbers, in_transit) = pool.holder_numbers(index);
                processes.extend(numbers.into_iter().map(ProcessId));
                is_on_its_way |= in_transit;
            }
        });
        processes.sort_unstable_by_key(|process| process.0);
        processes.dedup();
        (processes, is_on_its_way)
    }

    /// How it is found out what the threads of a process do: for each, its task and what it waits
    /// for, as its record says.
    pub fn observe_by(&self, observe: impl Fn(ProcessId) -> Vec<Doing> + Send + Sync + 'static) {
        let _ = self.0.observe.set(Observe(Box::new(observe)));
    }

    /// What the threads of a process do.
    pub fn observe(&self, process: ProcessId) -> Vec<Doing> {
        self.0
            .observe
            .get()
            .map_or_else(Vec::new, |it| it.0(process))
    }
}
