//! Functions by their place in the executable.
//!
//! Host and workers run the same build (the handshake proves it), each at its own
//! random base address. So a function is named by a distance from the start of the
//! program's constants. What lies there is a *gate*:
//!
//! ```text
//!   0        8        16       24       32
//!   +--------+--------+--------+--------+
//!   |  seal  |  kind  |  call  |  name  |   one for each (F, A, R), made by the compiler
//!   +--------+--------+--------+--------+
//! ```
//!
//! `call` is a monomorphic function that decodes `A`, calls `F`, and encodes `R`. The
//! seal is 64 random bits that no other place holds: a name that was spoilt in shared
//! memory leads to no gate, and is refused, instead of to the middle of some code.
//!
//! `F` itself has no size (a `fn` item, or a closure that captures nothing), so there
//! is nothing to send: its value can be made from nothing. A closure may also capture values
//! without size; a worker makes them from nothing, too, though it is another process than the
//! one that was given them. [`Runtime::spawn`](crate::Runtime::spawn) says so.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pool::{Pool, Transfer};
use crate::sys::{BuildId, Executable};

use super::codec::{Room, decode_with_buffers, drop_refused, encode_with_buffers};
use super::probe::is_err;
use super::{Fault, Outcome, Payload, untold, untold_of};

/// A gate's distance in bytes from the start of the program's constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId(pub u32);

/// One call, on the worker's side.
#[derive(Debug)]
pub struct Call<'a> {
    /// The encoded arguments.
    pub arguments: &'a [u8],
    /// Whether their last byte says how.
    pub is_marked: bool,
    /// The buffers that came with them.
    pub incoming: &'a mut Vec<Transfer>,
    /// Where the encoded value, or a message, goes.
    pub result: &'a mut Payload,
    /// Where a long value goes.
    pub pool: Option<&'a Pool>,
    /// The buffers that are in it.
    pub outgoing: &'a mut Vec<Transfer>,
}

/// A function behind a seal.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Gate<C> {
    seal: u64,
    kind: u64,
    call: C,
    name: fn() -> &'static str,
}

const SEAL: u64 = 0x9d1c_6c0b_f27a_53e4;
const TASK: u64 = 1;
const INIT: u64 = 2;
const EXECUTOR_INIT: u64 = 3;

/// Decodes, calls, encodes.
pub type Run = fn(&mut Call<'_>) -> Outcome;
/// The gate of a task's function.
pub type Entry = &'static Gate<Run>;

impl Gate<Run> {
    /// What the function is called in the program's text.
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// What decodes, calls and encodes.
    #[inline]
    pub fn run(&self) -> Run {
        self.call
    }
}

struct Of<F, A, R>(PhantomData<(F, A, R)>);

impl<F, A, R> Of<F, A, R>
where
    F: Fn(A) -> R + 'static,
    A: DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    const GATE: Gate<Run> = Gate {
        seal: SEAL,
        kind: TASK,
        call: entry::<F, A, R>,
        name: std::any::type_name::<F>,
    };
}

/// The entry of function type `F`.
pub fn entry_of<F, A, R>() -> Entry
where
    F: Fn(A) -> R + 'static,
    A: DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "this closure captures something, and a task may run in another process: \
             pass what it needs in the argument (`rt.spawn(|(a, b)| .., (a, b))`), \
             and what is large and the same for many tasks as `rt.constant(value)`"
        );
    }
    const { &Of::<F, A, R>::GATE }
}

fn entry<F, A, R>(call: &mut Call<'_>) -> Outcome
where
    F: Fn(A) -> R + 'static,
    A: DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let arguments = match arguments_of::<A>(call) {
        Ok(arguments) => arguments,
        Err(outcome) => return outcome,
    };
    // SAFETY: `entry_of` proved at compile time that F has no size, so any
    // well-aligned address will do; and F has values, because the host was given
    // one to submit this task, in a process of the same build.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    let value = function(arguments);
    leave(value, call)
}

// What of a call depends on the type of its arguments alone, and on that of its value alone, is
// apart: there are fewer types than functions, and each is compiled once. Not in a program that is
// to be quick, rather than to be built quickly.

/// The arguments, or that they are none.
#[cfg_attr(not(debug_assertions), inline(always))]
fn arguments_of<A: DeserializeOwned>(call: &mut Call<'_>) -> Result<A, Outcome> {
    let (bytes, is_marked) = (call.arguments, call.is_marked);
    let decoded = decode_with_buffers::<A>(bytes, is_marked, call.incoming);
    decoded.map_err(|fault| {
        let name = std::any::type_name::<A>();
        say(call.result, name, &fault, Outcome::BadArguments)
    })
}

/// Leaves the value.
#[cfg_attr(not(debug_assertions), inline(always))]
fn leave<R>(value: R, call: &mut Call<'_>) -> Outcome
where
    R: Serialize + DeserializeOwned,
{
    let failed = is_err(&value);
    let pool = call.pool;
    let pool = || pool.cloned();
    let (encoded, outgoing) = encode_with_buffers(&value, call.result, Room::Pool(&pool));
    if let Err(fault) = encoded {
        drop_refused(value, &fault.to_string());
        let name = std::any::type_name::<R>();
        return say(call.result, name, &fault, Outcome::BadResult);
    }
    let outcome = Outcome::of_value(failed, call.result.is_marked());
    if outgoing.is_empty() {
        // The value is dropped where it is: what was just written in pieces is not moved.
        return outcome;
    }
    drop(value);
    match leave_buffers(outgoing, call) {
        Ok(()) => outcome,
        Err(bad) => bad,
    }
}

/// Leaves the buffers that are in the value.
#[cold]
#[inline(never)]
fn leave_buffers(outgoing: Vec<Transfer>, call: &mut Call<'_>) -> Result<(), Outcome> {
    if let Some(why) = outgoing.iter().find_map(Transfer::why_gone) {
        call.result.clear();
        call.result.extend(why.as_bytes());
        return Err(Outcome::BadResult);
    }
    *call.outgoing = outgoing;
    Ok(())
}

/// Leaves what is wrong with a value of the type that is called so.
#[cold]
#[inline(never)]
fn say(result: &mut Payload, name: &str, fault: &Fault, outcome: Outcome) -> Outcome {
    result.clear();
    result.extend(untold_of(name, fault).as_bytes());
    outcome
}

/// What a worker keeps for its tasks.
pub type WorkerState = Box<dyn Any + Send + Sync>;

/// Makes a worker's state of the encoded arguments, or says why it cannot.
pub type MakeState = fn(&[u8]) -> Result<WorkerState, String>;
/// Makes an executor's own state, or says why it cannot.
pub type MakeOwn = fn() -> Result<Box<dyn Any>, String>;
/// The gate of a worker's init.
pub type Init = &'static Gate<MakeState>;
/// The gate of an executor's init.
pub type ExecutorInit = &'static Gate<MakeOwn>;

impl<F, T, E> Of<F, T, E>
where
    F: Fn() -> Result<T, E> + 'static,
    T: Send + Sync + 'static,
    E: std::fmt::Display,
{
    const INIT: Gate<MakeState> = Gate {
        seal: SEAL,
        kind: INIT,
        call: init::<F, T, E>,
        name: std::any::type_name::<F>,
    };
}

impl<F, T, E> Of<F, T, E>
where
    F: Fn() -> Result<T, E> + 'static,
    T: 'static,
    E: std::fmt::Display,
{
    const EXECUTOR_INIT: Gate<MakeOwn> = Gate {
        seal: SEAL,
        kind: EXECUTOR_INIT,
        call: executor_init::<F, T, E>,
        name: std::any::type_name::<F>,
    };
}

impl<F, A, T, E> Of<F, A, (T, E)>
where
    F: Fn(A) -> Result<T, E> + 'static,
    A: DeserializeOwned,
    T: Send + Sync + 'static,
    E: std::fmt::Display,
{
    const INIT_WITH: Gate<MakeState> = Gate {
        seal: SEAL,
        kind: INIT,
        call: init_with::<F, A, T, E>,
        name: std::any::type_name::<F>,
    };
}

/// The init of function type `F`.
pub fn init_of<F, T, E>() -> Init
where
    F: Fn() -> Result<T, E> + 'static,
    T: Send + Sync + 'static,
    E: std::fmt::Display,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "this closure captures something, and `worker_init` runs in other processes: \
             pass what it needs by `worker_init_with(f, args)`"
        );
    }
    const { &Of::<F, T, E>::INIT }
}

fn init<F, T, E>(_: &[u8]) -> Result<WorkerState, String>
where
    F: Fn() -> Result<T, E> + 'static,
    T: Send + Sync + 'static,
    E: std::fmt::Display,
{
    // SAFETY: as in `entry`: F has no size, and the host was given a value of it.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    match function() {
        Ok(state) => Ok(Box::new(state)),
        Err(error) => Err(error.to_string()),
    }
}

/// The init of function type `F`, which is called with arguments.
pub fn init_with_of<F, A, T, E>() -> Init
where
    F: Fn(A) -> Result<T, E> + 'static,
    A: DeserializeOwned,
    T: Send + Sync + 'static,
    E: std::fmt::Display,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "this closure captures something, and `worker_init_with` runs in other processes: \
             pass what it needs in its arguments"
        );
    }
    const { &Of::<F, A, (T, E)>::INIT_WITH }
}

fn init_with<F, A, T, E>(args: &[u8]) -> Result<WorkerState, String>
where
    F: Fn(A) -> Result<T, E> + 'static,
    A: DeserializeOwned,
    T: Send + Sync + 'static,
    E: std::fmt::Display,
{
    // As `init_args` has made them.
    let (marked, bytes) = args.split_last().unwrap_or((&0, &[]));
    let args = decode_with_buffers::<A>(bytes, *marked != 0, &mut Vec::new())
        .map_err(|fault| format!("{}: {}", std::any::type_name::<F>(), untold::<A>(&fault)))?;
    // SAFETY: as in `entry`: F has no size, and the host was given a value of it.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    match function(args) {
        Ok(state) => Ok(Box::new(state)),
        Err(error) => Err(error.to_string()),
    }
}

/// The arguments of an init, encoded; why they do not travel.
pub fn init_args<A: Serialize + DeserializeOwned>(
    args: &A,
    function: &str,
) -> Result<Vec<u8>, String> {
    let mut payload = Payload::new();
    let (encoded, buffers) = encode_with_buffers(args, &mut payload, Room::Heap);
    encoded.map_err(|fault| format!("{function}: {}", untold::<A>(&fault)))?;
    if !buffers.is_empty() {
        return Err(
            "a buffer or a constant is among them, which belongs to a runtime that runs".into(),
        );
    }
    let mut bytes = payload.bytes().to_vec();
    bytes.push(u8::from(payload.is_marked()));
    Ok(bytes)
}

/// The executor's init of function type `F`.
pub fn executor_init_of<F, T, E>() -> ExecutorInit
where
    F: Fn() -> Result<T, E> + 'static,
    T: 'static,
    E: std::fmt::Display,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "this closure captures something, and `executor_init` runs in other processes: \
             have `worker_init_with` make a state of it, and ask for that by `worker_state`"
        );
    }
    const { &Of::<F, T, E>::EXECUTOR_INIT }
}

fn executor_init<F, T, E>() -> Result<Box<dyn Any>, String>
where
    F: Fn() -> Result<T, E> + 'static,
    T: 'static,
    E: std::fmt::Display,
{
    // SAFETY: as in `entry`: F has no size, and the host was given a value of it.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    match function() {
        Ok(state) => Ok(Box::new(state)),
        Err(error) => Err(error.to_string()),
    }
}

/// The functions of the running program.
#[derive(Clone, Debug)]
pub struct Functions {
    /// Where its gates are, and other constants.
    constants: Range<usize>,
    build: BuildId,
}

impl Functions {
    /// Of the program (or library) that pinfold is linked into.
    pub fn of_this_program() -> std::io::Result<Self> {
        let program = Executable::containing(std::ptr::from_ref(anchor()).addr())?;
        Ok(Functions {
            constants: program.part(),
            build: program.build().clone(),
        })
    }

    /// Which build this is.
    pub fn build(&self) -> &BuildId {
        &self.build
    }

    /// The name of an entry; `None` if it is not in the same program.
    #[inline]
    pub fn id(&self, entry: Entry) -> Option<FunctionId> {
        self.id_of(entry)
    }

    /// The name of an init; `None` if it is not in the same program.
    pub fn init_id(&self, init: Init) -> Option<FunctionId> {
        self.id_of(init)
    }

    /// The name of an executor's init; `None` if it is not in the same program.
    pub fn executor_init_id(&self, init: ExecutorInit) -> Option<FunctionId> {
        self.id_of(init)
    }

    #[inline]
    fn id_of<C>(&self, gate: &'static Gate<C>) -> Option<FunctionId> {
        let address = std::ptr::from_ref(gate).addr();
        if !self.constants.contains(&address) {
            return None;
        }
        u32::try_from(address - self.constants.start)
            .ok()
            .map(FunctionId)
    }

    /// The function of that name; `None` if there is no gate of this kind.
    #[inline]
    fn gate<C>(&self, id: FunctionId, kind: u64) -> Option<&'static Gate<C>> {
        let address = self.constants.start.checked_add(id.0 as usize)?;
        let end = address.checked_add(size_of::<Gate<C>>())?;
        if end > self.constants.end || !address.is_multiple_of(align_of::<Gate<C>>()) {
            return None;
        }
        let gate = std::ptr::with_exposed_provenance::<Gate<C>>(address);
        // SAFETY: inside a part of the program that is mapped readable for as long as
        // the process lives, and aligned; atomic, because it may be a variable.
        let (seal, is) = unsafe {
            (
                &*(&raw const (*gate).seal).cast::<AtomicU64>(),
                &*(&raw const (*gate).kind).cast::<AtomicU64>(),
            )
        };
        // Relaxed: gates are constants.
        if seal.load(Ordering::Relaxed) != SEAL || is.load(Ordering::Relaxed) != kind {
            return None;
        }
        // SAFETY: only `Of` makes this seal and kind, in front of a `C`, as constants.
        Some(unsafe { &*gate })
    }

    /// The init of that name; `None` if there is none.
    pub fn init(&self, id: FunctionId) -> Option<MakeState> {
        Some(self.gate::<MakeState>(id, INIT)?.call)
    }

    /// The executor's init of that name; `None` if there is none.
    pub fn executor_init(&self, id: FunctionId) -> Option<MakeOwn> {
        Some(self.gate::<MakeOwn>(id, EXECUTOR_INIT)?.call)
    }

    /// The entry of that name; `None` if there is none.
    #[inline]
    pub fn entry(&self, id: FunctionId) -> Option<Run> {
        Some(self.gate::<Run>(id, TASK)?.call)
    }

    /// What the function of that name is called in the program's text.
    pub fn name(&self, id: FunctionId) -> Option<&'static str> {
        Some(self.gate::<Run>(id, TASK)?.name())
    }
}

/// A gate by which the part of the program is found in which all of them are.
fn anchor() -> Entry {
    fn of<F: Fn(()) + 'static>(_: F) -> Entry {
        entry_of::<F, (), ()>()
    }
    of(|()| ())
}
