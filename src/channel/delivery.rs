//! What is received: values themselves, or deliveries of them, which are received again unless they
//! are acknowledged.

use std::fmt::{Debug, Formatter};
use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keeping::Held;
use super::message::{self, Received, Short};
use super::{Receiver, RecvError};

/// What a [`Receiver`](super::Receiver) receives: any value that can be sent, or, in a channel whose
/// messages are acknowledged, a [`Delivery`] of one. No other type is.
pub trait Item: sealed::Take {}

impl<R: sealed::Take> Item for R {}

pub mod sealed {
    //! How it is received; nobody else's business.

    use super::{Received, RecvError, Short};

    pub trait Take: Sized {
        /// Whether messages may have to be acknowledged.
        const ACKS: bool;

        /// What the message says.
        fn of(received: Received) -> Result<Self, RecvError>;

        /// The same of one that is nothing but bytes, and is gone from its channel.
        fn of_bytes(short: &Short, bytes: (usize, bool)) -> Result<Self, RecvError>;
    }
}

impl<T: Serialize + DeserializeOwned> sealed::Take for T {
    const ACKS: bool = false;

    fn of(received: Received) -> Result<Self, RecvError> {
        let decoded = received.decode();
        decoded.map_err(|message| RecvError::Decode { message })
    }

    #[inline]
    fn of_bytes(short: &Short, bytes: (usize, bool)) -> Result<Self, RecvError> {
        let decoded = message::decode_bytes(short, bytes);
        decoded.map_err(|message| RecvError::Decode { message })
    }
}

impl<T: Serialize + DeserializeOwned> sealed::Take for Delivery<T> {
    const ACKS: bool = true;

    fn of(mut received: Received) -> Result<Self, RecvError> {
        // Given back if the user's code panics.
        let receipt = Receipt(received.take_held());
        match T::of(received) {
            Ok(value) => Ok(Delivery { value, receipt }),
            Err(error) => {
                receipt.ack();
                Err(error)
            }
        }
    }

    #[inline]
    fn of_bytes(short: &Short, bytes: (usize, bool)) -> Result<Self, RecvError> {
        let receipt = Receipt(None);
        T::of_bytes(short, bytes).map(|value| Delivery { value, receipt })
    }
}

impl<T> From<Receiver<T>> for Receiver<Delivery<T>> {
    /// For code that receives from channels of either sort. Messages are not acknowledged: each
    /// is gone from the channel when it was received, whatever is done with its delivery.
    fn from(receiver: Receiver<T>) -> Self {
        Receiver::new(receiver.end)
    }
}

/// A message that was received, and was not acknowledged yet; of a channel that was made by
/// [`Runtime::acked_channel`](crate::Runtime::acked_channel) or in a task by
/// [`acked_channel`](crate::acked_channel()).
///
/// It derefs to the value. Unless it is [acknowledged](Delivery::ack) the message is received again, by
/// this receiver or another, before all that nobody has received yet: when the delivery is dropped,
/// or its process dies. Of several the one that was sent first comes first.
#[must_use = "a message that is not acknowledged is received again"]
pub struct Delivery<T> {
    value: T,
    receipt: Receipt,
}

impl<T> Delivery<T> {
    /// The message was dealt with, and is not received again. Returns its value.
    pub fn ack(self) -> T {
        self.receipt.ack();
        self.value
    }

    /// The value, to be dealt with, and what acknowledges the message then.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::channel::Options;
    ///
    /// let (jobs, receiver) = rt.acked_channel::<String>(Options::new(1))?;
    /// jobs.send("work".to_owned())?;
    /// let (job, receipt) = receiver.recv()?.split();
    /// assert_eq!(job.into_bytes().len(), 4);
    /// receipt.ack();
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(self) -> (T, Receipt) {
        (self.value, self.receipt)
    }

    /// How often the message was received, this time included: 1, unless somebody had it before and
    /// did not acknowledge it. If a process dies just as it receives, or gives back, that may count
    /// once too often.
    pub fn attempt(&self) -> u32 {
        self.receipt.attempt()
    }
}

/// What acknowledges a message; made by [`Delivery::split`]. Dropped, it gives the message back as a
/// dropped delivery does.
#[must_use = "a message that is not acknowledged is received again"]
pub struct Receipt(Option<Held>);

impl Receipt {
    /// The message was dealt with, and is not received again.
    pub fn ack(self) {
        if let Some(held) = self.0 {
            held.acknowledge();
        }
    }

    /// As [`Delivery::attempt`].
    pub fn attempt(&self) -> u32 {
        self.0.as_ref().map_or(1, Held::attempt)
    }
}

impl Debug for Receipt {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt")
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

impl<T> Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Debug> Debug for Delivery<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("value", &self.value)
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
