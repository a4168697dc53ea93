//! Broadcast channels: every subscriber gets every message.

use std::ffi::c_void;

use pinfold::broadcast::{Options, Publisher, RecvError, Subscriber};
use pinfold::channel::Overflow;

use crate::boundary::{answer, guard};
use crate::call::PinfoldCall;
use crate::cargo::Packet;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::message::{MessageObject, PinfoldMessage};
use crate::outgoing::{Outgoing, Readers};
use crate::runtime::{PinfoldRuntime, as_pointer, grown};
use crate::submit::PinfoldSubmitSettings;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::barrier::Own;
use super::mutex::patient;
use super::place::{Homed, Place, free, new, overflow_of};

/// The sending end of a broadcast channel.
pub struct PinfoldPublisher {
    _private: [u8; 0],
}

/// A subscription to a broadcast channel.
pub struct PinfoldSubscriber {
    _private: [u8; 0],
}

/// How a broadcast channel is made. Start from `PINFOLD_BROADCAST_SETTINGS_INIT`: a field that is 0 has its
/// default. Fields may be added at the end; `size` says which there are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldBroadcastSettings {
    /// `sizeof(pinfold_broadcast_settings)`.
    pub size: usize,
    /// What becomes of a message when somebody has not read the oldest one, and there is no room: a
    /// `pinfold_overflow`. Default: `PINFOLD_OVERFLOW_BLOCK`.
    pub overflow: i32,
    /// Must be 0.
    pub reserved: i32,
    /// How many subscribers there may be at a time, 512 at most; each takes 64 bytes. Default: 64.
    pub subscribers: usize,
}

type Sends = Homed<Publisher<Packet>>;
type Hears = Box<Own<Subscriber<Packet>>>;

fn publisher(handle: *mut PinfoldPublisher) -> Result<table::Guard<Sends>, Failure> {
    table::enter(handle.addr())
}

fn subscriber(handle: *mut PinfoldSubscriber) -> Result<table::Guard<Hears>, Failure> {
    table::enter(handle.addr())
}

/// # Safety
///
/// `settings` is null or a `pinfold_broadcast_settings`; `out_publisher` is null, or writable.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    capacity: usize,
    settings: *const PinfoldBroadcastSettings,
    out_publisher: *mut *mut PinfoldPublisher,
) -> PinfoldStatus {
    let options = || -> Result<Options, Failure> {
        // SAFETY: the caller's promise; all zero are the defaults.
        let settings = unsafe { grown("settings", settings) }?;
        let mut options = Options::new(capacity);
        if let Some(settings) = settings {
            let overflow: Overflow = overflow_of(settings.overflow, settings.reserved)?;
            options = options.overflow(overflow);
            if settings.subscribers != 0 {
                options = options.subscribers(settings.subscribers);
            }
        }
        Ok(options)
    };
    // What is wrong about settings is so in any place.
    let place = || options().and_then(|_| place());
    let made = |place: &Place| {
        let options = options()?;
        let it = match place {
            Place::Host(object) => object.runtime.broadcast_channel_with(options)?,
            Place::Task => pinfold::broadcast_channel_with(options)?,
        };
        let home = place.home();
        Ok(Homed { it, home })
    };
    // SAFETY: the caller's promise.
    unsafe { new("out_publisher", out_publisher, place, made) }
}

/// A broadcast channel between the processes of `runtime`, of `capacity` messages (rounded up to a
/// power of two): every subscriber gets every message that is sent after it has subscribed. `settings` may be
/// null: all defaults.
///
/// The publisher is the caller's: free it with `pinfold_publisher_free`. Tasks get publishers and
/// subscribers by `pinfold_submit_settings.objects`. The channel is over for its subscribers when no publisher is left
/// anywhere, and all messages are read.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a capacity or a setting that makes no sense, and
/// with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_broadcast_new`.
///
/// # Safety
///
/// `settings` is null or a `pinfold_broadcast_settings`; `out_publisher` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_broadcast_new(
    runtime: *mut PinfoldRuntime,
    capacity: usize,
    settings: *const PinfoldBroadcastSettings,
    out_publisher: *mut *mut PinfoldPublisher,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), capacity, settings, out_publisher) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_broadcast_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_broadcast_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_broadcast_new(
    call: *mut PinfoldCall,
    capacity: usize,
    settings: *const PinfoldBroadcastSettings,
    out_publisher: *mut *mut PinfoldPublisher,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), capacity, settings, out_publisher) }
}

/// Sends a message to all that are subscribed: `len` bytes, which are copied once, and what `settings`
/// say, as `pinfold_sender_send`. If nobody is, it is for nobody, and no failure. Waits at most
/// `timeout` nanoseconds for room; 0 does not wait, and `PINFOLD_FOREVER` is no limit.
///
/// Fails as `pinfold_sender_send`; with `PINFOLD_STATUS_DISCONNECTED` only if the channel was closed.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_sender_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_publisher_send(
    publisher: *mut PinfoldPublisher,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
) -> PinfoldStatus {
    guard(|| {
        let object = self::publisher(publisher)?;
        // SAFETY: the caller's promise.
        let outgoing = unsafe { Outgoing::new(&object.home, (data, len), settings, Readers::All) }?;
        let packet = outgoing.into_packet();
        let sent = match timeout {
            0 => object.it.try_send(packet),
            PINFOLD_FOREVER => object.it.send(packet),
            timeout => object.it.send_timeout(packet, duration(timeout)),
        };
        sent.map_err(|refused| Failure::from(refused.fault))
    })
}

/// One more subscriber of the channel, for all that is sent from now on.
///
/// The subscriber is the caller's: free it with `pinfold_subscriber_free`. It is moved to a task by
/// `pinfold_submit_settings.objects`, with all that it has not read; nothing is left of it then but the handle.
///
/// Fails with `PINFOLD_STATUS_TOO_MANY`, `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_SHUTDOWN` or
/// `PINFOLD_STATUS_FORKED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_subscriber` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_publisher_subscribe(
    publisher: *mut PinfoldPublisher,
    out_subscriber: *mut *mut PinfoldSubscriber,
) -> PinfoldStatus {
    let subscribe = || {
        let object = self::publisher(publisher)?;
        let it = object.it.subscribe()?;
        table::insert(Own::new(it, object.home.clone())).map(as_pointer)
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_subscriber", out_subscriber, subscribe) }
}

/// How many subscribers there are, at some moment.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_publisher_subscribers(
    publisher: *mut PinfoldPublisher,
    out_count: *mut usize,
) -> PinfoldStatus {
    let count = || Ok(self::publisher(publisher)?.it.subscribers());
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, count) }
}

/// One more publisher of the same channel, the caller's: free it with `pinfold_publisher_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_publisher` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_publisher_clone(
    publisher: *mut PinfoldPublisher,
    out_publisher: *mut *mut PinfoldPublisher,
) -> PinfoldStatus {
    let clone = || {
        let object = self::publisher(publisher)?;
        let it = object.it.clone();
        let home = object.home.clone();
        table::insert(Homed { it, home }).map(as_pointer)
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_publisher", out_publisher, clone) }
}

/// Closes the channel for all: no more messages are accepted. What was sent before is still read.
/// Whoever waits sees it.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_publisher_close(publisher: *mut PinfoldPublisher) -> PinfoldStatus {
    guard(|| {
        self::publisher(publisher)?.it.close();
        Ok(())
    })
}

/// Frees a publisher; the channel is over for its subscribers when it was the last one, and they have
/// read what was sent. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_publisher_free(publisher: *mut PinfoldPublisher) -> PinfoldStatus {
    free::<Sends>(publisher.addr())
}

/// The next message. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
/// `PINFOLD_FOREVER` is no limit.
///
/// The message is the caller's: free it with `pinfold_message_free`. `out_lagged` may be null.
///
/// Fails with `PINFOLD_STATUS_LAGGED` if messages were overwritten before they were read: how many is
/// written to `out_lagged`, and the next call goes on behind them; with `PINFOLD_STATUS_EMPTY` (there is
/// none, and the call does not wait), `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_DISCONNECTED` (all are
/// read, and nobody sends any more), `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_NOT_TRANSFERABLE`,
/// `PINFOLD_STATUS_MOVED`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_message` and `out_lagged` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_subscriber_recv(
    subscriber: *mut PinfoldSubscriber,
    timeout: u64,
    out_message: *mut *mut PinfoldMessage,
    out_lagged: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_message", out_message) };
    guard(|| {
        let out = out?;
        let object = self::subscriber(subscriber)?;
        let vacant = table::reserve()?;
        let it = object.get()?;
        let received = patient(
            timeout,
            || it.recv(),
            || it.try_recv(),
            |time| it.recv_timeout(time),
        );
        if let Err(RecvError::Lagged(count)) = &received
            && !out_lagged.is_null()
        {
            // SAFETY: the caller's promise.
            unsafe { out_lagged.write_unaligned(*count) };
        }
        let message = MessageObject::of(received?, object.home.clone());
        out.write(as_pointer(vacant.fill(Box::new(message))));
        Ok(())
    })
}

/// One more subscriber of the same channel, for all that is sent from now on, as
/// `pinfold_publisher_subscribe`.
///
/// Any thread.
///
/// # Safety
///
/// `out_subscriber` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_subscriber_subscribe(
    subscriber: *mut PinfoldSubscriber,
    out_subscriber: *mut *mut PinfoldSubscriber,
) -> PinfoldStatus {
    let subscribe = || {
        let object = self::subscriber(subscriber)?;
        let it = object.get()?.subscribe()?;
        table::insert(Own::new(it, object.home.clone())).map(as_pointer)
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_subscriber", out_subscriber, subscribe) }
}

/// How many messages wait to be read by this subscriber, at some moment.
///
/// Any thread.
///
/// # Safety
///
/// `out_len` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_subscriber_len(
    subscriber: *mut PinfoldSubscriber,
    out_len: *mut usize,
) -> PinfoldStatus {
    let len = || Ok(self::subscriber(subscriber)?.get()?.len());
    // SAFETY: the caller's promise.
    unsafe { answer("out_len", out_len, len) }
}

/// How many messages were overwritten before this subscriber has read them, in all.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_subscriber_lagged(
    subscriber: *mut PinfoldSubscriber,
    out_count: *mut u64,
) -> PinfoldStatus {
    let lagged = || Ok(self::subscriber(subscriber)?.get()?.lagged());
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, lagged) }
}

/// Closes the channel for all, as `pinfold_publisher_close`.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_subscriber_close(subscriber: *mut PinfoldSubscriber) -> PinfoldStatus {
    guard(|| {
        self::subscriber(subscriber)?.get()?.close();
        Ok(())
    })
}

/// Ends a subscription: nobody waits for it any more. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_subscriber_free(subscriber: *mut PinfoldSubscriber) -> PinfoldStatus {
    free::<Hears>(subscriber.addr())
}
