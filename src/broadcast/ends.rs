//! One process's side of publishers and subscribers, of any type.

use std::sync::Arc;

use crate::channel::{Overflow, SendFault};
use crate::feed::{Damaged, Feed, Found, Next, NotNow, Place, Seat, Shape};
use crate::object::{Keeps, Patience, open_all_soon, wait};
use crate::pool::{AllocError, End, LaneBlock, LaneEnds, LaneKind, Parcel, Pool, Token};
use crate::sys::barrier;

use super::error::{RecvError, SubscribeError};
use super::message::{self, Packed, Received};
use super::recover::{Feeds, Subscription, Subscriptions, WORDS, attach};

fn pack(overflow: Overflow) -> u64 {
    match overflow {
        Overflow::Block => 0,
        Overflow::Reject => 1,
        Overflow::DropOldest => 2,
    }
}

fn unpack(packed: u64) -> Overflow {
    match packed {
        1 => Overflow::Reject,
        2 => Overflow::DropOldest,
        _ => Overflow::Block,
    }
}

/// A feed, as a process sees it that keeps it.
#[derive(Debug)]
pub struct Side {
    pool: Pool,
    block: LaneBlock,
    feed: Feed,
    ends: LaneEnds,
    overflow: Overflow,
}

/// What a publisher is.
#[derive(Debug)]
pub struct Source {
    side: Side,
    token: Token,
    /// What subscriptions keep.
    keeper: Arc<Token>,
    /// The same.
    keeps: Keeps,
}

/// Of more subscribers than that who sends does not wake those that sleep itself.
const FEW: usize = 2;

/// What a subscriber is.
#[derive(Debug)]
pub struct Seated {
    side: Side,
    subscription: Subscription,
    token: Token,
}

impl Side {
    fn of(pool: &Pool, block: LaneBlock, feed: Feed) -> Option<Self> {
        Some(Side {
            pool: pool.clone(),
            block,
            ends: pool.lane_ends(block)?,
            overflow: unpack(feed.kind()),
            feed,
        })
    }

    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    fn let_go(&self, place: Place) {
        message::let_go(&self.feed, place, &self.pool);
    }

    fn report<E>(&self, what: Damaged, error: E) -> E {
        self.pool.report_lane(self.block, &what);
        error
    }

    /// Nothing more is sent: those that wait see it.
    pub fn close(&self) {
        if !self.pool.is_here() {
            return;
        }
        self.ends.close();
        barrier::light();
        self.feed.for_message().open_all();
        self.feed.for_room().open_all();
    }

    /// One more subscription, which keeps the feed by the passage that `keep` makes.
    fn subscribe(&self, keep: impl FnOnce() -> Option<Parcel>) -> Result<Token, SubscribeError> {
        let (pool, feed) = (&self.pool, &self.feed);
        if !pool.is_here() {
            return Err(SubscribeError::Forked);
        }
        if pool.is_over() {
            return Err(SubscribeError::Gone);
        }
        let most = feed.seats();
        let seat = feed.join().ok_or(SubscribeError::TooMany { most })?;
        let given_up = |error| {
            feed.give_up(seat);
            error
        };
        let keeper = keep().ok_or_else(|| given_up(pool.exhausted(WORDS * 8)));
        let keeper = keeper?;
        let subscription = Subscription {
            seat,
            keeper,
            feed: self.block,
        };
        let made = pool.make_lane_of_one(&Subscriptions, WORDS, |segment, offset| {
            subscription.write(segment, offset);
        });
        match made {
            Ok(token) => {
                // From here on the seat goes with the token.
                let started = feed.start(seat, &|place| self.let_go(place));
                if started.map_err(|what| self.report(what, SubscribeError::Gone))? {
                    barrier::light();
                    feed.for_room().open_one();
                }
                Ok(token)
            }
            Err(error) => {
                pool.end_passing(&keeper);
                Err(given_up(error).into())
            }
        }
    }
}

impl Source {
    /// Makes a feed.
    pub fn make(pool: &Pool, shape: Shape, overflow: Overflow) -> Result<Self, AllocError> {
        let Some(words) = Feed::words_for(shape) else {
            return Err(AllocError::TooLarge {
                requested: usize::MAX,
                capacity: pool.capacity(),
            });
        };
        let [token, keeper] = pool.make_lane(&Feeds, words, |segment, offset| {
            let _ = Feed::create(segment, offset, pool.process(), shape, pack(overflow));
        })?;
        Self::of(token, keeper).ok_or(pool.exhausted(words * 8))
    }

    /// What the tokens stand for; `None` if they do not stand for the two ends of a feed.
    pub fn of(token: Token, keeper: Token) -> Option<Self> {
        let pool = token.pool().clone();
        let block = token.lane()?;
        let is_well = pool.lane_number(block)? == Feeds.number()
            && keeper.lane()? == block
            && (token.end()?, keeper.end()?) == (End::Sender, End::Receiver);
        let feed = is_well.then(|| attach(&pool, block))??;
        let keeper = Arc::new(keeper);
        Some(Source {
            side: Side::of(&pool, block, feed)?,
            token,
            keeps: Arc::clone(&keeper) as Keeps,
            keeper,
        })
    }

    pub fn side(&self) -> &Side {
        &self.side
    }

    pub fn pool(&self) -> &Pool {
        &self.side.pool
    }

    pub fn tokens(&self) -> (&Token, &Token) {
        (&self.token, &self.keeper)
    }

    pub fn subscribe(&self) -> Result<Seated, SubscribeError> {
        let token = self.side.subscribe(|| self.keeper.pass_held())?;
        Seated::of(token).ok_or(SubscribeError::Gone)
    }

    /// Why nothing can be sent, whether there is room or not.
    pub fn fault(&self) -> Option<SendFault> {
        let side = &self.side;
        if !side.pool.is_here() {
            return Some(SendFault::Forked);
        }
        if side.pool.is_over() {
            return Some(SendFault::Gone);
        }
        // The other end is there as long as there is this publisher.
        let is_closed = side.ends.is_closed_or_gone(End::Receiver);
        is_closed.then_some(SendFault::Disconnected)
    }

    /// Sends what was packed. If it cannot be it is dropped.
    pub fn send(&self, packed: Packed<'_>, patience: Patience) -> Result<(), SendFault> {
        let side = &self.side;
        let feed = &side.feed;
        let overwrites = side.overflow == Overflow::DropOldest;
        let look = || match feed.claim(overwrites, &|place| side.let_go(place)) {
            Ok(mine) => Ok(Some(mine)),
            Err(NotNow::Damaged(what)) => Err(side.report(what, SendFault::Gone)),
            Err(NotNow::Wait) if side.overflow == Overflow::Reject => Err(SendFault::Full),
            Err(NotNow::Wait | NotNow::Soon) => self.fault().map_or(Ok(None), Err),
        };
        let mine = wait(feed.for_room(), patience, look, SendFault::from)?;
        packed.write(feed, &mine);
        feed.fill(mine);
        self.tell_message();
        // There may be more room, or who waits for it may have seen that we were writing.
        feed.for_room().open_one();
        Ok(())
    }
}

impl Source {
    fn tell_message(&self) {
        let feed = &self.side.feed;
        barrier::light();
        if !feed.for_message().is_awaited() {
            return;
        }
        if feed.subscribers() > FEW {
            open_all_soon(feed.message_gate(), &self.keeps);
        } else {
            feed.for_message().open_all();
        }
    }
}

impl Seated {
    /// What the token stands for; `None` if it does not stand for a subscription.
    pub fn of(token: Token) -> Option<Self> {
        let pool = token.pool().clone();
        let subscription = Subscription::of(&pool, token.lane()?)?;
        let feed = subscription.attach(&pool)?;
        Some(Seated {
            side: Side::of(&pool, subscription.feed, feed)?,
            subscription,
            token,
        })
    }

    pub fn side(&self) -> &Side {
        &self.side
    }

    pub fn token(&self) -> &Token {
        &self.token
    }

    pub fn seat(&self) -> Seat {
        self.subscription.seat
    }

    pub fn subscribe(&self) -> Result<Self, SubscribeError> {
        let pool = &self.side.pool;
        let token = self.side.subscribe(|| {
            let kept = pool.hold_passing(&self.subscription.keeper)?;
            kept.pass_held(pool)
        })?;
        Seated::of(token).ok_or(SubscribeError::Gone)
    }

    /// Whether [`receive`](Self::receive) has something to say without waiting.
    pub fn has_next(&self) -> bool {
        let Side {
            pool,
            block,
            feed,
            ends,
            ..
        } = &self.side;
        feed.has_next(self.seat())
            || ends.is_closed_or_gone(End::Sender)
            || pool.is_over()
            || !pool.is_here()
            || pool.is_its_own_end(*block, End::Sender)
    }

    /// The next message.
    pub fn receive(&self, patience: Patience) -> Result<Received, RecvError> {
        if !self.side.pool.is_here() {
            return Err(RecvError::Forked);
        }
        let look = || self.try_receive();
        wait(
            self.side.feed.for_message(),
            patience,
            look,
            RecvError::from,
        )
    }

    fn try_receive(&self) -> Result<Option<Received>, RecvError> {
        let Side {
            pool,
            block,
            feed,
            ends,
            ..
        } = &self.side;
        loop {
            // In this order: what was sent before it was over is received.
            let is_over =
                ends.is_closed_or_gone(End::Sender) || pool.is_its_own_end(*block, End::Sender);
            match feed.next(self.seat()) {
                Ok(Next::Message(found)) => {
                    if let Some(received) = self.take(found)? {
                        return Ok(Some(received));
                    }
                }
                Ok(Next::Lagged(count)) => return Err(RecvError::Lagged(count)),
                Err(NotNow::Damaged(what)) => return Err(self.side.report(what, RecvError::Gone)),
                Err(_) if pool.is_over() => return Err(RecvError::Gone),
                Err(NotNow::Wait) if is_over => return Err(RecvError::Disconnected),
                Err(NotNow::Wait | NotNow::Soon) => return Ok(None),
            }
        }
    }

    /// `None` if it was overwritten meanwhile, or taken by another that has this subscription.
    fn take(&self, found: Found) -> Result<Option<Received>, RecvError> {
        let Side { pool, feed, .. } = &self.side;
        let held = message::hold(feed, found.place(), pool);
        if !feed.take(self.seat(), found) {
            return Ok(None);
        }
        let keeps = held.as_ref().is_none_or(|held| held.keeps);
        // Of what keeps no memory room is made by who needs it.
        let has_more = feed.taken(found, keeps, &|place| self.side.let_go(place));
        if has_more {
            barrier::light();
            feed.for_room().open_one();
        }
        match held {
            Some(received) => Ok(Some(received)),
            None => {
                pool.report_lane(self.side.block, &"a message that nobody has sent");
                Err(RecvError::Gone)
            }
        }
    }
}
