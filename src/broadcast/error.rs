//! Why there is no broadcast channel, no subscriber, or no message.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::object::GaveUp;
use crate::pool::AllocError;

/// Why a broadcast channel was not made.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::broadcast::CreateError;
///
/// let error = rt.broadcast_channel::<u32>(0).unwrap_err();
/// assert!(matches!(error, CreateError::Capacity { capacity: 0, .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// It cannot hold so many messages.
    #[error("a broadcast channel holds 1 to {most} messages, not {capacity}")]
    Capacity {
        /// What was asked for.
        capacity: usize,
        /// The most.
        most: usize,
    },
    /// It cannot have so many subscribers.
    #[error("a broadcast channel has room for 1 to {most} subscribers, not {subscribers}")]
    Subscribers {
        /// What was asked for.
        subscribers: usize,
        /// The most.
        most: usize,
    },
    /// There is no shared memory for it.
    #[error("there is no memory for a broadcast channel: {0}")]
    Alloc(#[from] AllocError),
}

/// Why there is no further subscriber.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::broadcast::{Options, SubscribeError};
///
/// let publisher = rt.broadcast_channel_with::<u32>(Options::new(4).subscribers(1))?;
/// let first = publisher.subscribe()?;
/// assert_eq!(publisher.subscribe().unwrap_err(), SubscribeError::TooMany { most: 1 });
/// drop(first);
/// publisher.subscribe()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// There are as many as the channel has room for.
    #[error("there are {most} subscribers already: make the channel with room for more")]
    TooMany {
        /// How many it has room for.
        most: usize,
    },
    /// There is no shared memory for one more.
    #[error("there is no memory for a subscriber: {0}")]
    Alloc(#[from] AllocError),
    /// The memory of the channel was spoilt, or its runtime has ended.
    #[error("the channel is gone: its runtime has ended, or its memory was damaged")]
    Gone,
    /// This process was forked off the one whose channel it is.
    #[error("this process was forked off the one whose channel it is")]
    Forked,
}

/// Why a subscriber has received nothing.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::broadcast::{Options, RecvError};
/// use pinfold::channel::Overflow;
///
/// let options = Options::new(2).overflow(Overflow::DropOldest);
/// let publisher = rt.broadcast_channel_with::<u32>(options)?;
/// let subscriber = publisher.subscribe()?;
/// publisher.send_all([1, 2, 3, 4, 5])?;
/// drop(publisher);
/// assert_eq!(subscriber.recv(), Err(RecvError::Lagged(3)));
/// assert_eq!((subscriber.recv(), subscriber.recv()), (Ok(4), Ok(5)));
/// assert_eq!(subscriber.recv(), Err(RecvError::Disconnected));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// So many messages were overwritten before this subscriber has read them
    /// ([`Overflow::DropOldest`](crate::channel::Overflow::DropOldest)). The next call goes on with the
    /// oldest one that is left.
    #[error("{0} messages were overwritten before they were read")]
    Lagged(u64),
    /// All messages are read, and there is no publisher any more, in any process, nor in a message or an
    /// argument; or the channel was closed.
    #[error("nobody sends into this channel any more")]
    Disconnected,
    /// There is no message now.
    #[error("there is no message")]
    Empty,
    /// There was no message in time.
    #[error("there was no message for {} ms", waited.as_millis())]
    TimedOut {
        /// How long it has waited.
        waited: Duration,
    },
    /// The task that receives was told to end: it was cancelled, say
    /// ([`Context::is_cancelled`](crate::Context::is_cancelled)). It waits no more; what is there
    /// can still be received.
    #[error("the task was told to end while it waited for a message")]
    Cancelled,
    /// There was one, and its type does not read what was written. The next call goes on with the one
    /// behind it.
    #[error("a message cannot be read: {message}")]
    Decode {
        /// What it is, and why.
        message: String,
    },
    /// The memory of the channel was spoilt, or its runtime has ended.
    #[error("the channel is gone: its runtime has ended, or its memory was damaged")]
    Gone,
    /// This process was forked off the one whose channel it is.
    #[error("this process was forked off the one whose channel it is")]
    Forked,
}

impl From<GaveUp> for RecvError {
    fn from(why: GaveUp) -> Self {
        match why {
            GaveUp::AtOnce => RecvError::Empty,
            GaveUp::Late(waited) => RecvError::TimedOut { waited },
            GaveUp::Told => RecvError::Cancelled,
        }
    }
}
