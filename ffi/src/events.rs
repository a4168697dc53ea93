//! A descriptor for the program's own poll loop, which is readable when tasks have ended.
//!
//! ```text
//!   End of a handle ──token──▶ queue ──▶ pinfold_events_next
//!                                │ first one: a byte is sent
//!                                ▼                         the queue is empty: it is taken out
//!              ours ──socket──▶ the program's poll
//! ```
//!
//! It is one end of a pair of sockets, not an eventfd: of a socket it can be seen whether its
//! number still leads to it, and a program may close any. Nothing is sent, read or closed by a
//! number that leads to something else, and nothing in a process that was forked off.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::boundary::guard;
use crate::edge::Out;
use crate::ends::Hears;
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle};
use crate::runtime::as_pointer;
use crate::{PinfoldStatus, table};

/// Tasks that have ended, for a program that has a poll loop of its own.
pub struct PinfoldEvents {
    _private: [u8; 0],
}

/// A descriptor that the program may close, or replace by something else.
struct Held {
    file: ManuallyDrop<File>,
    what: Option<(u64, u64)>,
}

fn what(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|what| (what.dev(), what.ino()))
}

impl Held {
    fn new(fd: OwnedFd) -> Self {
        let file = ManuallyDrop::new(File::from(fd));
        let what = what(&file);
        Held { file, what }
    }

    /// The number, if it still leads to the same.
    fn get(&self) -> Option<c_int> {
        let is_ours = self.what.is_some() && what(&self.file) == self.what;
        is_ours.then(|| self.file.as_raw_fd())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.get().is_some() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

#[derive(Default)]
struct Queue {
    tokens: VecDeque<u64>,
    /// A byte was sent, and not taken out.
    is_readable: bool,
}

/// Behind a `pinfold_events`.
pub(crate) struct EventsObject {
    process: u32,
    ours: Held,
    theirs: Held,
    queue: Mutex<Queue>,
}

impl EventsObject {
    fn new() -> std::io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok(EventsObject {
            process: std::process::id(),
            ours: Held::new(ours.into()),
            theirs: Held::new(theirs.into()),
            queue: Mutex::default(),
        })
    }

    pub(crate) fn check_here(&self) -> Result<(), Failure> {
        if self.process == std::process::id() {
            return Ok(());
        }
        let message = "these events are of the process that this one was forked off";
        Err(Failure::new(PinfoldStatus::Forked, message))
    }

    pub(crate) fn next(&self) -> Option<u64> {
        let mut queue = self.queue.lock();
        let token = queue.tokens.pop_front()?;
        if queue.tokens.is_empty() && queue.is_readable {
            queue.is_readable = false;
            if let Some(fd) = self.theirs.get() {
                let mut bytes = [0_u8; 8];
                // SAFETY: so many bytes can be written there. It does not wait.
                unsafe {
                    libc::recv(
                        fd,
                        bytes.as_mut_ptr().cast(),
                        bytes.len(),
                        libc::MSG_DONTWAIT,
                    )
                };
            }
        }
        Some(token)
    }
}

/// On the list of a handle's end. What was freed hears nothing.
struct Ear(Weak<EventsObject>);

impl Hears for Ear {
    fn hears(&self, token: u64) {
        if let Some(events) = self.0.upgrade() {
            events.hears(token);
        }
    }
}

impl EventsObject {
    fn hears(&self, token: u64) {
        let mut queue = self.queue.lock();
        queue.tokens.push_back(token);
        if !std::mem::replace(&mut queue.is_readable, true)
            && let Some(fd) = self.ours.get()
        {
            // SAFETY: one byte is there. Nobody is told by a signal that the other end is
            // closed, and it does not wait.
            unsafe {
                libc::send(
                    fd,
                    [1_u8].as_ptr().cast(),
                    1,
                    libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
                )
            };
        }
    }
}

/// Makes an object that tells which tasks have ended, for a program that has a poll loop of its
/// own: add handles to it, wait for its descriptor to be readable, take the tokens of those that
/// have ended, one by one.
///
/// It is the caller's: free it with `pinfold_events_free`.
///
/// Fails with `PINFOLD_STATUS_SYSTEM` if there are no descriptors left.
///
/// Any thread.
///
/// # Safety
///
/// `out_events` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_events_new(out_events: *mut *mut PinfoldEvents) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_events", out_events) };
    guard(|| {
        let out = out?;
        let events = EventsObject::new().map_err(|error| {
            Failure::new(PinfoldStatus::System, format!("no descriptors: {error}"))
        })?;
        out.write(as_pointer(table::insert(Arc::new(events))?));
        Ok(())
    })
}

/// The descriptor: readable as long as there is a token to be taken. Give it to `poll`, `epoll`
/// or a library of that kind; do not read from it.
///
/// It is closed when the events are freed. If the program closes it before, nobody is harmed: nothing is told by
/// it any more, but tokens can be taken.
///
/// Any thread.
///
/// # Safety
///
/// `out_fd` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_events_fd(
    events: *mut PinfoldEvents,
    out_fd: *mut c_int,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_fd", out_fd) };
    guard(|| {
        let out = out?;
        let events = table::enter::<Arc<EventsObject>>(events.addr())?;
        out.write(events.theirs.file.as_raw_fd());
        Ok(())
    })
}

/// Has `token` told when the task has ended, however it does; at once if it has. The handle stays the caller's, and
/// may be freed. A task may be added several times, each of which is told.
///
/// Fails with `PINFOLD_STATUS_FORKED` in a process that was forked off.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_events_add(
    events: *mut PinfoldEvents,
    handle: *mut PinfoldHandle,
    token: u64,
) -> PinfoldStatus {
    guard(|| {
        let events = table::enter::<Arc<EventsObject>>(events.addr())?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        events.check_here()?;
        let ear = Arc::new(Ear(Arc::downgrade(&events)));
        if !handle.end().tell(handle.task(), ear, token) {
            events.hears(token);
        }
        Ok(())
    })
}

#[cold]
pub(crate) fn nothing_yet() -> Failure {
    let message = "none of the tasks that were added has ended since";
    Failure::new(PinfoldStatus::NothingYet, message)
}

/// Takes the token of a task that has ended, in the order in which they did. Never waits.
///
/// Fails with `PINFOLD_STATUS_NOTHING_YET` if there is none, and with `PINFOLD_STATUS_FORKED` in a
/// process that was forked off.
///
/// Any thread, and several at once: each token is told once.
///
/// # Safety
///
/// `out_token` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_events_next(
    events: *mut PinfoldEvents,
    out_token: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_token", out_token) };
    guard(|| {
        let out = out?;
        let events = table::enter::<Arc<EventsObject>>(events.addr())?;
        events.check_here()?;
        out.write(events.next().ok_or_else(nothing_yet)?);
        Ok(())
    })
}

/// Frees events, and closes the descriptor; the tasks go on. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_events_free(events: *mut PinfoldEvents) -> PinfoldStatus {
    guard(|| match events.is_null() {
        true => Ok(()),
        false => table::remove::<Arc<EventsObject>>(events.addr()),
    })
}
