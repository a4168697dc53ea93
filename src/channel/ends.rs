//! One process's side of an end: what senders and receivers of any type have in common.

use std::sync::Arc;

use crate::lane::{Lane, Mine, NotNow, Sent};
use crate::object::{Patience, wait};
use crate::pool::{AllocError, End, LaneBlock, LaneEnds, LaneKind, Pool, Token};
use crate::sys::barrier;

use super::error::{RecvError, SendFault};
use super::message::{self, Received};
use super::recover::Channels;
use super::{Kind, Overflow};

/// One process's side of one end of a channel.
#[derive(Debug)]
pub struct Endpoint {
    pool: Pool,
    lane: Lane,
    ends: LaneEnds,
    kind: Kind,
    end: End,
    token: Token,
}

/// A place that was claimed, and is given up if nothing comes of it.
pub struct Claimed<'a>(&'a Endpoint, Option<Mine>);

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if let Some(mine) = self.1.take() {
            self.0.lane.skip(mine);
            self.0.tell_message();
            self.0.tell_room();
        }
    }
}

impl Endpoint {
    /// Makes a channel: its two ends.
    pub fn pair(
        pool: &Pool,
        capacity: usize,
        area: usize,
        kind: Kind,
    ) -> Result<[Arc<Self>; 2], AllocError> {
        let Some(words) = Lane::words_for(capacity, area) else {
            return Err(AllocError::TooLarge {
                requested: usize::MAX,
                capacity: pool.capacity(),
            });
        };
        let tokens = pool.make_lane(&Channels, words, |segment, offset| {
            let me = pool.process();
            let _ = Lane::create(segment, offset, me, (capacity, area), kind.pack());
        })?;
        let attach = |token| Self::of(token).ok_or(pool.exhausted(words * 8));
        let [sender, receiver] = tokens;
        Ok([attach(sender)?, attach(receiver)?])
    }

    /// The side that a token stands for; `None` if it does not stand for one.
    pub fn of(token: Token) -> Option<Arc<Self>> {
        let pool = token.pool().clone();
        let block = token.lane()?;
        if pool.lane_number(block)? != Channels.number() {
            return None;
        }
        let lane = attach(&pool, block)?;
        Some(Arc::new(Endpoint {
            kind: Kind::unpack(lane.kind()),
            ends: pool.lane_ends(block)?,
            end: token.end()?,
            pool,
            lane,
            token,
        }))
    }

    pub fn token(&self) -> &Token {
        &self.token
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn other(&self) -> End {
        match self.end {
            End::Sender => End::Receiver,
            End::Receiver => End::Sender,
        }
    }

    /// Whether the channel was closed, or nobody has the other end any more, in any process or on
    /// its way.
    #[inline]
    fn is_ended(&self) -> bool {
        self.ends.is_closed_or_gone(self.other())
    }

    /// Nothing more is sent: those that wait see it.
    pub fn close(&self) {
        if !self.pool.is_here() {
            return;
        }
        self.ends.close();
        barrier::light();
        self.lane.for_message().open_all();
        self.lane.for_room().open_all();
    }

    fn tell_message(&self) {
        barrier::light();
        self.lane.for_message().open_one();
    }

    fn tell_room(&self) {
        barrier::light();
        if self.kind.is_rendezvous {
            // Who waits for its message to be taken, too.
            self.lane.for_room().open_all();
        } else {
            self.lane.for_room().open_one();
        }
    }

    /// Why nothing can be sent, whether there is room or not.
    pub fn send_fault(&self) -> Option<SendFault> {
        if !self.pool.is_here() {
            return Some(SendFault::Forked);
        }
        if self.pool.is_over() {
            return Some(SendFault::Gone);
        }
        self.is_ended().then_some(SendFault::Disconnected)
    }

    /// A place for a message.
    #[inline]
    pub fn claim(&self, patience: Patience) -> Result<Claimed<'_>, SendFault> {
        let look = || self.look_for_place();
        wait(self.lane.for_room(), patience, look, SendFault::from)
    }

    /// A place for a message, if there is room.
    #[inline]
    pub fn look_for_place(&self) -> Result<Option<Claimed<'_>>, SendFault> {
        loop {
            if let Some(claimed) = self.try_claim()? {
                return Ok(Some(claimed));
            }
            match self.kind.overflow {
                Overflow::DropOldest if self.drop_oldest() => continue,
                Overflow::Reject => return Err(SendFault::Full),
                Overflow::DropOldest | Overflow::Block => {}
            }
            return self.send_fault().map_or(Ok(None), Err);
        }
    }

    /// A place for a message, if a select may send one now: there is room, or in a channel of
    /// capacity 0 somebody waits.
    pub fn look_for_room(&self) -> Result<Option<Claimed<'_>>, SendFault> {
        if let Some(fault) = self.send_fault() {
            return Err(fault);
        }
        if self.kind.is_rendezvous && !self.lane.for_message().is_awaited() {
            return Ok(None);
        }
        loop {
            let claimed = self.try_claim()?;
            let drops_oldest = self.kind.overflow == Overflow::DropOldest;
            if claimed.is_some() || !drops_oldest || !self.drop_oldest() {
                return Ok(claimed);
            }
        }
    }

    /// The oldest message, if there is one.
    pub fn look_for_message(&self) -> Result<Option<Received>, RecvError> {
        if !self.pool.is_here() {
            return Err(RecvError::Forked);
        }
        self.try_receive()
    }

    /// Somebody waits here for a message that is handed over: a select that would send one may.
    fn tell_offer(&self) {
        // Both set their mark, pass a heavy barrier (`prepare`), and look at the other's: one of
        // them sees it. The light one is for where there is no heavy one.
        barrier::light();
        if self.lane.for_message().is_awaited() {
            self.lane.for_room().open_all();
        }
    }

    fn try_claim(&self) -> Result<Option<Claimed<'_>>, SendFault> {
        match self.lane.claim() {
            Ok(mine) => {
                // There may be more room, and nobody awake who knows. Asked in this order: the other
                // end's line is looked at only if somebody sleeps.
                let room = self.lane.for_room();
                if room.is_awaited() && self.lane.len() < self.lane.capacity() {
                    room.open_one();
                }
                Ok(Some(Claimed(self, Some(mine))))
            }
            Err(NotNow::Damaged(_)) => Err(self.damaged()),
            Err(NotNow::Wait | NotNow::Soon) => Ok(None),
        }
    }

    fn damaged<E: Gone>(&self) -> E {
        self.pool.report_lane();
        E::GONE
    }

    /// Makes room, at the cost of the oldest message; false if there is none.
    fn drop_oldest(&self) -> bool {
        let Ok((mine, _)) = self.lane.take() else {
            return false;
        };
        message::let_go(&self.lane, &mine, &self.pool);
        self.lane.count_dropped();
        self.lane.empty(mine);
        true
    }

    /// Sends what `put` writes into the place that was claimed; what it refuses it gives back.
    pub fn send_in<R>(
        &self,
        mut claimed: Claimed<'_>,
        put: impl FnOnce(&Lane, &Mine) -> Result<(), R>,
    ) -> Result<Result<Sent, R>, SendFault> {
        // The room may be that of messages that were let go of with the last receiver.
        if let Some(fault) = self.send_fault() {
            return Err(fault);
        }
        let Some(mine) = &claimed.1 else {
            return Err(SendFault::Gone);
        };
        if let Err(refused) = put(&self.lane, mine) {
            return Ok(Err(refused));
        }
        let Some(mine) = claimed.1.take() else {
            return Err(SendFault::Gone);
        };
        let sent = self.lane.fill(mine);
        self.tell_message();
        // Whoever gave the last receiver back has looked for messages before, or sees this one.
        if self.ends.is_gone(self.other()) && !self.kind.keeps_messages() {
            drain(&self.lane, &self.pool);
        }
        Ok(Ok(sent))
    }

    /// Whether the message that was put here is taken, as a wait asks.
    pub fn look_whether_taken(&self, sent: Sent) -> Result<Option<()>, SendFault> {
        if !self.lane.waits(sent) {
            return Ok(Some(()));
        }
        self.send_fault().map_or(Ok(None), Err)
    }

    /// Waits until the message that was put here is taken; what was taken back otherwise.
    pub fn handed_over(
        &self,
        sent: Sent,
        patience: Patience,
    ) -> Result<(), Box<(Option<Received>, SendFault)>> {
        let look = || self.look_whether_taken(sent);
        let waited = wait(self.lane.for_room(), patience, look, SendFault::from);
        let Err(fault) = waited else {
            return Ok(());
        };
        let Some(mine) = self.lane.take_back(sent) else {
            return Ok(()); // somebody takes it just now
        };
        let back = message::take(&self.lane, &mine, &self.pool);
        self.lane.empty(mine);
        self.tell_room();
        Err(Box::new((back, fault)))
    }

    /// The oldest message.
    pub fn receive(&self, patience: Patience) -> Result<Received, RecvError> {
        if !self.pool.is_here() {
            return Err(RecvError::Forked);
        }
        let look = || self.try_receive();
        wait(self.lane.for_message(), patience, look, RecvError::from)
    }

    fn try_receive(&self) -> Result<Option<Received>, RecvError> {
        // In this order: what was sent before it was over is received.
        let is_over = self.is_ended();
        match self.lane.take() {
            Ok((mine, _)) => {
                let received = message::take(&self.lane, &mine, &self.pool);
                self.lane.empty(mine);
                self.tell_room();
                // Those behind it may have come while nobody could take them.
                let message = self.lane.for_message();
                if message.is_awaited() && self.lane.len() > 0 {
                    message.open_one();
                }
                received.map(Some).ok_or_else(|| self.damaged())
            }
            Err(NotNow::Damaged(_)) => Err(self.damaged()),
            Err(_) if self.pool.is_over() => Err(RecvError::Gone),
            Err(NotNow::Wait) if is_over => Err(RecvError::Disconnected),
            Err(NotNow::Wait | NotNow::Soon) => {
                if self.kind.is_rendezvous {
                    self.tell_offer();
                }
                Ok(None)
            }
        }
    }
}

/// An error that says that the channel is gone.
trait Gone {
    const GONE: Self;
}

impl Gone for SendFault {
    const GONE: Self = SendFault::Gone;
}

impl Gone for RecvError {
    const GONE: Self = RecvError::Gone;
}

/// The lane of a block, as this process sees it.
pub fn attach(pool: &Pool, block: LaneBlock) -> Option<Lane> {
    let (offset, words) = pool.lane_place(block)?;
    Lane::attach(pool.segment(), offset, words, pool.process())
}

/// Lets go of all messages: nobody will take them.
pub fn drain(lane: &Lane, pool: &Pool) {
    while let Ok((mine, _)) = lane.take() {
        message::let_go(lane, &mine, pool);
        lane.empty(mine);
    }
}
