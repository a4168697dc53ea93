//! Tasks that can be submitted: a function of a runtime, with settings.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pinfold::{Handle, Refusal, StoredTask, TrySpawnError};

use crate::boundary::guard;
use crate::bytes::WORD;
use crate::call::{run, run_after, run_quick};
use crate::cargo::Cargo;
use crate::edge::{Out, bytes, duration, list, text};
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle};
use crate::runtime::{PinfoldRuntime, RuntimeObject, as_pointer, grown};
use crate::settings::{PinfoldTaskSettings, Settings};
use crate::table::Vacant;
use crate::value::{Ended, Request};
use crate::{PinfoldStatus, registry, table};

/// A function to be run by the workers of a runtime, with its settings; to be submitted any number
/// of times.
pub struct PinfoldTask {
    _private: [u8; 0],
}

/// Behind a `pinfold_task`.
pub(crate) struct TaskObject {
    /// The number of its runtime.
    pub(crate) home: u64,
    pub(crate) runtime: Weak<RuntimeObject>,
    name: &'static str,
    number: u32,
    pub(crate) alone: StoredTask<Request, Ended>,
    /// The same with an argument of eight bytes, which is more often than all others together: none if
    /// outcomes are to be remembered, for which it would be another task.
    quick: Option<StoredTask<u128, Ended>>,
    pub(crate) after: StoredTask<(Request, Vec<Ended>), Ended>,
}

/// A task of function `function`, as it was registered, for the workers of `runtime`. `settings` may be null: all
/// defaults.
///
/// The task is the caller's: free it with `pinfold_task_free`, at any time.
///
/// Fails with `PINFOLD_STATUS_UNKNOWN_FUNCTION`, and with `PINFOLD_STATUS_INVALID_ARGUMENT` if a
/// setting makes no sense; the last message says which.
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
        let name = runtime.names.find(&runtime.runtime, function)?;
        let rt = &runtime.runtime;
        let mut settings = match settings {
            None => Settings::default(),
            // SAFETY: the caller's promise.
            Some(settings) => unsafe { settings.read() }?,
        };
        settings.profiled_as = runtime.is_profiling.then_some(name);
        let task = TaskObject {
            home: runtime.number,
            runtime: Arc::downgrade(&runtime),
            name,
            number: registry::number(name),
            alone: settings.of(rt.task(run))?.stored(),
            quick: match settings.memo {
                Some(_) => None,
                None => Some(settings.of(rt.task(run_quick))?.stored()),
            },
            after: settings.of(rt.task(run_after))?.stored(),
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
    guard(|| {
        // Nearly always: eight bytes, a place for the handle, a task that is there, and room.
        if len == WORD
            && !argument.is_null()
            && !out_handle.is_null()
            && let Some(vacant) = table::reserve_at_once()
        {
            // SAFETY: so many bytes can be read there.
            let eight = unsafe { argument.cast::<[u8; WORD]>().read() };
            if let Some(handle) = submit_at_once(task, eight, vacant) {
                // SAFETY: writable, and not null; it may be part of a packed struct.
                unsafe { out_handle.write_unaligned(handle) };
                return Ok(());
            }
        }
        // SAFETY: the caller's promise.
        unsafe { submit_otherwise(task, argument, len, out_handle) }
    })
}

/// What is submitted with an argument of eight bytes, if it can be at once; it neither waits nor counts
/// anything.
#[inline(always)]
fn submit_at_once(
    task: *mut PinfoldTask,
    eight: [u8; WORD],
    vacant: Vacant,
) -> Option<*mut PinfoldHandle> {
    let task = table::enter_briefly::<Arc<TaskObject>>(task.addr())?;
    let request = Request::quick(task.number, eight);
    let handle = task.quick.as_ref()?.spawn_at_once(request)?;
    Some(task.handle(vacant, handle))
}

/// The same for all others.
///
/// # Safety
///
/// As for [`pinfold_task_submit`].
#[inline(never)]
unsafe fn submit_otherwise(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    out_handle: *mut *mut PinfoldHandle,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_handle", out_handle) }?;
    // SAFETY: the caller's promise.
    let argument = unsafe { bytes("argument", argument, len) }?;
    let task = table::enter::<Arc<TaskObject>>(task.addr())?;
    out.write(task.submit(argument)?);
    Ok(())
}

/// Submits a task if it can be accepted at once; the call never waits. Else as
/// `pinfold_task_submit`.
///
/// If it is not accepted, nothing was submitted: `PINFOLD_STATUS_FULL` if as many tasks are in
/// flight as may be, or a limit is reached; `PINFOLD_STATUS_NO_MEMORY` if there is no room for
/// the argument now; `PINFOLD_STATUS_TOO_LARGE` if it wants more of a limit than there is;
/// `PINFOLD_STATUS_SHUTDOWN`, `PINFOLD_STATUS_NO_WORKERS`, `PINFOLD_STATUS_FORKED`.
///
/// Any thread.
///
/// # Safety
///
/// As for `pinfold_task_submit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_try_submit(
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
        let vacant = table::reserve()?;
        let handle = task.alone.try_spawn(task.request(&argument));
        out.write(task.handle(vacant, handle.map_err(|refused| refused.refusal)?));
        Ok(())
    })
}

/// Submits a task if it can be accepted within `timeout` nanoseconds: waits so long for room
/// among the tasks in flight, for its limits, and for memory for its argument. Else as
/// `pinfold_task_submit`.
///
/// If it is not accepted, nothing was submitted: `PINFOLD_STATUS_TIMED_OUT` if there was no room,
/// and else as for `pinfold_task_try_submit`.
///
/// Any thread.
///
/// # Safety
///
/// As for `pinfold_task_submit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit_timeout(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    timeout: u64,
    out_handle: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_handle", out_handle) };
    guard(move || {
        let out = out?;
        // SAFETY: the caller's promise.
        let argument = unsafe { bytes("argument", argument, len) }?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        out.write(task.submit_timeout(argument, duration(timeout))?);
        Ok(())
    })
}

/// Submits a task to begin when `count` others have ended, whose outputs are its inputs, in that
/// order (`pinfold_call_input`). Those may have ended, and their handles may be freed at any
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
                list("after", after, count)?,
            )
        };
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let guards: Result<Vec<_>, Failure> = after
            .iter()
            .map(|handle| table::enter::<TaskHandle>(handle.addr()))
            .collect();
        let guards = guards?;
        let handles: Vec<&Handle<Ended>> = guards.iter().map(|guard| guard.task()).collect();
        let vacant = table::reserve()?;
        let handle = task
            .after
            .spawn_after(handles, task.request(&argument).owned());
        out.write(task.handle(vacant, handle));
        Ok(())
    })
}

/// Why a task was refused for which there was some time.
fn late(refusal: Refusal) -> Failure {
    let mut failure = Failure::from(refusal);
    if failure.status == PinfoldStatus::Full {
        failure.status = PinfoldStatus::TimedOut;
    }
    failure
}

impl TaskObject {
    /// Waits for room if need be.
    #[inline(always)]
    pub(crate) fn submit(&self, argument: &[u8]) -> Result<*mut PinfoldHandle, Failure> {
        let vacant = table::reserve()?;
        let handle = match (&self.quick, argument.try_into()) {
            (Some(quick), Ok(eight)) => {
                let request = Request::quick(self.number, eight);
                let handle = quick.spawn_at_once(request);
                handle.unwrap_or_else(|| quick.spawn(request))
            }
            _ => self.submit_any(argument),
        };
        Ok(self.handle(vacant, handle))
    }

    #[inline(never)]
    fn submit_any(&self, argument: &[u8]) -> Handle<Ended> {
        self.alone.spawn(self.request(&argument))
    }

    /// Waits for room at most so long.
    fn submit_timeout(
        &self,
        argument: &[u8],
        timeout: Duration,
    ) -> Result<*mut PinfoldHandle, Failure> {
        let vacant = table::reserve()?;
        let request = self.request(&argument);
        let handle = self.alone.spawn_timeout(request, timeout);
        let handle = handle.map_err(|refused| late(refused.refusal))?;
        Ok(self.handle(vacant, handle))
    }

    /// Submits a request, and waits for room at most so long; what is refused goes to `back`.
    pub(crate) fn spawn_within(
        &self,
        request: Request,
        timeout: Duration,
        back: impl FnOnce(Request),
    ) -> Result<Handle<Ended>, Failure> {
        let spawned = match timeout {
            Duration::MAX => return Ok(self.alone.spawn(request)),
            Duration::ZERO => self.alone.try_spawn(request),
            timeout => self.alone.spawn_timeout(request, timeout),
        };
        spawned.map_err(|refused| {
            let TrySpawnError { refusal, args } = refused;
            back(args);
            match timeout {
                Duration::ZERO => refusal.into(),
                _ => late(refusal),
            }
        })
    }

    /// Waits for room at most until a time, if there is one.
    pub(crate) fn submit_until(
        &self,
        argument: &[u8],
        until: Option<Instant>,
    ) -> Result<*mut PinfoldHandle, Failure> {
        let vacant = table::reserve()?;
        if let Ok(handle) = self.alone.try_spawn(self.request(&argument)) {
            return Ok(self.handle(vacant, handle));
        }
        drop(vacant);
        let left = until.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        self.submit_timeout(argument, left)
    }

    /// `argument` is read before the call returns that it is a part of.
    #[inline]
    pub(crate) fn request(&self, argument: &&[u8]) -> Request {
        Request::plain(self.number, argument)
    }

    /// The same.
    pub(crate) fn request_with(&self, argument: &&[u8], cargo: Cargo) -> Request {
        Request::with(self.number, argument, cargo)
    }

    #[inline(always)]
    pub(crate) fn task_handle(&self, handle: Handle<Ended>) -> TaskHandle {
        TaskHandle::new(handle, self.name, self.home)
    }

    /// C's handle of what was submitted; there is a place for it since before that.
    #[inline(always)]
    pub(crate) fn handle(&self, vacant: Vacant, handle: Handle<Ended>) -> *mut PinfoldHandle {
        as_pointer(vacant.fill(self.task_handle(handle)))
    }
}
