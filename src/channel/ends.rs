//! One process's side of an end: what senders and receivers of any type have in common.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::lane::{Lane, Mine, NotNow, Sent};
use crate::pool::{AllocError, End, LaneBlock, Pool, Token};
use crate::sys::barrier;

use super::error::{RecvError, SendFault};
use super::message::{self, Received};
use super::{Kind, Overflow};

/// So often it is looked again before it sleeps.
const LOOKS: u32 = 18;
/// The last of these give the CPU to others.
const YIELDS: u32 = 10;

/// What is to be done by the thread before it waits for long.
static BEFORE_WAITING: OnceLock<fn()> = OnceLock::new();

/// Has `f` called before any wait that has no near end.
pub fn before_waiting(f: fn()) {
    let _ = BEFORE_WAITING.set(f);
}

/// How long somebody is ready to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Not,
    For(Duration),
    Forever,
}

/// A wait that has begun.
struct Waiting {
    patience: Patience,
    begin: Option<Instant>,
    looks: u32,
}

impl Waiting {
    fn new(patience: Patience) -> Self {
        Waiting {
            patience,
            begin: None,
            looks: 0,
        }
    }

    /// Whether to look again without having slept.
    fn looks_again(&mut self) -> bool {
        self.looks += 1;
        if self.looks > LOOKS {
            return false;
        }
        if self.looks > LOOKS - YIELDS {
            std::thread::yield_now();
            return true;
        }
        // Ever longer: whoever looks all the time takes the line away from who writes there, and a
        // few messages at a time are quicker than each by itself.
        for _ in 0..1 << self.looks {
            std::hint::spin_loop();
        }
        true
    }

    fn deadline(&mut self) -> Option<Instant> {
        let begin = *self.begin.get_or_insert_with(|| {
            if let Some(before) = BEFORE_WAITING.get() {
                before();
            }
            Instant::now()
        });
        match self.patience {
            Patience::For(time) => begin.checked_add(time),
            _ => None,
        }
    }

    fn waited(&self) -> Duration {
        self.begin.map_or(Duration::ZERO, |begin| begin.elapsed())
    }
}

/// One process's side of one end of a channel.
#[derive(Debug)]
pub struct Endpoint {
    pool: Pool,
    lane: Lane,
    kind: Kind,
    end: End,
    token: Token,
}

/// A place that was claimed, and is given up if nothing comes of it.
struct Claimed<'a>(&'a Endpoint, Option<Mine>);

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
        let tokens = pool.make_lane(words, |segment, offset| {
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
        let lane = attach(&pool, token.lane()?)?;
        Some(Arc::new(Endpoint {
            kind: Kind::unpack(lane.kind()),
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

    /// Whether nobody has the other end any more, in any process or on its way.
    fn is_other_gone(&self) -> bool {
        self.lane.is_gone(match self.end {
            End::Sender => End::Receiver as usize,
            End::Receiver => End::Sender as usize,
        })
    }

    /// Nothing more is sent: those that wait see it.
    pub fn close(&self) {
        if !self.pool.is_here() {
            return;
        }
        self.lane.close();
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
        let is_over = self.lane.is_closed() || self.is_other_gone();
        is_over.then_some(SendFault::Disconnected)
    }

    /// A place for a message.
    fn claim(&self, patience: Patience) -> Result<Claimed<'_>, SendFault> {
        let mut waiting = Waiting::new(patience);
        let gate = self.lane.for_room();
        loop {
            if let Some(claimed) = self.try_claim()? {
                return Ok(claimed);
            }
            match self.kind.overflow {
                Overflow::DropOldest if self.drop_oldest() => continue,
                Overflow::DropOldest | Overflow::Block => {}
                Overflow::Reject => return Err(SendFault::Full),
            }
            if patience == Patience::Not {
                return Err(SendFault::Full);
            }
            if let Some(fault) = self.send_fault() {
                return Err(fault);
            }
            if waiting.looks_again() {
                continue;
            }
            let key = gate.prepare();
            if let Some(claimed) = self.try_claim()? {
                return Ok(claimed);
            }
            if let Some(fault) = self.send_fault() {
                gate.pass_on(key);
                return Err(fault);
            }
            if !gate.wait(key, waiting.deadline()) {
                if let Some(claimed) = self.try_claim()? {
                    return Ok(claimed);
                }
                gate.pass_on(key);
                let waited = waiting.waited();
                return Err(SendFault::TimedOut { waited });
            }
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

    /// Sends what `put` writes into the place that it gets; what it refuses it gives back.
    pub fn send<R>(
        &self,
        patience: Patience,
        put: impl FnOnce(&Lane, &Mine) -> Result<(), R>,
    ) -> Result<Result<Sent, R>, SendFault> {
        let mut claimed = self.claim(patience)?;
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
        if self.is_other_gone() && !self.kind.is_rendezvous {
            drain(&self.lane, &self.pool);
        }
        Ok(Ok(sent))
    }

    /// Waits until the message that was put here is taken; what was taken back otherwise.
    pub fn handed_over(
        &self,
        sent: Sent,
        patience: Patience,
    ) -> Result<(), Box<(Option<Received>, SendFault)>> {
        let mut waiting = Waiting::new(patience);
        let gate = self.lane.for_room();
        loop {
            if !self.lane.waits(sent) {
                return Ok(());
            }
            if waiting.looks_again() {
                continue;
            }
            let key = gate.prepare();
            if !self.lane.waits(sent) {
                return Ok(());
            }
            let mut fault = self.send_fault();
            if fault.is_none() && patience == Patience::Not {
                fault = Some(SendFault::Full);
            }
            if fault.is_none() && !gate.wait(key, waiting.deadline()) {
                let waited = waiting.waited();
                fault = Some(SendFault::TimedOut { waited });
            }
            let Some(fault) = fault else { continue };
            let Some(mine) = self.lane.take_back(sent) else {
                return Ok(()); // somebody takes it just now
            };
            let back = message::take(&self.lane, &mine, &self.pool);
            self.lane.empty(mine);
            self.tell_room();
            return Err(Box::new((back, fault)));
        }
    }

    /// The oldest message.
    pub fn receive(&self, patience: Patience) -> Result<Received, RecvError> {
        if !self.pool.is_here() {
            return Err(RecvError::Forked);
        }
        let mut waiting = Waiting::new(patience);
        let gate = self.lane.for_message();
        loop {
            if let Some(received) = self.try_receive()? {
                return Ok(received);
            }
            if patience == Patience::Not {
                return Err(RecvError::Empty);
            }
            if waiting.looks_again() {
                continue;
            }
            let key = gate.prepare();
            match self.try_receive() {
                Ok(Some(received)) => return Ok(received),
                Ok(None) => {}
                Err(error) => {
                    gate.pass_on(key);
                    return Err(error);
                }
            }
            if !gate.wait(key, waiting.deadline()) {
                if let Some(received) = self.try_receive()? {
                    return Ok(received);
                }
                gate.pass_on(key);
                let waited = waiting.waited();
                return Err(RecvError::TimedOut { waited });
            }
        }
    }

    fn try_receive(&self) -> Result<Option<Received>, RecvError> {
        // In this order: what was sent before it was over is received.
        let is_over = self.lane.is_closed() || self.is_other_gone();
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
            Err(NotNow::Wait | NotNow::Soon) => Ok(None),
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
