//! A task, as the C function sees it that runs it.
//!
//! All C tasks are one task of the Rust library, [`run`], whose arguments say which function is
//! meant. So they have all that tasks have, and the library knows nothing of C.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use pinfold::{Loan, Shared};
use serde::{Deserialize, Serialize};

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::buffer::{Part, aligned};
use crate::bytes::{Bytes, Few, LINE, Line, bytes_of, less_of};
use crate::cargo::{Cargo, Ends};
use crate::child::Children;
use crate::edge::{Out, text};
use crate::error::Failure;
use crate::info::Told;
use crate::registry;
use crate::shared::thing::Thing;

/// A task that runs. It is the function's for as long as that has not returned, on the thread that
/// has called it.
pub struct PinfoldCall {
    _private: [u8; 0],
}

/// A function that can be run as a task. Returns 0, or any other number if it failed: the
/// task has ended with `PINFOLD_STATUS_TASK_FAILED` then, and its handle tells the number.
pub type PinfoldFunction =
    Option<unsafe extern "C-unwind" fn(call: *mut PinfoldCall, user: *mut c_void) -> i32>;

/// Which function is called, and with what.
pub(crate) struct Request {
    pub(crate) function: u32,
    pub(crate) argument: Few,
    pub(crate) cargo: Option<Box<Cargo>>,
}

impl Request {
    /// `argument` is read before the call returns that it is a part of.
    #[inline]
    pub(crate) fn plain(function: u32, argument: &&[u8]) -> Self {
        Request {
            function,
            argument: Few::lent(argument),
            cargo: None,
        }
    }

    /// With eight bytes of argument, as a number: these travel as quickly as one in Rust.
    #[inline(always)]
    pub(crate) fn quick(function: u32, argument: [u8; 8]) -> u128 {
        u128::from(function) << 64 | u128::from(u64::from_ne_bytes(argument))
    }

    /// With an argument of its own: what waits for other tasks may be encoded when they have ended.
    pub(crate) fn owned(mut self) -> Self {
        if let Few::Lent(_) = self.argument {
            self.argument = self.argument[..].into();
        }
        self
    }

    /// As [`Request::plain`].
    pub(crate) fn with(function: u32, argument: &&[u8], cargo: Cargo) -> Self {
        let cargo = (!cargo.is_empty()).then(|| Box::new(cargo));
        Request {
            cargo,
            ..Request::plain(function, argument)
        }
    }
}

/// What a task has made: some bytes in place, or a buffer.
#[derive(Clone)]
pub(crate) enum Output {
    Bytes(Few),
    Buffer(Shared),
}

impl Output {
    /// Has it begin at a multiple of 64.
    pub(crate) fn aligned(mut self) -> Self {
        if let Output::Bytes(few) = &mut self {
            few.aligned();
        }
        self
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Output::Bytes(bytes) => bytes,
            Output::Buffer(shared) => shared,
        }
    }
}

/// What a function has returned that is not 0, and what it had to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message.is_empty() {
            true => write!(f, "the task returned {}", self.code),
            false => write!(f, "the task returned {}: {}", self.code, self.message),
        }
    }
}

/// What comes of a task that has come to its end: a `Result` of [`Output`] and [`Failed`], and that
/// is what the library takes it for. Two registers, for each task has one; how it travels is in
/// [`crate::wire`].
pub(crate) enum Ended {
    /// As in [`Few`].
    Eight(u64),
    Less(u64),
    More(Box<Bytes>),
    Buffer(Box<Shared>),
    Err(Box<Failed>),
}

impl Ended {
    pub(crate) fn result(self) -> Result<Output, Failed> {
        Ok(match self {
            Ended::Eight(word) => Output::Bytes(Few::Eight(word)),
            Ended::Less(word) => Output::Bytes(Few::Less(word)),
            Ended::More(more) => Output::Bytes(Few::More(more)),
            Ended::Buffer(shared) => Output::Buffer(*shared),
            Ended::Err(failed) => return Err(*failed),
        })
    }

    /// What the task has made.
    #[inline]
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        Some(match self {
            Ended::Eight(word) => bytes_of(word),
            Ended::Less(word) => less_of(word),
            Ended::More(more) => more,
            Ended::Buffer(shared) => shared,
            Ended::Err(_) => return None,
        })
    }
}

impl From<Few> for Ended {
    #[inline]
    fn from(few: Few) -> Self {
        match few {
            Few::Eight(word) => Ended::Eight(word),
            Few::Less(word) => Ended::Less(word),
            Few::More(more) => Ended::More(more),
            Few::Lent(_) => Ended::More(Box::new(few[..].into())),
        }
    }
}

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
    /// The name of the function that is called.
    pub(crate) function: &'static str,
    argument: Bytes,
    pub(crate) made: Made,
    /// What is made, if it fits.
    place: Line,
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
    pub(crate) ends: Ends,
    /// Those that have one owner, until they are taken.
    pub(crate) things: Vec<Option<Thing>>,
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
        std::mem::take(&mut self.rest().message)
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
    frame.function = function.name;
    frame.argument.set(request.argument);
    if let Some(cargo) = request.cargo {
        let rest = frame.rest();
        rest.buffers = cargo.buffers.into_iter().map(Some).collect();
        rest.ends = cargo.ends;
        rest.things = cargo.things.into_iter().map(Some).collect();
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
        return Few::from_line(&frame.place, len).into();
    }
    match std::mem::replace(&mut frame.made, Made::Nothing) {
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
            function: "",
            argument: Bytes::default(),
            made: Made::Nothing,
            place: Line::default(),
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
    frame.argument = argument;
    let code = within(&mut frame, f);
    (code, frame.message())
}

/// The frame of a call that C names: only that which this thread runs.
#[inline]
pub(crate) fn with<T>(
    call: *mut PinfoldCall,
    f: impl FnOnce(&mut Frame) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let top = TOP.get();
    if call.is_null() || top.is_null() || top.cast() != call {
        return Err(not_on_top(call));
    }
    // SAFETY: as in `with_top`.
    f(unsafe { &mut *top })
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
    guard(|| {
        let (data, len) = (data?, len?);
        with(call, |frame| {
            data.write(start(&frame.argument));
            len.write(frame.argument.len());
            Ok(())
        })
    })
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
    guard(|| {
        let data = data?;
        with(call, |frame| {
            if len <= LINE {
                frame.made = Made::Here(len);
                data.write(frame.place.0.as_mut_ptr().cast());
                return Ok(());
            }
            frame.made = Made::Nothing;
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
