//! The block that a channel is: found, and emptied.

use crate::lane::Lane;
use crate::pool::{LaneBlock, Pool};

use super::message;

/// The lane of a block, as this process sees it.
pub fn attach(pool: &Pool, block: LaneBlock) -> Option<Lane> {
    let (offset, words) = pool.lane_place(block)?;
    Lane::attach(pool.segment(), offset, words, pool.process())
}

/// Lets go of all messages: nobody will take them.
pub fn drain(lane: &Lane, pool: &Pool) {
    lane.drain(|mine| message::let_go(lane, mine, pool));
}

/// Lets go of all messages that were given back: nobody will take them.
pub fn drain_returned(lane: &Lane, pool: &Pool) {
    while let Some(mine) = lane.take_returned() {
        lane.acknowledge(&mine);
        message::let_go(lane, &mine, pool);
        lane.empty(mine);
    }
}
