//! Functions by their place in the executable.
//!
//! Host and workers run the same build (the handshake proves it), each at its own
//! random base address. So a function is named by its distance from the start of
//! the program's code. What is named is an *entry*: one monomorphic function per
//! `(F, A, R)` that decodes `A`, calls `F`, and encodes `R`. `F` itself has no
//! size (a `fn` item, or a closure that captures nothing), so there is nothing to
//! send: its value can be made from nothing.

use std::any::Any;
use std::ops::Range;
use std::ptr::NonNull;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pool::{Transfer, decoding, encoding};
use crate::sys::{BuildId, Executable};

use super::probe::is_err;
use super::{Outcome, Payload};

/// A function's distance in bytes from the start of the program's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId(pub u32);

/// One call, on the worker's side.
#[derive(Debug)]
pub struct Call<'a> {
    /// The encoded arguments.
    pub arguments: &'a [u8],
    /// The buffers that came with them.
    pub incoming: Vec<Transfer>,
    /// Where the encoded value, or a message, goes.
    pub result: &'a mut Payload,
    /// The buffers that are in it.
    pub outgoing: Vec<Transfer>,
}

/// Decodes, calls, encodes.
pub type Entry = fn(&mut Call<'_>) -> Outcome;

/// The entry of function type `F`.
pub fn entry_of<F, A, R>() -> Entry
where
    F: Fn(A) -> R + 'static,
    A: DeserializeOwned,
    R: Serialize,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "a task must be a function item or a closure that captures nothing: pass what it needs as its argument"
        );
    }
    entry::<F, A, R>
}

fn entry<F, A, R>(call: &mut Call<'_>) -> Outcome
where
    F: Fn(A) -> R + 'static,
    A: DeserializeOwned,
    R: Serialize,
{
    let incoming = std::mem::take(&mut call.incoming);
    let decoded = decoding(incoming, || postcard::from_bytes::<A>(call.arguments));
    let arguments = match decoded {
        Ok(arguments) => arguments,
        Err(error) => {
            call.result.extend(error.to_string().as_bytes());
            return Outcome::BadArguments;
        }
    };
    // SAFETY: `entry_of` proved at compile time that F has no size, so any
    // well-aligned address will do; and F has values, because the host was given
    // one to submit this task, in a process of the same build.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    let value = function(arguments);
    let failed = is_err(&value);
    let (encoded, outgoing) = encoding(|| call.result.encode(&value));
    drop(value);
    if let Err(error) = encoded {
        call.result.clear();
        call.result.extend(error.to_string().as_bytes());
        return Outcome::BadResult;
    }
    call.outgoing = outgoing;
    if failed {
        Outcome::ReturnedErr
    } else {
        Outcome::Value
    }
}

/// What a worker keeps for its tasks.
pub type WorkerState = Box<dyn Any + Send + Sync>;

/// Makes a worker's state, or says why it cannot.
pub type Init = fn() -> Result<WorkerState, String>;

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
            "a worker's init must be a function item or a closure that captures nothing"
        );
    }
    init::<F, T, E>
}

fn init<F, T, E>() -> Result<WorkerState, String>
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

/// The functions of the running program.
#[derive(Clone, Debug)]
pub struct Functions {
    text: Range<usize>,
    build: BuildId,
}

impl Functions {
    /// Of the program (or library) that pinfold is linked into.
    pub fn of_this_program() -> std::io::Result<Self> {
        let program = Executable::containing(Self::of_this_program as fn() -> _ as usize)?;
        Ok(Functions {
            text: program.text(),
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
        self.id_at(entry as usize)
    }

    /// The name of an init; `None` if it is not in the same program.
    pub fn init_id(&self, init: Init) -> Option<FunctionId> {
        self.id_at(init as usize)
    }

    #[inline]
    fn id_at(&self, address: usize) -> Option<FunctionId> {
        if !self.text.contains(&address) {
            return None;
        }
        u32::try_from(address - self.text.start)
            .ok()
            .map(FunctionId)
    }

    #[inline]
    fn address(&self, id: FunctionId) -> Option<usize> {
        let address = self.text.start.checked_add(id.0 as usize)?;
        self.text.contains(&address).then_some(address)
    }

    /// The init of that name; `None` if it lies outside the program's code.
    pub fn init(&self, id: FunctionId) -> Option<Init> {
        let address = self.address(id)?;
        // SAFETY: `Functions::init_id` made the id from an `Init` in the host, which
        // runs the same build, and it came by the control socket.
        Some(unsafe { std::mem::transmute::<usize, Init>(address) })
    }

    /// The entry of that name; `None` if it lies outside the program's code.
    #[inline]
    pub fn entry(&self, id: FunctionId) -> Option<Entry> {
        let address = self.address(id)?;
        // An id spoilt by a wild worker at worst crashes this worker too.
        // SAFETY: `Functions::id` made the id from an `Entry` in the host, which runs
        // the same build (proved by the handshake): it is at this distance here too.
        Some(unsafe { std::mem::transmute::<usize, Entry>(address) })
    }
}
