//! Waiting for the first of several things.
//!
//! Each call is one of its own, as a `select` of Go is: nothing is kept between two of them, but for
//! where the thread begins to look, so that of what is always ready each has its turn.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use pinfold::broadcast::Subscriber;
use pinfold::channel::{Select, SelectError, Sender};
use pinfold::sync::Ticker;

use crate::boundary::guard;
use crate::cargo::Packet;
use crate::channel::{PinfoldReceiver, PinfoldSender, ReceiverObject, SenderObject};
use crate::child::{self, PinfoldChild, is_child};
use crate::edge::{Out, list};
use crate::ends::Hears;
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle};
use crate::message::{MessageObject, PinfoldMessage};
use crate::objects::Kind;
use crate::outgoing::{Outgoing, Readers};
use crate::runtime::as_pointer;
use crate::submit::PinfoldSubmitSettings;
use crate::table::{self, Guard};
use crate::{PINFOLD_FOREVER, PinfoldStatus};

use super::barrier::Own;
use super::place::Homed;

/// One of the things that `pinfold_select` waits for: of `receiver`, `sender`, `handle`, `at` and `object` one is set.
/// Where none is, it is never ready: so set what is over to null. All else is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldCase {
    /// A message of this receiver, which is received then; or nobody sends any more.
    pub receiver: *mut PinfoldReceiver,
    /// Room for a message, which is sent then; or nobody receives any more.
    pub sender: *mut PinfoldSender,
    /// What is sent: bytes, which are copied when it is.
    pub data: *const c_void,
    /// How many.
    pub len: usize,
    /// What goes with them, as for `pinfold_sender_send`; or null.
    pub settings: *const PinfoldSubmitSettings,
    /// The end of this task.
    pub handle: *mut PinfoldHandle,
    /// A time: nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// A `pinfold_subscriber`: a message of it, or its end; a `pinfold_ticker`: its next tick; or, in a task, a
    /// `pinfold_child` of that: its end. Nothing is received by that, or told: ask it then, without waiting
    /// (`pinfold_subscriber_recv`, `pinfold_ticker_missed`, `pinfold_child_wait`).
    pub object: *mut c_void,
    /// Must be 0.
    pub reserved: usize,
}

/// One case, looked up.
enum Of {
    Receiver(Guard<ReceiverObject>),
    Sender(Guard<SenderObject>, Option<Outgoing>),
    Handle(Guard<TaskHandle>),
    Time(Duration),
    Subscriber(Arc<Subscriber<Packet>>),
    Ticker(Guard<Homed<Ticker>>),
    Child(*mut PinfoldChild),
    Nothing,
}

/// Wakes a select when a task ends.
struct Ear(Waker);

impl Hears for Ear {
    fn hears(&self, _: u64) {
        self.0.wake_by_ref();
    }
}

fn now() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes to `time`, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// # Safety
///
/// As for `pinfold_select`.
unsafe fn look_up(case: &PinfoldCase, number: usize) -> Result<Of, Failure> {
    let set = [
        !case.receiver.is_null(),
        !case.sender.is_null(),
        !case.handle.is_null(),
        case.at != 0,
        !case.object.is_null(),
    ];
    if set.iter().filter(|set| **set).count() > 1 {
        let message = format!("`cases[{number}]` is for more than one thing");
        return Err(Failure::argument(message));
    }
    if case.reserved != 0 {
        let message = format!("`cases[{number}].reserved` must be 0");
        return Err(Failure::argument(message));
    }
    Ok(match set.iter().position(|set| *set) {
        Some(0) => Of::Receiver(table::enter(case.receiver.addr())?),
        Some(1) => {
            let sender = table::enter::<SenderObject>(case.sender.addr())?;
            let data = (case.data, case.len);
            // SAFETY: the caller's promise.
            let outgoing =
                unsafe { Outgoing::new(&sender.home, data, case.settings, Readers::One) }?;
            Of::Sender(sender, Some(outgoing))
        }
        Some(2) => Of::Handle(table::enter(case.handle.addr())?),
        Some(3) => Of::Time(Duration::from_nanos(case.at).saturating_sub(now())),
        Some(_) => object(case.object.addr(), number)?,
        None => Of::Nothing,
    })
}

fn object(handle: usize, number: usize) -> Result<Of, Failure> {
    type Subscribes = Box<Own<Subscriber<Packet>>>;
    let kind = table::kind(handle);
    if kind == Subscribes::KIND {
        Ok(Of::Subscriber(table::enter::<Subscribes>(handle)?.get()?))
    } else if kind == Homed::<Ticker>::KIND {
        Ok(Of::Ticker(table::enter(handle)?))
    } else if is_child(handle) {
        Ok(Of::Child(as_pointer(handle)))
    } else {
        let message = format!(
            "`cases[{number}].object` is no pinfold_subscriber, pinfold_ticker or pinfold_child"
        );
        Err(Failure::new(PinfoldStatus::BadHandle, message))
    }
}

/// Where to begin to look: somewhere else each time.
fn first_of(count: usize) -> usize {
    thread_local! {
        static TURN: Cell<usize> = const { Cell::new(0) };
    }
    let turn = TURN.try_with(|turn| turn.replace(turn.get().wrapping_add(1)));
    turn.unwrap_or(0) % count.max(1)
}

/// Waits for the first of `count` things that is ready, and does it: receives the message, or sends it.
/// Nobody else can come in between. Waits at most `timeout` nanoseconds; 0 does not wait, and
/// `PINFOLD_FOREVER` is no limit. If several are ready, they take turns.
///
/// `out_index` is which one it was. The message that was received is the caller's: free it with
/// `pinfold_message_free`; for others null is written to `out_message`, which may be null if no case has a
/// receiver. A handle of a task that has ended stays ready, and is not joined by that; nor is a child. If nobody has
/// begun a child when the thread would sleep, it is run here, as by `pinfold_child_wait`.
///
/// Into a channel of capacity 0 it sends when a receiver waits: in `pinfold_receiver_recv`, or in another
/// select, but not one that only tries. Into one that is bounded by bytes it sends when there is room for the message.
///
/// Fails with `PINFOLD_STATUS_NOTHING_YET` (none is ready, and the call does not wait),
/// `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it
/// waited), `PINFOLD_STATUS_INVALID_ARGUMENT` (a case is for several things; or there is nothing to wait for);
/// and with what became of the one that was chosen, as of `pinfold_receiver_recv` or
/// `pinfold_sender_send`: `PINFOLD_STATUS_DISCONNECTED`, above all. Then `out_index` is written, too: set
/// that case to null before the next call. (`PINFOLD_STATUS_FULL` is of a channel of capacity 0 whose receiver has left
/// meanwhile: try again.)
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `count` cases can be read at `cases`, and what each of them names as for `pinfold_sender_send`;
/// `out_index` and `out_message` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_select(
    cases: *const PinfoldCase,
    count: usize,
    timeout: u64,
    out_index: *mut usize,
    out_message: *mut *mut PinfoldMessage,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (to_index, to_message) = unsafe {
        (
            Out::new("out_index", out_index),
            Out::new("out_message", out_message),
        )
    };
    guard(|| {
        let to_index = to_index?;
        // SAFETY: the caller's promise.
        let cases = unsafe { list("cases", cases, count) }?;
        if cases.iter().all(|case| case.receiver.is_null()) {
            // It is not needed.
        } else if let Err(failure) = &to_message {
            return Err(Failure::new(failure.status, failure.message.clone()));
        }
        let numbered = cases.iter().enumerate();
        // SAFETY: the caller's promise.
        let all = numbered.map(|(number, case)| unsafe { look_up(case, number) });
        let mut all = all.collect::<Result<Vec<_>, _>>()?;
        let vacant = table::reserve()?;
        let (index, received) = choose(&mut all, timeout, &to_index)?;
        to_index.write(index);
        let message = received.map_or(std::ptr::null_mut(), |message| {
            as_pointer(vacant.fill(Box::new(message)))
        });
        if let Ok(to_message) = to_message {
            to_message.write(message);
        }
        Ok(())
    })
}

/// Until when a call waits.
struct Until {
    timeout: u64,
    begin: Instant,
}

impl Until {
    fn of(timeout: u64) -> Self {
        let begin = Instant::now();
        Until { timeout, begin }
    }

    /// How many nanoseconds are left; `PINFOLD_FOREVER` stays what it is.
    fn left(&self) -> u64 {
        if self.timeout == PINFOLD_FOREVER {
            return self.timeout;
        }
        let gone = u64::try_from(self.begin.elapsed().as_nanos());
        self.timeout.saturating_sub(gone.unwrap_or(u64::MAX))
    }

    /// That nothing is ready when a call that waits has no time left is that it is late.
    fn why(&self, why: SelectError) -> SelectError {
        match why {
            SelectError::NotReady if self.timeout != 0 => SelectError::TimedOut {
                waited: self.begin.elapsed(),
            },
            why => why,
        }
    }
}

/// Which one was ready, and what was received of it. Of one that has failed the index is written.
fn choose(
    all: &mut [Of],
    timeout: u64,
    to_index: &Out<usize>,
) -> Result<(usize, Option<MessageObject>), Failure> {
    let mut outgoing: Vec<Option<Outgoing>> = Vec::new();
    for of in all.iter_mut() {
        outgoing.push(match of {
            Of::Sender(_, outgoing) => outgoing.take(),
            _ => None,
        });
    }
    if timeout != 0 && all.iter().all(|of| matches!(of, Of::Nothing)) {
        return Err(SelectError::Nothing.into());
    }
    let begin = first_of(all.len());
    let order: Vec<usize> = (begin..all.len()).chain(0..begin).collect();
    let mut select = Select::new();
    // The number of a case there is its place in this.
    let mut places = Vec::with_capacity(all.len());
    let mut ears: Vec<(&TaskHandle, Arc<dyn Hears>)> = Vec::new();
    for index in order {
        match &all[index] {
            Of::Receiver(object) => select.recv(&object.end),
            Of::Sender(object, _) => select.send::<Packet>(&object.end),
            Of::Time(left) => select.after(*left),
            Of::Handle(handle) if handle.has_ended() => select.after(Duration::ZERO),
            Of::Handle(handle) => {
                let (number, waker) = select.waker();
                let ear: Arc<dyn Hears> = Arc::new(Ear(waker));
                if handle.end().tell(handle.task(), Arc::clone(&ear), 0) {
                    ears.push((handle, ear));
                } else {
                    ear.hears(0);
                }
                number
            }
            Of::Subscriber(subscriber) => select.subscriber(subscriber),
            Of::Ticker(ticker) => select.ticker(&ticker.it),
            Of::Child(child) => match child::select(&mut select, *child)? {
                Some(number) => number,
                None => select.after(Duration::ZERO),
            },
            Of::Nothing => continue,
        };
        places.push(index);
    }
    let until = Until::of(timeout);
    let (index, done) = loop {
        let chosen = match until.left() {
            0 => select.try_wait(),
            PINFOLD_FOREVER => select.wait(),
            left => select.wait_timeout(crate::edge::duration(left)),
        };
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(why) => break (None, Err(until.why(why).into())),
        };
        let index = places.get(chosen.index()).copied().unwrap_or_default();
        let mut is_too_long = false;
        let done = match &all[index] {
            Of::Receiver(object) => {
                let received = chosen.recv(&object.end).map_err(Failure::from);
                received
                    .map(|delivery| Some(MessageObject::received(delivery, object.home.clone())))
            }
            Of::Sender(object, _) => {
                let end: &Sender<Packet> = &object.end;
                let Some(outgoing) = &mut outgoing[index] else {
                    break (
                        None,
                        Err(Failure::new(PinfoldStatus::Panic, "a packet is there")),
                    );
                };
                let sent = outgoing.try_send(|packet| chosen.send(end, packet).map_err(Box::new));
                let is_full = |failure: &Failure| failure.status == PinfoldStatus::Full;
                is_too_long = end.capacity() > 0 && sent.as_ref().is_err_and(is_full);
                sent.map(|()| None)
            }
            _ => {
                drop(chosen);
                Ok(None)
            }
        };
        // For the room that there is: now the select knows how much it needs.
        if !is_too_long {
            break (Some(index), done);
        }
    };
    for (handle, ear) in ears {
        handle.end().forget(&ear);
    }
    let Some(index) = index else {
        return done.map(|message| (0, message));
    };
    done.map(|message| (index, message)).inspect_err(|_| {
        to_index.write(index);
    })
}
