//! Broadcast channels: every [`Subscriber`] gets every message that a [`Publisher`] sends after it
//! subscribed. There may be many of both, in the host, in workers, and on their way between them.
//!
//! ```
//! # pinfold::test_setup!();
//! use pinfold::broadcast::Subscriber;
//!
//! fn longest(words: Subscriber<String>) -> usize {
//!     words.iter().map(|word| word.len()).max().unwrap_or(0)
//! }
//!
//! fn count(words: Subscriber<String>) -> usize {
//!     words.iter().count()
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rt = pinfold::Runtime::builder().workers(2).start()?;
//! let words = rt.broadcast_channel::<String>(16)?;
//! let longest = rt.spawn(longest, words.subscribe()?);
//! let count = rt.spawn(count, words.subscribe()?);
//! for word in ["all", "of", "them", "hear", "each"] {
//!     words.send(word.to_owned())?;
//! }
//! drop(words); // no more are to come
//! assert_eq!((longest.join()?, count.join()?), (4, 5));
//! # Ok(())
//! # }
//! ```
//!
//! A message is stored once in shared memory, however many subscribers there are: a short one in the channel
//! itself, a long one in one block. Each subscriber decodes the value from there. A [`Shared`](crate::Shared)
//! in it arrives as a `Shared` of the same block. (A [`Loan`](crate::Loan) has one owner, and is refused.) A
//! message that all have read is freed.
//!
//! *Slow subscribers.* The channel holds `capacity` messages. When it is full, because a subscriber has not
//! read the oldest message, [`Overflow`] says what a publisher does: it waits (`Block`), is refused
//! (`Reject`), or overwrites the oldest message (`DropOldest`). Then the subscriber that has not read it is
//! told how many it has lost ([`RecvError::Lagged`]), and goes on with the oldest one that is left.
//!
//! *Order.* The messages of one publisher arrive in the order in which it sent them, and all subscribers see
//! the same order. A message that is sent while nobody is subscribed reaches nobody; that is no error.
//!
//! *Ends.* The channel is over for its subscribers when no publisher is left anywhere and all messages are
//! read; or when anybody calls `close`. It never ends for its publishers because of subscribers: others may
//! come. A publisher in a message of its own channel keeps it open.
//!
//! *Subscriptions.* Each comes from `subscribe`, and ends when the `Subscriber` is dropped. A subscription
//! that is an argument of a task that may be tried again keeps its place until the task has ended: the next
//! attempt goes on with the first message that the one before had not received. If several subscribers share a
//! subscription (it was in a message that several have received, say), each message goes to one of them.
//!
//! *Deaths.* When a process dies, the messages it has sent stay, and the one it was sending never appears. Its
//! subscriptions end, so nobody waits for the dead.
//!
//! [`Runtime::broadcast`](crate::Runtime::broadcast) is something else: a task that runs once in each worker.

mod ends;
mod error;
mod message;
mod recover;
mod select;

pub use error::{CreateError, RecvError, SubscribeError};
pub(crate) use recover::{Feeds, Subscriptions};

use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::channel::{Overflow, SendError, SendFault, Unfit};
use crate::feed::{CAPACITY_MAX, SEATS_MAX, Shape};
use crate::object::Patience;
use crate::pool::{Pool, Token};

use ends::{Seated, Source};
use message::{Packed, Received};

/// What a broadcast channel is made with:
/// [`Runtime::broadcast_channel_with`](crate::Runtime::broadcast_channel_with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    capacity: usize,
    overflow: Overflow,
    subscribers: usize,
}

impl Options {
    /// A channel that holds `capacity` messages, rounded up to a power of two; with [`Overflow::Block`], and room for 64
    /// subscribers.
    pub fn new(capacity: usize) -> Self {
        Options {
            capacity,
            overflow: Overflow::Block,
            subscribers: 64,
        }
    }

    /// What becomes of a message when somebody has not read the oldest one, and there is no room.
    pub fn overflow(self, overflow: Overflow) -> Self {
        Options { overflow, ..self }
    }

    /// How many subscribers there may be at a time, 512 at most. Each takes 64 bytes.
    pub fn subscribers(self, subscribers: usize) -> Self {
        Options {
            subscribers,
            ..self
        }
    }
}

/// Words of a cell for a message of this type.
fn area_for<T>() -> usize {
    match size_of::<T>() {
        0..=8 => 3, // a parcel fits
        9..=40 => 6,
        _ => 14,
    }
}

/// Makes a broadcast channel in this pool.
pub(crate) fn make<T>(pool: &Pool, options: Options) -> Result<Publisher<T>, CreateError> {
    let Options {
        capacity,
        overflow,
        subscribers,
    } = options;
    if !(1..=CAPACITY_MAX).contains(&capacity) {
        let most = CAPACITY_MAX;
        return Err(CreateError::Capacity { capacity, most });
    }
    if !(1..=SEATS_MAX).contains(&subscribers) {
        let most = SEATS_MAX;
        return Err(CreateError::Subscribers { subscribers, most });
    }
    let shape = Shape {
        capacity: capacity.next_power_of_two(),
        area: area_for::<T>(),
        seats: subscribers,
    };
    Ok(Publisher {
        source: Arc::new(Source::make(pool, shape, overflow)?),
        of: PhantomData,
    })
}

/// The sending end of a broadcast channel; made by
/// [`Runtime::broadcast_channel`](crate::Runtime::broadcast_channel), and in a task by
/// [`broadcast_channel`](crate::broadcast_channel()).
///
/// A clone is one more publisher of the same channel; so is one that a task gets as an argument. See
/// the [module](self).
pub struct Publisher<T> {
    source: Arc<Source>,
    of: PhantomData<fn(T)>,
}

/// A subscription to a broadcast channel; made by [`Publisher::subscribe`].
///
/// See the [module](self).
pub struct Subscriber<T> {
    seated: Arc<Seated>,
    of: PhantomData<fn() -> T>,
}

impl<T> Publisher<T> {
    /// One more subscriber, for all that is sent from now on.
    ///
    /// # Errors
    /// [`SubscribeError`]: there are too many, or there is no memory.
    pub fn subscribe(&self) -> Result<Subscriber<T>, SubscribeError> {
        Ok(Subscriber::of(self.source.subscribe()?))
    }

    /// How many subscribers there are, at some moment.
    pub fn subscribers(&self) -> usize {
        self.source.side().feed().subscribers()
    }

    /// How many messages fit.
    pub fn capacity(&self) -> usize {
        self.source.side().feed().capacity()
    }

    /// Closes the channel: no more messages are accepted. What was sent before is still
    /// read. Whoever waits sees it.
    pub fn close(&self) {
        self.source.side().close();
    }
}

impl<T: Serialize + DeserializeOwned> Publisher<T> {
    /// Sends a message to all that are subscribed; waits while there is no room, as the channel's
    /// [`Overflow`] says.
    ///
    /// # Errors
    /// [`SendError`], with the value: the channel was closed, or it is no message.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_with(value, Patience::Forever)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// [`SendFault::Full`] if there is none; as [`Publisher::send`].
    pub fn try_send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_with(value, Patience::Not)
    }

    /// Sends a message; waits for room no longer than `timeout`.
    ///
    /// # Errors
    /// [`SendFault::TimedOut`] if there was none in time; as [`Publisher::send`].
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_with(value, Patience::For(timeout))
    }

    /// Sends several messages, one after the other. Returns how many there were.
    ///
    /// # Errors
    /// Of the first that is not sent. Those behind it stay in the iterator.
    pub fn send_all(&self, values: impl IntoIterator<Item = T>) -> Result<usize, SendError<T>> {
        let mut count = 0;
        for value in values {
            self.send(value)?;
            count += 1;
        }
        Ok(count)
    }

    fn send_with(&self, value: T, patience: Patience) -> Result<(), SendError<T>> {
        match self.try_to_send(&value, patience) {
            Ok(()) => Ok(()),
            Err(fault) => Err(SendError::new(Some(value), fault)),
        }
    }

    fn try_to_send(&self, value: &T, patience: Patience) -> Result<(), SendFault> {
        let source = &*self.source;
        if let Some(fault) = source.fault() {
            return Err(fault);
        }
        let feed = source.side().feed();
        if !feed.has_subscribers() {
            return Ok(()); // it is for nobody
        }
        let packed = Packed::of(value, source.pool(), feed.area());
        let packed = packed.map_err(|unfit| match unfit {
            Unfit::Encode(message) => SendFault::Encode { message },
            Unfit::Alloc(error) => error.into(),
        })?;
        source.send(packed, patience)
    }
}

impl<T> Subscriber<T> {
    fn of(seated: Seated) -> Self {
        Subscriber {
            seated: Arc::new(seated),
            of: PhantomData,
        }
    }

    /// One more subscriber of the same channel, for all that is sent from now on.
    ///
    /// # Errors
    /// As [`Publisher::subscribe`].
    pub fn subscribe(&self) -> Result<Subscriber<T>, SubscribeError> {
        Ok(Subscriber::of(self.seated.subscribe()?))
    }

    /// How many messages wait to be read by this subscriber, at some moment.
    pub fn len(&self) -> usize {
        self.seated.side().feed().waiting(self.seated.seat())
    }

    /// Whether there is none, at some moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages were overwritten before this subscriber has read them, in all.
    pub fn lagged(&self) -> u64 {
        self.seated.side().feed().lagged(self.seated.seat())
    }

    /// Closes the channel, as [`Publisher::close`] does.
    pub fn close(&self) {
        self.seated.side().close();
    }
}

impl<T: Serialize + DeserializeOwned> Subscriber<T> {
    /// The next message; waits for it.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] if messages were overwritten; the next call goes on behind them.
    /// [`RecvError::Disconnected`] when all are read and nobody sends any more.
    pub fn recv(&self) -> Result<T, RecvError> {
        decode(self.seated.receive(Patience::Forever)?)
    }

    /// The next message, if there is one now.
    ///
    /// # Errors
    /// [`RecvError::Empty`] if there is none; as [`Subscriber::recv`].
    pub fn try_recv(&self) -> Result<T, RecvError> {
        decode(self.seated.receive(Patience::Not)?)
    }

    /// The next message; waits for it no longer than `timeout`.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] if there was none in time; as [`Subscriber::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        decode(self.seated.receive(Patience::For(timeout))?)
    }

    /// All messages until nobody sends any more; waits for each. It goes on behind messages that were
    /// lost ([`Subscriber::lagged`] says how many), and ends at any other error.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            subscriber: self,
            patience: Patience::Forever,
        }
    }

    /// The messages that are there now; waits for none.
    pub fn try_iter(&self) -> Iter<'_, T> {
        Iter {
            subscriber: self,
            patience: Patience::Not,
        }
    }
}

fn decode<T: DeserializeOwned>(received: Received) -> Result<T, RecvError> {
    let decoded = received.decode();
    decoded.map_err(|message| RecvError::Decode { message })
}

/// The messages of a subscriber; made by [`Subscriber::iter`] and [`Subscriber::try_iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    subscriber: &'a Subscriber<T>,
    patience: Patience,
}

impl<T: Serialize + DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            match self.subscriber.seated.receive(self.patience) {
                Ok(received) => return decode(received).ok(),
                Err(RecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

impl<'a, T: Serialize + DeserializeOwned> IntoIterator for &'a Subscriber<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Publisher<T> {
    fn clone(&self) -> Self {
        Publisher {
            source: Arc::clone(&self.source),
            of: PhantomData,
        }
    }
}

impl<T> Debug for Publisher<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("subscribers", &self.subscribers())
            .field("capacity", &self.capacity())
            .field("overflow", &self.source.side().overflow())
            .finish_non_exhaustive()
    }
}

impl<T> Debug for Subscriber<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber")
            .field("len", &self.len())
            .field("lagged", &self.lagged())
            .finish_non_exhaustive()
    }
}

impl<T> Serialize for Publisher<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.tokens().serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Publisher<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (token, keeper) = <(Token, Token)>::deserialize(deserializer)?;
        let source = Source::of(token, keeper);
        let source =
            source.ok_or_else(|| D::Error::custom("it is no publisher, or its channel is gone"))?;
        Ok(Publisher {
            source: Arc::new(source),
            of: PhantomData,
        })
    }
}

impl<T> Serialize for Subscriber<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.seated.token().serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Subscriber<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seated = Seated::of(Token::deserialize(deserializer)?);
        let seated = seated
            .ok_or_else(|| D::Error::custom("it is no subscriber, or its channel is gone"))?;
        Ok(Subscriber::of(seated))
    }
}
