//! A task, as the C function sees it that runs it.
//!
//! All C tasks are one task of the Rust library, [`run`], whose arguments say which function is
//! meant. So they have all that tasks have, and the library knows nothing of C.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::mem::{MaybeUninit, forget, replace, take};
use std::ptr::null_mut;

use pinfold::channel::Sender;
use pinfold::{Loan, Shared};

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::buffer::{Part, aligned};
use crate::bytes::{Bytes, Few, LINE, Line, WORD, less_of};
use crate::cargo::{Packet, Receives};
use crate::child::Children;
use crate::edge::{Out, text};
use crate::error::Failure;
use crate::given::Given;
use crate::info::Told;
use crate::registry::{self, Function};
use crate::shared::thing::Thing;
use crate::value::{Ended, Failed, Output, Request};

/// A task that runs. It is the function's for as long as that has not returned, on the thread that
/// has called it.
pub struct PinfoldCall {
    _private: [u8; 0],
}

/// A function that can be run as a task. Returns 0, or any other number if it failed: the
/// task has ended with `PINFOLD_STATUS_TASK_FAILED` then, and its handle tells the number.
pub type PinfoldFunction =
    Option<unsafe extern "C-unwind" fn(call: *mut PinfoldCall, user: *mut c_void) -> i32>;

/// The result as far as it is there.
pub(crate) enum Made {
    Nothing,
    /// So many bytes of the frame's own.
    Here(usize),
    Bytes(Box<Bytes>),
    Loan(Loan),
    Shared(Shared),
}

/// Up to so many bytes a result travels in place; a longer one is a buffer, in which the task writes it.
const IN_PLACE: usize = 256;

/// Behind a `pinfold_call`.
pub(crate) struct Frame {
    /// What is called; none if that is no task.
    function: Option<&'static Function>,
    /// An argument of a few bytes, in a line of its own; nothing is written there that is not read.
    few: MaybeUninit<Line>,
    /// How many bytes these are.
    few_len: usize,
    /// Any other argument.
    more: Option<Box<Bytes>>,
    pub(crate) made: Made,
    /// What is made, if it fits.
    place: MaybeUninit<Line>,
    rest: Option<Box<Rest>>,
    /// The one that this thread runs beneath it, while it waits for a child.
    beneath: *mut Frame,
}

/// What few calls have.
#[derive(Default)]
pub(crate) struct Rest {
    inputs: Vec<Output>,
    /// Those that were moved to the task, until they are taken.
    pub(crate) buffers: Vec<Option<Part>>,
    /// Ends of channels, and other objects, until they are asked for.
    pub(crate) senders: Given<Sender<Packet>>,
    pub(crate) receivers: Given<Receives>,
    pub(crate) things: Given<Thing>,
    /// Why it fails.
    message: String,
    /// What it has submitted.
    pub(crate) children: Children,
    /// What it has asked of itself.
    pub(crate) told: Option<Told>,
}

impl Frame {
    pub(crate) fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Why it has failed.
    #[cold]
    fn message(&mut self) -> String {
        take(&mut self.rest().message)
    }

    /// What the function is called.
    pub(crate) fn name(&self) -> &'static str {
        self.function.map_or("", |function| function.name)
    }

    /// Takes an argument in the place of none.
    #[inline(always)]
    fn set_argument(&mut self, argument: Few) {
        let (word, len) = match argument {
            Few::Eight(word) => (word, WORD),
            Few::Less(word) => (word, less_of(&word).len()),
            Few::More(bytes) => return self.more = Some(bytes),
            Few::Lent(_) => return self.more = Some(Box::new(argument[..].into())),
        };
        write_word(&mut self.few, word);
        self.few_len = len;
    }

    #[inline(always)]
    fn argument(&self) -> &[u8] {
        match &self.more {
            Some(bytes) => bytes,
            // SAFETY: so many were written there, or none.
            None => unsafe { std::slice::from_raw_parts(self.few.as_ptr().cast(), self.few_len) },
        }
    }

    /// Has an output of so many bytes made here; where.
    #[inline(always)]
    fn make_here(&mut self, len: usize) -> *mut c_void {
        match len {
            ..=WORD => write_word(&mut self.place, 0),
            _ => _ = self.place.write(Line::default()),
        }
        self.made = Made::Here(len);
        self.place.as_mut_ptr().cast()
    }

    /// What was made here.
    #[inline(always)]
    fn made_here(&self, len: usize) -> Few {
        let place: *const Line = self.place.as_ptr();
        match len {
            // SAFETY: a word was written there when room was made for it, and what the function wrote.
            WORD => Few::Eight(unsafe { place.cast::<u64>().read() }),
            // SAFETY: so many bytes were.
            _ => unsafe { std::slice::from_raw_parts(place.cast::<u8>(), len) }.into(),
        }
    }

    fn inputs(&self) -> &[Output] {
        self.rest.as_ref().map_or(&[], |rest| &rest.inputs)
    }

    pub(crate) fn input(&self, index: usize) -> Result<&Output, Failure> {
        let count = self.inputs().len();
        let none = || Failure::argument(format!("there is no input {index}: the task has {count}"));
        self.inputs().get(index).ok_or_else(none)
    }
}

#[inline(always)]
fn write_word(line: &mut MaybeUninit<Line>, word: u64) {
    // SAFETY: a line begins with a word; it is not read by who has not written it.
    unsafe { line.as_mut_ptr().cast::<u64>().write(word) }
}

thread_local! {
    /// The task that this thread runs.
    static TOP: Cell<*mut Frame> = const { Cell::new(null_mut()) };
}

/// The task of [`pinfold`] that all C tasks are.
#[inline]
pub(crate) fn run(request: Request) -> Ended {
    call(request, |_| ())
}

/// The same with what [`Request::quick`] has made.
#[inline]
pub(crate) fn run_quick(request: u128) -> Ended {
    let request = Request {
        function: (request >> 64) as u32,
        argument: Few::Eight(request as u64),
        cargo: None,
    };
    call(request, |_| ())
}

/// The same, after others.
pub(crate) fn run_after((request, inputs): (Request, Vec<Ended>)) -> Ended {
    // Those that failed have no dependents.
    let inputs = inputs.into_iter().filter_map(|input| input.result().ok());
    let inputs = inputs.map(Output::aligned).collect();
    call(request, |frame| frame.rest().inputs = inputs)
}

#[cold]
fn unknown() -> Ended {
    let message = "the worker process knows no such function: register it before `pinfold_init`, in each process";
    Ended::Err(Box::new(Failed {
        code: PinfoldStatus::UnknownFunction as i32,
        message: message.into(),
    }))
}

#[inline]
fn call(request: Request, prepare: impl FnOnce(&mut Frame)) -> Ended {
    let mut frame = Frame::new();
    let Some(function) = registry::find(request.function) else {
        return unknown();
    };
    frame.function = Some(function);
    frame.set_argument(request.argument);
    if let Some(cargo) = request.cargo {
        let rest = frame.rest();
        rest.buffers = cargo.buffers.into_iter().map(Some).collect();
        rest.senders = Given::of(cargo.ends.senders);
        rest.receivers = Given::of(cargo.ends.receivers);
        rest.things = Given::of(cargo.things);
    }
    prepare(&mut frame);
    // SAFETY: who registered it promised that it may be called so.
    let code = within(&mut frame, |this| unsafe {
        (function.call)(this, function.user())
    });
    if code != 0 {
        let message = frame.message();
        return Ended::Err(Box::new(Failed { code, message }));
    }
    if let Made::Here(len) = frame.made {
        let made = frame.made_here(len).into();
        if frame.rest.is_none() && frame.more.is_none() {
            // Nothing to drop, which is not to be found out once more.
            forget(frame);
        }
        return made;
    }
    match replace(&mut frame.made, Made::Nothing) {
        Made::Nothing | Made::Here(_) => Few::NONE.into(),
        Made::Bytes(bytes) => Ended::More(bytes),
        Made::Loan(loan) => Ended::Buffer(Box::new(loan.publish())),
        Made::Shared(shared) => Ended::Buffer(Box::new(shared)),
    }
}

impl Frame {
    #[inline(always)]
    fn new() -> Self {
        Frame {
            function: None,
            few: MaybeUninit::uninit(),
            few_len: 0,
            more: None,
            made: Made::Nothing,
            place: MaybeUninit::uninit(),
            rest: None,
            beneath: null_mut(),
        }
    }
}

/// Has `f` call a function of the user's with this frame, which it may use until that returns.
#[inline]
fn within(frame: &mut Frame, f: impl FnOnce(*mut PinfoldCall) -> i32) -> i32 {
    // However it is left, the one beneath is the top again.
    struct Restore(*mut Frame);
    impl Drop for Restore {
        fn drop(&mut self) {
            TOP.set(self.0);
        }
    }
    let _restore = Restore(TOP.get());
    frame.beneath = TOP.get();
    // It lives on this stack until `f` returns, and is reached by this pointer only.
    let this = &raw mut *frame;
    TOP.set(this);
    f(this.cast())
}

/// The same for what is no task, but has an argument; what `f` returned, and the reason that the
/// user's function gave.
pub(crate) fn in_frame(argument: Bytes, f: impl FnOnce(*mut PinfoldCall) -> i32) -> (i32, String) {
    let mut frame = Frame::new();
    frame.more = Some(Box::new(argument));
    let code = within(&mut frame, f);
    (code, frame.message())
}

/// The frame of a call that C names: only that which this thread runs.
#[inline]
pub(crate) fn with<T>(
    call: *mut PinfoldCall,
    f: impl FnOnce(&mut Frame) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match quickly(call, f) {
        Some(made) => made,
        None => Err(not_on_top(call)),
    }
}

/// The same, if it is the one that this thread runs.
#[inline(always)]
fn quickly<T>(call: *mut PinfoldCall, f: impl FnOnce(&mut Frame) -> T) -> Option<T> {
    let top = TOP.get();
    if top.is_null() || top.cast() != call {
        return None;
    }
    // SAFETY: as in `with_top`.
    Some(f(unsafe { &mut *top }))
}

#[cold]
fn not_on_top(call: *mut PinfoldCall) -> Failure {
    if call.is_null() {
        return Failure::null("call");
    }
    if TOP.get().is_null() {
        return in_none();
    }
    let message = "this is not the call that this thread runs now";
    Failure::new(PinfoldStatus::BadHandle, message)
}

#[cold]
fn in_none() -> Failure {
    let message = "no task runs on this thread";
    Failure::new(PinfoldStatus::NotInTask, message)
}

/// The frame of the call that this thread runs.
pub(crate) fn with_top<T>(f: impl FnOnce(&mut Frame) -> Result<T, Failure>) -> Result<T, Failure> {
    let top = TOP.get();
    if top.is_null() {
        return Err(in_none());
    }
    // SAFETY: the frame at the top lives on this thread's stack; and nothing of this
    // library that is called with it calls the user's code.
    f(unsafe { &mut *top })
}

/// Where bytes begin; not null, also if there are none.
fn start(bytes: &[u8]) -> *const c_void {
    bytes.as_ptr().cast()
}

/// The argument of the task: where it begins, a multiple of 64, and its length in bytes.
///
/// The memory is the call's: it may be read until the function returns.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_argument(
    call: *mut PinfoldCall,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    let write = |data: Out<_>, len: Out<_>, frame: &mut Frame| {
        let argument = frame.argument();
        data.write(start(argument));
        len.write(argument.len());
    };
    // Each task asks for it: what cannot fail needs no guard.
    match (data, len) {
        (Ok(data), Ok(len)) => match quickly(call, |frame| write(data, len, frame)) {
            Some(()) => PinfoldStatus::Ok,
            None => guard(|| Err(not_on_top(call))),
        },
        (data, len) => guard(|| data.and(len).map(drop)),
    }
}

/// How many tasks this one was submitted after: so many inputs it has.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_count` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_input_count(
    call: *mut PinfoldCall,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let count = unsafe { Out::new("out_count", out_count) };
    guard(|| {
        let count = count?;
        with(call, |frame| {
            count.write(frame.inputs().len());
            Ok(())
        })
    })
}

/// Input `index`: the output of the task that was named there when this one was submitted, in
/// place: where it begins, a multiple of 64, and its length in bytes.
///
/// The memory is the call's: it may be read until the function returns. Fails with
/// `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_data` and `out_len` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_input(
    call: *mut PinfoldCall,
    index: usize,
    out_data: *mut *const c_void,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let (data, len) = (data?, len?);
        with(call, |frame| {
            let input = frame.input(index)?;
            data.write(start(input.bytes()));
            len.write(input.bytes().len());
            Ok(())
        })
    })
}

/// Makes room for the task's output, `len` bytes, and returns where to write it: a multiple of
/// 64. A long one lies in shared memory, and is not copied any more.
///
/// What is in it is undefined until it is written. Another call takes the place of this one, whose memory
/// must not be written to any more. It is the call's: it may be written to until the function
/// returns. If that returns another number than 0, there is no output.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_TOO_LARGE`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_data` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_output(
    call: *mut PinfoldCall,
    len: usize,
    out_data: *mut *mut c_void,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let data = unsafe { Out::new("out_data", out_data) };
    // As in `pinfold_call_argument`.
    if len <= LINE
        && let Ok(data) = &data
        && let Some(()) = quickly(call, |frame| {
            // What is dropped instead may be another's code.
            if !matches!(frame.made, Made::Nothing | Made::Here(_)) {
                return None;
            }
            data.write(frame.make_here(len));
            Some(())
        })
        .flatten()
    {
        return PinfoldStatus::Ok;
    }
    output_otherwise(call, len, data)
}

#[cold]
#[inline(never)]
fn output_otherwise(
    call: *mut PinfoldCall,
    len: usize,
    data: Result<Out<*mut c_void>, Failure>,
) -> PinfoldStatus {
    guard(|| {
        let data = data?;
        with(call, |frame| {
            frame.made = Made::Nothing;
            if len <= LINE {
                data.write(frame.make_here(len));
                return Ok(());
            }
            frame.made = match len {
                0..=IN_PLACE => Made::Bytes(Box::new(Bytes::zeroed(len))),
                _ => Made::Loan(aligned(len, pinfold::alloc)?),
            };
            data.write(match &mut frame.made {
                Made::Bytes(bytes) => bytes.as_mut_ptr().cast(),
                Made::Loan(loan) => loan.as_mut_ptr().cast(),
                Made::Nothing | Made::Here(_) | Made::Shared(_) => null_mut(),
            });
            Ok(())
        })
    })
}

/// What the task has to say about its failure: kept (copied, cut after 4096 bytes) for when the
/// function returns another number than 0.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `message` is null, or a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_explain(
    call: *mut PinfoldCall,
    message: *const c_char,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { text("message", message) }?;
        with(call, |frame| {
            let cut = message.floor_char_boundary(4096);
            frame.rest().message = message[..cut].to_owned();
            Ok(())
        })
    })
}

/// Whether this thread runs a task.
pub(crate) fn is_in_task() -> bool {
    !TOP.get().is_null()
}
