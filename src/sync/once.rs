//! A function that is run once in the whole fold, and a value that is made once.
//!
//! The words are a mutex's (`word`), and one more that says *done*. The thread that runs the function has the
//! lock.
//!
//! | step | how | a death just after it leaves |
//! | --- | --- | --- |
//! | 1. takes the lock; looks whether it is done | as a mutex | as a mutex's holder: the next one gets the lock, and runs it |
//! | 2. runs it; writes the value | | the same |
//! | 3. *done* becomes 1 | store, Release | a lock that the host frees; nobody asks for it any more |
//! | 4. gives the lock back, wakes all | as a mutex | sleepers that nobody has woken: the host forces the gate |
//!
//! So the function runs to its end once, and every thread that sees *done* sees its value.

use std::convert::Infallible;
use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Pod;

use crate::object::{Patience, task_here};
use crate::pool::{AllocError, Token};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::shm::Views;

use super::base::{Base, Kind, clear, travels};
use super::data::{Data, Place as DataPlace};
use super::who::Holder;
use super::word::{GATE_AT, LockWord, WORDS};
use super::{LockFault, Place};

/// What is run once, as a kind of shared objects.
pub static ONCES: Kind = Kind {
    number: 13,
    words: OWN + 2,
    gates: &[GATE_AT],
    recover: |pool, site, dead| LockWord::at(pool.segment(), site.at).recover(dead),
    gone: Kind::nothing_gone,
};

/// The lock's words, and *done*.
const OWN: usize = WORDS + 1;

#[derive(Debug)]
struct Core {
    base: Base,
    lock: LockWord,
    done: Views<AtomicU64>,
    data: DataPlace,
}

/// What whoever runs a [`Once`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnceState {
    /// Somebody has begun it before, and has died in the middle, or panicked: it may be half done.
    pub was_begun: bool,
}

/// Gives the lock back, when the work is done, has failed, or panics.
struct Running<'a> {
    core: &'a Core,
    is_half: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.core.base.pool().is_here() {
            self.core.lock.release(self.is_half);
            self.core.lock.gate().open_all();
        }
    }
}

impl Core {
    /// One with room for so many values of `E`, which are a `T`.
    fn make<T: ?Sized + Data, E: Pod>(
        place: impl Place,
        values: usize,
    ) -> Result<Arc<Self>, AllocError> {
        let pool = place.pool()?;
        let words = DataPlace::words_for(OWN, size_of::<E>().saturating_mul(values));
        let base = Base::make(&pool, &ONCES, words, |segment, at| {
            clear(segment, at, OWN);
            DataPlace::write_zeros::<E>(segment, at, OWN, values);
        })?;
        Self::of::<T>(base).ok_or(pool.exhausted(words * 8))
    }

    fn of<T: ?Sized + Data>(base: Base) -> Option<Arc<Self>> {
        let segment = base.pool().segment();
        let at = base.site.at;
        Some(Arc::new(Core {
            lock: LockWord::at(segment, at),
            done: segment.views(at + WORDS * 8, 1),
            data: DataPlace::find::<T>(&base, OWN)?,
            base,
        }))
    }

    fn of_token<T: ?Sized + Data>(token: Token) -> Option<Arc<Self>> {
        Self::of::<T>(Base::of(token, &ONCES)?)
    }

    #[inline]
    fn is_done(&self) -> bool {
        // ordering: Acquire pairs with the Release in `run`: what was made is seen.
        self.done[0].load(Ordering::Acquire) != 0
    }

    /// Runs `f` if it was not done yet; whether it was run here.
    fn run<E>(
        &self,
        patience: Patience,
        f: impl FnOnce(OnceState) -> Result<(), E>,
    ) -> Result<Result<bool, E>, LockFault> {
        if self.is_done() {
            return Ok(Ok(false));
        }
        self.base.check()?;
        let (me, task) = (self.base.me(), task_here());
        let look = || {
            if self.is_done() {
                return Ok(Some(None));
            }
            match self.lock.look(me, task) {
                Ok(is_half) => Ok(Some(Some(is_half))),
                Err(taken) if taken.holder() == Some(me) => Err(LockFault::Relocked),
                Err(_) => Ok(None),
            }
        };
        let gate = self.lock.gate();
        let locked = self.base.wait(gate, patience, look, |why| {
            let state = self.lock.state();
            let holder = state.holder();
            let holder = holder.map(|who| Holder::of(who, self.lock.task_of(state)));
            LockFault::given_up(why, holder)
        })?;
        let Some(was_begun) = locked else {
            return Ok(Ok(false));
        };
        // If it panics it was begun.
        let mut running = Running {
            core: self,
            is_half: true,
        };
        if self.is_done() {
            running.is_half = false;
            return Ok(Ok(false));
        }
        let result = f(OnceState { was_begun });
        running.is_half = was_begun;
        if result.is_ok() {
            running.is_half = false;
            // ordering: Release pairs with the Acquire in `is_done`.
            self.done[0].store(1, Ordering::Release);
        }
        Ok(result.map(|()| true))
    }
}

/// What is to be done once, in any process of the fold.
///
/// Whoever calls first does it; others wait until it is done. If the one who does it dies, or panics, the
/// next one does it, and is told that it was begun.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{LockFault, Once};
///
/// fn first(set_up: Once) -> Result<bool, LockFault> {
///     set_up.call_once(|_| { /* fill a directory, say */ })
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let set_up = Once::new(&rt)?;
/// let tasks = [0; 4].map(|_| rt.spawn(first, set_up.clone()));
/// let mut firsts = 0;
/// for task in tasks {
///     firsts += u32::from(task.join_flat()?);
/// }
/// assert!(firsts == 1 && set_up.is_completed());
/// # Ok(())
/// # }
/// ```
pub struct Once {
    core: Arc<Core>,
}

impl Once {
    /// What was not done yet. `place` is `&rt`, or [`context()`](crate::context()) in a task: see
    /// [`Place`].
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    pub fn new(place: impl Place) -> Result<Self, AllocError> {
        Core::make::<(), ()>(place, 1).map(Self::of_core)
    }

    /// Calls `f`, unless it was done; waits for whoever does it just now. Whether `f` was called.
    ///
    /// # Errors
    /// [`LockFault::Relocked`] if `f` calls this itself; [`LockFault::Gone`] when the runtime has
    /// ended.
    pub fn call_once(&self, f: impl FnOnce(OnceState)) -> Result<bool, LockFault> {
        self.call(Patience::Forever, f)
    }

    /// The same; waits for whoever does it no longer than `timeout`.
    ///
    /// # Errors
    /// [`LockFault::TimedOut`] if it was not done in time, with who does it; as [`Once::call_once`].
    pub fn call_once_timeout(
        &self,
        timeout: Duration,
        f: impl FnOnce(OnceState),
    ) -> Result<bool, LockFault> {
        self.call(Patience::For(timeout), f)
    }

    /// Whether it is done.
    pub fn is_completed(&self) -> bool {
        self.core.is_done()
    }

    fn call(&self, patience: Patience, f: impl FnOnce(OnceState)) -> Result<bool, LockFault> {
        let called = self.core.run(patience, |state| {
            f(state);
            Ok::<(), Infallible>(())
        });
        called.map(|ran| ran.unwrap_or_else(|never| match never {}))
    }

    fn of_token(token: Token) -> Option<Self> {
        Core::of_token::<()>(token).map(Self::of_core)
    }

    fn of_core(core: Arc<Core>) -> Self {
        Once { core }
    }
}

travels!([] Once, "`Once`");

impl Debug for Once {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once")
            .field("is_completed", &self.is_completed())
            .finish()
    }
}

/// A value that is made once, by whoever asks first in any process of the fold, and then read by all.
///
/// `T` is plain data ([`bytemuck::Pod`]), or a slice of it. If the one who makes it dies, or panics, the
/// next one makes it.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::sync::{LockFault, OnceLock};
///
/// fn seed(seed: OnceLock<u64>) -> Result<u64, LockFault> {
///     seed.get_or_init(|| u64::from(std::process::id())).copied()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let once = OnceLock::new(&rt)?;
/// assert_eq!(once.get(), None);
/// let first = rt.spawn(seed, once.clone()).join_flat()?;
/// assert_eq!(rt.spawn(seed, once.clone()).join_flat()?, first);
/// assert_eq!(once.get(), Some(&first));
/// # Ok(())
/// # }
/// ```
pub struct OnceLock<T: ?Sized + Data> {
    core: Arc<Core>,
    of: PhantomData<Arc<T>>,
}

impl<T: ?Sized + Data> OnceLock<T> {
    /// The value, if it was made.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.core.is_done() {
            return None;
        }
        // SAFETY: it lies there, aligned, and any bytes are a `T`; the handle keeps it mapped; it
        // is done, so nobody writes it any more.
        Some(unsafe { self.core.data.point::<T>().as_ref() })
    }

    /// The value; has `make` write it if nobody has.
    fn made_by<E>(
        &self,
        patience: Patience,
        make: impl FnOnce(NonNull<T>) -> Result<(), E>,
    ) -> Result<Result<&T, E>, LockFault> {
        match self.core.run(patience, |_| make(self.core.data.point()))? {
            Err(error) => Ok(Err(error)),
            Ok(_) => self.get().map(Ok).ok_or(LockFault::Gone),
        }
    }

    fn of_token(token: Token) -> Option<Self> {
        Core::of_token::<T>(token).map(Self::of_core)
    }

    fn of_core(core: Arc<Core>) -> Self {
        let of = PhantomData;
        OnceLock { core, of }
    }
}

impl<T: Pod> OnceLock<T> {
    /// A value that was not made yet. `place` is `&rt`, or [`context()`](crate::context()) in a task:
    /// see [`Place`].
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    pub fn new(place: impl Place) -> Result<Self, AllocError> {
        Core::make::<T, T>(place, 1).map(Self::of_core)
    }

    /// The value; makes it by `make` if nobody has; waits for whoever makes it just now.
    ///
    /// # Errors
    /// As of [`Once::call_once`].
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> Result<&T, LockFault> {
        let made = self.get_or_try_init(|| Ok::<T, Infallible>(make()))?;
        Ok(made.unwrap_or_else(|never| match never {}))
    }

    /// The same; waits for whoever makes it no longer than `timeout`.
    ///
    /// # Errors
    /// As of [`Once::call_once_timeout`].
    pub fn get_or_init_timeout(
        &self,
        timeout: Duration,
        make: impl FnOnce() -> T,
    ) -> Result<&T, LockFault> {
        let made = self.init(Patience::For(timeout), || Ok::<T, Infallible>(make()))?;
        Ok(made.unwrap_or_else(|never| match never {}))
    }

    /// The same, where `make` may fail: then it is not made, and its error is returned inside.
    ///
    /// # Errors
    /// As of [`Once::call_once`].
    pub fn get_or_try_init<E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<&T, E>, LockFault> {
        self.init(Patience::Forever, make)
    }

    fn init<E>(
        &self,
        patience: Patience,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<&T, E>, LockFault> {
        self.made_by(patience, |place| {
            let value = make()?;
            // SAFETY: room for a `T`, aligned; this thread has the lock and it is not done: nobody
            // reads or writes there.
            unsafe { place.write(value) };
            Ok(())
        })
    }
}

impl<T: Pod> OnceLock<[T]> {
    /// So many values that were not made yet. `place` is as of [`OnceLock::new`].
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::sync::OnceLock;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let squares: OnceLock<[u64]> = OnceLock::with_len(&rt, 1000)?;
    /// let ninth = |squares: OnceLock<[u64]>| {
    ///     let all = squares.get_or_fill(|all| {
    ///         all.iter_mut().zip(0..).for_each(|(square, n)| *square = n * n);
    ///     });
    ///     all.map(|all| all[9])
    /// };
    /// assert_eq!(rt.spawn(ninth, squares.clone()).join_flat()?, 81);
    /// assert_eq!(squares.get().map(|all| all[999]), Some(998_001));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_len(place: impl Place, len: usize) -> Result<Self, AllocError> {
        Core::make::<[T], T>(place, len).map(Self::of_core)
    }

    /// The values; has `fill` write them, all of whose bytes are 0, if nobody has; waits for whoever
    /// writes them just now.
    ///
    /// # Errors
    /// As of [`Once::call_once`].
    pub fn get_or_fill(&self, fill: impl FnOnce(&mut [T])) -> Result<&[T], LockFault> {
        let filled = self.get_or_try_fill(|values| {
            fill(values);
            Ok::<(), Infallible>(())
        })?;
        Ok(filled.unwrap_or_else(|never| match never {}))
    }

    /// The same, where `fill` may fail: then they are not made, and its error is returned inside.
    ///
    /// # Errors
    /// As of [`Once::call_once`].
    pub fn get_or_try_fill<E>(
        &self,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<Result<&[T], E>, LockFault> {
        self.fill(Patience::Forever, fill)
    }

    /// The same; waits for whoever writes them no longer than `timeout`.
    ///
    /// # Errors
    /// As of [`Once::call_once_timeout`].
    pub fn get_or_try_fill_timeout<E>(
        &self,
        timeout: Duration,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<Result<&[T], E>, LockFault> {
        self.fill(Patience::For(timeout), fill)
    }

    fn fill<E>(
        &self,
        patience: Patience,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<Result<&[T], E>, LockFault> {
        self.made_by(patience, |mut place| {
            // SAFETY: values lie there, aligned, of which any bytes are some; this thread has the lock
            // and it is not done: nobody else reads or writes there.
            let values = unsafe { place.as_mut() };
            // Somebody may have begun.
            values.fill(T::zeroed());
            fill(values)
        })
    }
}

travels!([T: ?Sized + Data] OnceLock<T>, "`OnceLock` of this type");

impl<T: ?Sized + Data + Debug> Debug for OnceLock<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}
