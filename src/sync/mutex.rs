//! A mutex that any process of a fold may hold.

use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Pod;

use crate::object::{Patience, task_here};
use crate::pool::{AllocError, Token};

use super::base::{Base, Kind, clear, travels};
use super::data::{Data, Place as DataPlace};
use super::error::private::MendBy;
use super::who::{Holder, Who};
use super::word::{GATE_AT, LockWord, State, WORDS};
use super::{LockError, LockFault, Place};

/// Mutexes, as a kind of shared objects.
pub static MUTEXES: Kind = Kind {
    number: 10,
    words: WORDS + 2,
    gates: &[GATE_AT],
    recover: |pool, site, dead| LockWord::at(pool.segment(), site.at).recover(dead),
    gone: Kind::nothing_gone,
};

/// Before it is looked again for the first time.
const SPINS: u32 = 100;

/// A lock around data in shared memory, which any thread of any process of the fold may hold.
///
/// `T` is plain data ([`bytemuck::Pod`]), or a slice of it: it lies in the lock itself, and is changed
/// in place. A handle may be cloned, and passed to tasks, returned and sent like any value; all are
/// of the same lock, which is freed with the last of them.
///
/// If its holder dies, or panics, the next one is told that the data may be half changed:
/// [`LockError::Poisoned`], with the guard. Each next one is told, until one has called
/// [`MutexGuard::mend`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{LockFault, Mutex};
///
/// fn add((sum, n): (Mutex<u64>, u64)) -> Result<(), LockFault> {
///     let mut sum = sum.lock().or_else(|error| error.mend(|_| ()))?;
///     *sum += n;
///     Ok(())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let sum = Mutex::new(&rt, 0_u64)?;
/// let tasks = [1, 2, 3].map(|n| rt.spawn(add, (sum.clone(), n)));
/// for task in tasks {
///     task.join_flat()?;
/// }
/// assert_eq!(*sum.lock().map_err(|error| error.to_string())?, 6);
/// # Ok(())
/// # }
/// ```
pub struct Mutex<T: ?Sized + Data> {
    core: Arc<Core>,
    of: PhantomData<Arc<std::sync::Mutex<T>>>,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) base: Base,
    lock: LockWord,
    data: DataPlace,
}

impl<T: Pod> Mutex<T> {
    /// A mutex around `value`. `place` is `&rt`, or [`context()`](crate::context()) in a task: see
    /// [`Place`].
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    pub fn new(place: impl Place, value: T) -> Result<Self, AllocError> {
        Self::make(place, &[value])
    }
}

impl<T: Pod> Mutex<[T]> {
    /// A mutex around a copy of `values`.
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::sync::Mutex;
    ///
    /// let row: Mutex<[f64]> = Mutex::from_slice(&rt, &[0.0; 1000])?;
    /// row.lock().map_err(|error| error.to_string())?[999] = 1.5;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_slice(place: impl Place, values: &[T]) -> Result<Self, AllocError> {
        Self::make(place, values)
    }
}

impl<T: ?Sized + Data> Mutex<T> {
    fn make<E: Pod>(place: impl Place, values: &[E]) -> Result<Self, AllocError> {
        let pool = place.pool()?;
        let words = DataPlace::words_for(WORDS, size_of_val(values));
        let base = Base::make(&pool, &MUTEXES, words, |segment, at| {
            clear(segment, at, WORDS);
            DataPlace::write(segment, at, WORDS, values);
        })?;
        Self::of_base(base).ok_or(pool.exhausted(words * 8))
    }

    fn of_base(base: Base) -> Option<Self> {
        let core = Core {
            lock: LockWord::at(base.pool().segment(), base.site.at),
            data: DataPlace::find::<T>(&base, WORDS)?,
            base,
        };
        Some(Self::of_core(Arc::new(core)))
    }

    fn of_token(token: Token) -> Option<Self> {
        Self::of_base(Base::of(token, &MUTEXES)?)
    }

    fn of_core(core: Arc<Core>) -> Self {
        let of = PhantomData;
        Mutex { core, of }
    }

    /// Takes the lock; waits for it.
    ///
    /// # Errors
    /// [`LockError::Poisoned`], with the guard, if the data may be half changed;
    /// [`LockFault::Relocked`] if this thread has it already, [`LockFault::Gone`] when the runtime
    /// has ended.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_with(Patience::Forever)
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// [`LockFault::Busy`] if somebody has, and who; as [`Mutex::lock`].
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_with(Patience::Not)
    }

    /// Takes the lock; waits for it no longer than `timeout`.
    ///
    /// # Errors
    /// [`LockFault::TimedOut`] if somebody had it all the time, and who; as [`Mutex::lock`].
    #[inline]
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_with(Patience::For(timeout))
    }

    /// Who has the lock now.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::sync::Mutex;
    ///
    /// let mutex = Mutex::new(&rt, 1)?;
    /// assert_eq!(mutex.holder(), None);
    /// let guard = mutex.lock().map_err(|error| error.to_string())?;
    /// assert_eq!(mutex.holder().map(|holder| holder.worker), Some(None)); // the host
    /// # drop(guard);
    /// # Ok(())
    /// # }
    /// ```
    pub fn holder(&self) -> Option<Holder> {
        self.core.named(self.core.lock.state())
    }

    #[inline]
    fn lock_with(
        &self,
        patience: Patience,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let (me, is_half) = self.core.lock(patience)?;
        let guard = MutexGuard {
            mutex: self,
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

impl Core {
    #[inline]
    fn lock(&self, patience: Patience) -> Result<(Who, bool), LockFault> {
        self.base.check()?;
        let (me, task) = (self.base.me(), task_here());
        match self.lock.try_lock(me, task) {
            Ok(is_half) => Ok((me, is_half)),
            Err(taken) => self.lock_slowly(patience, me, task, taken),
        }
    }

    #[cold]
    fn lock_slowly(
        &self,
        patience: Patience,
        me: Who,
        task: u64,
        taken: State,
    ) -> Result<(Who, bool), LockFault> {
        if taken.holder() == Some(me) {
            return Err(LockFault::Relocked);
        }
        // Whoever has it gives it back soon, and may take it again: to look at once, and often, takes the
        // line away from it, and makes all slower.
        if patience != Patience::Not {
            (0..SPINS).for_each(|_| std::hint::spin_loop());
        }
        let look = || match self.lock.look(me, task) {
            Ok(is_half) => Ok(Some((me, is_half))),
            Err(taken) => self.check_holder(taken).map(|()| None),
        };
        self.base.wait(self.lock.gate(), patience, look, |why| {
            let holder = self.named(self.lock.state());
            LockFault::given_up(why, holder)
        })
    }

    fn check_holder(&self, state: State) -> Result<(), LockFault> {
        let pool = self.base.pool();
        match state.holder() {
            Some(who) if who.process.0 as usize >= pool.processes() => Err(self
                .base
                .damaged(&format_args!("held by {who:?}, which is no process"))),
            _ => Ok(()),
        }
    }

    fn named(&self, state: State) -> Option<Holder> {
        let who = state.holder()?;
        Some(Holder::of(who, self.lock.task_of(state)))
    }

    fn unlock(&self, is_half: bool) {
        // A forked child has a copy of the guard, and gives nothing back.
        if self.base.pool().is_here() {
            self.lock.unlock(is_half);
        }
    }
}

travels!([T: ?Sized + Data] Mutex<T>, "mutex of this type");

impl<T: ?Sized + Data> Debug for Mutex<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutex")
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}

/// The lock of a [`Mutex`], and its data; gives the lock back when it is dropped. It stays with its
/// thread.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized + Data> {
    mutex: &'a Mutex<T>,
    me: Who,
    is_half: bool,
    was_panicking: bool,
    not_send: PhantomData<*const ()>,
}

// SAFETY: it gives others shared references to the data only.
unsafe impl<T: ?Sized + Data + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized + Data> MutexGuard<'_, T> {
    /// The data are whole again: the next one is not told any more that they may be half changed.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::sync::{LockError, Mutex};
    ///
    /// fn dies(pair: Mutex<[u32; 2]>) {
    ///     let mut pair = pair.lock().expect("nobody has died yet");
    ///     pair[0] += 1;
    ///     std::process::abort(); // before the other
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let pair = Mutex::new(&rt, [0, 0])?;
    /// assert!(rt.spawn(dies, pair.clone()).join().is_err());
    /// let Err(LockError::Poisoned(mut guard)) = pair.lock() else {
    ///     panic!("this one is told");
    /// };
    /// guard[1] = guard[0];
    /// guard.mend();
    /// drop(guard);
    /// assert_eq!(*pair.lock().expect("nobody is told any more"), [1, 1]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mend(&mut self) {
        self.is_half = false;
        if self.mutex.core.base.pool().is_here() {
            self.mutex.core.lock.hold(self.me, false);
        }
    }
}

impl<T: ?Sized + Data> MendBy for MutexGuard<'_, T> {
    type Data = T;

    fn mend_by(&mut self, mend: impl FnOnce(&mut T)) {
        mend(self);
        self.mend();
    }
}

impl<T: ?Sized + Data> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the data lie there, aligned, and any bytes are a `T`; the handle keeps them
        // mapped, and the word says that this thread has them: nobody else writes.
        unsafe { self.mutex.core.data.point::<T>().as_ref() }
    }
}

impl<T: ?Sized + Data> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` is the only guard, and so the only way to the data:
        // there is no second one while the word names this thread.
        unsafe { self.mutex.core.data.point::<T>().as_mut() }
    }
}

impl<T: ?Sized + Data> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let has_panicked = !self.was_panicking && std::thread::panicking();
        self.mutex.core.unlock(self.is_half || has_panicked);
    }
}

impl<T: ?Sized + Data + Debug> Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Debug::fmt(&**self, f)
    }
}
