//! One process's side of an end: what senders and receivers of any type have in common.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::lane::Taken as Place;
use crate::lane::{Lane, Mine, NotNow, Sent, Shape, Still};
use crate::object::{GaveUp, Patience, Wait, What, wait_for, who_has};
use crate::pool::{AllocError, End, LaneBlock, LaneEnds, LaneKind, Pool, Token};
use crate::task::Brief;

use super::block::{attach, drain};
use super::error::{RecvError, SendFault};
use super::kind::{Kind, Overflow};
use super::message::{self, Received, SHORT, Short};
use super::recover::Channels;

/// Who has waited for so long finds out who did not read.
const LONG: Duration = Duration::from_millis(100);

/// One process's side of one end of a channel.
#[derive(Debug)]
pub struct Endpoint {
    pool: Pool,
    lane: Lane,
    ends: LaneEnds,
    kind: Kind,
    /// Whether short messages need nothing but a place.
    is_direct: bool,
    /// Whether room for one message may be room for another, and not for whoever is woken first.
    wakes_all: bool,
    end: End,
    block: LaneBlock,
    token: Token,
}

/// The longest that somebody who waits leaves the other side alone, in looks.
const LINGER: usize = 64;

/// So many looks a message that comes soon may take.
const SOON: usize = if cfg!(loom) { 0 } else { 64 };

/// What was taken at once.
pub enum Taken {
    /// How many bytes, and whether they are marked.
    Bytes((usize, bool)),
    /// What is to be taken out of its place by [`Endpoint::finish`].
    Other(Mine),
    /// There is none, or something is to be looked at more closely.
    Nothing,
}

impl Endpoint {
    /// Makes a channel: its two ends.
    pub fn pair(pool: &Pool, shape: Shape, kind: Kind) -> Result<[Arc<Self>; 2], AllocError> {
        let Some(words) = shape.words() else {
            return Err(AllocError::TooLarge {
                requested: usize::MAX,
                capacity: pool.capacity(),
            });
        };
        let tokens = pool.make_lane(&Channels, words, |segment, offset| {
            let me = pool.process();
            let _ = Lane::create(segment, offset, me, shape, kind.pack());
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
        let kind = Kind::unpack(lane.kind());
        let is_weighed = lane.is_weighed();
        Some(Arc::new(Endpoint {
            kind,
            is_direct: !kind.is_rendezvous
                && !kind.acks
                && !is_weighed
                && kind.pack_from().is_none_or(|from| from > message::SHORT),
            // Who waits for its message to be taken, too.
            wakes_all: kind.is_rendezvous || is_weighed,
            ends: pool.lane_ends(block)?,
            end: token.end()?,
            pool,
            lane,
            block,
            token,
        }))
    }

    pub fn token(&self) -> &Token {
        &self.token
    }

    #[inline]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    #[inline]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    #[inline]
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
    pub(super) fn is_ended(&self) -> bool {
        self.ends.is_closed_or_gone(self.other())
    }

    /// The same as who is about to wait asks: in a task that may be run again the other end may be
    /// kept by its own arguments, and by nothing else.
    #[inline]
    fn waits_in_vain(&self) -> bool {
        self.is_ended() || self.pool.is_its_own_end(self.block, self.other())
    }

    /// Why nobody will make room, or take what was put there.
    pub(super) fn no_receiver(&self) -> Option<SendFault> {
        let in_vain = || self.waits_in_vain().then_some(SendFault::Disconnected);
        self.send_fault().or_else(in_vain)
    }

    /// Whether nobody has a receiver any more; closed or not.
    pub fn has_no_receiver(&self) -> bool {
        self.ends.is_gone(End::Receiver)
    }

    /// Nothing more is sent: those that wait see it.
    pub fn close(&self) {
        if !self.pool.is_here() {
            return;
        }
        self.ends.close();
        self.lane.tell_end();
    }

    #[inline]
    pub(super) fn tell_room(&self) {
        self.lane.tell_room(self.wakes_all);
    }

    /// Why nothing can be sent, whether there is room or not.
    #[inline]
    pub fn send_fault(&self) -> Option<SendFault> {
        if !self.pool.is_here() {
            return Some(SendFault::Forked);
        }
        if self.pool.is_over() {
            return Some(SendFault::Gone);
        }
        self.is_ended().then_some(SendFault::Disconnected)
    }

    /// A wait for this, as it is shown.
    #[inline]
    pub(super) fn waits(&self, what: What) -> Wait {
        Wait::of(what, &self.pool, Some(self.block))
    }

    #[cold]
    pub(super) fn gave_up(&self, why: GaveUp) -> SendFault {
        let mut fault = SendFault::from(why);
        if let SendFault::TimedOut { waited, receivers } = &mut fault
            && *waited >= LONG
        {
            *receivers = who_has(&self.pool, self.block, End::Receiver);
        }
        fault
    }

    /// Who receives and found nothing looks for a moment, by one load of one word, whether a message comes:
    /// whether to look properly then, before a wait begins.
    #[cold]
    #[inline(never)]
    pub fn comes_soon(&self) -> bool {
        if self.kind.is_rendezvous || !self.pool.is_here() {
            return false;
        }
        if self.linger() {
            self.lane.look_at_tail();
            return true;
        }
        let Some(still) = self.lane.no_message() else {
            return true;
        };
        (0..SOON).any(|_| {
            std::hint::spin_loop();
            !still.is_so()
        })
    }

    /// Who has to wait leaves the other side alone for a moment if many messages have passed since
    /// the last time: then as many will pass again, and their lines do not go there and back for
    /// each. Whether it did.
    pub(super) fn linger(&self) -> bool {
        let is_receiver = self.end == End::Receiver;
        let passed = self.lane.passed(is_receiver);
        if passed <= 1 {
            return false;
        }
        // So much that more have passed when it is over: else it would be ever fewer.
        pause((4 * passed).clamp(LINGER, 4 * LINGER));
        if is_receiver {
            return true;
        }
        // Who receives has much to do yet.
        let few = self.lane.capacity() - self.lane.capacity() / 4;
        let mut len = self.lane.capacity();
        for _ in 0..LINGER / 4 {
            let now = self.lane.len();
            if now <= few || now == len {
                break;
            }
            len = now;
            pause(LINGER / 2);
        }
        true
    }

    /// As long as this is so, [`look_for_room`](Self::look_for_room) finds none; but for who has the
    /// other end.
    pub fn no_room(&self) -> Option<Still<'_>> {
        let is_by_lane = !self.kind.is_rendezvous && self.kind.overflow != Overflow::DropOldest;
        is_by_lane.then(|| self.lane.no_room())?
    }

    /// The oldest message, if there is one.
    pub fn look_for_message(self: &Arc<Self>) -> Result<Option<Received>, RecvError> {
        if !self.pool.is_here() {
            return Err(RecvError::Forked);
        }
        self.try_receive()
    }

    #[cold]
    pub(super) fn damaged<E: Gone>(&self, what: &dyn Display) -> E {
        self.pool.report_lane(self.block, what);
        E::GONE
    }

    #[inline]
    pub(super) fn fill(&self, mine: Mine) -> Sent {
        let sent = self.lane.fill(mine);
        self.sent();
        sent
    }

    /// A message is there.
    #[inline(always)]
    fn sent(&self) {
        let is_over = || self.is_ended();
        if self.lane.tell_message_or_end(is_over) {
            self.let_go_of_messages();
        }
    }

    /// There will be no message in this place. What is behind it may have been left to this one.
    pub(super) fn gave_up_place(&self, mine: Mine) {
        self.lane.skip(mine);
        self.sent();
        self.tell_room();
    }

    #[cold]
    #[inline(never)]
    fn let_go_of_messages(&self) {
        // Whoever gave the last receiver back has looked for messages before, or sees this one.
        if self.ends.is_gone(self.other()) && !self.kind.keeps_messages() {
            drain(&self.lane, &self.pool);
        }
    }

    /// Sends a message that is nothing but bytes, if there is a place for it now. False if not, or
    /// if anything is to be looked at more closely: then nothing is done. The caller has asked
    /// [`Endpoint::send_fault`].
    #[inline(always)]
    pub fn send_bytes(&self, bytes: &Brief) -> bool {
        if bytes.len() == self.lane.plain() && bytes.len() > 0 {
            if self.lane.send_plain(bytes.words()).is_err() {
                return false;
            }
            self.lane.pass_room_on();
            self.sent();
            return true;
        }
        self.send_with_header(bytes)
    }

    #[inline(never)]
    fn send_with_header(&self, bytes: &Brief) -> bool {
        if !self.is_direct || bytes.len() > self.lane.area() * 8 {
            return false;
        }
        let Ok(mine) = self.lane.claim() else {
            return false;
        };
        self.lane.pass_room_on();
        message::put_bytes(&self.lane, &mine, bytes);
        self.fill(mine);
        true
    }

    /// Whether the message that was put here is taken, as a wait asks.
    pub fn look_whether_taken(&self, sent: Sent) -> Result<Option<()>, SendFault> {
        if !self.lane.waits(sent) {
            return Ok(Some(()));
        }
        self.no_receiver().map_or(Ok(None), Err)
    }

    /// Waits until the message that was put here is taken; what was taken back otherwise.
    pub fn handed_over(
        &self,
        sent: Sent,
        patience: Patience,
    ) -> Result<(), Box<(Option<Received>, SendFault)>> {
        let look = || self.look_whether_taken(sent);
        let waited = wait_for(
            self.lane.for_room(),
            || self.waits(What::Taken),
            patience,
            look,
            |why| self.gave_up(why),
        );
        let Err(fault) = waited else {
            return Ok(());
        };
        let Some(mine) = self.lane.take_back(sent) else {
            return Ok(()); // somebody takes it just now
        };
        let back = if self.kind.acks {
            let back = message::peek(&self.lane, &mine, &self.pool);
            self.discard(mine);
            back
        } else {
            let back = message::take(&self.lane, &mine, &self.pool);
            self.lane.empty(mine);
            back
        };
        self.tell_room();
        Err(Box::new((back, fault)))
    }

    /// The oldest message.
    pub fn receive(self: &Arc<Self>, patience: Patience) -> Result<Received, RecvError> {
        if !self.pool.is_here() {
            return Err(RecvError::Forked);
        }
        let look = || self.try_receive();
        if self.kind.acks && patience != Patience::Not {
            if let Some(received) = look()? {
                return Ok(received);
            }
            self.linger();
        }
        let waits = || self.waits(What::Message);
        let message = self.lane.for_message();
        wait_for(message, waits, patience, look, RecvError::from)
    }

    /// Takes the oldest message, if there is one now. What is nothing but bytes lies in `short`
    /// then.
    #[inline(always)]
    pub fn take<T>(&self, short: &mut Short) -> Taken {
        if !self.pool.is_here() {
            return Taken::Nothing;
        }
        // So the compiler knows how much there is to copy.
        let taken = match self.lane.plain() == size_of::<T>() && size_of::<T>() <= SHORT {
            true => self
                .lane
                .take_plain(&mut short[..size_of::<T>().div_ceil(8)]),
            false => self.take_any(short),
        };
        match taken {
            Err(_) => Taken::Nothing,
            Ok(Place::Plain) => {
                self.taken();
                Taken::Bytes((self.lane.plain(), false))
            }
            Ok(Place::Other(mine)) => self.take_with_header(mine, short),
        }
    }

    #[inline(never)]
    fn take_any(&self, short: &mut Short) -> Result<Place, NotNow> {
        self.lane.take_plain(short)
    }

    #[inline(never)]
    fn take_with_header(&self, mine: Mine, short: &mut Short) -> Taken {
        match message::take_bytes(&self.lane, &mine, short) {
            Some(bytes) => {
                self.empty(mine);
                Taken::Bytes(bytes)
            }
            None => Taken::Other(mine),
        }
    }

    /// What is in a place that was taken.
    pub fn finish(&self, mine: Mine) -> Result<Received, RecvError> {
        let received = message::take(&self.lane, &mine, &self.pool);
        self.empty(mine);
        received.ok_or_else(|| self.damaged(&"a message that nobody has sent"))
    }

    #[inline]
    fn empty(&self, mine: Mine) {
        self.lane.empty(mine);
        self.taken();
    }

    #[inline(always)]
    fn taken(&self) {
        self.tell_room();
        self.lane.pass_messages_on();
    }

    fn try_receive(self: &Arc<Self>) -> Result<Option<Received>, RecvError> {
        // In this order: what was sent before it was over is received.
        let is_over = self.waits_in_vain();
        if self.kind.acks {
            return self.try_receive_held(is_over);
        }
        let mut short = Short::default();
        match self.take_any(&mut short) {
            Ok(Place::Plain) => {
                self.taken();
                Ok(Some(Received::of_plain(&short, self.lane.plain())))
            }
            Ok(Place::Other(mine)) => self.finish(mine).map(Some),
            Err(why) => self.nothing(why, is_over).map(|()| None),
        }
    }

    /// Nothing was taken: whether nothing will come.
    pub(super) fn nothing(&self, why: NotNow, is_over: bool) -> Result<(), RecvError> {
        match why {
            NotNow::Damaged(what) => Err(self.damaged(&what)),
            _ if self.pool.is_over() => Err(RecvError::Gone),
            NotNow::Wait if is_over => Err(RecvError::Disconnected),
            NotNow::Wait | NotNow::Kept | NotNow::Soon => {
                if self.kind.is_rendezvous {
                    self.lane.tell_wanted();
                }
                Ok(())
            }
        }
    }
}

fn pause(looks: usize) {
    for _ in 0..looks {
        std::hint::spin_loop();
    }
}

/// An error that says that the channel is gone.
pub(super) trait Gone {
    const GONE: Self;
}

impl Gone for SendFault {
    const GONE: Self = SendFault::Gone;
}

impl Gone for RecvError {
    const GONE: Self = RecvError::Gone;
}
