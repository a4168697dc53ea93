//! Channels between processes: [`Sender`] and [`Receiver`], of which there may be any number, in the
//! host, in workers, and on their way between them.
//!
//! ```
//! # pinfold::test_setup!();
//! use pinfold::channel::{Receiver, Sender};
//!
//! fn double((numbers, results): (Receiver<u64>, Sender<u64>)) -> usize {
//!     let mut count = 0;
//!     for number in &numbers {
//!         if results.send(2 * number).is_err() {
//!             break; // nobody wants them any more
//!         }
//!         count += 1;
//!     }
//!     count
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rt = pinfold::Runtime::builder().workers(2).start()?;
//! let (numbers, from_host) = rt.channel::<u64>(16)?;
//! let (to_host, results) = rt.channel::<u64>(16)?;
//! // Each worker has a clone of both ends. These go with the tasks: what is left here is the
//! // sender of numbers, and the receiver of results.
//! let tasks = [0; 2].map(|_| rt.spawn(double, (from_host.clone(), to_host.clone())));
//! drop((from_host, to_host));
//! for number in 0..10 {
//!     numbers.send(number)?;
//! }
//! drop(numbers); // the tasks end when they have taken all
//! assert_eq!(results.iter().sum::<u64>(), 90); // and this when they have
//! let counts: Vec<usize> = tasks.into_iter().map(|task| task.join()).collect::<Result<_, _>>()?;
//! assert_eq!(counts.iter().sum::<usize>(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! A channel is bounded: it holds `capacity` messages, and a sender into a full one waits (or is refused, or
//! replaces the oldest message: [`Overflow`]). A channel of capacity 0 holds none: a sender waits until its
//! message is taken.
//!
//! Messages are values, encoded as arguments of tasks are. A short message lies in the channel itself; a long
//! one, and each [`Loan`](crate::Loan) and [`Shared`](crate::Shared) in a message, lies in shared memory, and
//! is not copied. Ends of channels may be in messages, too.
//!
//! *Order.* The messages of one sender arrive in the order in which it sent them. Each message is received
//! once, by one receiver.
//!
//! *Ends.* A channel is over for its receivers when no sender is left anywhere and all messages are taken, and
//! for its senders when no receiver is left; or for both when anybody calls `close`. A clone is an end like
//! any other; so is an end in a message, in the arguments of a task that has not begun, or in a result that
//! was not looked at. An end in a message of its own channel keeps the channel open. When a task begins, the
//! ends among its arguments are its own: one that it drops is gone. But a task that may be run again
//! ([`at_least_once`](crate::Task::at_least_once), [`retry`](crate::Task::retry)) has the same ends in each
//! attempt, so these stay until it has ended; to end the channel earlier, it calls `close`.
//!
//! *Deaths.* When a process dies, the messages it has sent stay, and the one it was sending never appears. A
//! message that it was just receiving is lost, and counted ([`Receiver::lost`]), or left to others. Its ends
//! are gone, so nobody waits for the dead. A task that is tried again has the same ends as before.
//!
//! *Acknowledgement* (at-least-once delivery). A channel made by
//! [`Runtime::acked_channel`](crate::Runtime::acked_channel) gives each message out as a [`Delivery`]: the
//! message is delivered again, to this receiver or another, until a receiver acknowledges it. So none is lost
//! with a receiver; some are processed twice.
//!
//! *Waiting.* A task that waits keeps its executor; other executors, if there are any, run that executor's
//! other tasks meanwhile. So there must be more executors than tasks that wait for each other. A task that is
//! told to end while it waits stops waiting: [`RecvError::Cancelled`], [`SendFault::Cancelled`]. Every wait
//! ends when the runtime does. [`Select`] waits for the first of several things; [`Sender::send_async`] and
//! [`Receiver::recv_async`] do not block the thread.

mod block;
mod board;
mod case;
mod delivery;
mod ends;
mod error;
mod future;
mod held;
mod keeping;
mod kind;
mod message;
mod options;
mod packing;
mod receiver;
mod recover;
mod room;
mod router;
mod select;

pub(crate) use case::Also;
pub use delivery::{Delivery, Item, Receipt};
pub use error::{RecvError, SelectError, SendError, SendFault};
pub use future::{RecvFuture, RecvStream, SendFuture};
pub use kind::Overflow;
pub(crate) use message::{Message, Unfit, parcels_behind, words_of};
pub use options::{CreateError, Options};
pub(crate) use options::{make, make_acked, make_with};
pub use receiver::Iter;
pub(crate) use recover::{Channels, Traffic, traffic};
pub use router::Router;
pub(crate) use router::make_router;
pub use select::{Select, Selected};

use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lane::Sent;
use crate::object::Patience;
use crate::pool::{End, Token, Transfer};
use crate::task::{Brief, encode_brief};

use ends::Endpoint;
use message::Encoded;
use room::Claimed;

/// So long a receiver that waits may take to wake up, for who does not wait.
const A_MOMENT: Duration = Duration::from_millis(1);

/// The sending end of a channel; made by [`Runtime::channel`](crate::Runtime::channel), and in a task
/// by [`channel`](fn@crate::channel).
///
/// A clone is one more sender of the same channel; so is one that a task gets as an argument. See
/// the [module](self).
pub struct Sender<T> {
    end: Arc<Endpoint>,
    of: PhantomData<fn(T)>,
}

/// The receiving end of a channel; made together with its [`Sender`].
///
/// Each message is received by one of the clones. See the [module](self).
pub struct Receiver<T> {
    end: Arc<Endpoint>,
    of: PhantomData<fn() -> T>,
}

macro_rules! end {
    ($name:ident, $end:expr, $what:literal, $($bound:path)?, $takes_all:expr) => {
        impl<T> $name<T> {
            fn new(end: Arc<Endpoint>) -> Self {
                $name {
                    end,
                    of: PhantomData,
                }
            }

            /// How many messages there are, at some moment; those that are just being sent or
            /// received may be counted. Always 0 if the capacity is.
            pub fn len(&self) -> usize {
                if self.end.kind().is_rendezvous {
                    return 0;
                }
                let end = &*self.end;
                let waiting = end.lane().len();
                if end.kind().acks {
                    return waiting + end.lane().unacknowledged().1;
                }
                waiting
            }

            /// Whether there is none, at some moment.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many messages fit.
            pub fn capacity(&self) -> usize {
                if self.end.kind().is_rendezvous {
                    return 0;
                }
                self.end.lane().capacity()
            }

            /// Closes the channel: no more messages are accepted. What was sent before is still
            /// received. Whoever waits sees it. (A message that is being sent just then is refused, or
            /// received, or, if those that receive have seen the end before, left and given back with
            /// the channel.)
            pub fn close(&self) {
                self.end.close();
            }

            /// How many messages were received and neither acknowledged nor given back, at some
            /// moment, in a channel whose messages are acknowledged
            /// ([`Runtime::acked_channel`](crate::Runtime::acked_channel)). It looks at all places.
            pub fn unacknowledged(&self) -> usize {
                if !self.end.kind().acks {
                    return 0;
                }
                self.end.lane().unacknowledged().0
            }

            /// How many messages were lost with receivers that died while they took them.
            pub fn lost(&self) -> u64 {
                self.end.lane().lost()
            }

            /// How many messages were dropped to make room for others
            /// ([`Overflow::DropOldest`]).
            pub fn dropped(&self) -> u64 {
                self.end.lane().dropped()
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                $name::new(Arc::clone(&self.end))
            }
        }

        impl<T> Debug for $name<T> {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .finish_non_exhaustive()
            }
        }

        impl<T> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.end.token().serialize(serializer)
            }
        }

        impl<'de, T $(: $bound)?> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let token = Token::deserialize(deserializer)?;
                if token.end() != Some($end) {
                    return Err(D::Error::custom(concat!("it is no ", $what)));
                }
                let end = Endpoint::of(token);
                let end = end.ok_or_else(|| D::Error::custom("its channel is gone"))?;
                if end.kind().acks && !$takes_all {
                    let why = "messages of its channel are acknowledged: a receiver of `Delivery`s is expected";
                    return Err(D::Error::custom(why));
                }
                Ok($name::new(end))
            }
        }
    };
}

end!(Sender, End::Sender, "sender", , true);
end!(Receiver, End::Receiver, "receiver", Item, T::ACKS);

impl<T: Serialize + DeserializeOwned> Sender<T> {
    /// Sends a message; waits while there is no room.
    ///
    /// # Errors
    /// [`SendError`], with the value: nobody receives any more, or it is no message.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_with(value, Patience::Forever)
    }

    /// Sends a message if there is room now. Into a channel of capacity 0: if a receiver waits.
    ///
    /// # Errors
    /// [`SendFault::Full`] if there is none; as [`Sender::send`].
    pub fn try_send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_with(value, Patience::Not)
    }

    /// Sends a message; waits for room no longer than `timeout`.
    ///
    /// # Errors
    /// [`SendFault::TimedOut`] if there was none in time; as [`Sender::send`].
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_with(value, Patience::For(timeout))
    }

    /// Sends several messages, one after the other; waits for room for each. Returns how many there
    /// were.
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

    /// Whether nobody receives any more: each message would be refused.
    pub fn is_disconnected(&self) -> bool {
        self.end.send_fault().is_some()
    }

    #[inline]
    fn send_with(&self, value: T, patience: Patience) -> Result<(), SendError<T>> {
        let end = &*self.end;
        if let Some(fault) = end.send_fault() {
            return Err(SendError::new(Some(value), fault));
        }
        let mut bytes = Brief::new();
        let (is_whole, buffers) = encode_brief(&value, &mut bytes);
        // Nearly all messages go this way.
        if is_whole && buffers.is_empty() && end.send_bytes(&bytes) {
            return Ok(());
        }
        let brief = is_whole.then_some((&bytes, buffers));
        self.send_slowly(value, brief, patience)
    }

    #[cold]
    #[inline(never)]
    fn send_slowly(
        &self,
        value: T,
        brief: Option<(&Brief, Vec<Transfer>)>,
        patience: Patience,
    ) -> Result<(), SendError<T>> {
        let end = &*self.end;
        let is_rendezvous = end.kind().is_rendezvous;
        if is_rendezvous && patience == Patience::Not && !end.lane().is_wanted() {
            return Err(SendError::new(Some(value), SendFault::Full));
        }
        let encoded = match brief {
            Some((bytes, buffers)) => Encoded::of_brief(bytes, buffers),
            None => message::encode(&value, end.pool()),
        };
        self.put(value, encoded, patience, |end, weight| {
            end.claim(patience, weight)
        })
    }

    /// Sends it in the place that `claim` finds, when it is known to be a message; in a channel of
    /// capacity 0 it waits until it is taken.
    fn put<'a>(
        &'a self,
        value: T,
        encoded: Encoded,
        patience: Patience,
        claim: impl FnOnce(&'a Endpoint, u64) -> Result<Claimed<'a>, SendFault>,
    ) -> Result<(), SendError<T>> {
        let sent = self.fill(value, encoded, claim)?;
        if !self.end.kind().is_rendezvous {
            return Ok(());
        }
        let (patience, is_brief) = match patience {
            Patience::Not => (Patience::For(A_MOMENT), true),
            other => (other, false),
        };
        self.end.handed_over(sent, patience).map_err(|kept| {
            let (back, fault) = *kept;
            let fault = match fault {
                SendFault::TimedOut { .. } if is_brief => SendFault::Full,
                fault => fault,
            };
            SendError::new(back.and_then(|back| back.decode().ok()), fault)
        })
    }

    fn fill<'a>(
        &'a self,
        value: T,
        encoded: Encoded,
        claim: impl FnOnce(&'a Endpoint, u64) -> Result<Claimed<'a>, SendFault>,
    ) -> Result<Sent, SendError<T>> {
        let end = &*self.end;
        let (message, weight) = match end.message_of::<T>(encoded) {
            Ok(message) => message,
            Err(fault) => return Err(SendError::new(Some(value), fault)),
        };
        // Kept until there is a place for it.
        let mut value = Some(value);
        let put = claim(end, weight).and_then(|claimed| {
            end.send_in(claimed, |lane, place| {
                drop(value.take());
                message.put(lane, place, end.pool())
            })
        });
        match put {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(refused)) => {
                let (message, error) = *refused;
                Err(SendError::new(message.into_value(), error))
            }
            Err(fault) => Err(SendError::new(value, fault)),
        }
    }
}
