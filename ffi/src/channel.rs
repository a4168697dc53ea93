//! Channels between processes: their two ends.
//!
//! Each handle is an end of its own: the channel is over for one side when the last end of the other
//! is gone, which is a handle, or in a message, or with a task.

use std::ffi::c_void;
use std::sync::{Arc, Weak};

use pinfold::channel::Sender;
use pinfold::{Loan, Shared};

use crate::boundary::{answer, guard};
use crate::buffer::{Part, WORKER, aligned};
use crate::call::{PinfoldCall, with};
use crate::cargo::{Packet, Receives};
use crate::channel_settings::PinfoldChannelSettings;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::message::{MessageObject, PinfoldMessage};
use crate::outgoing::{Outgoing, Readers};
use crate::runtime::{PinfoldRuntime, RuntimeObject, as_pointer, grown};
use crate::submit::PinfoldSubmitSettings;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

/// The sending end of a channel.
pub struct PinfoldSender {
    _private: [u8; 0],
}

/// The receiving end of a channel.
pub struct PinfoldReceiver {
    _private: [u8; 0],
}

/// Whose an end is.
#[derive(Clone)]
pub(crate) struct Home {
    /// The number of its runtime.
    pub(crate) number: u64,
    /// `None` in a worker, or when it was freed.
    runtime: Weak<RuntimeObject>,
}

impl Home {
    /// Of what a task has, in a worker.
    pub(crate) fn worker() -> Self {
        Home {
            number: WORKER,
            runtime: Weak::new(),
        }
    }

    /// Of what the host has of a runtime.
    pub(crate) fn host(object: &Arc<RuntimeObject>) -> Self {
        Home {
            number: object.number,
            runtime: Arc::downgrade(object),
        }
    }

    pub(crate) fn alloc(&self, len: usize) -> Result<Loan, Failure> {
        if self.number == WORKER {
            return Ok(aligned(len, pinfold::alloc)?);
        }
        let ended = || Failure::new(PinfoldStatus::Shutdown, "its runtime was freed");
        let object = self.runtime.upgrade().ok_or_else(ended)?;
        Ok(aligned(len, |len| object.runtime.alloc(len))?)
    }

    /// The same bytes, for whoever receives them.
    pub(crate) fn shared(&self, part: Part) -> Result<Shared, Failure> {
        Ok(match part {
            Part::Shared(shared) => shared,
            Part::Loan(loan) => loan.publish(),
            Part::Bytes(bytes) => {
                let mut loan = self.alloc(bytes.len())?;
                loan.copy_from_slice(&bytes);
                loan.publish()
            }
        })
    }
}

/// Behind a `pinfold_sender`.
pub(crate) struct SenderObject {
    pub(crate) end: Sender<Packet>,
    pub(crate) home: Home,
}

/// Behind a `pinfold_receiver`.
pub(crate) struct ReceiverObject {
    pub(crate) end: Receives,
    pub(crate) home: Home,
}

fn foreign() -> Failure {
    let message = "this end of a channel is of another runtime";
    Failure::new(PinfoldStatus::ForeignHandle, message)
}

impl SenderObject {
    /// C's handle of an end.
    pub(crate) fn handle(end: Sender<Packet>, home: Home) -> Result<*mut PinfoldSender, Failure> {
        table::insert(SenderObject { end, home }).map(as_pointer)
    }

    /// One more, for what is of runtime `home`.
    pub(crate) fn give(handle: *mut PinfoldSender, home: u64) -> Result<Sender<Packet>, Failure> {
        let object = table::enter::<SenderObject>(handle.addr())?;
        match object.home.number == home {
            true => Ok(object.end.clone()),
            false => Err(foreign()),
        }
    }

    fn send(&self, outgoing: Outgoing, timeout: u64) -> Result<(), Failure> {
        outgoing.send(|packet| {
            let sent = match timeout {
                0 => self.end.try_send(packet),
                PINFOLD_FOREVER => self.end.send(packet),
                timeout => self.end.send_timeout(packet, duration(timeout)),
            };
            sent.map_err(Box::new)
        })
    }
}

impl ReceiverObject {
    /// C's handle of an end.
    pub(crate) fn handle(end: Receives, home: Home) -> Result<*mut PinfoldReceiver, Failure> {
        table::insert(ReceiverObject { end, home }).map(as_pointer)
    }

    /// One more, for what is of runtime `home`.
    pub(crate) fn give(handle: *mut PinfoldReceiver, home: u64) -> Result<Receives, Failure> {
        let object = table::enter::<ReceiverObject>(handle.addr())?;
        match object.home.number == home {
            true => Ok(object.end.clone()),
            false => Err(foreign()),
        }
    }

    fn receive(&self, timeout: u64) -> Result<MessageObject, Failure> {
        let received = match timeout {
            0 => self.end.try_recv(),
            PINFOLD_FOREVER => self.end.recv(),
            timeout => self.end.recv_timeout(duration(timeout)),
        };
        Ok(MessageObject::received(received?, self.home.clone()))
    }
}

/// Both ends of a new channel.
struct Made {
    sender: Sender<Packet>,
    receiver: Receives,
    home: Home,
}

/// Writes both ends of a new channel.
///
/// # Safety
///
/// `out_sender` and `out_receiver` are null, or writable; `settings` is null or a
/// `pinfold_channel_settings`.
unsafe fn make(
    settings: *const PinfoldChannelSettings,
    (out_sender, out_receiver): (*mut *mut PinfoldSender, *mut *mut PinfoldReceiver),
    make: impl FnOnce(PinfoldChannelSettings) -> Result<Made, Failure>,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (to_sender, to_receiver) = unsafe {
        (
            Out::new("out_sender", out_sender),
            Out::new("out_receiver", out_receiver),
        )
    };
    guard(move || {
        let (to_sender, to_receiver) = (to_sender?, to_receiver?);
        // SAFETY: the caller's promise; all zero are the defaults.
        let settings = unsafe { grown("settings", settings) }?;
        let settings = settings.unwrap_or_default();
        let places = (table::reserve()?, table::reserve()?);
        let Made {
            sender,
            receiver,
            home,
        } = make(settings)?;
        let sender = SenderObject {
            end: sender,
            home: home.clone(),
        };
        to_sender.write(as_pointer(places.0.fill(sender)));
        let receiver = ReceiverObject {
            end: receiver,
            home,
        };
        to_receiver.write(as_pointer(places.1.fill(receiver)));
        Ok(())
    })
}

/// A channel between the processes of `runtime`: what is sent into one end is received at the other,
/// in this process or any worker. It holds `capacity` messages; one of capacity 0 holds none, and who
/// sends waits until the message is taken. `settings` may be null: all defaults.
///
/// Both ends are the caller's: free each with `pinfold_sender_free` and `pinfold_receiver_free`, at
/// any time, also after the runtime. An end is passed to a task (`pinfold_submit_settings.senders`)
/// or sent in a message; each is one more end of the same channel. A channel
/// is over for its receivers when no sender is left anywhere and all messages are taken, and for its
/// senders when no receiver is left: so free an end here that is a task's now.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a setting that makes no sense, and with
/// `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_channel_new`.
///
/// # Safety
///
/// `settings` is null or a `pinfold_channel_settings`; `out_sender` and `out_receiver` are null, or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_channel_new(
    runtime: *mut PinfoldRuntime,
    capacity: usize,
    settings: *const PinfoldChannelSettings,
    out_sender: *mut *mut PinfoldSender,
    out_receiver: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let from_runtime = |settings: PinfoldChannelSettings| {
        let object = crate::runtime::runtime(runtime)?;
        let options = settings.options(capacity)?;
        let (sender, receiver) = match settings.acks {
            0 => {
                let (sender, receiver) = object.runtime.channel_with(options)?;
                (sender, receiver.into())
            }
            _ => object.runtime.acked_channel(options)?,
        };
        let home = Home::host(&object);
        Ok(Made {
            sender,
            receiver,
            home,
        })
    };
    // SAFETY: the caller's promise.
    unsafe { make(settings, (out_sender, out_receiver), from_runtime) }
}

/// The same in a task.
///
/// Both handles are the worker process's, also after the call: free each. With the process they end.
///
/// Fails as `pinfold_channel_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_channel_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_channel_new(
    call: *mut PinfoldCall,
    capacity: usize,
    settings: *const PinfoldChannelSettings,
    out_sender: *mut *mut PinfoldSender,
    out_receiver: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let in_task = |settings: PinfoldChannelSettings| {
        with(call, |_| Ok(()))?;
        let options = settings.options(capacity)?;
        let (sender, receiver) = match settings.acks {
            0 => {
                let (sender, receiver) = pinfold::channel_with(options)?;
                (sender, receiver.into())
            }
            _ => pinfold::acked_channel(options)?,
        };
        Ok(Made {
            sender,
            receiver,
            home: Home::worker(),
        })
    };
    // SAFETY: the caller's promise.
    unsafe { make(settings, (out_sender, out_receiver), in_task) }
}

/// Sends a message: `len` bytes, which are copied, and what `settings` say (null: nothing): published
/// buffers, which are not copied, ends of channels, and other objects. Waits at most `timeout` nanoseconds
/// for room; 0 does not wait, and `PINFOLD_FOREVER` is no limit. What one sender has sent
/// arrives in that order.
///
/// Fails with `PINFOLD_STATUS_FULL` (there is no room, and the call does not wait; or the channel
/// rejects), `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_DISCONNECTED` (nobody receives any more, or
/// the channel was closed), `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it
/// waited), `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE`, `PINFOLD_STATUS_SHUTDOWN` (the
/// runtime has ended), `PINFOLD_STATUS_FORKED`; for what goes with it as
/// `pinfold_task_submit_with`; and with `PINFOLD_STATUS_INVALID_ARGUMENT` if `settings` move
/// buffers or name tasks. Then nothing was sent, and nothing moved.
///
/// Any thread. In a task it keeps the executor that runs it: there must be more of these than tasks
/// that wait for each other.
///
/// # Safety
///
/// `len` bytes can be read at `data` (null if there are none); `settings` is null or a
/// `pinfold_submit_settings`, where so many handles can be read as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_sender_send(
    sender: *mut PinfoldSender,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
) -> PinfoldStatus {
    guard(|| {
        let sender = table::enter::<SenderObject>(sender.addr())?;
        // SAFETY: the caller's promise.
        let outgoing = unsafe { Outgoing::new(&sender.home, (data, len), settings, Readers::One) }?;
        sender.send(outgoing, timeout)
    })
}

/// One more sending end of the same channel, the caller's: free it with `pinfold_sender_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_sender` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_sender_clone(
    sender: *mut PinfoldSender,
    out_sender: *mut *mut PinfoldSender,
) -> PinfoldStatus {
    let clone = || {
        let object = table::enter::<SenderObject>(sender.addr())?;
        SenderObject::handle(object.end.clone(), object.home.clone())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_sender", out_sender, clone) }
}

/// How many messages are in the channel, at some moment: always 0 if its capacity is.
///
/// Any thread.
///
/// # Safety
///
/// `out_len` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_sender_len(
    sender: *mut PinfoldSender,
    out_len: *mut usize,
) -> PinfoldStatus {
    let len = || Ok(table::enter::<SenderObject>(sender.addr())?.end.len());
    // SAFETY: the caller's promise.
    unsafe { answer("out_len", out_len, len) }
}

/// How many messages the channel holds: at least as many as it was made for.
///
/// Any thread.
///
/// # Safety
///
/// `out_capacity` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_sender_capacity(
    sender: *mut PinfoldSender,
    out_capacity: *mut usize,
) -> PinfoldStatus {
    let capacity = || Ok(table::enter::<SenderObject>(sender.addr())?.end.capacity());
    // SAFETY: the caller's promise.
    unsafe { answer("out_capacity", out_capacity, capacity) }
}

/// Closes the channel for all: no more messages are accepted. What was sent before is still received.
/// Whoever waits sees it.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_sender_close(sender: *mut PinfoldSender) -> PinfoldStatus {
    guard(|| {
        table::enter::<SenderObject>(sender.addr())?.end.close();
        Ok(())
    })
}

/// Frees a sending end; the channel is over for its receivers when it was the last one, and they have taken what was sent.
/// Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_sender_free(sender: *mut PinfoldSender) -> PinfoldStatus {
    guard(|| match sender.is_null() {
        true => Ok(()),
        false => table::remove::<SenderObject>(sender.addr()),
    })
}

/// The next message of a channel. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
/// `PINFOLD_FOREVER` is no limit. Each message is received once, by one of the receivers.
///
/// The message is the caller's: free it with `pinfold_message_free`.
///
/// Fails with `PINFOLD_STATUS_EMPTY` (there is none, and the call does not wait),
/// `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_DISCONNECTED` (all are taken, and nobody sends any
/// more, or the channel was closed), `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it
/// waited), `PINFOLD_STATUS_NOT_TRANSFERABLE` (it was sent by something else than this library's C
/// functions, and does not read; it is gone), `PINFOLD_STATUS_SHUTDOWN` (the runtime has ended) or
/// `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it, as `pinfold_sender_send`.
///
/// # Safety
///
/// `out_message` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_receiver_recv(
    receiver: *mut PinfoldReceiver,
    timeout: u64,
    out_message: *mut *mut PinfoldMessage,
) -> PinfoldStatus {
    let receive = || {
        let receiver = table::enter::<ReceiverObject>(receiver.addr())?;
        // First: a message that was taken has a handle.
        let vacant = table::reserve()?;
        let message = Box::new(receiver.receive(timeout)?);
        Ok(as_pointer(vacant.fill(message)))
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_message", out_message, receive) }
}

/// One more receiving end of the same channel, the caller's: free it with `pinfold_receiver_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_receiver` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_receiver_clone(
    receiver: *mut PinfoldReceiver,
    out_receiver: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let clone = || {
        let object = table::enter::<ReceiverObject>(receiver.addr())?;
        ReceiverObject::handle(object.end.clone(), object.home.clone())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_receiver", out_receiver, clone) }
}

/// How many messages are in the channel, at some moment: always 0 if its capacity is.
///
/// Any thread.
///
/// # Safety
///
/// `out_len` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_receiver_len(
    receiver: *mut PinfoldReceiver,
    out_len: *mut usize,
) -> PinfoldStatus {
    let len = || Ok(table::enter::<ReceiverObject>(receiver.addr())?.end.len());
    // SAFETY: the caller's promise.
    unsafe { answer("out_len", out_len, len) }
}

/// How many messages were dropped to make room for others (`PINFOLD_OVERFLOW_DROP_OLDEST`).
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_receiver_dropped(
    receiver: *mut PinfoldReceiver,
    out_count: *mut u64,
) -> PinfoldStatus {
    let count = || {
        Ok(table::enter::<ReceiverObject>(receiver.addr())?
            .end
            .dropped())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// How many messages were received and neither acknowledged nor given back, at some moment, in a channel whose
/// messages are acknowledged; else 0.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_receiver_unacknowledged(
    receiver: *mut PinfoldReceiver,
    out_count: *mut usize,
) -> PinfoldStatus {
    let count = || {
        Ok(table::enter::<ReceiverObject>(receiver.addr())?
            .end
            .unacknowledged())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// How many messages were lost with receivers that died while they took them.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_receiver_lost(
    receiver: *mut PinfoldReceiver,
    out_count: *mut u64,
) -> PinfoldStatus {
    let count = || Ok(table::enter::<ReceiverObject>(receiver.addr())?.end.lost());
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// Closes the channel for all, as `pinfold_sender_close`.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_receiver_close(receiver: *mut PinfoldReceiver) -> PinfoldStatus {
    guard(|| {
        table::enter::<ReceiverObject>(receiver.addr())?.end.close();
        Ok(())
    })
}

/// Frees a receiving end; the channel is over for its senders when it was the last one. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_receiver_free(receiver: *mut PinfoldReceiver) -> PinfoldStatus {
    guard(|| match receiver.is_null() {
        true => Ok(()),
        false => table::remove::<ReceiverObject>(receiver.addr()),
    })
}
