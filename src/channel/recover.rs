//! What becomes of channels when a process dies, when an end is given back for the last time, and
//! when the runtime ends.
//!
//! | what ends | who sees to it | what is done |
//! | --- | --- | --- |
//! | the last sender | whoever gives it back; its recovery if it dies meanwhile | all that wait for messages are woken: they take what is left, then they are told |
//! | the last receiver | the same | all that wait for room are woken; messages are let go of |
//! | both | who gives the second one back | messages are let go of, the block is freed |
//! | a process | the host | its places move on; what it had passed and no message names is freed; all sleepers are woken once |
//! | the runtime | the host | all sleepers are woken, and told |
//!
//! A message that its receiver had taken, and not emptied the place of, is lost with it, and counted:
//! buffers of it may have been taken already.

use std::collections::HashSet;

use crate::lane::Lane;
use crate::pool::{End, Ends, LaneBlock, Passage, Pool};
use crate::prim::ProcessId;
use crate::sys::barrier;

use super::Kind;
use super::ends::{attach, before_waiting, drain};
use super::message;

/// To be called by each process for its side of the pool, before it has any channel.
pub fn install(pool: &Pool, before: Option<fn()>) {
    pool.when_ends_go(Ends {
        gone,
        done: |pool, block, end| {
            attach(pool, block).is_some_and(|lane| lane.set_done(end as usize))
        },
        are_done: |pool, block, end| {
            attach(pool, block).map_or((false, true), |lane| lane.are_done(end as usize))
        },
        close: |pool, block| {
            if let Some(lane) = attach(pool, block) {
                drain(&lane, pool);
            }
        },
    });
    if let Some(before) = before {
        before_waiting(before);
    }
}

fn gone(pool: &Pool, block: LaneBlock, end: End) {
    let Some(lane) = attach(pool, block) else {
        return;
    };
    lane.set_gone(end as usize);
    // Pairs with the light one of a sender whose message is whole: it sees that the receiver is
    // gone, or its message is seen here. And with those of sleepers.
    barrier::heavy();
    match end {
        End::Sender => lane.for_message().open_all(),
        End::Receiver => {
            // Who waits for its message to be taken takes it back itself.
            if !Kind::unpack(lane.kind()).is_rendezvous {
                drain(&lane, pool);
            }
            lane.for_room().open_all();
        }
    }
}

fn each_lane(pool: &Pool, mut each: impl FnMut(LaneBlock, Lane)) {
    for block in pool.lanes() {
        if let Some(lane) = attach(pool, block) {
            each(block, lane);
        }
    }
}

/// Moves on what process `dead` had begun in channels; before the pool's own recovery, which asks
/// which passages of the dead messages name: these.
pub fn recover(pool: &Pool, dead: ProcessId) -> HashSet<Passage> {
    let mut named = HashSet::new();
    each_lane(pool, |_, lane| {
        lane.recover(dead, |place| message::let_go(&lane, place, pool));
        lane.each_whole(
            |reader| reader != dead,
            |place| {
                let parcels = message::parcels(&lane, place, pool);
                named.extend(parcels.iter().filter_map(|parcel| parcel.passage()));
            },
        );
    });
    named
}

/// After the pool's own recovery: ends that only the dead had are gone. Wakes whoever the dead
/// should have woken.
pub fn settle(pool: &Pool, dead: ProcessId) {
    each_lane(pool, |block, lane| {
        // What a sender of the dead process had put there after the last receiver had looked.
        let is_rendezvous = Kind::unpack(lane.kind()).is_rendezvous;
        if lane.is_gone(End::Receiver as usize) && !is_rendezvous {
            drain(&lane, pool);
        }
        barrier::light();
        lane.for_message().force();
        lane.for_room().force();
        drop(lane);
        pool.close_lane(block, dead);
    });
}

/// The runtime has ended, or its memory is not believed any more: nobody waits for channels of it.
pub fn end_all(pool: &Pool) {
    pool.set_over();
    each_lane(pool, |_, lane| {
        lane.for_message().force();
        lane.for_room().force();
    });
}
