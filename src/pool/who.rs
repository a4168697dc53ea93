//! Who has an end of a lane, and what the threads of a process do: to be shown, never believed.

use crate::prim::ProcessId;

use super::hook::Hook;
use super::{BlockState, Doing, End, LaneBlock, Pool};

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
        let _ = self.0.observe.set(Hook::new(Box::new(observe)));
    }

    /// What the threads of a process do.
    pub fn observe(&self, process: ProcessId) -> Vec<Doing> {
        self.0
            .observe
            .get()
            .map_or_else(Vec::new, |observe| observe(process))
    }
}
