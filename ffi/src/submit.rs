//! Submitting with all there is to it.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use pinfold::Handle;

use crate::boundary::{answer, guard};
use crate::buffer::{self, PinfoldBuffer};
use crate::cargo::{Cargo, Ends};
use crate::channel::{PinfoldReceiver, PinfoldSender, ReceiverObject, SenderObject};
use crate::edge::{Out, bytes, duration, list};
use crate::error::Failure;
use crate::handle::{PinfoldHandle, TaskHandle};
use crate::runtime::grown;
use crate::shared::thing;
use crate::task::{PinfoldTask, TaskObject};
use crate::value::Ended;
use crate::{PinfoldStatus, table};

/// What one submission has besides its argument. Start from `PINFOLD_SUBMIT_SETTINGS_INIT`: a field
/// that is 0 or null has its default. Fields may be added at the end; `size` says which there
/// are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldSubmitSettings {
    /// `sizeof(pinfold_submit_settings)`.
    pub size: usize,
    /// Buffers that the task gets, in place and in this order (`pinfold_call_buffer`): at most 255. The
    /// handles stay the caller's, and may be freed at once. Default: none.
    pub buffers: *const *mut PinfoldBuffer,
    /// How many.
    pub buffer_count: usize,
    /// Not 0: those of them that are not published are moved to the task, which may write them;
    /// nothing is left of them but the handle. 0: they are refused, with
    /// `PINFOLD_STATUS_NOT_PUBLISHED`.
    pub move_buffers: i32,
    /// Tasks that are to have ended before this one begins, whose outputs are its inputs: as for
    /// `pinfold_task_submit_after`. Default: none.
    pub after: *const *mut PinfoldHandle,
    /// How many.
    pub after_count: usize,
    /// Sending ends of channels, of which the task gets one more each, in this order
    /// (`pinfold_call_sender`). The handles stay the caller's, and may be freed at once. Default: none.
    pub senders: *const *mut PinfoldSender,
    /// How many.
    pub sender_count: usize,
    /// The same of receiving ends (`pinfold_call_receiver`).
    pub receivers: *const *mut PinfoldReceiver,
    /// How many.
    pub receiver_count: usize,
    /// Other objects that processes share, of any kinds (`pinfold_mutex`, `pinfold_subscriber`, and so on), which
    /// the task gets in this order (`pinfold_call_object`). The handles stay the caller's, and may be
    /// freed at once. What has one owner (a member of a barrier or of a group, a subscriber) is moved: nothing is left of it but the
    /// handle. Default: none.
    pub objects: *const *const c_void,
    /// How many.
    pub object_count: usize,
}

/// Submits a task with `len` bytes of argument, which are copied, and with what `settings` say
/// (null: nothing). Waits for room if as many tasks are in flight as may be.
///
/// The handle is the caller's, as that of `pinfold_task_submit`.
///
/// Fails with `PINFOLD_STATUS_BAD_HANDLE`, and for a buffer with `PINFOLD_STATUS_NOT_PUBLISHED`,
/// `PINFOLD_STATUS_MOVED` (before, or by this very call: it is named twice) and
/// `PINFOLD_STATUS_FOREIGN_HANDLE` (it is of another runtime), for another object with the last two, or with
/// `PINFOLD_STATUS_BUSY` (it is to be moved, and another thread is in a call with it); with nothing submitted, and nothing
/// moved.
///
/// Any thread.
///
/// # Safety
///
/// `len` bytes can be read at `argument` (null if there are none); `settings` is null or a
/// `pinfold_submit_settings`, where so many handles can be read as it says; `out_handle` is null
/// or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit_with(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    out_handle: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_handle", out_handle) };
    guard(move || {
        let out = out?;
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let vacant = table::reserve()?;
        // SAFETY: the caller's promise.
        let handle = unsafe { submit(&task, argument, len, settings, Duration::MAX) }?;
        out.write(task.handle(vacant, handle));
        Ok(())
    })
}

/// Submits a task as `pinfold_task_submit_with`, if it can be accepted within `timeout` nanoseconds; 0
/// does not wait, and `PINFOLD_FOREVER` is no limit. One that is after others takes no place in the queue until these have
/// ended, and is accepted at once, unless 2^20 wait already.
///
/// If it is not accepted, nothing was submitted, and nothing moved: the status is as of
/// `pinfold_task_submit_timeout`.
///
/// Any thread.
///
/// # Safety
///
/// As for `pinfold_task_submit_with`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_task_submit_with_timeout(
    task: *mut PinfoldTask,
    argument: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
    out_handle: *mut *mut PinfoldHandle,
) -> PinfoldStatus {
    let accepted = || {
        let task = table::enter::<Arc<TaskObject>>(task.addr())?;
        let vacant = table::reserve()?;
        // SAFETY: the caller's promise.
        let handle = unsafe { submit(&task, argument, len, settings, duration(timeout)) }?;
        Ok(task.handle(vacant, handle))
    };
    // SAFETY: the caller's promise.
    unsafe { answer("out_handle", out_handle, accepted) }
}

/// What a submission has that is after no other.
///
/// # Safety
///
/// `settings` is null or a `pinfold_submit_settings`, where so many handles can be read as it says.
pub(crate) unsafe fn cargo_of(
    settings: *const PinfoldSubmitSettings,
    home: u64,
) -> Result<Cargo, Failure> {
    // SAFETY: the caller's promise; all zero are the defaults.
    let settings = unsafe { grown("settings", settings) }?;
    let Some(settings) = settings else {
        return Ok(Cargo::default());
    };
    if settings.after_count != 0 {
        let message = "`settings->after` is not for what a task submits: it waits for it itself";
        return Err(Failure::argument(message));
    }
    // SAFETY: the caller's promise.
    unsafe { cargo(&settings, home) }
}

/// What is given away, if all of it can be.
///
/// # Safety
///
/// So many handles can be read as `settings` say.
pub(crate) unsafe fn cargo(settings: &PinfoldSubmitSettings, home: u64) -> Result<Cargo, Failure> {
    // SAFETY: the caller's promise.
    let (buffers, ends, objects) = unsafe {
        (
            list("settings->buffers", settings.buffers, settings.buffer_count)?,
            ends(settings, home)?,
            list("settings->objects", settings.objects, settings.object_count)?,
        )
    };
    // At last: some may be moved.
    let things = thing::give(objects, home)?;
    match buffer::give(buffers, settings.move_buffers != 0, home) {
        Ok(buffers) => Ok(Cargo {
            buffers,
            ends,
            things,
        }),
        Err(failure) => {
            thing::take_back(objects, things);
            Err(failure)
        }
    }
}

/// One more of each end that is named there.
///
/// # Safety
///
/// As for [`cargo`].
unsafe fn ends(settings: &PinfoldSubmitSettings, home: u64) -> Result<Ends, Failure> {
    // SAFETY: the caller's promise.
    let (senders, receivers) = unsafe {
        (
            list("settings->senders", settings.senders, settings.sender_count)?,
            list(
                "settings->receivers",
                settings.receivers,
                settings.receiver_count,
            )?,
        )
    };
    let senders = senders.iter().map(|end| SenderObject::give(*end, home));
    let receivers = receivers.iter().map(|end| ReceiverObject::give(*end, home));
    Ok(Ends {
        senders: senders.collect::<Result<_, _>>()?,
        receivers: receivers.collect::<Result<_, _>>()?,
    })
}

/// Submits for any kind of handle; waits at most so long for room, or without end (`Duration::MAX`).
///
/// # Safety
///
/// As for `pinfold_task_submit_with`.
pub(crate) unsafe fn submit(
    task: &TaskObject,
    argument: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: Duration,
) -> Result<Handle<Ended>, Failure> {
    // SAFETY: the caller's promise.
    let argument = unsafe { bytes("argument", argument, len) }?;
    // SAFETY: the caller's promise; all zero are the defaults.
    let settings = unsafe { grown("settings", settings) }?;
    let Some(settings) = settings else {
        return task.spawn_within(task.request(&argument), timeout, |_| ());
    };
    // SAFETY: the caller's promise.
    let after = unsafe { list("settings->after", settings.after, settings.after_count) }?;
    let guards: Result<Vec<_>, Failure> = after
        .iter()
        .map(|handle| table::enter::<TaskHandle>(handle.addr()))
        .collect();
    let guards = guards?;
    // SAFETY: the caller's promise.
    let cargo = unsafe { cargo(&settings, task.home) }?;
    let request = task.request_with(&argument, cargo);
    if guards.is_empty() {
        return task.spawn_within(request, timeout, |refused| {
            // SAFETY: the caller's promise.
            let (buffers, objects) = unsafe {
                (
                    list("", settings.buffers, settings.buffer_count),
                    list("", settings.objects, settings.object_count),
                )
            };
            if let Some(cargo) = refused.cargo {
                buffer::take_back(buffers.unwrap_or_default(), cargo.buffers);
                thing::take_back(objects.unwrap_or_default(), cargo.things);
            }
        });
    }
    let handles: Vec<&Handle<Ended>> = guards.iter().map(|guard| guard.task()).collect();
    Ok(task.after.spawn_after(handles, request.owned()))
}
