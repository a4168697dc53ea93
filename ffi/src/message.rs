//! A message that was received.

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use pinfold::Shared;
use pinfold::channel::{Delivery, Receipt, Sender};

use crate::boundary::{answer, guard};
use crate::buffer::{BufferObject, Part, PinfoldBuffer};
use crate::bytes::Bytes;
use crate::cargo::{Packet, Receives};
use crate::channel::{Home, PinfoldReceiver, PinfoldSender, ReceiverObject, SenderObject};
use crate::edge::Out;
use crate::error::Failure;
use crate::given::Given;
use crate::shared::thing::Thing;
use crate::{PinfoldStatus, table};

/// A message that was received from a channel.
pub struct PinfoldMessage {
    _private: [u8; 0],
}

/// Behind a `pinfold_message`.
pub(crate) struct MessageObject {
    pub(crate) data: Bytes,
    pub(crate) home: Home,
    pub(crate) buffers: Vec<Shared>,
    pub(crate) senders: Vec<Sender<Packet>>,
    pub(crate) receivers: Vec<Receives>,
    pub(crate) objects: Given<Thing>,
    /// Until it is acknowledged.
    pub(crate) receipt: Mutex<Option<Receipt>>,
    pub(crate) attempt: u32,
}

impl MessageObject {
    /// One that is gone from where it was.
    pub(crate) fn of(packet: Packet, home: Home) -> Self {
        Self::with(packet, home, None)
    }

    /// One that was received from a channel, which may have to be acknowledged.
    pub(crate) fn received(delivery: Delivery<Packet>, home: Home) -> Self {
        let (packet, receipt) = delivery.split();
        Self::with(packet, home, Some(receipt))
    }

    fn with(packet: Packet, home: Home, receipt: Option<Receipt>) -> Self {
        let Packet(data, buffers, senders, receivers, objects) = packet;
        MessageObject {
            data: Bytes::from(&data[..]),
            home,
            buffers,
            senders,
            receivers,
            objects: Given::of(objects),
            attempt: receipt.as_ref().map_or(1, Receipt::attempt),
            receipt: Mutex::new(receipt),
        }
    }
}

/// That one of a message's.
fn at<'a, T>(all: &'a [T], index: usize, what: &str) -> Result<&'a T, Failure> {
    let count = all.len();
    let none = || {
        Failure::argument(format!(
            "there is no {what} {index}: the message has {count}"
        ))
    };
    all.get(index).ok_or_else(none)
}

pub(crate) fn enter(
    message: *mut PinfoldMessage,
) -> Result<table::Guard<Box<MessageObject>>, Failure> {
    table::enter(message.addr())
}

/// The bytes of a message: where they begin, a multiple of 64, and how many there are.
///
/// The memory is the message's: it may be read until that is freed.
///
/// Any thread.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_data(
    message: *mut PinfoldMessage,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        let message = enter(message)?;
        data.write(message.data.as_ptr().cast());
        len.write(message.data.len());
        Ok(())
    })
}

/// How many buffers the message has.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_buffer_count(
    message: *mut PinfoldMessage,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, || Ok(enter(message)?.buffers.len())) }
}

/// A handle of buffer `index` of a message: the memory that was sent, in place. It is published.
///
/// The handle is the caller's, also when the message is freed: free it with `pinfold_buffer_free`.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
///
/// Any thread.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_buffer(
    message: *mut PinfoldMessage,
    index: usize,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    let buffer = || {
        let message = enter(message)?;
        let shared = at(&message.buffers, index, "buffer")?.clone();
        BufferObject::handle(message.home.number, Part::Shared(shared))
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_buffer", out_buffer, buffer) }
}

/// How many sending ends of channels the message has.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_sender_count(
    message: *mut PinfoldMessage,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, || Ok(enter(message)?.senders.len())) }
}

/// A handle of sending end `index` of a message, the caller's: free it with `pinfold_sender_free`. The
/// message has its own until it is freed.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
///
/// Any thread.
///
/// # Safety
///
/// `out_sender` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_sender(
    message: *mut PinfoldMessage,
    index: usize,
    out_sender: *mut *mut PinfoldSender,
) -> PinfoldStatus {
    let end = || {
        let message = enter(message)?;
        let end = at(&message.senders, index, "sender")?.clone();
        SenderObject::handle(end, message.home.clone())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_sender", out_sender, end) }
}

/// How many receiving ends of channels the message has.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_receiver_count(
    message: *mut PinfoldMessage,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe {
        answer("out_count", out_count, || {
            Ok(enter(message)?.receivers.len())
        })
    }
}

/// A handle of receiving end `index` of a message, the caller's: free it with
/// `pinfold_receiver_free`. The message has its own until it is freed.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
///
/// Any thread.
///
/// # Safety
///
/// `out_receiver` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_receiver(
    message: *mut PinfoldMessage,
    index: usize,
    out_receiver: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let end = || {
        let message = enter(message)?;
        let end = at(&message.receivers, index, "receiver")?.clone();
        ReceiverObject::handle(end, message.home.clone())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_receiver", out_receiver, end) }
}

/// The message was dealt with, and is not received again. In a channel that was made without
/// `pinfold_channel_settings.acks`, and the second time, this does nothing.
///
/// The message stays the caller's, to be freed.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_message_ack(message: *mut PinfoldMessage) -> PinfoldStatus {
    guard(|| {
        let message = enter(message)?;
        let receipt = message
            .receipt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(receipt) = receipt {
            receipt.ack();
        }
        Ok(())
    })
}

/// How often the message was received, this time included: 1, unless somebody had it before and did not
/// acknowledge it.
///
/// Any thread.
///
/// # Safety
///
/// `out_attempt` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_message_attempt(
    message: *mut PinfoldMessage,
    out_attempt: *mut u32,
) -> PinfoldStatus {
    let attempt = || Ok(enter(message)?.attempt);
    // SAFETY: the caller's promise.
    unsafe { answer("out_attempt", out_attempt, attempt) }
}

/// Frees a message, and what it has; one that was not acknowledged, of a channel whose messages
/// are, is received again. Null does nothing.
///
/// Any thread. What `pinfold_message_data` has returned may not be read any more.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_message_free(message: *mut PinfoldMessage) -> PinfoldStatus {
    guard(|| match message.is_null() {
        true => Ok(()),
        false => table::remove::<Box<MessageObject>>(message.addr()),
    })
}
