//! A read-write lock that any process of a fold may hold.

use std::cell::RefCell;
use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytemuck::Pod;

use crate::object::{GaveUp, Patience, task_here};
use crate::pool::{AllocError, LaneBlock, Token};

use super::base::{Base, Kind, clear, travels};
use super::data::{Data, Place as DataPlace};
use super::error::private::MendBy;
use super::rw::{DRAIN_AT, RwWords, words_for};
use super::who::{Holder, Who};
use super::word::{GATE_AT, State};
use super::{LockError, LockFault, Place};

/// Read-write locks, as a kind of shared objects.
pub static RW_LOCKS: Kind = Kind {
    number: 11,
    words: 8,
    gates: &[GATE_AT, DRAIN_AT],
    recover: |pool, site, dead| {
        let processes = pool.processes();
        if site.words >= words_for(processes) {
            RwWords::at(pool.segment(), site.at, processes).recover(dead);
        }
    },
    gone: Kind::nothing_gone,
};

thread_local! {
    /// What this thread reads: which lock, and how often.
    static READS: RefCell<Vec<((usize, LaneBlock), usize)>> = const { RefCell::new(Vec::new()) };
}

/// A lock that many may have to read, or one to write, in any thread of any process of the fold.
///
/// As a [`Mutex`](super::Mutex): the data lie in the lock, its handles travel, and whoever comes after
/// a writer that has died or panicked is told. A reader that dies is just gone.
///
/// A writer that waits keeps new readers out, so readers never starve it. A thread that reads
/// may read once more, whoever waits. To read costs two changes of a line that only the reader's
/// process writes; so readers of different processes do not slow each other down. A writer looks at
/// a line for each worker that the runtime may have. Each lock takes so much memory: 64 bytes a worker.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{LockFault, RwLock};
///
/// fn look((table, at): (RwLock<[u32; 4]>, usize)) -> Result<u32, LockFault> {
///     Ok(table.read().map_err(|error| error.fault().cloned().unwrap_or(LockFault::Gone))?[at])
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let table = RwLock::new(&rt, [1, 2, 3, 4])?;
/// table.write().or_else(|error| error.mend(|_| ()))?[2] = 30;
/// let found = [1, 2].map(|at| rt.spawn(look, (table.clone(), at)));
/// let found: Vec<_> = found.into_iter().map(|task| task.join_flat()).collect::<Result<_, _>>()?;
/// assert_eq!(found, [2, 30]);
/// # Ok(())
/// # }
/// ```
pub struct RwLock<T: ?Sized + Data> {
    core: Arc<Core>,
    of: PhantomData<Arc<std::sync::RwLock<T>>>,
}

#[derive(Debug)]
struct Core {
    base: Base,
    words: RwWords,
    data: DataPlace,
}

impl<T: Pod> RwLock<T> {
    /// A lock around `value`. `place` is `&rt`, or [`context()`](crate::context()) in a task: see
    /// [`Place`].
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    pub fn new(place: impl Place, value: T) -> Result<Self, AllocError> {
        Self::make(place, &[value])
    }
}

impl<T: Pod> RwLock<[T]> {
    /// A lock around a copy of `values`.
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    pub fn from_slice(place: impl Place, values: &[T]) -> Result<Self, AllocError> {
        Self::make(place, values)
    }
}

impl<T: ?Sized + Data> RwLock<T> {
    fn make<E: Pod>(place: impl Place, values: &[E]) -> Result<Self, AllocError> {
        let pool = place.pool()?;
        let own = words_for(pool.processes());
        let words = DataPlace::words_for(own, size_of_val(values));
        let base = Base::make(&pool, &RW_LOCKS, words, |segment, at| {
            clear(segment, at, own);
            DataPlace::write(segment, at, own, values);
        })?;
        Self::of_base(base).ok_or(pool.exhausted(words * 8))
    }

    fn of_base(base: Base) -> Option<Self> {
        let processes = base.pool().processes();
        let own = words_for(processes);
        let data = DataPlace::find::<T>(&base, own)?;
        let words = RwWords::at(base.pool().segment(), base.site.at, processes);
        Some(Self::of_core(Arc::new(Core { base, words, data })))
    }

    fn of_token(token: Token) -> Option<Self> {
        Self::of_base(Base::of(token, &RW_LOCKS)?)
    }

    fn of_core(core: Arc<Core>) -> Self {
        let of = PhantomData;
        RwLock { core, of }
    }

    /// Takes the lock to read; waits while somebody writes, or waits to.
    ///
    /// # Errors
    /// [`LockError::Poisoned`], with the guard, if the data may be half changed;
    /// [`LockFault::Relocked`] if this thread has it to write, [`LockFault::Gone`] when the runtime
    /// has ended.
    #[inline]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockReadGuard<'_, T>>> {
        self.read_with(Patience::Forever)
    }

    /// Takes the lock to read, if nobody writes, or waits to.
    ///
    /// # Errors
    /// [`LockFault::Busy`] if somebody does, and who; as [`RwLock::read`].
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockReadGuard<'_, T>>> {
        self.read_with(Patience::Not)
    }

    /// Takes the lock to read; waits for it no longer than `timeout`.
    ///
    /// # Errors
    /// [`LockFault::TimedOut`] if somebody had it all the time, and who; as [`RwLock::read`].
    #[inline]
    pub fn read_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockReadGuard<'_, T>>> {
        self.read_with(Patience::For(timeout))
    }

    /// Takes the lock to write; waits for it.
    ///
    /// # Errors
    /// [`LockError::Poisoned`], with the guard, if the data may be half changed;
    /// [`LockFault::Relocked`] if this thread has it already, to read or to write,
    /// [`LockFault::Gone`] when the runtime has ended.
    #[inline]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.write_with(Patience::Forever)
    }

    /// Takes the lock to write if nobody has it.
    ///
    /// # Errors
    /// [`LockFault::Busy`] if somebody has, and who; as [`RwLock::write`].
    #[inline]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.write_with(Patience::Not)
    }

    /// Takes the lock to write; waits for it no longer than `timeout`.
    ///
    /// # Errors
    /// [`LockFault::TimedOut`] if somebody had it all the time, and who; as [`RwLock::write`].
    #[inline]
    pub fn write_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.write_with(Patience::For(timeout))
    }

    #[inline]
    fn read_with(
        &self,
        patience: Patience,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockReadGuard<'_, T>>> {
        let is_half = self.core.read(patience)?;
        let not_send = PhantomData;
        let guard = RwLockReadGuard {
            lock: self,
            not_send,
        };
        match is_half {
            true => Err(LockError::Poisoned(guard)),
            false => Ok(guard),
        }
    }

    #[inline]
    fn write_with(
        &self,
        patience: Patience,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        let (me, is_half) = self.core.write(patience)?;
        let guard = RwLockWriteGuard {
            lock: self,
            me,
            is_half,
            was_panicking: std::thread::panicking(),
            not_send: PhantomData,
        };
        match is_half {
            true => Err(LockError::Poisoned(guard)),
            false => Ok(guard),
        }
    }
}

/// A writer that has announced itself, and gives up if nothing comes of it.
struct Announced<'a>(&'a RwWords, bool);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.unlock(self.1);
    }
}

impl Core {
    fn key(&self) -> (usize, LaneBlock) {
        (self.words.address(), self.base.site.block)
    }

    /// Notes one more reader of this thread, or one less; how many there were. A thread that is
    /// ending notes nothing.
    fn note(&self, change: impl FnOnce(usize) -> usize) -> usize {
        let key = self.key();
        let noted = READS.try_with(|reads| {
            let mut reads = reads.borrow_mut();
            let at = reads.iter().position(|(lock, _)| *lock == key);
            let before = at.map_or(0, |at| reads[at].1);
            match (at, change(before)) {
                (Some(at), 0) => drop(reads.swap_remove(at)),
                (Some(at), after) => reads[at].1 = after,
                (None, 0) => {}
                (None, after) => reads.push((key, after)),
            }
            before
        });
        noted.unwrap_or(0)
    }

    #[inline]
    fn read(&self, patience: Patience) -> Result<bool, LockFault> {
        self.base.check()?;
        let me = self.base.pool().process();
        if self.note(|count| count + 1) > 0 {
            return Ok(self.words.read_again(me));
        }
        let read = match self.words.try_read(me) {
            Ok(is_half) => return Ok(is_half),
            Err(taken) => self.read_slowly(patience, taken),
        };
        if read.is_err() {
            self.note(|count| count.saturating_sub(1));
        }
        read
    }

    #[cold]
    fn read_slowly(&self, patience: Patience, taken: State) -> Result<bool, LockFault> {
        if taken.holder() == Some(self.base.me()) {
            return Err(LockFault::Relocked);
        }
        let look = || {
            let state = self.words.writer().state();
            if state.is_held() {
                return self.check_writer(state).map(|()| None);
            }
            Ok(self.words.try_read(self.base.pool().process()).ok())
        };
        let gate = self.words.writer().gate();
        self.base.wait(gate, patience, look, |why| {
            LockFault::given_up(why, self.writer())
        })
    }

    fn check_writer(&self, state: State) -> Result<(), LockFault> {
        match state.holder() {
            Some(who) if who.process.0 as usize >= self.base.pool().processes() => Err(self
                .base
                .damaged(&format_args!("written by {who:?}, which is no process"))),
            _ => Ok(()),
        }
    }

    fn writer(&self) -> Option<Holder> {
        let writer = self.words.writer();
        let state = writer.state();
        Some(Holder::of(state.holder()?, writer.task_of(state)))
    }

    fn a_reader(&self) -> Option<Holder> {
        self.words
            .reads()
            .map(|(process, _)| Holder::of_process(process))
    }

    fn write(&self, patience: Patience) -> Result<(Who, bool), LockFault> {
        self.base.check()?;
        let (me, task) = (self.base.me(), task_here());
        if self.note(|count| count) > 0 {
            return Err(LockFault::Relocked);
        }
        if patience == Patience::Not && self.words.reads().is_some() {
            return Err(LockFault::given_up(GaveUp::AtOnce, self.a_reader()));
        }
        let mut begin = None;
        let is_half = match self.words.try_announce(me, task) {
            Ok(is_half) => is_half,
            Err(taken) => {
                begin = Some(Instant::now());
                self.announce_slowly(patience, me, task, taken)?
            }
        };
        if self.words.reads().is_some() {
            self.drain(patience, begin.unwrap_or_else(Instant::now), is_half)?;
        }
        self.words.writer().hold(me, is_half);
        Ok((me, is_half))
    }

    #[cold]
    fn announce_slowly(
        &self,
        patience: Patience,
        me: Who,
        task: u64,
        taken: State,
    ) -> Result<bool, LockFault> {
        if taken.holder() == Some(me) {
            return Err(LockFault::Relocked);
        }
        let look = || {
            let state = self.words.writer().state();
            if state.is_held() {
                return self.check_writer(state).map(|()| None);
            }
            Ok(self.words.try_announce(me, task).ok())
        };
        let gate = self.words.writer().gate();
        self.base.wait(gate, patience, look, |why| {
            LockFault::given_up(why, self.writer())
        })
    }

    /// Waits until nobody reads.
    #[cold]
    fn drain(&self, patience: Patience, begin: Instant, is_half: bool) -> Result<(), LockFault> {
        let patience = match patience {
            Patience::For(time) => Patience::For(time.saturating_sub(begin.elapsed())),
            other => other,
        };
        let announced = Announced(&self.words, is_half);
        let look = || match self.words.reads() {
            None => Ok(Some(())),
            Some((_, word)) if self.words.is_damaged(word) => Err(self
                .base
                .damaged(&format_args!("a count of readers is {word:#x}"))),
            Some(_) => Ok(None),
        };
        self.base
            .wait(self.words.drained(), patience, look, |why| {
                let why = match why {
                    GaveUp::Late(_) => GaveUp::Late(begin.elapsed()),
                    other => other,
                };
                LockFault::given_up(why, self.a_reader())
            })?;
        std::mem::forget(announced);
        Ok(())
    }
}

travels!([T: ?Sized + Data] RwLock<T>, "read-write lock of this type");

impl<T: ?Sized + Data> Debug for RwLock<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RwLock")
            .field("writer", &self.core.writer())
            .finish_non_exhaustive()
    }
}

/// The lock of an [`RwLock`] to read; gives it back when it is dropped. It stays with its thread.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized + Data> {
    lock: &'a RwLock<T>,
    not_send: PhantomData<*const ()>,
}

/// The lock of an [`RwLock`] to write; gives it back when it is dropped. It stays with its thread.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized + Data> {
    lock: &'a RwLock<T>,
    me: Who,
    is_half: bool,
    was_panicking: bool,
    not_send: PhantomData<*const ()>,
}

// SAFETY: it gives others shared references to the data only.
unsafe impl<T: ?Sized + Data + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Data + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T: ?Sized + Data> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the data lie there, aligned, and any bytes are a `T`; the handle keeps them
        // mapped, and while this process's count says that it reads nobody writes.
        unsafe { self.lock.core.data.point::<T>().as_ref() }
    }
}

impl<T: ?Sized + Data> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let core = &self.lock.core;
        // A forked child has a copy of the guard, and gives nothing back.
        if core.base.pool().is_here() {
            core.note(|count| count.saturating_sub(1));
            core.words.leave(core.base.pool().process());
        }
    }
}

impl<T: ?Sized + Data> RwLockWriteGuard<'_, T> {
    /// The data are whole again: as [`MutexGuard::mend`](super::MutexGuard::mend).
    pub fn mend(&mut self) {
        self.is_half = false;
        if self.lock.core.base.pool().is_here() {
            self.lock.core.words.writer().hold(self.me, false);
        }
    }
}

impl<T: ?Sized + Data> MendBy for RwLockWriteGuard<'_, T> {
    type Data = T;

    fn mend_by(&mut self, mend: impl FnOnce(&mut T)) {
        mend(self);
        self.mend();
    }
}

impl<T: ?Sized + Data> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: as of a reader; the word says that this thread writes: nobody else does.
        unsafe { self.lock.core.data.point::<T>().as_ref() }
    }
}

impl<T: ?Sized + Data> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; nobody reads, and `&mut self` is the only guard.
        unsafe { self.lock.core.data.point::<T>().as_mut() }
    }
}

impl<T: ?Sized + Data> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let has_panicked = !self.was_panicking && std::thread::panicking();
        let core = &self.lock.core;
        if core.base.pool().is_here() {
            core.words.unlock(self.is_half || has_panicked);
        }
    }
}

macro_rules! debug {
    ($name:ident) => {
        impl<T: ?Sized + Data + Debug> Debug for $name<'_, T> {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                Debug::fmt(&**self, f)
            }
        }
    };
}
debug!(RwLockReadGuard);
debug!(RwLockWriteGuard);
