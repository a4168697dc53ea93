//! Mutexes around some bytes.
//!
//! The guard of who has the lock lies in the object of the handle by which it was taken, beside the
//! lock itself. Only one thread of all processes has it, so there is room for one.

use std::ffi::c_void;
use std::thread::ThreadId;
use std::time::Duration;

use parking_lot::Mutex as Inside;
use pinfold::sync::{LockError, LockFault, Mutex, MutexGuard};

use crate::boundary::guard;
use crate::call::PinfoldCall;
use crate::channel::Home;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::runtime::PinfoldRuntime;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::place::{Place, free, in_place, new};

/// A lock around some bytes of shared memory, for all threads of the program and of its workers.
pub struct PinfoldMutex {
    _private: [u8; 0],
}

struct Held {
    thread: ThreadId,
    /// Of the mutex beside it, which is dropped after it.
    guard: MutexGuard<'static, [u8]>,
}

/// Behind a `pinfold_mutex`.
pub(crate) struct MutexObject {
    /// Before the mutex: it is dropped first.
    held: Inside<Option<Held>>,
    pub(crate) mutex: Mutex<[u8]>,
    pub(crate) home: Home,
}

// SAFETY: what is not `Send` is the guard, for it is to stay with its thread. Only that thread takes
// it out; it is dropped by another one only with the object, and then gives the lock back, which
// the library allows on any thread: the word names whom it is taken from.
unsafe impl Send for MutexObject {}
// SAFETY: as above; and what lies inside is behind a lock.
unsafe impl Sync for MutexObject {}

/// Drops a guard as a thread does that panics: the next one is told that the data may be half changed.
pub(super) fn abandon<G>(held: G) {
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = held;
        // No panic that anybody hears of.
        std::panic::resume_unwind(Box::new(()));
    }));
    drop(unwound);
}

/// The calling thread does not have it.
#[cold]
pub(super) fn not_held() -> Failure {
    let message = "this thread has not taken this lock (or not by this handle)";
    Failure::new(PinfoldStatus::NotHeld, message)
}

/// As the library waits.
pub(super) fn patient<G, E>(
    timeout: u64,
    forever: impl FnOnce() -> Result<G, E>,
    at_once: impl FnOnce() -> Result<G, E>,
    within: impl FnOnce(Duration) -> Result<G, E>,
) -> Result<G, E> {
    match timeout {
        0 => at_once(),
        PINFOLD_FOREVER => forever(),
        timeout => within(duration(timeout)),
    }
}

/// The guard, and whether its data may be half changed.
pub(super) fn told<G>(locked: Result<G, LockError<G>>) -> Result<(G, bool), LockFault> {
    match locked {
        Ok(guard) => Ok((guard, false)),
        Err(LockError::Poisoned(guard)) => Ok((guard, true)),
        Err(LockError::Fault(fault)) => Err(fault),
    }
}

impl MutexObject {
    pub(crate) fn new(mutex: Mutex<[u8]>, home: Home) -> Box<Self> {
        Box::new(MutexObject {
            held: Inside::new(None),
            mutex,
            home,
        })
    }

    fn lock(&self, timeout: u64) -> Result<(*mut u8, usize, bool), Failure> {
        let mutex = &self.mutex;
        let locked = patient(
            timeout,
            || mutex.lock(),
            || mutex.try_lock(),
            |time| mutex.lock_timeout(time),
        );
        let (mut guard, is_half) = told(locked)?;
        let (data, len) = (guard.as_mut_ptr(), guard.len());
        // SAFETY: it is of `self.mutex`, which lies in a box, and is kept beside it: so it is gone
        // before that is.
        let guard: MutexGuard<'static, [u8]> = unsafe { std::mem::transmute(guard) };
        let thread = std::thread::current().id();
        *self.held.lock() = Some(Held { thread, guard });
        Ok((data, len, is_half))
    }

    fn with_held<T>(&self, act: impl FnOnce(&mut Option<Held>) -> T) -> Result<T, Failure> {
        let mut held = self.held.lock();
        let me = std::thread::current().id();
        match &*held {
            Some(Held { thread, .. }) if *thread == me => Ok(act(&mut held)),
            _ => Err(not_held()),
        }
    }

    fn take(&self) -> Result<MutexGuard<'static, [u8]>, Failure> {
        let taken = self.with_held(Option::take)?;
        taken.map(|held| held.guard).ok_or_else(not_held)
    }
}

fn enter(mutex: *mut PinfoldMutex) -> Result<table::Guard<Box<MutexObject>>, Failure> {
    table::enter(mutex.addr())
}

/// # Safety
///
/// As for `pinfold_mutex_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    data: *const c_void,
    len: usize,
    out_mutex: *mut *mut PinfoldMutex,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe {
        new("out_mutex", out_mutex, place, |place| {
            let first = place.first(data, len)?;
            let mutex = in_place!(place, here => Mutex::from_slice(here, &first))?;
            Ok(MutexObject::new(mutex, place.home()))
        })
    }
}

/// A mutex around `len` bytes of memory that the processes of `runtime` share: a copy of those at
/// `data`, or zeros if that is null. Who has the lock reads and writes them in place.
///
/// The mutex is the caller's: free it with `pinfold_mutex_free`. A task gets it by
/// `pinfold_submit_settings.objects`; the lock itself is gone with the last handle of it, in whatever process.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_mutex_new`.
///
/// # Safety
///
/// `len` bytes can be read at `data`, or it is null; `out_mutex` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_mutex_new(
    runtime: *mut PinfoldRuntime,
    data: *const c_void,
    len: usize,
    out_mutex: *mut *mut PinfoldMutex,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), data, len, out_mutex) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_mutex_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_mutex_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_mutex_new(
    call: *mut PinfoldCall,
    data: *const c_void,
    len: usize,
    out_mutex: *mut *mut PinfoldMutex,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), data, len, out_mutex) }
}

/// Takes the lock. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
/// `PINFOLD_FOREVER` is no limit. Tells where its bytes begin, a multiple of 64, and how many there are: they
/// may be read and written until the lock is given back.
///
/// `out_is_half` is 1 if they may be half changed: whoever had the lock before has died, or has given
/// it back by `pinfold_mutex_abandon`, and nobody has called `pinfold_mutex_mend` since; else 0. The lock
/// is had in both cases.
///
/// It is this thread's until it calls `pinfold_mutex_unlock`, with the same handle; a function that returns with a
/// lock leaves it locked. If its process dies, the next one gets the lock.
///
/// Fails with `PINFOLD_STATUS_BUSY` (somebody has it, and the call does not wait) or
/// `PINFOLD_STATUS_TIMED_OUT`: the last message says which worker, thread and task has it; with
/// `PINFOLD_STATUS_DEADLOCK` (this thread has it), `PINFOLD_STATUS_TOLD_TO_END` (in a task that was
/// cancelled while it waited), `PINFOLD_STATUS_SHUTDOWN` (the runtime has ended) or
/// `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_data`, `out_len` and `out_is_half` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_mutex_lock(
    mutex: *mut PinfoldMutex,
    timeout: u64,
    out_data: *mut *mut c_void,
    out_len: *mut usize,
    out_is_half: *mut i32,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (to_data, to_len, to_half) = unsafe {
        (
            Out::new("out_data", out_data),
            Out::new("out_len", out_len),
            Out::new("out_is_half", out_is_half),
        )
    };
    guard(|| {
        let (to_data, to_len, to_half) = (to_data?, to_len?, to_half?);
        let (data, len, is_half) = enter(mutex)?.lock(timeout)?;
        to_data.write(data.cast());
        to_len.write(len);
        to_half.write(is_half.into());
        Ok(())
    })
}

/// The bytes are whole again: the next one is not told any more that they may be half changed.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock.
///
/// Any thread: the one that has the lock.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_mutex_mend(mutex: *mut PinfoldMutex) -> PinfoldStatus {
    guard(|| {
        enter(mutex)?.with_held(|held| {
            if let Some(held) = held {
                held.guard.mend();
            }
        })
    })
}

/// Gives the lock back. The memory must not be touched any more. If the bytes were told to be half
/// changed, and nobody has mended them, the next one is told so, too.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock.
///
/// Any thread: the one that has the lock.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_mutex_unlock(mutex: *mut PinfoldMutex) -> PinfoldStatus {
    guard(|| enter(mutex)?.take().map(drop))
}

/// Gives the lock back, and the next one is told that the bytes may be half changed: for who cannot go on in
/// the middle.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock.
///
/// Any thread: the one that has the lock.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_mutex_abandon(mutex: *mut PinfoldMutex) -> PinfoldStatus {
    guard(|| enter(mutex)?.take().map(abandon))
}

/// Frees a handle of a mutex; if the lock was taken by it, it is given back first. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_mutex_free(mutex: *mut PinfoldMutex) -> PinfoldStatus {
    free::<Box<MutexObject>>(mutex.addr())
}
