//! Routers: one sender for several receivers.

use std::ffi::c_void;

use parking_lot::Mutex as Inside;
use pinfold::channel::Router;

use crate::boundary::{answer, guard};
use crate::call::PinfoldCall;
use crate::cargo::Packet;
use crate::channel::{Home, PinfoldReceiver, ReceiverObject};
use crate::edge::{Out, bytes, duration};
use crate::error::Failure;
use crate::outgoing::{Outgoing, Readers, Refused};
use crate::runtime::{PinfoldRuntime, as_pointer};
use crate::submit::PinfoldSubmitSettings;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::place::{Place, free};

/// Sends each message to one of several receivers, each of which has a queue of its own.
pub struct PinfoldRouter {
    _private: [u8; 0],
}

/// So many receivers one may begin with.
const RECEIVERS_MAX: usize = 4096;

/// Behind a `pinfold_router`.
pub(crate) struct RouterObject {
    router: Inside<Router<Packet>>,
    pub(crate) home: Home,
}

impl RouterObject {
    pub(crate) fn new(router: Router<Packet>, home: Home) -> Box<Self> {
        let router = Inside::new(router);
        Box::new(RouterObject { router, home })
    }

    /// One that goes on with the same receivers.
    pub(crate) fn get(&self) -> Router<Packet> {
        self.router.lock().clone()
    }
}

fn enter(router: *mut PinfoldRouter) -> Result<table::Guard<Box<RouterObject>>, Failure> {
    table::enter(router.addr())
}

/// # Safety
///
/// As for `pinfold_router_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    (count, capacity): (usize, usize),
    out_router: *mut *mut PinfoldRouter,
    out_receivers: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_router", out_router) };
    guard(|| {
        let out = out?;
        if out_receivers.is_null() {
            return Err(Failure::null("out_receivers"));
        }
        let place = place()?;
        if !(1..=RECEIVERS_MAX).contains(&count) {
            let message =
                format!("`count`: a router has 1 to {RECEIVERS_MAX} receivers, not {count}");
            return Err(Failure::argument(message));
        }
        let home = place.home();
        let vacant = (0..=count).map(|_| table::reserve());
        let mut vacant = vacant.collect::<Result<Vec<_>, _>>()?.into_iter();
        let (router, receivers) = match &place {
            Place::Host(object) => object.runtime.router::<Packet>(count, capacity)?,
            Place::Task => pinfold::router(count, capacity)?,
        };
        if let Some(vacant) = vacant.next() {
            out.write(as_pointer(
                vacant.fill(RouterObject::new(router, home.clone())),
            ));
        }
        for (at, (end, vacant)) in receivers.into_iter().zip(vacant).enumerate() {
            let (home, end) = (home.clone(), end.into());
            let handle = as_pointer(vacant.fill(ReceiverObject { end, home }));
            // SAFETY: the caller's promise.
            unsafe { out_receivers.add(at).write_unaligned(handle) };
        }
        Ok(())
    })
}

/// A router among the processes of `runtime`, and its receivers: writes `count` of them, 1 to 4096,
/// to `out_receivers`, in the order of their numbers. Each has a queue of its own of `capacity` messages, 1
/// at least.
///
/// All are the caller's: free each with `pinfold_router_free` and `pinfold_receiver_free`. Tasks get
/// the router by `pinfold_submit_settings.objects`, and receivers by `.receivers`. What is left in the
/// queue of a receiver that is gone (freed everywhere, or its worker has died) is handed on to the others by whoever
/// sends next.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another count, and with
/// `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_router_new`.
///
/// # Safety
///
/// `out_router` is null, or writable; `count` handles can be written at `out_receivers`, or it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_new(
    runtime: *mut PinfoldRuntime,
    count: usize,
    capacity: usize,
    out_router: *mut *mut PinfoldRouter,
    out_receivers: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let place = || Place::host(runtime);
    // SAFETY: the caller's promise.
    unsafe { make(place, (count, capacity), out_router, out_receivers) }
}

/// The same in a task. The handles are the worker process's, also after the call: free each.
///
/// Fails as `pinfold_router_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_router_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_router_new(
    call: *mut PinfoldCall,
    count: usize,
    capacity: usize,
    out_router: *mut *mut PinfoldRouter,
    out_receivers: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let place = || Place::task(call);
    // SAFETY: the caller's promise.
    unsafe { make(place, (count, capacity), out_router, out_receivers) }
}

/// Sends what C says, by `send`.
///
/// # Safety
///
/// As for `pinfold_sender_send`.
unsafe fn send(
    router: *mut PinfoldRouter,
    data: (*const c_void, usize),
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
    send: impl FnOnce(&Router<Packet>, Packet) -> Result<(), Refused>,
) -> Result<(), Failure> {
    let object = enter(router)?;
    // SAFETY: the caller's promise.
    let outgoing = unsafe { Outgoing::new(&object.home, data, settings, Readers::One) }?;
    let mut own = object.get();
    own.set_timeout((timeout != PINFOLD_FOREVER).then(|| duration(timeout)));
    outgoing.send(|packet| send(&own, packet))
}

/// Sends a message to the receiver of this number: bytes, and what `settings` say, as `pinfold_sender_send`. Waits
/// at most `timeout` nanoseconds while its queue is full; `PINFOLD_FOREVER` is no limit.
///
/// Fails as `pinfold_sender_send`, with `PINFOLD_STATUS_TIMED_OUT` also if `timeout` is 0; with
/// `PINFOLD_STATUS_DISCONNECTED` if that receiver is gone, or there is none of this number.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_sender_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_send(
    router: *mut PinfoldRouter,
    number: usize,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        send(router, (data, len), settings, timeout, |own, packet| {
            own.route(number, packet).map_err(Box::new)
        })
    })
}

/// Sends a message to the receiver that has this key, which is any bytes. All of one key go to the same one, in order,
/// as long as it lives; few keys move when one comes or goes. The same key is the same receiver's in all
/// processes. Else as `pinfold_router_send`; with `PINFOLD_STATUS_DISCONNECTED` if no receiver is left.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `key_len` bytes can be read at `key`; and as for `pinfold_sender_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_send_by_key(
    router: *mut PinfoldRouter,
    key: *const c_void,
    key_len: usize,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let key = unsafe { bytes("key", key, key_len) }?;
        // SAFETY: the caller's promise.
        unsafe {
            send(router, (data, len), settings, timeout, |own, packet| {
                own.send_by_key(key, packet).map_err(Box::new)
            })
        }
    })
}

/// Sends a message to the receiver whose queue is the shortest now; if all are full, to the first that has room. Else as
/// `pinfold_router_send`; with `PINFOLD_STATUS_DISCONNECTED` if no receiver is left.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_sender_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_balance(
    router: *mut PinfoldRouter,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        send(router, (data, len), settings, timeout, |own, packet| {
            own.balance(packet).map_err(Box::new)
        })
    })
}

/// The number of the receiver that has this key now.
///
/// Fails with `PINFOLD_STATUS_DISCONNECTED` if no receiver is left.
///
/// Any thread.
///
/// # Safety
///
/// `key_len` bytes can be read at `key`; `out_number` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_receiver_of(
    router: *mut PinfoldRouter,
    key: *const c_void,
    key_len: usize,
    out_number: *mut usize,
) -> PinfoldStatus {
    let number = || {
        // SAFETY: the caller's promise.
        let key = unsafe { bytes("key", key, key_len) }?;
        let none = || Failure::new(PinfoldStatus::Disconnected, "no receiver is left");
        enter(router)?.get().receiver_of(key).ok_or_else(none)
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_number", out_number, number) }
}

/// Whether the receiver of this number is there: 1 or 0.
///
/// Any thread.
///
/// # Safety
///
/// `out_is_there` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_is_there(
    router: *mut PinfoldRouter,
    number: usize,
    out_is_there: *mut i32,
) -> PinfoldStatus {
    let is_there = || Ok(enter(router)?.get().living().contains(&number).into());
    // SAFETY: the caller's promise.
    unsafe { answer("out_is_there", out_is_there, is_there) }
}

/// How many messages were lost with receivers that died while they took them.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_lost(
    router: *mut PinfoldRouter,
    out_count: *mut u64,
) -> PinfoldStatus {
    let lost = || Ok(enter(router)?.get().lost());
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, lost) }
}

/// One more receiver, with the next number, the caller's: free it with `pinfold_receiver_free`. From now
/// on this router sends to it, too; others that tasks have do not.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread.
///
/// # Safety
///
/// `out_receiver` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_join(
    router: *mut PinfoldRouter,
    out_receiver: *mut *mut PinfoldReceiver,
) -> PinfoldStatus {
    let join = || {
        let object = enter(router)?;
        let end = object.router.lock().join()?.into();
        let home = object.home.clone();
        table::insert(ReceiverObject { end, home }).map(as_pointer)
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_receiver", out_receiver, join) }
}

/// Sends no more to the receiver of this number; it takes what is in its queue.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there is none.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_router_leave(router: *mut PinfoldRouter, number: usize) -> PinfoldStatus {
    guard(|| match enter(router)?.router.lock().leave(number) {
        true => Ok(()),
        false => Err(Failure::argument(format!(
            "there is no receiver {number} (any more)"
        ))),
    })
}

/// Hands on what is left in the queues of receivers that are gone: how many messages that were. Waits at
/// most `timeout` nanoseconds for each while the queues of others are full. If no receiver is left, they stay.
///
/// Fails as `pinfold_router_send`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_router_hand_on(
    router: *mut PinfoldRouter,
    timeout: u64,
    out_count: *mut usize,
) -> PinfoldStatus {
    let hand_on = || {
        let mut own = enter(router)?.get();
        own.set_timeout((timeout != PINFOLD_FOREVER).then(|| duration(timeout)));
        own.hand_on().map_err(|refused| refused.fault.into())
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_count", out_count, hand_on) }
}

/// Frees a router; its receivers are told that nobody sends when no other has it, and they have taken
/// what is in their queues. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_router_free(router: *mut PinfoldRouter) -> PinfoldStatus {
    free::<Box<RouterObject>>(router.addr())
}
