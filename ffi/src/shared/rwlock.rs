//! Read-write locks around some bytes. As with a mutex, guards lie beside the lock.

use std::ffi::c_void;
use std::thread::ThreadId;

use parking_lot::Mutex as Inside;
use pinfold::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::boundary::guard;
use crate::call::PinfoldCall;
use crate::channel::Home;
use crate::edge::Out;
use crate::error::Failure;
use crate::runtime::PinfoldRuntime;
use crate::{PinfoldStatus, table};

use super::mutex::{abandon, not_held, patient, told};
use super::place::{Place, free, in_place, new};

/// A lock around some bytes of shared memory, which many may have to read, or one to write.
pub struct PinfoldRwlock {
    _private: [u8; 0],
}

/// Of the lock beside it.
enum Held {
    Read {
        _guard: RwLockReadGuard<'static, [u8]>,
    },
    Write(RwLockWriteGuard<'static, [u8]>),
}

/// Behind a `pinfold_rwlock`.
pub(crate) struct RwLockObject {
    /// Which thread has what. Before the lock: it is dropped first.
    held: Inside<Vec<(ThreadId, Held)>>,
    pub(crate) lock: RwLock<[u8]>,
    pub(crate) home: Home,
}

// SAFETY: what is not `Send` are the guards, for they are to stay with their threads. Only these take
// them out; another one drops them only with the object: then they give back what the words in
// shared memory say of this process.
unsafe impl Send for RwLockObject {}
// SAFETY: as above; and what lies inside is behind a lock.
unsafe impl Sync for RwLockObject {}

impl RwLockObject {
    pub(crate) fn new(lock: RwLock<[u8]>, home: Home) -> Box<Self> {
        Box::new(RwLockObject {
            held: Inside::new(Vec::new()),
            lock,
            home,
        })
    }

    fn keep(&self, held: Held) {
        self.held.lock().push((std::thread::current().id(), held));
    }

    fn read(&self, timeout: u64) -> Result<(*const u8, usize, bool), Failure> {
        let lock = &self.lock;
        let locked = patient(
            timeout,
            || lock.read(),
            || lock.try_read(),
            |time| lock.read_timeout(time),
        );
        let (guard, is_half) = told(locked)?;
        let (data, len) = (guard.as_ptr(), guard.len());
        // SAFETY: it is of `self.lock`, which lies in a box, and is kept beside it: so it is gone
        // before that is.
        let guard: RwLockReadGuard<'static, [u8]> = unsafe { std::mem::transmute(guard) };
        self.keep(Held::Read { _guard: guard });
        Ok((data, len, is_half))
    }

    fn write(&self, timeout: u64) -> Result<(*mut u8, usize, bool), Failure> {
        let lock = &self.lock;
        let locked = patient(
            timeout,
            || lock.write(),
            || lock.try_write(),
            |time| lock.write_timeout(time),
        );
        let (mut guard, is_half) = told(locked)?;
        let (data, len) = (guard.as_mut_ptr(), guard.len());
        // SAFETY: as above.
        let guard: RwLockWriteGuard<'static, [u8]> = unsafe { std::mem::transmute(guard) };
        self.keep(Held::Write(guard));
        Ok((data, len, is_half))
    }

    /// What this thread has taken last.
    fn take(&self) -> Result<Held, Failure> {
        let me = std::thread::current().id();
        let mut all = self.held.lock();
        let at = all.iter().rposition(|(thread, _)| *thread == me);
        Ok(all.swap_remove(at.ok_or_else(not_held)?).1)
    }

    fn mend(&self) -> Result<(), Failure> {
        let me = std::thread::current().id();
        let mut all = self.held.lock();
        let mine = all.iter_mut().find(|(thread, _)| *thread == me);
        match mine {
            Some((_, Held::Write(guard))) => {
                guard.mend();
                Ok(())
            }
            Some(_) => Err(only_read()),
            None => Err(not_held()),
        }
    }

    fn abandon(&self) -> Result<(), Failure> {
        match self.take()? {
            Held::Write(guard) => {
                abandon(guard);
                Ok(())
            }
            read => {
                self.keep(read);
                Err(only_read())
            }
        }
    }
}

fn only_read() -> Failure {
    let message = "this thread has taken this lock to read, and cannot have changed anything";
    Failure::new(PinfoldStatus::NotHeld, message)
}

fn enter(lock: *mut PinfoldRwlock) -> Result<table::Guard<Box<RwLockObject>>, Failure> {
    table::enter(lock.addr())
}

/// # Safety
///
/// As for `pinfold_rwlock_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    data: *const c_void,
    len: usize,
    out_lock: *mut *mut PinfoldRwlock,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe {
        new("out_lock", out_lock, place, |place| {
            let first = place.first(data, len)?;
            let lock = in_place!(place, here => RwLock::from_slice(here, &first))?;
            Ok(RwLockObject::new(lock, place.home()))
        })
    }
}

/// A read-write lock around `len` bytes of memory that the processes of `runtime` share: a copy of
/// those at `data`, or zeros if that is null. It takes 64 bytes more for each worker that there may be.
///
/// The lock is the caller's: free it with `pinfold_rwlock_free`. A task gets it by
/// `pinfold_submit_settings.objects`.
///
/// Fails with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_rwlock_new`.
///
/// # Safety
///
/// `len` bytes can be read at `data`, or it is null; `out_lock` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_rwlock_new(
    runtime: *mut PinfoldRuntime,
    data: *const c_void,
    len: usize,
    out_lock: *mut *mut PinfoldRwlock,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), data, len, out_lock) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_rwlock_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_rwlock_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_rwlock_new(
    call: *mut PinfoldCall,
    data: *const c_void,
    len: usize,
    out_lock: *mut *mut PinfoldRwlock,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), data, len, out_lock) }
}

/// Writes what a lock has.
///
/// # Safety
///
/// The three are null, or writable.
unsafe fn locked<P: Copy>(
    out_data: *mut P,
    out_len: *mut usize,
    out_is_half: *mut i32,
    lock: impl FnOnce() -> Result<(P, usize, bool), Failure>,
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
        let (data, len, is_half) = lock()?;
        to_data.write(data);
        to_len.write(len);
        to_half.write(is_half.into());
        Ok(())
    })
}

/// Takes the lock to read: others may have it to read at the same time. Waits as
/// `pinfold_mutex_lock` does, while somebody writes or waits to, and tells the same: the bytes may be read until the
/// lock is given back, by this thread, with `pinfold_rwlock_unlock`. A thread that reads may take it to read once more.
///
/// Fails as `pinfold_mutex_lock`; with `PINFOLD_STATUS_DEADLOCK` if this thread writes.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_data`, `out_len` and `out_is_half` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_rwlock_read(
    lock: *mut PinfoldRwlock,
    timeout: u64,
    out_data: *mut *const c_void,
    out_len: *mut usize,
    out_is_half: *mut i32,
) -> PinfoldStatus {
    let read = || {
        let (data, len, is_half) = enter(lock)?.read(timeout)?;
        Ok((data.cast(), len, is_half))
    };
    // SAFETY: the caller's promise.
    unsafe { locked(out_data, out_len, out_is_half, read) }
}

/// Takes the lock to write: nobody else has it then. As `pinfold_mutex_lock`.
///
/// Fails as that does; with `PINFOLD_STATUS_DEADLOCK` if this thread has the lock already, to read or to
/// write. Of those that read, the last message names the processes.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_data`, `out_len` and `out_is_half` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_rwlock_write(
    lock: *mut PinfoldRwlock,
    timeout: u64,
    out_data: *mut *mut c_void,
    out_len: *mut usize,
    out_is_half: *mut i32,
) -> PinfoldStatus {
    let write = || {
        let (data, len, is_half) = enter(lock)?.write(timeout)?;
        Ok((data.cast(), len, is_half))
    };
    // SAFETY: the caller's promise.
    unsafe { locked(out_data, out_len, out_is_half, write) }
}

/// The bytes are whole again, as `pinfold_mutex_mend`.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock to write.
///
/// Any thread: the one that has the lock to write.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_rwlock_mend(lock: *mut PinfoldRwlock) -> PinfoldStatus {
    guard(|| enter(lock)?.mend())
}

/// Gives back what this thread has taken, to read or to write; as often as it has. The memory must
/// not be touched any more.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if it has not.
///
/// Any thread: the one that has the lock.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_rwlock_unlock(lock: *mut PinfoldRwlock) -> PinfoldStatus {
    guard(|| enter(lock)?.take().map(drop))
}

/// Gives the lock back in the middle of a change, as `pinfold_mutex_abandon`.
///
/// Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock to write.
///
/// Any thread: the one that has the lock to write.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_rwlock_abandon(lock: *mut PinfoldRwlock) -> PinfoldStatus {
    guard(|| enter(lock)?.abandon())
}

/// Frees a handle of a lock; what was taken by it is given back first. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_rwlock_free(lock: *mut PinfoldRwlock) -> PinfoldStatus {
    free::<Box<RwLockObject>>(lock.addr())
}
