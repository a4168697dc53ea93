//! A spawned task, as the task sees it that has spawned it.

use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Death, TaskError};
use crate::task::Outcome;

use super::nest::Nest;

/// Runs `f(args)` as a task of its own, beside the task that calls this; for use
/// inside of tasks. In the host use [`Runtime::spawn`](crate::Runtime::spawn).
///
/// The task may be run by any worker. [`Child::join`] runs it on the spot if nobody
/// has begun it by then, so spawning costs little and never deadlocks, however deep.
/// What a task may be, and how arguments and results travel, is as for
/// [`Runtime::spawn`](crate::Runtime::spawn). It is run at most once.
///
/// If the worker of the spawning task dies, its spawned tasks are cancelled: those not
/// begun never run, and of the others nobody sees the result. With
/// [`Orphans::Finish`](crate::Orphans::Finish) those not begun are run all the same.
///
/// ```
/// # pinfold::test_setup!();
/// fn fib(n: u64) -> u64 {
///     if n < 2 {
///         return n;
///     }
///     let other = pinfold::spawn(fib, n - 1);
///     fib(n - 2) + other.join().unwrap()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// assert_eq!(rt.spawn(fib, 15).join()?, 610);
/// # Ok(())
/// # }
/// ```
pub fn spawn<F, A, R>(_: F, args: A) -> Child<R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let state = match Nest::here() {
        Some(nest) => match nest.submit::<F, A, R>(&args) {
            Ok(child) => State::Submitted(nest, child),
            Err(error) => State::Failed(error),
        },
        None => State::Failed(TaskError::NotInTask),
    };
    Child {
        name: std::any::type_name::<F>,
        state,
        types: PhantomData,
    }
}

/// A task that was spawned by a task; see [`spawn`].
///
/// Dropping it detaches the task: it runs all the same, but nobody sees its outcome.
/// It stays with the task that spawned it, and cannot be sent anywhere.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let sum = rt.spawn(
///     |(): ()| {
///         let child: pinfold::Child<u32> = pinfold::spawn(|n: u32| n + 1, 1);
///         child.join().map_err(|error| error.to_string())
///     },
///     (),
/// );
/// assert_eq!(sum.join()?, Ok(2));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it detaches the task; call `join` for its outcome"]
pub struct Child<R> {
    name: fn() -> &'static str,
    state: State,
    types: PhantomData<*const R>,
}

enum State {
    /// Which of the nest's children it is.
    Submitted(Rc<Nest>, usize),
    Failed(TaskError),
    Joined,
}

impl<R> std::fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Child")
            .field("task", &(self.name)())
            .finish()
    }
}

impl<R: DeserializeOwned> Child<R> {
    /// Waits for the task to end; runs it here if nobody has begun it. Meanwhile it
    /// may run other spawned tasks.
    ///
    /// # Errors
    /// Why there is no value: [`TaskError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn total(numbers: Vec<u64>) -> Result<u64, String> {
    ///     if numbers.len() < 4 {
    ///         return Ok(numbers.iter().sum());
    ///     }
    ///     let (left, right) = numbers.split_at(numbers.len() / 2);
    ///     let left = pinfold::spawn(total, left.to_vec());
    ///     let right = total(right.to_vec())?;
    ///     Ok(left.join().map_err(|error| error.to_string())?? + right)
    /// }
    /// assert_eq!(rt.spawn(total, (1..=100).collect()).join()?, Ok(5050));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(mut self) -> Result<R, TaskError> {
        if let State::Submitted(nest, child) = &self.state
            && let Some((len, words)) = nest.wait_briefly(*child)
        {
            self.state = State::Joined;
            let bytes: &[u8] = bytemuck::cast_slice(&words);
            return postcard::from_bytes(&bytes[..len]).map_err(undecodable);
        }
        let (nest, child) = match std::mem::replace(&mut self.state, State::Joined) {
            State::Submitted(nest, child) => (nest, child),
            State::Failed(error) => return Err(error),
            State::Joined => return Err(TaskError::AlreadyJoined),
        };
        let finished = nest.wait(child).map_err(|what| TaskError::Corrupted {
            message: what.into(),
        })?;
        match finished.outcome {
            Outcome::Value | Outcome::ReturnedErr => finished.decode().map_err(undecodable),
            Outcome::Lost => Err(TaskError::WorkerDied {
                task: (self.name)(),
                name: None,
                death: postcard::from_bytes(finished.payload.bytes()).unwrap_or(Death::Unknown),
                last_words: None,
            }),
            Outcome::Cancelled => Err(TaskError::Cancelled),
            outcome => Err(TaskError::of_run(outcome, finished.payload.bytes())),
        }
    }
}

#[cold]
fn undecodable(error: postcard::Error) -> TaskError {
    TaskError::Result {
        message: format!("it does not decode as the expected type: {error}"),
    }
}

impl<R> Drop for Child<R> {
    fn drop(&mut self) {
        if let State::Submitted(nest, child) = &self.state {
            nest.forsake(*child);
        }
    }
}
