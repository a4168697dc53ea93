//! Shared objects (channels, locks, groups): used by several processes of a fold at once, and freed with the
//! last user.
//!
//! A shared object is a lane of the pool (`src/pool/token.rs`): words that every process with a token of it
//! may write. A number in its head says its kind, and the kind's [`LaneKind`] says what to do when an end
//! goes, a process dies or the runtime ends. This module calls it for all objects, and has what they share:
//! how a thread waits ([`wait`]).
//!
//! | event | who handles it | how |
//! | --- | --- | --- |
//! | the last token of an end is given back | the process that gives it back; the recovery if that process dies meanwhile | [`LaneKind::gone`] |
//! | the last tokens of both ends are given back | the process that gives the second one back | [`LaneKind::close`], then the block is freed |
//! | a process dies | the host, before the successor starts | [`LaneKind::recover`] of each lane; then the pool's recovery, which gives back the tokens of the dead; then [`LaneKind::settle`] of each |
//! | the runtime ends | the host | [`LaneKind::force`] of each |

#[cfg(any(not(loom), test))]
mod opener;
mod stuck;
mod waiting;
mod watch;

use std::collections::HashSet;

use crate::pool::{LaneBlock, LaneKind, LaneKinds, Passage, Pool};
use crate::prim::ProcessId;

#[cfg(not(loom))]
pub use opener::{Keeps, open_all_soon};
pub use stuck::{Wait, What, set_stuck_after, show_here, shown, who_has};
pub use waiting::{Around, GaveUp, Patience, WaitAtAny, set_around, task_here, wait, wait_for};
pub use watch::Waits;

/// Ends all threads of this process that look after objects: nobody waits any more. To be called where
/// they would be in the way.
#[cfg(not(loom))]
pub fn end_threads() {
    watch::end_watchers();
    opener::end_opener();
}

/// To be called by each process for its side of the pool, before it has any object. `around` is
/// what the process has to do with the waits of its threads.
pub fn install(pool: &Pool, kinds: LaneKinds, around: &'static dyn Around) {
    pool.set_lane_kinds(kinds);
    set_around(around);
}

fn each(pool: &Pool, mut each: impl FnMut(&dyn LaneKind, LaneBlock)) {
    let kinds = pool.lane_kinds();
    for lane in pool.lanes() {
        if let Some(kind) = pool.lane_kind(lane, kinds) {
            each(kind, lane);
        }
    }
}

/// Moves on what process `dead` had begun in any object. Returns the passages that messages of
/// the living name.
pub fn recover(pool: &Pool, dead: ProcessId) -> HashSet<Passage> {
    let mut named = HashSet::new();
    each(pool, |kind, lane| {
        kind.recover(pool, lane, dead, &mut named)
    });
    named
}

/// After the pool's own recovery: wakes whoever the dead should have woken, and frees objects that
/// only the dead had.
pub fn settle(pool: &Pool, dead: ProcessId) {
    each(pool, |kind, lane| {
        kind.settle(pool, lane, dead);
        pool.close_lane(lane, dead);
    });
}

/// The runtime has ended, or its memory is not believed any more: nobody waits for objects of it.
pub fn end_all(pool: &Pool) {
    pool.set_over();
    each(pool, |kind, lane| kind.force(pool, lane));
}
