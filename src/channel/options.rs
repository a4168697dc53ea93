//! What a channel is made with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lane::{Shape, WEIGHT_MAX};
use crate::pool::{AllocError, Pool};
use crate::task::is_flat;

use super::ends::Endpoint;
use super::kind::{Kind, Overflow};
use super::message::SHORT;
use super::{Delivery, Receiver, Sender};

/// What a channel is made with: [`Runtime::channel_with`](crate::Runtime::channel_with) and
/// [`Runtime::acked_channel`](crate::Runtime::acked_channel); in a task
/// [`channel_with`](crate::channel_with()) and [`acked_channel`](crate::acked_channel()).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::channel::{Options, Overflow, SendFault};
///
/// let options = Options::new(100).bytes(1 << 20).overflow(Overflow::Reject);
/// let (sender, receiver) = rt.channel_with::<Vec<u8>>(options)?;
/// sender.send(vec![7; 1_000_000])?;
/// assert_eq!(sender.send(vec![7; 100_000]).unwrap_err().fault, SendFault::Full);
/// assert_eq!(receiver.recv()?.len(), 1_000_000);
/// sender.send(vec![7; 100_000])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    capacity: usize,
    overflow: Overflow,
    bytes: Option<usize>,
    pack_from: Option<u32>,
}

impl Options {
    /// A channel that holds `capacity` messages; 0: who sends waits until its message is taken. With
    /// [`Overflow::Block`], and without a bound of bytes.
    pub fn new(capacity: usize) -> Self {
        Options {
            capacity,
            overflow: Overflow::Block,
            bytes: None,
            pack_from: None,
        }
    }

    /// What becomes of a message for which there is no room.
    pub fn overflow(self, overflow: Overflow) -> Self {
        Options { overflow, ..self }
    }

    /// Messages that wait to be received are no more than so many bytes together, encoded and with
    /// their buffers: for one more that would be too much there is no room. A message that is longer by
    /// itself is refused: [`SendFault::TooLarge`](super::SendFault::TooLarge).
    ///
    /// Short messages may overtake a long one for which there is no room yet.
    pub fn bytes(self, bytes: usize) -> Self {
        Options {
            bytes: Some(bytes),
            ..self
        }
    }

    /// Messages of `from` encoded bytes or more are compressed, with LZ4, if that makes them smaller.
    /// Buffers in them ([`Loan`](crate::Loan), [`Shared`](crate::Shared)) are not. With the feature `lz4`.
    ///
    /// It is off unless this is called: within one machine nothing is saved but memory. To compress a
    /// message and expand it takes several times as long as the two copies that it would be, and a
    /// buffer is not copied at all. It is for channels in which much waits for long, and which are bounded by
    /// [bytes](Options::bytes): a compressed message counts as what it is.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::channel::Options;
    ///
    /// let options = Options::new(100).bytes(10_000).compress(1000);
    /// let (sender, receiver) = rt.channel_with::<Vec<u8>>(options)?;
    /// sender.send(vec![0; 1_000_000])?;
    /// assert_eq!(receiver.recv()?.len(), 1_000_000);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "lz4")]
    pub fn compress(self, from: usize) -> Self {
        Options {
            pack_from: Some(u32::try_from(from).unwrap_or(u32::MAX).max(1)),
            ..self
        }
    }

    fn checked(self) -> Result<Self, CreateError> {
        match self.bytes {
            Some(bytes) if bytes == 0 || bytes as u64 > WEIGHT_MAX => {
                Err(CreateError::Bytes { bytes })
            }
            Some(bytes) if self.capacity == 0 => Err(CreateError::HandedOver { bytes }),
            _ if self.capacity == 0 && self.overflow != Overflow::Block => {
                let overflow = self.overflow;
                Err(CreateError::NoRoom { overflow })
            }
            _ => Ok(self),
        }
    }
}

/// At least so many messages can be sent, and as many as the capacity, while an older one is not
/// acknowledged.
const UNACKED: usize = 64;

/// Why a channel was not made.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// use pinfold::channel::{CreateError, Options};
///
/// let error = rt.channel_with::<u32>(Options::new(4).bytes(0)).unwrap_err();
/// assert!(matches!(error, CreateError::Bytes { bytes: 0, .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// No message fits, or the bound is beyond all memory.
    #[error("a channel is bounded by 1 to {WEIGHT_MAX} bytes, not {bytes}")]
    #[non_exhaustive]
    Bytes {
        /// What was asked for.
        bytes: usize,
    },
    /// A channel of capacity 0 holds no bytes.
    #[error(
        "a channel of capacity 0 holds no messages: it cannot be bounded by {bytes} bytes; leave the bound out, or give it a capacity"
    )]
    #[non_exhaustive]
    HandedOver {
        /// What was asked for.
        bytes: usize,
    },
    /// A channel of capacity 0 never has room: who sends waits until its message is taken.
    #[error(
        "a channel of capacity 0 has no room that may be missing: its messages cannot be for `{overflow:?}`; take `Overflow::Block`, with `try_send` or `send_timeout`, or give it a capacity"
    )]
    #[non_exhaustive]
    NoRoom {
        /// What was asked for.
        overflow: Overflow,
    },
    /// Each queue of a router holds a message at least.
    #[error("the queue of each receiver of a router holds 1 message at least, not 0")]
    NoQueue,
    /// There is no shared memory for it.
    #[error("there is no memory for a channel: {0}")]
    Alloc(#[from] AllocError),
}

/// Messages of a channel of this type: most of its values should fit into a cell.
fn shape_for<T>(options: Options, kind: Kind) -> Shape {
    let capacity = options.capacity.max(1);
    let size = size_of::<T>();
    let is_plain = size > 0 && size <= SHORT && kind.is_simple() && options.bytes.is_none();
    let plain = if is_plain { size } else { 0 };
    let area = match size {
        // With the word in front they take a half, or a whole line.
        0..=8 => 2,
        9..=48 => 6,
        49..=64 => 8,
        _ => 14,
    };
    let area = match plain {
        0 => area,
        // No other messages come.
        _ if is_flat::<T>() => plain.div_ceil(8).saturating_sub(1),
        // A header less.
        49..=64 => 7,
        _ => area.max(plain.div_ceil(8) - 1),
    };
    Shape {
        capacity,
        behind: if kind.acks { capacity.max(UNACKED) } else { 0 },
        area,
        weight: options.bytes.unwrap_or(0) as u64,
        plain,
    }
}

/// Makes a channel in this pool.
pub fn make<T>(pool: &Pool, capacity: usize) -> Result<(Sender<T>, Receiver<T>), AllocError> {
    let (sender, receiver) = make_of::<T>(pool, Options::new(capacity), Kind::default())?;
    Ok((sender, Receiver::new(receiver)))
}

/// The same with options.
pub fn make_with<T>(
    pool: &Pool,
    options: Options,
) -> Result<(Sender<T>, Receiver<T>), CreateError> {
    let (sender, receiver) = make_of::<T>(pool, options.checked()?, Kind::default())?;
    Ok((sender, Receiver::new(receiver)))
}

/// One whose messages are acknowledged.
pub fn make_acked<T>(
    pool: &Pool,
    options: Options,
) -> Result<(Sender<T>, Receiver<Delivery<T>>), CreateError> {
    let kind = Kind {
        acks: true,
        ..Kind::default()
    };
    let (sender, receiver) = make_of::<T>(pool, options.checked()?, kind)?;
    Ok((sender, Receiver::new(receiver)))
}

/// One whose messages stay when the last receiver is gone.
pub fn make_kept<T>(pool: &Pool, capacity: usize) -> Result<(Sender<T>, Receiver<T>), AllocError> {
    let kind = Kind {
        is_kept: true,
        ..Kind::default()
    };
    let (sender, receiver) = make_of::<T>(pool, Options::new(capacity), kind)?;
    Ok((sender, Receiver::new(receiver)))
}

fn make_of<T>(
    pool: &Pool,
    options: Options,
    kind: Kind,
) -> Result<(Sender<T>, Arc<Endpoint>), AllocError> {
    let kind = Kind {
        is_rendezvous: options.capacity == 0,
        overflow: options.overflow,
        pack_from: options.pack_from.unwrap_or(0),
        ..kind
    };
    let [sender, receiver] = Endpoint::pair(pool, shape_for::<T>(options, kind), kind)?;
    Ok((Sender::new(sender), receiver))
}
