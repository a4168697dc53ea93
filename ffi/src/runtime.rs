//! Runtimes: start, and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::Runtime;

use crate::boundary::guard;
use crate::call::is_in_task;
use crate::config::{PinfoldChoice, PinfoldConfig};
use crate::edge::Out;
use crate::error::Failure;
use crate::names::Names;
use crate::{PinfoldStatus, table};

/// A fold of worker processes, and what the program has of it.
pub struct PinfoldRuntime {
    _private: [u8; 0],
}

/// Behind a `pinfold_runtime`.
pub(crate) struct RuntimeObject {
    /// No other runtime of this process ever has it; not 0.
    pub(crate) number: u64,
    pub(crate) runtime: Runtime,
    pub(crate) names: Names,
    /// Each task is measured.
    pub(crate) is_profiling: bool,
    /// The process whose it is.
    process: u32,
}

/// The runtime of a handle, in the process that has started it.
pub(crate) fn runtime(handle: *mut PinfoldRuntime) -> Result<Arc<RuntimeObject>, Failure> {
    let object = table::enter::<Arc<RuntimeObject>>(handle.addr())?;
    if object.process != std::process::id() {
        let message = "this process was forked off the one whose runtime it is";
        return Err(Failure::new(PinfoldStatus::Forked, message));
    }
    Ok(Arc::clone(&object))
}

/// Copies a struct that may be of another version of the header: shorter (what is missing is 0), or
/// longer (then what is unknown must be 0).
///
/// # Safety
///
/// `pointer` is null, or points to a struct that begins with its size in bytes, a `size_t`. `T` is
/// such a struct, and all zero is one of its values.
pub(crate) unsafe fn grown<T: Copy>(name: &str, pointer: *const T) -> Result<Option<T>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    let from: *const u8 = pointer.cast();
    // SAFETY: the caller's promise.
    let size = unsafe { from.cast::<usize>().read_unaligned() };
    let own = size_of::<T>();
    check_size(name, size)?;
    // SAFETY: it is so long, says the caller.
    let all = unsafe { std::slice::from_raw_parts(from, size) };
    if all
        .get(own..)
        .is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
    {
        return Err(Failure::argument(format!(
            "`{name}` sets a field that this version of the library does not know: it has {own} bytes, not {size}"
        )));
    }
    let mut copy = std::mem::MaybeUninit::<T>::zeroed();
    let len = size.min(own);
    // SAFETY: both are so long; and all zero is a `T`, says the caller.
    Ok(Some(unsafe {
        copy.as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(from, len);
        copy.assume_init()
    }))
}

/// Writes a struct whose size the caller has said, which stays: what is not there is not written,
/// and what is unknown to this version is 0.
///
/// # Safety
///
/// `pointer` is null, or points to a struct that begins with its size in bytes, a `size_t`, which
/// nobody else touches. `T` is such a struct, without padding.
pub(crate) unsafe fn fill<T: Copy>(
    name: &str,
    pointer: *mut T,
    value: impl FnOnce() -> T,
) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    let to: *mut u8 = pointer.cast();
    // SAFETY: the caller's promise.
    let size = unsafe { to.cast::<usize>().read_unaligned() };
    check_size(name, size)?;
    let value = value();
    let (head, len) = (size_of::<usize>(), size.min(size_of::<T>()));
    // SAFETY: so much is there, says the caller, and of the value at least as much.
    unsafe {
        let from: *const u8 = (&raw const value).cast();
        to.add(head)
            .copy_from_nonoverlapping(from.add(head), len - head);
        to.add(len).write_bytes(0, size - len);
    }
    Ok(())
}

fn check_size(name: &str, size: usize) -> Result<(), Failure> {
    if size < size_of::<usize>() || size > 1 << 16 {
        return Err(Failure::argument(format!(
            "`{name}->size` is {size}: begin with the macro that ends in _INIT"
        )));
    }
    Ok(())
}

/// Starts a fold of workers; returns when they have been started. `config` may be null: all
/// defaults.
///
/// The runtime is the caller's: end it with `pinfold_runtime_free`.
///
/// Fails with `PINFOLD_STATUS_NOT_INITIALIZED` if `pinfold_init` was not called, with
/// `PINFOLD_STATUS_INSIDE_WORKER` in a worker, with `PINFOLD_STATUS_INVALID_ARGUMENT` if a setting
/// (or `size`) is out of its bounds, and with `PINFOLD_STATUS_START_FAILED` if the system refused
/// something; the last message says which, and what to do.
///
/// Any thread; not in a task.
///
/// # Safety
///
/// `config` is null or a `pinfold_config`; `out_runtime` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_new(
    config: *const PinfoldConfig,
    out_runtime: *mut *mut PinfoldRuntime,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_runtime", out_runtime) };
    guard(move || {
        let out = out?;
        // SAFETY: the caller's promise; all zero are the defaults.
        let config = unsafe { grown("config", config) }?;
        let (runtime, names) = match config {
            None => {
                let names = Names::own();
                (Runtime::builder().start()?, names)
            }
            // SAFETY: the caller's promise: what it points to is there.
            Some(config) => unsafe { config.start() }?,
        };
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only the number matters.
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let is_profiling = config.is_some_and(|config| config.profile == PinfoldChoice::Yes as i32);
        let handle = table::insert(Arc::new(RuntimeObject {
            number,
            runtime,
            names,
            is_profiling,
            process: std::process::id(),
        }))?;
        out.write(as_pointer(handle));
        Ok(())
    })
}

/// A handle as C has it.
pub(crate) fn as_pointer<T>(handle: usize) -> *mut T {
    std::ptr::without_provenance_mut(handle)
}

/// Ends a runtime: waits up to 5 s (`pinfold_config.on_free` says otherwise) for the tasks in
/// flight, ends what is left, and all its processes. Null does nothing.
///
/// Handles of its tasks stay valid: each has ended. They, its tasks and its buffers are to be freed on their own.
///
/// Any thread; not in a task. Another thread that is inside a call with it finishes that call.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_runtime_free(runtime: *mut PinfoldRuntime) -> PinfoldStatus {
    guard(|| {
        if runtime.is_null() {
            return Ok(());
        }
        not_in_task()?;
        table::remove::<Arc<RuntimeObject>>(runtime.addr())
    })
}

/// What waits for the whole fold would wait for itself.
pub(crate) fn not_in_task() -> Result<(), Failure> {
    match is_in_task() {
        true => {
            let message = "this must not be called in a task, which it would wait for";
            Err(Failure::new(PinfoldStatus::InsideTask, message))
        }
        false => Ok(()),
    }
}
