//! What becomes of channels when a process dies, when an end is given back for the last time, and
//! when the runtime ends.
//!
//! | what ends | what is done |
//! | --- | --- |
//! | the last sender | all that wait for messages are woken: they take what is left, then they are told |
//! | the last receiver | all that wait for room are woken; messages are let go of |
//! | both | messages are let go of, the block is freed |
//! | a process | its places move on; what it had passed and no message names is freed; all sleepers are woken once |
//! | the runtime | all sleepers are woken, and told |
//!
//! A message that its receiver had taken, and not emptied the place of, is lost with it, and counted:
//! buffers of it may have been taken already. Where messages are acknowledged it is given to another: its
//! buffers stay its own until then.

use std::collections::HashSet;

use crate::lane::Lane;
use crate::pool::{End, LaneBlock, LaneKind, Passage, Pool};
use crate::prim::ProcessId;
use crate::sys::barrier;

use super::block::{attach, drain, drain_returned};
use super::kind::Kind;
use super::message;

/// Channels, as a kind of shared objects.
#[derive(Debug)]
pub struct Channels;

impl LaneKind for Channels {
    fn number(&self) -> u64 {
        1
    }

    fn gone(&self, pool: &Pool, block: LaneBlock, end: End) {
        let Some(lane) = attach(pool, block) else {
            return;
        };
        match end {
            End::Sender => lane.for_message().open_all(),
            End::Receiver => {
                drain_returned(&lane, pool);
                // Who waits for its message to be taken takes it back itself; a router hands on.
                if !keeps_messages(&lane) {
                    drain(&lane, pool);
                }
                lane.for_room().open_all();
            }
        }
    }

    fn close(&self, pool: &Pool, block: LaneBlock) {
        // It is not attached as one that may be used: it is closing.
        if let Some(lane) = attach(pool, block) {
            drain_returned(&lane, pool);
            drain(&lane, pool);
        }
    }

    fn recover(
        &self,
        pool: &Pool,
        block: LaneBlock,
        dead: ProcessId,
        named: &mut HashSet<Passage>,
    ) {
        let Some(lane) = attach(pool, block) else {
            return;
        };
        if Kind::unpack(lane.kind()).acks {
            lane.give_back_all(dead);
        }
        lane.recover(dead, |place| message::let_go(&lane, place, pool));
        lane.each_whole(
            |reader| reader != dead,
            |place| {
                let parcels = message::parcels(&lane, place, pool);
                named.extend(parcels.iter().filter_map(|parcel| parcel.passage()));
            },
        );
    }

    fn settle(&self, pool: &Pool, block: LaneBlock, _dead: ProcessId) {
        let (Some(lane), Some(ends)) = (attach(pool, block), pool.lane_ends(block)) else {
            return;
        };
        // What a sender of the dead process had put there after the last receiver had looked.
        if ends.is_gone(End::Receiver) {
            drain_returned(&lane, pool);
            if !keeps_messages(&lane) {
                drain(&lane, pool);
            }
        }
        barrier::light();
        self.force(pool, block);
    }

    fn force(&self, pool: &Pool, block: LaneBlock) {
        if let Some(lane) = attach(pool, block) {
            lane.for_message().force();
            lane.for_room().force();
        }
    }
}

fn keeps_messages(lane: &Lane) -> bool {
    Kind::unpack(lane.kind()).keeps_messages()
}

/// How much is in a channel, and has been.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    pub len: u64,
    pub capacity: u64,
    pub sent: u64,
    pub received: u64,
}

/// Of the channel in the block with this number, if it is one.
pub fn traffic(pool: &Pool, number: u32) -> Option<Traffic> {
    let block = pool.lane_numbered(number)?;
    if pool.lane_number(block)? != Channels.number() {
        return None;
    }
    let lane = attach(pool, block)?;
    let (sent, received) = lane.numbers();
    let is_rendezvous = Kind::unpack(lane.kind()).is_rendezvous;
    let shown = |count: usize| if is_rendezvous { 0 } else { count as u64 };
    Some(Traffic {
        len: shown(lane.len()),
        capacity: shown(lane.capacity()),
        sent,
        received,
    })
}
