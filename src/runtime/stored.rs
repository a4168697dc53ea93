//! A task that is kept beside its runtime: it borrows nothing, and its type can be written down.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{TaskError, TrySpawnError};
use crate::scheduler::Settings;
use crate::task::FunctionId;

use super::after::Sealed;
use super::core::Core;
use super::order::Order;
use super::submitted::Encoded;
use super::task::spawn_quickly;
use super::{Dependencies, Handle, Map, MapUnordered, Memo, Task};

/// A [`Task`] to be kept in a struct, a map or a static: it does not borrow its runtime, and its
/// type names what goes in and what comes out, not the function. Made by [`Task::stored`], with
/// all the settings of that.
///
/// When the runtime is shut down or dropped, what is submitted ends with
/// [`TaskError::Shutdown`]; until the last of its tasks is dropped too, the runtime's shared
/// memory stays mapped. Several items in one task ([`Task::chunked`], [`Task::reduce`]) are for
/// `Task` itself, which knows the function: make one where it is used, by
/// [`Runtime::task`](crate::Runtime::task).
///
/// ```
/// # pinfold::test_setup!();
/// use std::time::Duration;
///
/// struct Service {
///     rt: pinfold::Runtime,
///     resize: pinfold::StoredTask<(Vec<u8>, u32), usize>,
/// }
///
/// fn resize((image, factor): (Vec<u8>, u32)) -> usize {
///     image.len() / factor as usize
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let resize = rt.task(resize).soft_deadline(Duration::from_secs(10)).stored();
/// let service = Service { rt, resize };
/// assert_eq!(service.resize.spawn((vec![0; 100], 2)).join()?, 50);
///
/// let Service { rt, resize } = service;
/// drop(rt);
/// assert!(matches!(resize.spawn((vec![], 1)).join(), Err(pinfold::TaskError::Shutdown { .. })));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `spawn` or `map`"]
pub struct StoredTask<A, R> {
    pub(super) core: Arc<Core>,
    pub(super) function: Option<FunctionId>,
    pub(super) name: fn() -> &'static str,
    pub(super) settings: Option<Arc<Settings>>,
    pub(super) memo: Option<Memo>,
    in_flight: Option<usize>,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> Clone for StoredTask<A, R> {
    fn clone(&self) -> Self {
        StoredTask {
            core: Arc::clone(&self.core),
            settings: self.settings.clone(),
            memo: self.memo.clone(),
            ..*self
        }
    }
}

impl<A, R> std::fmt::Debug for StoredTask<A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredTask")
            .field("function", &(self.name)())
            .field("settings", &self.settings)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl<F, A, R> Task<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The same task with the same settings, for keeping: see [`StoredTask`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::collections::HashMap;
    /// let mut by_name: HashMap<&str, pinfold::StoredTask<i64, i64>> = HashMap::new();
    /// by_name.insert("double", rt.task(|n| 2 * n).stored());
    /// by_name.insert("negate", rt.task(|n: i64| -n).at_least_once().stored());
    /// assert_eq!(by_name["double"].spawn(4).join()?, 8);
    /// assert_eq!(by_name["negate"].spawn(4).join()?, -4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stored(&self) -> StoredTask<A, R> {
        StoredTask {
            core: Arc::clone(self.order.core),
            function: self.order.function,
            name: self.order.name,
            settings: self.order.settings.clone(),
            memo: self.order.memo.clone(),
            in_flight: self.order.in_flight,
            types: PhantomData,
        }
    }
}

/// In the place of the function's own type.
type Named<A, R> = fn(A) -> R;

/// Stands for a function that is known by its name alone: it is called in workers.
fn elsewhere<A, R>(_: A) -> R {
    unreachable!("a task's function is called by its name, in a worker")
}

impl<A, R> StoredTask<A, R>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    fn task(&self) -> Task<'_, Named<A, R>, A, R> {
        Task {
            order: Order {
                core: &self.core,
                function: self.function,
                name: self.name,
                settings: self.settings.clone(),
                memo: self.memo.clone(),
                in_flight: self.in_flight,
            },
            call: elsewhere,
            types: PhantomData,
        }
    }

    /// As [`Task::spawn`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).stored().spawn(1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn spawn(&self, args: A) -> Handle<R> {
        if self.settings.is_some() || self.memo.is_some() {
            return self.spawn_slowly(args, None);
        }
        match spawn_quickly(&self.core, self.function, self.name, &args) {
            Ok(handle) => handle,
            Err(encoded) => self.spawn_slowly(args, encoded),
        }
    }

    #[cold]
    fn spawn_slowly(&self, args: A, encoded: Option<Encoded>) -> Handle<R> {
        match encoded {
            None => self.task().spawn(args),
            encoded => self.task().spawn_slowly(args, encoded),
        }
    }

    /// As [`Task::try_spawn`].
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).stored().try_spawn(1)?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_spawn(&self, args: A) -> Result<Handle<R>, TrySpawnError<A>> {
        self.task().try_spawn(args)
    }

    /// As [`Task::spawn_timeout`].
    ///
    /// # Errors
    /// [`TrySpawnError`] with the reason and the arguments.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let task = rt.task(|n: u32| n + 1).stored();
    /// assert_eq!(task.spawn_timeout(1, Duration::from_secs(1))?.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_timeout(&self, args: A, timeout: Duration) -> Result<Handle<R>, TrySpawnError<A>> {
        self.task().spawn_timeout(args, timeout)
    }

    /// As [`Task::broadcast_with`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let task = rt.task(|n: usize| n + 1).stored();
    /// assert_eq!(pinfold::join_all(task.broadcast_with(|worker| worker)), [Ok(1), Ok(2)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_with(&self, args: impl FnMut(usize) -> A) -> Vec<Handle<R>> {
        self.task().broadcast_with(args)
    }

    /// As [`Task::map`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u64| n + 1).stored();
    /// assert!(task.map(0..100).eq((1..=100).map(Ok)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> Map<'_, I::IntoIter, Named<A, R>, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.task().map(items)
    }

    /// As [`Task::map_unordered`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// for (n, next) in rt.task(|n: usize| n + 1).stored().map_unordered(0..100) {
    ///     assert_eq!(next?, n + 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_unordered<I>(&self, items: I) -> MapUnordered<'_, I::IntoIter, Named<A, R>, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.task().map_unordered(items)
    }
}

impl<A, I, R> StoredTask<(A, I), R>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    I: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// As [`Task::spawn_after`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let add = rt.task(|(a, b): (u32, u32)| a + b).stored();
    /// let one = rt.spawn(|n: u32| n, 1);
    /// assert_eq!(add.spawn_after(&one, 2).join()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_after<D>(&self, after: D, args: A) -> Handle<R>
    where
        D: Dependencies<Inputs = I> + Sealed<Values = I>,
    {
        self.task().spawn_after(after, args)
    }
}

impl<A> StoredTask<A, ()>
where
    A: Serialize + DeserializeOwned + 'static,
{
    /// As [`Task::for_each`].
    ///
    /// # Errors
    /// The first one.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// rt.task(|n: u32| assert!(n < 100)).stored().for_each(0..100)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<I>(&self, items: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        self.task().for_each(items)
    }
}
