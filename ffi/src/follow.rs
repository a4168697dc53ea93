//! Handles besides their outcomes: waiting for several, cancelling, progress, callbacks.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::edge::{Out, duration, list};
use crate::ends::Hears;
use crate::error::{Failure, remember};
use crate::handle::{PinfoldHandle, TaskHandle, timed_out};
use crate::table::{self, Guard};

/// Is told how a task has ended: `status`, and its output, `len` bytes at `data`, a multiple of
/// 64, which may be read until the function returns. `pinfold_last_message`, called by it, says
/// why there is no output. `user` is what it was set with.
pub type PinfoldCompletion = Option<
    unsafe extern "C" fn(status: PinfoldStatus, data: *const c_void, len: usize, user: *mut c_void),
>;

/// Is told how far a task is: a fraction, by custom 0 to 1, and a text that ends in NUL and stays
/// until the function returns. `user` is what it was set with.
pub type PinfoldProgressed =
    Option<unsafe extern "C" fn(fraction: f64, message: *const c_char, user: *mut c_void)>;

/// Takes back what callbacks were called with: they are not called any more.
pub type PinfoldRelease = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// What a callback is passed.
#[derive(Clone, Copy)]
struct User(*mut c_void);

// SAFETY: the pointer is the user's, who was told on which threads it is used; here it is only
// handed on.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// What a callback is passed, which is taken back when this goes.
struct Owned {
    user: User,
    release: unsafe extern "C" fn(*mut c_void),
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: who has set it promised that it may be called so, once.
        unsafe { (self.release)(self.user.get()) }
    }
}

fn all(handles: &[*mut PinfoldHandle]) -> Result<Vec<Guard<TaskHandle>>, Failure> {
    let each = handles.iter();
    each.map(|handle| table::enter::<TaskHandle>(handle.addr()))
        .collect()
}

/// Waits at most `timeout` nanoseconds for `count` tasks to end, however each does, of whatever
/// runtimes; 0 only looks, and `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_OK`: all have ended.
/// `PINFOLD_STATUS_TIMED_OUT`: some go on.
///
/// Any thread, and several at once.
///
/// # Safety
///
/// `count` handles can be read at `handles` (null if there are none).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_wait_all(
    handles: *const *mut PinfoldHandle,
    count: usize,
    timeout: u64,
) -> PinfoldStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let handles = all(unsafe { list("handles", handles, count) }?)?;
        let until = Instant::now().checked_add(duration(timeout));
        let mut ended = handles.iter().map(|handle| handle.outcome_until(until));
        match ended.all(|ended| ended.is_some()) {
            true => Ok(()),
            false => Err(timed_out()),
        }
    })
}

/// A thread that waits for whichever task ends first.
#[derive(Default)]
struct First {
    index: Mutex<Option<usize>>,
    is_there: Condvar,
}

impl Hears for First {
    fn hears(&self, index: u64) {
        self.index.lock().get_or_insert(index as usize);
        self.is_there.notify_all();
    }
}

/// Waits at most `timeout` nanoseconds for one of `count` tasks to end, of whatever runtimes;
/// `out_index` is which of them has, the first in the list if several have. 0 only looks, and
/// `PINFOLD_FOREVER` is no limit.
///
/// Each call looks at all of them: for many tasks, one after the other, there is `pinfold_events`.
///
/// Fails with `PINFOLD_STATUS_TIMED_OUT`, and with `PINFOLD_STATUS_INVALID_ARGUMENT` if `count`
/// is 0.
///
/// Any thread, and several at once.
///
/// # Safety
///
/// `count` handles can be read at `handles`; `out_index` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_wait_any(
    handles: *const *mut PinfoldHandle,
    count: usize,
    timeout: u64,
    out_index: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_index", out_index) };
    guard(|| {
        let out = out?;
        // SAFETY: the caller's promise.
        let handles = all(unsafe { list("handles", handles, count) }?)?;
        if handles.is_empty() {
            let message = "`count` is 0: none of them would ever end";
            return Err(Failure::argument(message));
        }
        let until = Instant::now().checked_add(duration(timeout));
        let ended = handles.iter().position(|handle| handle.has_ended());
        let index = match ended {
            None if timeout == 0 => None,
            None => first_of(&handles, until),
            ended => ended,
        };
        out.write(index.ok_or_else(timed_out)?);
        Ok(())
    })
}

fn first_of(handles: &[Guard<TaskHandle>], until: Option<Instant>) -> Option<usize> {
    if let [only] = handles {
        return only.outcome_until(until).map(|_| 0);
    }
    let first = Arc::new(First::default());
    for (index, handle) in handles.iter().enumerate() {
        let hears: Arc<dyn Hears> = first.clone();
        if !handle.end().tell(handle.task(), hears, index as u64) {
            first.hears(index as u64);
            break;
        }
    }
    let mut index = first.index.lock();
    while index.is_none() {
        match until {
            None => first.is_there.wait(&mut index),
            Some(until) if first.is_there.wait_until(&mut index, until).timed_out() => break,
            Some(_) => (),
        }
    }
    let found = *index;
    drop(index);
    let hears: Arc<dyn Hears> = first;
    for handle in handles {
        handle.end().forget(&hears);
    }
    found
}

/// How a task has ended, without waiting: `PINFOLD_STATUS_OK` (it has its output),
/// `PINFOLD_STATUS_TIMED_OUT` (it has not ended yet), or why it has none.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_handle_status(handle: *mut PinfoldHandle) -> PinfoldStatus {
    guard(|| {
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let outcome = handle.outcome(duration(0)).ok_or_else(timed_out)?;
        outcome.output().map(drop)
    })
}

/// Whether a task has ended, however it did: 1 or 0. Never waits.
///
/// Any thread.
///
/// # Safety
///
/// `out_finished` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_is_finished(
    handle: *mut PinfoldHandle,
    out_finished: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_finished", out_finished) };
    guard(|| {
        let out = out?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        out.write(handle.has_ended().into());
        Ok(())
    })
}

/// A number that no other task of its runtime has; `pinfold_call_id` is the same in the task. Fails with
/// `PINFOLD_STATUS_NOTHING_YET` while the task waits for others, and when it has ended.
///
/// Any thread.
///
/// # Safety
///
/// `out_id` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_id(
    handle: *mut PinfoldHandle,
    out_id: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_id", out_id) };
    guard(|| {
        let out = out?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let id = handle.task().id().ok_or_else(|| {
            let message = "the task is not queued: it waits for others, or has ended";
            Failure::new(PinfoldStatus::NothingYet, message)
        })?;
        out.write(id.as_u64());
        Ok(())
    })
}

/// Cancels a task. One that has not begun never will; one that runs is asked to end
/// (`pinfold_call_is_cancelled`), and goes on if it does not listen. If it then returns another
/// number than 0, or its worker dies, its status is `PINFOLD_STATUS_CANCELLED`; if it returns 0,
/// that is its end. One that has ended stays as it is.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_handle_cancel(handle: *mut PinfoldHandle) -> PinfoldStatus {
    guard(|| {
        table::enter::<TaskHandle>(handle.addr())?.task().cancel();
        Ok(())
    })
}

/// As `pinfold_handle_cancel`; but if the task still runs after `grace` nanoseconds, its worker is killed,
/// and replaced, and its status is `PINFOLD_STATUS_CANCELLED`. `PINFOLD_FOREVER`: it is not killed.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_handle_cancel_within(
    handle: *mut PinfoldHandle,
    grace: u64,
) -> PinfoldStatus {
    guard(|| {
        table::enter::<TaskHandle>(handle.addr())?.cancel(grace);
        Ok(())
    })
}

/// From now on the task is cancelled if its handle is freed before it has ended, as by
/// `pinfold_handle_cancel_within` with this `grace`.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_handle_abort_on_free(
    handle: *mut PinfoldHandle,
    grace: u64,
) -> PinfoldStatus {
    guard(|| {
        table::enter::<TaskHandle>(handle.addr())?.abort_on_free(grace);
        Ok(())
    })
}

/// How far a task has last said it is (`pinfold_call_report_progress`): a fraction, by custom 0 to 1, and a
/// text, of which as much is copied to `message` as fits into `capacity` bytes with the NUL at
/// its end. A message has at most 88 bytes, without the NUL.
///
/// Fails with `PINFOLD_STATUS_NOTHING_YET` if it has said nothing, or has ended.
///
/// Any thread. Never waits.
///
/// # Safety
///
/// `out_fraction` is null (it is not asked for) or writable; `capacity` bytes can be written at
/// `message` (null if there are none).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_progress(
    handle: *mut PinfoldHandle,
    message: *mut c_char,
    capacity: usize,
    out_fraction: *mut f64,
) -> PinfoldStatus {
    guard(|| {
        if message.is_null() && capacity != 0 {
            return Err(Failure::null("message"));
        }
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        // What it has last said stays until somebody takes its outcome.
        let progress = match handle.has_ended() {
            true => None,
            false => handle.task().progress(),
        };
        let progress = progress.ok_or_else(|| {
            let what = "the task has not said how far it is, or has ended";
            Failure::new(PinfoldStatus::NothingYet, what)
        })?;
        if !out_fraction.is_null() {
            // SAFETY: the caller's promise.
            unsafe { out_fraction.write_unaligned(progress.fraction) };
        }
        if capacity > 0 {
            let text = &progress.message;
            let len = text.floor_char_boundary((capacity - 1).min(text.len()));
            // SAFETY: so many can be written there, says the caller; and it is not ours.
            unsafe {
                let to: *mut u8 = message.cast();
                to.copy_from_nonoverlapping(text.as_ptr(), len);
                to.add(len).write(0);
            }
        }
        Ok(())
    })
}

/// Has `callback` called with `user` when the task has ended, or soon if it has, by a thread of the library's, in
/// this process. It may block and take its time; it must not unwind. A task may have several, each of
/// which is called once, in any order, perhaps at the same time. The handle may be freed before: it is called all
/// the same.
///
/// Fails with `PINFOLD_STATUS_FORKED`, and with `PINFOLD_STATUS_SYSTEM` if there is no thread for
/// it.
///
/// Any thread.
///
/// # Safety
///
/// `callback` may be called with `user` by any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_on_complete(
    handle: *mut PinfoldHandle,
    callback: PinfoldCompletion,
    user: *mut c_void,
) -> PinfoldStatus {
    guard(move || {
        let callback = callback.ok_or_else(|| Failure::null("callback"))?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let user = User(user);
        handle.on_complete(move |outcome| {
            let (status, bytes): (_, &[u8]) = match outcome.output() {
                Ok(output) => (PinfoldStatus::Ok, output.bytes()),
                Err(failure) => {
                    remember(failure.message);
                    (failure.status, &[])
                }
            };
            let data = match bytes.is_empty() {
                true => std::ptr::null(),
                false => bytes.as_ptr().cast(),
            };
            // SAFETY: who has set it promised that it may be called so.
            unsafe { callback(status, data, bytes.len(), user.get()) };
        })
    })
}

/// Has `callback` called with `user` when the task has said how far it is, by a thread of the
/// library's, in this process, never by two at a time; several reports may come as one, the
/// last. It must not unwind. Of a task that has ended nothing is heard any more.
///
/// Fails with `PINFOLD_STATUS_NOTHING_YET` while the task waits for others: then it can be set later;
/// and with `PINFOLD_STATUS_FORKED`.
///
/// Any thread.
///
/// # Safety
///
/// `callback` may be called with `user` by any thread, until the task has ended, and soon after.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_on_progress(
    handle: *mut PinfoldHandle,
    callback: PinfoldProgressed,
    user: *mut c_void,
) -> PinfoldStatus {
    guard(move || {
        let callback = callback.ok_or_else(|| Failure::null("callback"))?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let user = User(user);
        let set = handle.task().on_progress(move |progress| {
            let message = crate::error::c_text(progress.message);
            // SAFETY: who has set it promised that it may be called so.
            unsafe { callback(progress.fraction, message.as_ptr(), user.get()) };
        });
        set.map_err(Failure::from)
    })
}

/// As `pinfold_handle_on_progress`; and has `release` called with `user` when `callback` is not called any
/// more: once, when the task has ended, by some thread; or by this call if that fails (but for a
/// null `release`). It must not unwind, and should not take long.
///
/// Fails as `pinfold_handle_on_progress`.
///
/// Any thread.
///
/// # Safety
///
/// `callback` and `release` may be called with `user` by any thread, `release` after the last `callback`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_handle_follow_progress(
    handle: *mut PinfoldHandle,
    callback: PinfoldProgressed,
    user: *mut c_void,
    release: PinfoldRelease,
) -> PinfoldStatus {
    guard(move || {
        let release = release.ok_or_else(|| Failure::null("release"))?;
        let user = User(user);
        let owned = Owned { user, release };
        let callback = callback.ok_or_else(|| Failure::null("callback"))?;
        let handle = table::enter::<TaskHandle>(handle.addr())?;
        let set = handle.task().on_progress(move |progress| {
            let owned = &owned;
            let message = crate::error::c_text(progress.message);
            // SAFETY: who has set it promised that it may be called so.
            unsafe { callback(progress.fraction, message.as_ptr(), owned.user.get()) };
        });
        set.map_err(Failure::from)
    })
}
