//! How a channel is made.

use pinfold::channel::Options;

use crate::error::Failure;
use crate::shared::place::overflow_of;

/// What becomes of a message for which a channel has no room.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum PinfoldOverflow {
    /// Who sends it waits. The default.
    Block = 1,
    /// It is refused, with `PINFOLD_STATUS_FULL`, also if there is a timeout.
    Reject = 2,
    /// The oldest one is dropped instead, and counted (`pinfold_receiver_dropped`).
    DropOldest = 3,
}

/// How a channel is made. Start from `PINFOLD_CHANNEL_SETTINGS_INIT`: a field that is 0 has its
/// default. Fields may be added at the end; `size` says which there are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldChannelSettings {
    /// `sizeof(pinfold_channel_settings)`.
    pub size: usize,
    /// A `pinfold_overflow`. Default: `PINFOLD_OVERFLOW_BLOCK`.
    pub overflow: i32,
    /// Must be 0.
    pub reserved: i32,
    /// How many bytes the messages that wait may be together, with those of their buffers: for more
    /// there is no room, and one that is longer by itself fails with `PINFOLD_STATUS_TOO_LARGE`. Not
    /// for a channel of capacity 0. Default: 0, any number.
    pub bytes: u64,
    /// 1: a message that was received is received again, by this receiver or another, unless it is
    /// acknowledged (`pinfold_message_ack`): when it is freed, or its process dies. Buffers in messages
    /// stay the channel's until then. Default: 0, it is gone when it was received.
    pub acks: i32,
    /// Must be 0.
    pub reserved_2: i32,
    /// Messages of so many bytes or more are compressed (LZ4), if that makes them smaller; not the
    /// buffers in them. It saves memory and costs time. Default: 0, none is.
    pub compress_from: u64,
}

impl Default for PinfoldChannelSettings {
    fn default() -> Self {
        PinfoldChannelSettings {
            size: size_of::<Self>(),
            overflow: 0,
            reserved: 0,
            bytes: 0,
            acks: 0,
            reserved_2: 0,
            compress_from: 0,
        }
    }
}

impl PinfoldChannelSettings {
    pub(crate) fn options(&self, capacity: usize) -> Result<Options, Failure> {
        if self.reserved_2 != 0 {
            return Err(Failure::argument("`settings->reserved_2` must be 0"));
        }
        if !matches!(self.acks, 0 | 1) {
            let message = format!("`settings->acks` is {}, and must be 0 or 1", self.acks);
            return Err(Failure::argument(message));
        }
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let mut options =
            Options::new(capacity).overflow(overflow_of(self.overflow, self.reserved)?);
        if self.bytes > 0 {
            options = options.bytes(size(self.bytes));
        }
        if self.compress_from > 0 {
            options = options.compress(size(self.compress_from));
        }
        Ok(options)
    }
}
