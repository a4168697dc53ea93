//! `join`: two functions in parallel, as tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::task::NoCapture;

use super::child::{error_of, spawn};
use super::nest::Nest;

/// Runs `f(a)` on the spot and `g(b)` beside it, and returns both outcomes; for use inside of
/// tasks.
///
/// `g` is a task as by [`spawn`](crate::spawn()): another worker may take it; if none does, it is
/// run here when `f` has ended. `f` is a plain call, in the task that calls this: its argument
/// and its value are not encoded, it may be any closure, and borrow and change what is here.
/// Give it the half that is more to move.
///
/// # Errors
/// Of each why it has no value. When `f` panics that is [`TaskError::Panicked`], and `g` is
/// waited for all the same. Outside of a task both are [`TaskError::NotInTask`], and neither
/// is run.
///
/// ```
/// # pinfold::test_setup!();
/// fn sum(numbers: Vec<u64>) -> u64 {
///     let Some((left, right)) = numbers.split_at_checked(numbers.len() / 2) else {
///         return 0;
///     };
///     if left.is_empty() {
///         return right.iter().sum();
///     }
///     let (left, right) = pinfold::join(sum, left.to_vec(), sum, right.to_vec());
///     left.unwrap() + right.unwrap()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// assert_eq!(rt.spawn(sum, (1..=100).collect()).join()?, 5050);
/// # Ok(())
/// # }
/// ```
#[inline]
pub fn join<F, A, RA, G, B, RB>(
    f: F,
    a: A,
    g: G,
    b: B,
) -> (Result<RA, TaskError>, Result<RB, TaskError>)
where
    F: FnOnce(A) -> RA,
    G: Fn(B) -> RB + NoCapture,
    B: Serialize + DeserializeOwned,
    RB: Serialize + DeserializeOwned,
{
    let other = spawn(g, b);
    let first = if other.is_there() {
        catch_unwind(AssertUnwindSafe(|| f(a)))
            .or_else(|panic| panicked(panic, std::any::type_name::<F>()))
    } else {
        Err(Nest::missing())
    };
    (first, other.join())
}

/// Why a call on the spot has no value.
#[cold]
fn panicked<R>(
    panic: Box<dyn std::any::Any + Send>,
    function: &'static str,
) -> Result<R, TaskError> {
    let nest = Nest::here().ok_or(TaskError::Forked)?;
    let error = error_of(&nest.runner.panicked(panic)).unwrap_or(TaskError::Forked);
    Err(error.told_of(function))
}
