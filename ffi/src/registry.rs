//! C functions by name, the same in the host and in its workers.
//!
//! A C program and its workers cannot find functions as Rust does, by their place in the
//! executable: the library cannot know that two addresses are the same function. So a function
//! has a name, which is registered before `pinfold_init` by the same
//! code in each process; and what goes to a worker is a number made of the name.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_char, c_void};
use std::sync::{LazyLock, OnceLock};

use parking_lot::Mutex;

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::call::{PinfoldCall, PinfoldFunction};
use crate::error::Failure;

/// The longest name of a function, in bytes.
const NAME_MAX: usize = 255;

/// A function of the user's.
#[derive(Debug)]
pub(crate) struct Function {
    number: u32,
    pub(crate) name: &'static str,
    pub(crate) call: unsafe extern "C-unwind" fn(*mut PinfoldCall, *mut c_void) -> i32,
    user: *mut c_void,
}

// SAFETY: the pointer is the user's, who was told that the function may be called by any
// thread of a worker; here it is only handed on.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    /// What it was registered with.
    pub(crate) fn user(&self) -> *mut c_void {
        self.user
    }
}

type Table = BTreeMap<u32, &'static Function>;

static OPEN: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
/// From the first use on it does not change, and no lock is needed.
static CLOSED: OnceLock<Table> = OnceLock::new();

/// The number of a name: FNV-1a. Two names of one number are refused when they are registered.
pub(crate) fn number(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn table() -> &'static Table {
    CLOSED.get_or_init(|| std::mem::take(&mut *OPEN.lock()))
}

/// The function of that number, in this process.
#[inline]
pub(crate) fn find(number: u32) -> Option<&'static Function> {
    match LATEST.get() {
        Some(latest) if latest.number == number => Some(latest),
        _ => look_up(number),
    }
}

thread_local! {
    /// What this thread has found at last: mostly it looks for the same again.
    static LATEST: Cell<Option<&'static Function>> = const { Cell::new(None) };
}

#[cold]
fn look_up(number: u32) -> Option<&'static Function> {
    let found = table().get(&number).copied();
    LATEST.set(found);
    found
}

/// The names of all functions of this process, sorted.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = table().values().map(|function| function.name).collect();
    names.sort_unstable();
    names
}

/// The first registration that was refused in this process, and why.
static REFUSED: OnceLock<String> = OnceLock::new();

/// Why a function could not be registered, if one could not: its plugin may not have looked.
pub(crate) fn refused() -> Option<&'static str> {
    REFUSED.get().map(String::as_str)
}

static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The name of a function of other processes, which is kept for ever, once.
pub(crate) fn kept(name: &str) -> &'static str {
    let mut kept = KEPT.lock();
    if let Some(there) = kept.get(name) {
        return there;
    }
    let name = Box::leak(name.to_owned().into_boxed_str());
    kept.insert(name);
    name
}

/// A name that something may be registered by.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.len() > NAME_MAX {
        let message = format!(
            "the name that is registered has 1 to {NAME_MAX} bytes, not {}",
            name.len()
        );
        return Err(Failure::argument(message));
    }
    Ok(())
}

/// Whether anything may be registered still.
pub(crate) fn check_open(name: &str) -> Result<(), Failure> {
    if CLOSED.get().is_some() {
        let message = format!(
            "`{name}` must be registered before `pinfold_init` and before the first runtime: workers must have it too"
        );
        return Err(Failure::new(PinfoldStatus::TooLate, message));
    }
    Ok(())
}

fn register(name: &str, call: PinfoldFunction, user: *mut c_void) -> Result<(), Failure> {
    let call = call.ok_or_else(|| Failure::null("function"))?;
    check_name(name)?;
    let mut open = OPEN.lock();
    check_open(name)?;
    let number = number(name);
    if let Some(there) = open.get(&number) {
        if there.name == name && std::ptr::fn_addr_eq(there.call, call) && there.user == user {
            return Ok(());
        }
        let message = match there.name == name {
            true => format!("another function is registered by the name `{name}`"),
            false => format!(
                "`{name}` and `{}` have the same number: choose another name",
                there.name
            ),
        };
        return Err(Failure::argument(message));
    }
    let name = Box::leak(name.to_owned().into_boxed_str());
    let function = Box::leak(Box::new(Function {
        number,
        name,
        call,
        user,
    }));
    open.insert(number, function);
    Ok(())
}

/// Registers a function that can be run as a task, by `name` (1 to 255 bytes of UTF-8, copied).
///
/// Call it before `pinfold_init`, unconditionally: the worker processes run the same lines of
/// `main` up to `pinfold_init`, and know the functions that they have registered there. `user` is
/// passed to each call; it means something in the process that has registered it, so it must
/// not point to what only the host has. To register the same again does nothing.
///
/// Fails with `PINFOLD_STATUS_TOO_LATE` after `pinfold_init`, with
/// `PINFOLD_STATUS_INVALID_ARGUMENT` if the name is taken, empty or too long, and with
/// `PINFOLD_STATUS_NULL_ARGUMENT`.
///
/// Any thread; not in a task.
///
/// # Safety
///
/// `name` is null or a string that ends in NUL. `function` may be called with `user` by any
/// thread of a worker process, as long as that lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_function_register(
    name: *const c_char,
    function: PinfoldFunction,
    user: *mut c_void,
) -> PinfoldStatus {
    guard(move || {
        // SAFETY: the caller's promise.
        let name = unsafe { crate::edge::text("name", name) }?;
        register(name, function, user).inspect_err(|failure| {
            REFUSED.get_or_init(|| failure.message.clone());
        })
    })
}
