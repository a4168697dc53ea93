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
use crate::bytes::{Argument, Bytes, Few};
use crate::child::Children;
use crate::edge::{Out, text};
use crate::error::Failure;
use crate::info::Told;
use crate::registry;

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
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) function: u32,
    pub(crate) argument: Argument,
    pub(crate) buffers: Vec<Part>,
}

/// What a task has made: some bytes in place, or a buffer.
#[derive(Clone, Serialize, Deserialize)]
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

/// What comes of a task that has come to its end.
pub(crate) type Ended = Result<Output, Failed>;

/// The result as far as it is there.
pub(crate) enum Made {
    Nothing,
    Bytes(Bytes),
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
    /// Those that were moved to the task, until they are taken.
    pub(crate) buffers: Vec<Option<Part>>,
    inputs: Vec<Output>,
    pub(crate) made: Made,
    message: String,
    /// What it has submitted.
    pub(crate) children: Children,
    /// What it has asked of itself.
    pub(crate) told: Option<Box<Told>>,
    /// The one that this thread runs beneath it, while it waits for a child.
    beneath: *mut Frame,
}

impl Frame {
    pub(crate) fn input(&self, index: usize) -> Result<&Output, Failure> {
        let count = self.inputs.len();
        let none = || Failure::argument(format!("there is no input {index}: the task has {count}"));
        self.inputs.get(index).ok_or_else(none)
    }
}

thread_local! {
    /// The task that this thread runs.
    static TOP: Cell<*mut Frame> = const { Cell::new(null_mut()) };
}

/// The task of [`pinfold`] that all C tasks are.
pub(crate) fn run(request: Request) -> Ended {
    call(request, Vec::new())
}

/// The same, after others.
pub(crate) fn run_after((request, inputs): (Request, Vec<Ended>)) -> Ended {
    // Those that failed have no dependents.
    let inputs = inputs.into_iter().filter_map(Result::ok);
    call(request, inputs.map(Output::aligned).collect())
}

fn call(request: Request, inputs: Vec<Output>) -> Ended {
    let Some(function) = registry::find(request.function) else {
        return Err(Failed {
            code: PinfoldStatus::UnknownFunction as i32,
            message: "the worker process knows no such function: register it before `pinfold_init`, in each process".into(),
        });
    };
    let argument = match request.argument {
        Argument::Own(bytes) => bytes,
        Argument::Lent(..) => unreachable!("what has arrived is one's own"),
    };
    let mut frame = Frame::new(function.name, argument);
    frame.inputs = inputs;
    frame.buffers = request.buffers.into_iter().map(Some).collect();
    // SAFETY: who registered it promised that it may be called so.
    let code = within(&mut frame, |this| unsafe {
        (function.call)(this, function.user())
    });
    if code != 0 {
        let message = std::mem::take(&mut frame.message);
        return Err(Failed { code, message });
    }
    Ok(match frame.made {
        Made::Nothing => Output::Bytes((&[][..]).into()),
        Made::Bytes(bytes) => Output::Bytes(bytes.into()),
        Made::Loan(loan) => Output::Buffer(loan.publish()),
        Made::Shared(shared) => Output::Buffer(shared),
    })
}

impl Frame {
    fn new(function: &'static str, argument: Bytes) -> Self {
        Frame {
            function,
            argument,
            buffers: Vec::new(),
            inputs: Vec::new(),
            made: Made::Nothing,
            message: String::new(),
            children: Children::default(),
            told: None,
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
    let mut frame = Frame::new("", argument);
    let code = within(&mut frame, f);
    (code, std::mem::take(&mut frame.message))
}

/// The frame of a call that C names: only that which this thread runs.
pub(crate) fn with<T>(
    call: *mut PinfoldCall,
    f: impl FnOnce(&mut Frame) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if call.is_null() {
        return Err(Failure::null("call"));
    }
    if !TOP.get().is_null() && TOP.get().cast() != call {
        let message = "this is not the call that this thread runs now";
        return Err(Failure::new(PinfoldStatus::BadHandle, message));
    }
    with_top(f)
}

/// The frame of the call that this thread runs.
pub(crate) fn with_top<T>(f: impl FnOnce(&mut Frame) -> Result<T, Failure>) -> Result<T, Failure> {
    let top = TOP.get();
    if top.is_null() {
        let message = "no task runs on this thread";
        return Err(Failure::new(PinfoldStatus::NotInTask, message));
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
            count.write(frame.inputs.len());
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
            frame.made = Made::Nothing;
            frame.made = match len {
                0..=IN_PLACE => Made::Bytes(Bytes::zeroed(len)),
                _ => Made::Loan(aligned(len, pinfold::alloc)?),
            };
            data.write(match &mut frame.made {
                Made::Bytes(bytes) => bytes.as_mut_ptr().cast(),
                Made::Loan(loan) => loan.as_mut_ptr().cast(),
                Made::Nothing | Made::Shared(_) => null_mut(),
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
            frame.message = message[..cut].to_owned();
            Ok(())
        })
    })
}

/// Whether this thread runs a task.
pub(crate) fn is_in_task() -> bool {
    !TOP.get().is_null()
}
