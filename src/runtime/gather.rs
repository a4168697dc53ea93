//! Waiting for several handles.

use serde::de::DeserializeOwned;

use crate::error::TaskError;

use std::time::Duration;

use crate::scheduler::Reach;

use super::Handle;
use super::members::Members;
use super::wait::{WaitFor, wait, wait_by};

/// Waits for every task; the outcomes are in the order of the handles.
///
/// The handles may be of different runtimes. Those that `handles` spawns as it is
/// pulled are all spawned before the first is waited for.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let outcomes = pinfold::join_all((0..3).map(|n| rt.spawn(|n: u32| 6 / n, n)));
/// assert!(matches!(outcomes[0], Err(pinfold::TaskError::Panicked { .. })));
/// assert_eq!(outcomes[1..], [Ok(6), Ok(3)]);
/// # Ok(())
/// # }
/// ```
pub fn join_all<R>(handles: impl IntoIterator<Item = Handle<R>>) -> Vec<Result<R, TaskError>>
where
    R: DeserializeOwned,
{
    let handles: Vec<_> = handles.into_iter().collect();
    handles.into_iter().map(Handle::join).collect()
}

/// As [`join_all`], if all have ended within `timeout`; else `None`: all go on, and can be
/// joined again. [`wait`] tells which have ended.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
/// let mut tasks = [200, 1].map(|ms| rt.spawn(nap, ms));
/// assert_eq!(pinfold::join_all_timeout(&mut tasks, Duration::ZERO), None);
/// let outcomes = pinfold::join_all_timeout(&mut tasks, Duration::from_secs(60));
/// assert_eq!(outcomes, Some(vec![Ok(()), Ok(())]));
/// # Ok(())
/// # }
/// ```
pub fn join_all_timeout<R>(
    handles: &mut [Handle<R>],
    timeout: Duration,
) -> Option<Vec<Result<R, TaskError>>>
where
    R: DeserializeOwned,
{
    let waited = wait(handles, WaitFor::All, Some(timeout));
    waited.not_done.is_empty().then(|| take_all(handles))
}

/// The outcomes of tasks that have all ended.
fn take_all<R: DeserializeOwned>(handles: &mut [Handle<R>]) -> Vec<Result<R, TaskError>> {
    handles.iter_mut().map(take).collect()
}

/// The outcome of one that has ended.
fn take<R: DeserializeOwned>(handle: &mut Handle<R>) -> Result<R, TaskError> {
    handle
        .try_join()
        .unwrap_or(Err(TaskError::already_joined()))
}

/// Waits for the first task that ends with a value: which handle it was, and the
/// value. The others are [cancelled](Handle::cancel), and not waited for: what runs and does
/// not listen runs on, unless [`join_any_within`] says for how long it may.
///
/// An `Err` that a task returns is its value. The handles may be of different
/// runtimes.
///
/// # Errors
/// When no task has a value: why not, in the order of the handles; nothing if there
/// are no handles.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// fn nap(ms: u64) -> u64 {
///     std::thread::sleep(std::time::Duration::from_millis(ms));
///     ms
/// }
/// let (index, value) = pinfold::join_any([rt.spawn(nap, 1000), rt.spawn(nap, 1)])
///     .map_err(|errors| format!("{errors:?}"))?;
/// assert_eq!((index, value), (1, 1));
/// # Ok(())
/// # }
/// ```
pub fn join_any<R>(
    handles: impl IntoIterator<Item = Handle<R>>,
) -> Result<(usize, R), Vec<TaskError>>
where
    R: DeserializeOwned,
{
    any(handles, Reach::Running)
}

/// As [`join_any`]; those of the others that still run after `grace` are killed
/// ([`Handle::cancel_within`]).
///
/// # Errors
/// As [`join_any`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// fn race(is_deaf: bool) {
///     while is_deaf {}
/// }
/// let grace = Duration::from_millis(20);
/// let first = pinfold::join_any_within([true, false].map(|deaf| rt.spawn(race, deaf)), grace);
/// assert_eq!(first, Ok((1, ())));
/// rt.shutdown(pinfold::Shutdown::Drain)?; // the other one does not hold it up
/// # Ok(())
/// # }
/// ```
pub fn join_any_within<R>(
    handles: impl IntoIterator<Item = Handle<R>>,
    grace: Duration,
) -> Result<(usize, R), Vec<TaskError>>
where
    R: DeserializeOwned,
{
    any(handles, Reach::Within(grace))
}

fn any<R: DeserializeOwned>(
    handles: impl IntoIterator<Item = Handle<R>>,
    reach: Reach,
) -> Result<(usize, R), Vec<TaskError>> {
    let mut race = Members::of(handles);
    let mut errors: Vec<Option<TaskError>> = vec![None; race.numbers()];
    while let Some((index, outcome)) = race.next(None) {
        match outcome {
            Ok(value) => {
                race.cancel(reach);
                return Ok((index, value));
            }
            Err(error) => errors[index] = Some(error),
        }
    }
    Err(errors.into_iter().flatten().collect())
}

/// Waits for several tasks; [`OnError`](on_error::OnError) says what is made of those
/// without a value:
///
/// | | is | tasks without a value |
/// | --- | --- | --- |
/// | [`Raise`](on_error::Raise) | `Result<Vec<R>, TaskError>` | the first one ends it, and the rest is cancelled |
/// | [`Skip`](on_error::Skip) | `Vec<R>` | are left out |
/// | [`Keep`](on_error::Keep) | `Vec<Result<R, TaskError>>` | are there as errors |
///
/// What is there is in the order of the handles. With `Raise` the first is the one that
/// ends first; it is returned at once, without waiting for those that are running. An
/// `Err` that a task returns is its value. The handles may be of different runtimes.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::{gather, on_error};
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let tasks = || (0..3).map(|n| rt.spawn(|n: u32| 6 / n, n));
/// assert_eq!(gather(tasks(), on_error::Skip), [6, 3]);
/// assert_eq!(gather(tasks(), on_error::Keep).len(), 3);
/// assert_eq!(gather(tasks().skip(1), on_error::Raise)?, [6, 3]);
/// assert!(gather(tasks(), on_error::Raise).is_err());
/// # Ok(())
/// # }
/// ```
pub fn gather<R, E>(handles: impl IntoIterator<Item = Handle<R>>, on_error: E) -> E::Gathered<R>
where
    R: DeserializeOwned,
    E: on_error::OnError,
{
    on_error.gather(handles)
}

/// As [`gather`], if that is decided within `timeout`; else `None`: all go on, and can be
/// gathered again.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::{gather_timeout, on_error};
/// use std::time::Duration;
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
/// let mut naps = [200, 1].map(|ms| rt.spawn(nap, ms));
/// assert_eq!(gather_timeout(&mut naps, on_error::Skip, Duration::ZERO), None);
/// let all = gather_timeout(&mut naps, on_error::Raise, Duration::from_secs(60));
/// assert_eq!(all, Some(Ok(vec![(), ()])));
/// # Ok(())
/// # }
/// ```
pub fn gather_timeout<R, E>(
    handles: &mut [Handle<R>],
    on_error: E,
    timeout: Duration,
) -> Option<E::Gathered<R>>
where
    R: DeserializeOwned,
    E: on_error::OnError,
{
    on_error.gather_timeout(handles, timeout)
}

/// What [`gather`] makes of tasks that have no value.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::on_error::Skip;
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let values: Vec<u32> = pinfold::gather([rt.spawn(|n: u32| n + 1, 1)], Skip);
/// assert_eq!(values, [2]);
/// # Ok(())
/// # }
/// ```
pub mod on_error {
    use super::{
        DeserializeOwned, Duration, Handle, Members, Reach, TaskError, WaitFor, join_all,
        join_all_timeout, take, wait_by,
    };

    /// One of [`Raise`], [`Skip`], [`Keep`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pinfold::{Handle, on_error::OnError};
    /// fn of<E: OnError>(handles: Vec<Handle<u32>>, on_error: E) -> E::Gathered<u32> {
    ///     pinfold::gather(handles, on_error)
    /// }
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(of(vec![rt.spawn(|n| n, 1)], pinfold::on_error::Raise)?, [1]);
    /// # Ok(())
    /// # }
    /// ```
    pub trait OnError: sealed::OnError {}

    /// The first task without a value ends it.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let tasks = (0..2).map(|n| rt.spawn(|n: u32| 6 / n, n));
    /// let error = pinfold::gather(tasks, pinfold::on_error::Raise).unwrap_err();
    /// assert!(matches!(error, pinfold::TaskError::Panicked { .. }));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Raise;

    /// Tasks without a value are left out.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let tasks = (0..2).map(|n| rt.spawn(|n: u32| 6 / n, n));
    /// assert_eq!(pinfold::gather(tasks, pinfold::on_error::Skip), [6]);
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Skip;

    /// Every outcome is there, as [`join_all`] has it.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let tasks = (0..2).map(|n| rt.spawn(|n: u32| 6 / n, n));
    /// let outcomes = pinfold::gather(tasks, pinfold::on_error::Keep);
    /// assert!(outcomes[0].is_err() && outcomes[1] == Ok(6));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Keep;

    mod sealed {
        use super::{DeserializeOwned, Duration, Handle};

        pub trait OnError {
            /// What there is in the end.
            type Gathered<R>;

            /// Waits.
            fn gather<R>(self, handles: impl IntoIterator<Item = Handle<R>>) -> Self::Gathered<R>
            where
                R: DeserializeOwned;

            /// The same, if it is decided in time.
            fn gather_timeout<R>(
                self,
                handles: &mut [Handle<R>],
                timeout: Duration,
            ) -> Option<Self::Gathered<R>>
            where
                R: DeserializeOwned;
        }
    }

    impl OnError for Raise {}
    impl OnError for Skip {}
    impl OnError for Keep {}

    impl sealed::OnError for Raise {
        type Gathered<R> = Result<Vec<R>, TaskError>;

        fn gather<R>(
            self,
            handles: impl IntoIterator<Item = Handle<R>>,
        ) -> Result<Vec<R>, TaskError>
        where
            R: DeserializeOwned,
        {
            let mut race = Members::of(handles);
            let mut values: Vec<Option<R>> = (0..race.numbers()).map(|_| None).collect();
            while let Some((index, outcome)) = race.next(None) {
                match outcome {
                    Ok(value) => values[index] = Some(value),
                    Err(error) => {
                        race.cancel(Reach::Running);
                        return Err(error);
                    }
                }
            }
            Ok(values.into_iter().flatten().collect())
        }

        fn gather_timeout<R>(
            self,
            handles: &mut [Handle<R>],
            timeout: Duration,
        ) -> Option<Self::Gathered<R>>
        where
            R: DeserializeOwned,
        {
            let (waited, failed) = wait_by(handles, WaitFor::FirstError, Some(timeout));
            if let Some(failed) = failed
                && let Err(error) = take(&mut handles[failed])
            {
                for late in waited.not_done {
                    handles[late].cancel();
                }
                return Some(Err(error));
            }
            let are_all = waited.not_done.is_empty();
            are_all.then(|| handles.iter_mut().map(take).collect())
        }
    }

    impl sealed::OnError for Skip {
        type Gathered<R> = Vec<R>;

        fn gather<R>(self, handles: impl IntoIterator<Item = Handle<R>>) -> Vec<R>
        where
            R: DeserializeOwned,
        {
            join_all(handles).into_iter().flatten().collect()
        }

        fn gather_timeout<R>(
            self,
            handles: &mut [Handle<R>],
            timeout: Duration,
        ) -> Option<Self::Gathered<R>>
        where
            R: DeserializeOwned,
        {
            let outcomes = join_all_timeout(handles, timeout)?;
            Some(outcomes.into_iter().flatten().collect())
        }
    }

    impl sealed::OnError for Keep {
        type Gathered<R> = Vec<Result<R, TaskError>>;

        fn gather<R>(
            self,
            handles: impl IntoIterator<Item = Handle<R>>,
        ) -> Vec<Result<R, TaskError>>
        where
            R: DeserializeOwned,
        {
            join_all(handles)
        }

        fn gather_timeout<R>(
            self,
            handles: &mut [Handle<R>],
            timeout: Duration,
        ) -> Option<Self::Gathered<R>>
        where
            R: DeserializeOwned,
        {
            join_all_timeout(handles, timeout)
        }
    }
}
