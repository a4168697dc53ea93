//! Why a message was not sent, or not received.

use std::fmt::{self, Debug, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::object::GaveUp;
use crate::pool::AllocError;

use super::message::Unfit;

/// Why a message was not sent.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::channel::SendFault;
///
/// let (sender, receiver) = rt.channel::<u32>(1)?;
/// sender.send(1)?;
/// let error = sender.try_send(2).unwrap_err();
/// assert!(matches!(error.fault, SendFault::Full));
/// drop(receiver);
/// let error = sender.send(3).unwrap_err();
/// assert!(matches!(error.fault, SendFault::Disconnected));
/// assert_eq!(error.into_value(), Some(3));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SendFault {
    /// There is no receiver any more, in any process, nor in a message or an argument; or the
    /// channel was closed.
    #[error("nobody receives from this channel any more")]
    Disconnected,
    /// There is no room now.
    #[error("the channel is full")]
    Full,
    /// There was no room in time.
    #[error("the channel was full for {} ms{}", waited.as_millis(), Receivers(receivers))]
    #[non_exhaustive]
    TimedOut {
        /// How long it has waited.
        waited: Duration,
        /// Who has receivers and did not read, and what each does: processes, their tasks, and what
        /// these wait for. Empty if it has waited for less than 100 ms.
        receivers: Vec<String>,
    },
    /// The task that sends was told to end: it was cancelled, say
    /// ([`Context::is_cancelled`](crate::Context::is_cancelled)). It waits no more; what needs no
    /// waiting still goes.
    #[error("the task was told to end while it waited for room in a channel")]
    Cancelled,
    /// A [`Router`](super::Router) has no receiver of this number.
    #[error("there is no receiver {receiver}: this router has {receivers}, numbered from 0")]
    #[non_exhaustive]
    NoReceiver {
        /// The number that was asked for.
        receiver: usize,
        /// How many there are, those that are gone among them.
        receivers: usize,
    },
    /// A [`Select`](super::Select) has chosen something else.
    #[error("the select has chosen something else: look at its index")]
    NotSelected,
    /// The value does not travel.
    #[error("it cannot be a message: {message}")]
    Encode {
        /// What it is, and why.
        message: String,
    },
    /// The channel is bounded by bytes, and it is longer by itself.
    #[error(
        "it has {bytes} bytes with its buffers, and all messages of this channel together may have {most}: send less at once, or make the channel with a larger bound"
    )]
    #[non_exhaustive]
    TooLarge {
        /// How many bytes it has, encoded and with its buffers.
        bytes: u64,
        /// What the channel was made with: [`Options::bytes`](super::Options::bytes).
        most: u64,
    },
    /// There is no shared memory for it.
    #[error("there is no memory for a message: {0}")]
    Alloc(#[from] AllocError),
    /// The memory of the channel was spoilt, or its runtime has ended.
    #[error("the channel is gone: its runtime has ended, or its memory was damaged")]
    Gone,
    /// This process was forked off the one whose channel it is.
    #[error("this process was forked off the one whose channel it is")]
    Forked,
}

/// In an error.
struct Receivers<'a>(&'a [String]);

impl Display for Receivers<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            all => write!(f, "; nobody read: receivers are in {}", all.join("; in ")),
        }
    }
}

impl From<GaveUp> for SendFault {
    fn from(why: GaveUp) -> Self {
        match why {
            GaveUp::AtOnce => SendFault::Full,
            GaveUp::Late(waited) => SendFault::TimedOut {
                waited,
                receivers: Vec::new(),
            },
            GaveUp::Told => SendFault::Cancelled,
        }
    }
}

impl From<Unfit> for SendFault {
    fn from(why: Unfit) -> Self {
        match why {
            Unfit::Encode(message) => SendFault::Encode { message },
            Unfit::Alloc(error) => SendFault::Alloc(error),
        }
    }
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

/// What could not be sent, and why.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendError<T> {
    value: Option<T>,
    /// Why.
    pub fault: SendFault,
}

impl<T> SendError<T> {
    pub(crate) fn new(value: Option<T>, fault: impl Into<SendFault>) -> Self {
        SendError {
            value,
            fault: fault.into(),
        }
    }

    /// The value. `None` if it went with a buffer that had to be copied, for which there was no
    /// memory.
    pub fn into_value(self) -> Option<T> {
        self.value
    }
}

impl<T> Debug for SendError<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut it = f.debug_struct("SendError");
        it.field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl<T> Display for SendError<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.fault, f)
    }
}

impl<T> std::error::Error for SendError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            SendFault::Alloc(error) => Some(error),
            _ => None,
        }
    }
}

/// Why no message was received.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::channel::RecvError;
///
/// let (sender, receiver) = rt.channel::<u32>(1)?;
/// assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
/// drop(sender);
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// No message is left, and there is no sender any more, in any process, nor in a message or an
    /// argument; or the channel was closed.
    #[error("nobody sends into this channel any more")]
    Disconnected,
    /// There is no message now.
    #[error("the channel is empty")]
    Empty,
    /// There was no message in time.
    #[error("the channel was empty for {} ms", waited.as_millis())]
    TimedOut {
        /// How long it has waited.
        waited: Duration,
    },
    /// The task that receives was told to end: it was cancelled, say
    /// ([`Context::is_cancelled`](crate::Context::is_cancelled)). It waits no more; what is there
    /// can still be received.
    #[error("the task was told to end while it waited for a message")]
    Cancelled,
    /// A [`Select`](super::Select) has chosen something else.
    #[error("the select has chosen something else: look at its index")]
    NotSelected,
    /// There was one, and its type does not read what was written. It is gone.
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

/// Why a [`Select`](super::Select) has chosen nothing.
///
/// ```
/// use pinfold::channel::{Select, SelectError};
///
/// let mut select = Select::new();
/// assert_eq!(select.try_wait().unwrap_err(), SelectError::NotReady);
/// assert_eq!(select.wait().unwrap_err(), SelectError::Nothing);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// None is ready now.
    #[error("none of what is waited for is ready")]
    NotReady,
    /// None was ready in time.
    #[error("none of what is waited for was ready for {} ms", waited.as_millis())]
    TimedOut {
        /// How long it has waited.
        waited: Duration,
    },
    /// There is nothing to wait for: all was removed, or has passed.
    #[error("there is nothing to wait for")]
    Nothing,
    /// The task that waits was told to end: it was cancelled, say
    /// ([`Context::is_cancelled`](crate::Context::is_cancelled)).
    #[error("the task was told to end while it waited for the first of several things")]
    Cancelled,
}

impl From<GaveUp> for SelectError {
    fn from(why: GaveUp) -> Self {
        match why {
            GaveUp::AtOnce => SelectError::NotReady,
            GaveUp::Late(waited) => SelectError::TimedOut { waited },
            GaveUp::Told => SelectError::Cancelled,
        }
    }
}
