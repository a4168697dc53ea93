//! What becomes of broadcast channels and of subscriptions when a process dies, when one is given
//! back for the last time, and when the runtime ends.
//!
//! | what ends | what is done |
//! | --- | --- |
//! | the last publisher | all subscribers that wait are woken: they read what is left, then they are told |
//! | a subscription | its seat is free, what it alone had not read is let go of, publishers that wait are woken |
//! | the last publisher and the last subscription | messages are let go of, the block is freed |
//! | a process | its places and seats move on; what no message names is freed; all sleepers are woken once |
//! | the runtime | all sleepers are woken, and told |
//!
//! A subscription is an object of its own, with words that say which seat of which feed it has. It keeps
//! an end of the feed, as a message would: so the feed is there as long as any subscription is.

use std::collections::HashSet;

use crate::feed::{Feed, Seat};
use crate::pool::{End, LaneBlock, LaneKind, Parcel, Passage, Pool};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{Generation, ProcessId};
use crate::shm::{Segment, Views};
use crate::sys::barrier;

use super::message;

/// Broadcast channels, as a kind of shared objects.
#[derive(Debug)]
pub struct Feeds;

/// Subscriptions, as another.
#[derive(Debug)]
pub struct Subscriptions;

/// The feed of a block, as this process sees it.
pub fn attach(pool: &Pool, block: LaneBlock) -> Option<Feed> {
    let (offset, words) = pool.lane_place(block)?;
    Feed::attach(pool.segment(), offset, words, pool.process())
}

/// Looks who has read how far; wakes publishers if there is more room.
fn make_room(feed: &Feed, pool: &Pool) {
    if let Ok(tail) = feed.tail() {
        feed.advance(tail, &|place| message::let_go(feed, place, pool));
    }
    barrier::light();
    feed.for_room().open_all();
}

impl LaneKind for Feeds {
    fn number(&self) -> u64 {
        2
    }

    fn gone(&self, pool: &Pool, block: LaneBlock, end: End) {
        // The other end is what subscriptions keep, and publishers: nobody waits for that.
        if end == End::Sender
            && let Some(feed) = attach(pool, block)
        {
            feed.for_message().open_all();
        }
    }

    fn close(&self, pool: &Pool, block: LaneBlock) {
        if let Some(feed) = attach(pool, block) {
            feed.clear(&|place| message::let_go(&feed, place, pool));
        }
    }

    fn recover(
        &self,
        pool: &Pool,
        block: LaneBlock,
        dead: ProcessId,
        named: &mut HashSet<Passage>,
    ) {
        let Some(feed) = attach(pool, block) else {
            return;
        };
        feed.recover(dead, &|place| message::let_go(&feed, place, pool));
        let read = |place| message::parcels(&feed, place, pool);
        feed.each_kept(dead, read, |parcels| {
            named.extend(parcels.iter().filter_map(Parcel::passage));
        });
    }

    fn settle(&self, pool: &Pool, block: LaneBlock, _dead: ProcessId) {
        if let Some(feed) = attach(pool, block) {
            make_room(&feed, pool);
        }
        self.force(pool, block);
    }

    fn force(&self, pool: &Pool, block: LaneBlock) {
        if let Some(feed) = attach(pool, block) {
            feed.for_message().force();
            feed.for_room().force();
        }
    }
}

/// Words of a subscription: its seat, the parcel of the end that it keeps, and which feed it is of.
pub const WORDS: usize = 7;

/// What a subscription's words say. They never change.
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    pub seat: Seat,
    pub keeper: Parcel,
    pub feed: LaneBlock,
}

impl Subscription {
    /// Writes it into a new object.
    pub fn write(&self, segment: &Segment, offset: usize) {
        let words: Views<AtomicU64> = segment.views(offset, WORDS);
        let seat = [u64::from(self.seat.number), self.seat.generation.raw()];
        let all = seat
            .into_iter()
            .chain(self.keeper.pack())
            .chain(self.feed.pack());
        for (word, value) in words.iter().zip(all) {
            // Relaxed: whoever gets a token of it sees what was written before.
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Of a block; `None` if it holds none.
    pub fn of(pool: &Pool, block: LaneBlock) -> Option<Self> {
        let (offset, len) = pool.lane_place(block)?;
        if pool.lane_number(block)? != Subscriptions.number() || len < WORDS {
            return None;
        }
        let words: Views<AtomicU64> = pool.segment().views(offset, WORDS);
        // Relaxed: they never change, and came with the block.
        let word = |at: usize| words[at].load(Ordering::Relaxed);
        Some(Subscription {
            seat: Seat {
                number: u32::try_from(word(0)).ok()?,
                generation: Generation::new(word(1)),
            },
            keeper: Parcel::unpack([word(2), word(3), word(4)])?,
            feed: LaneBlock::unpack([word(5), word(6)]),
        })
    }

    /// Its feed, as long as it keeps it.
    pub fn attach(&self, pool: &Pool) -> Option<Feed> {
        if pool.lane_number(self.feed)? != Feeds.number() {
            return None;
        }
        attach(pool, self.feed).filter(|feed| (self.seat.number as usize) < feed.seats())
    }
}

impl LaneKind for Subscriptions {
    fn number(&self) -> u64 {
        3
    }

    fn gone(&self, _pool: &Pool, _block: LaneBlock, _end: End) {}

    fn close(&self, pool: &Pool, block: LaneBlock) {
        let Some(subscription) = Subscription::of(pool, block) else {
            return;
        };
        // If not, who has begun to close it has died after all this.
        if !pool.is_passing(&subscription.keeper) {
            return;
        }
        if let Some(feed) = subscription.attach(pool) {
            feed.leave(subscription.seat);
            make_room(&feed, pool);
        }
        pool.end_passing(&subscription.keeper);
    }

    fn recover(
        &self,
        pool: &Pool,
        block: LaneBlock,
        _dead: ProcessId,
        named: &mut HashSet<Passage>,
    ) {
        let subscription = Subscription::of(pool, block);
        named.extend(subscription.and_then(|of| of.keeper.passage()));
    }

    fn settle(&self, _pool: &Pool, _block: LaneBlock, _dead: ProcessId) {}

    fn force(&self, _pool: &Pool, _block: LaneBlock) {}
}
