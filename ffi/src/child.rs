//! Tasks that a task has submitted.
//!
//! They are their parent's: of the frame of its call, on its thread. A `pinfold_child` is the
//! number of one of them, no address:
//!
//! ```text
//!   63      50 49           26 25       5 4    0
//!   [ thread | serial number |  index   | kind ]
//! ```
//!
//! The number is compared with that of the child that is at the index in the frame on top; so
//! a child that was freed, of another task or of another thread is told from one's own. Children
//! that are left when the function returns are detached.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pinfold::Child;
use pinfold::channel::Select;

use crate::boundary::guard;
use crate::buffer::{BufferObject, Part, PinfoldBuffer, WORKER};
use crate::call::{Frame, PinfoldCall, run, with, with_top};
use crate::edge::{Out, bytes, duration, text};
use crate::error::Failure;
use crate::handle::{Outcome, outcome_of, timed_out};
use crate::runtime::as_pointer;
use crate::submit::{PinfoldSubmitSettings, cargo_of};
use crate::value::{Ended, Request};
use crate::{PINFOLD_FOREVER, PinfoldStatus, registry};

/// A task that a task has submitted.
pub struct PinfoldChild {
    _private: [u8; 0],
}

/// No object of the table has this number.
const KIND: usize = 30;
const NAME: &str = "pinfold_child";
const KIND_BITS: u32 = 5;
const INDEX_BITS: u32 = 21;
const SERIAL_BITS: u32 = 24;
const VACANT: usize = 0;

/// The children of a task that runs.
#[derive(Default)]
pub(crate) struct Children {
    places: Vec<Place>,
    /// Places where nobody is.
    vacant: Vec<usize>,
}

struct Place {
    /// Of the one that is there; `VACANT`: nobody.
    number: usize,
    state: State,
}

/// How it stands with a child.
enum State {
    None,
    Open(Child<Ended>, &'static str),
    /// This thread waits for it.
    Joining,
    Ended(Box<Outcome>),
}

fn next_number(index: usize) -> usize {
    static THREADS: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static THREAD: Cell<u32> = const { Cell::new(0) };
        static SERIAL: Cell<usize> = const { Cell::new(0) };
    }
    if THREAD.get() == 0 {
        // Relaxed: only the number matters.
        THREAD.set(THREADS.fetch_add(1, Ordering::Relaxed));
    }
    let serial = SERIAL.replace(SERIAL.get().wrapping_add(1)) & ((1 << SERIAL_BITS) - 1);
    let above = (THREAD.get() as usize) << SERIAL_BITS | serial;
    above << (INDEX_BITS + KIND_BITS) | index << KIND_BITS | KIND
}

impl Children {
    fn insert(&mut self, child: Child<Ended>, function: &'static str) -> Result<usize, Failure> {
        let index = self.vacant.pop().unwrap_or(self.places.len());
        if index >> INDEX_BITS != 0 {
            let message = "a task has 2^21 children at once: free those that are not needed";
            return Err(Failure::new(PinfoldStatus::TooMany, message));
        }
        let number = next_number(index);
        let state = State::Open(child, function);
        let place = Place { number, state };
        match self.places.get_mut(index) {
            Some(vacant) => *vacant = place,
            None => self.places.push(place),
        }
        Ok(number)
    }

    fn find(&mut self, child: *mut PinfoldChild) -> Result<&mut Place, Failure> {
        let number = child.addr();
        if number == 0 {
            return Err(Failure::null_handle(NAME));
        }
        if !is_child(number) {
            return Err(Failure::no_handle(NAME, number));
        }
        let index = number >> KIND_BITS & ((1 << INDEX_BITS) - 1);
        let place = self.places.get_mut(index);
        let place = place.filter(|place| place.number == number);
        place.ok_or_else(|| {
            let message =
                "this `pinfold_child` was freed, or is not of the task that this thread runs";
            Failure::new(PinfoldStatus::BadHandle, message)
        })
    }
}

/// Whether a handle says that it is one of a child.
pub(crate) fn is_child(handle: usize) -> bool {
    handle & ((1 << KIND_BITS) - 1) == KIND
}

/// Has a select wait for the end of a child of the task that this thread runs; its number there, or `None`
/// if it has ended.
pub(crate) fn select(
    select: &mut Select<'_>,
    child: *mut PinfoldChild,
) -> Result<Option<usize>, Failure> {
    place(child, |place| match &place.state {
        State::Open(open, _) => Ok(Some(select.child(open))),
        State::Ended(_) => Ok(None),
        State::None | State::Joining => Err(waited_for()),
    })
}

fn waited_for() -> Failure {
    Failure::new(PinfoldStatus::AlreadyTaken, "somebody waits for it already")
}

fn place<T>(
    child: *mut PinfoldChild,
    f: impl FnOnce(&mut Place) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_top(|frame: &mut Frame| f(frame.rest().children.find(child)?))
}

/// Waits for a child: runs it, or other tasks, on top of the one that runs. So the frame is not
/// held meanwhile.
fn wait(child: *mut PinfoldChild, timeout: u64) -> Result<(), Failure> {
    let waits_for = place(child, |place| {
        match std::mem::replace(&mut place.state, State::Joining) {
            State::Open(open, function) => Ok(Some((open, function))),
            State::Joining => Err(waited_for()),
            other => {
                place.state = other;
                Ok(None)
            }
        }
    });
    let Some((mut open, function)) = waits_for? else {
        return Ok(());
    };
    let ended = match timeout {
        0 => open.try_join(),
        PINFOLD_FOREVER => open.join_timeout(Duration::MAX),
        timeout => open.join_timeout(duration(timeout)),
    };
    let has_ended = ended.is_some();
    let state = match ended {
        Some(ended) => State::Ended(Box::new(outcome_of(ended, function))),
        None => State::Open(open, function),
    };
    place(child, |place| {
        place.state = state;
        Ok(())
    })?;
    match has_ended {
        true => Ok(()),
        false => Err(timed_out()),
    }
}

/// What has come of a child, once it has ended.
fn outcome<T>(
    child: *mut PinfoldChild,
    f: impl FnOnce(&Outcome) -> Result<T, Failure>,
) -> Result<T, Failure> {
    wait(child, PINFOLD_FOREVER)?;
    place(child, |place| match &place.state {
        State::Ended(outcome) => f(outcome),
        _ => Err(timed_out()),
    })
}

fn free(child: *mut PinfoldChild) -> Result<(), Failure> {
    with_top(|frame| {
        let children = &mut frame.rest().children;
        let place = children.find(child)?;
        place.number = VACANT;
        place.state = State::None;
        let index = child.addr() >> KIND_BITS & ((1 << INDEX_BITS) - 1);
        children.vacant.push(index);
        Ok(())
    })
}

/// Submits a task from inside of a task: `function`, as it was registered, with `len` bytes of
/// argument, which are copied, and with the buffers of `settings` (null: none).
///
/// Any worker may run it. Who waits for it runs it on the spot if nobody has begun it by then, so this costs
/// little and never deadlocks, however deep. It is part of the host's task that this one is part
/// of, and is cancelled with it. It is run at most once.
///
/// The child is the call's: free it with `pinfold_child_free`; those that are left when the
/// function returns are freed.
///
/// Fails with `PINFOLD_STATUS_UNKNOWN_FUNCTION`; for a buffer as `pinfold_task_submit_with`; and
/// with `PINFOLD_STATUS_INVALID_ARGUMENT` if `settings` say what it is to be after. All else the
/// child tells.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `function` is null or a string that ends in NUL; `len` bytes can be read at `argument` (null if
/// there are none); `settings` is null or a `pinfold_submit_settings`, where so many handles can
/// be read as it says; `out_child` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_submit(
    call: *mut PinfoldCall,
    function: *const c_char,
    argument: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    out_child: *mut *mut PinfoldChild,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_child", out_child) };
    guard(move || {
        let out = out?;
        with(call, |_| Ok(()))?;
        if pinfold::current_task().is_none() {
            let message = "no task runs on this thread: what makes a state has no children";
            return Err(Failure::new(PinfoldStatus::NotInTask, message));
        }
        // SAFETY: the caller's promise.
        let (name, argument) = unsafe {
            (
                text("function", function)?,
                bytes("argument", argument, len)?,
            )
        };
        let number = registry::number(name);
        let known = registry::find(number).filter(|function| function.name == name);
        let known = known.ok_or_else(|| {
            let message = format!("no function is registered by the name `{name}` in this worker");
            Failure::new(PinfoldStatus::UnknownFunction, message)
        })?;
        // SAFETY: the caller's promise.
        let cargo = unsafe { cargo_of(settings, WORKER) }?;
        let request = Request::with(number, &argument, cargo);
        // It may be run at once, on top of this one.
        let child = pinfold::spawn(run, request);
        let number = with(call, |frame| {
            frame.rest().children.insert(child, known.name)
        })?;
        out.write(as_pointer(number));
        Ok(())
    })
}

/// Waits at most `timeout` nanoseconds for a child to end, however it does: runs it here if nobody has begun it,
/// whatever time that takes, and other tasks meanwhile. 0 only looks, and runs nothing;
/// `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_TIMED_OUT`: it goes on.
///
/// Only in a task, by the thread that the function was called on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_child_wait(child: *mut PinfoldChild, timeout: u64) -> PinfoldStatus {
    guard(|| wait(child, timeout))
}

/// Waits for a child to end, as `pinfold_child_wait`, and returns its status and its output, in
/// place: where that begins, a multiple of 64, and its length in bytes. If it has no output, both are 0.
///
/// The memory is the child's: it may be read until that is freed.
///
/// A status from 100 on says why there is none; `pinfold_last_message` says more.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_child_result(
    child: *mut PinfoldChild,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        outcome(child, |outcome| match outcome.output() {
            Ok(output) => {
                data.write(output.bytes().as_ptr().cast());
                len.write(output.bytes().len());
                Ok(())
            }
            Err(failure) => {
                data.write(std::ptr::null());
                len.write(0);
                Err(failure)
            }
        })
    })
}

/// Waits for a child to end, as `pinfold_child_wait`, and returns its output as a buffer: to keep it, or to pass
/// it on.
///
/// The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`.
///
/// A status from 100 on says why there is none; `pinfold_last_message` says more.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_buffer` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_child_output_buffer(
    child: *mut PinfoldChild,
    out_buffer: *mut *mut PinfoldBuffer,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_buffer", out_buffer) };
    guard(|| {
        let out = out?;
        outcome(child, |outcome| {
            let part = Part::from(outcome.output()?);
            out.write(BufferObject::handle(WORKER, part)?);
            Ok(())
        })
    })
}

/// What the function of a child has returned, if that has ended: 0 unless its status is
/// `PINFOLD_STATUS_TASK_FAILED`. Fails with `PINFOLD_STATUS_TIMED_OUT` if it has not ended.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_code` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_child_code(
    child: *mut PinfoldChild,
    out_code: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let code = unsafe { Out::new("out_code", out_code) };
    guard(|| {
        let code = code?;
        wait(child, 0)?;
        outcome(child, |outcome| {
            code.write(outcome.code());
            Ok(())
        })
    })
}

/// Waits for a child to end, as `pinfold_child_wait`, copies its output to `buffer`, and frees it.
/// `out_len` is the output's length.
///
/// If the output is longer than `capacity` bytes, the status is
/// `PINFOLD_STATUS_BUFFER_TOO_SMALL`, `out_len` is what is needed, and the child stays. In
/// all other cases it is freed, also if it has failed.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is
/// not asked for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_child_join(
    child: *mut PinfoldChild,
    buffer: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        if buffer.is_null() && capacity != 0 {
            return Err(Failure::null("buffer"));
        }
        wait(child, PINFOLD_FOREVER)?;
        let copied = outcome(child, |outcome| {
            let bytes = outcome.output()?.bytes();
            if !out_len.is_null() {
                // SAFETY: the caller's promise.
                unsafe { out_len.write_unaligned(bytes.len()) };
            }
            if bytes.len() > capacity {
                let has = bytes.len();
                let message =
                    format!("the output has {has} bytes, and there is room for {capacity}");
                return Err(Failure::new(PinfoldStatus::BufferTooSmall, message));
            }
            if !bytes.is_empty() {
                // SAFETY: so many can be written there, says the caller; it is not ours.
                unsafe {
                    let to: *mut u8 = buffer.cast();
                    to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
            }
            Ok(())
        });
        match copied {
            Err(failure) if failure.status == PinfoldStatus::BufferTooSmall => Err(failure),
            copied => free(child).and(copied),
        }
    })
}

/// Cancels a child, and all that it has submitted: what nobody has begun never runs, and what
/// runs hears of it by `pinfold_call_is_cancelled`.
///
/// Only in a task, by the thread that the function was called on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_child_cancel(child: *mut PinfoldChild) -> PinfoldStatus {
    guard(|| {
        place(child, |place| {
            if let State::Open(open, _) = &place.state {
                open.cancel();
            }
            Ok(())
        })
    })
}

/// Frees a child. If it has not ended, it runs on, as part of the same task of the host, and nobody hears of it. Null does nothing.
///
/// Only in a task, by the thread that the function was called on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_child_free(child: *mut PinfoldChild) -> PinfoldStatus {
    guard(|| match child.is_null() {
        true => Ok(()),
        false => free(child),
    })
}
