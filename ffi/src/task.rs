//! Tasks that can be submitted: a function of a runtime, with settings.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use pinfold::{Handle, StoredTask};

use crate::boundary::guard;
use crate::bytes::Argument;
use crate::call::{Ended, Request, run, run_after};
use crate::edge::{Out, bytes, text, words};
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle};
use crate::runtime::{PinfoldRuntime, RuntimeObject, as_pointer, grown};
use crate::{PinfoldStatus, registry, table};

/// A function to be run by the workers of a runtime, with its settings; to be submitted any number
/// of times.
pub struct PinfoldTask {
    _private: [u8; 0],
}

/// Behind a `pinfold_task`.
pub(crate) struct TaskObject {
    name: &'static str,
    number: u32,
    alone: StoredTask<Request, Ended>,
    after: StoredTask<(Request, Vec<Ended>), Ended>,
}

/// Settings of a task. Start from `PINFOLD_TASK_SETTINGS_INIT`: a field that is 0 or null has its
/// default. Fields may be added at the end; `size` says which there are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldTaskSettings {
    /// `sizeof(pinfold_task_settings)`.
    pub size: usize,
    /// A name for errors, events and statistics, besides the function's. Default: none.
    pub name: *const c_char,
}

/// A task of function `function`, as it was registered, for the workers of `runtime`. `settings` may be null: all
/// defaults.
///
/// The task is the caller's: free it with `pinfold_task_free`, at any time.
///
/// Fails with `PINFOLD_STATUS_UNKNOWN_FUNCTION`.
///
/// Any thread.
///
/// # Safety
///
/// `function` is null or a string that ends in NUL; `settings` is null or a
/// `pinfold_task_settings`; `out_task` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_new(
    runtime: *mut PinfoldRuntime,
    function: *const c_char,
    settings: *const PinfoldTaskSettings,
    out_task: *mut *mut PinfoldTask,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_task", out_task) };
    guard(move || {
        let out = out?;
        let runtime = table::enter::<Arc<RuntimeObject>>(runtime.addr())?;
        // SAFETY: the caller's promise.
        let function = unsafe { text("function", function) }?;
        // SAFETY: the caller's promise; all zero are the defaults.
        let settings = unsafe { grown("settings", settings) }?;
        let known = registry::find(registry::number(function)).filter(|f| f.name == function);
        let Some(known) = known else {
            let names = registry::names();
            let message = format!(
                "no function is registered by the name `{function}`; there are: {}",
                names.join(", ")
            );
            return Err(Failure::new(PinfoldStatus::UnknownFunction, message));
        };
        let rt = &runtime.runtime;
        let (mut alone, mut after) = (rt.task(run), rt.task(run_after));
        if let Some(settings) = settings
            && !settings.name.is_null()
        {
            // SAFETY: the caller's promise.
            let name = unsafe { text("settings->name", settings.name) }?;
            alone = alone.named(name);
            after = after.named(name);
        }
        let task = TaskObject {
            name: known.name,
            number: registry::number(function),
            alone: alone.stored(),
            after: after.stored(),
        };
        out.write(as_pointer(table::insert(Arc::new(task))?));
        Ok(())
    })
}

/// Frees a task; what was submitted goes on. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_task_free(task: *mut PinfoldTask) -> PinfoldStatus {
    guard(|| match task.is_null() {
        true => Ok(()),
        false => table::remove::<Arc<TaskObject>>(task.addr()),
    })
}

/// Submits a task with `len` bytes of argument, which are copied. Waits for room if as many tasks
/// are in flight as may be.
///
/// The handle is the caller's: free it with `pinfold_handle_free`, or have
/// `pinfold_handle_join` free it. Each task that was submitted ends, and its handle says how; that it cannot
/// be run at all is said there too.
///
/// Any thread.
///
/// # Safety
///
/// `len` bytes can be read at `argument` (null if there are none); `out_handle` is null or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    out_handle: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_handle", out_handle) };
    guard(move || {
        let out = out?;
        // SAFETY: the caller's promise.
        let argument = unsafe { bytes("argument", argument, len) }?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let handle = task.alone.spawn(task.request(argument));
        out.write(task.handle(handle)?);
        Ok(())
    })
}

/// Submits a task to begin when `count` others have ended, whose outputs are its inputs, in that
/// order ([`pinfold_call_input`](crate::call::pinfold_call_input)). Those may have ended, and their handles may be freed at any
/// time after this call; the same may be named several times. If one of them ends without an output, this task is
/// not run, and ends with `PINFOLD_STATUS_DEPENDENCY_FAILED`.
///
/// Fails with `PINFOLD_STATUS_BAD_HANDLE`; with nothing submitted.
///
/// Any thread.
///
/// # Safety
///
/// As for `pinfold_task_submit`; and `count` handles can be read at `after` (null if there are
/// none).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit_after(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    after: *const *mut PinfoldHandle,
    count: usize,
    out_handle: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_handle", out_handle) };
    guard(move || {
        let out = out?;
        // SAFETY: the caller's promise.
        let (argument, after) = unsafe {
            (
                bytes("argument", argument, len)?,
                words("after", after, count)?,
            )
        };
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let guards: Result<Vec<_>, Failure> = after
            .iter()
            .map(|handle| table::enter::<TaskHandle>(handle.addr()))
            .collect();
        let guards = guards?;
        let handles: Vec<&Handle<Ended>> = guards.iter().map(|guard| guard.task()).collect();
        let handle = task.after.spawn_after(handles, task.request(argument));
        out.write(task.handle(handle)?);
        Ok(())
    })
}

impl TaskObject {
    /// `argument` is read before the call returns that it is a part of.
    #[inline]
    fn request(&self, argument: &[u8]) -> Request {
        Request {
            function: self.number,
            argument: Argument::Lent(argument.as_ptr(), argument.len()),
        }
    }

    fn handle(&self, handle: Handle<Ended>) -> Result<*mut PinfoldHandle, Failure> {
        table::insert(TaskHandle::new(handle, self.name)).map(as_pointer)
    }
}
